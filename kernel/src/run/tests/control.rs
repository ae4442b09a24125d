//! What an operator does to a run or to one of its steps.

use serde_json::json;

use super::bench::*;
use crate::{
    effect::Decision,
    fault::{Fault, FaultClass, Phase},
    inbox,
    payload::Payload,
    run::*,
    semantics::WriteSemantics,
};

fn by() -> String {
    "operator".into()
}

fn cancel() -> Command {
    Command::Cancel { by: by(), reason: "no longer wanted".into() }
}

fn retry(name: Option<&str>) -> Command {
    Command::Retry { step: name.map(step), by: by(), reason: "it is mended".into() }
}

fn overrides(name: &str, output: &serde_json::Value) -> Command {
    let output = Payload::of(output).unwrap();
    Command::Override { step: step(name), output, by: by(), reason: "I know better".into() }
}

fn declined(attempt: u32) -> Command {
    let fault = Fault::new(FaultClass::Declined, Phase::Answered, "no such account");
    Command::Fault { step: step("send"), effect: call(), attempt, fault }
}

/// A run whose write was declined for good.
fn failed() -> Bench {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.did(declined(1));
    bench
}

#[test]
fn a_cancelled_run_keeps_what_it_did_and_waits_for_nobody() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.land(1);
    assert_eq!(bench.did(cancel()), ["run.cancelled"]);
    assert_eq!(bench.run.status.word(), "cancelled");
    assert!(inbox::items(&bench.run).is_empty());
    assert!(is_at_rest(&bench.run));
    assert!(bench.did(cancel()).is_empty(), "cancelled twice is cancelled");
    // What it did can still be taken back.
    let abort = Command::Abort { by: by(), reason: "after all".into() };
    assert_eq!(bench.did(abort), ["run.unwinding", "run.unwound"]);
}

#[test]
fn a_write_under_way_when_its_run_is_cancelled_is_accounted_for() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.did(cancel());
    assert_eq!(bench.fault(1, Phase::MaybeSent), ["write.faulted"]);
    let items = inbox::items(&bench.run);
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].kind, inbox::Kind::Ambiguous);
}

#[test]
fn what_asks_when_its_run_is_cancelled_is_stopped() {
    let mut bench = Bench::new();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    assert_eq!(bench.did(cancel()), ["run.cancelled", "write.stopped"]);
    assert!(inbox::items(&bench.run).is_empty());
}

#[test]
fn a_failed_step_is_tried_again_and_its_write_has_another_key() {
    let mut bench = failed();
    assert_eq!(bench.run.status.word(), "failed");
    let incident = bench.item();
    let key = bench.run.effect_id(&step("send"), &call()).key();
    assert_eq!(bench.did(retry(None)), ["step.retried", "step.started"]);
    assert!(inbox::items(&bench.run).is_empty());
    assert_eq!(outstanding(&bench.run), [Action::Propose { step: step("send") }]);
    bench.proposed(WriteSemantics::Opaque);
    assert_ne!(bench.run.key(&step("send"), &call()), key);
    bench.attempt();
    assert_eq!(bench.did(declined(1)), ["write.faulted", "step.failed", "run.failed"]);
    assert_ne!(bench.item(), incident, "another failure is another incident");
    bench.did(retry(Some("send")));
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    assert_eq!(bench.land(1), ["write.landed", "step.completed", "step.started"]);
    assert_eq!(bench.folded(), Run { stream_seq: bench.run.stream_seq, ..bench.run.clone() });
}

#[test]
fn what_the_end_of_a_run_had_stopped_is_asked_for_again() {
    const TWO: &str = r#"
        name = "two"
        [[step]]
        name = "send"
        call = "mail.send"
        [[step]]
        name = "check"
        agent = "check"
    "#;
    let mut bench = Bench::of(TWO);
    bench.proposed(WriteSemantics::Opaque);
    let error = StepError::new(StepErrorKind::Final, "no");
    let fail = Command::FailStep { step: step("check"), attempt: 1, error };
    assert_eq!(bench.did(fail), ["step.failed", "run.failed", "write.stopped"]);
    assert_eq!(bench.did(retry(None)), ["step.retried", "step.started"]);
    let actions = outstanding(&bench.run);
    assert!(actions.contains(&Action::Propose { step: step("send") }), "{actions:?}");
}

#[test]
fn a_step_that_is_said_to_come_to_something_is_not_tried() {
    let mut bench = failed();
    let kinds = bench.did(overrides("send", &json!({ "outcome": "landed" })));
    assert_eq!(kinds, ["step.overridden", "step.started"]);
    assert_eq!(outstanding(&bench.run), [Action::TakeTurn { step: step("remember"), attempt: 1 }]);
    let refusal = bench.refuses(overrides("send", &json!({})));
    assert!(refusal.to_string().contains("step `remember` of run r1 has begun"), "{refusal}");
}

