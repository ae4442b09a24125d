//! A policy's own test cases: a proposal, what is known about it, and the verdict that is expected.

use std::{collections::BTreeMap, fmt, time::Duration};

use chrono::DateTime;
use serde::Serialize;
use serde_json::Value;

use super::{
    DEFAULT_RULE, Evidence, Policy, Reached, Verdict, builtin,
    fields::{Fields, Said, one_of, suggestion},
    rule::qualified,
};
use crate::{
    catalog::{Argument, Operation, OperationKind},
    effect::Proposal,
    id::{ConnectorName, OperationName},
    labels::{Integrity, Labels, Pii, Readers},
    payload::{Digest, Payload},
    redact::CLASSES,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

/// Arguments that an example takes for routing, unless it says which are.
const ROUTING: [&str; 7] = ["to", "recipient", "url", "account", "amount", "path", "iban"];

/// When an example happens, unless it says when: on Monday, 5 January 2026, at noon in UTC.
const NOON: Timestamp = Timestamp(1_767_614_400_000);

/// How long the other side of an example remembers keys, or hides what was written.
const A_WHILE: Duration = Duration::from_secs(3600);

/// A checked example.
#[derive(Clone, Debug)]
pub(super) struct Example {
    name: String,
    proposal: Proposal,
    operation: Operation,
    evidence: Evidence,
    now: Timestamp,
    expect: Verdict,
    rule: Option<String>,
}

/// What became of one example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExampleResult {
    /// Its name.
    pub name: String,
    /// Whether it came out as expected.
    pub passed: bool,
    /// The verdict that was expected.
    pub expected: Verdict,
    /// The rule that was expected to give it, if that matters.
    pub expected_rule: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that gave it.
    pub rule: String,
    /// Its reason.
    pub reason: String,
}

impl fmt::Display for ExampleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, verdict, rule, reason, .. } = self;
        if self.passed {
            return write!(f, "{name}: {verdict} by rule `{rule}`");
        }
        let by = self.expected_rule.as_ref().map(|rule| format!(" by rule `{rule}`"));
        let by = by.unwrap_or_default();
        write!(f, "{name}: {expected}{by} was expected, and rule `{rule}` says {verdict}: {reason}")
    }
}

impl Policy {
    /// Runs the policy's own examples, in their order.
    #[must_use]
    pub fn test(&self) -> Vec<ExampleResult> {
        self.examples.iter().map(|example| example.run(self)).collect()
    }
}

impl Example {
    /// Goes the way of a proposal: it is redacted, and what is left is judged. An example that expects `redact` is about the
    /// first half of the way.
    fn run(&self, policy: &Policy) -> ExampleResult {
        let mut proposal = self.proposal.clone();
        let redaction = policy.redact(&proposal, &self.operation, &self.evidence, self.now);
        let redacted_by = redaction.map_or_else(Vec::new, |redaction| {
            proposal.arguments = redaction.arguments;
            redaction.rules
        });
        proposal.redacted.clone_from(&redacted_by);
        let judgement = policy.judge(&proposal, &self.evidence, self.now);
        let is_expected = |rule: &&String| self.rule.as_ref().is_none_or(|name| name == *rule);
        let (verdict, rule, reason) = match redacted_by.iter().find(is_expected) {
            Some(rule) if self.expect == Verdict::Redact => {
                let arguments = proposal.arguments.as_str();
                (Verdict::Redact, rule.clone(), format!("what is left is {arguments}"))
            }
            _ => (judgement.verdict, judgement.rule, judgement.reason),
        };
        ExampleResult {
            name: self.name.clone(),
            passed: verdict == self.expect && is_expected(&&rule),
            expected: self.expect,
            expected_rule: self.rule.clone(),
            verdict,
            rule,
            reason,
        }
    }
}

/// Reads every `[[example]]`; `rules` are the names of the policy's rules.
pub(super) fn read(fields: &mut Fields, rules: &[String]) -> Vec<Example> {
    let (mut examples, mut names) = (vec![], vec![]);
    for mut table in fields.tables("example") {
        table.within(format!("example[{}].", names.len() + 1));
        let name = table.required("name", "a result names its example");
        if let Some(name) = &name {
            table.within(format!("example.{name:?}."));
            if names.contains(name) {
                let help = "names of examples are unique";
                table.problem("name", "another example has this name", Some(help));
            }
        }
        names.push(name.clone().unwrap_or_default());
        examples.extend(example(&mut table, name, rules));
        fields.absorb(table);
    }
    examples
}

