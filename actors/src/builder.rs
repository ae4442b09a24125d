//! Making a kernel: what it is made of, and the checks before it starts.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use soloist_connectors::{Connector, Env};
use soloist_kernel::{
    budget::Budgets,
    catalog::Catalog,
    id::{AgentName, BadName, ConnectorName, EventType, WorkflowName},
    journal::{
        AppendError, Journal, ReadError,
        fjall::{self, FjallJournal},
    },
    policy::Policy,
    run::SNAPSHOT_EVERY,
    workflow::{Problem, Workflow, nearest},
};
use soloist_memory::Memory;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    actor::spawn_root,
    agent::{Agent, DynAgent},
    budgets::Purse,
    contained::Contained,
    context::{Context, Counters},
    control::SetError,
    events::Subscription,
    gate::Gates,
    handle::Soloist,
    log::Log,
    mounted::{Agents, Connectors, IntakeSpec, Mounted, Mounts, catalog},
    pauses::{self, Held},
    policies::Policies,
    registry::Registry,
    rollouts::Shares,
    root::Root,
    runs::{ACTIVE_MAX, aside::Aside},
    service::Services,
    shadows::Told,
    travel::Stage,
    tree::Tree,
    workflows::Workflows,
};

/// What a kernel is made of.
#[derive(Default)]
#[must_use = "a builder does nothing until `open` is awaited"]
pub struct Builder {
    data_dir: Option<PathBuf>,
    journal: Option<Arc<dyn Journal>>,
    env: Option<Env>,
    agents: BTreeMap<String, BTreeMap<u32, Arc<dyn DynAgent>>>,
    connectors: BTreeMap<String, Arc<dyn Connector>>,
    workflows: Vec<Workflow>,
    policy: Policy,
    intakes: Vec<(String, String, Option<Duration>)>,
    subscriptions: Vec<(String, String)>,
    active_max: Option<usize>,
    snapshot_every: Option<u64>,
    paused: Option<String>,
    retention: Option<Duration>,
    services: Vec<Services>,
    stage: Option<Arc<Stage>>,
    budgets: Budgets,
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
    /// An agent names a tool that no connector has.
    #[error("agent `{agent}` names the tool `{tool}`, which no connector has; {help}")]
    Tool {
        /// The agent.
        agent: String,
        /// The tool.
        tool: String,
        /// What there is.
        help: String,
    },
    /// An intake or a subscription names something that is not there.
    #[error("{0}")]
    Intake(String),
    /// It could not be paused before anything began.
    #[error("failed to pause everything before the start: {0}")]
    Paused(#[from] SetError),
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

    /// Adds an agent, or another version of one: runs stay with the version that was the newest when they began.
    pub fn agent<A: Agent>(mut self, agent: A) -> Self {
        self.agents.entry(A::NAME.into()).or_default().insert(A::VERSION, Arc::new(agent));
        self
    }

    /// Has agent `agent` take a turn for each event of type `event`, whose input is the event: `{ id, type, source, data,
    /// at_ms }`. An event is delivered at least once and taken once.
    pub fn subscribe(mut self, agent: &str, event: &str) -> Self {
        self.subscriptions.push((agent.into(), event.into()));
        self
    }

    /// Mounts a connector as `name`, by which workflows and policy speak of it.
    pub fn connector(mut self, name: &str, connector: impl Connector) -> Self {
        self.connectors.insert(name.into(), contained(connector));
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

    /// Runs the host's own loops beneath the kernel's tree.
    pub fn services(mut self, services: Services) -> Self {
        self.services.push(services);
        self
    }

    /// At most `runs` runs are active at once, rather than 100,000. Runs whose steps all have priority `low` are refused from
    /// 80 % on, `normal` ones from 90 %. A run that only waits does not count.
    pub fn active_runs_max(mut self, runs: usize) -> Self {
        self.active_max = Some(runs);
        self
    }

    /// A snapshot of a run is taken after `records` records at the earliest, rather than 100. More of them make starting
    /// over a long run quicker, and each record that takes one slower.
    pub fn snapshot_every(mut self, records: u64) -> Self {
        self.snapshot_every = Some(records.max(1));
        self
    }

    /// Opens with everything paused, so that one can look first: nothing begins before [`Soloist::resume`]. A pause that is
    /// there already stays as it is.
    pub fn paused(mut self, reason: &str) -> Self {
        self.paused = Some(reason.to_owned());
        self
    }

    /// Archives runs that have been over for `after`, rather than keeping them for ever: see [`Soloist::archive`].
    pub fn retention(mut self, after: Duration) -> Self {
        self.retention = Some(after);
        self
    }

    /// What calls cost, and what they may cost. Without it nothing is limited, but where a goal says what a run may cost.
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// What there is so far: the agents and the connectors' operations, as workflows are checked against them. Nothing is
    /// opened for it.
    ///
    /// # Errors
    ///
    /// [`BadName`].
    pub fn catalog(&self) -> Result<Catalog, BadName> {
        Ok(catalog(&named(self.agents.clone())?, &named(self.connectors.clone())?))
    }

    /// A kernel that plays on `stage`.
    pub(crate) fn on_stage(
        agents: Agents,
        connectors: Connectors,
        policy: Policy,
        stage: Arc<Stage>,
    ) -> Self {
        let agents = agents.into_iter().map(|(name, versions)| (name.to_string(), versions));
        let connectors = connectors.into_iter().map(|(name, of)| (name.to_string(), of));
        let (agents, connectors) = (agents.collect(), connectors.collect());
        Self { agents, connectors, policy, stage: Some(stage), ..Self::default() }
    }

    /// The agents, connectors and policy it has been given.
    pub(crate) fn into_parts(self) -> Result<(Agents, Connectors, Policy), BadName> {
        Ok((named(self.agents)?, named(self.connectors)?, self.policy))
    }

    /// Opens the journal, recovers what was under way, and starts the tree.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing was started.
    pub async fn open(self) -> Result<Soloist, OpenError> {
        let agents = named::<AgentName, _>(self.agents)?;
        let connectors = named::<ConnectorName, _>(self.connectors)?;
        let catalog = catalog(&agents, &connectors);
        check_tools(&catalog)?;
        let subscriptions = check_subscriptions(self.subscriptions, &agents)?;
        // What is wrong whatever the journal holds is said before it is touched.
        let alone = check_workflows(&self.workflows, BTreeMap::new(), &catalog);
        let certain = |problem: &Problem| problem.field.as_deref() != Some("workflow");
        if let Err(problems) = &alone
            && problems.iter().any(certain)
        {
            return Err(OpenError::Workflows(problems.clone()));
        }
        let journal: Arc<dyn Journal> = match (self.journal, self.data_dir) {
            (Some(journal), _) => journal,
            (None, Some(path)) => Arc::new(FjallJournal::open(&path, fjall::Options::default())?.0),
            (None, None) => return Err(OpenError::NoJournal),
        };
        let env = self.env.unwrap_or_else(|| Env::real(seed()));
        if let Some(last) = journal.record(journal.head().seq)? {
            env.goes_on_from(last.entry.at);
        }
        let log = Log::new(env.clone(), journal.clone());
        let notifier = log.notifier();
        let workflows = Workflows::of(&self.workflows);
        workflows.load(&*journal)?;
        // Those that call workflows which only the journal has.
        if alone.is_err() {
            check_workflows(&self.workflows, workflows.all(), &catalog)
                .map_err(OpenError::Workflows)?;
        }
        for workflow in self.workflows {
            let (pinned, append) = Workflows::next(&workflow, &*journal, &env)?;
            if let Some(append) = append {
                log.durable(append).await?;
            }
            workflows.put(pinned, workflow);
        }
        let intakes = check_intakes(self.intakes, &connectors, &workflows)?;
        let policies = Policies::default();
        let (policy, append) = Policies::next(self.policy, &*journal, &env)?;
        if let Some(append) = append {
            log.durable(append).await?;
        }
        policies.put(policy);
        let aside = Aside::load(&*journal)?;
        let held = Held::load(&*journal)?;
        let shares = Shares::load(&*journal)?;
        let purse = Purse::load(&*journal, self.budgets, env.now())?;
        let context = Arc::new(Context {
            memory: self
                .stage
                .as_ref()
                .map_or_else(|| Memory::new(journal.clone()), |stage| stage.memory()),
            tree: Tree::new(env.clone()),
            env,
            journal,
            log,
            policies,
            mounts: Mounts::new(Mounted::of(agents, connectors, intakes, catalog)),
            workflows,
            subscriptions,
            services: self.services,
            registry: Registry::default(),
            counters: Counters::default(),
            aside,
            held,
            purse,
            shares,
            shadows: Told::default(),
            gates: Gates::default(),
            active_max: self.active_max.unwrap_or(ACTIVE_MAX),
            retention: self.retention,
            snapshot_every: self.snapshot_every.unwrap_or(SNAPSHOT_EVERY),
            // A fork takes nothing in by itself.
            draining: AtomicBool::new(self.stage.is_some()),
            stage: self.stage,
            halted: watch::Sender::new(None),
        });
        if let Some(reason) = &self.paused {
            pauses::open_paused(&context, reason).await?;
        }
        // From here on the journal's actor does it.
        drop(notifier);
        let started = spawn_root::<Root>(context.clone(), &context.env).await;
        let root = started.map_err(|error| OpenError::Start(error.to_string()))?;
        Ok(Soloist::new(context, root))
    }
}

fn check_subscriptions(
    subscriptions: Vec<(String, String)>,
    agents: &Agents,
) -> Result<Vec<Subscription>, OpenError> {
    let check = |(agent, event): (String, String)| {
        let (agent, event): (AgentName, EventType) = (agent.parse()?, event.parse()?);
        if !agents.contains_key(&agent) {
            let there = listed(agents.keys());
            return Err(OpenError::Intake(format!(
                "agent `{agent}`, which subscribes to `{event}`, was not added; there is {there}"
            )));
        }
        Ok(Subscription { agent, event })
    };
    subscriptions.into_iter().map(check).collect()
}

fn named<N: Ord + std::str::FromStr<Err = BadName>, T>(
    map: BTreeMap<String, T>,
) -> Result<BTreeMap<N, T>, BadName> {
    map.into_iter().map(|(name, value)| Ok((name.parse()?, value))).collect()
}

/// Agents name tools that are there.
pub(crate) fn check_tools(catalog: &Catalog) -> Result<(), OpenError> {
    let there: Vec<String> = catalog.operation_names().collect();
    for (name, versions) in &catalog.agents {
        for tool in versions.values().flat_map(|spec| &spec.tools) {
            if there.contains(tool) {
                continue;
            }
            let near = nearest(tool, there.iter().map(String::as_str));
            let help = near.map_or_else(
                || format!("there is {}", listed(there.iter())),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(OpenError::Tool { agent: name.to_string(), tool: tool.clone(), help });
        }
    }
    Ok(())
}

/// Every workflow against what there is, the other workflows included.
pub(crate) fn check_workflows(
    new: &[Workflow],
    there: BTreeMap<WorkflowName, Arc<Workflow>>,
    catalog: &Catalog,
) -> Result<(), Vec<Problem>> {
    let mut all = there;
    all.extend(new.iter().map(|workflow| (workflow.name.clone(), Arc::new(workflow.clone()))));
    let problems: Vec<Problem> =
        new.iter().flat_map(|workflow| workflow.check(catalog, &all)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn check_intakes(
    intakes: Vec<(String, String, Option<Duration>)>,
    connectors: &BTreeMap<ConnectorName, Arc<dyn Connector>>,
    workflows: &Workflows,
) -> Result<BTreeMap<ConnectorName, IntakeSpec>, OpenError> {
    let check = |(connector, workflow, interval): (String, String, _)| {
        let (connector, workflow): (ConnectorName, WorkflowName) =
            (connector.parse()?, workflow.parse()?);
        if !connectors.contains_key(&connector) {
            let there = listed(connectors.keys());
            return Err(OpenError::Intake(format!(
                "the intake's connector `{connector}` is not mounted; there is {there}"
            )));
        }
        if workflows.newest(&workflow).is_none() {
            let there = listed(workflows.names().iter());
            return Err(OpenError::Intake(format!(
                "the intake's workflow `{workflow}` was not added; there is {there}"
            )));
        }
        Ok((connector, IntakeSpec { workflow, interval }))
    };
    intakes.into_iter().map(check).collect()
}

/// A connector as it is mounted: its panics are faults.
pub(crate) fn contained(connector: impl Connector) -> Arc<dyn Connector> {
    Arc::new(Contained(Arc::new(connector)))
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
