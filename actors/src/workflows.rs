//! The workflows of a kernel: versioned in the journal, so that a run finds the definition it is pinned to for as long as it
//! lives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use serde::{Deserialize, Serialize};
use soloist_connectors::Env;
use soloist_kernel::{
    codec,
    id::{Actor, RunId, StreamId, WorkflowName, WorkflowRef},
    journal::{Append, Entry, Journal, ProjectionKey, ReadError, StreamSeq},
    mutant::{Mutant, planted},
    rollout::{Rollouts, Subject},
    workflow::{Library, Workflow},
};

/// Table of the newest version of each workflow.
pub(crate) const NEWEST: &str = "workflows-newest";
/// Table of every version's definition.
pub(crate) const DEFINITIONS: &str = "workflows";
/// Version of the stored events of a workflow's stream.
const EVENTS_VERSION: u16 = 1;
/// How many projections are read at a time.
const PAGE: usize = 1_000;

/// The newest version of each workflow, and every version that was asked for.
#[derive(Default)]
pub(crate) struct Workflows {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    newest: BTreeMap<WorkflowName, (WorkflowRef, Arc<Workflow>)>,
    loaded: BTreeMap<WorkflowRef, Arc<Workflow>>,
    /// Those that the builder was given. What the journal has of them, it has as text, which they need not be read from again.
    given: Vec<Arc<Workflow>>,
}

/// Workflows over the journal that holds them.
pub(crate) struct Shelf<'a> {
    workflows: &'a Workflows,
    journal: &'a dyn Journal,
    rollouts: Arc<Rollouts>,
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
    /// Workflows among which are `given`, which the journal may have.
    pub(crate) fn of(given: &[Workflow]) -> Self {
        let given = given.iter().cloned().map(Arc::new).collect();
        Self { inner: Mutex::new(Inner { given, ..Inner::default() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("looking up does not panic")
    }

    /// Takes in the newest version of every workflow that the journal has.
    pub(crate) fn load(&self, journal: &dyn Journal) -> Result<(), ReadError> {
        let mut after = String::new();
        loop {
            let page = journal.projections(NEWEST, "", &after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (name, bytes) in &page {
                let newest = serde_json::from_slice::<Newest>(bytes).ok();
                let (Some(newest), Ok(name)) = (newest, name.parse::<WorkflowName>()) else {
                    continue;
                };
                let pinned = WorkflowRef { name: name.clone(), version: newest.version };
                if let Some(workflow) = self.get(journal, &pinned)? {
                    self.inner().newest.insert(name, (pinned, workflow));
                }
            }
        }
    }

    /// The version that `workflow` is: the newest there is, or a new one if its text differs from that; and what must be
    /// appended for it, if anything. It is not there until it is [`put`](Self::put).
    pub(crate) fn next(
        workflow: &Workflow,
        journal: &dyn Journal,
        env: &Env,
    ) -> Result<(WorkflowRef, Option<Append>), ReadError> {
        let name = workflow.name.clone();
        let digest = workflow.digest().to_hex();
        let newest: Option<Newest> = journal
            .projection(&ProjectionKey::new(NEWEST, name.as_str()))?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known =
            newest.as_ref().filter(|newest| newest.digest == digest).map(|newest| newest.version);
        let version = known.unwrap_or_else(|| newest.map_or(1, |newest| newest.version + 1));
        let pinned = WorkflowRef { name, version };
        let append = known.is_none().then(|| added(&pinned, workflow, env));
        Ok((pinned, append))
    }

    /// Makes `workflow` the newest version of its name.
    pub(crate) fn put(&self, pinned: WorkflowRef, workflow: Workflow) {
        let workflow = Arc::new(workflow);
        let mut inner = self.inner();
        inner.loaded.insert(pinned.clone(), workflow.clone());
        inner.newest.insert(pinned.name.clone(), (pinned, workflow));
    }

    /// The newest version of `name`.
    pub(crate) fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        self.inner().newest.get(name).cloned()
    }

    /// The newest version of every workflow, by name.
    pub(crate) fn all(&self) -> BTreeMap<WorkflowName, Arc<Workflow>> {
        let inner = self.inner();
        let newest = inner.newest.iter();
        newest.map(|(name, (_, workflow))| (name.clone(), workflow.clone())).collect()
    }

    /// The names of all workflows.
    pub(crate) fn names(&self) -> Vec<String> {
        self.inner().newest.keys().map(ToString::to_string).collect()
    }

    /// A version, whether it is the newest or not.
    fn get(
        &self,
        journal: &dyn Journal,
        pinned: &WorkflowRef,
    ) -> Result<Option<Arc<Workflow>>, ReadError> {
        if let Some(workflow) = self.inner().loaded.get(pinned) {
            return Ok(Some(workflow.clone()));
        }
        let Some(bytes) = journal.projection(&definition_key(pinned))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        // Parsed outside of the lock, which others wait for.
        let given = self.inner().given.iter().find(|given| given.source() == text).cloned();
        let parsed = || Workflow::parse(&pinned.to_string(), &text).map(Arc::new).ok();
        let Some(workflow) = given.or_else(parsed) else { return Ok(None) };
        self.inner().loaded.insert(pinned.clone(), workflow.clone());
        Ok(Some(workflow))
    }

    /// The text of `version` of the workflow `name`, or of its newest one.
    pub(crate) fn text(
        journal: &dyn Journal,
        name: &WorkflowName,
        version: Option<u32>,
    ) -> Result<Option<(WorkflowRef, String)>, ReadError> {
        let newest = || -> Result<Option<u32>, ReadError> {
            let found = journal.projection(&ProjectionKey::new(NEWEST, name.as_str()))?;
            let newest = found.and_then(|bytes| serde_json::from_slice::<Newest>(&bytes).ok());
            Ok(newest.map(|newest| newest.version))
        };
        let version = match version {
            Some(version) => Some(version),
            None => newest()?,
        };
        let Some(version) = version else { return Ok(None) };
        let pinned = WorkflowRef { name: name.clone(), version };
        let found = journal.projection(&definition_key(&pinned))?;
        Ok(found.map(|bytes| (pinned, String::from_utf8_lossy(&bytes).into_owned())))
    }

    /// The workflows over `journal`.
    pub(crate) fn shelf<'a>(
        &'a self,
        journal: &'a dyn Journal,
        rollouts: Arc<Rollouts>,
    ) -> Shelf<'a> {
        Shelf { workflows: self, journal, rollouts }
    }
}

