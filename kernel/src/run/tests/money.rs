//! What the calls of a run cost, and what it does where a budget has no room.

use super::bench::{Bench, MAIL, NOW, call, step};
use crate::{
    budget::{Account, Cost, Over, Reservation, Spending},
    catalog::AgentKind,
    fault::{Fault, FaultClass, Phase},
    id::EffectName,
    journal::ProjectionKey,
    payload::Payload,
    run::{project::project, *},
    semantics::WriteSemantics,
    time::Timestamp,
};

const MOST: Cost = Cost { micro_usd: 500, tokens: 10, calls: 1 };

fn reservation() -> Box<Reservation> {
    Box::new(Reservation {
        root: "r1".parse().unwrap(),
        connector: "mail".parse().unwrap(),
        operation: "send".parse().unwrap(),
        agent: None,
        most: MOST,
    })
}

fn paid_attempt() -> Command {
    let command = Box::new(Command::Attempt { step: step("send"), effect: call() });
    Command::Paid { command, payment: Payment::Reserve(reservation()) }
}

fn read() -> EffectRef {
    EffectRef { name: EffectName::new("model.complete").unwrap(), occurrence: 0 }
}

fn reserve() -> Command {
    Command::Reserve { step: step("triage"), effect: read(), reservation: reservation() }
}

fn over(passes: bool) -> Over {
    let account = Account { budget: "b".parse().unwrap(), period: String::new(), run: None };
    let until = Timestamp(NOW.0 + 86_400_000);
    Over { account: passes.then_some(account), passes, until, reason: "no room".into() }
}

fn granted() -> Bench {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench
}

#[test]
fn an_attempt_reserves_in_its_own_record_and_settles_with_its_answer() {
    let mut bench = granted();
    assert_eq!(bench.did(paid_attempt()), ["write.attempted", "call.reserved"]);
    assert_eq!(bench.run.spent.at_most(), MOST);
    let land =
        Command::Land { step: step("send"), effect: call(), attempt: 1, receipt: Payload::null() };
    let cost = Cost { micro_usd: 200, ..Cost::CALL };
    let payment = Payment::Settle { call: 1, cost };
    let kinds = bench.did(Command::Paid { command: Box::new(land), payment });
    assert_eq!(kinds[..2], ["write.landed", "call.settled"]);
    assert_eq!((bench.run.spent.cost, bench.run.spent.open.len()), (cost, 0));
    assert_eq!(bench.folded(), bench.run);
}

#[test]
fn an_attempt_that_is_not_begun_is_not_paid_for() {
    let mut bench = granted();
    bench.did(paid_attempt());
    bench.refuses(paid_attempt());
    assert_eq!(bench.run.spent.calls, 1);
}

#[test]
fn what_a_crash_leaves_under_way_costs_all_that_was_reserved() {
    let mut bench = granted();
    bench.did(paid_attempt());
    let kinds = bench.did(Command::Recover);
    assert_eq!(kinds, ["write.faulted", "call.settled"]);
    assert_eq!(bench.run.spent.cost, MOST);
}

#[test]
fn what_was_not_sent_costs_nothing_and_what_was_refused_a_call() {
    let open = OpenCall {
        call: 1,
        step: step("send"),
        effect: call(),
        at: NOW,
        reservation: *reservation(),
    };
    assert_eq!(open.cost_of_fault(Phase::NotSent), Cost::NOTHING);
    assert_eq!(open.cost_of_fault(Phase::Answered), Cost::CALL);
    assert_eq!(open.cost_of_fault(Phase::MaybeSent), MOST);
}

#[test]
fn a_call_of_a_turn_that_is_lost_is_settled_when_its_step_is_over() {
    let mut bench = Bench::new();
    assert_eq!(bench.did(reserve()), ["call.reserved"]);
    // Asked for again, the call that was lost with the turn is settled before.
    assert_eq!(bench.did(reserve()), ["call.settled", "call.reserved"]);
    let kinds = bench.triaged(false);
    assert!(kinds.contains(&"call.settled"), "{kinds:?}");
    assert_eq!(bench.run.spent.cost, MOST.plus(MOST));
    assert!(bench.run.spent.open.is_empty());
    bench.refuses(Command::Settle { call: 1, cost: Cost::CALL });
}

