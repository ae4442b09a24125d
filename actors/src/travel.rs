//! Looking back: a run as it was, rebuilt, carried elsewhere, and tried again in another way.
//!
//! Its rule: **nothing here acts**. [`at`] and [`replay()`] fold what is recorded; [`export`] packs it, and a [`Bundle`] folds it
//! where there is no journal. A [`Fork`] lets a copy of a run go on in a kernel of its own, over a journal in memory, in a time
//! that passes at once, among connectors that answer from the recording; whatever comes of it leaves no trace in the journal
//! that it was copied from.
//!
//! `history.rs` is the fold that all of them share, whatever the records are read from.

mod bundle;
mod fork;
mod history;
mod replay;

use soloist_kernel::{
    id::{RunId, WorkflowRef},
    journal::{ReadError, Seq},
};
use thiserror::Error;

use self::history::OfJournal;
use crate::handle::Soloist;

pub(crate) use self::fork::{Stage, shadow};
pub use self::{
    bundle::{Bundle, BundleError, export},
    fork::{End, Fork, ForkError, Forked, Side, StepChange, WriteChange, WriteSide},
    history::{Moment, at},
    replay::{Difference, Replayed, replay, replay_run},
};

/// Why a history cannot be read.
#[derive(Debug, Error)]
pub enum TravelError {
    /// There is no such run.
    #[error("there is no run \"{run}\"; see `soloist run list`")]
    NoRun {
        /// The run.
        run: RunId,
    },
    /// The run had not begun then.
    #[error(
        "run {run} had not begun at record {seq}: its first record is {first}; name that one or a later one"
    )]
    NotBegun {
        /// The run.
        run: RunId,
        /// What was asked for.
        seq: Seq,
        /// Its first record.
        first: Seq,
    },
    /// Nothing is written there yet.
    #[error(
        "there is no record {seq} yet: the last one is {head}; name that one or an earlier one"
    )]
    Beyond {
        /// What was asked for.
        seq: Seq,
        /// The last record there is.
        head: Seq,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A history that is not one.
    #[error("record {seq} of run {run} does not follow from those before it: {problem}")]
    Unfit {
        /// The run.
        run: RunId,
        /// The record.
        seq: Seq,
        /// What does not fit.
        problem: String,
    },
    /// The definition of a version is not there.
    #[error("the text of workflow {workflow}, which run {run} is pinned to, is not there")]
    NoDefinition {
        /// The run.
        run: RunId,
        /// The version.
        workflow: WorkflowRef,
    },
}

impl Soloist {
    /// The run `id` as it was when record `seq` had been written, or as it is now.
    ///
    /// # Errors
    ///
    /// [`TravelError`], also if the run had not begun by then, or there is no such record yet.
    pub fn at(&self, id: &RunId, seq: Option<Seq>) -> Result<Moment, TravelError> {
        at(self.journal(), id, seq)
    }

    /// Rebuilds the run `id` and every run beneath it from their records alone, and holds whatever else is kept of them against
    /// that.
    ///
    /// # Errors
    ///
    /// [`TravelError`], if there is no such run or the journal cannot be read.
    pub fn replay(&self, id: &RunId) -> Result<Vec<Replayed>, TravelError> {
        replay::all(&OfJournal::of(self.context()), id)
    }

    /// [`replay`](Self::replay) of the run `id` alone.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn replay_run(&self, id: &RunId) -> Result<Replayed, TravelError> {
        replay::steadily(&OfJournal::of(self.context()), id)
    }

    /// A bundle of the run `id` and of every run beneath it, to be [read](Bundle::read) elsewhere.
    ///
    /// # Errors
    ///
    /// [`TravelError`], if there is no such run, or its history cannot be read.
    pub fn export(&self, id: &RunId) -> Result<Vec<u8>, TravelError> {
        export(self.journal(), id)
    }
}
