//! The stage on which a fork plays: whatever it asks is answered from the recording, or by a stand-in, and never by the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use soloist_kernel::{
    effect::{Outcome, Proposal, Write, WriteState},
    fault::Fault,
    id::{ConnectorName, EffectId, IdempotencyKey, OperationName},
    journal::{Journal, ReadError, Seq},
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    policy::Reached,
    run::project::{REACHED_DAYS, reached_day, reached_key},
    time::Timestamp,
};
use soloist_memory::{Assertion, Decided, Fact, Memory};

use super::{
    recording::Recording,
    shadow::{Read, Reads},
};
use crate::views;

/// What stands for an answer that nobody gave.
const STAND_IN: &str = "stand-in";

/// What a fork is answered from.
pub(crate) struct Stage {
    pub(super) recording: Recording,
    /// The journal that it is forked from. It is read, and nothing else.
    world: Arc<dyn Journal>,
    /// The last record that the fork has in common with its original, and when that was written.
    from: (Seq, Timestamp),
    /// What has been read besides, for a shadow, which may have more read.
    reads: Option<Reads>,
    noted: Mutex<Noted>,
}

/// What happened on the stage.
#[derive(Default)]
struct Noted {
    /// How many of its answers each effect has had.
    used: BTreeMap<(EffectId, Digest), usize>,
    /// What each write asks, as it was last planned.
    planned: BTreeMap<IdempotencyKey, Asked>,
    /// What would have been sent, and whether its answer was recorded.
    sent: BTreeMap<IdempotencyKey, bool>,
    /// What was remembered, and is forgotten with the fork.
    facts: BTreeMap<(String, String), Fact>,
    /// What was answered by a stand-in, in words.
    stand_ins: BTreeSet<String>,
    /// The first thing that is to be read before it can go on.
    wanted: Option<Read>,
}

/// What a write asks of its connector.
#[derive(Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) connector: ConnectorName,
    pub(super) operation: OperationName,
    pub(super) arguments: Digest,
}

impl Asked {
    fn of(proposal: &Proposal) -> Self {
        let (connector, operation) = (proposal.connector.clone(), proposal.operation.clone());
        Self { connector, operation, arguments: proposal.arguments.digest() }
    }
}

/// What became of a write, as its connector would have told it; `None` if it was not sent.
fn end(write: &Write) -> Option<Result<Payload, Fault>> {
    match &write.state {
        WriteState::Settled(Outcome::Landed { receipt, .. }) => Some(Ok(receipt.clone())),
        WriteState::Settled(Outcome::Failed { fault }) | WriteState::Ambiguous { fault, .. } => {
            Some(Err(fault.clone()))
        }
        _ => write.doubt.clone().map(Err),
    }
}

impl Stage {
    pub(super) fn new(
        recording: Recording,
        world: Arc<dyn Journal>,
        from: (Seq, Timestamp),
        reads: Option<Reads>,
    ) -> Self {
        Self { recording, world, from, reads, noted: Mutex::default() }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().expect("noting does not panic")
    }

    /// What is known, as the journal that it is forked from has it.
    pub(crate) fn memory(&self) -> Memory {
        Memory::new(self.world.clone())
    }

    /// The recorded answer to what `effect` asks.
    pub(crate) fn answer(&self, effect: &EffectId, asked: Digest) -> Option<Labeled<Payload>> {
        let place = (effect.clone(), asked);
        let mut noted = self.noted();
        let had = || self.recording.had(effect, asked, self.from.0);
        let used = *noted.used.entry(place.clone()).or_insert_with(had);
        let answer = self.recording.answer(effect, asked, used)?.clone();
        noted.used.insert(place, used + 1);
        Some(answer)
    }

    /// What stands in for the answer to what an agent would do by itself, or read: nothing, if it can do with nothing.
    ///
    /// # Errors
    ///
    /// In words, if it cannot.
    pub(crate) fn nothing<T: DeserializeOwned>(&self, what: &str) -> Result<Labeled<T>, String> {
        let nothing = serde_json::from_value(Value::Null).map_err(|_| {
            format!(
                "`{what}` is not recorded, and a fork asks nobody; fork from a later record, or so that it asks what was recorded"
            )
        })?;
        self.noted().stand_ins.insert(format!("`{what}` was answered with nothing"));
        Ok(Labeled::new(nothing, Labels::untrusted(STAND_IN)))
    }

