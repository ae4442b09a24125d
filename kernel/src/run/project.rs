//! What is written beside a run's events, in the same atomic batch: summaries, inbox items, the places reached, and what
//! wakes a run that has left memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    awaited::{Awaits, ChildEnd},
    event::{Event, Parent},
    outstanding::is_at_rest,
    state::{Run, Status},
};
use crate::{
    budget::{self, Cost, Reservation, Spending},
    effect::{Write, WriteEvent},
    experiment,
    id::{ConnectorName, EventType, IdempotencyKey, RunId},
    inbox,
    journal::ProjectionKey,
    mutant::{Mutant, planted},
    payload::Digest,
    time::Timestamp,
};

/// Runs that are not over, by id.
pub const ACTIVE: &str = "runs-active";

/// Runs that are over, by id.
pub const FINISHED: &str = "runs-finished";

/// Places that a write has landed at, by connector, argument and value; the value is the time of the last one.
pub const REACHED: &str = "reached";

/// Landings by connector, argument, day and place: a row each, to be counted.
pub const REACHED_DAYS: &str = "reached-days";

/// Landings at one place on one day that are counted. A rule that limits them says a smaller number.
pub const REACHED_COUNT_MAX: usize = 1_000;

/// Times at which something is due in a run that has left memory, soonest first: see [`due_key`].
pub const TIMERS: &str = "timers";

/// Runs that wait for an event, by its type.
pub const AWAITING: &str = "awaiting";

/// Runs that have a write put aside, by its connector: see [`parked_key`]. The value is the time since when the first of
/// these has been in line.
pub const PARKED: &str = "parked";

/// Runs that have ended and whose end the run above has not taken in: see [`Ended`].
pub const ENDED: &str = "ended";

/// A run in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The workflow version it is pinned to.
    pub workflow: String,
    /// The run it is beneath.
    #[serde(default)]
    pub parent: Option<RunId>,
    /// `running`, `waiting` (for the operator, a time, a connector, an event or another run), `unwinding`, `completed`, `failed` or
    /// `aborted`.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// How many of its writes have landed.
    pub writes_landed: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
    /// What its calls have cost, and what those under way may cost; without those of the runs beneath.
    #[serde(default, skip_serializing_if = "Cost::is_nothing")]
    pub spent: Cost,
    /// The segment file that its history is in, if it is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
}

/// The end of a run that another waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Where it is waited for.
    pub parent: Parent,
    /// How it ended.
    pub end: ChildEnd,
}

impl RunSummary {
    /// The summary of `run`.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let waits = || is_at_rest(run);
        let status = match &run.status {
            Status::Running if waits() => "waiting",
            status => status.word(),
        };
        Self {
            run: run.id.clone(),
            workflow: run.workflow.to_string(),
            parent: run.parent.as_ref().map(|parent| parent.run.clone()),
            status: status.into(),
            reason: run.reason(),
            writes_landed: run.writes().filter(|(_, _, write)| write.receipt().is_some()).count()
                as u64,
            started_at: run.started_at,
            updated_at: run.updated_at,
            spent: run.spent.at_most(),
            archived: None,
        }
    }

    /// Whether the run only waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.status == "waiting"
    }
}

/// The key under which a landing at `value` of `argument` through `connector` is remembered.
#[must_use]
pub fn reached_key(connector: &ConnectorName, argument: &str, value: &str) -> ProjectionKey {
    ProjectionKey::of_text(REACHED, &format!("{connector}/{argument}"), value)
}

/// What the keys of landings at a place on a day begin with, in [`REACHED_DAYS`].
#[must_use]
pub fn reached_day(
    connector: &ConnectorName,
    argument: &str,
    value: &str,
    at: Timestamp,
) -> String {
    let place = Digest::of(value.as_bytes()).to_hex();
    format!("{connector}/{argument}/{}/{}/", at.day(), &place[..32])
}

