//! Making a kernel: what it is made of, and the checks before it starts.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use ractor::Actor;
use soloist_connectors::{Connector, Env};
use soloist_kernel::{
    id::{AgentName, BadName, ConnectorName, WorkflowName},
    journal::{
        AppendError, Journal, ReadError,
        fjall::{self, FjallJournal},
    },
    policy::Policy,
    workflow::{Problem, Work, Workflow, nearest},
};
use soloist_memory::Memory;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    agent::{Agent, DynAgent},
    context::{Context, Counters},
    handle::Soloist,
    log::Log,
    registry::Registry,
    root::{Arguments, IntakeSpec, Root},
    workflows::Workflows,
};

/// What a kernel is made of.
#[derive(Default)]
#[must_use = "a builder does nothing until `open` is awaited"]
pub struct Builder {
    data_dir: Option<PathBuf>,
    journal: Option<Arc<dyn Journal>>,
    env: Option<Env>,
    agents: BTreeMap<String, Arc<dyn DynAgent>>,
    connectors: BTreeMap<String, Arc<dyn Connector>>,
    workflows: Vec<Workflow>,
    policy: Policy,
    intakes: Vec<(String, String, Option<Duration>)>,
}

/// Why a kernel cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Neither a data directory nor a journal was given.
    #[error("nothing says where the journal is; call `data_dir` or `journal`")]
    NoJournal,
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] fjall::OpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal does not take a workflow's definition.
    #[error("failed to keep a workflow's definition: {0}")]
    Append(#[from] AppendError),
    /// A name that is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Workflows name agents or operations that are not there.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Workflows(Vec<Problem>),
    /// An intake names a connector or a workflow that is not there.
    #[error("{0}")]
    Intake(String),
    /// The tree did not start.
    #[error("failed to start: {0}")]
    Start(String),
}

impl Builder {
    /// Keeps the journal in `path`, which is made if it is not there.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Uses `journal` instead of one in a directory.
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Uses `env` instead of the real world.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Adds an agent; a later one of the same name replaces it.
    pub fn agent<A: Agent>(mut self, agent: A) -> Self {
        self.agents.insert(A::NAME.into(), Arc::new(agent));
        self
    }

    /// Mounts a connector as `name`, by which workflows and policy speak of it.
    pub fn connector(mut self, name: &str, connector: impl Connector) -> Self {
        self.connectors.insert(name.into(), Arc::new(connector));
        self
    }

    /// Adds a workflow.
    pub fn workflow(mut self, workflow: Workflow) -> Self {
        self.workflows.push(workflow);
        self
    }

    /// Judges writes by `policy`. Without one, every write asks the operator.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Starts `workflow` for each change of `connector`, whenever [`Soloist::pull`] is called, and every `interval` if there
    /// is one.
    pub fn intake(mut self, connector: &str, workflow: &str, interval: Option<Duration>) -> Self {
        self.intakes.push((connector.into(), workflow.into(), interval));
        self
    }

    /// Opens the journal, recovers what was under way, and starts the tree.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing was started.
    pub async fn open(self) -> Result<Soloist, OpenError> {
        let agents = named::<AgentName, _>(self.agents)?;
        let connectors = named::<ConnectorName, _>(self.connectors)?;
        check_workflows(&self.workflows, &agents, &connectors)?;
        let intakes = check_intakes(self.intakes, &connectors, &self.workflows)?;
        let journal: Arc<dyn Journal> = match (self.journal, self.data_dir) {
            (Some(journal), _) => journal,
            (None, Some(path)) => Arc::new(FjallJournal::open(&path, fjall::Options::default())?.0),
            (None, None) => return Err(OpenError::NoJournal),
        };
        let env = self.env.unwrap_or_else(|| Env::real(seed()));
        let log = Log::new(env.clone(), journal.clone());
        let mut workflows = Workflows::default();
        for workflow in self.workflows {
            if let Some(append) = workflows.add(workflow, &*journal, &env)? {
                log.durable(append).await?;
            }
        }
        let context = Arc::new(Context {
            memory: Memory::new(journal.clone()),
            env,
            journal,
            log,
            policy: self.policy,
            workflows,
            connectors,
            agents,
            registry: Registry::default(),
            counters: Counters::default(),
            halted: watch::Sender::new(None),
        });
        let arguments = Arguments { context: context.clone(), intakes };
        let started = Actor::spawn(None, Root, arguments).await;
        let (root, _) = started.map_err(|error| OpenError::Start(error.to_string()))?;
        Ok(Soloist::new(context, root))
    }
}

