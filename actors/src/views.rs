//! What can be seen of a kernel: reads of the journal's projections. They need the journal and no running kernel.

mod cases;
mod costs;
mod shadows;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use soloist_kernel::run::RunSummary;
use soloist_kernel::{
    control::{self, Lineage, Pauses},
    id::{ConnectorName, InboxId, RunId, WorkflowName, WorkflowRef},
    inbox::{self, Item},
    incident::{self, Incident},
    journal::{Journal, ProjectionKey, ReadError, Record, StreamSeq},
    rollout::{self, Rollouts},
    run::{self, ArchivedRun, Fetch, Occurrence, Run, archived::ARCHIVED, project},
    time::Timestamp,
    workflow::Library,
};

pub use self::{
    cases::{cases, policies},
    costs::{CostBy, CostRow, costs},
    shadows::{Shadowed, Shadows, shadowed, shadows},
};
use crate::{events, policies, workflows::Workflows};

/// Table of the changes that could not be read.
pub(crate) const QUARANTINED: &str = "quarantined";
/// Table of the changes that were taken, by connector and identity.
pub const CHANGES_SEEN: &str = "seen";
/// Table of the events that were taken, by source and id.
pub const EVENTS_SEEN: &str = "events-seen";

/// Most entries that one listing returns.
pub const LIST_MAX: usize = 10_000;

/// A run with its history.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The run in a line.
    pub summary: RunSummary,
    /// Its records, oldest first.
    pub records: Vec<Record>,
}

/// A change that could not be read. The source still has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Where it came from.
    pub connector: ConnectorName,
    /// Which change.
    pub identity: String,
    /// Why it could not be read, and what to do.
    pub reason: String,
    /// When it was met.
    pub at: Timestamp,
}

/// How many rows of a table are read at a time.
const PAGE: usize = 1_000;

/// Shows `see` each row of `table` whose key begins with `prefix`, however many there are.
pub(crate) fn each_row<E: From<ReadError>>(
    journal: &dyn Journal,
    table: &'static str,
    prefix: &str,
    see: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    each_row_after(journal, table, prefix, "", see)
}

