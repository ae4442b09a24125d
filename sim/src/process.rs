//! What a kernel is mounted on in one process: its world, and the connectors over the simulated wire.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::Value;
use soloist_actors::Builder;
use soloist_connectors::{
    Compensation, Connector, Done, Env, Intent, Manifest, Page, Plan, Probe, Seen,
};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{EffectId, OperationName},
    labels::Labeled,
    payload::Payload,
};

use crate::{
    remote::Remote,
    scenario::{MakeConnector, Systems},
    world::Access,
};

/// One process of a simulation.
pub struct Process {
    env: Env,
    access: Access,
    remotes: BTreeMap<String, Arc<Remote>>,
}

impl Process {
    pub(crate) fn new(access: &Access, systems: &Systems, env: Env) -> Self {
        let remote = |(name, make): (&String, &MakeConnector)| {
            let remote = Remote {
                name: name.clone(),
                inner: make(),
                access: access.clone(),
                ledger: systems.ledgers.get(name).cloned(),
            };
            (name.clone(), Arc::new(remote))
        };
        let remotes = systems.connectors.iter().map(remote).collect();
        Self { env, access: access.clone(), remotes }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn mounted(&self, mut builder: Builder, systems: &Systems) -> Builder {
        for name in systems.connectors.keys() {
            builder = builder.connector(name, Shared(self.remotes[name].clone()));
        }
        builder
    }

    /// The API behind connector `name` as a vendor's client library would call it: past the kernel, with no intent, no key that
    /// outlives the process and no policy. It is here to show what that leads to.
    ///
    /// # Panics
    ///
    /// If there is no such connector.
    #[must_use]
    pub fn sdk(&self, name: &str) -> Sdk {
        let remote = self.remotes.get(name).expect("the scenario has no connector of this name");
        Sdk { remote: remote.clone(), env: self.env.clone(), access: self.access.clone() }
    }
}

/// An API as a vendor's client library calls it. See [`Process::sdk`].
#[derive(Clone)]
pub struct Sdk {
    remote: Arc<Remote>,
    env: Env,
    access: Access,
}

impl Sdk {
    /// Calls a write.
    ///
    /// # Errors
    ///
    /// What went wrong, in words: as with any library, it may have happened all the same.
    pub async fn call(&self, operation: &str, arguments: &Value) -> Result<Value, String> {
        let words = |fault: Fault| fault.to_string();
        let number = self.access.with(|state| {
            state.sdk_calls += 1;
            state.sdk_calls
        });
        let Some(number) = number else { return std::future::pending().await };
        let id = |text: String| {
            text.parse().map_err(|error: soloist_kernel::id::BadName| error.to_string())
        };
        let key = EffectId {
            run: soloist_kernel::id::RunId::new(format!("sdk-{number}"))
                .map_err(|error| error.to_string())?,
            step: soloist_kernel::id::StepName::new("sdk").map_err(|error| error.to_string())?,
            name: soloist_kernel::id::EffectName::new("call").map_err(|error| error.to_string())?,
            occurrence: 0,
        };
        let intent = Intent {
            operation: id(operation.to_owned())?,
            arguments: Payload::of(arguments).map_err(|error| error.to_string())?,
            key: key.key(),
            at: self.env.now(),
        };
        let plan = self.remote.plan(&intent).map_err(words)?;
        let limit = self.remote.manifest().call_timeout;
        let call = self.remote.called(&self.env, &plan, 1);
        let late = || Fault::new(FaultClass::Deadline, Phase::MaybeSent, "no answer in time");
        let answer = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late()));
        answer.map(|receipt| receipt.value()).map_err(words)
    }
}

/// A connector that others hold as well.
struct Shared(Arc<Remote>);

#[async_trait]
impl Connector for Shared {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        self.0.pull(env, seen, limit).await
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.0.read(env, operation, arguments).await
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        self.0.plan(intent)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        self.0.execute(env, plan, attempt).await
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        self.0.probe(env, plan).await
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        self.0.compensate(done)
    }
}
