//! What is said of a workflow that does not fit what there is.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    catalog::Argument,
    semantics::{Reversal, WriteSemantics},
};

fn agent(kind: AgentKind, input: Value, output: Value) -> BTreeMap<u32, AgentSpec> {
    let spec = AgentSpec {
        version: 1,
        kind,
        input,
        output,
        failures: vec![],
        tools: vec![],
        effects_max: 100,
    };
    BTreeMap::from([(1, spec)])
}

fn operation(kind: OperationKind, arguments: &[(&str, Argument)], result: Value) -> Operation {
    Operation {
        summary: String::new(),
        kind,
        semantics: WriteSemantics::Keyed { ttl: Duration::from_secs(60) },
        reversal: Reversal::Irreversible,
        arguments: arguments
            .iter()
            .map(|(name, argument)| ((*name).to_owned(), argument.clone()))
            .collect(),
        result,
    }
}

fn catalog() -> Catalog {
    let text = || json!({ "type": "string" });
    let triage = json!({
        "type": "object",
        "properties": {
            "answer": { "type": "boolean" },
            "count": { "type": "integer" },
            "to": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            "claims": { "type": "array", "items": { "$ref": "#/$defs/Claim" } },
        },
        "$defs": { "Claim": { "type": "object", "properties": { "text": { "type": "string" } } } },
    });
    let draft = json!({
        "type": "object",
        "properties": { "topic": { "type": "string" }, "tone": { "enum": ["warm", "cool"] }, "limit": { "type": "integer" } },
        "required": ["topic"],
        "additionalProperties": false,
    });
    let drafted = json!({ "type": "object", "properties": { "subject": text(), "text": text() } });
    let id = json!({ "type": "object", "properties": { "id": { "type": "string" } } });
    let arguments = [
        ("to", Argument::routing(text())),
        ("text", Argument::content(text())),
        ("cc", Argument::content(text()).optional()),
    ];
    let mail = BTreeMap::from([
        ("send".parse().unwrap(), operation(OperationKind::Write, &arguments, id.clone())),
        ("find".parse().unwrap(), operation(OperationKind::Read, &[], json!(true))),
        (
            "unsend".parse().unwrap(),
            operation(OperationKind::Compensate, &[("id", Argument::routing(text()))], json!(true)),
        ),
    ]);
    Catalog {
        agents: BTreeMap::from([
            ("triage".parse().unwrap(), agent(AgentKind::ReadOnly, json!(true), triage)),
            ("draft".parse().unwrap(), agent(AgentKind::Transactional, draft, drafted)),
        ]),
        connectors: BTreeMap::from([("mail".parse().unwrap(), mail)]),
    }
}

