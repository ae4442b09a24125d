//! What a connector is: a [`Manifest`] of declarations, a pure [`plan`](Connector::plan), and one attempt at a time.
//!
//! What it declares of each operation is the kernel's [`Operation`]: the same data that workflows are checked against.
//! [`conformance`](crate::conformance) checks that a connector keeps what is promised here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Serialize;
pub use soloist_kernel::catalog::{Argument, Operation, OperationKind};
use soloist_kernel::{
    budget::Usage,
    fault::{Fault, FaultClass, Phase},
    id::{IdempotencyKey, OperationName},
    labels::Labeled,
    payload::{Digest, Payload},
    time::Timestamp,
};

use crate::env::Env;

/// What a connector declares about itself. It does not change while the connector is mounted.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The kind of system, for people: `SMTP server mail.example.com:587`.
    pub system: String,
    /// What can be asked of it. Arguments that an operation does not name are refused by `plan` and `read`.
    pub operations: BTreeMap<OperationName, Operation>,
    /// Who it is to the other side: `smtp:mail.example.com:587/office`. Limits, retries and outages are the credential's, so
    /// connectors with the same one share them.
    pub credential: String,
    /// How fast it may be called.
    pub rate: Rate,
    /// How fast single operations may be called, where that is less.
    pub operation_rates: BTreeMap<OperationName, Rate>,
    /// Whether a pull calls the other side, and counts as a call. A look at a folder of this machine does not.
    pub pulls_call: bool,
    /// How many calls may be under way at once. At least one.
    pub concurrency_max: usize,
    /// How long one call may take. What takes longer is a [`Deadline`](FaultClass::Deadline) fault
    /// that may have been sent.
    pub call_timeout: Duration,
}

/// A limit on calls, as the other side states it: never more than `calls` in any stretch of `per`, also across a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in any stretch of that time. At least one.
    pub calls: u32,
    /// That time. Not zero.
    pub per: Duration,
    /// How many of them may come at once after a pause; the others are spread. At least one, and at most `calls`.
    pub burst: u32,
}

impl Rate {
    /// `calls` in any second, `burst` of them at once.
    #[must_use]
    pub const fn per_second(calls: u32, burst: u32) -> Self {
        Self { calls, per: Duration::from_secs(1), burst }
    }

    /// The wait between two calls beyond the burst: `per / (calls - burst + 1)`, with which `burst` calls at once and one after
    /// each such wait are `calls` within `per`.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.per / (self.calls.max(1) - self.burst.clamp(1, self.calls.max(1)) + 1)
    }
}

impl Manifest {
    /// What is declared of `operation`.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of class [`Invalid`](FaultClass::Invalid) that names the operations there are.
    pub fn operation(&self, operation: &OperationName) -> Result<&Operation, Fault> {
        self.operations.get(operation).ok_or_else(|| {
            let names: Vec<String> =
                self.operations.keys().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "{} has no operation `{operation}`; it has {}",
                self.system,
                names.join(", ")
            );
            Fault::new(FaultClass::Invalid, Phase::NotSent, message)
        })
    }
}

/// A write that is to be planned.
#[derive(Clone, Debug)]
pub struct Intent {
    /// What to do.
    pub operation: OperationName,
    /// With what: a JSON object.
    pub arguments: Payload,
    /// The identity of the write.
    pub key: IdempotencyKey,
    /// When it was proposed: the only time a plan may put into its bytes.
    pub at: Timestamp,
}

/// A write, exactly as it will leave. The same intent always gives the same plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it does.
    pub operation: OperationName,
    /// Its identity.
    pub key: IdempotencyKey,
    /// The arguments with the role [`Routing`](soloist_kernel::semantics::ArgumentRole::Routing), as text that policy can compare.
    pub routing: BTreeMap<String, String>,
    /// What the operator is shown.
    pub preview: String,
    /// The bytes that will leave.
    pub bytes: Arc<[u8]>,
}

impl Plan {
    /// What an approval is bound to: operation, key, routing and bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut text = format!("{}\n{}\n", self.operation, self.key);
        for (argument, value) in &self.routing {
            text.push_str(&format!("{}:{argument}={}:{value}\n", argument.len(), value.len()));
        }
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.bytes);
        Digest::of(&bytes)
    }
}

