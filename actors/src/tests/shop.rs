//! A shop that notes who calls it: what is read from it, and what is ordered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use soloist_connectors::{
    Argument, Compensation, Connector, Done, Env, Intent, Manifest, Operation, OperationKind, Plan,
    Probe, Rate,
};
use soloist_kernel::{
    fault::Fault,
    id::OperationName,
    labels::{Labeled, Labels},
    payload::Payload,
    semantics::{Reversal, WriteSemantics},
};

use super::planned;

/// Who called: `stock {"what":"tea"}`, oldest first.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// The calls of `operation`.
    pub(super) fn of(&self, operation: &str) -> Vec<String> {
        let calls = self.0.lock().unwrap();
        calls.iter().filter(|call| call.starts_with(operation)).cloned().collect()
    }

    fn note(&self, operation: &OperationName, arguments: &str) {
        self.0.lock().unwrap().push(format!("{operation} {arguments}"));
    }
}

/// Can be asked for its `stock` of something, and takes an `order`.
pub(super) struct Shop {
    manifest: Manifest,
    calls: Calls,
}

impl Shop {
    pub(super) fn new(calls: &Calls) -> Self {
        let operation = |kind| Operation {
            summary: "trades".into(),
            kind,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::from([
                ("what".to_owned(), Argument::content(true.into()).optional()),
                ("amount".to_owned(), Argument::content(true.into()).optional()),
            ]),
            result: true.into(),
        };
        let manifest = Manifest {
            system: "a shop".into(),
            operations: BTreeMap::from([
                ("stock".parse().unwrap(), operation(OperationKind::Read)),
                ("order".parse().unwrap(), operation(OperationKind::Write)),
            ]),
            credential: "shop".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: false,
            concurrency_max: 4,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest, calls: calls.clone() }
    }
}

#[async_trait]
impl Connector for Shop {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        _env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.calls.note(operation, &arguments.to_string());
        let stock = Payload::of(&json!({ "left": 7 })).unwrap();
        Ok(Labeled::new(stock, Labels::untrusted("shop")))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        Ok(planned(intent))
    }

    async fn execute(&self, _env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        self.calls.note(&plan.operation, &plan.preview);
        Ok(Payload::of(&json!({ "number": self.calls.of("order").len() })).unwrap())
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        Ok(Probe::Absent)
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        Ok(Compensation::Irreversible)
    }
}
