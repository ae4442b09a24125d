//! What a simulation is of: systems, a kernel, work, an operator, and what must hold beyond the invariants.

mod faults;
mod systems;

use std::{fmt, future::Future, ops::RangeInclusive, pin::Pin, sync::Arc};

use serde_json::Value;
use soloist_actors::{Builder, Soloist};
use soloist_kernel::budget::Budgets;

pub use self::{
    faults::Faults,
    systems::{Happened, Ledger, Systems},
};
use crate::{client::Client, fake::Fake, operator::Operator, process::Process, world::World};
pub(crate) use systems::{Answers, MakeConnector};

/// Where the systems of a simulation come from, once for each.
type MakeSystems = Arc<dyn Fn(&World) -> Systems + Send + Sync>;

/// What webhooks arrive.
type MakeWebhooks = Arc<dyn Fn(&World) -> Vec<Webhook> + Send + Sync>;

/// What a process' kernel is made of.
type MakeKernel = Arc<dyn Fn(Builder, &Process) -> Builder + Send + Sync>;

/// What is asked of the kernel.
type Workload = Arc<dyn Fn(Client) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What must hold: of the world alone, whenever something happened; or of the kernel at rest.
type Always = Arc<dyn Fn(&World) -> Result<(), String> + Send + Sync>;
type Finally = Arc<dyn Fn(&World, &Soloist) -> Result<(), String> + Send + Sync>;
type Sometimes = Arc<dyn Fn(&World) -> bool + Send + Sync>;

/// A webhook that a system sends until it is acknowledged.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Who sends it.
    pub source: String,
    /// Its id: the same again is the same.
    pub id: String,
    /// Its type: `payment.settled`.
    pub event: String,
    /// What it says.
    pub data: Value,
    /// When it is first sent, in milliseconds of virtual time.
    pub at_ms: u64,
}

/// A scenario. It is built once and simulated many times: what has state is made anew for each simulation, and what belongs
/// to a process anew for each process.
#[derive(Clone)]
pub struct Scenario {
    pub(crate) name: String,
    pub(crate) systems: Vec<MakeSystems>,
    pub(crate) kernel: MakeKernel,
    pub(crate) workload: Workload,
    pub(crate) webhooks: MakeWebhooks,
    pub(crate) operator: Operator,
    pub(crate) faults: Faults,
    pub(crate) size_max: u32,
    pub(crate) deploys: Option<MakeKernel>,
    pub(crate) models: Vec<String>,
    pub(crate) always: Vec<(String, Always)>,
    pub(crate) finally: Vec<(String, Finally)>,
    pub(crate) sometimes: Vec<(String, Sometimes)>,
    pub(crate) secrets: Vec<String>,
    pub(crate) budgets: Budgets,
    pub(crate) has_webhooks: bool,
    /// Whether the operator is asked anything when nothing goes wrong.
    pub(crate) asks: bool,
}

impl Scenario {
    /// A scenario of this name in which nothing happens yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            systems: vec![],
            kernel: Arc::new(|builder, _| builder),
            workload: Arc::new(|_| Box::pin(async {})),
            webhooks: Arc::new(|_| vec![]),
            operator: Operator::default(),
            faults: Faults::all(),
            size_max: 3,
            deploys: None,
            models: vec![],
            always: vec![],
            finally: vec![],
            sometimes: vec![],
            secrets: vec![],
            budgets: Budgets::default(),
            has_webhooks: false,
            asks: false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sizes that its work comes in.
    #[must_use]
    pub fn sizes(&self) -> RangeInclusive<u32> {
        1..=self.size_max
    }

    /// Mounts a [`Fake`] as connector `name`: an API as a state machine. `make` is called once for each simulation.
    pub fn api<S: Send + 'static>(
        &mut self,
        name: &str,
        make: impl Fn() -> Fake<S> + Send + Sync + 'static,
    ) -> &mut Self {
        let name = name.to_owned();
        self.systems(move |_| make().mounted(Systems::new(), &name))
    }

    /// Mounts connectors over systems that outlive the kernel's processes. `make` is called once for each simulation, the
    /// connectors' own makers once for each process.
    pub fn systems(
        &mut self,
        make: impl Fn(&World) -> Systems + Send + Sync + 'static,
    ) -> &mut Self {
        self.systems.push(Arc::new(make));
        self
    }

    /// What the kernel is made of, but for its journal, its world and the connectors: agents, workflows, policy,
    /// subscriptions, intakes. Called once for each process.
    pub fn kernel(
        &mut self,
        make: impl Fn(Builder, &Process) -> Builder + Send + Sync + 'static,
    ) -> &mut Self {
        self.kernel = Arc::new(make);
        self
    }

    /// What the kernel is made of after a new version was deployed, which is one of the faults.
    pub fn deploys(
        &mut self,
        make: impl Fn(Builder, &Process) -> Builder + Send + Sync + 'static,
    ) -> &mut Self {
        self.deploys = Some(Arc::new(make));
        self
    }

    /// What is asked of the kernel. It begins anew in each process, as clients do that were not answered: whatever it asks for
    /// must carry its own identity.
    pub fn workload<F>(&mut self, work: impl Fn(Client) -> F + Send + Sync + 'static) -> &mut Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.workload = Arc::new(move |client| Box::pin(work(client)));
        self
    }

    /// Webhooks that arrive while all of this goes on. Whoever sends them tries again until they are acknowledged.
    pub fn webhooks(
        &mut self,
        make: impl Fn(&World) -> Vec<Webhook> + Send + Sync + 'static,
    ) -> &mut Self {
        (self.webhooks, self.has_webhooks) = (Arc::new(make), true);
        self
    }

    /// Who looks into the inbox.
    pub fn operator(&mut self, operator: Operator) -> &mut Self {
        (self.operator, self.asks) = (operator, true);
        self
    }

    /// What may go wrong.
    pub fn faults(&mut self, faults: Faults) -> &mut Self {
        self.faults = faults;
        self
    }

    /// The connectors that are models, whose answers have faults of their own.
    pub fn models(&mut self, names: &[&str]) -> &mut Self {
        self.models = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Work comes in sizes from one to `size`.
    pub fn size_max(&mut self, size: u32) -> &mut Self {
        self.size_max = size.max(1);
        self
    }

    /// Text that must be in no record and no trace.
    pub fn secret(&mut self, text: impl Into<String>) -> &mut Self {
        self.secrets.push(text.into());
        self
    }

    /// What calls cost, and what they may cost. The systems count their calls against what is limited for ever.
    pub fn budgets(&mut self, budgets: Budgets) -> &mut Self {
        self.budgets = budgets;
        self
    }

    /// What must hold of the world at the end of every process, and at rest.
    pub fn always(
        &mut self,
        name: &str,
        check: impl Fn(&World) -> Result<(), String> + Send + Sync + 'static,
    ) -> &mut Self {
        self.always.push((name.to_owned(), Arc::new(check)));
        self
    }

    /// What must hold when everything has come to rest.
    pub fn finally(
        &mut self,
        name: &str,
        check: impl Fn(&World, &Soloist) -> Result<(), String> + Send + Sync + 'static,
    ) -> &mut Self {
        self.finally.push((name.to_owned(), Arc::new(check)));
        self
    }

    /// What must have been the case in at least one simulation of a sweep, or the sweep has proved nothing of it.
    pub fn sometimes(
        &mut self,
        name: &str,
        check: impl Fn(&World) -> bool + Send + Sync + 'static,
    ) -> &mut Self {
        self.sometimes.push((name.to_owned(), Arc::new(check)));
        self
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}