fn example(fields: &mut Fields, name: Option<String>, rules: &[String]) -> Option<Example> {
    let operation = fields.required("operation", "as in `mail.send`");
    let operation = operation.and_then(|text| fields.take("operation", qualified(&text)));
    let arguments = arguments(fields);
    let routing = routing(fields, &arguments);
    let evidence = evidence(fields, &routing);
    let labels = labels(fields, &arguments);
    let (semantics, reversal) = (semantics(fields), reversal(fields));
    let now = now(fields);
    let expect = fields.required("expect", "the verdict: deny, redact, shadow, approve or allow");
    let expect = expect.and_then(|word| {
        let words = Verdict::ALL.map(|verdict| (verdict.word(), verdict));
        fields.take("expect", one_of(&word, &words))
    });
    let rule = fields.text("rule");
    if let Some(rule) = &rule {
        let known = rules.iter().map(String::as_str).chain(builtin::NAMES).chain([DEFAULT_RULE]);
        let known: Vec<&str> = known.collect();
        if !known.contains(&rule.as_str()) {
            let help = suggestion(rule, &known);
            fields.problem("rule", format!("there is no rule `{rule}`"), Some(&help));
        }
    }
    let proposal = proposal(operation?, &arguments, routing, labels, (semantics?, reversal?), now?);
    let proposal = fields.take("arguments", proposal)?;
    let operation = operation_of(&proposal, &arguments);
    Some(Example { name: name?, proposal, operation, evidence, now: now?, expect: expect?, rule })
}

fn arguments(fields: &mut Fields) -> serde_json::Map<String, Value> {
    match fields.value("arguments").map(json) {
        Some(Value::Object(arguments)) => arguments,
        None => serde_json::Map::new(),
        Some(_) => {
            fields.problem("arguments", "they are not a table", Some("write { name = value }"));
            serde_json::Map::new()
        }
    }
}

/// TOML's values are JSON's, but for dates, which are texts there.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(on) => on.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(name, value)| (name, json(value))).collect()
        }
    }
}

