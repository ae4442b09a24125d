//! Snapshots: a run's state in the place of its history, so that recovery reads little.
//!
//! A snapshot is a cache. The history stays, and a snapshot of a version that is not this one is ignored: so the state's own
//! types are stored as they are, and a change to any of them is a new [`SNAPSHOT_VERSION`], which a test notices. One is
//! taken when the records since the last one outnumber those before it, so that a run of any length pays for each record a
//! constant number of times.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    event::Parent,
    spent::Spent,
    state::{Lateness, Run, Status},
    step::Step,
};
use crate::{
    codec,
    id::{AgentName, RunId, StepName, WorkflowRef},
    journal::StreamSeq,
    labels::Labeled,
    payload::Payload,
    time::Timestamp,
    workflow::{Library, Workflow},
};

/// Fewest records between two snapshots of a run. Reading a hundred records takes well under a millisecond.
pub const SNAPSHOT_EVERY: u64 = 100;

/// The version of the stored state.
const SNAPSHOT_VERSION: u16 = 6;

/// The state of `run` as bytes, if the records since the snapshot at `last` call for a new one: at least `every`, and as many
/// as there were before, so that a long run is not written again and again.
#[must_use]
pub fn snapshot(run: &Run, last: StreamSeq, every: u64) -> Option<Vec<u8>> {
    let since = run.stream_seq.0 - last.0;
    let due = since >= every && since >= last.0;
    due.then(|| state(run))
}

/// The state of `run` as bytes: the same for the same state, whatever way led to it, in one version of Soloist.
#[must_use]
pub fn state(run: &Run) -> Vec<u8> {
    codec::encode(&(SNAPSHOT_VERSION, StoredRun::of(run)))
}

/// The run that `bytes` hold; `None` if the snapshot is not one that this version reads, and the history must be read
/// instead.
#[must_use]
pub fn restore(id: RunId, bytes: &[u8], library: &dyn Library) -> Option<Run> {
    let (version, stored): (u16, StoredRun) = codec::decode(bytes).ok()?;
    if version != SNAPSHOT_VERSION {
        return None;
    }
    let definition = library.resolve(&stored.workflow, stored.body.as_ref())?;
    (definition.steps.len() == stored.steps.len()).then(|| stored.read(id, definition))
}

#[derive(Serialize, Deserialize)]
struct StoredRun {
    workflow: WorkflowRef,
    body: Option<StepName>,
    agents: BTreeMap<AgentName, u32>,
    parent: Option<Parent>,
    input: Labeled<Payload>,
    status: Status,
    steps: Vec<Step>,
    done: u64,
    lateness: Lateness,
    revived: u32,
    spent: Spent,
    started_at: Timestamp,
    updated_at: Timestamp,
    stream_seq: StreamSeq,
}

impl StoredRun {
    fn of(run: &Run) -> Self {
        let Run { workflow, body, agents, parent, input, status, steps, spent, .. } = run.clone();
        let Run { done, lateness, revived, started_at, updated_at, stream_seq, .. } = *run;
        Self {
            workflow,
            body,
            agents,
            parent,
            input,
            status,
            steps,
            done,
            lateness,
            revived,
            spent,
            started_at,
            updated_at,
            stream_seq,
        }
    }

    fn read(self, id: RunId, definition: Arc<Workflow>) -> Run {
        Run {
            id,
            workflow: self.workflow,
            body: self.body,
            definition,
            agents: self.agents,
            parent: self.parent,
            input: self.input,
            status: self.status,
            steps: self.steps,
            done: self.done,
            lateness: self.lateness,
            revived: self.revived,
            spent: self.spent,
            started_at: self.started_at,
            updated_at: self.updated_at,
            stream_seq: self.stream_seq,
        }
    }
}
