//! Writes through a run: what the façade promises.

use super::bench::*;
use crate::{
    effect::{Decision, WriteState},
    fault::{Fault, FaultClass, Phase},
    id::{InboxId, RunId},
    inbox,
    journal::StreamSeq,
    payload::{Digest, Payload},
    policy::{Evidence, Policy},
    run::*,
    semantics::WriteSemantics,
    time::Timestamp,
};

#[test]
fn an_allowed_write_goes_its_whole_way() {
    let mut bench = Bench::new().allowing();
    assert_eq!(outstanding(&bench.run), [Action::TakeTurn { step: step("triage"), attempt: 1 }]);
    assert_eq!(bench.triaged(true), ["step.completed", "step.started"]);
    assert_eq!(outstanding(&bench.run), [Action::Propose { step: step("send") }]);
    assert_eq!(
        bench.run.step_input(&step("send")).unwrap().value.value.as_str(),
        r#"{"to":"ada@x.example"}"#
    );
    assert_eq!(bench.proposed(WriteSemantics::Opaque), ["write.proposed"]);
    assert_eq!(
        outstanding(&bench.run),
        [Action::Attempt { step: step("send"), effect: call(), at: Timestamp(0) }]
    );
    assert_eq!(bench.attempt(), ["write.attempted"]);
    assert_eq!(
        outstanding(&bench.run),
        [Action::Execute { step: step("send"), effect: call(), attempt: 1 }]
    );
    assert_eq!(bench.land(1), ["write.landed", "step.completed", "step.started"]);
    let output = Payload::null();
    let end = bench.did(Command::CompleteStep { step: step("remember"), attempt: 1, output });
    assert_eq!(end, ["step.completed", "run.completed"]);
    assert_eq!(outstanding(&bench.run), []);
}

#[test]
fn a_step_whose_condition_does_not_hold_is_skipped_with_all_that_need_it() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.triaged(false),
        ["step.completed", "step.skipped", "step.skipped", "run.completed"]
    );
}

#[test]
fn an_unknown_recipient_waits_for_the_operator_and_asks_for_no_work() {
    let mut bench = Bench::new();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    assert_eq!(outstanding(&bench.run), []);
    assert!(RunSummary::of(&bench.run).is_waiting());
    assert_eq!(bench.decide(Decision::Approve), ["write.approved"]);
    assert_eq!(bench.state(), "granted");
}

#[test]
fn a_decision_counts_once() {
    let mut bench = Bench::new();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    let item = bench.item();
    bench.decide(Decision::Approve);
    let again = Bench::decision(item.clone(), Decision::Approve);
    assert_eq!(bench.refuses(again), Refusal::NotWaiting { item });
}

#[test]
fn an_aborted_write_completes_its_step_and_the_run_goes_on() {
    let mut bench = Bench::new();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    let kinds = bench.decide(Decision::Abort { reason: "not now".into() });
    assert_eq!(kinds, ["write.aborted", "step.completed", "step.skipped", "run.completed"]);
}

#[test]
fn a_crash_in_mid_attempt_follows_the_semantics() {
    for (semantics, expected) in [
        (WriteSemantics::Opaque, "ambiguous"),
        (WriteSemantics::NaturalKey, "probing"),
        (WriteSemantics::Keyed { ttl: std::time::Duration::from_secs(3600) }, "retrying"),
    ] {
        let mut bench = Bench::new().allowing();
        bench.triaged(true);
        bench.proposed(semantics);
        bench.attempt();
        assert_eq!(bench.did(Command::Recover), ["write.faulted"]);
        assert_eq!(bench.state(), expected);
        assert!(bench.did(Command::Recover).is_empty(), "recovering twice changes nothing");
    }
}

#[test]
fn what_may_have_happened_is_not_repeated_once_the_other_side_has_forgotten_its_key() {
    let hour = std::time::Duration::from_secs(3600);
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Keyed { ttl: hour });
    bench.attempt();
    bench.fault(1, Phase::MaybeSent);
    assert_eq!(bench.state(), "retrying");
    bench.now = bench.now.after(hour);
    assert_eq!(bench.attempt(), ["write.faulted"]);
    assert_eq!(bench.state(), "ambiguous");
    let known = Decision::Resolve { happened: false };
    bench.decide(known);
    assert_eq!(bench.attempt(), ["write.attempted"], "what did not happen may be tried again");
}

