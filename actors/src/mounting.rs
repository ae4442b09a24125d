//! Agents and connectors that come and go while the kernel runs.

use std::sync::Arc;

use soloist_connectors::Connector;
use soloist_kernel::{
    id::{AgentName, BadName, ConnectorName, RunId},
    journal::ReadError,
    run::{RunSummary, project},
    workflow::Problem,
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    Agent, Soloist, agents,
    builder::{OpenError, check_tools, check_workflows, contained},
    connector,
    mounted::Mounted,
    root::{self, AGENTS, CONNECTORS},
    supervisor::{Message, Spec},
    views,
};

/// How many runs an error names.
const NAMED_MAX: usize = 5;

/// Why something was not mounted or not taken away. What was there stays.
#[derive(Debug, Error)]
pub enum MountError {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// It is there already.
    #[error(
        "`{0}` is mounted already; take it away first, or give the new one another name or version"
    )]
    Exists(String),
    /// It is not there.
    #[error("`{0}` is not mounted")]
    Missing(String),
    /// An agent names a tool that is not there.
    #[error("{0}")]
    Tool(String),
    /// Workflows need it.
    #[error("workflows need it: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Needed(Vec<Problem>),
    /// Runs that are under way need it.
    #[error("{count} runs under way are pinned to it: {named}; let them end, or migrate them")]
    Pinned {
        /// How many.
        count: usize,
        /// Some of them.
        named: String,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its supervisor is restarting or did not start it.
    #[error("failed to start or stop it: {0}; try again")]
    Tree(String),
}

impl Soloist {
    /// Mounts another connector as `name`.
    ///
    /// # Errors
    ///
    /// [`MountError`].
    pub async fn add_connector(
        &self,
        name: &str,
        connector: impl Connector,
    ) -> Result<(), MountError> {
        let name: ConnectorName = name.parse()?;
        let before = self.context().mounted();
        let mut connectors = before.connectors.clone();
        if connectors.insert(name.clone(), contained(connector)).is_some() {
            return Err(MountError::Exists(name.to_string()));
        }
        let after = Mounted::new(before.agents.clone(), connectors, before.intakes.clone());
        self.context().mounts.put(after);
        let started = self.add_child(CONNECTORS, root::connector(self.context(), &name)).await;
        if started.is_err() {
            self.context().mounts.put((*before).clone());
        }
        started
    }

    /// Takes a connector away: it makes no more calls, those under way come to an end, and its actors leave. Writes that run
    /// into its absence wait until it is there again.
    ///
    /// # Errors
    ///
    /// [`MountError`].
    pub async fn remove_connector(&self, name: &str) -> Result<(), MountError> {
        let name: ConnectorName = name.parse()?;
        let before = self.context().mounted();
        let mut connectors = before.connectors.clone();
        if connectors.remove(&name).is_none() {
            return Err(MountError::Missing(name.to_string()));
        }
        let mut intakes = before.intakes.clone();
        intakes.remove(&name);
        self.put_if_unneeded(Mounted::new(before.agents.clone(), connectors, intakes))?;
        if let Some(actor) = self.context().registry.connector(&name) {
            let (reply, drained) = oneshot::channel();
            if actor.send(connector::Message::Drain { reply }).is_ok() {
                let _ = drained.await;
            }
        }
        self.remove_child(CONNECTORS, name.as_str()).await?;
        self.context().registry.forget_connector(&name);
        self.context().gates.forget(&name);
        Ok(())
    }

    /// Adds an agent, or another version of one: runs that begin from now on have the newest.
    ///
    /// # Errors
    ///
    /// [`MountError`].
    pub async fn add_agent<A: Agent>(&self, agent: A) -> Result<(), MountError> {
        let name: AgentName = A::NAME.parse()?;
        let before = self.context().mounted();
        let mut agents = before.agents.clone();
        let versions = agents.entry(name.clone()).or_default();
        if versions.insert(A::VERSION, Arc::new(agent)).is_some() {
            return Err(MountError::Exists(root::pool_name(&name, A::VERSION)));
        }
        let after = Mounted::new(agents, before.connectors.clone(), before.intakes.clone());
        check_tools(&after.catalog)
            .map_err(|error: OpenError| MountError::Tool(error.to_string()))?;
        self.context().mounts.put(after);
        let started = self.add_child(AGENTS, root::pool(self.context(), &name, A::VERSION)).await;
        if started.is_err() {
            self.context().mounts.put((*before).clone());
        }
        started
    }

