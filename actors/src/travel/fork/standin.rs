//! A connector's stand-in: it declares and plans as the connector does, and calls nothing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use soloist_connectors::{Compensation, Connector, Done, Env, Intent, Manifest, Plan, Probe, Rate};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, OperationName},
    labels::Labeled,
    mutant::{Mutant, planted},
    payload::Payload,
};

use super::stage::{Asked, Stage};

/// As fast as a fork may be: nobody is called.
const RATE: Rate = Rate { calls: 1_000_000, per: Duration::from_secs(1), burst: 1_000_000 };

/// What stands in for a connector. Only what is pure in it is used: what it declares, how it plans, what takes a write back.
pub(super) struct StandIn {
    name: ConnectorName,
    manifest: Manifest,
    inner: Arc<dyn Connector>,
    stage: Arc<Stage>,
}

impl StandIn {
    pub(super) fn new(name: ConnectorName, inner: Arc<dyn Connector>, stage: Arc<Stage>) -> Self {
        let operation_rates = std::collections::BTreeMap::new();
        let declared = inner.manifest().clone();
        let manifest = Manifest { rate: RATE, operation_rates, pulls_call: false, ..declared };
        Self { name, manifest, inner, stage }
    }
}

#[async_trait]
impl Connector for StandIn {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        _env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let tool = format!("{}.{operation}", self.name);
        let read = self.stage.read(&tool, arguments);
        read.map_err(|problem| Fault::new(FaultClass::Invalid, Phase::NotSent, problem))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let plan = self.inner.plan(intent)?;
        let asked = Asked {
            connector: self.name.clone(),
            operation: intent.operation.clone(),
            arguments: intent.arguments.digest(),
        };
        self.stage.planned(&intent.key, asked);
        Ok(plan)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        if planted(Mutant::ShadowActs) {
            return self.inner.execute(env, plan, attempt).await;
        }
        let declared = self.manifest.operations.get(&plan.operation);
        self.stage.attempt(&plan.key, declared.map(|operation| &operation.result))
    }

    async fn probe(&self, _env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        Ok(match self.stage.landed(&plan.key) {
            Some(Some(receipt)) => Probe::Landed { receipt },
            // What is recorded as not landed, and what is not recorded at all, is not there.
            Some(None) | None => Probe::Absent,
        })
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        self.inner.compensate(done)
    }
}
