//! Snapshots: a run's state in the place of its history, so that recovery reads little.
//!
//! A snapshot is a cache. The history stays, and a snapshot of a version that is not this one is ignored. It is taken when
//! the records since the last one outnumber those before it, so that a run of any length pays for each record a constant
//! number of times.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    event::{EffectRef, StepError},
    state::{Effect, EffectState, Run, Status, Step, StepStatus},
};
use crate::{
    codec,
    effect::{Outcome, Proposal, Write, WriteState},
    fault::Fault,
    id::{RunId, StepName, WorkflowRef},
    journal::StreamSeq,
    payload::{Digest, Payload},
    policy::Judgement,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
    workflow::Workflow,
};

/// Fewest records between two snapshots of a run. Reading a hundred records takes well under a millisecond.
pub const SNAPSHOT_EVERY: u64 = 100;

/// The version of the stored state.
const SNAPSHOT_VERSION: u16 = 1;

/// The state of `run` as bytes, if the records since the snapshot at `last` call for a new one.
#[must_use]
pub fn snapshot(run: &Run, last: StreamSeq) -> Option<Vec<u8>> {
    let since = run.stream_seq.0 - last.0;
    let due = since >= SNAPSHOT_EVERY && since >= last.0;
    due.then(|| codec::encode(&StoredRun::of(run)))
}

/// The workflow version that the run in `bytes` is pinned to, and the way to restore it; `None` if the snapshot is not one
/// that this version reads, and the history must be read instead.
#[must_use]
pub fn restore(
    id: RunId,
    bytes: &[u8],
    definition: impl FnOnce(&WorkflowRef) -> Option<Arc<Workflow>>,
) -> Option<Run> {
    let stored: StoredRun = codec::decode(bytes).ok()?;
    if stored.version != SNAPSHOT_VERSION {
        return None;
    }
    let definition = definition(&stored.workflow)?;
    (definition.steps.len() == stored.steps.len()).then(|| stored.read(id, definition))?
}

#[derive(Serialize, Deserialize)]
struct StoredRun {
    version: u16,
    workflow: WorkflowRef,
    input: String,
    status: StoredStatus,
    steps: Vec<StoredStep>,
    started_at: Timestamp,
    updated_at: Timestamp,
    stream_seq: StreamSeq,
}

#[derive(Serialize, Deserialize)]
enum StoredStatus {
    Running,
    Completed { output: String },
    Failed { step: StepName, error: StepError, dismissed: bool },
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    status: StoredStepStatus,
    attempt: u32,
    effects: Vec<StoredEffect>,
}

#[derive(Serialize, Deserialize)]
enum StoredStepStatus {
    Pending,
    Running { since: Timestamp },
    BackingOff { at: Timestamp },
    Skipped,
    Completed { output: String },
    Failed,
}

#[derive(Serialize, Deserialize)]
struct StoredEffect {
    id: EffectRef,
    asked: Digest,
    state: StoredEffectState,
}

#[derive(Serialize, Deserialize)]
enum StoredEffectState {
    Recorded { answer: String },
    Write(Box<StoredWrite>),
}

#[derive(Serialize, Deserialize)]
struct StoredWrite {
    connector: String,
    operation: String,
    arguments: String,
    routing: Vec<(String, String)>,
    preview: String,
    digest: Digest,
    at: Timestamp,
    semantics: WriteSemantics,
    reversal: Reversal,
    judgement: Judgement,
    round: u32,
    attempts: u32,
    first_attempt_at: Option<Timestamp>,
    state: StoredWriteState,
}

#[derive(Serialize, Deserialize)]
enum StoredWriteState {
    Asking { since: Timestamp },
    Granted,
    Attempting,
    Retrying { at: Timestamp },
    Probing { at: Timestamp, probes: u32 },
    Ambiguous { fault: Fault, since: Timestamp },
    Landed { receipt: String },
    Denied { rule: String, reason: String },
    Aborted { reason: String },
    Failed { fault: Fault },
}

fn text(payload: &Payload) -> String {
    payload.as_str().to_owned()
}

fn payload(text: &str) -> Option<Payload> {
    Payload::from_json(text).ok()
}

impl StoredRun {
    fn of(run: &Run) -> Self {
        let status = match &run.status {
            Status::Running => StoredStatus::Running,
            Status::Completed { output } => StoredStatus::Completed { output: text(output) },
            Status::Failed { step, error, dismissed } => StoredStatus::Failed {
                step: step.clone(),
                error: error.clone(),
                dismissed: *dismissed,
            },
        };
        Self {
            version: SNAPSHOT_VERSION,
            workflow: run.workflow.clone(),
            input: text(&run.input),
            status,
            steps: run.steps.iter().map(StoredStep::of).collect(),
            started_at: run.started_at,
            updated_at: run.updated_at,
            stream_seq: run.stream_seq,
        }
    }

    fn read(self, id: RunId, definition: Arc<Workflow>) -> Option<Run> {
        let status = match self.status {
            StoredStatus::Running => Status::Running,
            StoredStatus::Completed { output } => Status::Completed { output: payload(&output)? },
            StoredStatus::Failed { step, error, dismissed } => {
                Status::Failed { step, error, dismissed }
            }
        };
        Some(Run {
            id,
            workflow: self.workflow,
            definition,
            input: payload(&self.input)?,
            status,
            steps: self.steps.into_iter().map(StoredStep::read).collect::<Option<_>>()?,
            started_at: self.started_at,
            updated_at: self.updated_at,
            stream_seq: self.stream_seq,
        })
    }
}

