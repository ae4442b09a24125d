//! What is asked of a run, and how it says no.

use thiserror::Error;

use super::{
    event::{EffectRef, StepError},
    replay::Divergence,
};
use crate::{
    effect::{Decision, Proposal},
    fault::Fault,
    id::{InboxId, RunId, StepName},
    payload::{Digest, Payload},
    policy::Evidence,
};

/// What is asked of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A turn ended well.
    CompleteStep {
        /// The step.
        step: StepName,
        /// The attempt that ended.
        attempt: u32,
        /// What it returned.
        output: Payload,
    },
    /// A turn ended badly.
    FailStep {
        /// The step.
        step: StepName,
        /// The attempt that ended.
        attempt: u32,
        /// Why.
        error: StepError,
    },
    /// A turn's effects do not match the journal.
    Diverge {
        /// The step.
        step: StepName,
        /// The attempt that diverged.
        attempt: u32,
        /// Where and how.
        divergence: Divergence,
    },
    /// A step's wait between attempts is over.
    Wake {
        /// The step.
        step: StepName,
    },
    /// A turn's effect was answered.
    Record {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// The answer.
        answer: Payload,
    },
    /// A turn or a `call` step wants a write.
    Propose {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// The planned write.
        proposal: Box<Proposal>,
        /// What the kernel knows about where it would go.
        evidence: Evidence,
    },
    /// The connector is ready: journal the intent of an attempt.
    Attempt {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
    },
    /// An attempt succeeded.
    Land {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Which attempt.
        attempt: u32,
        /// The connector's receipt.
        receipt: Payload,
    },
    /// An attempt failed.
    Fault {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Which attempt.
        attempt: u32,
        /// How.
        fault: Fault,
    },
    /// A probe ended.
    Probed {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// What it found.
        found: Probed,
    },
    /// The operator decided about a waiting item.
    Decide {
        /// The item.
        item: InboxId,
        /// What.
        decision: Decision,
        /// Who.
        by: String,
    },
    /// The operator changed a waiting proposal; it was planned again.
    Modify {
        /// The item.
        item: InboxId,
        /// The changed write.
        proposal: Box<Proposal>,
        /// What the kernel knows about where it would go.
        evidence: Evidence,
        /// Who.
        by: String,
    },
    /// A new process has taken over: nothing is known of the attempts that were under way.
    Recover,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub enum Probed {
    /// The write is there.
    Landed {
        /// Its receipt.
        receipt: Payload,
    },
    /// The write is certainly not there.
    Absent,
    /// It could not be told.
    Unknown {
        /// Why not.
        fault: Fault,
    },
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The run is over.
    #[error("run {run} is {status}; nothing more can happen in it")]
    Over {
        /// The run.
        run: RunId,
        /// How it ended.
        status: &'static str,
    },
    /// The command speaks of a step, an attempt or an effect that is no longer current: an answer that came late.
    #[error("{what} of run {run} is no longer current: {why}")]
    Stale {
        /// The run.
        run: RunId,
        /// What the command is about.
        what: String,
        /// Why it is stale.
        why: String,
    },
    /// The item does not wait: it was decided already, or never was.
    #[error(
        "inbox item {item} does not wait for a decision; it was decided already, or is of another run. See `soloist inbox list`"
    )]
    NotWaiting {
        /// The item.
        item: InboxId,
    },
    /// The decision does not fit the item.
    #[error("{problem}")]
    Unfit {
        /// Why it does not fit and what does.
        problem: String,
    },
    /// Policy denies what the operator's change would do.
    #[error("policy denies the change by rule `{rule}`: {reason}; the item still waits as it was")]
    Denied {
        /// The rule.
        rule: String,
        /// Its reason.
        reason: String,
    },
}
