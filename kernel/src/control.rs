//! What the operator holds: a run, a workflow, an agent, a connector, or everything.
//!
//! What is paused takes in everything that comes to it, and does nothing: no turn begins, no attempt leaves, nothing is looked
//! for. What was under way when it was paused comes to its end. The pauses are events of a stream of their own, so that a crash
//! ends none; [`pause`] and [`resume`] decide, [`Pauses::apply`] folds, [`project`] is what is written beside. Whether
//! something is held is a question to [`Pauses`], which whoever sets work going asks.

mod stored;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use stored::{EVENTS_VERSION, StoredError, decode, encode};

use crate::{
    id::{AgentName, ConnectorName, RunId, StreamId, WorkflowName},
    journal::ProjectionKey,
    run::{Action, Run},
    time::Timestamp,
    workflow::Work,
};

/// The projection table of the pauses, by scope.
pub const TABLE: &str = "pauses";

/// What can be paused. As text: `everything`, `workflow:NAME`, `agent:NAME`, `connector:NAME`, `run:ID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// All that there is.
    Everything,
    /// The runs of a workflow, in every version, and those beneath them; and its schedules.
    Workflow(WorkflowName),
    /// The turns of an agent.
    Agent(AgentName),
    /// The calls of a connector: attempts, probes, reads and pulls.
    Connector(ConnectorName),
    /// One run, and those beneath it.
    Run(RunId),
}

/// A text that names nothing that can be paused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{text}` names nothing that can be paused: {problem}; write `everything`, `workflow:NAME`, `agent:NAME`, `connector:NAME` \
     or `run:ID`"
)]
pub struct BadScope {
    text: String,
    problem: String,
}

/// Something that is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What.
    pub scope: Scope,
    /// Who paused it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What happened to the pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something is held from now on.
    Paused {
        /// What.
        scope: Scope,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It goes on.
    Resumed {
        /// What.
        scope: Scope,
        /// Who.
        by: String,
    },
}

/// A run, and those above it: what it is held with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Their ids.
    pub runs: Vec<RunId>,
    /// Their workflows.
    pub workflows: Vec<WorkflowName>,
}

/// Everything that is paused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses(BTreeMap<Scope, Pause>);

/// Pauses `scope`; `None` if it is paused already.
#[must_use]
pub fn pause(pauses: &Pauses, scope: &Scope, by: &str, reason: &str) -> Option<Event> {
    let is_new = !pauses.0.contains_key(scope);
    is_new.then(|| Event::Paused { scope: scope.clone(), by: by.into(), reason: reason.into() })
}

/// Lets `scope` go on; `None` if it is not paused itself.
#[must_use]
pub fn resume(pauses: &Pauses, scope: &Scope, by: &str) -> Option<Event> {
    let known = pauses.0.contains_key(scope);
    known.then(|| Event::Resumed { scope: scope.clone(), by: by.into() })
}

/// The stream of all pauses.
///
/// # Panics
///
/// Never: `control` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("control").expect("`control` is a name")
}

/// What `event`, which happened at `at`, changes in the projections.
#[must_use]
pub fn project(event: &Event, at: Timestamp) -> (ProjectionKey, Option<Vec<u8>>) {
    let key = |scope: &Scope| ProjectionKey::new(TABLE, scope.to_string());
    match event {
        Event::Paused { scope, by, reason } => {
            let (by, reason) = (by.clone(), reason.clone());
            let pause = Pause { scope: scope.clone(), by, reason, since: at };
            (key(scope), Some(serde_json::to_vec(&pause).expect("a pause is plain data")))
        }
        Event::Resumed { scope, .. } => (key(scope), None),
    }
}