#[test]
fn a_write_without_room_waits_until_its_budget_is_raised() {
    let mut bench = granted();
    let not_funded =
        Command::NotFunded { step: step("send"), call: Caller::Write(call()), over: over(true) };
    assert_eq!(bench.did(not_funded), ["write.unfunded"]);
    assert!(is_at_rest(&bench.run));
    assert_eq!(bench.run.next_due(), Some(over(true).until));
    assert_eq!(bench.did(Command::Fund), ["write.unparked"]);
    assert_eq!(bench.state(), "retrying");
    assert_eq!(bench.did(Command::Fund), [""; 0]);
}

#[test]
fn a_write_without_a_price_fails_and_one_in_doubt_waits() {
    let not_funded = || Command::NotFunded {
        step: step("send"),
        call: Caller::Write(call()),
        over: over(false),
    };
    let mut bench = granted();
    let kinds = bench.did(not_funded());
    assert_eq!(kinds[..2], ["write.faulted", "step.failed"]);
    let error = bench.run.step(&step("send")).unwrap().1.error.clone().unwrap();
    assert_eq!((error.kind, error.message.contains("no room")), (StepErrorKind::WriteFailed, true));

    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    let ttl = std::time::Duration::from_secs(86_400);
    bench.proposed(WriteSemantics::Keyed { ttl });
    bench.attempt();
    let fault = Fault::new(FaultClass::Transient, Phase::MaybeSent, "reset");
    bench.did(Command::Fault { step: step("send"), effect: call(), attempt: 1, fault });
    assert_eq!(bench.did(not_funded()), ["write.unfunded"]);
}

#[test]
fn a_turn_without_room_waits_with_what_it_has_done() {
    let mut bench = Bench::new().with_agent("triage", AgentKind::ReadOnly, &[]);
    let not_funded =
        |over| Command::NotFunded { step: step("triage"), call: Caller::Turn(1), over };
    assert_eq!(bench.did(not_funded(over(true))), ["step.failed"]);
    // It is out of memory until then: nothing is outstanding.
    assert!(is_at_rest(&bench.run));
    assert_eq!(bench.run.next_due(), Some(over(true).until));
    assert_eq!(bench.did(Command::Fund), ["step.started"]);
    // The two attempts that the step has are not used up by it.
    let fail = |attempt| Command::FailStep {
        step: step("triage"),
        attempt,
        error: StepError::new(StepErrorKind::Failed, "no"),
    };
    bench.did(fail(2));
    bench.did(Command::Wake { step: step("triage") });
    let kinds = bench.did(fail(3));
    assert_eq!(kinds, ["step.failed", "run.failed"]);
}

#[test]
fn a_workflow_that_says_so_fails_instead_of_waiting() {
    let source = format!("over_budget = 'fail'\n{MAIL}");
    let mut bench = Bench::of(&source);
    let not_funded =
        Command::NotFunded { step: step("triage"), call: Caller::Turn(1), over: over(true) };
    assert_eq!(bench.did(not_funded), ["step.failed", "run.failed"]);
    assert!(bench.run.definition.to_toml().contains("over_budget = \"fail\""));
}

#[test]
fn a_step_that_waits_for_a_budget_begins_again_when_the_time_has_come() {
    let mut bench = Bench::new();
    bench.did(Command::NotFunded { step: step("triage"), call: Caller::Turn(1), over: over(true) });
    assert_eq!(bench.did(Command::Tick), [""; 0]);
    bench.now = over(true).until;
    assert_eq!(bench.did(Command::Tick), ["step.started"]);
}

#[test]
fn what_a_call_costs_is_kept_by_day_and_by_run() {
    let bench = Bench::new();
    let before = bench.run;
    let mut run = before.clone();
    let env = Bench::new();
    let (events, after) = transition(&run, reserve(), &env.env()).unwrap();
    let rows = |before: &Run, after: &Run, events: &[Event]| -> Vec<(ProjectionKey, Vec<u8>)> {
        let all = project(Some(before), after, events).into_iter();
        all.filter_map(|(key, value)| Some((key, value?))).collect()
    };
    let reserved = rows(&before, &after, &events);
    let spending: Spending = serde_json::from_slice(&reserved[0].1).unwrap();
    assert_eq!((spending.cost, spending.settled), (MOST, false));
    assert_eq!(reserved[0].0.key, "000000/r1/r1/000001");
    run = after;
    let settle = Command::Settle { call: 1, cost: Cost::CALL };
    let (events, after) = transition(&run, settle, &env.env()).unwrap();
    let settled = rows(&run, &after, &events);
    let spending: Spending = serde_json::from_slice(&settled[0].1).unwrap();
    assert_eq!((spending.cost, spending.settled), (Cost::CALL, true));
    assert_eq!(settled[0].0, reserved[0].0);
}
