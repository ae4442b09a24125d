//! Histories: what a journal held, replayed against the code of today.
//!
//! A simulation compares code with itself. A history compares it with the code of yesterday, whose runs are still under way
//! when a new version is deployed: an agent whose effects changed places does not find its way back into them. [`record()`] a
//! history, keep it beside the tests (`file.rs` is its form), and [`assert_replays`] after every change. If a change breaks
//! one on purpose, the agent needs another `VERSION`, and the old one stays in the kernel until its runs have ended.

mod file;

use std::fmt;

use soloist_actors::views;
use soloist_kernel::{
    id::RunId,
    journal::{Append, Journal, Record, Seq},
    payload::Digest,
    run::{self, Cause, Event, StepError, StepErrorKind},
};

use crate::{
    disk::Disk,
    outcome::Outcome,
    plan::Plan,
    run::{Options, over},
    scenario::Scenario,
    world::BEGIN,
};

/// What a journal held, append by append.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The plan it was recorded from.
    plan: Plan,
    appends: Vec<Append>,
}

impl History {
    /// The plan it was recorded from.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many appends it holds.
    #[must_use]
    pub fn appends(&self) -> usize {
        self.appends.len()
    }
}

/// A moment of a history from which the code of today does not find its way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// How many appends of the history there were.
    pub appends: usize,
    /// What the last of them was: `step.started`.
    pub after: String,
    /// What happened then: which run and step, which effect, what the journal has there and what was asked.
    pub what: String,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { appends, after, what } = self;
        write!(f, "after append {appends} ({after}): {what}")
    }
}

/// Simulates `plan`, and returns what the journal held at its end.
///
/// # Panics
///
/// If an invariant does not hold: that is no history to keep.
#[must_use]
pub fn record(scenario: &Scenario, plan: &Plan) -> History {
    let mut disk = Ok(Disk::keeping());
    let outcome = over(scenario, plan, Options::default(), 0, &mut disk);
    assert!(outcome.is_well(), "{:?} in {}", outcome.violations, plan.line());
    let appends = disk.map(|disk| disk.kept()).unwrap_or_default();
    History { plan: plan.clone(), appends }
}

/// Opens a kernel of the scenario's code at every moment of `history` at which a run was under way, and lets it go on. The
/// connectors answer from the scenario's fakes, which begin anew each time; nothing else is asked of it.
///
/// # Panics
///
/// If the turn of a run diverges from what is recorded, if a run's agent is no longer there, or if a kernel does not open or
/// does not come to rest: with the moment, the step, the effect, what the journal has there and what was asked.
pub fn assert_replays(scenario: &Scenario, history: &History) {
    let departures = departures(scenario, history);
    let Some(first) = departures.first() else { return };
    let (count, all) = (departures.len(), history.appends.len());
    panic!(
        "HISTORY NOT REPLAYED: {} does not go on from {count} of {all} moments\n\n  first      {first}\n  recorded   {}\n\n  \
         Give what changed another VERSION, and keep the old one in the kernel until its runs have ended.",
        scenario.name(),
        history.plan.line()
    );
}

/// The moments of `history` from which the code of `scenario` does not find its way on, oldest first. See [`assert_replays`].
#[must_use]
pub fn departures(scenario: &Scenario, history: &History) -> Vec<Departure> {
    let scenario = continued(scenario);
    (1..=history.appends.len())
        .filter_map(|count| departure(&scenario, history, &history.appends[..count]))
        .collect()
}

/// The scenario without anything that begins something, and without its own checks: the world they look at is another one.
fn continued(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.workload(|_| async {}).webhooks(|_| vec![]);
    (scenario.always, scenario.finally, scenario.sometimes) = (vec![], vec![], vec![]);
    scenario
}

fn departure(scenario: &Scenario, history: &History, appends: &[Append]) -> Option<Departure> {
    let departs = |what| {
        let kinds = appends.last().map(|append| append.entries.iter().map(|entry| &*entry.kind));
        let after = kinds.into_iter().flatten().collect::<Vec<_>>().join("+");
        Some(Departure { appends: appends.len(), after, what })
    };
    let disk = match Disk::holding(appends) {
        Ok(disk) => disk,
        Err(problem) => return departs(format!("the history is not whole: {problem}")),
    };
    if !is_under_way(&**disk.contents()) {
        return None;
    }
    let from = Seq(disk.contents().head().seq.0 + 1);
    let plan = Plan::calm(scenario.name(), history.plan.seed, history.plan.size);
    let last = appends.last().and_then(|append| append.entries.last());
    let begun_ms = last.map_or(0, |entry| BEGIN.until(entry.at).as_millis());
    let begun_ms = u64::try_from(begun_ms).unwrap_or(u64::MAX);
    let mut disk = Ok(disk);
    let outcome = over(scenario, &plan, Options::default(), begun_ms, &mut disk);
    let held = disk.ok()?.contents().clone();
    let records = match held.records(from, usize::MAX) {
        Ok(records) => records,
        Err(problem) => return departs(problem.to_string()),
    };
    let strays = records.iter().find_map(|record| stray(&*held, record));
    strays.or_else(|| stuck(&outcome)).and_then(departs)
}

/// Whether a run is not over.
fn is_under_way(journal: &dyn Journal) -> bool {
    let over = |status: &str| matches!(status, "completed" | "failed" | "aborted" | "cancelled");
    views::runs(journal).is_ok_and(|runs| runs.iter().any(|run| !over(&run.status)))
}

/// What went wrong with the kernel itself.
fn stuck(outcome: &Outcome) -> Option<String> {
    let mut violations = outcome.violations.iter();
    let stuck = violations.find(|violation| matches!(&*violation.invariant, "opens" | "liveness"));
    stuck.map(|violation| format!("{}: {}", violation.invariant, violation.what))
}

/// What `record` says of a turn that left the path that the journal has, if it says so.
fn stray(journal: &dyn Journal, record: &Record) -> Option<String> {
    let entry = &record.entry;
    let run = RunId::new(entry.stream.as_str().strip_prefix("run:")?).ok()?;
    let blobs = |digest: &Digest| journal.blob(digest);
    let events = run::decode(entry.version, &entry.payload, &blobs).ok()?;
    events.into_iter().find_map(|event| {
        let (Event::StepFailed { step, error, .. }
        | Event::Failed { step, error }
        | Event::Unwinding { cause: Cause::Step { step, error } }) = event
        else {
            return None;
        };
        is_astray(&error).then(|| format!("run {run}, step `{step}`: {error}"))
    })
}

fn is_astray(error: &StepError) -> bool {
    let is_gone = error.message.starts_with("agent `") && error.message.contains("is not there");
    error.kind == StepErrorKind::Diverged || (error.kind == StepErrorKind::Invalid && is_gone)
}
