//! What an operator holds, ends and has tried again from the command line, and versions side by side.

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

const ASKS: &str = "name = 'ask'\n[[step]]\nname = 'ok'\napprove = 'Go on?'\n";

/// A draft that fails over an input that is none.
const FAILS: &str = "name = 'fail'\n[[step]]\nname = 'draft'\nagent = 'draft'\nretry = { attempts = 1 }\n[[step]]\nname = 'ok'\napprove = 'Send {{ draft.subject }}?'\nneeds = ['draft']\n";

fn begun(company: &Company, workflow: &str, id: &str) -> Value {
    company.ask(&["run", "start", workflow, "--id", id, "--input", "{}"])
}

#[test]
fn what_is_paused_is_held_until_it_is_let_go_on() {
    let company = with_workflow(FAILS);
    let paused = company.ask(&["pause", "agent:draft", "--reason", "it drafts nonsense"]);
    assert_eq!((&paused["scope"], &paused["new"]), (&"agent:draft".into(), &true.into()));
    company.ask(&["pause", "everything"]);
    let run = begun(&company, "fail", "held");
    assert_eq!((&run["status"], &run["waits"]), (&"waiting".into(), &json!([])));
    let shown = company.ask(&["run", "show", "held"]);
    assert_eq!(shown["paused"]["scope"], "everything");
    assert_eq!(shown["steps"][0]["status"], "running");
    let list = company.ask(&["pause"]);
    let scopes: Vec<String> =
        list.as_array().unwrap().iter().map(|pause| text(&pause["scope"])).collect();
    assert_eq!(scopes, ["everything", "agent:draft"]);
    assert_eq!(list[1]["reason"], "it drafts nonsense");

    let ran = company.run(&["resume", "everything"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "`everything` goes on.\n"));
    // The next kernel finds it, and the agent is still held.
    begun(&company, "fail", "another");
    assert_eq!(company.ask(&["run", "show", "held"])["status"], "running");
    company.ask(&["resume", "agent:draft"]);
    begun(&company, "fail", "third");
    assert_eq!(company.ask(&["run", "show", "held"])["status"], "failed");

    let ran = company.run(&["resume", "agent:draft"]);
    expect!["soloist: `agent:draft` is not paused; what is: nothing is"].assert_eq(ran.refused(1));
    let ran = company.run(&["pause", "draft"]);
    expect!["soloist: `draft` names nothing that can be paused: it does not say what it is; write `everything`, `workflow:NAME`, `agent:NAME`, `connector:NAME` or `run:ID`"]
        .assert_eq(ran.refused(1));
}

#[test]
fn runs_are_cancelled_one_by_one_or_together() {
    let company = with_workflow(ASKS);
    for id in ["one", "two", "three"] {
        begun(&company, "ask", id);
    }
    let ran = company.run(&["run", "cancel", "one", "--reason", "no longer wanted"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    expect![[r#"
        Run one is cancelled.
        no longer wanted
    "#]]
    .assert_eq(&ran.out);
    let ended = company.ask(&["cancel", "workflow:ask", "--reason", "stale"]);
    let ended: Vec<String> =
        ended["runs"].as_array().unwrap().iter().map(|run| text(&run["run"])).collect();
    assert_eq!(ended, ["three", "two"]);
    assert_eq!(company.ask(&["inbox", "list"]), json!([]));
    let ran = company.run(&["abort", "workflow:ask"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "No run of `workflow:ask` was under way.\n"));
}

#[test]
fn a_failed_run_goes_on_when_its_step_is_tried_again_or_overridden() {
    let company = with_workflow(FAILS);
    assert_eq!(begun(&company, "fail", "mine")["status"], "failed");
    let incident = text(&company.ask(&["inbox", "list"])[0]["id"]);
    let again = company.ask(&["run", "retry", "mine"]);
    assert_eq!(again["status"], "failed", "its input is as it was: {again}");
    let waits = company.ask(&["inbox", "list"]);
    assert_eq!(waits.as_array().unwrap().len(), 1);
    assert_ne!(text(&waits[0]["id"]), incident, "it is another failure");
    let unfit = company.run(&[
        "run", "override", "mine", "--step", "draft", "--output", "1", "--reason", "by hand",
    ]);
    assert!(
        unfit.refused(1).contains("is not what step `draft` of run mine declares"),
        "{unfit:?}"
    );
    let output = "{\"topic\": \"x\", \"subject\": \"Hello\", \"text\": \"Hi\"}";
    let on = company.ask(&[
        "run", "override", "mine", "--step", "draft", "--output", output, "--reason", "by hand",
    ]);
    assert_eq!(on["status"], "waiting");
    let question = company.ask(&["inbox", "show", &text(&on["waits"][0])]);
    assert_eq!(question["title"], "Send Hello?");
    let ran = company.run(&["run", "retry", "mine"]);
    assert!(ran.refused(1).contains("run mine has no step that has failed"), "{ran:?}");
}

#[test]
fn a_share_of_the_runs_takes_the_newer_version() {
    let company = with_workflow(ASKS);
    let ran = company.run(&["canary", "workflow:ask"]);
    assert!(ran.refused(1).contains("has no version before its newest"), "{ran:?}");
    company.write("flow.toml", ASKS.replace("Go on?", "May it go on?"));
    company.ask(&["workflow", "add", "flow.toml"]);
    let canary = company.ask(&["canary", "workflow:ask", "--percent", "50"]);
    assert_eq!((&canary["base"], &canary["canary"]), (&1.into(), &2.into()));
    let mut newer = 0_u64;
    for number in 0..12 {
        let run = begun(&company, "ask", &format!("r{number}"));
        newer += u64::from(run["workflow"] == "ask@2");
    }
    assert!((1..12).contains(&newer), "{newer}");
    let compared = company.ask(&["canary"]);
    let arms = &compared[0]["arms"];
    assert_eq!((&arms[0]["version"], &arms[1]["version"]), (&1.into(), &2.into()));
    assert_eq!(arms[1]["runs"].as_u64(), Some(newer));
    assert_eq!(arms[0]["open"].as_u64(), Some(12 - newer));
    company.ask(&["promote", "workflow:ask"]);
    assert_eq!(begun(&company, "ask", "last")["workflow"], "ask@2");
    assert_eq!(company.ask(&["canary"]), json!([]));
}