#[test]
fn the_turn_of_a_step_that_was_said_to_be_over_comes_too_late() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.did(overrides("triage", &json!({ "answer": false }))),
        ["step.overridden", "step.skipped", "step.skipped", "run.completed"]
    );
    let late = Command::CompleteStep { step: step("triage"), attempt: 1, output: Payload::null() };
    assert!(matches!(bench.refuses(late), Refusal::Over { .. }));
}

#[test]
fn what_cannot_be_tried_again_says_why() {
    let bench = Bench::new();
    for (command, why) in [
        (retry(None), "has no step that has failed"),
        (retry(Some("triage")), "step `triage` of run r1 is running"),
        (retry(Some("trige")), "run r1 has no step `trige`; it has `triage`, `send`, `remember`"),
        (overrides("trige", &json!(1)), "run r1 has no step `trige`"),
    ] {
        let refusal = bench.refuses(command).to_string();
        assert!(refusal.contains(why), "{refusal}");
    }
    let bench = failed();
    let refusal = bench.refuses(overrides("triage", &json!(1))).to_string();
    assert!(refusal.contains("has failed at another step"), "{refusal}");
}

#[test]
fn a_run_beneath_is_begun_anew_when_its_step_is_tried_again() {
    const ABOVE: &str = r#"
        name = "above"
        [[step]]
        name = "pay"
        workflow = "below"
        on_failure = "escalate"
    "#;
    const BELOW: &str = r#"
        name = "below"
        [[step]]
        name = "charge"
        agent = "charge"
    "#;
    let mut bench = Bench::on(&[ABOVE, BELOW], "{}");
    let child = |bench: &Bench| {
        let open = bench.run.awaited().filter(|(_, _, awaited)| awaited.is_open());
        open.filter_map(|(_, effect, awaited)| Some((effect.clone(), awaited.child()?.run.clone())))
            .next()
            .unwrap()
    };
    let (effect, first) = child(&bench);
    let end = ChildEnd { result: Err("no money".into()), did: true, unwound: None };
    let kinds = bench.did(Command::ChildEnded { step: step("pay"), effect, end: Box::new(end) });
    assert_eq!(kinds, ["effect.answered", "step.failed"]);
    assert_eq!(bench.decide(Decision::Retry), ["step.retried", "step.started", "child.started"]);
    let (_, second) = child(&bench);
    assert_ne!(first, second);
    // What the first one did is still known, and would be taken back.
    let did = bench.run.awaited().filter(|(_, _, awaited)| awaited.order > 0).count();
    assert_eq!(did, 1);
}

#[test]
fn only_the_rounds_that_failed_are_begun_anew() {
    const EACH: &str = r#"
        name = "each"
        [[step]]
        name = "all"
        map = "input.list"
        agent = "one"
        parallel_max = 3
        failures_max = 0
        on_failure = "escalate"
    "#;
    let mut bench = Bench::on(&[EACH], r#"{"list":[1,2,3]}"#);
    let open = |bench: &Bench| -> Vec<(EffectRef, crate::id::RunId)> {
        let open = bench.run.awaited().filter(|(_, _, awaited)| awaited.is_open());
        open.filter_map(|(_, effect, awaited)| Some((effect.clone(), awaited.child()?.run.clone())))
            .collect()
    };
    let ended = |output: Result<i32, &str>| ChildEnd {
        result: output
            .map(|value| crate::labels::Labeled::owner(Payload::of(&value).unwrap()))
            .map_err(str::to_owned),
        did: false,
        unwound: None,
    };
    let rounds = open(&bench);
    assert_eq!(rounds.len(), 3);
    let says = |bench: &mut Bench, effect: &EffectRef, end| {
        let (effect, end) = (effect.clone(), Box::new(end));
        bench.did(Command::ChildEnded { step: step("all"), effect, end })
    };
    says(&mut bench, &rounds[0].0, ended(Ok(10)));
    says(&mut bench, &rounds[2].0, ended(Ok(30)));
    assert_eq!(
        says(&mut bench, &rounds[1].0, ended(Err("no"))),
        ["effect.answered", "step.failed"]
    );
    bench.decide(Decision::Retry);
    let again = open(&bench);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].1, rounds[1].1);
    assert_eq!(
        says(&mut bench, &again[0].0, ended(Ok(20))),
        ["effect.answered", "step.completed", "run.completed"]
    );
    let output = bench.run.step(&step("all")).unwrap().1.output().unwrap().value.value();
    assert_eq!(output, json!([10, 20, 30]));
}

#[test]
fn a_run_has_ended_for_the_run_above_when_it_is_known_what_it_did() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.did(cancel());
    assert_eq!(bench.run.end(), None, "an attempt is under way");
    bench.fault(1, Phase::MaybeSent);
    assert_eq!(bench.run.end(), None, "nobody knows whether it happened");
    bench.decide(Decision::Resolve { happened: true });
    assert!(bench.run.end().unwrap().did);
}
