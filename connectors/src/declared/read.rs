//! From a declaration's text to a connector, with every problem on the way.

use std::{collections::BTreeMap, time::Duration};

use soloist_kernel::{
    id::{ConnectorName, OperationName},
    labels::{Integrity, Labels},
};
use toml::Table;

use super::{
    answer::{Rule, SEEN},
    connector::Declared,
    fields::Fields,
    operation::{self, Spec},
    problem::{Problem, Problems},
    request,
    secret::Credential,
    semantics,
    text::{Part, Text, names_of},
};
use crate::{
    contract::{Manifest, Rate},
    http::{Reach, TIMEOUT, Url},
};

/// Longest declaration, in bytes. A person has to keep it in view.
pub const DECLARATION_BYTES_MAX: usize = 256 << 10;

/// How fast a system is called when nothing is said: what the smallest plans of hosted systems allow.
const RATE: Rate = Rate::per_second(5, 2);

/// Calls at once when nothing is said.
const CONCURRENCY: u32 = 4;

/// Most calls at once that a declaration may ask for: each is a connection.
const CONCURRENCY_MAX: u32 = 256;

/// What the connector's caller waits longer than the connector does, so that it is the connector that says what happened.
const GRACE: Duration = Duration::from_secs(5);

const BASE: &str = "write the address that every path follows, as in `https://api.example.com/v3`";

/// How far what is read is trusted.
#[derive(Clone, Copy)]
enum Trust {
    Untrusted,
    Vetted,
    Owner,
}

const TRUST: [(&str, Trust); 3] =
    [("untrusted", Trust::Untrusted), ("vetted", Trust::Vetted), ("owner", Trust::Owner)];

/// Reads and checks `text` whole.
pub(super) fn read(file: &str, text: &str) -> Result<Declared, Vec<Problem>> {
    let problems = Problems::new(file);
    let declared = table(text, &problems).and_then(|table| connector(file, table, &problems));
    let found = problems.all();
    match declared {
        Some(declared) if found.is_empty() => Ok(declared),
        Some(_) | None => {
            assert!(!found.is_empty(), "what is refused has a problem");
            Err(found)
        }
    }
}

fn table(text: &str, problems: &Problems) -> Option<Table> {
    if text.len() > DECLARATION_BYTES_MAX {
        let message =
            format!("it has {} bytes and the limit is {DECLARATION_BYTES_MAX}", text.len());
        problems.add(None, None, message, "split it into several connectors");
        return None;
    }
    let refused = |error: toml::de::Error| {
        let before = |start: usize| text.as_bytes()[..start.min(text.len())].iter();
        let line =
            error.span().map(|span| before(span.start).filter(|byte| **byte == b'\n').count());
        let at = line.map(|line| format!("line {}: ", line + 1)).unwrap_or_default();
        let message = format!("{at}{}", error.message().trim_end());
        problems.add(None, None, message, "see `docs/connectors.md` for what a declaration holds");
    };
    text.parse().map_err(refused).ok()
}

fn connector(file: &str, table: Table, problems: &Problems) -> Option<Declared> {
    let mut fields = Fields::new(problems, table);
    let name = fields.required("name", "write what it is mounted as, as in `crm`");
    let name = name
        .and_then(|name| fields.accept("name", ConnectorName::new(&name), "write it as in `crm`"));
    let system = fields.required("system", "write which system it is, for people");
    let reach = reach(&mut fields);
    let base = base(&mut fields, &reach);
    let timeout = fields.duration("timeout").unwrap_or(TIMEOUT);
    let concurrency = fields.number("concurrency_max", 1, CONCURRENCY_MAX).unwrap_or(CONCURRENCY);
    let rate = fields.table("rate").and_then(operation::rate).unwrap_or(RATE);
    let trust = fields.choice("trust", &TRUST).unwrap_or(Trust::Untrusted);
    let credential = fields.table("credential").and_then(|of| Credential::read(of, file));
    let headers = always(&mut fields, credential.as_ref());
    let answers: Vec<Rule> = fields.tables("answers").into_iter().filter_map(Rule::read).collect();
    for name in names_of(answers.iter().flat_map(Rule::expressions)) {
        if !SEEN.contains(&name) {
            fields.unknown("answers", name, SEEN.into_iter());
        }
    }
    let operations = operations(&mut fields, credential.as_ref());
    fields.finish();
    let (name, base) = (name?, base?);
    let calls = operations.values().filter_map(|spec| spec.pages.as_ref()).map(|it| it.pages_max);
    let calls_max = calls.max().unwrap_or(1);
    let manifest = Manifest {
        system: system?,
        operations: of_each(&operations, |spec| Some(spec.declared.clone())),
        credential: who(&base, credential.as_ref()),
        rate,
        operation_rates: of_each(&operations, |spec| spec.rate),
        pulls_call: true,
        concurrency_max: concurrency as usize,
        call_timeout: timeout * calls_max + GRACE,
    };
    let origin = Labels::untrusted(name.to_string());
    let labels = match trust {
        Trust::Untrusted => origin,
        Trust::Vetted => origin.vetted(format!("connector:{name}")),
        Trust::Owner => Labels { integrity: Integrity::Owner, ..origin },
    };
    let name = name.to_string();
    Some(Declared {
        name,
        manifest,
        base,
        reach,
        timeout,
        headers,
        credential,
        answers,
        labels,
        operations,
    })
}

