//! What a system of the box is: its operations, and what they do to its records.
//!
//! A system is pure but for the records it reads: it says what is to change, and `connector.rs` has it changed.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use soloist_kernel::{
    budget::Usage,
    catalog::{Argument, Operation, OperationKind},
    fault::{Fault, FaultClass, Phase},
    id::{IdempotencyKey, OperationName},
    labels::{Integrity, Labeled, Labels},
    payload::Digest,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

use super::store::{Change, Records};
use crate::{
    arguments::Arguments,
    contract::{Page, Seen},
};

/// Longest id, in characters.
const ID_CHARS_MAX: usize = 100;

/// Longest text, in characters. What is longer than a long article does not belong into a toy.
const TEXT_CHARS_MAX: usize = 50_000;

/// A system of the box.
pub(super) trait System: Send + Sync {
    /// Its name: `crm`.
    fn name(&self) -> &'static str;

    /// The folders of its records.
    fn collections(&self) -> &'static [&'static str];

    /// What can be asked of it.
    fn operations(&self) -> Vec<(&'static str, Operation)>;

    /// Answers a read operation.
    fn read(
        &self,
        operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        now: Timestamp,
    ) -> Result<Labeled<Value>, Fault>;

    /// What becomes of a write.
    fn write(&self, request: &Request, records: &Records<'_>) -> Result<Written, Fault>;

    /// The receipt of a write, if it landed.
    fn find(&self, request: &Request, records: &Records<'_>) -> Result<Option<Value>, Fault>;

    /// What a call uses at most of what is priced by amount.
    fn usage_max(&self, operation: &str, arguments: &Value) -> Usage {
        let _ = (operation, arguments);
        Usage::default()
    }

    /// What a call has used, by its answer.
    fn usage(&self, operation: &str, answer: &Value) -> Option<Usage> {
        let _ = (operation, answer);
        Some(Usage::default())
    }

    /// What is new.
    fn pull(&self, records: &Records<'_>, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        let _ = (records, seen, limit);
        Ok(Page::default())
    }
}

/// A write as it reaches the system.
pub(super) struct Request {
    pub(super) operation: OperationName,
    pub(super) key: IdempotencyKey,
    pub(super) arguments: Arguments,
    /// The hash of its bytes: the same key with other bytes is another request.
    pub(super) digest: Digest,
    /// The time at the system.
    pub(super) now: Timestamp,
}

/// What becomes of a write.
pub(super) enum Written {
    /// It is done now.
    Now { receipt: Value, changes: Vec<Change> },
    /// It was done before; nothing changes.
    Before { receipt: Value },
}

/// A record that a write made: it remembers by which.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Made<T> {
    #[serde(flatten)]
    pub(super) what: T,
    pub(super) at: Timestamp,
    pub(super) key: IdempotencyKey,
    /// The hash of the request, in hex.
    pub(super) request: String,
    pub(super) receipt: Value,
}

impl Request {
    /// The record `what` that this request makes.
    pub(super) fn makes<T>(&self, what: T, receipt: &Value) -> Made<T> {
        Made {
            what,
            at: self.now,
            key: self.key.clone(),
            request: self.digest.to_hex(),
            receipt: receipt.clone(),
        }
    }

    /// What becomes of a write whose record has the name `id`, made of the key: the record it makes, or the one it made.
    pub(super) fn write_once<T: Serialize + DeserializeOwned>(
        &self,
        records: &Records<'_>,
        collection: &str,
        id: &str,
        what: T,
        receipt: Value,
    ) -> Result<Written, Fault> {
        let Some(made) = records.get::<Made<T>>(collection, id)? else {
            let record = self.makes(what, &receipt);
            return Ok(Written::Now {
                receipt,
                changes: vec![Change::put(collection, id, &record)],
            });
        };
        self.same(&made.request)?;
        Ok(Written::Before { receipt: made.receipt })
    }

    /// What becomes of a deletion. What is not there is deleted.
    pub(super) fn delete(
        records: &Records<'_>,
        collection: &str,
        id: &str,
        receipt: Value,
    ) -> Result<Written, Fault> {
        Ok(match records.get::<Value>(collection, id)? {
            Some(_) => Written::Now { receipt, changes: vec![Change::remove(collection, id)] },
            None => Written::Before { receipt },
        })
    }

    /// Refuses a key that came with other bytes before.
    pub(super) fn same(&self, request: &str) -> Result<(), Fault> {
        if request == self.digest.to_hex() {
            return Ok(());
        }
        let message = format!("the key {} came with other arguments before", self.key);
        Err(answered(FaultClass::Invalid, message))
    }
}

/// The receipt of the write that made the record `id`, if it is there.
pub(super) fn receipt_of(
    records: &Records<'_>,
    collection: &str,
    id: &str,
) -> Result<Option<Value>, Fault> {
    Ok(records.get::<Made<Value>>(collection, id)?.map(|made| made.receipt))
}

/// The labels of a record. The owner's own records say so with `"source": "owner"`; what is in any other came from outside.
pub(super) fn labels_of(system: &str, source: Option<&str>) -> Labels {
    let labels = Labels::untrusted(system);
    match source {
        Some("owner") => Labels { integrity: Integrity::Owner, ..labels },
        Some(_) | None => labels,
    }
}

/// The labels of an answer made of records with `all`; of an answer made of none: `of_none`.
pub(super) fn joined(all: &[Labels], of_none: Labels) -> Labels {
    if all.is_empty() { of_none } else { Labels::join_all(all) }
}

/// A refusal by the system.
pub(super) fn answered(class: FaultClass, message: impl Into<String>) -> Fault {
    Fault::new(class, Phase::Answered, message)
}

/// A read with these arguments.
pub(super) fn read<const N: usize>(
    summary: &str,
    arguments: [(&str, Argument); N],
    result: Value,
) -> Operation {
    let write = write(summary, WriteSemantics::Opaque, arguments, &[]);
    Operation { kind: OperationKind::Read, result, ..write }
}

/// A write with these arguments that cannot be taken back, and the texts and numbers in its receipt.
pub(super) fn write<const N: usize>(
    summary: &str,
    semantics: WriteSemantics,
    arguments: [(&str, Argument); N],
    receipt: &[&str],
) -> Operation {
    Operation {
        summary: summary.to_owned(),
        kind: OperationKind::Write,
        semantics,
        reversal: Reversal::Irreversible,
        arguments: arguments.map(|(name, argument)| (name.to_owned(), argument)).into(),
        result: json!({ "type": "object", "required": receipt }),
    }
}

/// The same write, but it is undone by `operation`.
pub(super) fn undone_by(operation: &str, write: Operation) -> Operation {
    Operation { reversal: Reversal::Undo(name(operation)), ..write }
}

/// The same write, but it is balanced by `operation`.
pub(super) fn countered_by(operation: &str, write: Operation) -> Operation {
    Operation { reversal: Reversal::Counter(name(operation)), ..write }
}

/// The same write, but it takes another back.
pub(super) fn compensation(write: Operation) -> Operation {
    Operation { kind: OperationKind::Compensate, ..write }
}

pub(super) fn name(operation: &str) -> OperationName {
    OperationName::new(operation).expect("the sandbox's operations have valid names")
}

pub(super) fn email() -> Value {
    json!({ "type": "string", "format": "email", "maxLength": ID_CHARS_MAX })
}

pub(super) fn id() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX })
}

pub(super) fn text() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX })
}

pub(super) fn cents() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 100_000_000 })
}

pub(super) fn currency() -> Value {
    json!({ "type": "string", "enum": ["EUR", "GBP", "USD"] })
}
