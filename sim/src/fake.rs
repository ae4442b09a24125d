//! A fake API: a state machine of the user's with declared operations, for simulations of agents whose systems have no toy.
//!
//! What it promises is what it declares: a `Keyed` operation remembers keys for its time, a `NaturalKey` one can be looked up,
//! a `Searchable` one is shown late, an `Opaque` one can be asked nothing. So what a kernel makes of the declaration is put to
//! the test, and not only what the handler does.

mod quirks;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use soloist_connectors::{
    Argument, Change, Compensation, Connector, Done, Env, Intent, Manifest, Observed, Operation,
    OperationKind, Page, Plan, Probe, Rate, Seen,
};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

use self::quirks::Quirks;
use crate::scenario::Happened;

/// What a handler is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The arguments.
    pub arguments: Value,
    /// The time at the other side.
    pub now: Timestamp,
}

impl Request {
    /// A text among the arguments; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.arguments[name].as_str().unwrap_or_default()
    }

    /// A whole number among the arguments; zero if there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.arguments[name].as_u64().unwrap_or_default()
    }
}

type Handler<S> = Arc<dyn Fn(&mut S, &Request) -> Result<Value, String> + Send + Sync>;

/// An API over the state `S`. Clones are the same API.
pub struct Fake<S> {
    name: Arc<str>,
    manifest: Manifest,
    handlers: BTreeMap<String, Handler<S>>,
    quirks: Quirks<S>,
    inner: Arc<Mutex<Inner<S>>>,
}

struct Inner<S> {
    state: S,
    done: BTreeMap<String, Written>,
    fresh: Vec<Happened>,
    /// Keys that were asked about when the answer was that it cannot tell.
    asked: BTreeSet<String>,
}

/// A write that was done.
#[derive(Clone)]
struct Written {
    digest: Digest,
    receipt: Value,
    at: Timestamp,
}

