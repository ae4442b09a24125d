//! What a write declares about itself: whether it may be repeated, how it is found again, and what takes it back.
//!
//! The rule: **what the semantics need is declared, or the declaration is refused**. A write that is searched for without a
//! request that searches would be in doubt for ever.

use soloist_kernel::{
    catalog::OperationKind,
    expression::Expression,
    id::OperationName,
    semantics::{Reversal, WriteSemantics},
};

use super::{
    fields::Fields,
    operation::Spec,
    request::RequestShape,
    text::{Pick, Shape, Text, names_of},
};
use crate::http::HeaderName;

const HELP: &str = "write \"natural_key\", \"opaque\", { keyed = { header = \"Idempotency-Key\", ttl = \"24h\" } }, \
     { conditional = { value = \"{{ arguments.etag }}\" } } or { searchable = { lag = \"30s\" } }";

/// Reads `semantics`. The headers that it asks for become the request's.
pub(super) fn read(
    fields: &mut Fields<'_>,
    kind: Option<OperationKind>,
    request: Option<&mut RequestShape>,
) -> Option<WriteSemantics> {
    let value = fields.value("semantics");
    if kind == Some(OperationKind::Read) {
        if value.is_some() {
            fields.wrong("semantics", "a read has none", "leave it out");
        }
        return Some(WriteSemantics::Opaque);
    }
    match value {
        // What kind it is is to be said first.
        None if kind.is_none() => None,
        Some(toml::Value::String(word)) => match word.as_str() {
            "natural_key" => Some(WriteSemantics::NaturalKey),
            "opaque" => Some(WriteSemantics::Opaque),
            _ => {
                fields.wrong("semantics", format!("{word:?} is not known"), HELP);
                None
            }
        },
        Some(toml::Value::Table(table)) => {
            let mut of = fields.nested("semantics", table);
            let which = of.only(&["keyed", "conditional", "searchable"])?;
            let semantics = one(which, of.table(which)?, request);
            of.finish();
            semantics
        }
        Some(_) | None => {
            fields.wrong("semantics", "it does not say what an ambiguous answer means", HELP);
            None
        }
    }
}

fn one(
    which: &str,
    mut fields: Fields<'_>,
    request: Option<&mut RequestShape>,
) -> Option<WriteSemantics> {
    let usual = if which == "keyed" { "idempotency-key" } else { "if-match" };
    let (semantics, header) = match which {
        "keyed" => {
            let ttl = required(&mut fields, "ttl", "write how long the system remembers a key");
            let key = Text::compile("{{ key }}").ok();
            (ttl.map(|ttl| WriteSemantics::Keyed { ttl }), Some((header(&mut fields, usual), key)))
        }
        "conditional" => {
            let value = fields.required("value", "write what the header says");
            let help = "write it as in `{{ arguments.etag }}`";
            let value = value.and_then(|text| fields.accept("value", Text::compile(&text), help));
            // Without a value it would be left out, and the write be made whatever there is.
            let value = value.map(Text::never_left_out);
            (Some(WriteSemantics::Conditional), Some((header(&mut fields, usual), value)))
        }
        _ => {
            let help = "write how long after a write the search may still miss it";
            let lag = required(&mut fields, "lag", help);
            (lag.map(|visibility_lag| WriteSemantics::Searchable { visibility_lag }), None)
        }
    };
    if let (Some(request), Some((Some(name), Some(text)))) = (request, header) {
        request.headers.insert(name.to_string(), text);
    }
    fields.finish();
    semantics
}

fn required(fields: &mut Fields<'_>, key: &'static str, help: &str) -> Option<std::time::Duration> {
    if !fields.has(key) {
        fields.wrong(key, "it is missing", help);
    }
    fields.duration(key)
}

fn header(fields: &mut Fields<'_>, usual: &str) -> Option<HeaderName> {
    let name = fields.text("header").unwrap_or(usual.to_owned());
    fields.accept("header", name.parse(), "write a header's name")
}

/// How a write is looked for.
#[derive(Debug)]
pub(super) struct Probing {
    pub(super) request: RequestShape,
    pub(super) landed: Expression,
    pub(super) absent: Expression,
    /// What of the answer is the receipt; as the result of the operation, if nothing is said.
    pub(super) receipt: Option<Pick>,
}

impl Probing {
    pub(super) fn read(mut fields: Fields<'_>) -> Option<Self> {
        let request = RequestShape::read(&mut fields).map(RequestShape::never_wider);
        let mut says = |key, help| {
            let text = fields.required(key, help)?;
            fields.accept(key, Expression::compile(&text), help)
        };
        let landed = says("landed", "write what holds of the answer if the write is there");
        let absent = says("absent", "write what holds of the answer if it is certainly not there");
        let receipt = fields.text("receipt").and_then(|text| {
            let help = "write a pointer like `/results/0` or an expression like `body.id`";
            fields.accept("receipt", Pick::compile(&text), help)
        });
        fields.finish();
        Some(Self { request: request?, landed: landed?, absent: absent?, receipt })
    }

