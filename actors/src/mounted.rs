//! What is mounted: agents and connectors, and the catalogue of what they can do. They come and go while the kernel runs;
//! whoever reads holds one consistent picture.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use soloist_connectors::Connector;
use soloist_kernel::{
    catalog::Catalog,
    id::{AgentName, ConnectorName, WorkflowName},
};

use crate::agent::DynAgent;

/// The agents, by name and version.
pub(crate) type Agents = BTreeMap<AgentName, BTreeMap<u32, Arc<dyn DynAgent>>>;
/// The connectors, by the name they are mounted as.
pub(crate) type Connectors = BTreeMap<ConnectorName, Arc<dyn Connector>>;

/// A connector that is read: which workflow its changes start, and how often it is pulled by itself.
#[derive(Clone)]
pub(crate) struct IntakeSpec {
    pub(crate) workflow: WorkflowName,
    pub(crate) interval: Option<Duration>,
}

/// What is mounted.
#[derive(Clone, Default)]
pub(crate) struct Mounted {
    pub(crate) agents: Agents,
    pub(crate) connectors: Connectors,
    pub(crate) intakes: BTreeMap<ConnectorName, IntakeSpec>,
    /// What there is to call, as it follows from the others.
    pub(crate) catalog: Catalog,
}

impl Mounted {
    pub(crate) fn new(
        agents: Agents,
        connectors: Connectors,
        intakes: BTreeMap<ConnectorName, IntakeSpec>,
    ) -> Self {
        let catalog = catalog(&agents, &connectors);
        Self::of(agents, connectors, intakes, catalog)
    }

    /// As [`new`](Self::new), with the catalogue that was made of the agents and connectors before.
    pub(crate) fn of(
        agents: Agents,
        connectors: Connectors,
        intakes: BTreeMap<ConnectorName, IntakeSpec>,
        catalog: Catalog,
    ) -> Self {
        Self { agents, connectors, intakes, catalog }
    }

    /// The agent `name` in `version`.
    pub(crate) fn agent(&self, name: &AgentName, version: u32) -> Option<&Arc<dyn DynAgent>> {
        self.agents.get(name)?.get(&version)
    }
}

/// What agents and connectors declare: what workflows and proposals are checked against.
pub(crate) fn catalog(agents: &Agents, connectors: &Connectors) -> Catalog {
    let specs = |versions: &BTreeMap<u32, Arc<dyn DynAgent>>| {
        versions.iter().map(|(version, agent)| (*version, agent.spec())).collect()
    };
    let operations = |connector: &Arc<dyn Connector>| connector.manifest().operations.clone();
    Catalog {
        agents: agents.iter().map(|(name, versions)| (name.clone(), specs(versions))).collect(),
        connectors: connectors
            .iter()
            .map(|(name, connector)| (name.clone(), operations(connector)))
            .collect(),
    }
}

/// What is mounted now.
#[derive(Default)]
pub(crate) struct Mounts(Mutex<Arc<Mounted>>);

impl Mounts {
    pub(crate) fn new(mounted: Mounted) -> Self {
        Self(Mutex::new(Arc::new(mounted)))
    }

    pub(crate) fn current(&self) -> Arc<Mounted> {
        self.0.lock().expect("reading what is mounted does not panic").clone()
    }

    pub(crate) fn put(&self, mounted: Mounted) {
        *self.0.lock().expect("mounting does not panic") = Arc::new(mounted);
    }
}