impl<S> Clone for Fake<S> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            manifest: self.manifest.clone(),
            handlers: self.handlers.clone(),
            quirks: self.quirks.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<S: Send + 'static> Fake<S> {
    /// An API that holds `state` and does nothing yet: 100 calls a second, eight at once.
    #[must_use]
    pub fn of(state: S) -> Self {
        let manifest = Manifest {
            system: "a fake API".into(),
            operations: BTreeMap::new(),
            credential: "fake".into(),
            rate: Rate::per_second(100, 50),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 8,
            call_timeout: Duration::from_secs(30),
        };
        let inner = Inner { state, done: BTreeMap::new(), fresh: vec![], asked: BTreeSet::new() };
        Self {
            name: "fake".into(),
            manifest,
            handlers: BTreeMap::new(),
            quirks: Quirks::default(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// The same API under the name it is mounted under.
    #[must_use]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self.manifest.system = format!("the fake {name}");
        self.manifest.credential = format!("fake:{name}");
        self
    }

    /// It takes so many calls.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.manifest.rate = rate;
        self
    }

    /// It takes so many calls of `operation`.
    ///
    /// # Panics
    ///
    /// If `operation` is no name of an operation.
    #[must_use]
    pub fn operation_rate(mut self, operation: &str, rate: Rate) -> Self {
        self.manifest.operation_rates.insert(name(operation), rate);
        self
    }

    /// It answers `operation` with what `handler` says.
    ///
    /// # Panics
    ///
    /// If `operation` is no name of an operation.
    #[must_use]
    pub fn read(
        self,
        operation: &str,
        arguments: &[&str],
        handler: impl Fn(&mut S, &Request) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let kind = OperationKind::Read;
        self.operation(operation, kind, WriteSemantics::Opaque, None, arguments, handler)
    }

    /// It does `operation` as `handler` says, which returns the receipt, or why it will not. The arguments are all it is
    /// routed by.
    ///
    /// # Panics
    ///
    /// If `operation` is no name of an operation.
    #[must_use]
    pub fn write(
        self,
        operation: &str,
        semantics: WriteSemantics,
        arguments: &[&str],
        handler: impl Fn(&mut S, &Request) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let kind = OperationKind::Write;
        self.operation(operation, kind, semantics, None, arguments, handler)
    }

    /// The write `operation` is balanced by `by`, whose arguments are in the receipt under their names.
    ///
    /// # Panics
    ///
    /// If there is no such operation, or `by` is no name.
    #[must_use]
    pub fn countered(mut self, operation: &str, by: &str) -> Self {
        let reversal = Reversal::Counter(name(by));
        let declared = self.manifest.operations.get_mut(&name(operation));
        declared.expect("the operation is declared before its reversal").reversal = reversal;
        if let Some(declared) = self.manifest.operations.get_mut(&name(by)) {
            declared.kind = OperationKind::Compensate;
        }
        self
    }

    fn operation(
        mut self,
        operation: &str,
        kind: OperationKind,
        semantics: WriteSemantics,
        reversal: Option<Reversal>,
        arguments: &[&str],
        handler: impl Fn(&mut S, &Request) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let argument = |argument: &&str| {
            ((*argument).to_owned(), Argument::routing(json!({ "type": ["string", "number"] })))
        };
        let declared = Operation {
            summary: format!("{operation} at a fake API"),
            kind,
            semantics,
            reversal: reversal.unwrap_or(Reversal::Irreversible),
            arguments: arguments.iter().map(argument).collect(),
            result: true.into(),
        };
        self.manifest.operations.insert(name(operation), declared);
        self.handlers.insert(operation.to_owned(), Arc::new(handler));
        self
    }

    /// Looks at its state.
    pub fn look<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.inner().state)
    }

    /// What it did since this was last asked.
    pub(crate) fn drained(&self) -> Vec<Happened> {
        std::mem::take(&mut self.inner().fresh)
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, operation: &str, request: &Request, state: &mut S) -> Result<Value, Fault> {
        let handler = &self.handlers[operation];
        handler(state, request)
            .map_err(|why| Fault::new(FaultClass::Declined, Phase::Answered, why))
    }

    /// Does a write, unless what it promises says that it is done already.
    fn act(
        &self,
        operation: &OperationName,
        key: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Value, Fault> {
        let semantics = self.manifest.operation(operation)?.semantics;
        let digest = Digest::of(bytes);
        let mut inner = self.inner();
        if let Some(done) = inner.done.get(key).filter(|done| knows(semantics, done, now)) {
            if done.digest != digest {
                let why = format!("key {key} came with other arguments before");
                return Err(Fault::new(FaultClass::Invalid, Phase::Answered, why));
            }
            return Ok(done.receipt.clone());
        }
        let arguments = serde_json::from_slice(bytes).unwrap_or_default();
        let receipt =
            self.handle(operation.as_str(), &Request { arguments, now }, &mut inner.state)?;
        inner.done.insert(key.to_owned(), Written { digest, receipt: receipt.clone(), at: now });
        let operation = format!("{}.{operation}", self.name);
        let detail = json!({ "receipt": receipt, "arguments": serde_json::from_slice::<Value>(bytes).unwrap_or_default() });
        inner.fresh.push(Happened { operation, key: key.to_owned(), detail });
        Ok(receipt)
    }
}

/// Whether the other side still knows that `done` was done.
fn knows(semantics: WriteSemantics, done: &Written, now: Timestamp) -> bool {
    match semantics {
        WriteSemantics::Keyed { ttl } => done.at.until(now) < ttl,
        WriteSemantics::NaturalKey | WriteSemantics::Conditional => true,
        WriteSemantics::Searchable { .. } | WriteSemantics::Opaque => false,
    }
}

fn name(operation: &str) -> OperationName {
    OperationName::new(operation).expect("the name of a fake's operation is a name")
}

fn payload(value: &Value) -> Result<Payload, Fault> {
    Payload::of(value)
        .map_err(|problem| Fault::new(FaultClass::Invalid, Phase::Answered, problem.to_string()))
}

