//! What happens in a run.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::awaited::{Answer, Awaits};
use crate::{
    budget::{Cost, Reservation},
    effect::WriteEvent,
    id::{AgentName, EffectName, RunId, StepName, WorkflowRef},
    labels::Labeled,
    payload::{Digest, Payload},
    time::Timestamp,
};

/// A fact of a run's history.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run began.
    Started(Box<Beginning>),
    /// An attempt of a step began.
    StepStarted {
        /// The step.
        step: StepName,
        /// Counted from one.
        attempt: u32,
    },
    /// A step will not run, or was turned down: its condition does not hold, a step it needs was skipped, or the operator
    /// said no.
    StepSkipped {
        /// The step.
        step: StepName,
    },
    /// A step ended well.
    StepCompleted {
        /// The step.
        step: StepName,
        /// What it returned.
        output: Labeled<Payload>,
    },
    /// An attempt of a step failed.
    StepFailed {
        /// The step.
        step: StepName,
        /// Why.
        error: StepError,
        /// What is done about it.
        next: AfterFailure,
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
        answer: Labeled<Payload>,
    },
    /// A step waits for something: an answer, a time, an event, a run.
    Awaited {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// For what.
        what: Box<Awaits>,
    },
    /// What a step waited for is there.
    Answered {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// What it is.
        answer: Box<Answer>,
    },
    /// Someone else is to answer a question.
    Delegated {
        /// The step.
        step: StepName,
        /// Which question of the step.
        effect: EffectRef,
        /// Who gave it away.
        by: String,
        /// To whom.
        to: String,
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
    /// A write cannot be taken back.
    Uncompensated {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// Why not.
        reason: String,
    },
    /// A run beneath this one has taken back what it did.
    ChildUnwound {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// How many of its writes stay.
        left: u32,
    },
    /// Every step is over.
    Completed {
        /// The output of the last step that has one.
        output: Labeled<Payload>,
    },
    /// A step failed for good, and the run with it.
    Failed {
        /// The step.
        step: StepName,
        /// Why.
        error: StepError,
    },
    /// The run takes back what it did, and then has failed.
    Unwinding {
        /// Why.
        cause: Cause,
    },
    /// What could be taken back is.
    Unwound,
    /// The run is over its deadline, and goes on.
    Overdue,
    /// The run goes on under another version of its workflow.
    Migrated {
        /// The version.
        workflow: WorkflowRef,
        /// The versions of its agents.
        agents: BTreeMap<AgentName, u32>,
        /// Who moved it.
        by: String,
    },
    /// The operator has seen the failure, or that the run is late, and wants to hear no more of it.
    Dismissed {
        /// Who.
        by: String,
    },
    /// Someone ended the run. What it did stays.
    Cancelled {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A step is tried again that has failed or waits for its next attempt, and its run goes on if it had failed with it.
    Retried {
        /// The step.
        step: StepName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Someone said what a step comes to, in the place of its work. Its run goes on if it had failed with it.
    Overridden {
        /// The step.
        step: StepName,
        /// What it comes to.
        output: Labeled<Payload>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// What a call can cost at most is reserved. Fsynced before the first byte of it leaves.
    Reserved {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// Its number in the run, counted from one.
        call: u32,
        /// What it is, and what it can cost.
        reservation: Box<Reservation>,
    },
    /// A call is over, and what it did cost takes the place of what was reserved.
    Settled {
        /// The step.
        step: StepName,
        /// Which effect of the step.
        effect: EffectRef,
        /// Its number in the run.
        call: u32,
        /// What it has cost.
        cost: Cost,
    },
}

/// How a run begins, and what it is pinned to.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning {
    /// The version of its workflow.
    pub workflow: WorkflowRef,
    /// For a round of a `map` or a `loop`: the step of that workflow whose body this run is.
    pub body: Option<StepName>,
    /// The versions of its agents.
    pub agents: BTreeMap<AgentName, u32>,
    /// The run it is beneath.
    pub parent: Option<Parent>,
    /// Its input.
    pub input: Labeled<Payload>,
}

/// The place in a run that waits for the end of another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// Its step.
    pub step: StepName,
    /// The effect of that step.
    pub effect: EffectRef,
}

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A step failed for good.
    Step {
        /// Which.
        step: StepName,
        /// Why.
        error: StepError,
    },
    /// Someone ended it, and had it take back what it did.
    Aborted {
        /// Who: the operator, or the run above it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Someone ended it, and had it leave what it did.
    Cancelled {
        /// Who: the operator, or the run above it.
        by: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { step, error } => write!(f, "step `{step}` failed: {error}"),
            Self::Aborted { by, reason } => write!(f, "{by} aborted it: {reason}"),
            Self::Cancelled { by, reason } => write!(f, "{by} cancelled it: {reason}"),
        }
    }
}