    /// The answer to a read: what anybody in the recording was answered to the same question; what has been read for a shadow; or
    /// nothing.
    pub(crate) fn read(
        &self,
        operation: &str,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, String> {
        let asked = json!([operation, arguments.value()]).to_string();
        let asked = Digest::of(asked.as_bytes());
        if let Some(known) = self.recording.elsewhere(operation, asked) {
            return Ok(known.clone());
        }
        if let Some(reads) = &self.reads {
            let read = Read { operation: operation.into(), arguments: arguments.clone(), asked };
            return reads.answer(&read).unwrap_or_else(|| {
                let problem = format!("`{operation}` is read before this is played on");
                self.noted().wanted.get_or_insert(read);
                Err(problem)
            });
        }
        let nothing = self.nothing::<Value>(operation)?;
        Ok(Labeled::new(Payload::null(), nothing.labels))
    }

    /// What is to be read before it can go on.
    pub(super) fn wanted(&self) -> Option<Read> {
        self.noted().wanted.clone()
    }

    /// A fact that the fork itself has remembered.
    pub(crate) fn fact(&self, subject: &str, name: &str) -> Option<Fact> {
        self.noted().facts.get(&(subject.to_owned(), name.to_owned())).cloned()
    }

    /// Remembers for as long as the fork lasts.
    pub(crate) fn remember(&self, assertion: Assertion, now: Timestamp) -> Result<Fact, String> {
        let place = (assertion.subject.clone(), assertion.name.clone());
        let known = match self.fact(&place.0, &place.1) {
            Some(known) => Some(known),
            None => self.memory().fact(&place.0, &place.1).map_err(|error| error.to_string())?,
        };
        let next = soloist_kernel::journal::StreamSeq(1);
        let decided = soloist_memory::decide(assertion, known.as_ref(), None, next, now);
        // What it would append is not appended.
        let (Decided::New(fact, _) | Decided::Already(fact)) =
            decided.map_err(|error| error.to_string())?;
        let mut noted = self.noted();
        noted
            .stand_ins
            .insert(format!("{} of {} was remembered by the fork alone", place.1, place.0));
        noted.facts.insert(place, fact.clone());
        Ok(fact)
    }

    pub(super) fn planned(&self, key: &IdempotencyKey, asked: Asked) {
        self.noted().planned.insert(key.clone(), asked);
    }

    /// The recorded write with `key`, if it asked what the fork's asks.
    fn same(&self, key: &IdempotencyKey) -> Option<&Write> {
        let write = self.recording.write(key)?;
        (self.noted().planned.get(key) == Some(&Asked::of(&write.proposal))).then_some(write)
    }

    /// What became of the same write in the original; a stand-in's receipt, which `schema` describes, if nothing did.
    pub(super) fn attempt(
        &self,
        key: &IdempotencyKey,
        schema: Option<&Value>,
    ) -> Result<Payload, Fault> {
        let recorded = self.same(key).and_then(end);
        self.noted().sent.insert(key.clone(), recorded.is_some());
        recorded.unwrap_or_else(|| Ok(self.receipt(key, schema)))
    }

    /// How the attempt of `proposal` that was under way where the copy ends came out in the original.
    pub(crate) fn ended(
        &self,
        key: &IdempotencyKey,
        proposal: &Proposal,
    ) -> Option<Result<Payload, Fault>> {
        let recorded = self.recording.write(key)?;
        let ended =
            end(recorded).filter(|_| Asked::of(&recorded.proposal) == Asked::of(proposal))?;
        self.noted().sent.insert(key.clone(), true);
        Some(ended)
    }

    /// Whether the same write landed in the original; `None` if nothing is recorded of it.
    pub(super) fn landed(&self, key: &IdempotencyKey) -> Option<Option<Payload>> {
        self.same(key).map(|write| write.receipt().cloned())
    }

    /// A receipt that nobody gave: like one of the same operation, if one is recorded, else as it is declared; and marked.
    fn receipt(&self, key: &IdempotencyKey, schema: Option<&Value>) -> Payload {
        let mut noted = self.noted();
        let like = self.recording.write(key).and_then(|write| {
            write.receipt().or_else(|| self.recording.receipt_like(&write.proposal))
        });
        let mut receipt = match like.map(Payload::value).or_else(|| schema.map(sample)) {
            Some(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        receipt.insert("stand_in".into(), Value::Bool(true));
        if let Some(Asked { connector, operation, .. }) = noted.planned.get(key) {
            let said = format!("{connector}.{operation} was not sent, and given a receipt");
            noted.stand_ins.insert(said);
        }
        Payload::of(&receipt).unwrap_or_default()
    }

    /// Whether the write with `key` would have been sent, and whether its answer was recorded.
    pub(super) fn sent(&self, key: &IdempotencyKey) -> Option<bool> {
        self.noted().sent.get(key).copied()
    }

    /// What was answered by a stand-in, in words.
    pub(super) fn stand_ins(&self) -> Vec<String> {
        self.noted().stand_ins.iter().cloned().collect()
    }

    /// What was known of a place when the fork begins: what the original and those after it reached is not counted.
    pub(crate) fn reached(
        &self,
        connector: &ConnectorName,
        argument: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<Option<Reached>, ReadError> {
        let Some(bytes) = self.world.projection(&reached_key(connector, argument, value))? else {
            return Ok(None);
        };
        let Ok(bytes) = <[u8; 8]>::try_from(bytes) else { return Ok(None) };
        let (last, begins) = (Timestamp(u64::from_be_bytes(bytes)), self.from.1);
        let ours: BTreeSet<&str> = self.recording.keys().map(IdempotencyKey::as_str).collect();
        let today = reached_day(connector, argument, value, now);
        // The key of a landing is its place and day, and the effect that landed.
        let place = today.rsplit('/').nth(1).unwrap_or_default().to_owned();
        let (mut count, mut before) = (0, None);
        views::each_row(
            &*self.world,
            REACHED_DAYS,
            &format!("{connector}/{argument}/"),
            |key, _| {
                let mut parts = key.rsplit('/');
                let (effect, of, day) = (parts.next(), parts.next(), parts.next());
                if of != Some(&place) || effect.is_none_or(|effect| ours.contains(effect)) {
                    return Ok::<_, ReadError>(());
                }
                count += u32::from(key.starts_with(&today));
                // Of the day itself it cannot be told what came first.
                let day = day.and_then(|day| day.parse::<u64>().ok());
                before = before.max(day.is_some_and(|day| day < begins.day()).then_some(begins));
                Ok(())
            },
        )?;
        let at = if last <= begins { Some(last) } else { before };
        Ok(at.map(|at| Reached { at, today: count }))
    }
}

/// A value that `schema` may describe: an object has what it must have, and a text says what it is.
fn sample(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let names = schema["required"].as_array().into_iter().flatten();
            let field = |name: &str| (name.to_owned(), sample(&schema["properties"][name]));
            names.filter_map(Value::as_str).map(field).collect()
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("null") => Value::Null,
        _ => json!(STAND_IN),
    }
}
