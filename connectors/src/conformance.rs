//! Checks that a connector keeps what the [contract](crate::contract) promises and its manifest declares.
//!
//! Whoever writes a connector runs it in a test, against a system that may be written to: a test account, a container, a
//! folder. It asks for every operation once; a compensating operation is asked for with the arguments that
//! [`compensate`](Connector::compensate) gives. Of a write it checks what its semantics promise, and after an `Undo` that the
//! system looks as it did before.
//!
//! ```
//! use serde_json::json;
//! use soloist_connectors::{conformance::Conformance, sandbox::SandboxWorld};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let world = SandboxWorld::open(folder.path()).unwrap();
//! world.seed_sample().unwrap();
//! Conformance::new(&world.cms(), || format!("{:?}", world.records()))
//!     .sample("article", json!({ "slug": "how-we-price" }))
//!     .sample("create_draft", json!({ "title": "Spring", "text": "It is here." }))
//!     .sample("publish", json!({ "slug": "spring", "title": "Spring", "text": "It is here." }))
//!     .check()
//!     .await
//!     .unwrap();
//! # })
//! ```

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value, json};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{EffectId, EffectName, OperationName, RunId, StepName},
    payload::Payload,
    semantics::{ArgumentRole, Reversal, WriteSemantics},
    time::Timestamp,
};
use thiserror::Error;

use crate::{
    contract::{Compensation, Connector, Done, Intent, Operation, OperationKind, Plan, Probe},
    env::Env,
};

/// When the checks take place: in November 2026. The clock moves only while a search is waited for.
const START: Timestamp = Timestamp(1_795_219_506_789);

/// An argument that no operation has.
const UNKNOWN: &str = "no_such_argument";

/// A promise that the connector does not keep.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("operation `{operation}`: {problem}")]
pub struct Broken {
    /// The operation.
    pub operation: String,
    /// What it does, and what it should.
    pub problem: String,
}

/// A connector, with what it takes to try it out.
pub struct Conformance<'a> {
    connector: &'a dyn Connector,
    snapshot: Box<dyn Fn() -> String + 'a>,
    samples: BTreeMap<String, Value>,
    env: Env,
    clock: Arc<AtomicU64>,
    /// Numbers the keys, so that no two checks share one.
    keys: AtomicU64,
}

impl<'a> Conformance<'a> {
    /// Checks of `connector`. `snapshot` says how the system looks: two of them are equal if nothing happened in between,
    /// and differ if a write had an effect.
    pub fn new(connector: &'a dyn Connector, snapshot: impl Fn() -> String + 'a) -> Self {
        let clock = Arc::new(AtomicU64::new(START.0));
        let hands = Arc::clone(&clock);
        let env = Env::with_clock(move || Timestamp(hands.load(Ordering::Relaxed)), [0; 32]);
        let (samples, keys) = (BTreeMap::new(), AtomicU64::new(0));
        Self { connector, snapshot: Box::new(snapshot), samples, env, clock, keys }
    }

    /// Arguments with which `operation` succeeds. Each read and each write needs them; what compensates does not. The writes
    /// are made in the order of their names.
    #[must_use]
    pub fn sample(mut self, operation: &str, arguments: Value) -> Self {
        self.samples.insert(operation.to_owned(), arguments);
        self
    }

    /// Checks every operation.
    ///
    /// # Errors
    ///
    /// The first promise that is [`Broken`].
    pub async fn check(&self) -> Result<(), Broken> {
        for (name, declared) in &self.connector.manifest().operations {
            let checked = match declared.kind {
                OperationKind::Read => self.check_read(name, declared).await,
                OperationKind::Write => self.check_write(name, declared).await,
                OperationKind::Compensate => self.check_is_used(name),
            };
            checked.map_err(|problem| Broken { operation: name.to_string(), problem })?;
        }
        let unknown = self.samples.keys().find(|sample| self.declared(sample).is_none());
        unknown.map_or(Ok(()), |operation| {
            let problem = "there is a sample and no such operation".to_owned();
            Err(Broken { operation: operation.clone(), problem })
        })
    }

    async fn check_read(&self, name: &OperationName, declared: &Operation) -> Result<(), String> {
        let sample = self.sample_of(name)?;
        let answer = self.connector.read(&self.env, name, &payload(&sample)?).await;
        let answer = answer.map_err(|fault| format!("the sample is refused: {fault}"))?;
        if answer.labels.origin.is_empty() {
            return Err("what is read has no origin in its labels".to_owned());
        }
        for (wrong, named) in wrong_arguments(&sample, declared) {
            let answer = self.connector.read(&self.env, name, &payload(&wrong)?).await;
            is_refused(answer.map(drop), &wrong, &named)?;
        }
        let intent = self.intent(name, payload(&sample)?);
        is_refused(self.connector.plan(&intent).map(drop), &json!("a plan of a read"), "")
    }

