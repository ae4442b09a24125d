//! What the systems of the box have in common: a connector that plans, attempts once, and fails to order.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use soloist_kernel::{
    budget::Usage,
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    labels::Labeled,
    payload::{Digest, Payload, PayloadError},
    semantics::Reversal,
};

use super::{
    faults::Faults,
    store::{AppliedWrite, Store},
    system::{Request, System, Written, name},
};
use crate::{
    arguments::{Arguments, invalid, text_of},
    contract::{
        Compensation, Connector, Done, Health, Intent, Manifest, Operation, OperationKind, Page,
        Plan, Probe, Rate, Seen,
    },
    env::Env,
};

/// How fast the box may be called: a write costs some syncs of the disk.
const RATE: Rate = Rate::per_second(249, 50);

/// Calls at once. The directory takes one write at a time; more would only wait.
const CONCURRENCY_MAX: usize = 4;

/// How long a call may take. A hanging one is found out soon, since nothing here is far away.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connector to one system of a [`SandboxWorld`](super::SandboxWorld).
pub struct SandboxConnector {
    system: &'static dyn System,
    manifest: Arc<Manifest>,
    store: Store,
    faults: Faults,
}

impl SandboxConnector {
    pub(super) fn new(system: &'static dyn System, store: Store, faults: Faults) -> Self {
        let manifest = manifest_of(system);
        Self { system, manifest, store, faults }
    }

    /// The operation with its system, as faults are ordered and writes are listed.
    fn full_name(&self, operation: &OperationName) -> String {
        format!("{}.{operation}", self.system.name())
    }

    /// What is declared of `operation`, which must be a read or must not.
    fn declared(&self, operation: &OperationName, is_read: bool) -> Result<&Operation, Fault> {
        let declared = self.manifest.operation(operation)?;
        if (declared.kind == OperationKind::Read) == is_read {
            return Ok(declared);
        }
        let (is, so) = if is_read { ("writes", "propose it") } else { ("reads", "read it") };
        Err(invalid(format!("`{operation}` {is}; {so} instead")))
    }

    /// The write of `plan` as it reaches the system now.
    fn request(&self, env: &Env, plan: &Plan) -> Result<Request, Fault> {
        let declared = self.declared(&plan.operation, false)?;
        let unreadable = |problem: &dyn fmt::Display| {
            invalid(format!("the bytes of the plan are not of the sandbox: {problem}"))
        };
        let text = std::str::from_utf8(&plan.bytes).map_err(|problem| unreadable(&problem))?;
        let bytes = Payload::from_json(text).map_err(|problem| unreadable(&problem))?;
        let arguments = payload(&bytes.value()["arguments"])?;
        Ok(Request {
            operation: plan.operation.clone(),
            key: plan.key.clone(),
            arguments: Arguments::check(declared, &arguments)?,
            digest: Digest::of(&plan.bytes),
            now: env.now(),
        })
    }

    /// Has the system do it, unless it did before, and returns the receipt.
    fn apply(&self, request: &Request) -> Result<Value, Fault> {
        let mut records = self.store.lock()?;
        match self.system.write(request, &records)? {
            Written::Before { receipt } => Ok(receipt),
            Written::Now { receipt, changes } => {
                let applied = AppliedWrite {
                    at: request.now,
                    operation: self.full_name(&request.operation),
                    key: request.key.clone(),
                    receipt: receipt.clone(),
                };
                records.commit(Some(&applied), changes)?;
                Ok(receipt)
            }
        }
    }
}

/// What `system` declares. Worlds are made by the thousand, so it is made once and shared.
fn manifest_of(system: &'static dyn System) -> Arc<Manifest> {
    static MANIFESTS: Mutex<BTreeMap<&str, Arc<Manifest>>> = Mutex::new(BTreeMap::new());
    let mut manifests = MANIFESTS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || {
        let operations = system.operations().into_iter();
        Arc::new(Manifest {
            system: format!("sandbox {}", system.name()),
            operations: operations
                .map(|(operation, declared)| (name(operation), declared))
                .collect(),
            credential: format!("sandbox:{}", system.name()),
            rate: RATE,
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: CONCURRENCY_MAX,
            call_timeout: CALL_TIMEOUT,
        })
    };
    manifests.entry(system.name()).or_insert_with(made).clone()
}