fn named<N: Ord + std::str::FromStr<Err = BadName>, T>(
    map: BTreeMap<String, T>,
) -> Result<BTreeMap<N, T>, BadName> {
    map.into_iter().map(|(name, value)| Ok((name.parse()?, value))).collect()
}

/// Every agent and operation that a workflow names must be there.
fn check_workflows(
    workflows: &[Workflow],
    agents: &BTreeMap<AgentName, Arc<dyn DynAgent>>,
    connectors: &BTreeMap<ConnectorName, Arc<dyn Connector>>,
) -> Result<(), OpenError> {
    let mut problems = vec![];
    for workflow in workflows {
        for step in &workflow.steps {
            let (field, name, there) = match &step.work {
                Work::Agent(agent) => ("agent", agent.to_string(), names(agents.keys())),
                Work::Call { connector, operation } => {
                    let of = |(name, mounted): (&ConnectorName, &Arc<dyn Connector>)| {
                        let operations = mounted.manifest().operations.keys();
                        operations
                            .map(|operation| format!("{name}.{operation}"))
                            .collect::<Vec<_>>()
                    };
                    (
                        "call",
                        format!("{connector}.{operation}"),
                        connectors.iter().flat_map(of).collect(),
                    )
                }
            };
            if there.contains(&name) {
                continue;
            }
            let near = nearest(&name, there.iter().map(String::as_str));
            let help = near.map_or_else(
                || format!("there is {}", listed(there.iter())),
                |near| format!("did you mean `{near}`?"),
            );
            problems.push(Problem {
                file: workflow.file().into(),
                step: Some(step.name.to_string()),
                field: Some(field.into()),
                message: format!(
                    "there is no {} `{name}`",
                    if field == "agent" { "agent" } else { "operation" }
                ),
                help: Some(help),
            });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(OpenError::Workflows(problems)) }
}

fn check_intakes(
    intakes: Vec<(String, String, Option<Duration>)>,
    connectors: &BTreeMap<ConnectorName, Arc<dyn Connector>>,
    workflows: &[Workflow],
) -> Result<Vec<IntakeSpec>, OpenError> {
    let check = |(connector, workflow, interval): (String, String, _)| {
        let (connector, workflow): (ConnectorName, WorkflowName) =
            (connector.parse()?, workflow.parse()?);
        if !connectors.contains_key(&connector) {
            let there = listed(connectors.keys());
            return Err(OpenError::Intake(format!(
                "the intake's connector `{connector}` is not mounted; there is {there}"
            )));
        }
        if !workflows.iter().any(|known| known.name == workflow) {
            let there = listed(workflows.iter().map(|workflow| &workflow.name));
            return Err(OpenError::Intake(format!(
                "the intake's workflow `{workflow}` was not added; there is {there}"
            )));
        }
        Ok(IntakeSpec { connector, workflow, interval })
    };
    intakes.into_iter().map(check).collect()
}

fn names<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> Vec<String> {
    names.map(|name| name.to_string()).collect()
}

fn listed<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Chance for the streams of `Env::entropy`, from the operating system by way of the standard library's own seeding.
#[expect(
    clippy::disallowed_types,
    reason = "the one place where a real kernel draws chance; whatever comes of it is journaled"
)]
fn seed() -> [u8; 32] {
    use std::hash::{BuildHasher, RandomState};
    let mut seed = [0; 32];
    for (index, part) in seed.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&RandomState::new().hash_one(index).to_le_bytes());
    }
    seed
}