    async fn check_write(&self, name: &OperationName, declared: &Operation) -> Result<(), String> {
        let sample = self.sample_of(name)?;
        for (wrong, named) in wrong_arguments(&sample, declared) {
            let intent = self.intent(name, payload(&wrong)?);
            is_refused(self.connector.plan(&intent).map(drop), &wrong, &named)?;
        }
        let before = (self.snapshot)();
        let arguments = payload(&sample)?;
        let receipt = self.check_lands(name, declared, &arguments).await?;
        if (self.snapshot)() == before {
            return Err("it landed, and the snapshot is as it was before".to_owned());
        }
        let done = Done { operation: name, arguments: &arguments, receipt: &receipt };
        let Some((reversing, arguments)) = self.reversal(declared, &done)? else { return Ok(()) };
        let by = self.declared(reversing.as_str());
        let by =
            by.ok_or_else(|| format!("it is taken back by `{reversing}`, which is not there"))?;
        let reversed = self.check_lands(&reversing, by, &arguments).await;
        reversed.map_err(|problem| format!("what takes it back, `{reversing}`: {problem}"))?;
        match &declared.reversal {
            Reversal::Undo(_) if (self.snapshot)() != before => {
                Err(format!("`{reversing}` does not undo it: the snapshot differs from before"))
            }
            Reversal::Undo(_) | Reversal::Counter(_) | Reversal::Irreversible => Ok(()),
        }
    }

    /// Plans and makes a write, and checks what its semantics promise. Returns the receipt.
    async fn check_lands(
        &self,
        name: &OperationName,
        declared: &Operation,
        arguments: &Payload,
    ) -> Result<Payload, String> {
        let plan = self.check_plan(name, declared, arguments)?;
        let receipt = self.connector.execute(&self.env, &plan, 1).await;
        let receipt = receipt.map_err(|fault| format!("the attempt failed: {fault}"))?;
        match declared.semantics {
            WriteSemantics::Opaque => {}
            WriteSemantics::Keyed { .. } => self.check_repeats(&plan, &receipt).await?,
            WriteSemantics::NaturalKey => {
                self.check_repeats(&plan, &receipt).await?;
                self.check_found(&plan, &receipt).await?;
            }
            WriteSemantics::Conditional => {
                self.check_refuses_or_repeats(&plan).await?;
                self.check_found(&plan, &receipt).await?;
            }
            WriteSemantics::Searchable { visibility_lag } => {
                self.pass(visibility_lag).await;
                self.check_found(&plan, &receipt).await?;
            }
        }
        Ok(receipt)
    }

    /// The plan, which is the same each time, another one under another key, and names the declared routing.
    fn check_plan(
        &self,
        name: &OperationName,
        declared: &Operation,
        arguments: &Payload,
    ) -> Result<Plan, String> {
        let intent = self.intent(name, arguments.clone());
        let planned = |intent: &Intent| {
            let plan = self.connector.plan(intent);
            plan.map_err(|fault| format!("the arguments {arguments} are refused: {fault}"))
        };
        let plan = planned(&intent)?;
        if planned(&intent)? != plan {
            return Err("the same intent gives two plans; `plan` must be pure".to_owned());
        }
        if plan.key != intent.key || plan.operation != intent.operation {
            return Err("the plan has another key or operation than its intent".to_owned());
        }
        if planned(&self.intent(name, arguments.clone()))?.digest() == plan.digest() {
            return Err("another key gives a plan with the same digest".to_owned());
        }
        let given = arguments.value();
        let is_routing = |name: &str| declared.arguments[name].role == ArgumentRole::Routing;
        let declared: Vec<&String> = declared
            .arguments
            .keys()
            .filter(|name| {
                is_routing(name) && given.get(*name).is_some_and(|value| !value.is_null())
            })
            .collect();
        let planned: Vec<&String> = plan.routing.keys().collect();
        if planned != declared {
            return Err(format!("it declares the routing {declared:?} and plans {planned:?}"));
        }
        Ok(plan)
    }

    async fn check_repeats(&self, plan: &Plan, receipt: &Payload) -> Result<(), String> {
        let once = (self.snapshot)();
        let again = self.connector.execute(&self.env, plan, 2).await;
        let again = again.map_err(|fault| format!("the same plan again failed: {fault}"))?;
        if (self.snapshot)() != once {
            return Err("the same plan twice has two effects".to_owned());
        }
        same_receipt("the second attempt", &again, receipt)
    }

    /// A condition that no longer holds may be refused; only a second effect is wrong.
    async fn check_refuses_or_repeats(&self, plan: &Plan) -> Result<(), String> {
        let once = (self.snapshot)();
        let again = self.connector.execute(&self.env, plan, 2).await;
        if (self.snapshot)() != once {
            return Err(format!("the same plan twice has two effects (it answered {again:?})"));
        }
        Ok(())
    }

