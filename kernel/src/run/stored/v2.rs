//! The stored events of version 2, the present one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Blobs, Fetch, StoredError,
    payload::{StoredLabeled, StoredPayload},
};
use crate::{
    budget::{Cost, Reservation},
    effect::{AfterFault, Proposal, WriteEvent},
    fault::Fault,
    id::{AgentName, ConnectorName, EventType, OperationName, RunId, StepName, WorkflowRef},
    labels::Labels,
    payload::Digest,
    policy::Judgement,
    run::{
        awaited::{Answer, Awaits, Child, ChildOf, Question},
        event::{AfterFailure, Beginning, Cause, EffectRef, Event, Parent, StepError},
    },
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

#[derive(Serialize, Deserialize)]
pub(super) enum StoredEvent {
    Started(Box<StoredBeginning>),
    StepStarted { step: StepName, attempt: u32 },
    StepSkipped { step: StepName },
    StepCompleted { step: StepName, output: StoredLabeled },
    StepFailed { step: StepName, error: StepError, next: AfterFailure },
    Recorded { step: StepName, effect: EffectRef, asked: Digest, answer: StoredLabeled },
    Awaited { step: StepName, effect: EffectRef, asked: Digest, what: Box<StoredAwaits> },
    Answered { step: StepName, effect: EffectRef, payload: StoredLabeled, by: String, did: bool },
    Delegated { step: StepName, effect: EffectRef, by: String, to: String },
    Write { step: StepName, effect: EffectRef, asked: Option<Digest>, event: StoredWriteEvent },
    Uncompensated { step: StepName, effect: EffectRef, reason: String },
    ChildUnwound { step: StepName, effect: EffectRef, left: u32 },
    Completed { output: StoredLabeled },
    Failed { step: StepName, error: StepError },
    Unwinding { cause: Cause },
    Unwound,
    Overdue,
    Migrated { workflow: WorkflowRef, agents: BTreeMap<AgentName, u32>, by: String },
    Dismissed { by: String },
    Cancelled { by: String, reason: String },
    Retried { step: StepName, by: String, reason: String },
    Overridden { step: StepName, output: StoredLabeled, by: String, reason: String },
    Reserved { step: StepName, effect: EffectRef, call: u32, reservation: Box<Reservation> },
    Settled { step: StepName, effect: EffectRef, call: u32, cost: Cost },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredBeginning {
    workflow: WorkflowRef,
    body: Option<StepName>,
    agents: BTreeMap<AgentName, u32>,
    parent: Option<Parent>,
    input: StoredLabeled,
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredAwaits {
    Question {
        prompt: StoredPayload,
        choices: Vec<String>,
        approval: bool,
        deadline: Option<Timestamp>,
        default: Option<StoredPayload>,
        assigned: Option<String>,
        round: u32,
    },
    Until {
        at: Timestamp,
    },
    Event {
        event: EventType,
    },
    Child {
        run: RunId,
        of: ChildOf,
        input: StoredLabeled,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredWriteEvent {
    Proposed { proposal: Box<StoredProposal>, judgement: Judgement },
    Approved { by: String },
    Modified { by: String, proposal: Box<StoredProposal>, judgement: Judgement },
    Aborted { by: String, reason: String },
    Attempted { attempt: u32 },
    Landed { receipt: StoredPayload },
    Faulted { fault: Fault, next: AfterFault },
    ProvenAbsent { next: AfterFault },
    Resolved { by: String, happened: bool },
    Reproposed { proposal: Box<StoredProposal>, judgement: Judgement },
    Delegated { by: String, to: String },
    Expired { approved: bool },
    Stopped { reason: String },
    Parked { until: Timestamp, reason: String },
    Unparked,
    Unfunded { until: Timestamp, reason: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredProposal {
    connector: ConnectorName,
    operation: OperationName,
    arguments: StoredPayload,
    routing: Vec<(String, String)>,
    preview: StoredPayload,
    digest: Digest,
    at: Timestamp,
    semantics: WriteSemantics,
    reversal: Reversal,
    labels: BTreeMap<String, Labels>,
    manifest: Digest,
    redacted: Vec<String>,
}

impl StoredEvent {
    pub(super) fn of(event: &Event, blobs: &mut Blobs) -> Self {
        match event.clone() {
            Event::Started(beginning) => {
                let Beginning { workflow, body, agents, parent, input } = *beginning;
                let input = StoredLabeled::of(&input, blobs);
                Self::Started(Box::new(StoredBeginning { workflow, body, agents, parent, input }))
            }
            Event::StepStarted { step, attempt } => Self::StepStarted { step, attempt },
            Event::StepSkipped { step } => Self::StepSkipped { step },
            Event::StepCompleted { step, output } => {
                Self::StepCompleted { step, output: StoredLabeled::of(&output, blobs) }
            }
            Event::StepFailed { step, error, next } => Self::StepFailed { step, error, next },
            Event::Recorded { step, effect, asked, answer } => {
                Self::Recorded { step, effect, asked, answer: StoredLabeled::of(&answer, blobs) }
            }
            Event::Awaited { step, effect, asked, what } => Self::Awaited {
                step,
                effect,
                asked,
                what: Box::new(StoredAwaits::of(*what, blobs)),
            },
            Event::Answered { step, effect, answer } => {
                let Answer { payload, by, did } = *answer;
                Self::Answered {
                    step,
                    effect,
                    payload: StoredLabeled::of(&payload, blobs),
                    by,
                    did,
                }
            }
            Event::Delegated { step, effect, by, to } => Self::Delegated { step, effect, by, to },
            Event::Write { step, effect, asked, event } => {
                Self::Write { step, effect, asked, event: StoredWriteEvent::of(event, blobs) }
            }
            Event::Uncompensated { step, effect, reason } => {
                Self::Uncompensated { step, effect, reason }
            }
            Event::ChildUnwound { step, effect, left } => Self::ChildUnwound { step, effect, left },
            Event::Completed { output } => {
                Self::Completed { output: StoredLabeled::of(&output, blobs) }
            }
            Event::Failed { step, error } => Self::Failed { step, error },
            Event::Unwinding { cause } => Self::Unwinding { cause },
            Event::Unwound => Self::Unwound,
            Event::Overdue => Self::Overdue,
            Event::Migrated { workflow, agents, by } => Self::Migrated { workflow, agents, by },
            Event::Dismissed { by } => Self::Dismissed { by },
            Event::Cancelled { by, reason } => Self::Cancelled { by, reason },
            Event::Retried { step, by, reason } => Self::Retried { step, by, reason },
            Event::Overridden { step, output, by, reason } => {
                let output = StoredLabeled::of(&output, blobs);
                Self::Overridden { step, output, by, reason }
            }
            Event::Reserved { step, effect, call, reservation } => {
                Self::Reserved { step, effect, call, reservation }
            }
            Event::Settled { step, effect, call, cost } => {
                Self::Settled { step, effect, call, cost }
            }
        }
    }

    pub(super) fn read(self, fetch: Fetch<'_>) -> Result<Event, StoredError> {
        Ok(match self {
            Self::Started(beginning) => {
                let StoredBeginning { workflow, body, agents, parent, input } = *beginning;
                let input = input.read(fetch)?;
                Event::Started(Box::new(Beginning { workflow, body, agents, parent, input }))
            }
            Self::StepStarted { step, attempt } => Event::StepStarted { step, attempt },
            Self::StepSkipped { step } => Event::StepSkipped { step },
            Self::StepCompleted { step, output } => {
                Event::StepCompleted { step, output: output.read(fetch)? }
            }
            Self::StepFailed { step, error, next } => Event::StepFailed { step, error, next },
            Self::Recorded { step, effect, asked, answer } => {
                Event::Recorded { step, effect, asked, answer: answer.read(fetch)? }
            }
            Self::Awaited { step, effect, asked, what } => {
                Event::Awaited { step, effect, asked, what: Box::new(what.read(fetch)?) }
            }
            Self::Answered { step, effect, payload, by, did } => {
                let payload = payload.read(fetch)?;
                Event::Answered { step, effect, answer: Box::new(Answer { payload, by, did }) }
            }
            Self::Delegated { step, effect, by, to } => Event::Delegated { step, effect, by, to },
            Self::Write { step, effect, asked, event } => {
                Event::Write { step, effect, asked, event: event.read(fetch)? }
            }
            Self::Uncompensated { step, effect, reason } => {
                Event::Uncompensated { step, effect, reason }
            }
            Self::ChildUnwound { step, effect, left } => Event::ChildUnwound { step, effect, left },
            Self::Completed { output } => Event::Completed { output: output.read(fetch)? },
            Self::Failed { step, error } => Event::Failed { step, error },
            Self::Unwinding { cause } => Event::Unwinding { cause },
            Self::Unwound => Event::Unwound,
            Self::Overdue => Event::Overdue,
            Self::Migrated { workflow, agents, by } => Event::Migrated { workflow, agents, by },
            Self::Dismissed { by } => Event::Dismissed { by },
            Self::Cancelled { by, reason } => Event::Cancelled { by, reason },
            Self::Retried { step, by, reason } => Event::Retried { step, by, reason },
            Self::Overridden { step, output, by, reason } => {
                Event::Overridden { step, output: output.read(fetch)?, by, reason }
            }
            Self::Reserved { step, effect, call, reservation } => {
                Event::Reserved { step, effect, call, reservation }
            }
            Self::Settled { step, effect, call, cost } => {
                Event::Settled { step, effect, call, cost }
            }
        })
    }
}

impl StoredAwaits {
    fn of(what: Awaits, blobs: &mut Blobs) -> Self {
        match what {
            Awaits::Question(question) => Self::Question {
                prompt: StoredPayload::of_text(&question.prompt, blobs),
                choices: question.choices,
                approval: question.approval,
                deadline: question.deadline,
                default: question.default.map(|default| StoredPayload::of(&default, blobs)),
                assigned: question.assigned,
                round: question.round,
            },
            Awaits::Until { at } => Self::Until { at },
            Awaits::Event { event } => Self::Event { event },
            Awaits::Child(Child { run, of, input }) => {
                Self::Child { run, of, input: StoredLabeled::of(&input, blobs) }
            }
        }
    }

    fn read(self, fetch: Fetch<'_>) -> Result<Awaits, StoredError> {
        Ok(match self {
            Self::Question { prompt, choices, approval, deadline, default, assigned, round } => {
                Awaits::Question(Question {
                    prompt: prompt.read_text(fetch)?,
                    choices,
                    approval,
                    deadline,
                    default: default.map(|default| default.read(fetch)).transpose()?,
                    assigned,
                    round,
                })
            }
            Self::Until { at } => Awaits::Until { at },
            Self::Event { event } => Awaits::Event { event },
            Self::Child { run, of, input } => {
                Awaits::Child(Child { run, of, input: input.read(fetch)? })
            }
        })
    }
}

impl StoredWriteEvent {
    fn of(event: WriteEvent, blobs: &mut Blobs) -> Self {
        let mut stored = |proposal: Box<Proposal>| StoredProposal::of(*proposal, blobs);
        match event {
            WriteEvent::Proposed { proposal, judgement } => {
                Self::Proposed { proposal: stored(proposal), judgement }
            }
            WriteEvent::Approved { by } => Self::Approved { by },
            WriteEvent::Modified { by, proposal, judgement } => {
                Self::Modified { by, proposal: stored(proposal), judgement }
            }
            WriteEvent::Aborted { by, reason } => Self::Aborted { by, reason },
            WriteEvent::Attempted { attempt } => Self::Attempted { attempt },
            WriteEvent::Landed { receipt } => {
                Self::Landed { receipt: StoredPayload::of(&receipt, blobs) }
            }
            WriteEvent::Faulted { fault, next } => Self::Faulted { fault, next },
            WriteEvent::ProvenAbsent { next } => Self::ProvenAbsent { next },
            WriteEvent::Resolved { by, happened } => Self::Resolved { by, happened },
            WriteEvent::Reproposed { proposal, judgement } => {
                Self::Reproposed { proposal: stored(proposal), judgement }
            }
            WriteEvent::Delegated { by, to } => Self::Delegated { by, to },
            WriteEvent::Expired { approved } => Self::Expired { approved },
            WriteEvent::Stopped { reason } => Self::Stopped { reason },
            WriteEvent::Parked { until, reason } => Self::Parked { until, reason },
            WriteEvent::Unparked => Self::Unparked,
            WriteEvent::Unfunded { until, reason } => Self::Unfunded { until, reason },
        }
    }

    fn read(self, fetch: Fetch<'_>) -> Result<WriteEvent, StoredError> {
        Ok(match self {
            Self::Proposed { proposal, judgement } => {
                WriteEvent::Proposed { proposal: proposal.read(fetch)?, judgement }
            }
            Self::Approved { by } => WriteEvent::Approved { by },
            Self::Modified { by, proposal, judgement } => {
                WriteEvent::Modified { by, proposal: proposal.read(fetch)?, judgement }
            }
            Self::Aborted { by, reason } => WriteEvent::Aborted { by, reason },
            Self::Attempted { attempt } => WriteEvent::Attempted { attempt },
            Self::Landed { receipt } => WriteEvent::Landed { receipt: receipt.read(fetch)? },
            Self::Faulted { fault, next } => WriteEvent::Faulted { fault, next },
            Self::ProvenAbsent { next } => WriteEvent::ProvenAbsent { next },
            Self::Resolved { by, happened } => WriteEvent::Resolved { by, happened },
            Self::Reproposed { proposal, judgement } => {
                WriteEvent::Reproposed { proposal: proposal.read(fetch)?, judgement }
            }
            Self::Delegated { by, to } => WriteEvent::Delegated { by, to },
            Self::Expired { approved } => WriteEvent::Expired { approved },
            Self::Stopped { reason } => WriteEvent::Stopped { reason },
            Self::Parked { until, reason } => WriteEvent::Parked { until, reason },
            Self::Unparked => WriteEvent::Unparked,
            Self::Unfunded { until, reason } => WriteEvent::Unfunded { until, reason },
        })
    }
}

impl StoredProposal {
    fn of(proposal: Proposal, blobs: &mut Blobs) -> Box<Self> {
        Box::new(Self {
            connector: proposal.connector,
            operation: proposal.operation,
            arguments: StoredPayload::of(&proposal.arguments, blobs),
            routing: proposal.routing.into_iter().collect(),
            preview: StoredPayload::of_text(&proposal.preview, blobs),
            digest: proposal.digest,
            at: proposal.at,
            semantics: proposal.semantics,
            reversal: proposal.reversal,
            labels: proposal.labels,
            manifest: proposal.manifest,
            redacted: proposal.redacted,
        })
    }

    fn read(self, fetch: Fetch<'_>) -> Result<Box<Proposal>, StoredError> {
        Ok(Box::new(Proposal {
            connector: self.connector,
            operation: self.operation,
            arguments: self.arguments.read(fetch)?,
            routing: self.routing.into_iter().collect(),
            preview: self.preview.read_text(fetch)?,
            digest: self.digest,
            at: self.at,
            semantics: self.semantics,
            reversal: self.reversal,
            labels: self.labels,
            manifest: self.manifest,
            redacted: self.redacted,
        }))
    }
}