/// A step that is there for others to need, then the step `it`.
fn workflow(fields: &str) -> Workflow {
    let source = format!(
        "name = 'x'\n[[step]]\nname = 'triage'\nagent = 'triage'\n[[step]]\nname = 'it'\nneeds = ['triage']\n{fields}"
    );
    Workflow::parse("x.toml", &source).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[track_caller]
fn check(fields: &str, expected: &[&str]) {
    let problems = workflow(fields).check(&catalog(), &BTreeMap::new());
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(texts, expected);
}

#[test]
fn what_fits_has_no_problems() {
    check(
        "agent = 'draft'\ninput = { topic = 'triage.claims[0].text', tone = \"'warm'\", limit = 'triage.count' }",
        &[],
    );
    check(
        "call = 'mail.send'\ninput = { to = 'triage.to', text = \"'Hello ' ~ input.name\" }\ncompensate = { call = 'mail.unsend', input = { id = 'receipt.id' } }",
        &[],
    );
    check(
        "map = 'triage.claims'\nagent = 'draft'\ninput = { topic = 'item.text', limit = 'index' }",
        &[],
    );
    check(
        "agent = 'draft'\nloop = { until = 'result.subject', rounds_max = 2 }\ninput = { topic = \"previous.subject if previous else input.topic\" }",
        &[],
    );
    check("agent = 'draft'", &[]);
}

#[test]
fn an_unknown_agent_connector_or_operation_suggests_the_nearest() {
    check(
        "agent = 'drft'",
        &["x.toml, step `it`, field `agent`: there is no agent `drft`; did you mean `draft`?"],
    );
    check(
        "call = 'mial.send'",
        &[
            "x.toml, step `it`, field `call`: there is no connector `mial`; did you mean `mail.send`?",
        ],
    );
    check(
        "call = 'mail.sned'",
        &[
            "x.toml, step `it`, field `call`: connector `mail` has no operation `sned`; did you mean `mail.send`?",
        ],
    );
    check(
        "agent = 'draft'\non_failure = { agent = 'triag' }",
        &[
            "x.toml, step `it`, field `on_failure.agent`: there is no agent `triag`; did you mean `triage`?",
        ],
    );
    check(
        "workflow = 'publish'",
        &["x.toml, step `it`, field `workflow`: there is no workflow `publish`"],
    );
}

#[test]
fn an_operation_is_used_for_what_it_is_for() {
    check(
        "call = 'mail.find'",
        &[
            "x.toml, step `it`, field `call`: `mail.find` reads, and a `call` step proposes a write; let an agent read it",
        ],
    );
    check(
        "call = 'mail.unsend'",
        &[
            "x.toml, step `it`, field `call`: `mail.unsend` takes a write back; name it in the `compensate` of the step that writes",
        ],
    );
    check(
        "call = 'mail.send'\ncompensate = { call = 'mail.find' }",
        &["x.toml, step `it`, field `compensate.call`: `mail.find` reads, and takes nothing back"],
    );
    check(
        "agent = 'triage'\ncompensate = { call = 'mail.unsend' }",
        &[
            "x.toml, step `it`, field `compensate`: agent `triage` is read-only and writes nothing; remove it",
        ],
    );
}

#[test]
fn an_input_gives_what_is_required_and_nothing_unknown() {
    check(
        "agent = 'draft'\ninput = { topc = 'input.x' }",
        &[
            "x.toml, step `it`, field `input`: agent `draft` requires `topic`; add `topic` to `input`",
            "x.toml, step `it`, field `input.topc`: agent `draft` takes no `topc`; did you mean `topic`?",
        ],
    );
    check(
        "call = 'mail.send'\ninput = { to = 'input.x', body = 'input.y' }",
        &[
            "x.toml, step `it`, field `input`: `mail.send` requires `text`; add `text` to `input`",
            "x.toml, step `it`, field `input.body`: `mail.send` takes no `body`; it takes `cc`, `text` and `to`",
        ],
    );
    // What an agent's schema does not forbid may be given.
    check("agent = 'triage'\ninput = { anything = 'input.x' }", &[]);
}

#[test]
fn a_literal_has_the_type_of_its_field() {
    check(
        "agent = 'draft'\ninput = { topic = '3', tone = \"'hot'\", limit = '1.5' }",
        &[
            "x.toml, step `it`, field `input.limit`: `limit` is a number, not an integer",
            "x.toml, step `it`, field `input.tone`: `tone` is \"hot\", not \"warm\" or \"cool\"",
            "x.toml, step `it`, field `input.topic`: `topic` is an integer, not a string",
        ],
    );
}

#[test]
fn a_path_leads_to_what_the_step_gives() {
    check(
        "agent = 'draft'\nwhen = 'triage.answr'",
        &[
            "x.toml, step `it`, field `when`: `triage` has no `answr`; did you mean `triage.answer`?",
        ],
    );
    check(
        "approve = 'Send to {{ triage.answer.x }}?'",
        &["x.toml, step `it`, field `approve`: `triage.answer` has no `x`; it is a boolean"],
    );
    check(
        "map = 'triage.claims'\nagent = 'draft'\ninput = { topic = 'item.txt' }",
        &["x.toml, step `it`, field `input.topic`: `item` has no `txt`; did you mean `item.text`?"],
    );
    check(
        "agent = 'draft'\nloop = { until = 'result.ok', rounds_max = 2 }",
        &[
            "x.toml, step `it`, field `loop.until`: `result` has no `ok`; it has `subject` and `text`",
        ],
    );
    check(
        "call = 'mail.send'\ncompensate = { call = 'mail.unsend', input = { id = 'receipt.ids' } }",
        &[
            "x.toml, step `it`, field `compensate.input.id`: `receipt` has no `ids`; did you mean `receipt.id`?",
        ],
    );
}

#[test]
fn each_kind_of_step_gives_what_it_gives() {
    let after = |first: &str, path: &str| {
        let source = format!(
            "name = 'x'\n[[step]]\nname = 'one'\n{first}\n[[step]]\nname = 'two'\nagent = 'triage'\nneeds = ['one']\nwhen = '{path}'"
        );
        let problems =
            Workflow::parse("x.toml", &source).unwrap().check(&catalog(), &BTreeMap::new());
        problems.first().map(|problem| problem.help.clone().unwrap_or_default())
    };
    assert_eq!(after("call = 'mail.send'", "one.receipt.id == one.outcome ~ one.reason"), None);
    assert_eq!(
        after("call = 'mail.send'", "one.id"),
        Some("it has `outcome`, `receipt` and `reason`".into())
    );
    assert_eq!(
        after("approve = 'Go?'", "one.answer"),
        Some("it has `approved`, `by` and `reason`".into())
    );
    assert_eq!(after("wait = { for = '1d' }", "one.at"), Some("it has `by` and `event`".into()));
    assert_eq!(after("wait = { event = 'x' }", "one.event.data.y"), None);
    assert_eq!(after("emit = 'x.y'", "one.event"), Some("it has `id`".into()));
    assert_eq!(
        after("map = 'input.x'\nagent = 'draft'", "one.subject"),
        Some("it is a list".into())
    );
    assert_eq!(after("map = 'input.x'\nagent = 'draft'", "one[0].subject"), None);
    assert_eq!(after("agent = 'draft'\non_failure = 'continue'", "one.reason"), None);
    assert_eq!(
        after("agent = 'draft'\non_failure = { template = { note = 'no' } }", "one.note"),
        None
    );
    assert_eq!(
        after("agent = 'draft'", "one.reason").as_deref(),
        Some("it has `subject` and `text`")
    );
}

#[test]
fn types_that_cannot_be_equal_are_named() {
    check(
        "agent = 'draft'\ninput = { topic = 'triage.answer', limit = 'triage.claims' }",
        &[
            "x.toml, step `it`, field `input.limit`: `triage.claims` is a list, and `limit` takes an integer",
            "x.toml, step `it`, field `input.topic`: `triage.answer` is a boolean, and `topic` takes a string",
        ],
    );
    check(
        "map = 'triage.count'\nagent = 'triage'",
        &["x.toml, step `it`, field `map`: `triage.count` is an integer, and a map is over a list"],
    );
}

#[test]
fn workflows_that_run_each_other_in_a_circle_are_refused() {
    let runs = |name: &str, other: &str| {
        let source = format!("name = '{name}'\n[[step]]\nname = 's'\nworkflow = '{other}'");
        Arc::new(Workflow::parse(&format!("{name}.toml"), &source).unwrap())
    };
    let all: Workflows =
        [runs("a", "b"), runs("b", "c"), runs("c", "a"), runs("d", "a"), runs("e", "e")]
            .into_iter()
            .map(|workflow| (workflow.name.clone(), workflow))
            .collect();
    let problem = |name: &str| {
        let problems = all[&name.parse::<WorkflowName>().unwrap()].check(&Catalog::default(), &all);
        problems.first().map(Problem::to_string)
    };
    let help = "a run of one would never end; repeat a step with `loop` instead";
    assert_eq!(
        problem("a"),
        Some(format!(
            "a.toml, step `s`, field `workflow`: the workflows run each other in a circle: a → b → c → a; {help}"
        ))
    );
    assert_eq!(
        problem("e"),
        Some(format!(
            "e.toml, step `s`, field `workflow`: the workflows run each other in a circle: e → e; {help}"
        ))
    );
    // It runs into a circle, and is not part of it.
    assert_eq!(problem("d"), None);
}
