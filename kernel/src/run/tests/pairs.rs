//! Every pair of a state and an event, so that a new variant cannot fall into a last arm unnoticed.

use std::collections::BTreeMap;

use super::bench::*;
use crate::{
    effect::{Write, WriteEvent, tests::proposal},
    id::EffectName,
    labels::Labeled,
    payload::{Digest, Payload},
    run::*,
    time::Timestamp,
};

fn error() -> StepError {
    StepError::new(StepErrorKind::Final, "no")
}

fn question() -> Awaits {
    Awaits::Question(Question {
        prompt: "Well?".into(),
        choices: vec![],
        approval: false,
        deadline: None,
        default: None,
        assigned: None,
        round: 0,
    })
}

fn ask() -> EffectRef {
    EffectRef { name: "ask".parse().unwrap(), occurrence: 0 }
}

/// Each event, with what tells it from others of its kind.
fn events() -> Vec<(String, Event)> {
    let (step, asked) = (step("a"), Digest::of(b""));
    let labeled = || Labeled::owner(Payload::null());
    let proposed = {
        let judgement = crate::policy::Policy::default().judge(
            &proposal("a@b.example"),
            &Default::default(),
            NOW,
        );
        WriteEvent::Proposed { proposal: Box::new(proposal("a@b.example")), judgement }
    };
    let fresh = |name: &str| EffectRef { name: name.parse().unwrap(), occurrence: 9 };
    let mut events = vec![
        Event::StepStarted { step: step.clone(), attempt: 2 },
        Event::StepSkipped { step: step.clone() },
        Event::StepCompleted { step: step.clone(), output: labeled() },
        Event::Recorded { step: step.clone(), effect: fresh("e"), asked, answer: labeled() },
        Event::Awaited {
            step: step.clone(),
            effect: fresh("w"),
            asked,
            what: Box::new(question()),
        },
        Event::Answered {
            step: step.clone(),
            effect: ask(),
            answer: Box::new(Answer::new(labeled(), "me")),
        },
        Event::Delegated { step: step.clone(), effect: ask(), by: "me".into(), to: "bea".into() },
        Event::Write {
            step: step.clone(),
            effect: fresh("p"),
            asked: Some(asked),
            event: proposed,
        },
        Event::Write {
            step: step.clone(),
            effect: wish(),
            asked: None,
            event: WriteEvent::Parked { until: Timestamp(9), reason: "no room".into() },
        },
        Event::Write {
            step: step.clone(),
            effect: wish(),
            asked: None,
            event: WriteEvent::Unparked,
        },
        Event::Completed { output: labeled() },
        Event::Failed { step: step.clone(), error: error() },
        Event::Unwinding { cause: Cause::Aborted { by: "me".into(), reason: "no".into() } },
        Event::Unwound,
        Event::Overdue,
        Event::Dismissed { by: "me".into() },
        Event::Cancelled { by: "me".into(), reason: "no".into() },
        Event::Retried { step: step.clone(), by: "me".into(), reason: "again".into() },
        Event::Overridden {
            step: step.clone(),
            output: labeled(),
            by: "me".into(),
            reason: "so".into(),
        },
    ];
    for next in [
        AfterFailure::At(Timestamp(9)),
        AfterFailure::Never,
        AfterFailure::Compensate,
        AfterFailure::Escalate,
        AfterFailure::StandIn,
    ] {
        events.push(Event::StepFailed { step: step.clone(), error: error(), next });
    }
    let name = |event: &Event| match event {
        Event::StepFailed { next, .. } => format!("step.failed {next:?}"),
        event => event.kind().to_owned(),
    };
    events.into_iter().map(|event| (name(&event), event)).collect()
}

/// A write that may be attempted.
fn wish() -> EffectRef {
    EffectRef { name: EffectName::new("wish").unwrap(), occurrence: 0 }
}

/// A run whose one step is in `status`, has asked something, and has a write that may be attempted.
fn run_with(status: StepStatus) -> Run {
    let mut bench = Bench::of("name='x'\n[[step]]\nname='a'\nagent='a'");
    let what = Request::Ask { prompt: "Well?".into(), choices: vec![], deadline: None };
    bench.did(Command::Await { step: step("a"), effect: ask(), asked: Digest::of(b""), what });
    let judgement = crate::policy::Judgement {
        verdict: crate::policy::Verdict::Allow,
        ..crate::policy::Policy::default().judge(&proposal("a@b.example"), &Default::default(), NOW)
    };
    let write = Box::new(Write::proposed(proposal("a@b.example"), judgement, NOW));
    let (id, asked) = (wish(), Digest::of(b""));
    bench.run.steps[0].effects.push(Effect { id, asked, state: EffectState::Write(write) });
    bench.run.steps[0].status = status;
    bench.run
}

fn legal(runs: Vec<(&'static str, Run)>, word: impl Fn(&Run) -> String) -> String {
    let mut lines = String::new();
    for (state, run) in runs {
        let mut led: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, event) in events() {
            let mut next = run.clone();
            match next.apply(&event, NOW) {
                Ok(()) => led.entry(word(&next)).or_default().push(name),
                Err(_) => assert_eq!(next, run, "a rejected event changes nothing"),
            }
        }
        for (to, names) in led {
            lines.push_str(&format!("{state} → {to}: {}\n", names.join(", ")));
        }
    }
    lines
}