fn of_each<T>(
    operations: &BTreeMap<OperationName, Spec>,
    what: impl Fn(&Spec) -> Option<T>,
) -> BTreeMap<OperationName, T> {
    operations.iter().filter_map(|(name, spec)| Some((name.clone(), what(spec)?))).collect()
}

/// Who the connector is to the other side: what limits, retries and outages belong to.
fn who(base: &Url, credential: Option<&Credential>) -> String {
    let host = base.host_str().unwrap_or_default();
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    let credential = credential.map_or("nobody".to_owned(), Credential::name);
    format!("http:{host}{port}/{credential}")
}

fn reach(fields: &mut Fields<'_>) -> Reach {
    let Some(value) = fields.value("reach") else { return Reach::public() };
    let help = "write a list, as in [\"crm.internal:443\", \"10.0.0.0/8\"]";
    let reach = value.try_into().map_err(|error: toml::de::Error| error.message().to_owned());
    fields.accept("reach", reach, help).unwrap_or_default()
}

fn base(fields: &mut Fields<'_>, reach: &Reach) -> Option<Url> {
    let base = fields.required("base", BASE)?;
    let base: Url = fields.accept("base", base.parse(), BASE)?;
    if base.query().is_some() || base.fragment().is_some() {
        fields.wrong("base", "it has a query or a fragment", BASE);
        return None;
    }
    fields.accept("base", reach.admits(&base), BASE)?;
    Some(base)
}

/// The headers that are always sent. They are the same each time.
fn always(fields: &mut Fields<'_>, credential: Option<&Credential>) -> BTreeMap<String, String> {
    let mut always = BTreeMap::from([("accept".to_owned(), "application/json".to_owned())]);
    let Some(table) = fields.table("headers") else { return always };
    for (name, text) in request::headers(table) {
        if credential.and_then(Credential::header).is_some_and(|header| *header == name.as_str()) {
            fields.wrong(&format!("headers.{name}"), "it is the credential's", "leave it out");
        }
        match fixed(text) {
            Some(text) => {
                always.insert(name, text);
            }
            None => {
                let help = "say it at each operation, in its `headers`";
                fields.wrong(&format!("headers.{name}"), "it is always the same", help);
            }
        }
    }
    always
}

/// The text, if there is nothing to be filled in.
fn fixed(Text(mut parts): Text) -> Option<String> {
    match (parts.pop(), parts.is_empty()) {
        (Some(Part::Literal(text)), true) => Some(text),
        _ => None,
    }
}

fn operations(
    fields: &mut Fields<'_>,
    credential: Option<&Credential>,
) -> BTreeMap<OperationName, Spec> {
    let tables = fields.tables("operation");
    let declared = tables.len();
    if tables.is_empty() {
        fields.wrong("operation", "there is none", "write an `[[operation]]`");
    }
    let (mut specs, mut twice) = (BTreeMap::new(), vec![]);
    let numbered = (1..).zip(tables);
    for (name, spec) in numbered.filter_map(|(number, table)| Spec::read(number, table)) {
        if specs.insert(name.clone(), spec).is_some() {
            twice.push(name);
        }
    }
    let read = specs.len() + twice.len();
    let at = |name: &OperationName| format!("operation `{name}`");
    for name in &twice {
        let message = "there is another one of that name";
        fields.problems.add(Some(&at(name)), Some("name"), message, "give it another one");
    }
    for (name, spec) in &specs {
        let header = credential.and_then(Credential::header).map(|header| header.as_str());
        if header.is_some_and(|header| spec.request.headers.contains_key(header)) {
            let message = "it is the credential's";
            fields.problems.add(Some(&at(name)), Some("headers"), message, "leave it out");
        }
        // One with problems of its own is not missing.
        let Some(reversing) = spec.reversing.as_ref().filter(|_| read == declared) else {
            continue;
        };
        for (message, help) in semantics::misuse(reversing, specs.get(&reversing.operation)) {
            fields.problems.add(Some(&at(name)), Some(reversing.field), message, help);
        }
    }
    specs
}
