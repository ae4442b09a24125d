//! The events of version 1, which had no labels, questions, timers or runs beneath runs. They are read and no longer
//! written. A value without labels is untrusted, so what was judged then keeps its judgement and what is judged now is
//! judged strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fetch, StoredError, payload::StoredPayload};
use crate::{
    effect::{AfterFault, Proposal, WriteEvent},
    fault::Fault,
    id::{ConnectorName, OperationName, StepName, WorkflowRef},
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    policy::{Judgement, Verdict},
    run::event::{AfterFailure, Beginning, EffectRef, Event, StepError, StepErrorKind},
    semantics::WriteSemantics,
    time::Timestamp,
};

#[derive(Serialize, Deserialize)]
pub(super) enum StoredEvent {
    Started { workflow: WorkflowRef, input: StoredPayload },
    StepStarted { step: StepName, attempt: u32 },
    StepSkipped { step: StepName },
    StepCompleted { step: StepName, output: StoredPayload },
    StepFailed { step: StepName, error: StepError, next: AfterFailure },
    Recorded { step: StepName, effect: EffectRef, asked: Digest, answer: StoredPayload },
    Write { step: StepName, effect: EffectRef, asked: Option<Digest>, event: StoredWriteEvent },
    Completed { output: StoredPayload },
    Failed { step: StepName, error: StepError },
    Dismissed { by: String },
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredWriteEvent {
    Proposed { proposal: Box<StoredProposal>, judgement: StoredJudgement },
    Approved { by: String },
    Modified { by: String, proposal: Box<StoredProposal>, judgement: StoredJudgement },
    Aborted { by: String, reason: String },
    Attempted { attempt: u32 },
    Landed { receipt: StoredPayload },
    Faulted { fault: Fault, next: AfterFault },
    ProvenAbsent { next: AfterFault },
    Resolved { by: String, happened: bool },
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
    reversal: StoredReversal,
}

/// There was no other.
#[derive(Serialize, Deserialize)]
enum StoredReversal {
    Irreversible,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredJudgement {
    verdict: StoredVerdict,
    rule: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
enum StoredVerdict {
    Deny,
    Approve,
    Allow,
}

fn unlabeled(payload: Payload) -> Labeled<Payload> {
    Labeled::new(payload, Labels::default())
}

impl StoredEvent {
    pub(super) fn read(self, fetch: Fetch<'_>) -> Result<Event, StoredError> {
        Ok(match self {
            Self::Started { workflow, input } => Event::Started(Box::new(Beginning {
                workflow,
                body: None,
                // The first versions, which were the only ones.
                agents: BTreeMap::new(),
                parent: None,
                input: unlabeled(input.read(fetch)?),
            })),
            Self::StepStarted { step, attempt } => Event::StepStarted { step, attempt },
            Self::StepSkipped { step } => Event::StepSkipped { step },
            Self::StepCompleted { step, output } => {
                Event::StepCompleted { step, output: unlabeled(output.read(fetch)?) }
            }
            Self::StepFailed { step, error, next } => Event::StepFailed { step, error, next },
            Self::Recorded { step, effect, asked, answer } => {
                let answer = unlabeled(answer.read(fetch)?);
                Event::Recorded { step, effect, asked, answer }
            }
            Self::Write { step, effect, asked, event } => {
                Event::Write { step, effect, asked, event: event.read(fetch)? }
            }
            Self::Completed { output } => {
                Event::Completed { output: unlabeled(output.read(fetch)?) }
            }
            Self::Failed { step, error } => Event::Failed { step, error },
            Self::Dismissed { by } => Event::Dismissed { by },
        })
    }
}

impl StoredWriteEvent {
    fn read(self, fetch: Fetch<'_>) -> Result<WriteEvent, StoredError> {
        Ok(match self {
            Self::Proposed { proposal, judgement } => WriteEvent::Proposed {
                proposal: proposal.read(fetch)?,
                judgement: judgement.read(),
            },
            Self::Approved { by } => WriteEvent::Approved { by },
            Self::Modified { by, proposal, judgement } => WriteEvent::Modified {
                by,
                proposal: proposal.read(fetch)?,
                // What the operator had changed stood approved, whatever policy said of it short of no.
                judgement: Judgement { verdict: Verdict::Allow, ..judgement.read() },
            },
            Self::Aborted { by, reason } => WriteEvent::Aborted { by, reason },
            Self::Attempted { attempt } => WriteEvent::Attempted { attempt },
            Self::Landed { receipt } => WriteEvent::Landed { receipt: receipt.read(fetch)? },
            Self::Faulted { fault, next } => WriteEvent::Faulted { fault, next },
            Self::ProvenAbsent { next } => WriteEvent::ProvenAbsent { next },
            Self::Resolved { by, happened } => WriteEvent::Resolved { by, happened },
        })
    }
}

impl StoredProposal {
    fn read(self, fetch: Fetch<'_>) -> Result<Box<Proposal>, StoredError> {
        let StoredReversal::Irreversible = self.reversal;
        Ok(Box::new(Proposal {
            connector: self.connector,
            operation: self.operation,
            arguments: self.arguments.read(fetch)?,
            routing: self.routing.into_iter().collect(),
            preview: self.preview.read_text(fetch)?,
            digest: self.digest,
            at: self.at,
            semantics: self.semantics,
            reversal: crate::semantics::Reversal::Irreversible,
            labels: BTreeMap::new(),
            manifest: Digest([0; 32]),
            redacted: vec![],
        }))
    }
}

impl StoredJudgement {
    fn read(self) -> Judgement {
        let verdict = match self.verdict {
            StoredVerdict::Deny => Verdict::Deny,
            StoredVerdict::Approve => Verdict::Approve,
            StoredVerdict::Allow => Verdict::Allow,
        };
        Judgement {
            verdict,
            rule: self.rule,
            reason: self.reason,
            remedy: None,
            policy: 0,
            deadline: None,
            approved_at_deadline: false,
        }
    }
}

/// Kinds of failure keep their places: version 1 embedded them.
const _: () = assert!(StepErrorKind::WriteFailed as u8 == 6);
