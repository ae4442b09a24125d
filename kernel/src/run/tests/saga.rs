//! Taking back what a run did.

use super::bench::*;
use crate::{
    effect::{Decision, Proposal},
    fault::{Fault, FaultClass, Phase},
    inbox,
    payload::Payload,
    policy::Evidence,
    run::*,
    semantics::{Reversal, WriteSemantics},
};

const SAGA: &str = r#"
    name = "saga"
    [[step]]
    name = "invoice"
    call = "billing.create"
    [[step]]
    name = "pay"
    call = "bank.charge"
    needs = ["invoice"]
    [[step]]
    name = "thank"
    agent = "thank"
    needs = ["pay"]
    on_failure = "compensate"
"#;

fn reversible(reversal: &str) -> Proposal {
    let reversal = match reversal {
        "" => Reversal::Irreversible,
        operation => Reversal::Counter(operation.parse().unwrap()),
    };
    Proposal {
        reversal,
        semantics: WriteSemantics::NaturalKey,
        ..crate::effect::tests::proposal("a@b.example")
    }
}

fn goes_through(bench: &mut Bench, name: &str, effect: &EffectRef) -> Vec<&'static str> {
    let (step, effect) = (step(name), effect.clone());
    bench.did(Command::Attempt { step: step.clone(), effect: effect.clone() });
    bench.did(Command::Land { step, effect, attempt: 1, receipt: Payload::null() })
}

/// A run that has made an invoice and been paid.
fn paid(invoice: &str, payment: &str) -> Bench {
    let mut bench = Bench::of(SAGA).allowing();
    bench.proposes("invoice", call(), reversible(invoice));
    goes_through(&mut bench, "invoice", &call());
    bench.proposes("pay", call(), reversible(payment));
    goes_through(&mut bench, "pay", &call());
    bench
}

fn thanks_fail(bench: &mut Bench) -> Vec<&'static str> {
    let error = StepError::new(StepErrorKind::Final, "no words");
    bench.did(Command::FailStep { step: step("thank"), attempt: 1, error })
}

fn undo(bench: &Bench, name: &str) -> EffectRef {
    bench.run.step(&step(name)).unwrap().1.undo(&call()).unwrap()
}

fn compensates(bench: &mut Bench, name: &str) -> Vec<&'static str> {
    let evidence = Evidence { reverses: true, ..Evidence::default() };
    let planned = Ok((Box::new(reversible("")), evidence));
    bench.did(Command::Compensate { step: step(name), effect: call(), planned })
}

#[test]
fn committed_writes_unwind_in_reverse() {
    let mut bench = paid("cancel", "refund");
    assert_eq!(thanks_fail(&mut bench), ["step.failed", "run.unwinding"]);
    let next = |name: &str| Action::Compensate { step: step(name), effect: call() };
    assert_eq!(outstanding(&bench.run), [next("pay")], "the last first, and one at a time");
    assert_eq!(compensates(&mut bench, "pay"), ["write.proposed"]);
    let refund = undo(&bench, "pay");
    assert_eq!(goes_through(&mut bench, "pay", &refund), ["write.landed"]);
    assert_eq!(outstanding(&bench.run), [next("invoice")]);
    compensates(&mut bench, "invoice");
    let cancel = undo(&bench, "invoice");
    assert_eq!(goes_through(&mut bench, "invoice", &cancel), ["write.landed", "run.unwound"]);
    assert_eq!(bench.run.left().count(), 0);
    let item = inbox::items(&bench.run).remove(0);
    assert_eq!((item.kind, item.reason.as_str()), (inbox::Kind::Incident, "no words"));
}

#[test]
fn what_cannot_be_taken_back_is_named() {
    let mut bench = paid("", "refund");
    thanks_fail(&mut bench);
    let evidence = "the operation is gone".to_owned();
    let gone = Command::Compensate { step: step("pay"), effect: call(), planned: Err(evidence) };
    assert_eq!(bench.did(gone), ["write.uncompensated", "run.unwound"]);
    let item = inbox::items(&bench.run).remove(0);
    assert_eq!(
        item.left,
        [
            "mail.send of step `invoice`: it is irreversible",
            "mail.send of step `pay`: its compensation could not be planned: the operation is gone"
        ]
    );
}

