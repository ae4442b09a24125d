//! Asserting a fact: what it writes, or why not.

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    codec,
    id::{Actor, StreamId},
    journal::{Append, Entry, ProjectionKey, StreamSeq},
    labels::Labels,
    mutant::{Mutant, planted},
    payload::Payload,
    time::Timestamp,
};
use thiserror::Error;

use crate::{
    STREAM,
    fact::{Fact, Provenance},
    recall::{current_key, effect_key, history_key},
};

/// Longest subject or name of a fact, in bytes.
pub const TEXT_BYTES_MAX: usize = 200;

/// Version of the stored events of the `memory` stream.
const EVENTS_VERSION: u16 = 2;

/// A fact that someone wants known.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// About whom or what.
    pub subject: String,
    /// What about it.
    pub name: String,
    /// The value.
    pub value: Payload,
    /// Its labels.
    pub labels: Labels,
    /// The version it was decided on, to notice that someone else was faster; absent: whatever there is.
    pub expected_version: Option<u32>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Why an assertion is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AssertionError {
    /// The fact has changed since it was read.
    #[error(
        "fact `{name}` of {subject} is at version {actual} and the assertion was made on {expected}; read it again"
    )]
    Conflict {
        /// The subject.
        subject: String,
        /// The fact.
        name: String,
        /// The version the assertion was made on.
        expected: u32,
        /// The version there is; 0 for none.
        actual: u32,
    },
    /// A subject or name that cannot be one.
    #[error("{what} {given:?} of a fact must have 1 to {TEXT_BYTES_MAX} bytes and no `/`")]
    BadText {
        /// Which of the two.
        what: &'static str,
        /// As given, cut to a readable length.
        given: String,
    },
}

/// What an assertion comes to.
#[derive(Clone, Debug)]
pub enum Decided {
    /// The same effect has asserted it before: this is what it asserted.
    Already(Fact),
    /// It is new: append this, and it is known.
    New(Fact, Box<Append>),
}

#[derive(Serialize)]
enum StoredEvent<'a> {
    Asserted {
        subject: &'a str,
        name: &'a str,
        value: &'a str,
        labels: &'a Labels,
        version: u32,
        provenance: &'a Provenance,
    },
}

/// A stored event as it is read back.
#[derive(Deserialize)]
enum ReadEvent {
    Asserted {
        subject: String,
        name: String,
        #[serde(rename = "value")]
        _value: String,
        #[serde(rename = "labels")]
        _labels: Labels,
        version: u32,
        #[serde(rename = "provenance")]
        _provenance: Provenance,
    },
}

/// What a record of the `memory` stream says: the history that the facts are a projection of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// About whom or what.
    pub subject: String,
    /// What about it.
    pub name: String,
    /// The version that it made.
    pub version: u32,
}

/// What `entry` asserted; nothing, if it is no record of this version's `memory` stream.
#[must_use]
pub fn asserted(entry: &Entry) -> Option<Asserted> {
    if entry.version != EVENTS_VERSION || entry.stream.as_str() != STREAM {
        return None;
    }
    let ReadEvent::Asserted { subject, name, version, .. } = codec::decode(&entry.payload).ok()?;
    Some(Asserted { subject, name, version })
}

/// Decides `assertion` over the newest version there is and what the same effect asserted before. `stream_seq` is the next
/// place of the memory stream.
///
/// # Errors
///
/// [`AssertionError`]; nothing changes.
pub fn decide(
    assertion: Assertion,
    current: Option<&Fact>,
    by_same_effect: Option<Fact>,
    stream_seq: StreamSeq,
    at: Timestamp,
) -> Result<Decided, AssertionError> {
    if let Some(fact) = by_same_effect {
        return Ok(Decided::Already(fact));
    }
    text("subject", &assertion.subject)?;
    text("name", &assertion.name)?;
    let actual = current.map_or(0, |fact| fact.version);
    if let Some(expected) = assertion.expected_version.filter(|expected| *expected != actual) {
        let Assertion { subject, name, .. } = assertion;
        return Err(AssertionError::Conflict { subject, name, expected, actual });
    }
    let Assertion { subject, name, value, labels, provenance, .. } = assertion;
    let fact = Fact { subject, name, value, labels, version: actual + 1, at, provenance };
    let append = append(&fact, stream_seq);
    Ok(Decided::New(fact, Box::new(append)))
}

