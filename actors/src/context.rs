//! What the actors of one kernel share: the world, the journal, and the tables of what is mounted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use soloist_connectors::{Connector, Env};
use soloist_kernel::{
    id::{AgentName, ConnectorName},
    journal::{Journal, ReadError},
    policy::{Evidence, Policy},
    run::project::reached_key,
    time::Timestamp,
};
use soloist_memory::{Assertion, Fact, Memory};
use tokio::sync::watch;

use crate::{agent::DynAgent, log::Log, registry::Registry, workflows::Workflows};

/// What the actors of one kernel share. There are no statics: two kernels fit in one process.
pub(crate) struct Context {
    pub(crate) env: Env,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) log: Log,
    pub(crate) memory: Memory,
    pub(crate) policy: Policy,
    pub(crate) workflows: Workflows,
    pub(crate) connectors: BTreeMap<ConnectorName, Arc<dyn Connector>>,
    pub(crate) agents: BTreeMap<AgentName, Arc<dyn DynAgent>>,
    pub(crate) registry: Registry,
    pub(crate) counters: Counters,
    /// Why the kernel can no longer go on; `None` while it can. A single waiter reads it, so that the thread-random wake-up
    /// order of `watch` does not matter.
    pub(crate) halted: watch::Sender<Option<String>>,
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
    /// The journal's own counts.
    pub journal: soloist_kernel::journal::Stats,
}

impl Context {
    /// The kernel cannot go on: everyone who waits is told, and the process should end so that the next one can recover.
    pub(crate) fn halt(&self, reason: &str) {
        let first = self
            .halted
            .send_if_modified(|halted| halted.is_none() && halted.replace(reason.into()).is_none());
        if first {
            tracing::error!(reason, "the kernel halts");
        }
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
                evidence.reached.insert(argument.clone(), Timestamp(at));
            }
        }
        Ok(evidence)
    }

    /// Has the memory actor assert a fact.
    pub(crate) async fn remember(&self, assertion: Assertion) -> Result<Fact, String> {
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
            journal: self.journal.stats(),
        }
    }
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