#[test]
fn unwinding_waits_for_what_is_in_doubt() {
    let mut bench = Bench::of(SAGA).allowing();
    bench.proposes("invoice", call(), reversible("cancel"));
    bench.did(Command::Attempt { step: step("invoice"), effect: call() });
    let abort = Command::Abort { by: "operator".into(), reason: "stop".into() };
    assert_eq!(bench.did(abort), ["run.unwinding"]);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Execute { .. }]));
    bench.did(Command::Recover);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Probe { .. }]));
    let found = Probed::Landed { receipt: Payload::null() };
    bench.did(Command::Probed { step: step("invoice"), effect: call(), found });
    assert!(matches!(outstanding(&bench.run)[..], [Action::Compensate { .. }]));
}

#[test]
fn what_was_not_made_is_stopped_and_not_taken_back() {
    let mut bench = Bench::of(SAGA);
    bench.proposes("invoice", call(), reversible("cancel"));
    assert_eq!(inbox::items(&bench.run).len(), 1, "it waits for approval");
    let abort = Command::Abort { by: "operator".into(), reason: "stop".into() };
    assert_eq!(bench.did(abort), ["run.unwinding", "write.stopped", "run.unwound"]);
    assert!(inbox::items(&bench.run).is_empty(), "the operator did it, and nothing is left");
}

#[test]
fn a_failed_run_is_unwound_when_the_operator_says_so() {
    let mut bench = Bench::of(&SAGA.replace("\"compensate\"", "\"fail\"")).allowing();
    bench.proposes("invoice", call(), reversible("cancel"));
    goes_through(&mut bench, "invoice", &call());
    bench.proposes("pay", call(), reversible("refund"));
    goes_through(&mut bench, "pay", &call());
    assert_eq!(thanks_fail(&mut bench), ["step.failed", "run.failed"]);
    let item = inbox::items(&bench.run).remove(0);
    assert_eq!(item.left.len(), 2);
    assert_eq!(bench.decide(Decision::Compensate), ["run.unwinding"]);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Compensate { .. }]));
}

#[test]
fn a_compensation_that_fails_leaves_its_write_and_the_others_go_on() {
    let mut bench = paid("cancel", "refund");
    thanks_fail(&mut bench);
    compensates(&mut bench, "pay");
    let (refund, name) = (undo(&bench, "pay"), step("pay"));
    bench.did(Command::Attempt { step: name.clone(), effect: refund.clone() });
    let fault = Fault::new(FaultClass::Declined, Phase::Answered, "too late");
    bench.did(Command::Fault { step: name, effect: refund, attempt: 1, fault });
    assert!(
        matches!(&outstanding(&bench.run)[..], [Action::Compensate { step: next, .. }] if *next == step("invoice"))
    );
    let left: Vec<Left> = bench.run.left().collect();
    assert_eq!(
        left[1].why,
        "its compensation did not happen: declined by the other side's answer: too late"
    );
}

#[test]
fn a_run_beneath_is_taken_back_in_its_place() {
    let source = "name='x'\n[[step]]\nname='sub'\nworkflow='saga'\n[[step]]\nname='a'\nagent='a'\nneeds=['sub']\non_failure='compensate'";
    let mut bench = Bench::on(&[source, SAGA], "{}");
    let effect = EffectRef { name: "run".parse().unwrap(), occurrence: 0 };
    let end = |did, unwound| {
        let result = Ok(crate::labels::Labeled::owner(Payload::null()));
        let (step, effect) = (step("sub"), effect.clone());
        Command::ChildEnded { step, effect, end: Box::new(ChildEnd { result, did, unwound }) }
    };
    bench.did(end(true, None));
    let error = StepError::new(StepErrorKind::Final, "no");
    bench.did(Command::FailStep { step: step("a"), attempt: 1, error });
    assert!(matches!(outstanding(&bench.run)[..], [Action::UnwindChild { .. }]));
    assert_eq!(bench.did(end(true, Some(1))), ["child.unwound", "run.unwound"]);
    assert!(bench.run.left().next().unwrap().why.starts_with("1 of its writes stay"));
}

#[test]
fn a_run_that_is_taken_back_by_the_one_above_stays_quiet_if_nothing_is_left() {
    let mut bench = Bench::of("name='x'\n[[step]]\nname='a'\nagent='a'");
    bench.completes("a", &serde_json::json!(1));
    let abort = Command::Abort { by: "run:above".into(), reason: "it takes back".into() };
    assert_eq!(bench.did(abort), ["run.unwinding", "run.unwound"]);
    assert!(inbox::items(&bench.run).is_empty());
    assert_eq!(bench.run.status.word(), "aborted");
}
