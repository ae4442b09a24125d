//! Runs from the command line: started, pursued, woken, ended and moved; and what one says to a step that failed.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Company, company::text};

/// A company with a workflow of its own.
fn with_workflow(definition: &str) -> Company {
    let company = Company::new();
    company.write("flow.toml", definition);
    company.ask(&["workflow", "add", "flow.toml"]);
    company
}

const ASKS: &str = "name = 'ask'\n[intent]\nname = 'get-a-word'\nphrases = ['ask me']\n[[step]]\nname = 'ok'\napprove = 'Go on?'\n";

/// A draft that fails over an input that is none, and waits for the operator.
const FAILS: &str = "name = 'fail'\n[[step]]\nname = 'draft'\nagent = 'draft'\nretry = { attempts = 1 }\non_failure = 'escalate'\n[[step]]\nname = 'ok'\napprove = 'Send {{ draft.subject }}?'\nneeds = ['draft']\n";

fn steps(company: &Company, run: &Value) -> Vec<String> {
    let shown = company.ask(&["run", "show", &text(run)]);
    let steps = shown["steps"].as_array().expect("it has steps").iter();
    steps.map(|step| format!("{} {}", text(&step["step"]), text(&step["status"]))).collect()
}

#[test]
fn a_run_starts_and_the_same_input_is_the_same_run() {
    let company = with_workflow(ASKS);
    let first = company.ask(&["run", "start", "ask", "--input", "{\"a\": 1}"]);
    assert_eq!((&first["status"], &first["new"]), (&"waiting".into(), &true.into()));
    company.write("input.json", "{ \"a\": 1 }");
    let again = company.ask(&["run", "start", "ask", "--input", "@input.json"]);
    assert_eq!((&again["run"], &again["new"]), (&first["run"], &false.into()));
    let other = company.ask(&["run", "start", "ask", "--input", "{\"a\": 2}"]);
    assert_ne!(other["run"], first["run"]);
    let named = company.ask(&["run", "start", "ask", "--id", "mine", "--input", "1"]);
    assert_eq!(named["run"], "mine");
    let item = text(&named["waits"][0]);
    let done = company.ask(&["inbox", "approve", &item]);
    assert_eq!((&done["status"], &done["run"]), (&"completed".into(), &"mine".into()));
    assert_eq!(steps(&company, &named["run"]), ["ok completed"]);
}

