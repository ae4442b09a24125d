//! Writes that are put aside: they wait long, cost no memory, keep their place in line, and are not forgotten.

use super::bench::*;
use crate::{
    fault::Phase,
    payload::Payload,
    run::{project, *},
    semantics::WriteSemantics,
    time::Timestamp,
};

const HOUR: u64 = 3_600_000;

/// What a write waits for in most of these tests.
const UNTIL: Timestamp = Timestamp(NOW.0 + HOUR);

fn park(until: Timestamp) -> Command {
    Command::Park { step: step("send"), effect: call(), until, reason: "no room".into() }
}

fn unpark(connector: &str) -> Command {
    Command::Unpark { connector: connector.parse().unwrap() }
}

/// A run whose write may be attempted.
fn granted() -> Bench {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Opaque);
    bench
}

/// A run whose write was attempted, and is to be looked for.
fn probing() -> Bench {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::NaturalKey);
    bench.attempt();
    bench.did(Command::Recover);
    assert_eq!(bench.state(), "probing");
    bench
}

fn probed(found: Probed) -> Command {
    Command::Probed { step: step("send"), effect: call(), found }
}

#[test]
fn a_parked_write_asks_for_no_work_and_goes_on_at_its_time() {
    let mut bench = granted();
    assert_eq!(bench.did(park(UNTIL)), ["write.parked"]);
    assert_eq!((outstanding(&bench.run), bench.run.next_due()), (vec![], Some(UNTIL)));
    assert!(RunSummary::of(&bench.run).is_waiting());
    bench.now = Timestamp(UNTIL.0 - 1);
    assert_eq!(bench.did(Command::Tick), Vec::<&str>::new(), "it is not due yet");
    bench.now = UNTIL;
    assert_eq!(bench.did(Command::Tick), ["write.unparked"]);
    let attempt = Action::Attempt { step: step("send"), effect: call(), at: UNTIL };
    assert_eq!((outstanding(&bench.run), bench.run.next_due()), (vec![attempt], None));
    bench.attempt();
    assert_eq!(bench.land(1)[0], "write.landed");
    assert_eq!(bench.folded(), bench.run);
}

#[test]
fn a_connector_calls_its_own_writes_before_their_time() {
    let mut bench = granted();
    bench.did(park(UNTIL));
    assert_eq!(bench.did(unpark("crm")), Vec::<&str>::new());
    assert_eq!(bench.did(unpark("mail")), ["write.unparked"]);
    assert_eq!(bench.did(unpark("mail")), Vec::<&str>::new(), "once");
    assert_eq!(bench.state(), "retrying");
}

#[test]
fn only_what_waits_for_an_attempt_or_a_probe_can_be_parked() {
    let mut bench = granted();
    assert_eq!(bench.did(park(NOW)), Vec::<&str>::new(), "what is due now needs no parking");
    bench.did(park(UNTIL));
    assert!(matches!(bench.refuses(park(UNTIL)), Refusal::Stale { .. }), "it is parked");
    let attempt = Command::Attempt { step: step("send"), effect: call() };
    assert!(matches!(bench.refuses(attempt), Refusal::Stale { .. }));
    bench.did(unpark("mail"));
    bench.attempt();
    assert!(matches!(bench.refuses(park(UNTIL)), Refusal::Stale { .. }), "it is under way");
    bench.land(1);
    assert!(matches!(bench.refuses(park(UNTIL)), Refusal::Stale { .. }), "it has landed");
}

#[test]
fn a_connector_finds_who_waits_for_it_and_since_when() {
    let mut bench = granted();
    let key = project::parked_key(&"mail".parse().unwrap(), &bench.run.id);
    assert_eq!(key.key, "mail/r1");
    let value = |before: &Run, after: &Run, events: &[Event]| {
        let changes = project::project(Some(before), after, events);
        changes.into_iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    };
    let mut step = |now: u64, command: Command| {
        let before = bench.run.clone();
        bench.now = Timestamp(now);
        bench.did(command);
        let (_, event) = bench.history.last().unwrap().clone();
        value(&before, &bench.run, &[event])
    };
    let since = NOW.0 + 5;
    let row = Some(since.to_be_bytes().to_vec());
    assert_eq!(step(since, park(UNTIL)), Some(row.clone()));
    assert_eq!(step(since + 1, unpark("mail")), Some(None));
    assert_eq!(step(since + 2, park(UNTIL)), Some(row), "it keeps its place in line");
}