impl fmt::Debug for SandboxConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConnector")
            .field("system", &self.system.name())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Connector for SandboxConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, env: &Env) -> Result<Health, Fault> {
        env.perturb().await;
        self.store.lock().map(|_| Health::Usable)
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        env.perturb().await;
        self.system.pull(&self.store.lock()?, seen, limit)
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        env.perturb().await;
        let declared = self.declared(operation, true)?;
        let arguments = normal(declared, &Arguments::check(declared, arguments)?)?;
        let injected = self.faults.take(&self.full_name(operation));
        if let Some(fault) = injected.and_then(|injected| injected.before()) {
            return Err(fault);
        }
        let answer =
            self.system.read(operation.as_str(), &arguments, &self.store.lock()?, env.now())?;
        if let Some(injected) = injected {
            return Err(injected.after().await);
        }
        Ok(Labeled::new(payload(&answer.value)?, answer.labels))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let declared = self.declared(&intent.operation, false)?;
        let arguments = normal(declared, &Arguments::check(declared, &intent.arguments)?)?;
        let bytes = json!({
            "operation": intent.operation,
            "key": intent.key,
            "arguments": arguments.parse::<Value>()?,
        });
        Ok(Plan {
            operation: intent.operation.clone(),
            key: intent.key.clone(),
            routing: arguments.routing(declared),
            preview: preview(declared, &arguments)?,
            bytes: bytes.to_string().into_bytes().into(),
        })
    }

    async fn execute(&self, env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        env.perturb().await;
        let request = self.request(env, plan)?;
        let injected = self.faults.take(&self.full_name(&plan.operation));
        if let Some(fault) = injected.and_then(|injected| injected.before()) {
            return Err(fault);
        }
        let receipt = self.apply(&request)?;
        match injected {
            Some(injected) => Err(injected.after().await),
            None => landed(&receipt),
        }
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        env.perturb().await;
        let request = self.request(env, plan)?;
        Ok(match self.system.find(&request, &self.store.lock()?)? {
            Some(receipt) => Probe::Landed { receipt: payload(&receipt)? },
            None => Probe::Absent,
        })
    }

    fn usage_max(&self, operation: &OperationName, arguments: &Payload) -> Usage {
        self.system.usage_max(operation.as_str(), &arguments.value())
    }

    fn usage(&self, operation: &OperationName, answer: &Payload) -> Option<Usage> {
        self.system.usage(operation.as_str(), &answer.value())
    }

    /// A receipt names what takes its write back, under the names of the arguments of the operation that does.
    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        let operation = match &self.declared(done.operation, false)?.reversal {
            Reversal::Irreversible => return Ok(Compensation::Irreversible),
            Reversal::Undo(operation) | Reversal::Counter(operation) => operation,
        };
        let receipt = done.receipt.value();
        let mut arguments = Map::new();
        for name in self.declared(operation, false)?.arguments.keys() {
            let Some(value) = receipt.get(name) else {
                return Err(invalid(format!(
                    "the receipt of `{}` holds no `{name}`, which `{operation}` takes",
                    done.operation
                )));
            };
            arguments.insert(name.clone(), value.clone());
        }
        let arguments = payload(&Value::Object(arguments))?;
        Ok(Compensation::With { operation: operation.clone(), arguments })
    }
}

/// The same arguments with addresses in lower case, so that policy compares what is the same.
fn normal(declared: &Operation, arguments: &Arguments) -> Result<Arguments, Fault> {
    let mut given: Map<String, Value> = arguments.parse()?;
    for (name, value) in &mut given {
        let Value::String(text) = value else { continue };
        // The preview is shown in a terminal, so nothing in it may act on one.
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(invalid(format!("argument `{name}` holds a control character; remove it")));
        }
        if declared.arguments.get(name).is_some_and(|argument| argument.schema["format"] == "email")
        {
            if !crate::mail::parse::is_address(text) {
                return Err(invalid(format!("argument `{name}` must be a mail address: {text:?}")));
            }
            text.make_ascii_lowercase();
        }
    }
    Arguments::check(declared, &payload(&Value::Object(given))?)
}

/// What it does, and each argument. Further lines of a text are indented, so that none looks like another argument.
fn preview(declared: &Operation, arguments: &Arguments) -> Result<String, Fault> {
    let mut preview = declared.summary.clone();
    for (name, value) in &arguments.parse::<Map<String, Value>>()? {
        preview.push_str(&format!("\n{name}: {}", text_of(value).replace('\n', "\n    ")));
    }
    Ok(preview)
}

fn payload(value: &Value) -> Result<Payload, Fault> {
    Payload::of(value).map_err(|problem| invalid(problem.to_string()))
}

/// A receipt that cannot be written must not make it look as if the write had not landed.
fn landed(receipt: &Value) -> Result<Payload, Fault> {
    Payload::of(receipt).map_err(|problem: PayloadError| {
        Fault::new(FaultClass::Bug, Phase::MaybeSent, format!("the receipt: {problem}"))
    })
}
