//! What is asked of a run, and how it says no.

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;

use super::{
    awaited::{ChildEnd, Occurrence},
    event::{EffectRef, StepError},
    replay::Divergence,
};
use crate::{
    budget::{Cost, Over, Reservation},
    effect::{Decision, Proposal},
    fault::Fault,
    id::{AgentName, ConnectorName, InboxId, RunId, StepName, WorkflowRef},
    labels::Labeled,
    payload::{Digest, Payload},
    policy::Evidence,
    time::Timestamp,
    workflow::Workflow,
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
    /// Time has passed: what is due by itself happens.
    Tick,
    /// A turn's effect was answered.
    Record {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// The answer.
        answer: Labeled<Payload>,
    },
    /// A turn asks for something that takes its time.
    Await {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// The hash of what was asked.
        asked: Digest,
        /// For what.
        what: Request,
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
    /// Take back a write, or say why that cannot be.
    Compensate {
        /// The step.
        step: StepName,
        /// The write to take back.
        effect: EffectRef,
        /// The write that does it, planned, and what is known about where it would go; or why there is none.
        planned: Result<(Box<Proposal>, Evidence), String>,
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
    /// The next attempt or probe of a write is far away: put it aside.
    Park {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Until when.
        until: Timestamp,
        /// Why it waits.
        reason: String,
    },
    /// The way to a connector is free again: every write to it that is put aside goes on.
    Unpark {
        /// Which.
        connector: ConnectorName,
    },
    /// An event happened.
    Occur(Box<Occurrence>),
    /// A run beneath this one has ended, or has taken back what it did.
    ChildEnded {
        /// The step that waits for it.
        step: StepName,
        /// The effect of that step.
        effect: EffectRef,
        /// How.
        end: Box<ChildEnd>,
    },
    /// Someone decided about a waiting item.
    Decide {
        /// The item.
        item: InboxId,
        /// What.
        decision: Decision,
        /// Who.
        by: String,
        /// For a write: what the connector would send now, and what is known about where it would go.
        fresh: Option<Box<(Proposal, Evidence)>>,
    },
    /// Someone changed a waiting proposal; it was planned again.
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
    /// End the run and take back what it did.
    Abort {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// End the run, and leave what it did.
    Cancel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Try a step again that has failed or waits for its next attempt; the run goes on if it had failed with it.
    Retry {
        /// The step; the one that failed, if there is one.
        step: Option<StepName>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Take this for what a step comes to; the run goes on if it had failed with it.
    Override {
        /// The step.
        step: StepName,
        /// What it comes to.
        output: Payload,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Go on under another version of the workflow.
    Migrate {
        /// The version.
        workflow: WorkflowRef,
        /// Its definition.
        definition: Arc<Workflow>,
        /// The versions of its agents.
        agents: BTreeMap<AgentName, u32>,
        /// Who.
        by: String,
    },
    /// A new process has taken over: nothing is known of the attempts that were under way.
    Recover,
    /// A command, and with what it causes what its call may cost or did cost.
    Paid {
        /// The command.
        command: Box<Command>,
        /// What is paid.
        payment: Payment,
    },
    /// A turn is about to make a call that costs something.
    Reserve {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// The call.
        reservation: Box<Reservation>,
    },
    /// A call of a turn has failed.
    Settle {
        /// Its number in the run.
        call: u32,
        /// What it has cost.
        cost: Cost,
    },
    /// A budget has no room for a call.
    NotFunded {
        /// The step.
        step: StepName,
        /// Whose call it is.
        call: Caller,
        /// Which budget, and until when.
        over: Over,
    },
    /// A budget was raised: what waits for one tries again.
    Fund,
}

/// What is paid with a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Payment {
    /// What the attempt that begins can cost at most.
    Reserve(Box<Reservation>),
    /// What the call of this number has cost.
    Settle {
        /// Its number in the run.
        call: u32,
        /// What it has cost.
        cost: Cost,
    },
}

/// Who makes a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Caller {
    /// An attempt of this write.
    Write(EffectRef),
    /// The turn of this attempt of the step.
    Turn(u32),
}

/// Something that a turn asks for and that takes its time.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The operator's answer.
    Ask {
        /// What is asked.
        prompt: String,
        /// The answers there are; none: any.
        choices: Vec<String>,
        /// How long it can be answered, and what counts as the answer then.
        deadline: Option<(std::time::Duration, Payload)>,
    },
    /// Time.
    Sleep(std::time::Duration),
    /// One turn of another agent.
    Delegate {
        /// Which.
        agent: AgentName,
        /// Its input.
        input: Payload,
    },
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
    /// The agent may not have what it asks for.
    #[error("{problem}")]
    Forbidden {
        /// What it may not have, and what would let it.
        problem: String,
    },
    /// The item does not wait: it was decided already, its deadline has passed, or it never was.
    #[error(
        "inbox item {item} does not wait for a decision: it was decided already, its time is over, it has changed and waits under a \
         new id, or it never was. See `soloist inbox list`"
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
    /// The run cannot go on under the other version.
    #[error("run {run} cannot move to {workflow}: {problem}")]
    Migration {
        /// The run.
        run: RunId,
        /// The version.
        workflow: WorkflowRef,
        /// Why not, and what would let it.
        problem: String,
    },
}