#[test]
fn a_parked_write_of_a_run_that_ends_is_stopped() {
    let mut bench = granted();
    bench.did(park(UNTIL));
    let abort = Command::Abort { by: "operator".into(), reason: "enough".into() };
    assert_eq!(bench.did(abort), ["run.unwinding", "write.stopped", "run.unwound"]);
    assert_eq!((bench.state(), bench.run.next_due()), ("settled", None));
}

#[test]
fn a_parked_write_that_may_have_happened_is_put_to_the_operator_when_its_run_ends() {
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Keyed { ttl: std::time::Duration::from_secs(86_400) });
    bench.attempt();
    bench.fault(1, Phase::MaybeSent);
    assert_eq!(bench.did(park(UNTIL)), ["write.parked"]);
    let abort = Command::Abort { by: "operator".into(), reason: "enough".into() };
    assert_eq!(bench.did(abort), ["run.unwinding", "write.stopped"]);
    assert_eq!(bench.state(), "ambiguous");
}

#[test]
fn a_parked_probe_goes_on_as_a_probe() {
    let mut bench = probing();
    bench.did(park(UNTIL));
    assert!(is_at_rest(&bench.run));
    bench.now = UNTIL;
    assert_eq!(bench.did(Command::Tick), ["write.unparked"]);
    let probe = Action::Probe { step: step("send"), effect: call(), at: UNTIL };
    assert_eq!(outstanding(&bench.run), [probe]);
    let found = Probed::Landed { receipt: Payload::null() };
    assert_eq!(bench.did(probed(found))[0], "write.landed");
}

/// Its connector has room again before the other side shows what was written.
#[test]
fn a_parked_probe_is_not_called_before_it_can_find_anything() {
    let lag = std::time::Duration::from_secs(45);
    let mut bench = Bench::new().allowing();
    bench.triaged(true);
    bench.proposed(WriteSemantics::Searchable { visibility_lag: lag });
    bench.attempt();
    bench.did(Command::Recover);
    let shown = bench.now.after(lag);
    bench.did(park(shown));
    let call =
        |bench: &mut Bench| bench.did(Command::Unpark { connector: "mail".parse().unwrap() });
    assert!(call(&mut bench).is_empty(), "it waits for time, and not for its connector");
    bench.now = shown;
    assert_eq!(call(&mut bench), ["write.unparked"]);
    let probe = Action::Probe { step: step("send"), effect: super::bench::call(), at: shown };
    assert_eq!(outstanding(&bench.run), [probe]);
}

/// Taking back waits until it is found out what there is to take back, however long that takes.
#[test]
fn a_parked_probe_outlives_the_end_of_its_run() {
    let mut bench = probing();
    bench.did(park(UNTIL));
    let abort = Command::Abort { by: "operator".into(), reason: "enough".into() };
    assert_eq!(bench.did(abort), ["run.unwinding"]);
    assert_eq!((bench.state(), bench.run.next_due()), ("parked", Some(UNTIL)));
    assert!(is_at_rest(&bench.run), "it costs disk meanwhile");
    bench.now = UNTIL;
    assert_eq!(bench.did(Command::Tick), ["write.unparked"]);
    assert_eq!(bench.did(probed(Probed::Absent)), ["write.proven_absent", "run.unwound"]);
}

#[test]
fn a_failed_run_with_a_parked_probe_is_not_over() {
    let mut bench = Bench::of(
        "name='mail'\n[[step]]\nname='send'\ncall='mail.send'\n[[step]]\nname='triage'\nagent='triage'",
    )
    .allowing();
    bench.proposed(WriteSemantics::NaturalKey);
    bench.attempt();
    bench.did(Command::Recover);
    bench.did(park(UNTIL));
    let before = bench.run.clone();
    let error = StepError::new(StepErrorKind::Final, "spoilt");
    let fail = Command::FailStep { step: step("triage"), attempt: 1, error };
    assert_eq!(bench.did(fail), ["step.failed", "run.failed"]);
    let events: Vec<Event> = bench.history.iter().map(|(_, event)| event.clone()).collect();
    let tables = |before: &Run, after: &Run| {
        let changes = project::project(Some(before), after, &events);
        let written = changes.into_iter().filter(|(_, value)| value.is_some());
        written.map(|(key, _)| key.table).collect::<Vec<_>>()
    };
    let written = tables(&before, &bench.run);
    assert!(written.contains(&project::ACTIVE) && !written.contains(&project::FINISHED));
    assert_eq!(bench.run.next_due(), Some(UNTIL));
    bench.now = UNTIL;
    bench.did(Command::Tick);
    let before = bench.run.clone();
    assert_eq!(bench.did(probed(Probed::Absent)), ["write.proven_absent"]);
    assert_eq!(bench.state(), "settled");
    assert!(tables(&before, &bench.run).contains(&project::FINISHED));
}
