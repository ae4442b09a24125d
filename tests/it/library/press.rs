//! A printing press: a connector that remembers what it was asked to print.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use soloist::{
    connectors::{
        Argument, Connector, Env, Intent, Manifest, Operation, OperationKind, Plan, Probe, Rate,
    },
    fault::Fault,
    payload::Payload,
    semantics::{Reversal, WriteSemantics},
};

/// A press with one operation, `print`. Its clones share what was printed.
#[derive(Clone)]
pub(super) struct Press {
    manifest: Arc<Manifest>,
    printed: Arc<Mutex<Vec<String>>>,
    /// How long it takes.
    slowness: Duration,
}

/// The arguments that have `text` printed.
pub(super) fn arguments(text: &str) -> Value {
    json!({ "text": text })
}

impl Press {
    /// One that takes its time.
    pub(super) fn slow(slowness: Duration) -> Self {
        Self { slowness, ..Self::default() }
    }

    /// What was printed, in order.
    pub(super) fn printed(&self) -> Vec<String> {
        self.printed.lock().expect("printing does not panic").clone()
    }
}

impl Default for Press {
    fn default() -> Self {
        let print = Operation {
            summary: "Print a text".into(),
            kind: OperationKind::Write,
            result: json!(true),
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::from([(
                "text".to_owned(),
                Argument::content(json!({ "type": "string" })),
            )]),
        };
        let manifest = Manifest {
            system: "a press".into(),
            operations: BTreeMap::from([("print".parse().expect("it is a name"), print)]),
            credential: "a world of tests".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 4,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest: Arc::new(manifest), printed: Arc::default(), slowness: Duration::ZERO }
    }
}

#[async_trait]
impl Connector for Press {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let text = intent.arguments.value()["text"].as_str().unwrap_or_default().to_owned();
        Ok(Plan {
            operation: intent.operation.clone(),
            key: intent.key.clone(),
            routing: BTreeMap::new(),
            preview: text.clone(),
            bytes: text.into_bytes().into(),
        })
    }

    async fn execute(&self, _env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        self.printed.lock().expect("printing does not panic").push(plan.preview.clone());
        // It is printed, and the answer is on its way.
        tokio::time::sleep(self.slowness).await;
        Ok(Payload::null())
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        Ok(Probe::Unknown { reason: "paper does not answer".into() })
    }
}