    /// What reads the answer.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let receipt = self.receipt.as_ref().and_then(Pick::expression);
        [&self.landed, &self.absent].into_iter().chain(receipt)
    }
}

/// What takes a write back.
#[derive(Debug)]
pub(super) struct Reversing {
    /// `undo` or `counter`.
    pub(super) field: &'static str,
    pub(super) operation: OperationName,
    pub(super) arguments: Shape,
}

/// Reads `undo` or `counter`.
pub(super) fn reversing(fields: &mut Fields<'_>) -> Option<(Reversal, Reversing)> {
    if fields.has("undo") && fields.has("counter") {
        fields.wrong("counter", "there is `undo` as well", "write one of them");
    }
    let (undo, counter) = (fields.table("undo"), fields.table("counter"));
    let (field, mut of) = match (undo, counter) {
        (Some(of), _) => ("undo", of),
        (None, Some(of)) => ("counter", of),
        (None, None) => return None,
    };
    let help = "write the name of the operation that takes it back";
    let operation = of.required("operation", help);
    let operation =
        operation.and_then(|name| of.accept("operation", OperationName::new(&name), help));
    let arguments = of.value("arguments").unwrap_or(toml::Value::Table(toml::Table::new()));
    let help = "write a table, as in { id = \"{{ receipt.id }}\" }";
    let arguments = of.accept("arguments", Shape::compile(&arguments), help);
    if arguments.as_ref().is_some_and(|shape| !matches!(shape, Shape::Object(_))) {
        of.wrong("arguments", "it has no names", help);
    }
    of.finish();
    let (operation, arguments) = (operation?, arguments?);
    let reversal = match field {
        "undo" => Reversal::Undo(operation.clone()),
        _ => Reversal::Counter(operation.clone()),
    };
    Some((reversal, Reversing { field, operation, arguments }))
}

/// Checks that there is what the semantics of `spec` need, and nothing that has no meaning.
pub(super) fn check(fields: &Fields<'_>, spec: &Spec, kind: OperationKind) {
    if kind == OperationKind::Read {
        if spec.probe.is_some() {
            fields.wrong("probe", "a read is asked again and not looked for", "leave it out");
        }
        if let Some(reversing) = &spec.reversing {
            fields.wrong(reversing.field, "a read has nothing to take back", "leave it out");
        }
        return;
    }
    let help = "write the request that looks for it, and what of its answer says that it landed";
    match (spec.declared.semantics, &spec.probe) {
        (WriteSemantics::Keyed { .. }, Some(_)) => {
            fields.wrong("probe", "a keyed write is made again and not looked for", "leave it out");
        }
        (WriteSemantics::Opaque, Some(_)) => {
            let help =
                "leave it out, or say by `semantics` what finds it: natural_key or searchable";
            fields.wrong("probe", "an opaque write cannot be looked for", help);
        }
        (WriteSemantics::NaturalKey | WriteSemantics::Conditional, None) => {
            fields.wrong("probe", "it is missing", help);
        }
        (WriteSemantics::Searchable { .. }, None) => {
            fields.wrong("probe", "it is missing: nothing searches for the write", help);
        }
        (WriteSemantics::Searchable { .. }, Some(probe)) => {
            let help = "put {{ key }} into a field of the record that can be searched for";
            if !spec.sends_key() {
                fields.wrong(
                    "semantics",
                    "the record does not hold the key it is to be found by",
                    help,
                );
            }
            let asks = names_of(probe.request.expressions());
            let reads = names_of(probe.expressions());
            if !asks.contains("key") && !reads.contains("key") {
                fields.wrong("probe", "it does not look for the key", "search for {{ key }}");
            }
        }
        (WriteSemantics::Keyed { .. } | WriteSemantics::Opaque, None)
        | (WriteSemantics::NaturalKey | WriteSemantics::Conditional, Some(_)) => {}
    }
}

/// What is wrong with how `by` is to be called, as what takes another write back; with what to do about it.
pub(super) fn misuse(reversing: &Reversing, by: Option<&Spec>) -> Vec<(String, String)> {
    let Some(by) = by else {
        let message = format!("there is no operation `{}`", reversing.operation);
        return vec![(message, "declare it, with `kind = \"compensate\"`".into())];
    };
    let mut found = vec![];
    if by.declared.kind != OperationKind::Compensate {
        let message = format!("`{}` does not compensate", reversing.operation);
        found.push((message, "say so there, with `kind = \"compensate\"`".into()));
    }
    let Shape::Object(given) = &reversing.arguments else { return found };
    let taken = &by.declared.arguments;
    for name in given.keys().filter(|name| !taken.contains_key(*name)) {
        let message = format!("`{}` takes no `{name}`", reversing.operation);
        found.push((message, "leave it out, or declare the argument there".into()));
    }
    for (name, argument) in taken {
        if argument.required && !given.contains_key(name) {
            let message = format!("`{}` takes `{name}`, which is not given", reversing.operation);
            found.push((message, format!("write {name} = \"{{{{ receipt.{name} }}}}\"")));
        }
    }
    found
}