fn text(what: &'static str, given: &str) -> Result<(), AssertionError> {
    let fits = !given.is_empty() && given.len() <= TEXT_BYTES_MAX && !given.contains('/');
    let shown = || given.chars().take(60).collect();
    if fits { Ok(()) } else { Err(AssertionError::BadText { what, given: shown() }) }
}

fn append(fact: &Fact, stream_seq: StreamSeq) -> Append {
    let event = StoredEvent::Asserted {
        subject: &fact.subject,
        name: &fact.name,
        value: fact.value.as_str(),
        labels: &fact.labels,
        version: fact.version,
        provenance: &fact.provenance,
    };
    let (actor, by_effect, correlation) = match &fact.provenance {
        Provenance::Agent { agent, effect } => {
            (Actor::agent(agent), Some(effect_key(effect)), Some(effect.run.clone()))
        }
        Provenance::Operator { .. } => (Actor::operator(), None, None),
    };
    let entry = Entry {
        stream: StreamId::new(STREAM).expect("the stream's name is a name"),
        stream_seq,
        at: fact.at,
        actor,
        causation: None,
        correlation,
        kind: "fact.asserted".into(),
        version: EVENTS_VERSION,
        payload: codec::encode(&event),
    };
    let is_behind = planted(Mutant::MemoryBehind) && fact.version > 1;
    let keys: Vec<ProjectionKey> = [
        Some(current_key(&fact.subject, &fact.name)).filter(|_| !is_behind),
        Some(history_key(&fact.subject, &fact.name, fact.version)),
        by_effect,
    ]
    .into_iter()
    .flatten()
    .collect();
    let bytes = fact.to_bytes();
    let projections = keys.into_iter().map(|key| (key, Some(bytes.clone()))).collect();
    Append { entries: vec![entry], projections, ..Append::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assertion(expected_version: Option<u32>) -> Assertion {
        Assertion {
            subject: "contact-1".into(),
            name: "last_said".into(),
            value: Payload::from_json("\"hello\"").unwrap(),
            labels: Labels::owner(),
            expected_version,
            provenance: Provenance::Operator { by: "me".into() },
        }
    }

    #[track_caller]
    fn fact(decided: Result<Decided, AssertionError>) -> Fact {
        match decided.unwrap() {
            Decided::New(fact, append) => {
                let said = asserted(&append.entries[0]).unwrap();
                assert_eq!((said.subject, said.version), (fact.subject.clone(), fact.version));
                fact
            }
            Decided::Already(fact) => fact,
        }
    }

    #[test]
    fn versions_count_up_and_a_stale_assertion_conflicts() {
        let first = fact(decide(assertion(Some(0)), None, None, StreamSeq(1), Timestamp(1)));
        assert_eq!(first.version, 1);
        let second = fact(decide(assertion(None), Some(&first), None, StreamSeq(2), Timestamp(2)));
        assert_eq!(second.version, 2);
        let stale = decide(assertion(Some(1)), Some(&second), None, StreamSeq(3), Timestamp(3))
            .unwrap_err();
        assert!(stale.to_string().contains("at version 2"), "{stale}");
    }

    #[test]
    fn the_same_effect_asserts_once() {
        let first = fact(decide(assertion(None), None, None, StreamSeq(1), Timestamp(1)));
        let again =
            decide(assertion(None), None, Some(first.clone()), StreamSeq(2), Timestamp(2)).unwrap();
        assert!(matches!(again, Decided::Already(fact) if fact == first));
    }

    #[test]
    fn a_subject_with_a_slash_is_refused() {
        let mut wrong = assertion(None);
        wrong.subject = "a/b".into();
        assert!(decide(wrong, None, None, StreamSeq(1), Timestamp(1)).is_err());
    }

    #[test]
    fn labels_are_kept_with_the_fact_and_a_fact_without_them_is_a_strangers() {
        let first = fact(decide(assertion(None), None, None, StreamSeq(1), Timestamp(1)));
        assert_eq!(Fact::from_bytes(&first.to_bytes()).unwrap().labels, Labels::owner());
        let mut old: serde_json::Value = serde_json::from_slice(&first.to_bytes()).unwrap();
        old.as_object_mut().unwrap().remove("labels");
        let old = Fact::from_bytes(&serde_json::to_vec(&old).unwrap()).unwrap();
        assert_eq!(old.labels, Labels::default());
    }
}
