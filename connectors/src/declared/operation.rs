//! An operation as it is declared: what it asks, what it takes, what its answer means and what an ambiguous one does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use soloist_kernel::{
    catalog::{Argument, Operation, OperationKind},
    expression::Expression,
    id::OperationName,
    semantics::{ArgumentRole, Reversal, WriteSemantics},
};

use super::{
    answer::{Rule, SEEN},
    fields::Fields,
    pages::Pages,
    request::RequestShape,
    semantics::{self, Probing, Reversing},
    text::{Pick, arguments_of, names_of},
};
use crate::{contract::Rate, http::Method};

/// What every request may be made of.
pub(super) const GIVEN: [&str; 3] = ["arguments", "key", "at"];

/// What the language has by itself.
const BUILT_IN: [&str; 3] = ["dict", "namespace", "range"];

const KINDS: [(&str, OperationKind); 3] = [
    ("read", OperationKind::Read),
    ("write", OperationKind::Write),
    ("compensate", OperationKind::Compensate),
];

const ROLES: [(&str, ArgumentRole); 2] =
    [("routing", ArgumentRole::Routing), ("content", ArgumentRole::Content)];

/// One `[[operation]]`.
#[derive(Debug)]
pub(super) struct Spec {
    /// What the kernel is told.
    pub(super) declared: Operation,
    pub(super) request: RequestShape,
    /// What of the answer is the result; all of its body, if nothing is said.
    pub(super) result: Option<Pick>,
    pub(super) answers: Vec<Rule>,
    pub(super) pages: Option<Pages>,
    pub(super) probe: Option<Probing>,
    pub(super) reversing: Option<Reversing>,
    pub(super) rate: Option<Rate>,
}

impl Spec {
    /// Reads an operation, the `number`th, and its name.
    pub(super) fn read(number: usize, fields: Fields<'_>) -> Option<(OperationName, Self)> {
        let mut fields = fields.within(format!("operation {number}"));
        let name = fields.required("name", "write what it is called, as in `create_contact`");
        let name = name.and_then(|name| {
            fields.accept("name", OperationName::new(&name), "write it as in `create_contact`")
        });
        if let Some(name) = &name {
            fields = fields.within(format!("operation `{name}`"));
        }
        let summary = fields.required("summary", "write what it does, for the operator");
        if !fields.has("kind") {
            fields.wrong("kind", "it is missing", "write `read`, `write` or `compensate`");
        }
        let kind = fields.choice("kind", &KINDS);
        let arguments = fields.table("arguments").map(arguments).unwrap_or_default();
        let mut request = RequestShape::read(&mut fields);
        let semantics = semantics::read(&mut fields, kind, request.as_mut());
        let reversing = semantics::reversing(&mut fields);
        let is_probed = fields.has("probe");
        let probe = fields.table("probe").and_then(Probing::read);
        let (schema, result) = result(&mut fields);
        let answers = fields.tables("answers").into_iter().filter_map(Rule::read).collect();
        let pages = fields.table("pages").and_then(Pages::read);
        let rate = fields.table("rate").and_then(rate);
        let (reversal, reversing) = match reversing {
            Some((reversal, reversing)) => (reversal, Some(reversing)),
            None => (Reversal::Irreversible, None),
        };
        let declared = Operation {
            summary: summary.unwrap_or_default(),
            kind: kind.unwrap_or(OperationKind::Read),
            semantics: semantics.unwrap_or(WriteSemantics::Opaque),
            reversal,
            arguments,
            result: schema,
        };
        let spec =
            Self { declared, request: request?, result, answers, pages, probe, reversing, rate };
        spec.check(&fields);
        // A probe that has problems of its own is not missing.
        let is_whole = semantics.is_some() && spec.probe.is_some() == is_probed;
        if let Some(kind) = kind.filter(|_| is_whole) {
            semantics::check(&fields, &spec, kind);
        }
        fields.finish();
        Some((name?, spec))
    }