    async fn check_found(&self, plan: &Plan, receipt: &Payload) -> Result<(), String> {
        match self.connector.probe(&self.env, plan).await {
            Ok(Probe::Landed { receipt: found }) => same_receipt("the probe", &found, receipt),
            other => Err(format!("it landed, and the probe says {other:?}")),
        }
    }

    /// What takes the write back, as declared and as `compensate` says, which must agree.
    fn reversal(
        &self,
        declared: &Operation,
        done: &Done<'_>,
    ) -> Result<Option<(OperationName, Payload)>, String> {
        let compensation = self.connector.compensate(done);
        let compensation =
            compensation.map_err(|fault| format!("its own receipt is not enough: {fault}"))?;
        match (&declared.reversal, compensation) {
            (Reversal::Irreversible, Compensation::Irreversible) => Ok(None),
            (
                Reversal::Undo(by) | Reversal::Counter(by),
                Compensation::With { operation, arguments },
            ) if *by == operation => Ok(Some((operation, arguments))),
            (declared, compensation) => {
                Err(format!("it declares {declared:?} and `compensate` says {compensation:?}"))
            }
        }
    }

    /// What compensates is tried with the write that it takes back, so there must be one.
    fn check_is_used(&self, name: &OperationName) -> Result<(), String> {
        let operations = &self.connector.manifest().operations;
        let takes_back = |write: &Operation| match &write.reversal {
            Reversal::Undo(by) | Reversal::Counter(by) => by == name,
            Reversal::Irreversible => false,
        };
        if operations.values().any(takes_back) {
            return Ok(());
        }
        Err("it compensates, and no write is taken back by it".to_owned())
    }

    fn declared(&self, operation: &str) -> Option<&Operation> {
        let mut operations = self.connector.manifest().operations.iter();
        operations.find(|(name, _)| name.as_str() == operation).map(|(_, declared)| declared)
    }

    fn sample_of(&self, name: &OperationName) -> Result<Value, String> {
        let sample = self.samples.get(name.as_str()).cloned();
        sample.ok_or_else(|| "it has no sample; give one with `.sample(…)`".to_owned())
    }

    /// An intent with a key of its own.
    fn intent(&self, operation: &OperationName, arguments: Payload) -> Intent {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        let effect = EffectId {
            run: RunId::new(format!("conformance-{number}")).expect("letters and digits"),
            step: StepName::new("check").expect("letters"),
            name: EffectName::new("write").expect("letters"),
            occurrence: 0,
        };
        Intent { operation: operation.clone(), arguments, key: effect.key(), at: START }
    }

    /// Lets time pass for both: a system in the same process sees the clock, one outside needs the time itself.
    async fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.fetch_add(millis, Ordering::Relaxed);
        tokio::time::sleep(time).await;
    }
}

/// The sample with one thing wrong, and the name that the refusal must hold: one argument too many, each required one
/// missing, each with a value of another type.
fn wrong_arguments(sample: &Value, declared: &Operation) -> Vec<(Value, String)> {
    let sample = sample.as_object().cloned().unwrap_or_default();
    let with = |name: &str, value: Value| {
        let mut arguments = sample.clone();
        arguments.insert(name.to_owned(), value);
        (Value::Object(arguments), name.to_owned())
    };
    let mut wrong = vec![with(UNKNOWN, json!(1))];
    for (name, argument) in &declared.arguments {
        if argument.required {
            let mut arguments: Map<String, Value> = sample.clone();
            arguments.remove(name);
            wrong.push((Value::Object(arguments), name.clone()));
        }
        if let Some(kind) = argument.schema.get("type")
            && !kind.to_string().contains("object")
        {
            wrong.push(with(name, json!({ "of": "another type" })));
        }
    }
    wrong
}

fn is_refused(answer: Result<(), Fault>, wrong: &Value, named: &str) -> Result<(), String> {
    match answer {
        Ok(()) => Err(format!("it takes {wrong}, which is not as declared")),
        Err(fault) if fault.class != FaultClass::Invalid || fault.phase != Phase::NotSent => {
            Err(format!("it must refuse {wrong} as invalid before anything is sent: {fault}"))
        }
        Err(fault) if !fault.message.contains(named) => {
            Err(format!("its refusal of {wrong} does not name `{named}`: {fault}"))
        }
        Err(_) => Ok(()),
    }
}

fn same_receipt(who: &str, found: &Payload, receipt: &Payload) -> Result<(), String> {
    if found.value() == receipt.value() {
        return Ok(());
    }
    Err(format!("{who} has the receipt {found}, and the first was {receipt}"))
}

fn payload(value: &Value) -> Result<Payload, String> {
    Payload::of(value).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests;