impl Library for Shelf<'_> {
    fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        self.workflows.newest(name)
    }

    fn get(&self, workflow: &WorkflowRef) -> Option<Arc<Workflow>> {
        self.workflows.get(self.journal, workflow).ok().flatten()
    }

    fn for_run(&self, name: &WorkflowName, run: &RunId) -> Option<(WorkflowRef, Arc<Workflow>)> {
        let (newest, definition) = self.newest(name)?;
        let of = Subject::Workflow(name.clone());
        let mut version = self.rollouts.version(&of, newest.version, run);
        if planted(Mutant::CanaryForAll) {
            version = newest.version;
        }
        let pinned = WorkflowRef { name: name.clone(), version };
        let other = (version != newest.version).then(|| self.get(&pinned)).flatten();
        Some(other.map_or((newest, definition), |definition| (pinned, definition)))
    }
}

fn definition_key(pinned: &WorkflowRef) -> ProjectionKey {
    ProjectionKey::new(DEFINITIONS, pinned.to_string())
}

/// The rows of a version that is the newest: its definition, and that it is.
pub(crate) fn rows(
    pinned: &WorkflowRef,
    workflow: &Workflow,
) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
    let newest = Newest { version: pinned.version, digest: workflow.digest().to_hex() };
    let newest = serde_json::to_vec(&newest).expect("plain data is JSON");
    vec![
        (definition_key(pinned), Some(workflow.source().as_bytes().to_vec())),
        (ProjectionKey::new(NEWEST, pinned.name.as_str()), Some(newest)),
    ]
}

fn added(pinned: &WorkflowRef, workflow: &Workflow, env: &Env) -> Append {
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
    Append { entries: vec![entry], projections: rows(pinned, workflow), ..Append::default() }
}
