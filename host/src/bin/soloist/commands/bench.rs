//! `soloist bench`: measures the kernel beside its limit, in one process, round by round in turn.

mod actors;
mod bare;
mod fresh;
mod recovery;
mod steps;
mod waiting;

use crate::{cli::BenchCommand, report::Failure};

/// Measures.
pub(crate) async fn bench(what: BenchCommand, json: bool) -> Result<(), Failure> {
    match what {
        BenchCommand::Steps { concurrency, runs } => {
            steps::steps(concurrency.max(1), runs.max(1), json).await
        }
        BenchCommand::Waiting { runs, at } => waiting::waiting(runs.max(1), at, json).await,
        BenchCommand::Recovery { events, at } => recovery::recovery(events, at, json).await,
        BenchCommand::Actors { actors, messages } => {
            actors::actors(actors.max(1), messages.max(1), json).await
        }
    }
}