    /// Checks that each expression reads what is there to be read.
    fn check(&self, fields: &Fields<'_>) {
        // A read has no identity, and no time of its own.
        let given = if self.is_read() { &GIVEN[..1] } else { &GIVEN };
        for (field, expressions) in self.request.fields() {
            check_names(fields, field, expressions, given, &self.declared);
        }
        let of_answer: Vec<&str> = SEEN.iter().chain(given).copied().collect();
        let result = self.result.iter().filter_map(Pick::expression);
        check_names(fields, "result.value", result, &of_answer, &self.declared);
        let answers = self.answers.iter().flat_map(Rule::expressions);
        check_names(fields, "answers", answers, &SEEN, &self.declared);
        let pages = self.pages.iter().flat_map(Pages::expressions);
        check_names(fields, "pages", pages, &SEEN, &self.declared);
        if let Some(probe) = &self.probe {
            for (field, expressions) in probe.request.fields() {
                let field = format!("probe.{field}");
                check_names(fields, &field, expressions, given, &self.declared);
            }
            check_names(fields, "probe", probe.expressions(), &of_answer, &self.declared);
        }
        if let Some(reversing) = &self.reversing {
            let seen = ["arguments", "receipt"];
            let expressions = reversing.arguments.expressions();
            check_names(fields, reversing.field, expressions, &seen, &self.declared);
        }
        let writes = self.declared.kind != OperationKind::Read;
        if writes && [Method::GET, Method::HEAD].contains(&self.request.method) {
            let help = "write the method that the system has for it, as in POST";
            fields.wrong("method", "it is for what changes nothing", help);
        }
        if writes && self.pages.is_some() {
            fields.wrong("pages", "a write has no pages", "leave it out");
        }
        for name in arguments_of(self.request.in_path()) {
            let argument = self.declared.arguments.get(&name);
            let is_content = |argument: &Argument| argument.role == ArgumentRole::Content;
            if writes && argument.is_some_and(is_content) {
                let message = "it is in the path, and so says where the write goes";
                fields.wrong(&format!("arguments.{name}.role"), message, "write `routing`");
            }
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.declared.kind == OperationKind::Read
    }

    /// Whether what it sends holds the key by which it is found again.
    pub(super) fn sends_key(&self) -> bool {
        names_of(self.request.expressions()).contains("key")
    }
}

/// Notes each name that `expressions` read and that is none of `known`, and each argument that is not declared.
fn check_names<'e>(
    fields: &Fields<'_>,
    field: &str,
    expressions: impl IntoIterator<Item = &'e Expression>,
    known: &[&str],
    declared: &Operation,
) {
    let expressions: Vec<&Expression> = expressions.into_iter().collect();
    for name in names_of(expressions.iter().copied()) {
        if !known.contains(&name) && !BUILT_IN.contains(&name) {
            fields.unknown(field, name, known.iter().copied());
        }
    }
    let arguments: BTreeSet<String> = arguments_of(expressions);
    for name in arguments.iter().filter(|name| !declared.arguments.contains_key(*name)) {
        fields.unknown(field, name, declared.arguments.keys().map(String::as_str));
    }
}

fn arguments(mut fields: Fields<'_>) -> BTreeMap<String, Argument> {
    let table = fields.rest();
    let read = |(name, value): (String, toml::Value)| {
        let toml::Value::Table(table) = value else {
            return fields.misfit(&name, &value, "a table, as in { role = \"content\" }");
        };
        let mut of = fields.nested(&name, table);
        if !of.has("role") {
            let help = "write `routing` if it says where the write goes (a recipient, an amount, a \
                        path), else `content`";
            of.wrong("role", "it is missing", help);
        }
        let role = of.choice("role", &ROLES);
        let is_optional = of.flag("optional").unwrap_or_default();
        let schema = schema(&mut of);
        of.finish();
        Some((name, Argument { role: role?, required: !is_optional, schema }))
    };
    table.into_iter().filter_map(read).collect()
}

/// The JSON Schema in `schema`; without one, everything is allowed.
fn schema(fields: &mut Fields<'_>) -> Value {
    let Some(value) = fields.value("schema") else { return true.into() };
    if !value.is_table() {
        fields.misfit::<()>("schema", &value, "a JSON Schema, as in { type = \"string\" }");
    }
    let schema = serde_json::to_value(&value);
    fields.accept("schema", schema, "write a JSON Schema").unwrap_or(true.into())
}

/// The schema of the result and what of the answer it is.
fn result(fields: &mut Fields<'_>) -> (Value, Option<Pick>) {
    let Some(mut of) = fields.table("result") else { return (true.into(), None) };
    let schema = schema(&mut of);
    let help = "write a pointer like `/results/0` or an expression like `{ 'id': body.id }`";
    let value = of.text("value").and_then(|text| of.accept("value", Pick::compile(&text), help));
    of.finish();
    (schema, value)
}

/// `{ calls = 100, per = "10s", burst = 10 }`.
pub(super) fn rate(mut fields: Fields<'_>) -> Option<Rate> {
    if !fields.has("calls") {
        fields.wrong("calls", "it is missing", "write { calls = 100, per = \"10s\" }");
    }
    let calls = fields.number("calls", 1, u32::MAX);
    let per = fields.duration("per");
    let burst = fields.number("burst", 1, calls.unwrap_or(u32::MAX));
    fields.finish();
    let calls = calls?;
    let per = per.unwrap_or(std::time::Duration::from_secs(1));
    Some(Rate { calls, per, burst: burst.unwrap_or(calls.div_ceil(10)) })
}
