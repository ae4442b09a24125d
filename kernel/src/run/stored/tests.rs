//! The stored bytes of every version.

use std::collections::BTreeMap;

use super::*;
use crate::{
    budget::{Cost, Reservation},
    effect::{AfterFault, WriteEvent, tests::proposal},
    fault::{Fault, FaultClass, Phase},
    id::{StepName, WorkflowRef},
    labels::{Labeled, Labels, Pii},
    payload::{INLINE_BYTES_MAX, Payload},
    policy::{Judgement, Verdict},
    run::{
        awaited::{Answer, Awaits, Child, ChildOf, Question},
        event::{AfterFailure, Beginning, Cause, EffectRef, Parent, StepError, StepErrorKind},
    },
    time::Timestamp,
};

/// The events of each kind, as version 1 wrote them.
const VERSION_1: &str = include_str!("events-v1.hex");

fn step() -> StepName {
    "send".parse().unwrap()
}

fn effect() -> EffectRef {
    EffectRef { name: "call".parse().unwrap(), occurrence: 0 }
}

fn payload() -> Payload {
    Payload::from_json(r#"{"n":1}"#).unwrap()
}

fn labeled() -> Labeled<Payload> {
    let labels = Labels::untrusted("mail").with_pii([Pii::Email]).vetted("rule");
    Labeled::new(payload(), labels.readable_by(["ada@x.example".to_owned()]))
}

fn judgement() -> Judgement {
    Judgement {
        verdict: Verdict::Approve,
        rule: "r".into(),
        reason: "why".into(),
        remedy: Some("ask".into()),
        policy: 4,
        deadline: Some(std::time::Duration::from_secs(60)),
        approved_at_deadline: true,
    }
}

fn writes() -> Vec<WriteEvent> {
    let by = || "operator".to_owned();
    let proposal = |to: &str| {
        let mut proposal = proposal(to);
        proposal.labels.insert("to".into(), Labels::owner());
        proposal.redacted.push("pii".into());
        Box::new(proposal)
    };
    let fault = Fault::new(FaultClass::Crash, Phase::MaybeSent, "died");
    vec![
        WriteEvent::Proposed { proposal: proposal("a@b.example"), judgement: judgement() },
        WriteEvent::Approved { by: by() },
        WriteEvent::Modified {
            by: by(),
            proposal: proposal("c@d.example"),
            judgement: judgement(),
        },
        WriteEvent::Aborted { by: by(), reason: "no".into() },
        WriteEvent::Attempted { attempt: 1 },
        WriteEvent::Landed { receipt: payload() },
        WriteEvent::Faulted { fault, next: AfterFault::Probe { at: Timestamp(8) } },
        WriteEvent::ProvenAbsent { next: AfterFault::Fail },
        WriteEvent::Resolved { by: by(), happened: true },
        WriteEvent::Reproposed { proposal: proposal("a@b.example"), judgement: judgement() },
        WriteEvent::Delegated { by: by(), to: "agent:deputy".into() },
        WriteEvent::Expired { approved: false },
        WriteEvent::Stopped { reason: "over".into() },
    ]
}

fn awaits() -> Vec<Awaits> {
    let question = Question {
        prompt: "Which?".into(),
        choices: vec!["a".into()],
        approval: false,
        deadline: Some(Timestamp(9)),
        default: Some(payload()),
        assigned: Some("bea".into()),
        round: 1,
    };
    let child = Child {
        run: "r.send.0".parse().unwrap(),
        of: ChildOf::Agent("draft".parse().unwrap()),
        input: labeled(),
    };
    vec![
        Awaits::Question(question),
        Awaits::Until { at: Timestamp(5) },
        Awaits::Event { event: "invoice.paid".parse().unwrap() },
        Awaits::Child(child),
    ]
}

/// One event of each kind.
fn samples() -> Vec<Event> {
    let workflow = WorkflowRef { name: "w".parse().unwrap(), version: 3 };
    let agents = BTreeMap::from([("draft".parse().unwrap(), 2)]);
    let error = StepError::new(StepErrorKind::TimedOut, "slow");
    let asked = Digest::of(b"asked");
    let by = || "operator".to_owned();
    let beginning = Beginning {
        workflow: workflow.clone(),
        body: Some(step()),
        agents: agents.clone(),
        parent: Some(Parent { run: "r".parse().unwrap(), step: step(), effect: effect() }),
        input: labeled(),
    };
    let mut events = vec![
        Event::Started(Box::new(beginning)),
        Event::StepStarted { step: step(), attempt: 2 },
        Event::StepSkipped { step: step() },
        Event::StepCompleted { step: step(), output: labeled() },
        Event::StepFailed {
            step: step(),
            error: error.clone(),
            next: AfterFailure::At(Timestamp(9)),
        },
        Event::Recorded { step: step(), effect: effect(), asked, answer: labeled() },
        Event::Answered {
            step: step(),
            effect: effect(),
            answer: Box::new(Answer { payload: labeled(), by: by(), did: true }),
        },
        Event::Delegated { step: step(), effect: effect(), by: by(), to: "bea".into() },
        Event::Uncompensated { step: step(), effect: effect(), reason: "gone".into() },
        Event::ChildUnwound { step: step(), effect: effect(), left: 2 },
        Event::Completed { output: labeled() },
        Event::Failed { step: step(), error: error.clone() },
        Event::Unwinding { cause: Cause::Step { step: step(), error } },
        Event::Unwinding { cause: Cause::Aborted { by: by(), reason: "stop".into() } },
        Event::Unwound,
        Event::Overdue,
        Event::Migrated { workflow, agents, by: by() },
        Event::Dismissed { by: by() },
    ];
    events.extend(awaits().into_iter().map(|what| Event::Awaited {
        step: step(),
        effect: effect(),
        asked,
        what: Box::new(what),
    }));
    events.extend(writes().into_iter().map(|event| {
        let asked = matches!(event, WriteEvent::Proposed { .. }).then_some(asked);
        Event::Write { step: step(), effect: effect(), asked, event }
    }));
    events
}

/// Events of version 2 that were added after journals had been written. They stand at the end, so that those before read as
/// they did.
fn added() -> Vec<Event> {
    let writes = [
        WriteEvent::Parked { until: Timestamp(7), reason: "no room".into() },
        WriteEvent::Unparked,
    ];
    let event = |event| Event::Write { step: step(), effect: effect(), asked: None, event };
    let (by, reason) = (|| "operator".to_owned(), || "wrong".to_owned());
    let mut events: Vec<Event> = writes.map(event).into();
    events.extend([
        Event::Unwinding { cause: Cause::Cancelled { by: by(), reason: reason() } },
        Event::Cancelled { by: by(), reason: reason() },
        Event::Retried { step: step(), by: by(), reason: reason() },
        Event::Overridden { step: step(), output: labeled(), by: by(), reason: reason() },
    ]);
    let cost = Cost { micro_usd: 1, tokens: 2, calls: 3 };
    let reservation = Box::new(Reservation {
        root: "r".parse().unwrap(),
        connector: "model".parse().unwrap(),
        operation: "complete".parse().unwrap(),
        agent: Some("draft".parse().unwrap()),
        most: cost,
    });
    events.extend([
        event(WriteEvent::Unfunded { until: Timestamp(7), reason: "no room".into() }),
        Event::Reserved { step: step(), effect: effect(), call: 4, reservation },
        Event::Settled { step: step(), effect: effect(), call: 4, cost },
    ]);
    events
}

#[test]
fn events_come_back_as_they_were() {
    let (bytes, blobs) = encode(&samples());
    assert!(blobs.is_empty());
    assert_eq!(decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap(), samples());
    let (bytes, _) = encode(&added());
    assert_eq!(decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap(), added());
}

/// If this fails, journals written before no longer read as they did: make a new version instead.
#[test]
fn the_stored_bytes_of_version_2_do_not_change() {
    let (bytes, _) = encode(&samples());
    expect_test::expect!["9579c7aeedb1c7e6b5e0c737f6dd6d5ae2e31a6fc9c9eb2414b95f15b411f2b4"]
        .assert_eq(&Digest::of(&bytes).to_hex());
    let hex: String = encode(&added()).0.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = expect_test::expect![
        "09090473656e640463616c6c00000d07076e6f20726f6f6d090473656e640463616c6c00000e0e02086f70657261746f720577726f6e6713086f70657261746f720577726f6e67140473656e64086f70657261746f720577726f6e67150473656e6400077b226e223a317d01010472756c6501010d61646140782e6578616d706c6501046d61696c0101086f70657261746f720577726f6e67090473656e640463616c6c00000f07076e6f20726f6f6d160473656e640463616c6c00040172056d6f64656c08636f6d706c65746501056472616674010203170473656e640463616c6c0004010203"
    ];
    expected.assert_eq(&hex);
}

#[test]
fn events_of_version_1_are_read() {
    let bytes: Vec<u8> = (0..VERSION_1.trim().len() / 2)
        .map(|at| u8::from_str_radix(&VERSION_1[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let events = decode(1, &bytes, &|_| Ok(None)).unwrap();
    let kinds: Vec<&str> = events.iter().map(Event::kind).collect();
    expect_test::expect!["run.started step.started step.skipped step.completed step.failed effect.recorded write.proposed write.approved write.modified write.aborted write.attempted write.landed write.faulted write.proven_absent write.resolved run.completed run.failed run.dismissed"].assert_eq(&kinds.join(" "));
    let Event::Started(beginning) = &events[0] else { panic!("a run starts") };
    assert_eq!(beginning.input, Labeled::new(payload(), Labels::default()));
}

#[test]
fn events_of_a_newer_version_are_refused() {
    let error = decode(EVENTS_VERSION + 1, &[], &|_| Ok(None)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the events have version 3 and this Soloist reads up to 2; use the newer one"
    );
}

#[test]
fn a_large_payload_leaves_the_record_and_comes_back() {
    let large = Payload::of(&"x".repeat(INLINE_BYTES_MAX)).unwrap();
    let events = vec![Event::Completed { output: Labeled::owner(large.clone()) }];
    let (bytes, blobs) = encode(&events);
    assert!(bytes.len() < 200, "{}", bytes.len());
    let fetch = |digest: &Digest| {
        Ok(blobs.iter().find(|(known, _)| known == digest).map(|(_, bytes)| bytes.to_vec()))
    };
    assert_eq!(decode(EVENTS_VERSION, &bytes, &fetch).unwrap(), events);
    let missing = decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap_err();
    assert_eq!(missing.to_string(), format!("the payload {} is missing", large.digest()));
}