/// The key of a time at which something is due in `run`, in [`TIMERS`]. Keys sort by time.
#[must_use]
pub fn due_key(at: Timestamp, run: &RunId) -> ProjectionKey {
    ProjectionKey::new(TIMERS, format!("{:020}/{run}", at.0))
}

/// The key of a run that waits for events of type `event`, in [`AWAITING`].
#[must_use]
pub fn awaiting_key(event: &EventType, run: &RunId) -> ProjectionKey {
    ProjectionKey::new(AWAITING, format!("{event}/{run}"))
}

/// The key of a run that has a write to `connector` put aside, in [`PARKED`].
#[must_use]
pub fn parked_key(connector: &ConnectorName, run: &RunId) -> ProjectionKey {
    ProjectionKey::new(PARKED, format!("{connector}/{run}"))
}

/// The key of what call `call` of `run`, beneath `root`, has cost, in [`SPENT`](budget::SPENT). Keys sort by day.
#[must_use]
pub fn spent_key(at: Timestamp, root: &RunId, run: &RunId, call: u32) -> ProjectionKey {
    ProjectionKey::new(budget::SPENT, format!("{:06}/{root}/{run}/{call:06}", at.day()))
}

/// The key of the same among all that `root` and those beneath it have spent, in [`SPENT_RUNS`](budget::SPENT_RUNS).
#[must_use]
pub fn spent_run_key(root: &RunId, run: &RunId, call: u32) -> ProjectionKey {
    ProjectionKey::new(budget::SPENT_RUNS, format!("{root}/{run}/{call:06}"))
}

/// The key of the end of `run`, beneath `parent`, in [`ENDED`].
#[must_use]
pub fn ended_key(parent: &RunId, run: &RunId) -> ProjectionKey {
    ProjectionKey::new(ENDED, format!("{parent}/{run}"))
}

/// What `events`, which led from `before` to `after`, change in the projections.
#[must_use]
pub fn project(
    before: Option<&Run>,
    after: &Run,
    events: &[Event],
) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
    let mut changes = vec![];
    summary(before, after, &mut changes);
    if events.iter().any(touches_waiting) {
        items(before, after, &mut changes);
        timers(before, after, &mut changes);
        awaiting(before, after, &mut changes);
        parked(before, after, &mut changes);
        unfunded(before, after, &mut changes);
    }
    ended(before, after, &mut changes);
    goal(before, after, &mut changes);
    for event in events {
        taken_in(after, event, &mut changes);
        drawn(event, &mut changes);
        reached(after, event, &mut changes);
        spent(before, event, after, &mut changes);
    }
    changes
}

/// What stands in the projections for `run` and follows from its state alone, whatever way led to it: where it is listed, what
/// of it waits for the operator, and what wakes it.
#[must_use]
pub fn standing(run: &Run) -> Vec<ProjectionKey> {
    let mut changes = vec![];
    summary(None, run, &mut changes);
    items(None, run, &mut changes);
    timers(None, run, &mut changes);
    awaiting(None, run, &mut changes);
    parked(None, run, &mut changes);
    unfunded(None, run, &mut changes);
    goal(None, run, &mut changes);
    changes.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect()
}

type Changes = Vec<(ProjectionKey, Option<Vec<u8>>)>;

/// Whether `run` is listed among those that are over. A failed run with a write under way, or with one that is put aside until it is
/// found out, is not: the next process must find it.
#[must_use]
pub fn is_over(run: &Run) -> bool {
    let parked = || run.writes().any(|(_, _, write)| write.is_parked());
    run.status.is_over() && is_at_rest(run) && !parked()
}

fn summary(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let looks =
        |run: &Run| (is_over(run), is_at_rest(run), run.status.word(), run.workflow.clone());
    let id = after.id.as_str();
    let bytes = || serde_json::to_vec(&RunSummary::of(after)).expect("a summary is plain data");
    match before {
        // What is over changes rarely, and says when it last did.
        Some(before) if looks(before) == looks(after) && !is_over(after) => {}
        _ if is_over(after) => {
            changes.push((ProjectionKey::new(ACTIVE, id), None));
            changes.push((ProjectionKey::new(FINISHED, id), Some(bytes())));
        }
        before => {
            if before.is_some_and(is_over) {
                changes.push((ProjectionKey::new(FINISHED, id), None));
            }
            changes.push((ProjectionKey::new(ACTIVE, id), Some(bytes())));
        }
    }
}