/// The charge landed and its answer was lost; by the retry the credential has expired. That the retry certainly did nothing
/// says nothing of the charge.
#[test]
fn a_refused_credential_leaves_an_earlier_doubt_to_the_operator() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Keyed { ttl: std::time::Duration::from_secs(3600) });
    bench.attempt();
    bench.fault(1, Phase::MaybeSent);
    bench.now = bench.now.after(std::time::Duration::from_secs(60));
    bench.attempt();
    let fault = Fault::new(FaultClass::Auth, Phase::Answered, "the token has expired");
    bench.did(Command::Fault { step: step("send"), effect: call(), attempt: 2, fault });
    let write = bench.run.write(&step("send"), &call()).unwrap();
    let WriteState::Ambiguous { fault, .. } = &write.state else { panic!("{:?}", write.state) };
    assert!(fault.message.contains("; of an earlier attempt: "), "{}", fault.message);
}

#[test]
fn a_wait_that_the_other_side_asks_for_is_believed_for_an_hour() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    let mut fault = Fault::new(FaultClass::Throttled, Phase::Answered, "in ten years");
    fault.retry_at = Some(Timestamp(u64::MAX));
    bench.did(Command::Fault { step: step("send"), effect: call(), attempt: 1, fault });
    let due = bench.run.next_due();
    let Some(Action::Attempt { at, .. }) = outstanding(&bench.run).pop() else { panic!("{due:?}") };
    assert_eq!(at, bench.now.after(std::time::Duration::from_secs(3600)));
}

#[test]
fn an_ambiguous_write_is_never_approved_into_a_second_one() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.fault(1, Phase::MaybeSent);
    let approve = Bench::decision(bench.item(), Decision::Approve);
    assert!(matches!(bench.refuses(approve), Refusal::Unfit { .. }));
    let first = bench.item();
    assert_eq!(bench.decide(Decision::Resolve { happened: false }), ["write.resolved"]);
    bench.attempt();
    bench.fault(2, Phase::MaybeSent);
    assert_ne!(bench.item(), first, "another round is another item");
    let kinds = bench.decide(Decision::Resolve { happened: true });
    assert_eq!(kinds, ["write.resolved", "step.completed", "step.started"]);
}

#[test]
fn an_answer_to_an_older_attempt_is_stale() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    bench.fault(1, Phase::NotSent);
    assert_eq!(bench.state(), "retrying");
    bench.attempt();
    let late =
        Command::Land { step: step("send"), effect: call(), attempt: 1, receipt: Payload::null() };
    assert!(matches!(bench.refuses(late), Refusal::Stale { .. }));
    assert_eq!(bench.land(2)[0], "write.landed");
}

#[test]
fn a_failed_attempt_is_retried_and_the_last_one_fails_the_run() {
    let mut bench = Bench::new();
    let fail = |attempt| {
        let error = StepError::new(StepErrorKind::Failed, "no");
        Command::FailStep { step: step("triage"), attempt, error }
    };
    assert_eq!(bench.did(fail(1)), ["step.failed"]);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Wake { .. }]));
    assert_eq!(bench.did(Command::Wake { step: step("triage") }), ["step.started"]);
    assert_eq!(bench.did(fail(2)), ["step.failed", "run.failed"]);
    assert_eq!(bench.item(), inbox::incident_id(&bench.run));
    assert_eq!(bench.decide(Decision::Abort { reason: String::new() }), ["run.dismissed"]);
    assert!(inbox::items(&bench.run).is_empty());
}

#[test]
fn a_write_that_fails_for_good_fails_the_run_and_becomes_an_incident() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.attempt();
    let fault = Fault::new(FaultClass::Declined, Phase::Answered, "550 no such user");
    let kinds = bench.did(Command::Fault { step: step("send"), effect: call(), attempt: 1, fault });
    assert_eq!(kinds, ["write.faulted", "step.failed", "run.failed"]);
    assert!(inbox::items(&bench.run)[0].reason.contains("550 no such user"));
}

#[test]
fn a_change_by_the_operator_is_judged_again() {
    let mut bench = Bench::new();
    let rules = "[[rule]]\nname = 'no-spam'\nwhen = \"routing.to.value == 'x@spam.example'\"\nverdict = 'deny'\nreason = 'spam'";
    bench.policy = Policy::parse("p", rules).unwrap();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    let modify = |item: InboxId, to: &str| Command::Modify {
        item,
        proposal: Box::new(crate::effect::tests::proposal(to)),
        evidence: Evidence::default(),
        by: "operator".into(),
    };
    let denied = bench.refuses(modify(bench.item(), "x@spam.example"));
    assert!(matches!(denied, Refusal::Denied { .. }));
    let item = bench.item();
    assert_eq!(bench.did(modify(item, "eve@x.example")), ["write.modified"]);
    let write = bench.run.write(&step("send"), &call()).unwrap();
    assert_eq!(
        (write.proposal.routing["to"].as_str(), &write.state),
        ("eve@x.example", &WriteState::Granted)
    );
}