/// An effect within its step.
///
/// A name with a colon is the kernel's own or that of a branch: `0.1:fact` is effect `fact` of branch 1 of branch 0 of a
/// turn's `join`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EffectRef {
    /// Its name.
    pub name: EffectName,
    /// Which use of the name in this turn, counted from zero.
    pub occurrence: u32,
}

impl EffectRef {
    /// An effect that the kernel itself gives to a step.
    ///
    /// # Panics
    ///
    /// If `name` is no name: it is a literal of the kernel.
    #[must_use]
    pub(crate) fn kernel(name: &str, occurrence: u32) -> Self {
        let name = EffectName::new(name).expect("the kernel's own names are names");
        Self { name, occurrence }
    }

    /// The branch of the turn that asks for it; empty outside of a `join`.
    #[must_use]
    pub fn branch(&self) -> &str {
        self.name.as_str().split_once(':').map_or("", |(branch, _)| branch)
    }
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
#[serde(rename_all = "snake_case")]
pub enum StepErrorKind {
    /// The agent said that it failed, and that another try may help.
    Failed,
    /// The agent said that it failed for good.
    Final,
    /// The attempt took longer than the step's timeout, or was silent for longer than its heartbeat.
    TimedOut,
    /// The agent panicked.
    Panicked,
    /// The agent's effects came in another order than the journal has them.
    Diverged,
    /// The step's condition or input is not what it must be.
    Invalid,
    /// A write of the step failed for good.
    WriteFailed,
    /// The agent failed in a way that it declares.
    Declared,
    /// The agent's output does not have the shape that it declares.
    Output,
    /// A run beneath the step failed, or too many did.
    Child,
    /// A loop came to its last round and its condition did not hold.
    Rounds,
    /// The agent asked for what it may not have: a tool it does not name, a write of a read-only agent, more effects than
    /// it declares.
    Forbidden,
    /// There was no room in a budget for one of its calls.
    OverBudget,
}

impl StepErrorKind {
    /// Whether another attempt may help.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Failed | Self::TimedOut | Self::Panicked | Self::Output => true,
            Self::Final
            | Self::Diverged
            | Self::Invalid
            | Self::WriteFailed
            | Self::Declared
            | Self::Child
            | Self::Rounds
            | Self::Forbidden
            | Self::OverBudget => false,
        }
    }
}

/// What is done about a failed attempt of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterFailure {
    /// Another attempt.
    At(Timestamp),
    /// The step has failed, and the run with it.
    Never,
    /// The step has failed, and the run takes back what it did.
    Compensate,
    /// The operator decides.
    Escalate,
    /// Something else stands in for the step: an agent, a template, or that it failed.
    StandIn,
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "run.started",
            Self::StepStarted { .. } => "step.started",
            Self::StepSkipped { .. } => "step.skipped",
            Self::StepCompleted { .. } => "step.completed",
            Self::StepFailed { .. } => "step.failed",
            Self::Recorded { .. } => "effect.recorded",
            Self::Awaited { what, .. } => what.kind(),
            Self::Answered { .. } => "effect.answered",
            Self::Delegated { .. } => "effect.delegated",
            Self::Write { event, .. } => event.kind(),
            Self::Uncompensated { .. } => "write.uncompensated",
            Self::ChildUnwound { .. } => "child.unwound",
            Self::Completed { .. } => "run.completed",
            Self::Failed { .. } => "run.failed",
            Self::Unwinding { .. } => "run.unwinding",
            Self::Unwound => "run.unwound",
            Self::Overdue => "run.overdue",
            Self::Migrated { .. } => "run.migrated",
            Self::Dismissed { .. } => "run.dismissed",
            Self::Cancelled { .. } => "run.cancelled",
            Self::Retried { .. } => "step.retried",
            Self::Overridden { .. } => "step.overridden",
            Self::Reserved { .. } => "call.reserved",
            Self::Settled { .. } => "call.settled",
        }
    }
}
