//! An agent that asks a model, simulated with one whose every word is known.

use serde::Deserialize;
use serde_json::{Value, json};
use soloist_actors::{Agent, Builder, Failure, ReadOnly, Turn};
use soloist_kernel::{id::RunId, policy::Policy, run::Status, workflow::Workflow};
use soloist_sim::{
    Faults, Options, Plan, Scenario, ScriptedModel,
    plan::{Class, Fault, Kind, ModelFault, Trigger},
    run,
};

/// Asks whether a mail is urgent, and believes only what it can read.
struct Triage;

/// How often the model is asked until its answer can be read.
const ASKED_MAX: u32 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    urgent: bool,
}

impl Agent for Triage {
    const NAME: &'static str = "triage";
    const TOOLS: &'static [&'static str] = &["model.complete"];
    const FAILURES: &'static [&'static str] = &["unreadable"];
    type Kind = ReadOnly;
    type Input = Value;
    type Output = bool;

    async fn run(&self, turn: Turn<ReadOnly>, mail: Value) -> Result<bool, Failure> {
        let text = mail["text"].as_str().unwrap_or_default();
        for _ in 0..ASKED_MAX {
            let prompt =
                format!("Is this mail urgent? Answer {{\"urgent\": true}} or not:\n{text}");
            let answer: Value = turn.call("model.complete", &json!({ "prompt": prompt })).await?;
            let said = answer["text"].as_str().unwrap_or_default();
            if let Ok(verdict) = serde_json::from_str::<Verdict>(said) {
                return Ok(verdict.urgent);
            }
        }
        Err(Failure::declared("unreadable", "the model says nothing that can be read"))
    }
}

fn company(builder: Builder) -> Builder {
    let workflow = "name = 'triage'\n[[step]]\nname = 'triage'\nagent = 'triage'\ninput = { text = 'input.text' }";
    let policy = "[[rule]]\nname = 'none'\nverdict = 'deny'\nreason = 'nothing is written'";
    let builder = builder.policy(Policy::parse("policy.toml", policy).expect("it is well written"));
    builder
        .workflow(Workflow::parse("triage.toml", workflow).expect("it is well written"))
        .agent(Triage)
}

/// Mails of these texts are sorted by `model`.
fn triage(scenario: &mut Scenario, model: ScriptedModel, texts: &'static [&'static str]) {
    scenario.model("model", model);
    scenario.kernel(|builder, _| company(builder));
    scenario.workload(move |client| async move {
        for (number, text) in texts.iter().enumerate() {
            client.start("triage", &format!("mail-{number}"), &json!({ "text": text })).await;
        }
    });
}

fn cassettes() -> ScriptedModel {
    ScriptedModel::cassettes("tests/cassettes")
}

#[soloist_sim::test(seeds = 60, size = 1)]
fn a_model_has_its_bad_days(scenario: &mut Scenario) {
    triage(scenario, cassettes(), &["The server is down", "Our newsletter"]);
    scenario.faults(Faults::only(&[Class::Model, Class::Process]));
    scenario.finally("what is said to be urgent is", |_, soloist| {
        for (run, urgent) in [("mail-0", true), ("mail-1", false)] {
            let id = RunId::new(run).expect("it is a name");
            let folded = soloist.folded(&id).map_err(|error| error.to_string())?;
            if let Some(Status::Completed { output }) = folded.map(|run| run.status)
                && output.value.value() != json!(urgent)
            {
                return Err(format!("{run} is said to be {}", output.value));
            }
        }
        Ok(())
    });
}

#[soloist_sim::test(seeds = 40, size = 1)]
fn a_model_may_be_drawn(scenario: &mut Scenario) {
    let drawn = ScriptedModel::new().otherwise(|_, chance| match chance.percent(70) {
        true => json!({ "urgent": chance.percent(50) }),
        false => json!("It looks urgent to me."),
    });
    triage(scenario, drawn, &["Hello", "Hello again"]);
    scenario.sometimes("a run failed for want of an answer", |world| world.seen("unreadable") > 0);
    scenario.finally("runs are noted", |world, soloist| {
        let runs = soloist.runs().map_err(|error| error.to_string())?;
        if runs.iter().any(|run| run.status == "failed") {
            world.saw("unreadable");
        }
        Ok(())
    });
}

#[test]
fn what_a_model_says_badly_is_asked_again() {
    let mut scenario = Scenario::new("triage");
    triage(&mut scenario, cassettes(), &["The server is down"]);
    let bad = Fault {
        when: Trigger::Call { api: "model".into(), number: 0 },
        what: Kind::Model { how: ModelFault::Prose },
    };
    let plan = Plan::calm("triage", 0, 1).with(vec![bad]);
    let outcome = run(&scenario, &plan, Options::default());
    assert!(outcome.is_well(), "{:?}", outcome.violations);
    assert_eq!((outcome.fired, outcome.calls["model"]), (1, 2));
}

#[test]
#[should_panic(expected = "add { \"prompt\": \"")]
fn a_prompt_that_nobody_has_an_answer_to_fails_the_test() {
    let mut scenario = Scenario::new("triage");
    triage(&mut scenario, cassettes(), &["Where is my order?"]);
    let outcome = run(&scenario, &Plan::calm("triage", 0, 1), Options::default());
    assert_eq!(outcome.broken(), Some("every prompt has an answer"));
    panic!("{}", outcome.violations[0].what);
}