impl StoredStep {
    fn of(step: &Step) -> Self {
        let status = match &step.status {
            StepStatus::Pending => StoredStepStatus::Pending,
            StepStatus::Running { since } => StoredStepStatus::Running { since: *since },
            StepStatus::BackingOff { at } => StoredStepStatus::BackingOff { at: *at },
            StepStatus::Skipped => StoredStepStatus::Skipped,
            StepStatus::Completed { output } => {
                StoredStepStatus::Completed { output: text(output) }
            }
            StepStatus::Failed => StoredStepStatus::Failed,
        };
        Self {
            status,
            attempt: step.attempt,
            effects: step.effects.iter().map(StoredEffect::of).collect(),
        }
    }

    fn read(self) -> Option<Step> {
        let status = match self.status {
            StoredStepStatus::Pending => StepStatus::Pending,
            StoredStepStatus::Running { since } => StepStatus::Running { since },
            StoredStepStatus::BackingOff { at } => StepStatus::BackingOff { at },
            StoredStepStatus::Skipped => StepStatus::Skipped,
            StoredStepStatus::Completed { output } => {
                StepStatus::Completed { output: payload(&output)? }
            }
            StoredStepStatus::Failed => StepStatus::Failed,
        };
        let effects = self.effects.into_iter().map(StoredEffect::read).collect::<Option<_>>()?;
        Some(Step { status, attempt: self.attempt, effects })
    }
}

impl StoredEffect {
    fn of(effect: &Effect) -> Self {
        let state = match &effect.state {
            EffectState::Recorded { answer } => {
                StoredEffectState::Recorded { answer: text(answer) }
            }
            EffectState::Write(write) => StoredEffectState::Write(Box::new(StoredWrite::of(write))),
        };
        Self { id: effect.id.clone(), asked: effect.asked, state }
    }

    fn read(self) -> Option<Effect> {
        let state = match self.state {
            StoredEffectState::Recorded { answer } => {
                EffectState::Recorded { answer: payload(&answer)? }
            }
            StoredEffectState::Write(write) => EffectState::Write(Box::new(write.read()?)),
        };
        Some(Effect { id: self.id, asked: self.asked, state })
    }
}

impl StoredWrite {
    fn of(write: &Write) -> Self {
        let proposal = &write.proposal;
        Self {
            connector: proposal.connector.as_str().to_owned(),
            operation: proposal.operation.as_str().to_owned(),
            arguments: text(&proposal.arguments),
            routing: proposal.routing.clone().into_iter().collect(),
            preview: proposal.preview.clone(),
            digest: proposal.digest,
            at: proposal.at,
            semantics: proposal.semantics,
            reversal: proposal.reversal,
            judgement: write.judgement.clone(),
            round: write.round,
            attempts: write.attempts,
            first_attempt_at: write.first_attempt_at,
            state: StoredWriteState::of(&write.state),
        }
    }

    fn read(self) -> Option<Write> {
        let proposal = Proposal {
            connector: self.connector.parse().ok()?,
            operation: self.operation.parse().ok()?,
            arguments: payload(&self.arguments)?,
            routing: self.routing.into_iter().collect(),
            preview: self.preview,
            digest: self.digest,
            at: self.at,
            semantics: self.semantics,
            reversal: self.reversal,
        };
        Some(Write {
            proposal,
            judgement: self.judgement,
            round: self.round,
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at,
            state: self.state.read()?,
        })
    }
}

impl StoredWriteState {
    fn of(state: &WriteState) -> Self {
        match state.clone() {
            WriteState::Asking { since } => Self::Asking { since },
            WriteState::Granted => Self::Granted,
            WriteState::Attempting => Self::Attempting,
            WriteState::Retrying { at } => Self::Retrying { at },
            WriteState::Probing { at, probes } => Self::Probing { at, probes },
            WriteState::Ambiguous { fault, since } => Self::Ambiguous { fault, since },
            WriteState::Settled(Outcome::Landed { receipt }) => {
                Self::Landed { receipt: text(&receipt) }
            }
            WriteState::Settled(Outcome::Denied { rule, reason }) => Self::Denied { rule, reason },
            WriteState::Settled(Outcome::Aborted { reason }) => Self::Aborted { reason },
            WriteState::Settled(Outcome::Failed { fault }) => Self::Failed { fault },
        }
    }

    fn read(self) -> Option<WriteState> {
        Some(match self {
            Self::Asking { since } => WriteState::Asking { since },
            Self::Granted => WriteState::Granted,
            Self::Attempting => WriteState::Attempting,
            Self::Retrying { at } => WriteState::Retrying { at },
            Self::Probing { at, probes } => WriteState::Probing { at, probes },
            Self::Ambiguous { fault, since } => WriteState::Ambiguous { fault, since },
            Self::Landed { receipt } => {
                WriteState::Settled(Outcome::Landed { receipt: payload(&receipt)? })
            }
            Self::Denied { rule, reason } => WriteState::Settled(Outcome::Denied { rule, reason }),
            Self::Aborted { reason } => WriteState::Settled(Outcome::Aborted { reason }),
            Self::Failed { fault } => WriteState::Settled(Outcome::Failed { fault }),
        })
    }
}