/// Whether an event can change what waits for someone or something.
fn touches_waiting(event: &Event) -> bool {
    match event {
        // A step that was tried before may have waited for the operator to say so.
        Event::StepStarted { attempt, .. } => *attempt > 1,
        Event::StepSkipped { .. }
        | Event::Recorded { .. }
        | Event::Completed { .. }
        | Event::Reserved { .. }
        | Event::Settled { .. } => false,
        // A run whose goal has a deadline begins to wait for it.
        Event::Started(_) => true,
        _ => true,
    }
}

fn items(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let old = before.map(inbox::items).unwrap_or_default();
    let new = inbox::items(after);
    for item in old.iter().filter(|old| !new.iter().any(|new| new.id == old.id)) {
        changes.push((ProjectionKey::new(inbox::TABLE, item.id.as_str()), None));
    }
    for item in new.iter().filter(|new| !old.contains(new)) {
        if planted(Mutant::AmbiguousNotShown) && item.kind == inbox::Kind::Ambiguous {
            continue;
        }
        changes.push((ProjectionKey::new(inbox::TABLE, item.id.as_str()), Some(item.to_bytes())));
    }
}

fn timers(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let (old, new) = (before.and_then(Run::next_due), after.next_due());
    if old == new {
        return;
    }
    if let Some(old) = old {
        changes.push((due_key(old, &after.id), None));
    }
    if let Some(new) = new {
        changes.push((due_key(new, &after.id), Some(vec![])));
    }
}

fn awaiting(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let (old, new) = (before.map(awaited_types).unwrap_or_default(), awaited_types(after));
    for event in old.iter().filter(|old| !new.contains(old)) {
        changes.push((awaiting_key(event, &after.id), None));
    }
    for event in new.iter().filter(|new| !old.contains(new)) {
        changes.push((awaiting_key(event, &after.id), Some(vec![])));
    }
}

/// The types of the events that `run` waits for.
fn awaited_types(run: &Run) -> Vec<EventType> {
    let running = matches!(run.status, Status::Running);
    let open = run.awaited().filter(|(_, _, awaited)| running && awaited.is_open());
    let types = open.filter_map(|(_, _, awaited)| match &awaited.what {
        Awaits::Event { event } => Some(event.clone()),
        Awaits::Question(_) | Awaits::Until { .. } | Awaits::Child(_) => None,
    });
    types.collect()
}

fn parked(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let (old, new) = (before.map(in_line).unwrap_or_default(), in_line(after));
    for connector in old.keys().filter(|old| !new.contains_key(*old)) {
        changes.push((parked_key(connector, &after.id), None));
    }
    for (connector, since) in new.iter().filter(|(new, since)| old.get(*new) != Some(*since)) {
        let since = since.0.to_be_bytes().to_vec();
        changes.push((parked_key(connector, &after.id), Some(since)));
    }
}

/// The connectors to which `run` has a write put aside, and since when the first of these has been in line.
fn in_line(run: &Run) -> BTreeMap<ConnectorName, Timestamp> {
    let mut found = BTreeMap::new();
    for (_, _, write) in run.writes().filter(|(_, _, write)| write.is_parked()) {
        let since = write.queued_at.unwrap_or(run.updated_at);
        let first = found.entry(write.proposal.connector.clone()).or_insert(since);
        *first = since.min(*first);
    }
    found
}

/// That something of the run waits for a budget.
fn unfunded(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let (old, new) = (before.is_some_and(Run::waits_for_budget), after.waits_for_budget());
    if old != new {
        let key = ProjectionKey::new(budget::UNFUNDED, after.id.as_str());
        changes.push((key, new.then(Vec::new)));
    }
}