#[test]
fn every_pair_of_a_steps_status_and_an_event_is_decided() {
    let output = Labeled::owner(Payload::null());
    let statuses = [
        ("pending", StepStatus::Pending),
        ("running", StepStatus::Running { since: NOW }),
        ("backing off", StepStatus::BackingOff { at: NOW, is_long: false }),
        ("escalated", StepStatus::Escalated { since: NOW }),
        ("skipped", StepStatus::Skipped),
        ("completed", StepStatus::Completed { output }),
        ("failed", StepStatus::Failed),
    ];
    let runs = statuses.into_iter().map(|(name, status)| (name, run_with(status))).collect();
    let word = |run: &Run| format!("{}, run {}", run.steps[0].status.word(), run.status.word());
    expect_test::expect![[r#"
        pending → completed, run running: step.overridden
        pending → failed, run running: step.failed Never
        pending → pending, run cancelled: run.cancelled
        pending → pending, run completed: run.completed
        pending → pending, run failed: run.failed
        pending → pending, run running: effect.answered, write.parked, run.overdue
        pending → pending, run unwinding: run.unwinding
        pending → running, run running: step.started
        pending → skipped, run running: step.skipped
        running → backing off, run running: step.failed At(Timestamp(9))
        running → completed, run running: step.completed, step.overridden
        running → escalated, run running: step.failed Escalate
        running → failed, run running: step.failed Never, step.failed Compensate
        running → running, run cancelled: run.cancelled
        running → running, run completed: run.completed
        running → running, run failed: run.failed
        running → running, run running: effect.recorded, question.asked, effect.answered, effect.delegated, write.proposed, write.parked, run.overdue, step.failed StandIn
        running → running, run unwinding: run.unwinding
        running → skipped, run running: step.skipped
        backing off → backing off, run cancelled: run.cancelled
        backing off → backing off, run completed: run.completed
        backing off → backing off, run failed: run.failed
        backing off → backing off, run running: effect.answered, write.parked, run.overdue
        backing off → backing off, run unwinding: run.unwinding
        backing off → completed, run running: step.overridden
        backing off → pending, run running: step.retried
        backing off → running, run running: step.started
        escalated → completed, run running: step.completed, step.overridden
        escalated → escalated, run cancelled: run.cancelled
        escalated → escalated, run completed: run.completed
        escalated → escalated, run failed: run.failed
        escalated → escalated, run running: effect.answered, write.parked, run.overdue
        escalated → escalated, run unwinding: run.unwinding
        escalated → failed, run running: step.failed Never
        escalated → pending, run running: step.retried
        escalated → running, run running: step.started
        skipped → skipped, run cancelled: run.cancelled
        skipped → skipped, run completed: run.completed
        skipped → skipped, run failed: run.failed
        skipped → skipped, run running: effect.answered, write.parked, run.overdue
        skipped → skipped, run unwinding: run.unwinding
        completed → completed, run cancelled: run.cancelled
        completed → completed, run completed: run.completed
        completed → completed, run failed: run.failed
        completed → completed, run running: effect.answered, write.parked, run.overdue, step.overridden
        completed → completed, run unwinding: run.unwinding
        failed → completed, run running: step.overridden
        failed → failed, run cancelled: run.cancelled
        failed → failed, run completed: run.completed
        failed → failed, run failed: run.failed
        failed → failed, run running: effect.answered, write.parked, run.overdue
        failed → failed, run unwinding: run.unwinding
        failed → pending, run running: step.retried
    "#]].assert_eq(&legal(runs, word));
}

#[test]
fn every_pair_of_a_runs_status_and_an_event_is_decided() {
    let cause = || Cause::Step { step: step("a"), error: error() };
    let failed = |unwound| Status::Failed { cause: cause(), unwound, dismissed: false };
    let statuses = [
        ("running", Status::Running),
        ("unwinding", Status::Unwinding { cause: cause() }),
        ("completed", Status::Completed { output: Labeled::owner(Payload::null()) }),
        ("failed", failed(false)),
        ("failed and unwound", failed(true)),
    ];
    let runs = statuses
        .into_iter()
        .map(|(name, status)| {
            // Of a step that is over, so that only the run's own events are at stake.
            (name, Run { status, ..run_with(StepStatus::Skipped) })
        })
        .collect();
    let word = |run: &Run| match &run.status {
        Status::Failed { dismissed: true, .. } => format!("{}, dismissed", run.status.word()),
        status => format!("{}, {:?}", status.word(), run.lateness),
    };
    expect_test::expect![[r#"
        running → cancelled, dismissed: run.cancelled
        running → completed, InTime: run.completed
        running → failed, InTime: run.failed
        running → running, InTime: effect.answered, write.parked
        running → running, Overdue: run.overdue
        running → unwinding, InTime: run.unwinding
        unwinding → failed, InTime: run.unwound
        unwinding → unwinding, InTime: effect.answered, write.parked
        unwinding → unwinding, Overdue: run.overdue
        completed → completed, InTime: effect.answered, write.parked
        completed → unwinding, InTime: run.unwinding
        failed → failed, InTime: effect.answered, write.parked
        failed → failed, dismissed: run.dismissed
        failed → unwinding, InTime: run.unwinding
        failed and unwound → failed, InTime: effect.answered, write.parked
        failed and unwound → failed, dismissed: run.dismissed
    "#]]
    .assert_eq(&legal(runs, word));
}