    /// Takes a version of an agent away, once no run that is under way is pinned to it. Turns under way come to an end first.
    ///
    /// # Errors
    ///
    /// [`MountError`].
    pub async fn remove_agent(&self, name: &str, version: u32) -> Result<(), MountError> {
        let name: AgentName = name.parse()?;
        let called = root::pool_name(&name, version);
        let before = self.context().mounted();
        let mut agents = before.agents.clone();
        let versions = agents.get_mut(&name);
        if versions.and_then(|versions| versions.remove(&version)).is_none() {
            return Err(MountError::Missing(called));
        }
        agents.retain(|_, versions| !versions.is_empty());
        let pinned = self.pinned_to(&name, version)?;
        if !pinned.is_empty() {
            let named: Vec<&str> = pinned.iter().take(NAMED_MAX).map(RunId::as_str).collect();
            return Err(MountError::Pinned { count: pinned.len(), named: named.join(", ") });
        }
        let intakes = before.intakes.clone();
        self.put_if_unneeded(Mounted::new(agents, before.connectors.clone(), intakes))?;
        if let Some(pool) = self.context().registry.pool(&name, version) {
            let (reply, drained) = oneshot::channel();
            if pool.send(agents::Message::Drain { reply }).is_ok() {
                let _ = drained.await;
            }
        }
        self.remove_child(AGENTS, &called).await?;
        self.context().registry.forget_pool(&name, version);
        Ok(())
    }

    /// Puts `after` in place, if every workflow still finds what it needs.
    fn put_if_unneeded(&self, after: Mounted) -> Result<(), MountError> {
        let all = self.context().workflows.all();
        let newest: Vec<_> = all.values().map(|workflow| (**workflow).clone()).collect();
        check_workflows(&newest, all, &after.catalog).map_err(MountError::Needed)?;
        check_tools(&after.catalog).map_err(|error| MountError::Tool(error.to_string()))?;
        self.context().mounts.put(after);
        Ok(())
    }

    /// The runs under way that are pinned to a version of an agent.
    fn pinned_to(&self, agent: &AgentName, version: u32) -> Result<Vec<RunId>, MountError> {
        let mut found = vec![];
        views::each_row(self.journal(), project::ACTIVE, "", |_, bytes| {
            let Ok(summary) = serde_json::from_slice::<RunSummary>(bytes) else { return Ok(()) };
            let run = self.folded(&summary.run)?;
            if run.is_some_and(|run| run.agents.get(agent) == Some(&version)) {
                found.push(summary.run);
            }
            Ok::<_, MountError>(())
        })?;
        Ok(found)
    }

    async fn add_child(&self, supervisor: &str, spec: Spec) -> Result<(), MountError> {
        let added = self.ask_supervisor(supervisor, |reply| Message::Add { spec, reply }).await?;
        added.map_err(MountError::Tree)
    }

    async fn remove_child(&self, supervisor: &str, name: &str) -> Result<(), MountError> {
        let name = name.to_owned();
        // One that has left by itself, because it was drained, is gone as well.
        self.ask_supervisor(supervisor, |reply| Message::Remove { name, reply }).await.map(drop)
    }

    async fn ask_supervisor<T>(
        &self,
        path: &str,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<T, MountError> {
        let restarting = || MountError::Tree("its supervisor is restarting".into());
        let (reply, answer) = oneshot::channel();
        let actor = self.context().registry.supervisor(path).ok_or_else(restarting)?;
        actor.send(message(reply)).map_err(|_| restarting())?;
        answer.await.map_err(|_| restarting())
    }
}
