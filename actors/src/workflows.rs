//! The workflows of a kernel: versioned in the journal, so that a run finds the definition it is pinned to for as long as it
//! lives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use soloist_connectors::Env;
use soloist_kernel::{
    codec,
    id::{Actor, StreamId, WorkflowName, WorkflowRef},
    journal::{Append, Entry, Journal, ProjectionKey, ReadError, StreamSeq},
    workflow::Workflow,
};

/// Table of the newest version of each workflow.
const NEWEST: &str = "workflows-newest";
/// Table of every version's definition.
const DEFINITIONS: &str = "workflows";
/// Version of the stored events of a workflow's stream.
const EVENTS_VERSION: u16 = 1;

/// The newest version of each workflow, and every version that was asked for.
#[derive(Default)]
pub(crate) struct Workflows {
    newest: BTreeMap<WorkflowName, (WorkflowRef, Arc<Workflow>)>,
    loaded: Mutex<BTreeMap<WorkflowRef, Arc<Workflow>>>,
}

#[derive(Serialize, Deserialize)]
struct Newest {
    version: u32,
    digest: String,
}

#[derive(Serialize)]
enum StoredEvent<'a> {
    Added { version: u32, source: &'a str },
}

impl Workflows {
    /// Takes `workflow` in: as the newest version there is, or as a new one if its text differs from that. Gives what must
    /// be appended for it, if anything.
    pub(crate) fn add(
        &mut self,
        workflow: Workflow,
        journal: &dyn Journal,
        env: &Env,
    ) -> Result<Option<Append>, ReadError> {
        let name = workflow.name.clone();
        let digest = workflow.digest().to_hex();
        let newest: Option<Newest> = journal
            .projection(&ProjectionKey::new(NEWEST, name.as_str()))?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known =
            newest.as_ref().filter(|newest| newest.digest == digest).map(|newest| newest.version);
        let version = known.unwrap_or_else(|| newest.map_or(1, |newest| newest.version + 1));
        let pinned = WorkflowRef { name: name.clone(), version };
        let append = known.is_none().then(|| added(&pinned, &workflow, env));
        let workflow = Arc::new(workflow);
        self.loaded
            .get_mut()
            .expect("nothing has panicked yet")
            .insert(pinned.clone(), workflow.clone());
        self.newest.insert(name, (pinned, workflow));
        Ok(append)
    }

    /// The newest version of `name`.
    pub(crate) fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        self.newest.get(name).cloned()
    }

    /// The names of all workflows.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.newest.keys().map(WorkflowName::as_str).collect()
    }

    /// A version, whether it is the newest or not.
    pub(crate) fn get(
        &self,
        journal: &dyn Journal,
        pinned: &WorkflowRef,
    ) -> Result<Option<Arc<Workflow>>, ReadError> {
        let mut loaded = self.loaded.lock().expect("loading does not panic");
        if let Some(workflow) = loaded.get(pinned) {
            return Ok(Some(workflow.clone()));
        }
        let Some(bytes) = journal.projection(&definition_key(pinned))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let Ok(workflow) = Workflow::parse(&pinned.to_string(), &text) else { return Ok(None) };
        let workflow = Arc::new(workflow);
        loaded.insert(pinned.clone(), workflow.clone());
        Ok(Some(workflow))
    }
}

fn definition_key(pinned: &WorkflowRef) -> ProjectionKey {
    ProjectionKey::new(DEFINITIONS, pinned.to_string())
}

fn added(pinned: &WorkflowRef, workflow: &Workflow, env: &Env) -> Append {
    let newest = Newest { version: pinned.version, digest: workflow.digest().to_hex() };
    let newest = serde_json::to_vec(&newest).expect("plain data is JSON");
    let event = StoredEvent::Added { version: pinned.version, source: workflow.source() };
    let entry = Entry {
        stream: StreamId::new(format!("workflow:{}", pinned.name))
            .expect("a workflow's name is a name"),
        stream_seq: StreamSeq(u64::from(pinned.version)),
        at: env.now(),
        actor: Actor::operator(),
        causation: None,
        correlation: None,
        kind: "workflow.added".into(),
        version: EVENTS_VERSION,
        payload: codec::encode(&event),
    };
    Append {
        entries: vec![entry],
        projections: vec![
            (definition_key(pinned), Some(workflow.source().as_bytes().to_vec())),
            (ProjectionKey::new(NEWEST, pinned.name.as_str()), Some(newest)),
        ],
        ..Append::default()
    }
}