/// The routing arguments with their values as texts.
fn routing(
    fields: &mut Fields,
    arguments: &serde_json::Map<String, Value>,
) -> BTreeMap<String, String> {
    let named = fields.texts("routing");
    let known: Vec<&str> = arguments.keys().map(String::as_str).collect();
    for name in named.iter().flatten().filter(|name| !arguments.contains_key(*name)) {
        let help = suggestion(name, &known);
        fields.problem("routing", format!("there is no argument `{name}`"), Some(&help));
    }
    let is_routing = |name: &String| match &named {
        Some(named) => named.contains(name),
        None => ROUTING.contains(&name.as_str()),
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let routing = arguments.iter().filter(|(name, _)| is_routing(name));
    routing.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn evidence(fields: &mut Fields, routing: &BTreeMap<String, String>) -> Evidence {
    let known: Vec<&str> = routing.keys().map(String::as_str).collect();
    let mut reached = BTreeMap::new();
    let mut reach = |fields: &mut Fields, field: &str, name: String, today: u32| {
        if known.contains(&name.as_str()) {
            reached.insert(name, Reached { at: NOON, today });
        } else {
            let help = suggestion(&name, &known);
            fields.problem(field, format!("there is no routing argument `{name}`"), Some(&help));
        }
    };
    for name in fields.texts("reached").unwrap_or_default() {
        reach(fields, "reached", name, 0);
    }
    if let Some(mut today) = fields.table("reached_today") {
        for (name, count) in today.counts() {
            reach(fields, "reached_today", name, count);
        }
        fields.absorb(today);
    }
    Evidence {
        reached,
        reverses: fields.flag("reverses").unwrap_or(false),
        workflow: fields.text("workflow").unwrap_or_default(),
        agent: fields.text("agent"),
    }
}

fn labels(
    fields: &mut Fields,
    arguments: &serde_json::Map<String, Value>,
) -> BTreeMap<String, Labels> {
    let Some(mut table) = fields.table("labels") else { return BTreeMap::new() };
    let known: Vec<&str> = arguments.keys().map(String::as_str).collect();
    let mut all = BTreeMap::new();
    for (name, mut inner) in table.maps() {
        if !arguments.contains_key(&name) {
            let help = suggestion(&name, &known);
            inner.problem("", format!("there is no argument `{name}`"), Some(&help));
        }
        all.insert(name, labels_of(&mut inner));
        table.absorb(inner);
    }
    fields.absorb(table);
    all
}

/// The labels of one argument; what is not said is the strictest.
fn labels_of(fields: &mut Fields) -> Labels {
    let mut labels = Labels::default();
    if let Some(word) = fields.text("integrity") {
        let vetted = Labels::default().vetted("example").integrity;
        let all = ["owner", "vetted", "untrusted"].map(|word| (word, word));
        labels.integrity = match fields.take("integrity", one_of(&word, &all)) {
            Some("owner") => Integrity::Owner,
            Some("vetted") => vetted,
            _ => Integrity::Untrusted,
        };
    }
    match fields.value("readers") {
        None => {}
        Some(toml::Value::String(word)) if word == "anyone" => labels.readers = Readers::Anyone,
        Some(value) => {
            let readers: Option<Vec<String>> = value.try_into().ok();
            if readers.is_none() {
                let help = "write \"anyone\", or a list of who may";
                fields.problem("readers", "it does not say who may read it", Some(help));
            }
            labels.readers = Readers::Only(readers.into_iter().flatten().collect());
        }
    }
    labels.origin = fields.texts("origin").into_iter().flatten().collect();
    let found = [("name", Pii::Name), ("address", Pii::Address)];
    let classes: Vec<(&str, Pii)> = CLASSES.into_iter().chain(found).collect();
    for word in fields.texts("pii").into_iter().flatten() {
        labels.pii.extend(fields.take("pii", one_of(&word, &classes)));
    }
    labels
}

fn semantics(fields: &mut Fields) -> Option<WriteSemantics> {
    let Some(word) = fields.text("semantics") else { return Some(WriteSemantics::Opaque) };
    let all = [
        ("keyed", WriteSemantics::Keyed { ttl: A_WHILE }),
        ("natural_key", WriteSemantics::NaturalKey),
        ("searchable", WriteSemantics::Searchable { visibility_lag: A_WHILE }),
        ("opaque", WriteSemantics::Opaque),
        ("conditional", WriteSemantics::Conditional),
    ];
    fields.take("semantics", one_of(&word, &all))
}

fn reversal(fields: &mut Fields) -> Option<Reversal> {
    let Some(word) = fields.text("reversal") else { return Some(Reversal::Irreversible) };
    let back = || "take_back".parse().expect("it is a name");
    let all = ["irreversible", "undo", "counter"].map(|word| (word, word));
    fields.take("reversal", one_of(&word, &all)).map(|word| match word {
        "undo" => Reversal::Undo(back()),
        "counter" => Reversal::Counter(back()),
        _ => Reversal::Irreversible,
    })
}

fn now(fields: &mut Fields) -> Option<Timestamp> {
    let text = match fields.value("now") {
        None => return Some(NOON),
        Some(toml::Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let parsed = DateTime::parse_from_rfc3339(&text).ok();
    let ms = parsed.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
    let message = || {
        let help = "write it as in \"2026-11-21T23:30:00Z\"";
        (format!("{text} is not a time since 1970"), Some(help.to_owned()))
    };
    fields.take("now", ms.map(Timestamp).ok_or_else(message))
}

fn proposal(
    (connector, operation): (ConnectorName, OperationName),
    arguments: &serde_json::Map<String, Value>,
    routing: BTreeMap<String, String>,
    labels: BTreeMap<String, Labels>,
    (semantics, reversal): (WriteSemantics, Reversal),
    at: Timestamp,
) -> Result<Proposal, Said> {
    let arguments = Payload::of(arguments).map_err(|error| (error.to_string(), None))?;
    Ok(Proposal {
        connector,
        operation,
        digest: arguments.digest(),
        arguments,
        routing,
        preview: String::new(),
        at,
        semantics,
        reversal,
        labels,
        manifest: Digest::of(b""),
        redacted: vec![],
    })
}

/// An operation that declares the arguments of `proposal` as they are.
fn operation_of(proposal: &Proposal, arguments: &serde_json::Map<String, Value>) -> Operation {
    let declared = |name: &String| match proposal.routing.contains_key(name) {
        true => Argument::routing(Value::Bool(true)),
        false => Argument::content(Value::Bool(true)),
    };
    Operation {
        summary: String::new(),
        kind: OperationKind::Write,
        semantics: proposal.semantics,
        reversal: proposal.reversal.clone(),
        arguments: arguments.keys().map(|name| (name.clone(), declared(name))).collect(),
        result: Value::Bool(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        timezone = "Europe/Berlin"
        [lists]
        contacts = ["ada@client.example"]
        [[rule]]
        name = "known"
        operation = "mail.send"
        when = "routing.to.reached or routing.to.value in lists.contacts"
        verdict = "allow"
        reason = "known"
        [[rule]]
        name = "accounts-stay"
        operation = "mail.send"
        verdict = "redact"
        redact = ["iban"]
        reason = "accounts stay here"
    "#;

    /// What the results of `example` read like, after [`POLICY`].
    #[track_caller]
    fn check(example: &str, expected: &str) {
        let source = format!("{POLICY}\n[[example]]\nname = \"it\"\n{example}");
        let policy = Policy::parse("policy.toml", &source)
            .unwrap_or_else(|problems| panic!("{}", problems[0]));
        let results = policy.test();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].to_string(), expected);
        assert_eq!(results[0].passed, !expected.contains("was expected"));
    }

    #[test]
    fn an_example_passes_if_verdict_and_rule_are_as_expected() {
        let mail = "operation = 'mail.send'\narguments = { to = 'eve@new.example', text = 'hi' }\n";
        check(
            &format!("{mail}expect = 'approve'\nrule = 'default'"),
            "it: approve by rule `default`",
        );
        check(&format!("{mail}reached = ['to']\nexpect = 'allow'"), "it: allow by rule `known`");
        check(
            &format!("{mail}reached = ['to']\nexpect = 'approve'\nrule = 'default'"),
            "it: approve by rule `default` was expected, and rule `known` says allow: known",
        );
        check(
            &format!("{mail}reached = ['to']\nexpect = 'allow'\nrule = 'default'"),
            "it: allow by rule `default` was expected, and rule `known` says allow: known",
        );
    }

    #[test]
    fn an_example_can_expect_that_something_is_redacted() {
        let mail = "operation = 'mail.send'\narguments = { to = 'DE89370400440532013000', text = 'pay DE89370400440532013000' }\nexpect = 'redact'\nrule = 'accounts-stay'";
        check(mail, "it: redact by rule `accounts-stay`");
        check(
            "operation = 'crm.write'\nexpect = 'redact'",
            "it: redact was expected, and rule `default` says approve: no rule allows it, so the operator decides",
        );
    }

    /// The policies in the documentation are read, and their examples come out as they say.
    #[test]
    fn what_the_documentation_shows_is_so() {
        let docs = include_str!("../../../docs/policy.md");
        let blocks = docs.split("```toml\n").skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
        let company = include_str!("../../../host/company/policy.toml");
        let mut examples = 0;
        for source in blocks.chain([company]) {
            let policy = Policy::parse("policy.toml", source)
                .unwrap_or_else(|problems| panic!("{}\n{source}", problems[0]));
            for result in policy.test() {
                assert!(result.passed, "{result}\n{source}");
                examples += 1;
            }
        }
        assert!(examples > 5, "there are examples");
    }

    #[test]
    fn every_problem_of_an_example_is_reported() {
        let source = format!(
            r#"{POLICY}
            [[example]]
            operation = "mail"
            expect = "maybe"
            [[example]]
            name = "it"
            operation = "mail.send"
            arguments = {{ to = "a", text = "b" }}
            routing = ["too"]
            reached = ["text"]
            reached_today = {{ to = -1 }}
            labels = {{ txet = {{ integrity = "owned", readers = 3 }} }}
            semantics = "opaqe"
            now = "tomorrow"
            rule = "knwon"
            exepct = "allow"
            "#
        );
        let problems = Policy::parse("policy.toml", &source).expect_err("it is wrong");
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "policy.toml, field `example[1].name`: it is missing; a result names its example",
                "policy.toml, field `example[1].operation`: `mail` names no operation; write connector.operation, as in `mail.send`",
                "policy.toml, field `example[1].expect`: `maybe` is not known here; there are deny, redact, shadow, approve, allow",
                "policy.toml, field `example.\"it\".routing`: there is no argument `too`; did you mean `to`?",
                "policy.toml, field `example.\"it\".reached`: there is no routing argument `text`; there are none",
                "policy.toml, field `example.\"it\".reached_today.to`: it is -1; write a number from 0 on",
                "policy.toml, field `example.\"it\".labels.txet`: there is no argument `txet`; did you mean `text`?",
                "policy.toml, field `example.\"it\".labels.txet.integrity`: `owned` is not known here; did you mean `owner`?",
                "policy.toml, field `example.\"it\".labels.txet.readers`: it does not say who may read it; write \"anyone\", or a list of who may",
                "policy.toml, field `example.\"it\".semantics`: `opaqe` is not known here; did you mean `opaque`?",
                "policy.toml, field `example.\"it\".now`: tomorrow is not a time since 1970; write it as in \"2026-11-21T23:30:00Z\"",
                "policy.toml, field `example.\"it\".expect`: it is missing; the verdict: deny, redact, shadow, approve or allow",
                "policy.toml, field `example.\"it\".rule`: there is no rule `knwon`; did you mean `known`?",
                "policy.toml, field `example.\"it\".exepct`: there is no such field; did you mean `expect`?",
            ]
        );
    }
}