/// What became of an earlier attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is there.
    Landed {
        /// What `execute` would have returned.
        receipt: Payload,
    },
    /// It is certainly not there.
    Absent,
    /// It cannot be told.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// A write that has landed.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// What was done.
    pub operation: &'a OperationName,
    /// With what: the arguments of its intent.
    pub arguments: &'a Payload,
    /// What `execute` or `probe` returned. Where the operator said that it landed, there is nothing in it.
    pub receipt: &'a Payload,
}

/// What takes a write back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// Nothing does.
    Irreversible,
    /// This write does: the operation that [`Operation::reversal`] names. It is a write like any other, with a key of its
    /// own.
    With {
        /// An operation of the same connector.
        operation: OperationName,
        /// Its arguments.
        arguments: Payload,
    },
}

/// What a look at the other side has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It answered, and took the credential.
    Usable,
    /// There is nothing that could be asked of it without changing something.
    Untold,
}

/// Tells whether the kernel has already taken a change, by its identity.
pub type Seen<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

/// A part of what is new in the system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What is new, in a stable order.
    pub changes: Vec<Change>,
    /// Whether there is more to pull now.
    pub more: bool,
}

/// Something new in the system.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What makes it this change and no other, over every pull.
    pub identity: String,
    /// What it is.
    pub observed: Observed,
}

/// A change, or why it could not be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It was read. Its labels say where it comes from and who may read it.
    Record(Labeled<Payload>),
    /// It is there and cannot be used. Nothing of it is lost: the source keeps it, and the operator is told why.
    Quarantined {
        /// Why, and what to do about it.
        reason: String,
    },
}

/// An adapter to one external system.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What it declares.
    fn manifest(&self) -> &Manifest;

    /// Proves that the other side answers and takes the credential, by a call that changes nothing: a status on record proves
    /// neither. A connector that has no such call keeps the default.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that says what to do about it: of class [`Auth`](FaultClass::Auth) if the credential is not taken.
    async fn check(&self, env: &Env) -> Result<Health, Fault> {
        let _ = env;
        Ok(Health::Untold)
    }

    /// Up to `limit` changes that are not yet `seen`, oldest first. A connector that only writes keeps the default.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the system could not be read. A single unreadable item is a quarantined change, not a fault.
    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        let _ = (env, seen, limit);
        Ok(Page::default())
    }

    /// Answers a read operation. What it brings is labelled: where it comes from, how far it is trusted, who may read it.
    /// A connector without reads keeps the default.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: of class [`Invalid`](FaultClass::Invalid), naming the argument or the operation, if it is asked for what
    /// cannot be.
    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let _ = (env, arguments);
        let message = format!("{} has no read `{operation}`", self.manifest().system);
        Err(Fault::new(FaultClass::Invalid, Phase::NotSent, message))
    }

    /// Turns an intent into the exact bytes that will leave. Pure: it can be shown, approved, hashed and replayed.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of class [`Invalid`](FaultClass::Invalid) that names the argument.
    fn plan(&self, intent: &Intent) -> Result<Plan, Fault>;

    /// Makes one attempt, and returns the receipt. Never retries.
    ///
    /// # Errors
    ///
    /// A [`Fault`] whose phase is honest: `NotSent` only if no byte of the write can have been acted on.
    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault>;

    /// What a call uses at most of what is priced by amount, before it is made. A connector whose calls have a price each keeps
    /// the default.
    fn usage_max(&self, operation: &OperationName, arguments: &Payload) -> Usage {
        let _ = (operation, arguments);
        Usage::default()
    }

    /// What a call has used, by its answer or its receipt; `None` if that does not say, and then it counts as what it may use at
    /// most.
    fn usage(&self, operation: &OperationName, answer: &Payload) -> Option<Usage> {
        let _ = (operation, answer);
        None
    }

    /// Finds out what became of an earlier attempt. Called for `NaturalKey`, `Conditional` and `Searchable` operations, and
    /// for the last of these no earlier than `visibility_lag` after the attempt. `Keyed` ones are made again instead.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the system could not be asked.
    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault>;

    /// What takes back a write that has landed. Pure. A connector whose writes are all irreversible keeps the default.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the receipt does not hold what it takes, which names what is missing.
    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        let _ = done;
        Ok(Compensation::Irreversible)
    }
}
