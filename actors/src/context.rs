//! What the actors of one kernel share: the world, the journal, and the tables of what is mounted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use soloist_connectors::Env;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{AgentName, BadName, ConnectorName, OperationName, RunId},
    journal::{Journal, ReadError},
    labels::Labeled,
    mutant::{Mutant, planted},
    payload::Payload,
    policy::{Evidence, Policy, Reached},
    rollout::Subject,
    run::{
        self, Run,
        project::{REACHED_COUNT_MAX, REACHED_DAYS, reached_day, reached_key},
    },
    time::Timestamp,
    workflow::{Body, OnFailure, Priority, Work, Workflow},
};
use soloist_memory::{Assertion, Fact, Memory};
use tokio::sync::watch;

use crate::{
    budgets::Purse,
    connector,
    events::Subscription,
    gate::Gates,
    handle::Halted,
    log::Log,
    mounted::{Mounted, Mounts},
    pauses::Held,
    policies::Policies,
    registry::Registry,
    rollouts::Shares,
    run::Which,
    runs::aside::Aside,
    service::Services,
    shadows::Told,
    travel::Stage,
    tree::Tree,
    views,
    workflows::{Shelf, Workflows},
};

/// What the actors of one kernel share. There are no statics: two kernels fit in one process.
pub(crate) struct Context {
    pub(crate) env: Env,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) log: Log,
    pub(crate) memory: Memory,
    pub(crate) policies: Policies,
    pub(crate) mounts: Mounts,
    pub(crate) workflows: Workflows,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) services: Vec<Services>,
    pub(crate) registry: Registry,
    pub(crate) tree: Arc<Tree>,
    pub(crate) counters: Counters,
    pub(crate) aside: Aside,
    /// Which versions are side by side.
    pub(crate) shares: Shares,
    /// What is said of shadows that are due.
    pub(crate) shadows: Told,
    /// What the operator has paused.
    pub(crate) held: Held,
    /// What calls may cost.
    pub(crate) purse: Purse,
    /// What stands between everyone and the calls of connectors.
    pub(crate) gates: Gates,
    /// Most runs that are active at once.
    pub(crate) active_max: usize,
    /// How long after its end a run is archived; never if absent.
    pub(crate) retention: Option<Duration>,
    /// Fewest records between two snapshots of a run.
    pub(crate) snapshot_every: u64,
    /// What a fork is answered from; `None` in every other kernel.
    pub(crate) stage: Option<Arc<Stage>>,
    /// Nothing more is taken in: see [`Soloist::drain`](crate::Soloist::drain).
    pub(crate) draining: AtomicBool,
    /// Why the kernel can no longer go on; `None` while it can. A single waiter reads it, so that the thread-random wake-up
    /// order of `watch` does not matter.
    pub(crate) halted: watch::Sender<Option<Halted>>,
}

/// What happened since the kernel was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) runs_started: AtomicU64,
    pub(crate) runs_completed: AtomicU64,
    pub(crate) runs_failed: AtomicU64,
    pub(crate) writes_landed: AtomicU64,
    pub(crate) changes_quarantined: AtomicU64,
    pub(crate) actors_restarted: AtomicU64,
    pub(crate) runs_shed: AtomicU64,
}

/// What happened since the kernel was opened, and what the journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs begun.
    pub runs_started: u64,
    /// Runs that ended well.
    pub runs_completed: u64,
    /// Runs that failed.
    pub runs_failed: u64,
    /// Writes that landed.
    pub writes_landed: u64,
    /// Changes that could not be read.
    pub changes_quarantined: u64,
    /// Actors that a supervisor restarted.
    pub actors_restarted: u64,
    /// Runs that were not begun, because too much was under way.
    pub runs_shed: u64,
    /// The journal's own counts.
    pub journal: soloist_kernel::journal::Stats,
}

impl Context {
    /// The kernel cannot go on: everyone who waits is told, and the process should end so that the next one can recover.
    pub(crate) fn halt(&self, reason: &str) {
        self.stop_for_good(Halted { reason: reason.into(), gave_up: false });
    }

