//! The write's state machine, pair by pair.

use std::collections::BTreeMap;

use super::*;
use crate::{
    fault::{Fault, FaultClass, Phase},
    payload::{Digest, Payload},
    policy::{Judgement, Verdict},
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_000);

pub(crate) fn proposal(to: &str) -> Proposal {
    Proposal {
        connector: "mail".parse().unwrap(),
        operation: "send".parse().unwrap(),
        arguments: Payload::of(&BTreeMap::from([("to", to)])).unwrap(),
        routing: BTreeMap::from([("to".to_owned(), to.to_owned())]),
        preview: format!("To: {to}"),
        digest: Digest::of(to.as_bytes()),
        at: NOW,
        semantics: WriteSemantics::Opaque,
        reversal: Reversal::Irreversible,
        labels: BTreeMap::new(),
        manifest: Digest::of(b"manifest"),
        redacted: vec![],
    }
}

fn judgement(verdict: Verdict) -> Judgement {
    Judgement {
        verdict,
        rule: "r".into(),
        reason: "because".into(),
        remedy: None,
        policy: 1,
        deadline: None,
        approved_at_deadline: false,
    }
}

fn fault() -> Fault {
    Fault::new(FaultClass::Transient, Phase::MaybeSent, "reset")
}

fn states() -> Vec<WriteState> {
    vec![
        WriteState::Asking { since: NOW, deadline: None, assigned: None },
        WriteState::Granted,
        WriteState::Attempting,
        WriteState::Retrying { at: NOW },
        WriteState::Probing { at: NOW, probes: 0 },
        WriteState::Ambiguous { fault: fault(), since: NOW },
        WriteState::Settled(Outcome::Landed { receipt: Payload::null(), modified: None }),
        WriteState::Parked { until: NOW, not_before: NOW, reason: "far away".into(), probes: None },
        WriteState::Parked {
            until: NOW,
            not_before: NOW,
            reason: "far away".into(),
            probes: Some(1),
        },
    ]
}

fn events() -> Vec<WriteEvent> {
    let (again, asked) = (Box::new(proposal("a@b.example")), judgement(Verdict::Approve));
    let (proposal, judgement) = (again.clone(), judgement(Verdict::Allow));
    vec![
        WriteEvent::Proposed { proposal: proposal.clone(), judgement: judgement.clone() },
        WriteEvent::Approved { by: "me".into() },
        WriteEvent::Modified { by: "me".into(), proposal, judgement },
        WriteEvent::Aborted { by: "me".into(), reason: "no".into() },
        WriteEvent::Attempted { attempt: 1 },
        WriteEvent::Landed { receipt: Payload::null() },
        WriteEvent::Faulted { fault: fault(), next: AfterFault::Ask },
        WriteEvent::ProvenAbsent { next: AfterFault::Retry { at: NOW } },
        WriteEvent::Resolved { by: "me".into(), happened: true },
        WriteEvent::Reproposed { proposal: again, judgement: asked },
        WriteEvent::Delegated { by: "me".into(), to: "bea".into() },
        WriteEvent::Expired { approved: true },
        WriteEvent::Stopped { reason: "over".into() },
        WriteEvent::Parked { until: NOW, reason: "far away".into() },
        WriteEvent::Unparked,
    ]
}

/// Every pair of state and event, so that a new variant cannot fall into the last arm unnoticed.
#[test]
fn every_pair_of_state_and_event_is_decided() {
    let mut legal = String::new();
    for state in states() {
        for event in events() {
            let mut write =
                Write::proposed(proposal("a@b.example"), judgement(Verdict::Approve), NOW);
            write.state = state.clone();
            let before = write.clone();
            match write.apply(&event, NOW) {
                Ok(()) => {
                    let line =
                        format!("{} + {} → {}\n", state.word(), event.kind(), write.state.word());
                    legal.push_str(&line);
                }
                Err(_) => assert_eq!(write, before, "a rejected event changes nothing"),
            }
        }
    }
    expect_test::expect![[r#"
        asking + write.approved → granted
        asking + write.modified → granted
        asking + write.aborted → settled
        asking + write.reproposed → asking
        asking + write.delegated → asking
        asking + write.expired → granted
        asking + write.stopped → settled
        granted + write.attempted → attempting
        granted + write.stopped → settled
        granted + write.parked → parked
        attempting + write.landed → settled
        attempting + write.faulted → ambiguous
        retrying + write.attempted → attempting
        retrying + write.stopped → settled
        retrying + write.parked → parked
        probing + write.landed → settled
        probing + write.faulted → ambiguous
        probing + write.proven_absent → retrying
        probing + write.parked → parked
        ambiguous + write.aborted → settled
        ambiguous + write.resolved → settled
        parked + write.stopped → settled
        parked + write.unparked → retrying
        parked + write.unparked → probing
    "#]]
    .assert_eq(&legal);
}

#[test]
fn a_denied_proposal_is_settled_at_once() {
    let write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Deny), NOW);
    assert!(matches!(write.state, WriteState::Settled(Outcome::Denied { .. })));
}

