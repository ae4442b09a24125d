//! Who is where: the addresses of the actors of one kernel. An actor enters itself when it starts, so after a restart messages go
//! to its successor.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use soloist_kernel::id::{AgentName, ConnectorName};

use crate::{
    actor::Address, agents, connector, events, intake, memory, retention, runs, schedules, shadows,
    supervisor, timers,
};

/// The addresses of one kernel's actors.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    supervisors: BTreeMap<String, Address<supervisor::Message>>,
    memory: Option<Address<memory::Message>>,
    runs: Option<Address<runs::Message>>,
    timers: Option<Address<timers::Message>>,
    events: Option<Address<events::Message>>,
    schedules: Option<Address<schedules::Message>>,
    retention: Option<Address<retention::Message>>,
    shadows: Option<Address<shadows::Message>>,
    connectors: BTreeMap<ConnectorName, Address<connector::Message>>,
    pools: BTreeMap<(AgentName, u32), Address<agents::Message>>,
    intakes: BTreeMap<ConnectorName, Address<intake::Message>>,
}

impl Registry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("looking up does not panic")
    }

    /// The supervisor at `path`: `soloist/connectors`.
    pub(crate) fn supervisor(&self, path: &str) -> Option<Address<supervisor::Message>> {
        self.inner().supervisors.get(path).cloned()
    }

    pub(crate) fn set_supervisor(&self, path: String, actor: Address<supervisor::Message>) {
        self.inner().supervisors.insert(path, actor);
    }

    pub(crate) fn memory(&self) -> Option<Address<memory::Message>> {
        self.inner().memory.clone()
    }

    pub(crate) fn set_memory(&self, actor: Address<memory::Message>) {
        self.inner().memory = Some(actor);
    }

    pub(crate) fn runs(&self) -> Option<Address<runs::Message>> {
        self.inner().runs.clone()
    }

    pub(crate) fn set_runs(&self, actor: Address<runs::Message>) {
        self.inner().runs = Some(actor);
    }

    pub(crate) fn timers(&self) -> Option<Address<timers::Message>> {
        self.inner().timers.clone()
    }

    pub(crate) fn set_timers(&self, actor: Address<timers::Message>) {
        self.inner().timers = Some(actor);
    }

    pub(crate) fn events(&self) -> Option<Address<events::Message>> {
        self.inner().events.clone()
    }

    pub(crate) fn set_events(&self, actor: Address<events::Message>) {
        self.inner().events = Some(actor);
    }

    pub(crate) fn schedules(&self) -> Option<Address<schedules::Message>> {
        self.inner().schedules.clone()
    }

    pub(crate) fn set_schedules(&self, actor: Address<schedules::Message>) {
        self.inner().schedules = Some(actor);
    }

    pub(crate) fn retention(&self) -> Option<Address<retention::Message>> {
        self.inner().retention.clone()
    }

    pub(crate) fn set_retention(&self, actor: Address<retention::Message>) {
        self.inner().retention = Some(actor);
    }

    pub(crate) fn shadows(&self) -> Option<Address<shadows::Message>> {
        self.inner().shadows.clone()
    }

    pub(crate) fn set_shadows(&self, actor: Address<shadows::Message>) {
        self.inner().shadows = Some(actor);
    }

    pub(crate) fn connector(&self, name: &ConnectorName) -> Option<Address<connector::Message>> {
        self.inner().connectors.get(name).cloned()
    }

    pub(crate) fn set_connector(&self, name: ConnectorName, actor: Address<connector::Message>) {
        self.inner().connectors.insert(name, actor);
    }

    /// The pool of an agent's version.
    pub(crate) fn pool(&self, agent: &AgentName, version: u32) -> Option<Address<agents::Message>> {
        self.inner().pools.get(&(agent.clone(), version)).cloned()
    }

    pub(crate) fn set_pool(&self, agent: AgentName, version: u32, actor: Address<agents::Message>) {
        self.inner().pools.insert((agent, version), actor);
    }

    pub(crate) fn intake(&self, name: &ConnectorName) -> Option<Address<intake::Message>> {
        self.inner().intakes.get(name).cloned()
    }

    pub(crate) fn set_intake(&self, name: ConnectorName, actor: Address<intake::Message>) {
        self.inner().intakes.insert(name, actor);
    }

    pub(crate) fn forget_connector(&self, name: &ConnectorName) {
        let mut inner = self.inner();
        inner.connectors.remove(name);
        inner.intakes.remove(name);
    }

    pub(crate) fn forget_pool(&self, agent: &AgentName, version: u32) {
        self.inner().pools.remove(&(agent.clone(), version));
    }

    /// Forgets everyone, so that nothing holds on to actors that have stopped.
    pub(crate) fn clear(&self) {
        *self.inner() = Inner::default();
    }
}
