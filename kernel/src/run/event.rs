//! What happens in a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    effect::WriteEvent,
    id::{EffectName, StepName, WorkflowRef},
    payload::{Digest, Payload},
    time::Timestamp,
};

/// A fact of a run's history.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run began.
    Started {
        /// The version it is pinned to.
        workflow: WorkflowRef,
        /// Its input.
        input: Payload,
    },
    /// An attempt of a step began.
    StepStarted {
        /// The step.
        step: StepName,
        /// Counted from one.
        attempt: u32,
    },
    /// A step will not run: its condition does not hold, or a step it needs was skipped.
    StepSkipped {
        /// The step.
        step: StepName,
    },
    /// A step ended well.
    StepCompleted {
        /// The step.
        step: StepName,
        /// What it returned.
        output: Payload,
    },
    /// An attempt of a step failed.
    StepFailed {
        /// The step.
        step: StepName,
        /// Why.
        error: StepError,
        /// What is done about it.
        next: StepRetry,
    },
    /// A turn's effect was answered. Replays of the turn get the same answer.
    Recorded {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// The answer.
        answer: Payload,
    },
    /// Something happened to a write.
    Write {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// For [`WriteEvent::Proposed`]: the hash of what was asked.
        asked: Option<Digest>,
        /// What happened.
        event: WriteEvent,
    },
    /// Every step is over.
    Completed {
        /// The output of the last step that has one.
        output: Payload,
    },
    /// A step failed for good, and the run with it.
    Failed {
        /// The step.
        step: StepName,
        /// Why.
        error: StepError,
    },
    /// The operator has seen the failure and wants to hear no more of it.
    Dismissed {
        /// Who.
        by: String,
    },
}

/// An effect within its step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EffectRef {
    /// Its name.
    pub name: EffectName,
    /// Which use of the name in this turn, counted from zero.
    pub occurrence: u32,
}

impl fmt::Display for EffectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.occurrence)
    }
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// The kind: it decides whether trying again can help.
    pub kind: StepErrorKind,
    /// What happened and what to do, for a person.
    pub message: String,
}

impl StepError {
    /// An error of `kind`.
    #[must_use]
    pub fn new(kind: StepErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The kinds of a step's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepErrorKind {
    /// The agent said that it failed, and that another try may help.
    Failed,
    /// The agent said that it failed for good.
    Final,
    /// The attempt took longer than the step's timeout.
    TimedOut,
    /// The agent panicked.
    Panicked,
    /// The agent's effects came in another order than the journal has them.
    Diverged,
    /// The step's condition, input or output is not what it must be.
    Invalid,
    /// A write of the step failed for good.
    WriteFailed,
}

impl StepErrorKind {
    /// Whether another attempt may help.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Failed | Self::TimedOut | Self::Panicked => true,
            Self::Final | Self::Diverged | Self::Invalid | Self::WriteFailed => false,
        }
    }
}

/// What is done about a failed attempt of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepRetry {
    /// Another attempt.
    At(Timestamp),
    /// None: the step has failed.
    Never,
}
