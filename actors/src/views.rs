//! What can be seen of a kernel: reads of the journal's projections. They need the journal and no running kernel.

use serde::{Deserialize, Serialize};
pub use soloist_kernel::run::RunSummary;
use soloist_kernel::{
    id::{ConnectorName, InboxId, RunId},
    inbox::{self, Item},
    journal::{Journal, ProjectionKey, ReadError, Record, StreamSeq},
    run::project,
    time::Timestamp,
};

/// Table of the changes that could not be read.
pub(crate) const QUARANTINED: &str = "quarantined";

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

/// The runs, newest first by their last event; at most [`LIST_MAX`] that are active and as many that are over.
///
/// # Errors
///
/// [`ReadError`].
pub fn runs(journal: &dyn Journal) -> Result<Vec<RunSummary>, ReadError> {
    let mut runs = vec![];
    for table in [project::ACTIVE, project::FINISHED] {
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
    for table in [project::ACTIVE, project::FINISHED] {
        let Some(bytes) = journal.projection(&ProjectionKey::new(table, id.as_str()))? else {
            continue;
        };
        let Ok(summary) = serde_json::from_slice(&bytes) else { continue };
        let records = journal.stream(&id.stream(), StreamSeq(0))?;
        return Ok(Some(RunView { summary, records }));
    }
    Ok(None)
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