#[test]
fn a_run_that_is_over_refuses_everything() {
    let mut bench = Bench::new();
    bench.triaged(false);
    let refusal = bench.refuses(Command::Wake { step: step("triage") });
    assert_eq!(refusal, Refusal::Over { run: "r1".parse().unwrap(), status: "completed" });
}

#[test]
fn the_fold_of_the_history_and_the_snapshot_are_the_live_state() {
    let mut bench = Bench::new();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench.decide(Decision::Approve);
    bench.attempt();
    bench.fault(1, Phase::MaybeSent);
    assert_eq!(bench.folded(), bench.run);
    bench.run.stream_seq = StreamSeq(SNAPSHOT_EVERY);
    let bytes = snapshot(&bench.run, StreamSeq(0), SNAPSHOT_EVERY).expect("a snapshot is due");
    let id: RunId = "r1".parse().unwrap();
    assert_eq!(restore(id.clone(), &bytes, &bench.shelf), Some(bench.run.clone()));
    assert_eq!(restore(id, &bytes[1..], &bench.shelf), None, "what does not read is ignored");
    assert_eq!(snapshot(&bench.run, StreamSeq(1), SNAPSHOT_EVERY), None, "too soon");
}

const SIDE_BY_SIDE: &str = r#"
    name = "mail"
    [[step]]
    name = "send"
    call = "mail.send"
    [[step]]
    name = "triage"
    agent = "triage"
"#;

/// A run whose step `triage` has failed while the write of `send` was under way.
fn failed_with_a_write_under_way(semantics: WriteSemantics) -> Bench {
    let mut bench = Bench::of(SIDE_BY_SIDE).allowing();
    bench.proposed(semantics);
    bench.attempt();
    let error = StepError::new(StepErrorKind::Final, "spoilt");
    let failed = bench.did(Command::FailStep { step: step("triage"), attempt: 1, error });
    assert_eq!(failed, ["step.failed", "run.failed"]);
    bench
}

#[test]
fn a_failed_run_accounts_for_the_write_it_has_under_way() {
    let mut bench = failed_with_a_write_under_way(WriteSemantics::Opaque);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Execute { .. }]));
    assert_eq!(bench.land(1), ["write.landed"]);
    assert!(is_at_rest(&bench.run));
    assert_eq!(RunSummary::of(&bench.run).writes_landed, 1);
}

#[test]
fn a_failed_run_makes_no_new_attempt() {
    let mut certain = failed_with_a_write_under_way(WriteSemantics::Opaque);
    certain.fault(1, Phase::NotSent);
    assert_eq!((certain.state(), is_at_rest(&certain.run)), ("settled", true));

    let keyed = WriteSemantics::Keyed { ttl: std::time::Duration::from_secs(3600) };
    let mut uncertain = failed_with_a_write_under_way(keyed);
    uncertain.did(Command::Recover);
    assert_eq!(uncertain.state(), "ambiguous");

    let mut probed = failed_with_a_write_under_way(WriteSemantics::NaturalKey);
    probed.did(Command::Recover);
    assert!(matches!(outstanding(&probed.run)[..], [Action::Probe { .. }]));
    probed.did(Command::Probed { step: step("send"), effect: call(), found: Probed::Absent });
    assert_eq!((probed.state(), is_at_rest(&probed.run)), ("settled", true));
}

#[test]
fn an_unclear_write_of_a_failed_run_waits_beside_its_incident() {
    let mut bench = failed_with_a_write_under_way(WriteSemantics::Opaque);
    bench.fault(1, Phase::MaybeSent);
    let items = inbox::items(&bench.run);
    assert_eq!(items.len(), 2);
    for item in items {
        let decision = match item.kind {
            inbox::Kind::Ambiguous => Decision::Resolve { happened: false },
            _ => Decision::Abort { reason: String::new() },
        };
        bench.did(Bench::decision(item.id, decision));
    }
    assert!(inbox::items(&bench.run).is_empty());
    assert_eq!((bench.state(), is_at_rest(&bench.run)), ("settled", true), "it is not tried again");
}

/// A write that waits under the first rule of `policy`, and what the connector would send for it now.
fn asked(policy: &str) -> (Bench, crate::effect::Proposal) {
    let mut bench = Bench::new();
    bench.policy = Policy::parse("p", policy).unwrap().with_version(1);
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    let fresh = bench.run.write(&step("send"), &call()).unwrap().proposal.clone();
    (bench, fresh)
}

