//! A connector whose panics are faults: whatever its author did, the kernel goes on and the write is accounted for.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use soloist_connectors::{
    Compensation, Connector, Done, Env, Health, Intent, Manifest, Page, Plan, Probe, Seen,
};
use soloist_kernel::{
    budget::Usage,
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    labels::Labeled,
    payload::Payload,
};

use crate::panics::{caught, caught_async};

/// Another connector, with its panics caught.
pub(crate) struct Contained(pub(crate) Arc<dyn Connector>);

#[async_trait]
impl Connector for Contained {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    async fn check(&self, env: &Env) -> Result<Health, Fault> {
        contained("check", Phase::NotSent, self.0.check(env)).await
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        contained("pull", Phase::NotSent, self.0.pull(env, seen, limit)).await
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        contained("read", Phase::MaybeSent, self.0.read(env, operation, arguments)).await
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        caught(|| self.0.plan(intent))
            .unwrap_or_else(|said| Err(fault("plan", Phase::NotSent, &said)))
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        contained("execute", Phase::MaybeSent, self.0.execute(env, plan, attempt)).await
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        contained("probe", Phase::NotSent, self.0.probe(env, plan)).await
    }

    fn usage_max(&self, operation: &OperationName, arguments: &Payload) -> Usage {
        // Of what cannot tell how much it may use, it may be anything.
        let anything = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX };
        caught(|| self.0.usage_max(operation, arguments)).unwrap_or(anything)
    }

    fn usage(&self, operation: &OperationName, answer: &Payload) -> Option<Usage> {
        caught(|| self.0.usage(operation, answer)).ok().flatten()
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        caught(|| self.0.compensate(done))
            .unwrap_or_else(|said| Err(fault("compensate", Phase::NotSent, &said)))
    }
}

/// `call`, whose panic is a fault in `phase`.
async fn contained<T>(
    what: &'static str,
    phase: Phase,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    caught_async(call).await.unwrap_or_else(|said| Err(fault(what, phase, &said)))
}

fn fault(what: &str, phase: Phase, said: &str) -> Fault {
    let message = format!("the connector panicked in `{what}`: {said}; this is a defect of it");
    Fault::new(FaultClass::Bug, phase, message)
}