#[test]
fn a_run_is_started_for_a_goal_in_words() {
    let company = with_workflow(ASKS);
    let run = company.ask(&["run", "pursue", "Ask me!", "--input", "{}"]);
    assert_eq!(run["workflow"], "ask@1");
    let ran = company.run(&["run", "pursue", "ask mee", "--input", "{}"]);
    expect![[r#"soloist: no workflow serves the goal "ask mee"; did you mean `get-a-word`?"#]]
        .assert_eq(ran.refused(1));
    let ran = company.run(&["run", "start", "aks", "--input", "{}"]);
    expect!["soloist: there is no workflow `aks`; there is `answer-mail`, `ask`"]
        .assert_eq(ran.refused(1));
    let ran = company.run(&["run", "start", "ask", "--input", "{"]);
    expect![[r#"soloist: --input is not JSON: EOF while parsing an object at line 1 column 1; text stands in quotes, as in '"hello"'"#]].assert_eq(ran.refused(2));
}

#[test]
fn a_run_that_waits_is_aborted_with_a_reason() {
    let company = with_workflow(ASKS);
    company.ask(&["run", "start", "ask", "--id", "mine"]);
    let ran = company.run(&["run", "abort", "mine", "--reason", "not today"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    expect![[r#"
        Run mine is aborted.
        not today
    "#]]
    .assert_eq(&ran.out);
    assert_eq!(company.ask(&["inbox", "list"]), json!([]));
    let ran = company.run(&["run", "abort", "none"]);
    expect![[r#"soloist: there is no run "none"; see `soloist run list`"#]]
        .assert_eq(ran.refused(1));
}

#[test]
fn a_run_moves_to_a_newer_version_only_after_it_was_shown_what_changes() {
    let company = with_workflow(ASKS);
    company.ask(&["run", "start", "ask", "--id", "mine"]);
    let newer = format!("{ASKS}[[step]]\nname = 'again'\napprove = 'Really?'\nneeds = ['ok']\n");
    company.write("flow.toml", newer);
    company.ask(&["workflow", "add", "flow.toml"]);
    let ran = company.run(&["run", "migrate", "mine", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    expect![[r#"
        run mine: ask@1 → ask@2
          step `again` is new
          these steps have begun and stay as they are: ok
        Nothing was changed; with --yes it is.
    "#]]
    .assert_eq(&ran.out);
    let shown = company.ask(&["run", "migrate", "mine"]);
    assert_eq!((&shown["applied"], &shown["migration"]["to"]), (&false.into(), &"ask@2".into()));
    assert_eq!(company.ask(&["run", "show", "mine"])["workflow"], "ask@1");
    let moved = company.ask(&["run", "migrate", "mine", "--to", "2", "--yes"]);
    assert_eq!((&moved["applied"], &moved["workflow"]), (&true.into(), &"ask@2".into()));
    company.ask(&["inbox", "approve", &text(&moved["waits"][0])]);
    assert_eq!(steps(&company, &json!("mine")), ["ok completed", "again running"]);
    assert_eq!(company.run(&["run", "migrate", "mine", "--to", "9"]).code, 1);
}

#[test]
fn an_event_wakes_the_run_that_waits_for_it_and_is_taken_once() {
    let company = with_workflow(
        "name = 'paid'\n[[trigger]]\nevent = 'invoice.sent'\n[[step]]\nname = 'paid'\nwait = { event = 'invoice.paid', when = 'event.data.id == input.id' }\n",
    );
    let emit = |event: &str, id: &str, data: &str| {
        company.ask(&["event", "emit", event, "--id", id, "--payload", data])
    };
    let sent = emit("invoice.sent", "1", "{\"id\": 7}");
    assert_eq!((&sent["new"], &sent["delivered"]), (&true.into(), &true.into()));
    let run = &sent["runs"][0];
    assert_eq!(run["status"], "waiting", "{sent}");
    assert_eq!(emit("invoice.sent", "1", "{\"id\": 7}")["new"], false);
    emit("invoice.paid", "2", "{\"id\": 8}");
    assert_eq!(steps(&company, &run["run"]), ["paid running"]);
    emit("invoice.paid", "3", "{\"id\": 7}");
    assert_eq!(steps(&company, &run["run"]), ["paid completed"]);
}

#[test]
fn a_step_that_failed_is_tried_again_or_gone_on_with_or_failed() {
    let company = with_workflow(FAILS);
    let start = |id: &str| {
        let run = company.ask(&["run", "start", "fail", "--id", id, "--input", "{}"]);
        text(&run["waits"][0])
    };
    let item = start("again");
    let shown = company.ask(&["inbox", "show", &item]);
    assert_eq!(shown["kind"], "escalation");
    let again = company.ask(&["inbox", "retry", &item]);
    assert_eq!(again["status"], "waiting", "it failed again: {again}");
    let item = text(&again["waits"][0]);
    let output = "{\"topic\": \"x\", \"subject\": \"Hello\", \"text\": \"Hi\"}";
    let on = company.ask(&["inbox", "go-on", &item, "--output", output]);
    let question = company.ask(&["inbox", "show", &text(&on["waits"][0])]);
    assert_eq!(question["title"], "Send Hello?");
    let failed = company.ask(&["inbox", "fail", &start("fails")]);
    assert_eq!(failed["status"], "failed");
    let back = company.ask(&["inbox", "compensate", &start("back")]);
    assert_eq!(back["status"], "failed", "{back}");
    let ran = company.run(&["inbox", "answer", &start("answered"), "yes"]);
    assert!(ran.refused(1).contains("it takes `retry`, `go-on`, `fail`, `compensate`"), "{ran:?}");
}