/// What the run and those beneath it may cost, as long as it goes on.
fn goal(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let limit = |run: &Run| run.cost_max().filter(|_| !run.status.is_over());
    let (old, new) = (before.and_then(limit), limit(after));
    if old != new {
        let key = ProjectionKey::new(budget::GOALS, after.id.as_str());
        changes.push((key, new.map(|micro_usd| micro_usd.to_be_bytes().to_vec())));
    }
}

/// What a call may cost or has cost. It is counted on the day on which it was reserved.
fn spent(before: Option<&Run>, event: &Event, after: &Run, changes: &mut Changes) {
    let (call, at, reservation, settled) = match event {
        Event::Reserved { call, reservation, .. } => {
            (*call, after.updated_at, &**reservation, None)
        }
        Event::Settled { call, cost, .. } => {
            let open = before.and_then(|run| run.spent.open_call(*call));
            let Some(open) = open else { return };
            (*call, open.at, &open.reservation, Some(*cost))
        }
        _ => return,
    };
    let Reservation { root, connector, operation, agent, most } = reservation.clone();
    let (run, cost) = (after.id.clone(), settled.unwrap_or(most));
    let keys = [spent_key(at, &root, &run, call), spent_run_key(&root, &run, call)];
    let [by_day, by_run] = keys;
    let of_run = serde_json::to_vec(&cost).expect("a cost is plain data");
    let workflow = after.workflow.name.clone();
    let settled = settled.is_some();
    let spending = Spending { at, run, root, workflow, agent, connector, operation, cost, settled };
    changes.push((by_day, Some(serde_json::to_vec(&spending).expect("a cost is plain data"))));
    changes.push((by_run, Some(of_run)));
}

/// The run above must learn of the end, even if nobody is alive to tell it.
fn ended(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let Some(parent) = &after.parent else { return };
    let Some(end) = after.end() else { return };
    let settled = before.and_then(Run::end).is_some_and(|old| old == end);
    if !settled {
        let ended = Ended { parent: parent.clone(), end };
        let bytes = serde_json::to_vec(&ended).expect("an end is plain data");
        changes.push((ended_key(&parent.run, &after.id), Some(bytes)));
    }
}

/// The end of a run beneath this one is taken in with the record that answers the step.
fn taken_in(after: &Run, event: &Event, changes: &mut Changes) {
    let (Event::Answered { step, effect, .. } | Event::ChildUnwound { step, effect, .. }) = event
    else {
        return;
    };
    let awaited = after.step(step).and_then(|(_, state)| state.awaited(effect));
    if let Some(child) = awaited.and_then(|awaited| awaited.child()) {
        changes.push((ended_key(&after.id, &child.run), None));
    }
}

fn drawn(event: &Event, changes: &mut Changes) {
    if let Event::Recorded { effect, answer, .. } = event {
        changes.extend(experiment::project(effect, &answer.value));
    }
}

fn reached(after: &Run, event: &Event, changes: &mut Changes) {
    let Event::Write { step, effect, event, .. } = event else { return };
    let landed =
        matches!(event, WriteEvent::Landed { .. } | WriteEvent::Resolved { happened: true, .. });
    let kept = landed && !planted(Mutant::ReachedNotKept);
    let Some(write) = after.write(step, effect).filter(|_| kept) else { return };
    let key = after.key(step, effect);
    for (argument, value) in &write.proposal.routing {
        landing(write, argument, value, &key, after.updated_at, changes);
    }
}

fn landing(
    write: &Write,
    argument: &str,
    value: &str,
    effect: &IdempotencyKey,
    at: Timestamp,
    changes: &mut Changes,
) {
    let connector = &write.proposal.connector;
    let time = at.0.to_be_bytes().to_vec();
    changes.push((reached_key(connector, argument, value), Some(time)));
    let day = reached_day(connector, argument, value, at);
    changes.push((ProjectionKey::new(REACHED_DAYS, format!("{day}{effect}")), Some(vec![])));
}