/// As [`each_row`], of the rows after the key `after`.
pub(crate) fn each_row_after<E: From<ReadError>>(
    journal: &dyn Journal,
    table: &'static str,
    prefix: &str,
    after: &str,
    mut see: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut after = after.to_owned();
    loop {
        let page = journal.projections(table, prefix, &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (key, bytes) in &page {
            see(key, bytes)?;
        }
    }
}

/// What waits for the operator, oldest first; at most [`LIST_MAX`].
///
/// # Errors
///
/// [`ReadError`].
pub fn inbox(journal: &dyn Journal) -> Result<Vec<Item>, ReadError> {
    let found = journal.projections(inbox::TABLE, "", "", LIST_MAX)?;
    let mut items: Vec<Item> =
        found.iter().filter_map(|(_, bytes)| Item::from_bytes(bytes).ok()).collect();
    items.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
    Ok(items)
}

/// One waiting item; `None` if nothing waits under the id.
///
/// # Errors
///
/// [`ReadError`].
pub fn inbox_item(journal: &dyn Journal, id: &InboxId) -> Result<Option<Item>, ReadError> {
    let found = journal.projection(&ProjectionKey::new(inbox::TABLE, id.as_str()))?;
    Ok(found.and_then(|bytes| Item::from_bytes(&bytes).ok()))
}

/// The incidents of the kernel itself, oldest first: those that wait in the inbox, and those that were dismissed and whose run
/// is still set aside; at most [`LIST_MAX`].
///
/// # Errors
///
/// [`ReadError`].
pub fn incidents(journal: &dyn Journal) -> Result<Vec<Incident>, ReadError> {
    let found = journal.projections(incident::TABLE, "", "", LIST_MAX)?;
    let mut incidents: Vec<Incident> =
        found.iter().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect();
    incidents.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(incidents)
}

/// One incident of the kernel itself; `None` if there is none with the id.
///
/// # Errors
///
/// [`ReadError`].
pub fn incident(journal: &dyn Journal, id: &InboxId) -> Result<Option<Incident>, ReadError> {
    let found = journal.projection(&incident::key(id))?;
    Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The incident by which `run` is set aside; `None` if it is not.
///
/// # Errors
///
/// [`ReadError`].
pub fn set_aside(journal: &dyn Journal, run: &RunId) -> Result<Option<InboxId>, ReadError> {
    let found = journal.projection(&incident::quarantined_key(run))?;
    Ok(found.and_then(|bytes| InboxId::new(String::from_utf8_lossy(&bytes)).ok()))
}

/// Where the rows of runs are.
const TABLES: [&str; 3] = [project::ACTIVE, project::FINISHED, ARCHIVED];

/// What is kept at hand of the run `id`, if it is archived.
///
/// # Errors
///
/// [`ReadError`].
pub fn archived(journal: &dyn Journal, id: &RunId) -> Result<Option<ArchivedRun>, ReadError> {
    let found = journal.projection(&ProjectionKey::new(ARCHIVED, id.as_str()))?;
    Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The runs, newest first by their last event; at most [`LIST_MAX`] that are active, as many that are over, and as many that
/// are archived.
///
/// # Errors
///
/// [`ReadError`].
pub fn runs(journal: &dyn Journal) -> Result<Vec<RunSummary>, ReadError> {
    let mut runs = vec![];
    for table in TABLES {
        let found = journal.projections(table, "", "", LIST_MAX)?;
        runs.extend(
            found.iter().filter_map(|(_, bytes)| serde_json::from_slice::<RunSummary>(bytes).ok()),
        );
    }
    runs.sort_by(|a, b| (b.updated_at, &b.run).cmp(&(a.updated_at, &a.run)));
    Ok(runs)
}

/// One run with its history; `None` if there is no such run.
///
/// # Errors
///
/// [`ReadError`].
pub fn run(journal: &dyn Journal, id: &RunId) -> Result<Option<RunView>, ReadError> {
    let Some(summary) = summary(journal, id)? else { return Ok(None) };
    let records = journal.stream(&id.stream(), StreamSeq(0))?;
    Ok(Some(RunView { summary, records }))
}

/// One run in a line; `None` if there is no such run.
///
/// # Errors
///
/// [`ReadError`].
pub fn summary(journal: &dyn Journal, id: &RunId) -> Result<Option<RunSummary>, ReadError> {
    for table in TABLES {
        let found = journal.projection(&ProjectionKey::new(table, id.as_str()))?;
        if let Some(summary) = found.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Some(summary));
        }
    }
    Ok(None)
}

/// `run` and those above it: what a pause of any of them holds.
///
/// # Errors
///
/// [`ReadError`].
pub fn lineage(journal: &dyn Journal, run: &Run) -> Result<Lineage, ReadError> {
    let mut lineage =
        Lineage { runs: vec![run.id.clone()], workflows: vec![run.workflow.name.clone()] };
    let mut above = run.parent.as_ref().map(|parent| parent.run.clone());
    while let Some(id) = above {
        let summary = summary(journal, &id)?;
        above = summary.as_ref().and_then(|summary| summary.parent.clone());
        lineage.runs.push(id);
        let name = summary.and_then(|summary| {
            summary.workflow.rsplit_once('@').and_then(|(name, _)| name.parse().ok())
        });
        lineage.workflows.extend(name);
    }
    Ok(lineage)
}

/// The topmost run above the run `id`, by the rows of runs.
pub(crate) fn topmost_of(journal: &dyn Journal, id: &RunId) -> Result<RunId, ReadError> {
    let mut topmost = id.clone();
    while let Some(above) = summary(journal, &topmost)?.and_then(|summary| summary.parent) {
        topmost = above;
    }
    Ok(topmost)
}

/// The versions that are side by side.
///
/// # Errors
///
/// [`ReadError`].
pub fn rollouts(journal: &dyn Journal) -> Result<Rollouts, ReadError> {
    let mut rollouts = Rollouts::default();
    each_row(journal, rollout::TABLE, "", |_, bytes| {
        if let Ok(rollout) = serde_json::from_slice(bytes) {
            rollouts.insert(rollout);
        }
        Ok::<_, ReadError>(())
    })?;
    Ok(rollouts)
}

/// What is paused.
///
/// # Errors
///
/// [`ReadError`].
pub fn pauses(journal: &dyn Journal) -> Result<Pauses, ReadError> {
    let mut pauses = Pauses::default();
    each_row(journal, control::TABLE, "", |_, bytes| {
        if let Ok(pause) = serde_json::from_slice(bytes) {
            pauses.insert(pause);
        }
        Ok::<_, ReadError>(())
    })?;
    Ok(pauses)
}

/// The changes that could not be read; at most [`LIST_MAX`].
///
/// # Errors
///
/// [`ReadError`].
pub fn quarantined(journal: &dyn Journal) -> Result<Vec<Quarantined>, ReadError> {
    let found = journal.projections(QUARANTINED, "", "", LIST_MAX)?;
    Ok(found.iter().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect())
}

/// A run as its history leads to it: where its steps stand, what it wrote, what it waits for. `None` if there is no such run.
///
/// # Errors
///
/// [`ReadError`].
pub fn folded(journal: &dyn Journal, id: &RunId) -> Result<Option<Run>, ReadError> {
    fold(journal, id, None, &Workflows::default().shelf(journal, Arc::default()))
}

/// As [`fold`], from the newest snapshot of the run if it has one.
pub(crate) fn resumed(
    journal: &dyn Journal,
    id: &RunId,
    library: &dyn Library,
) -> Result<Option<Run>, ReadError> {
    let snapshot = journal.snapshot(&id.stream())?;
    let from = snapshot.and_then(|snapshot| run::restore(id.clone(), &snapshot.state, library));
    fold(journal, id, from, library)
}

/// The run `id` as the records after `from`, a snapshot of it, lead to it.
pub(crate) fn fold(
    journal: &dyn Journal,
    id: &RunId,
    from: Option<Run>,
    library: &dyn Library,
) -> Result<Option<Run>, ReadError> {
    fold_with(journal, id, from, library, &|digest| journal.blob(digest))
}

/// As [`fold`], with large payloads from `fetch`.
pub(crate) fn fold_with(
    journal: &dyn Journal,
    id: &RunId,
    from: Option<Run>,
    library: &dyn Library,
    fetch: Fetch<'_>,
) -> Result<Option<Run>, ReadError> {
    let after = from.as_ref().map_or(StreamSeq(0), |run| run.stream_seq);
    let mut folded = from;
    for record in journal.stream(&id.stream(), after)? {
        let damaged = |problem: String| ReadError::Damaged { seq: record.seq, problem };
        let events = run::decode(record.entry.version, &record.entry.payload, fetch)
            .map_err(|error| damaged(error.to_string()))?;
        folded = Run::fold(folded, id, events, record.entry.at, library).map_err(damaged)?;
        if let Some(run) = &mut folded {
            run.stream_seq = record.entry.stream_seq;
        }
    }
    Ok(folded)
}

/// The workflows there are, each in its newest version with its text as it was added, by name.
///
/// # Errors
///
/// [`ReadError`].
pub fn workflows(journal: &dyn Journal) -> Result<Vec<(WorkflowRef, String)>, ReadError> {
    let workflows = Workflows::default();
    workflows.load(journal)?;
    let all = workflows.all();
    let newest = all.keys().filter_map(|name| workflows.newest(name));
    Ok(newest.map(|(pinned, workflow)| (pinned, workflow.source().to_owned())).collect())
}

/// A workflow's text as it was added: of `version`, or of the newest. `None` if there is no such version.
///
/// # Errors
///
/// [`ReadError`].
pub fn workflow(
    journal: &dyn Journal,
    name: &WorkflowName,
    version: Option<u32>,
) -> Result<Option<(WorkflowRef, String)>, ReadError> {
    Workflows::text(journal, name, version)
}

/// The text of a version of the policy, or of the newest, and which version it is. `None` if there is no such version.
///
/// # Errors
///
/// [`ReadError`].
pub fn policy(
    journal: &dyn Journal,
    version: Option<u32>,
) -> Result<Option<(u32, String)>, ReadError> {
    policies::text(journal, version)
}

/// Whether the event `id` from `source` has reached everyone that it is for, or was never taken.
///
/// # Errors
///
/// [`ReadError`].
pub fn is_delivered(journal: &dyn Journal, source: &str, id: &str) -> Result<bool, ReadError> {
    let pending = journal.projections(events::PENDING, "", "", events::TARGETS_MAX)?;
    let mut pending =
        pending.iter().filter_map(|(_, bytes)| serde_json::from_slice::<Occurrence>(bytes).ok());
    Ok(!pending.any(|event| event.source == source && event.id.as_str() == id))
}

/// The runs that the event `id` from `source` has started, newest first.
///
/// # Errors
///
/// [`ReadError`].
pub fn started_by(
    journal: &dyn Journal,
    source: &str,
    id: &str,
) -> Result<Vec<RunSummary>, ReadError> {
    let mut runs = runs(journal)?;
    runs.retain(|run| {
        let name = run.workflow.rsplit_once('@').map_or(&*run.workflow, |(name, _)| name);
        run.run == events::run_of(name, source, id)
    });
    Ok(runs)
}