impl Pauses {
    /// What there is, in the order of its scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Pause> {
        self.0.values()
    }

    /// Takes in a pause that is known from its projection.
    pub fn insert(&mut self, pause: Pause) {
        self.0.insert(pause.scope.clone(), pause);
    }

    /// Folds `event`, which happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event.clone() {
            Event::Paused { scope, by, reason } => {
                self.insert(Pause { scope, by, reason, since: at });
            }
            Event::Resumed { scope, .. } => drop(self.0.remove(&scope)),
        }
    }

    /// Whether nothing is paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a single run or a workflow is paused: then it matters what a run is beneath.
    #[must_use]
    pub fn needs_lineage(&self) -> bool {
        self.0.keys().any(|scope| matches!(scope, Scope::Run(_) | Scope::Workflow(_)))
    }

    fn get(&self, scope: &Scope) -> Option<&Pause> {
        self.0.get(scope)
    }

    /// The pause by which calls of `connector` are held, if they are.
    #[must_use]
    pub fn of_connector(&self, connector: &ConnectorName) -> Option<&Pause> {
        self.get(&Scope::Everything).or_else(|| self.get(&Scope::Connector(connector.clone())))
    }

    /// The pause by which runs of `workflow` that would begin by themselves are held, if they are.
    #[must_use]
    pub fn of_workflow(&self, workflow: &WorkflowName) -> Option<&Pause> {
        self.get(&Scope::Everything).or_else(|| self.get(&Scope::Workflow(workflow.clone())))
    }

    /// The pause by which a run is held as a whole, if it is.
    #[must_use]
    pub fn of_run(&self, lineage: &Lineage) -> Option<&Pause> {
        let runs = lineage.runs.iter().map(|run| Scope::Run(run.clone()));
        let workflows = lineage.workflows.iter().map(|workflow| Scope::Workflow(workflow.clone()));
        let all = std::iter::once(Scope::Everything).chain(runs).chain(workflows);
        all.into_iter().find_map(|scope| self.get(&scope))
    }

    /// The pause by which `action` of `run` is held, if it is. What an attempt under way comes to is taken in, and runs that
    /// nobody waits for are ended, whatever is paused.
    #[must_use]
    pub fn holds(&self, run: &Run, lineage: &Lineage, action: &Action) -> Option<&Pause> {
        if self.is_empty() {
            return None;
        }
        match action {
            Action::Execute { .. } | Action::AbortChild { .. } | Action::UnwindChild { .. } => None,
            Action::Propose { .. }
            | Action::Emit { .. }
            | Action::Wake { .. }
            | Action::Compensate { .. } => self.of_run(lineage),
            Action::TakeTurn { step, .. } => {
                self.of_run(lineage).or_else(|| match &run.step(step)?.0.work {
                    Work::Agent(agent) => self.get(&Scope::Agent(agent.clone())),
                    _ => None,
                })
            }
            Action::Attempt { step, effect, .. } | Action::Probe { step, effect, .. } => {
                self.of_run(lineage).or_else(|| {
                    let write = run.write(step, effect)?;
                    self.get(&Scope::Connector(write.proposal.connector.clone()))
                })
            }
        }
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Paused { .. } => "control.paused",
            Self::Resumed { .. } => "control.resumed",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Workflow(name) => write!(f, "workflow:{name}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::Connector(name) => write!(f, "connector:{name}"),
            Self::Run(id) => write!(f, "run:{id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let bad = |problem: String| BadScope { text: text.to_owned(), problem };
        if text == "everything" {
            return Ok(Self::Everything);
        }
        let (kind, name) =
            text.split_once(':').ok_or_else(|| bad("it does not say what it is".into()))?;
        let of = |error: crate::id::BadName| bad(error.to_string());
        match kind {
            "workflow" => name.parse().map(Self::Workflow).map_err(of),
            "agent" => name.parse().map(Self::Agent).map_err(of),
            "connector" => name.parse().map(Self::Connector).map_err(of),
            "run" => name.parse().map(Self::Run).map_err(of),
            other => Err(bad(format!("there is no kind `{other}`"))),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = BadScope;

    fn try_from(text: String) -> Result<Self, BadScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}