#[test]
fn attempts_are_counted_without_gaps() {
    let mut write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Allow), NOW);
    assert!(write.apply(&WriteEvent::Attempted { attempt: 2 }, NOW).is_err());
    write.apply(&WriteEvent::Attempted { attempt: 1 }, NOW).unwrap();
    assert_eq!((write.attempts, write.first_attempt_at), (1, Some(NOW)));
}

fn asking() -> Write {
    Write::proposed(proposal("a@b.example"), judgement(Verdict::Approve), NOW)
}

#[test]
fn a_shadowed_write_is_settled_and_not_made() {
    let write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Shadow), NOW);
    assert!(matches!(write.state, WriteState::Settled(Outcome::Shadowed { .. })));
}

#[test]
fn what_the_operator_changed_is_told_with_the_outcome() {
    let mut write = asking();
    let (proposal, judgement) = (Box::new(proposal("c@d.example")), judgement(Verdict::Approve));
    write.apply(&WriteEvent::Modified { by: "me".into(), proposal, judgement }, NOW).unwrap();
    write.apply(&WriteEvent::Attempted { attempt: 1 }, NOW).unwrap();
    write.apply(&WriteEvent::Landed { receipt: Payload::null() }, NOW).unwrap();
    let WriteState::Settled(outcome) = &write.state else { panic!("it landed") };
    assert_eq!(
        outcome.payload().as_str(),
        r#"{"outcome":"landed","receipt":null,"reason":null,"modified":{"to":"c@d.example"}}"#
    );
}

#[test]
fn a_write_that_may_have_happened_is_not_stopped_into_one_that_did_not() {
    let mut write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Allow), NOW);
    write.apply(&WriteEvent::Attempted { attempt: 1 }, NOW).unwrap();
    let next = AfterFault::Retry { at: NOW };
    write.apply(&WriteEvent::Faulted { fault: fault(), next }, NOW).unwrap();
    write.apply(&WriteEvent::Stopped { reason: "over".into() }, NOW).unwrap();
    assert_eq!(write.state.word(), "ambiguous");
}

#[test]
fn what_is_parked_keeps_its_place_in_line_until_an_attempt_is_made() {
    let mut write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Allow), NOW);
    let parked = WriteEvent::Parked { until: Timestamp(9_000), reason: "no room".into() };
    write.apply(&parked, Timestamp(2_000)).unwrap();
    write.apply(&WriteEvent::Unparked, Timestamp(3_000)).unwrap();
    assert_eq!(write.state, WriteState::Retrying { at: Timestamp(3_000) });
    write.apply(&parked, Timestamp(4_000)).unwrap();
    assert_eq!(write.queued_at, Some(Timestamp(2_000)));
    write.apply(&WriteEvent::Unparked, Timestamp(5_000)).unwrap();
    write.apply(&WriteEvent::Attempted { attempt: 1 }, Timestamp(6_000)).unwrap();
    assert_eq!(write.queued_at, None);
}

#[test]
fn a_probe_that_is_parked_goes_on_as_that_probe_and_then_leaves_the_line() {
    let mut write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Allow), NOW);
    write.state = WriteState::Probing { at: NOW, probes: 2 };
    let parked = WriteEvent::Parked { until: Timestamp(9_000), reason: "no room".into() };
    write.apply(&parked, Timestamp(2_000)).unwrap();
    assert!(write.is_in_doubt());
    write.apply(&WriteEvent::Unparked, Timestamp(3_000)).unwrap();
    assert_eq!(write.state, WriteState::Probing { at: Timestamp(3_000), probes: 2 });
    let again = WriteEvent::Faulted { fault: fault(), next: AfterFault::Probe { at: NOW } };
    write.apply(&again, Timestamp(4_000)).unwrap();
    assert_eq!((write.queued_at, write.state), (None, WriteState::Probing { at: NOW, probes: 3 }));
}

#[test]
fn another_judgement_or_other_labels_break_the_seal() {
    let (mut write, seal) = (asking(), asking().seal());
    write.judgement.rule = "another".into();
    assert_ne!(write.seal(), seal);
    let mut write = asking();
    write.proposal.labels.insert("to".into(), crate::labels::Labels::owner());
    assert_ne!(write.seal(), seal);
}