fn approval(bench: &Bench, fresh: crate::effect::Proposal) -> Command {
    let fresh = Some(Box::new((fresh, Evidence::default())));
    let (item, by) = (bench.item(), "operator".into());
    Command::Decide { item, decision: Decision::Approve, by, fresh }
}

const ASK: &str = "[[rule]]\nname='ask'\nverdict='approve'\nreason='why'";

#[test]
fn an_approval_stands_if_what_was_shown_still_holds() {
    let (mut bench, fresh) = asked(ASK);
    bench.policy = Policy::parse("p", ASK).unwrap().with_version(2);
    assert_eq!(bench.did(approval(&bench, fresh)), ["write.approved"]);
    let (mut bench, fresh) = asked(ASK);
    bench.policy = Policy::parse("p", &ASK.replace("approve", "allow")).unwrap().with_version(2);
    assert_eq!(bench.did(approval(&bench, fresh)), ["write.approved"], "what may happen unasked");
}

#[test]
fn an_approval_after_policy_changed_shows_it_again_under_a_new_id() {
    let (mut bench, fresh) = asked(ASK);
    bench.policy = Policy::parse("p", &ASK.replace("why", "another")).unwrap().with_version(2);
    let old = bench.item();
    assert_eq!(bench.did(approval(&bench, fresh.clone())), ["write.reproposed"]);
    assert_eq!(bench.state(), "asking");
    assert_ne!(bench.item(), old);
    let stale = bench.refuses(Bench::decision(old.clone(), Decision::Approve));
    assert_eq!(stale, Refusal::NotWaiting { item: old });
    assert_eq!(bench.did(approval(&bench, fresh)), ["write.approved"]);

    let (mut bench, fresh) = asked(ASK);
    bench.policy = Policy::parse("p", &ASK.replace("approve", "deny")).unwrap().with_version(2);
    assert_eq!(bench.did(approval(&bench, fresh))[0], "write.reproposed");
    assert_eq!(bench.state(), "settled", "it is denied now");
}

#[test]
fn an_approval_after_the_connector_changed_shows_it_again() {
    for change in ["manifest", "bytes"] {
        let (mut bench, mut fresh) = asked(ASK);
        match change {
            "manifest" => fresh.manifest = Digest::of(b"another"),
            _ => fresh.digest = Digest::of(b"other bytes"),
        }
        assert_eq!(bench.did(approval(&bench, fresh)), ["write.reproposed"], "{change}");
        assert_eq!(bench.state(), "asking", "{change}");
    }
}

#[test]
fn a_decision_that_was_given_away_waits_under_a_new_id_for_whoever_it_was_given_to() {
    let (mut bench, _) = asked(ASK);
    let old = bench.item();
    bench.did(Bench::decision(old.clone(), Decision::Delegate { to: "bea".into() }));
    let item = inbox::items(&bench.run).remove(0);
    assert_eq!(item.assigned.as_deref(), Some("bea"));
    assert_ne!(item.id, old);
    let said = Command::Decide {
        item: item.id,
        decision: Decision::Approve,
        by: "bea".into(),
        fresh: None,
    };
    bench.did(said);
    let write = bench.run.write(&step("send"), &call()).unwrap();
    assert_eq!(write.decisions, ["given to bea by operator", "approved by bea"]);
}

#[test]
fn an_approval_has_a_deadline_if_its_rule_says_so() {
    let rule = format!("{ASK}\ndeadline='1h'\nat_deadline='approve'");
    let (mut bench, _) = asked(&rule);
    let item = bench.item();
    bench.now = Timestamp(NOW.0 + 3_600_000);
    assert_eq!(bench.did(Command::Tick), ["write.expired"]);
    assert_eq!(bench.state(), "granted");
    let late =
        bench.refuses(Bench::decision(item.clone(), Decision::Abort { reason: "no".into() }));
    assert_eq!(late, Refusal::NotWaiting { item });
}

/// The timer has not rung yet, and the deadline has passed all the same.
#[test]
fn a_change_by_the_operator_has_the_same_deadline() {
    let (mut bench, proposal) = asked(&format!("{ASK}\ndeadline='1h'"));
    let item = bench.item();
    bench.now = Timestamp(NOW.0 + 3_600_000);
    let late = bench.refuses(Command::Modify {
        item: item.clone(),
        proposal: Box::new(proposal),
        evidence: Evidence::default(),
        by: "operator".into(),
    });
    assert_eq!(late, Refusal::NotWaiting { item });
}