    /// The tree has given up: everyone who waits is told. The process may stay, so that the operator can see why.
    pub(crate) fn give_up(&self, reason: &str) {
        self.stop_for_good(Halted { reason: reason.into(), gave_up: true });
    }

    fn stop_for_good(&self, why: Halted) {
        let reason = why.reason.clone();
        let first = self
            .halted
            .send_if_modified(|halted| halted.is_none() && halted.replace(why).is_none());
        if first {
            tracing::error!(reason, "the kernel halts");
        }
    }

    /// Whether nothing more is taken in.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// How important a run of `which` is: as its most important step.
    pub(crate) fn importance(&self, which: &Which) -> Priority {
        let Which::Newest(name) = which else { return Priority::Normal };
        let found = self.workflows.newest(name);
        let steps = found.iter().flat_map(|(_, workflow)| &workflow.steps);
        steps.map(|step| step.priority).min().unwrap_or_default()
    }

    /// What is mounted now.
    pub(crate) fn mounted(&self) -> Arc<Mounted> {
        self.mounts.current()
    }

    /// What is known about the places that `routing` names.
    pub(crate) fn evidence(
        &self,
        connector: &ConnectorName,
        routing: &BTreeMap<String, String>,
    ) -> Result<Evidence, ReadError> {
        let mut evidence = Evidence::default();
        for (argument, value) in routing {
            let found = self.journal.projection(&reached_key(connector, argument, value))?;
            if let Some(at) =
                found.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)))
            {
                let day = reached_day(connector, argument, value, self.env.now());
                let today = self.journal.projections(REACHED_DAYS, &day, "", REACHED_COUNT_MAX)?;
                let mut today = u32::try_from(today.len()).unwrap_or(u32::MAX);
                if planted(Mutant::TodayNotCounted) {
                    today = 0;
                }
                evidence.reached.insert(argument.clone(), Reached { at: Timestamp(at), today });
            }
            let Some(stage) = &self.stage else { continue };
            // What the fork itself has reached comes on top of what was reached before it began.
            if let Some(before) = stage.reached(connector, argument, value, self.env.now())? {
                let reached = evidence.reached.entry(argument.clone()).or_default();
                let today = reached.today.saturating_add(before.today);
                *reached = Reached { at: reached.at.max(before.at), today };
            }
        }
        Ok(evidence)
    }

    /// The policy that judges what `run` proposes: the newest, unless two are side by side; then the one that the topmost run
    /// above it draws, so that a run and those beneath it are judged by one.
    pub(crate) fn policy_of(&self, run: &Run) -> Arc<Policy> {
        let newest = self.policies.current();
        let rollouts = self.shares.current();
        let Some(rollout) = rollouts.in_force(&Subject::Policy, newest.version()) else {
            return newest;
        };
        let journal = &*self.journal;
        // Where that cannot be read, the run draws for itself: its judgement names the version in any case.
        let topmost = match &run.parent {
            None => Ok(run.id.clone()),
            Some(_) if planted(Mutant::PolicyDrawnBeneath) => Ok(run.id.clone()),
            Some(parent) => views::topmost_of(journal, &parent.run),
        };
        let version = rollout.version(&topmost.unwrap_or_else(|_| run.id.clone()));
        if version == newest.version() {
            return newest;
        }
        self.policies.version(journal, version).ok().flatten().unwrap_or(newest)
    }

    /// Has the kernel decide about `run`, over the policy that judges it, the catalogue and the workflows that there are now.
    /// Nothing is judged while a run begins, so that one needs no policy of its own yet.
    pub(crate) fn decides<T>(
        &self,
        run: Option<&Run>,
        now: Timestamp,
        decide: impl FnOnce(&run::Env<'_>) -> T,
    ) -> T {
        let policy = run.map_or_else(|| self.policies.current(), |run| self.policy_of(run));
        let library = self.library();
        let mounted = self.mounted();
        decide(&run::Env { now, policy: &policy, catalog: &mounted.catalog, library: &library })
    }

    /// The workflows there are.
    pub(crate) fn library(&self) -> Shelf<'_> {
        self.workflows.shelf(&*self.journal, self.shares.current())
    }

    /// The versions of the agents that `run`, of `definition`, may need: what it is pinned to. They are the newest, unless two
    /// are side by side.
    pub(crate) fn pin(&self, definition: &Workflow, run: &RunId) -> BTreeMap<AgentName, u32> {
        let (mut pinned, mounted) = (BTreeMap::new(), self.mounted());
        let rollouts = self.shares.current();
        let mut pin = |agent: &AgentName| {
            if let Some(spec) = mounted.catalog.newest_agent(agent) {
                let of = Subject::Agent(agent.clone());
                let version = rollouts.version(&of, spec.version, run);
                let there = mounted.catalog.agent(agent, version).is_some();
                pinned.insert(agent.clone(), if there { version } else { spec.version });
            }
        };
        for step in &definition.steps {
            match &step.work {
                Work::Agent(agent)
                | Work::Map { body: Body::Agent(agent), .. }
                | Work::Loop { body: Body::Agent(agent), .. } => pin(agent),
                _ => {}
            }
            if let OnFailure::Agent(agent) = &step.on_failure {
                pin(agent);
            }
        }
        pinned
    }

    /// The version of `agent` that a run with `pinned` versions has. A run from before versions were recorded has the first
    /// there is.
    pub(crate) fn version_of(
        &self,
        agent: &AgentName,
        pinned: &BTreeMap<AgentName, u32>,
    ) -> Option<u32> {
        let mounted = self.mounted();
        let first = || mounted.catalog.agents.get(agent)?.keys().next().copied();
        pinned.get(agent).copied().or_else(first)
    }

    /// Whether there is an agent `name`.
    pub(crate) fn knows_agent(&self, name: &AgentName) -> bool {
        self.mounted().agents.contains_key(name)
    }

    /// Reads from a connector, for an agent that names the operation among its tools.
    pub(crate) async fn read(
        &self,
        run: &RunId,
        agent: &AgentName,
        version: u32,
        tool: &str,
        arguments: Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let mounted = self.mounted();
        let refused = |problem: String| Fault::new(FaultClass::Invalid, Phase::NotSent, problem);
        let named = mounted
            .catalog
            .agent(agent, version)
            .is_some_and(|spec| spec.tools.iter().any(|known| known == tool));
        if !named {
            return Err(refused(format!("agent `{agent}` does not name `{tool}` among its tools")));
        }
        if let Some(stage) = &self.stage {
            return stage.read(tool, &arguments).map_err(refused);
        }
        let (connector, operation) = operation_of(tool).map_err(refused)?;
        match self.registry.connector(&connector) {
            Some(actor) => {
                connector::read(&actor, run.clone(), Priority::Normal, operation, arguments).await
            }
            None => Err(refused(format!("connector `{connector}` is not mounted"))),
        }
    }

    /// Has the memory actor assert a fact.
    pub(crate) async fn remember(&self, assertion: Assertion) -> Result<Fact, String> {
        if let Some(stage) = &self.stage {
            return stage.remember(assertion, self.env.now());
        }
        let memory = self.registry.memory().ok_or("memory is restarting; try again")?;
        crate::memory::remember(&memory, assertion).await
    }

    pub(crate) fn stats(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Stats {
            runs_started: count(&counters.runs_started),
            runs_completed: count(&counters.runs_completed),
            runs_failed: count(&counters.runs_failed),
            writes_landed: count(&counters.writes_landed),
            changes_quarantined: count(&counters.changes_quarantined),
            actors_restarted: count(&counters.actors_restarted),
            runs_shed: count(&counters.runs_shed),
            journal: self.journal.stats(),
        }
    }
}

/// The connector and the operation that a tool is.
pub(crate) fn operation_of(tool: &str) -> Result<(ConnectorName, OperationName), String> {
    let (connector, operation) =
        tool.split_once('.').ok_or_else(|| format!("`{tool}` names no operation"))?;
    let connector = connector.parse().map_err(|error: BadName| error.to_string())?;
    let operation = operation.parse().map_err(|error: BadName| error.to_string())?;
    Ok((connector, operation))
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
