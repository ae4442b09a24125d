//! What is written beside a run's events, in the same atomic batch: summaries, inbox items and the places reached.

use serde::{Deserialize, Serialize};

use super::{
    event::Event,
    outstanding::is_at_rest,
    state::{Run, Status},
};
use crate::{
    effect::{Outcome, Write, WriteEvent, WriteState},
    id::{ConnectorName, RunId},
    inbox,
    journal::ProjectionKey,
    time::Timestamp,
};

/// Runs that are not over, by id.
pub const ACTIVE: &str = "runs-active";

/// Runs that are over, by id.
pub const FINISHED: &str = "runs-finished";

/// Places that a write has landed at, by connector, argument and value; the value is the time of the last one.
pub const REACHED: &str = "reached";

/// A run in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The workflow version it is pinned to.
    pub workflow: String,
    /// `running`, `waiting` (for the operator), `completed` or `failed`.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// How many of its writes have landed.
    pub writes_landed: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
}

impl RunSummary {
    /// The summary of `run`.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let (status, reason) = match &run.status {
            Status::Running if is_at_rest(run) => ("waiting", None),
            Status::Failed { error, .. } => ("failed", Some(error.message.clone())),
            status => (status.word(), None),
        };
        let is_landed =
            |write: &Write| matches!(write.state, WriteState::Settled(Outcome::Landed { .. }));
        let landed = run.writes().filter(|(_, _, write)| is_landed(write));
        Self {
            run: run.id.clone(),
            workflow: run.workflow.to_string(),
            status: status.into(),
            reason,
            writes_landed: landed.count() as u64,
            started_at: run.started_at,
            updated_at: run.updated_at,
        }
    }

    /// Whether the run only waits for the operator.
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

/// What `events`, which led from `before` to `after`, change in the projections.
#[must_use]
pub fn project(
    before: Option<&Run>,
    after: &Run,
    events: &[Event],
) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
    let mut changes = vec![];
    summary(before, after, &mut changes);
    if events.iter().any(touches_inbox) {
        items(before, after, &mut changes);
    }
    for event in events {
        reached(after, event, &mut changes);
    }
    changes
}

type Changes = Vec<(ProjectionKey, Option<Vec<u8>>)>;

fn summary(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    // A failed run with a write under way is not over: the next process must find it.
    let is_over = |run: &Run| !matches!(run.status, Status::Running) && is_at_rest(run);
    let id = after.id.as_str();
    let bytes = || serde_json::to_vec(&RunSummary::of(after)).expect("a summary is plain data");
    match before {
        Some(before)
            if is_over(before) == is_over(after) && is_at_rest(before) == is_at_rest(after) => {}
        _ if is_over(after) => {
            changes.push((ProjectionKey::new(ACTIVE, id), None));
            changes.push((ProjectionKey::new(FINISHED, id), Some(bytes())));
        }
        _ => changes.push((ProjectionKey::new(ACTIVE, id), Some(bytes()))),
    }
}

fn touches_inbox(event: &Event) -> bool {
    match event {
        Event::Write { .. } | Event::Failed { .. } | Event::Dismissed { .. } => true,
        // A step that fails or ends takes its waiting writes with it.
        Event::StepFailed { .. } | Event::StepCompleted { .. } => true,
        Event::Started { .. }
        | Event::StepStarted { .. }
        | Event::StepSkipped { .. }
        | Event::Recorded { .. }
        | Event::Completed { .. } => false,
    }
}

fn items(before: Option<&Run>, after: &Run, changes: &mut Changes) {
    let old = before.map(inbox::items).unwrap_or_default();
    let new = inbox::items(after);
    for item in old.iter().filter(|old| !new.iter().any(|new| new.id == old.id)) {
        changes.push((ProjectionKey::new(inbox::TABLE, item.id.as_str()), None));
    }
    for item in new.iter().filter(|new| !old.contains(new)) {
        changes.push((ProjectionKey::new(inbox::TABLE, item.id.as_str()), Some(item.to_bytes())));
    }
}

fn reached(after: &Run, event: &Event, changes: &mut Changes) {
    let Event::Write { step, effect, event, .. } = event else { return };
    let landed =
        matches!(event, WriteEvent::Landed { .. } | WriteEvent::Resolved { happened: true, .. });
    let Some(write) = after.write(step, effect).filter(|_| landed) else { return };
    for (argument, value) in &write.proposal.routing {
        let key = reached_key(&write.proposal.connector, argument, value);
        changes.push((key, Some(after.updated_at.0.to_be_bytes().to_vec())));
    }
}
