//! What the handle answers, and how it says no.

use soloist_kernel::{
    fault::Fault,
    id::{BadName, ConnectorName, InboxId, RunId, StepName},
    journal::ReadError,
    payload::{Payload, PayloadError},
    run::Refusal,
};
use thiserror::Error;

use crate::run::Which;

/// Where a run came to rest.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEnd {
    /// It ended well, with this output.
    Completed(Payload),
    /// It failed, and waits in the inbox as an incident.
    Failed {
        /// The step that failed.
        step: StepName,
        /// Why.
        reason: String,
    },
    /// It was ended, and took back what it did as far as it could.
    Aborted {
        /// Why.
        reason: String,
    },
    /// It was ended, and has left what it did.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// It waits: for the operator (see [`Soloist::inbox`](crate::Soloist::inbox)), a time, an event, or runs beneath it that wait.
    Waiting {
        /// The runs beneath it that it waits for.
        on: Vec<RunId>,
    },
    /// Its actor died again and again, so it is set aside, and waits in the inbox as an incident; or it is archived, and cannot
    /// be read there.
    SetAside {
        /// Why, and where to look.
        reason: String,
    },
    /// There is no such run.
    Missing,
}

/// What one pull brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Runs started.
    pub runs: u64,
    /// Changes that could not be read.
    pub quarantined: u64,
}

/// The kernel has stopped for good in this process.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the kernel has halted: {reason}")]
pub struct Halted {
    /// Why, and what to do.
    pub reason: String,
    /// Whether it is the tree that has given up, and the journal is sound: then the process can stay and be looked at.
    /// Else nobody knows what is on disk, and the process should end, so that the next one can recover.
    pub gave_up: bool,
}

/// Why a run was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The run's id or the workflow's name is not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The input cannot be a payload.
    #[error("the input of the run: {0}")]
    Input(#[from] PayloadError),
    /// No workflow serves the goal.
    #[error("{0}")]
    UnknownGoal(String),
    /// No such workflow.
    #[error("there is no workflow `{name}`; there is {there}")]
    UnknownWorkflow {
        /// The name.
        name: String,
        /// The names there are.
        there: String,
    },
    /// The id is in use by a run with another workflow or input.
    #[error("run {run} exists with another workflow or input; choose another id")]
    IdInUse {
        /// The run.
        run: RunId,
    },
    /// The kernel is over a limit.
    #[error("the run was not started: {0}")]
    Refused(String),
    /// The journal has stopped.
    #[error("the run may or may not have been started: {0}")]
    Halted(String),
}

impl StartError {
    pub(crate) fn unknown_workflow(which: &Which, there: &[String]) -> Self {
        let there: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        Self::UnknownWorkflow { name: which.name().to_owned(), there }
    }
}

/// Why an event was not taken.
#[derive(Debug, Error)]
pub enum EmitError {
    /// The event's id or type is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The data cannot be a payload.
    #[error("the data of the event: {0}")]
    Data(#[from] PayloadError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Too many events wait to be taken.
    #[error(
        "the event was not taken: {waiting} wait already, which is the limit; emit it again in a moment"
    )]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The kernel has halted, or a part of it is restarting: emit it again, which is safe.
    #[error("the event may or may not have been taken: {0}; emit it again, which is safe")]
    Halted(String),
}

/// Why a decision was not taken. The item waits as before, unless the kernel has halted.
#[derive(Debug, Error)]
pub enum DecideError {
    /// The kernel refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Policy, or what the connector would send, has changed since the item was shown.
    #[error(
        "item {item} was not approved: policy or what would be sent has changed since it was shown; look at it again, it waits under a \
         new id if it still has to. See `soloist inbox list`"
    )]
    Changed {
        /// The item as it was.
        item: InboxId,
    },
    /// No such run.
    #[error("there is no run {run}; see `soloist run list`")]
    NoRun {
        /// The id.
        run: RunId,
    },
    /// The change cannot be made.
    #[error("the change cannot be made: {0}")]
    Invalid(String),
    /// Too many messages wait for runs.
    #[error(
        "the decision was not taken: {waiting} messages wait already, which is the limit; decide again in a moment"
    )]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The item's id is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The journal has stopped, or the run's actor died: ask again whether the item still waits.
    #[error("the decision may or may not have been taken: {0}")]
    Halted(String),
}

/// Why a pull did not end well. What it brought until then is kept.
#[derive(Debug, Error)]
pub enum PullError {
    /// No such intake.
    #[error("connector `{0}` has no intake; add one with `Builder::intake`")]
    NoIntake(String),
    /// The source could not be read.
    #[error("failed to read from connector `{connector}`: {}", .fault.message)]
    Source {
        /// The connector.
        connector: ConnectorName,
        /// What happened.
        fault: Fault,
    },
    /// A change's run could not be started.
    #[error("failed to start a run for a change: {0}")]
    Start(Box<StartError>),
    /// The kernel has halted, or a part of it is restarting.
    #[error("{0}")]
    Halted(String),
}
