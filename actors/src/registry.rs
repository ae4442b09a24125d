//! Where the living actors are. Supervisors write it when they start a child; everyone else looks children up at each send,
//! because a restarted actor is another one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use ractor::ActorRef;
use soloist_kernel::id::{AgentName, ConnectorName};

use crate::{agents, connector, events, intake, memory, runs, schedules, timers};

/// The living actors of one kernel, by name.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    memory: Option<ActorRef<memory::Message>>,
    runs: Option<ActorRef<runs::Message>>,
    timers: Option<ActorRef<timers::Message>>,
    events: Option<ActorRef<events::Message>>,
    schedules: Option<ActorRef<schedules::Message>>,
    connectors: BTreeMap<ConnectorName, ActorRef<connector::Message>>,
    agents: BTreeMap<AgentName, ActorRef<agents::Message>>,
    intakes: BTreeMap<ConnectorName, ActorRef<intake::Message>>,
}

impl Registry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("looking up does not panic")
    }

    pub(crate) fn memory(&self) -> Option<ActorRef<memory::Message>> {
        self.inner().memory.clone()
    }

    pub(crate) fn set_memory(&self, actor: ActorRef<memory::Message>) {
        self.inner().memory = Some(actor);
    }

    pub(crate) fn runs(&self) -> Option<ActorRef<runs::Message>> {
        self.inner().runs.clone()
    }

    pub(crate) fn set_runs(&self, actor: ActorRef<runs::Message>) {
        self.inner().runs = Some(actor);
    }

    pub(crate) fn timers(&self) -> Option<ActorRef<timers::Message>> {
        self.inner().timers.clone()
    }

    pub(crate) fn set_timers(&self, actor: ActorRef<timers::Message>) {
        self.inner().timers = Some(actor);
    }

    pub(crate) fn events(&self) -> Option<ActorRef<events::Message>> {
        self.inner().events.clone()
    }

    pub(crate) fn set_events(&self, actor: ActorRef<events::Message>) {
        self.inner().events = Some(actor);
    }

    pub(crate) fn schedules(&self) -> Option<ActorRef<schedules::Message>> {
        self.inner().schedules.clone()
    }

    pub(crate) fn set_schedules(&self, actor: ActorRef<schedules::Message>) {
        self.inner().schedules = Some(actor);
    }

    pub(crate) fn connector(&self, name: &ConnectorName) -> Option<ActorRef<connector::Message>> {
        self.inner().connectors.get(name).cloned()
    }

    pub(crate) fn set_connector(&self, name: ConnectorName, actor: ActorRef<connector::Message>) {
        self.inner().connectors.insert(name, actor);
    }

    pub(crate) fn agent(&self, name: &AgentName) -> Option<ActorRef<agents::Message>> {
        self.inner().agents.get(name).cloned()
    }

    pub(crate) fn set_agent(&self, name: AgentName, actor: ActorRef<agents::Message>) {
        self.inner().agents.insert(name, actor);
    }

    pub(crate) fn intake(&self, name: &ConnectorName) -> Option<ActorRef<intake::Message>> {
        self.inner().intakes.get(name).cloned()
    }

    pub(crate) fn set_intake(&self, name: ConnectorName, actor: ActorRef<intake::Message>) {
        self.inner().intakes.insert(name, actor);
    }
}
