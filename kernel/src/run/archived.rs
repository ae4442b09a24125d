//! Runs that are archived: which may be, and what is kept of them at hand.
//!
//! What is over and wanted by nobody may leave the live journal. Its row stays: the id of a run is its for ever, and whoever
//! starts it again is told so without a look into the archive.

use serde::{Deserialize, Serialize};

use super::{
    outstanding::is_at_rest,
    project::{ACTIVE, FINISHED, RunSummary},
    state::Run,
};
use crate::{
    inbox,
    journal::{ProjectionKey, archive::SegmentId},
    payload::Payload,
};

/// Runs that are archived, by id.
pub const ARCHIVED: &str = "runs-archived";

/// What is kept at hand of a run that is archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedRun {
    /// The run in a line, with the segment that it is in.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// The hash of its input, by which the same start is told from another.
    input: String,
}

impl ArchivedRun {
    /// What is kept of `run`, which goes to `segment`.
    #[must_use]
    pub fn of(run: &Run, segment: SegmentId) -> Self {
        let summary = RunSummary { archived: Some(segment.file()), ..RunSummary::of(run) };
        Self { summary, input: run.input.value.digest().to_hex() }
    }

    /// The same, in another segment.
    #[must_use]
    pub fn in_segment(mut self, segment: SegmentId) -> Self {
        self.summary.archived = Some(segment.file());
        self
    }

    /// Whether starting `workflow` with `input` under this run's id is starting this run.
    #[must_use]
    pub fn is_start_of(&self, workflow: &str, input: &Payload) -> bool {
        let pinned = &self.summary.workflow;
        let name = pinned.rsplit_once('@').map_or(&**pinned, |(name, _)| name);
        name == workflow && self.input == input.digest().to_hex()
    }

    /// What its row takes the place of.
    #[must_use]
    pub fn project(&self) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
        let id = self.summary.run.as_str();
        let bytes = serde_json::to_vec(self).expect("a summary is plain data");
        vec![
            (ProjectionKey::new(ACTIVE, id), None),
            (ProjectionKey::new(FINISHED, id), None),
            (ProjectionKey::new(ARCHIVED, id), Some(bytes)),
        ]
    }
}

/// Whether nothing will happen in `run` any more and nobody is asked about it.
#[must_use]
pub fn is_archivable(run: &Run) -> bool {
    let parked = || run.writes().any(|(_, _, write)| write.is_parked());
    run.status.is_over()
        && is_at_rest(run)
        && run.next_due().is_none()
        && !parked()
        && inbox::items(run).is_empty()
}