#[async_trait]
impl<S: Send + 'static> Connector for Fake<S> {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.manifest.operation(operation)?;
        let request = Request { arguments: arguments.value(), now: env.now() };
        let mut inner = self.inner();
        let answer = self.handle(operation.as_str(), &request, &mut inner.state)?;
        Ok(Labeled::new(payload(&answer)?, Labels::untrusted(&*self.name)))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let declared = self.manifest.operation(&intent.operation)?;
        let arguments = intent.arguments.value();
        let known = |name: &String| declared.arguments.contains_key(name);
        if let Some(unknown) =
            arguments.as_object().and_then(|map| map.keys().find(|name| !known(name)))
        {
            let why = format!("`{}` has no argument `{unknown}`", intent.operation);
            return Err(Fault::new(FaultClass::Invalid, Phase::NotSent, why));
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let bytes = match self.quirks.along.get(intent.operation.as_str()) {
            Some(along) => {
                let mut arguments = arguments.clone();
                arguments["along"] = along(&mut self.inner().state, &intent.arguments.value());
                arguments.to_string()
            }
            None => intent.arguments.to_string(),
        };
        let routing = declared.arguments.keys().map(|name| (name.clone(), text(&arguments[name])));
        Ok(Plan {
            operation: intent.operation.clone(),
            key: intent.key.clone(),
            routing: routing.collect(),
            preview: format!("{} {bytes}", intent.operation),
            bytes: bytes.into_bytes().into(),
        })
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        let operation = plan.operation.as_str();
        if self.quirks.flaky.get(operation).is_some_and(|attempts| attempt <= *attempts) {
            let why = "503: it is not its day";
            return Err(Fault::new(FaultClass::Transient, Phase::Answered, why));
        }
        let receipt = self.act(&plan.operation, plan.key.as_str(), &plan.bytes, env.now())?;
        payload(&receipt)
    }

    async fn pull(&self, _env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        let all = self.quirks.changes.as_ref().map(|changes| changes(&self.inner().state));
        let all = all.unwrap_or_default().into_iter();
        let mut new: Vec<_> = all.filter(|(identity, _)| !seen(identity)).collect();
        let more = new.len() > limit;
        new.truncate(limit);
        let change = |(identity, said): (String, Value)| {
            let observed =
                Observed::Record(Labeled::new(payload(&said)?, Labels::untrusted(&*self.name)));
            Ok(Change { identity, observed })
        };
        Ok(Page { changes: new.into_iter().map(change).collect::<Result<_, Fault>>()?, more })
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        let done = self.inner().done.get(plan.key.as_str()).cloned();
        let semantics = self.manifest.operation(&plan.operation)?.semantics;
        let shown = |done: &Written| match semantics {
            WriteSemantics::Searchable { visibility_lag } => {
                done.at.until(env.now()) >= visibility_lag
            }
            _ => true,
        };
        let is_vague = self.quirks.vague.contains(plan.operation.as_str());
        if is_vague && self.inner().asked.insert(plan.key.to_string()) {
            return Ok(Probe::Unknown { reason: "the search is being rebuilt".into() });
        }
        Ok(match (semantics, done.filter(shown)) {
            (WriteSemantics::Opaque, _) => {
                Probe::Unknown { reason: "this API cannot be asked".into() }
            }
            (_, Some(done)) => Probe::Landed { receipt: payload(&done.receipt)? },
            (_, None) => Probe::Absent,
        })
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        let declared = self.manifest.operation(done.operation)?;
        let (Reversal::Undo(operation) | Reversal::Counter(operation)) = &declared.reversal else {
            return Ok(Compensation::Irreversible);
        };
        let (receipt, by) = (done.receipt.value(), self.manifest.operation(operation)?);
        let mut arguments = serde_json::Map::new();
        for name in by.arguments.keys() {
            let Some(value) = receipt.get(name) else {
                let why = format!("the receipt of `{}` holds no `{name}`", done.operation);
                return Err(Fault::new(FaultClass::Invalid, Phase::NotSent, why));
            };
            arguments.insert(name.clone(), value.clone());
        }
        let arguments = payload(&Value::Object(arguments))?;
        Ok(Compensation::With { operation: operation.clone(), arguments })
    }
}
