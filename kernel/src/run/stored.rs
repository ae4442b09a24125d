//! How a run's events are kept: their stored types, and the way there and back.
//!
//! One record holds the events of one decision. Payloads over [`INLINE_BYTES_MAX`] go to the blob keyspace, and the record
//! keeps their hash. A change to anything here, or to a leaf type it embeds, is a new [`EVENTS_VERSION`]; the test at the
//! foot holds the bytes of the present one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::event::{EffectRef, Event, StepError, StepRetry};
use crate::{
    codec::{self, DecodeError},
    effect::{AfterFault, Proposal, WriteEvent},
    fault::Fault,
    id::{ConnectorName, OperationName, StepName, WorkflowRef},
    journal::ReadError,
    payload::{Digest, INLINE_BYTES_MAX, Payload},
    policy::Judgement,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 1;

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the events have version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the events do not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// A payload's blob is missing or is not JSON.
    #[error("the payload {digest} is {problem}")]
    Payload {
        /// Its hash.
        digest: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The blob could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Large payloads that leave the record, by hash.
pub type Blobs = Vec<(Digest, Arc<[u8]>)>;

/// Fetches a payload that left the record.
pub type Fetch<'a> = &'a dyn Fn(&Digest) -> Result<Option<Vec<u8>>, ReadError>;

/// Encodes the events of one decision; also gives the payloads that must be stored beside them.
#[must_use]
pub fn encode(events: &[Event]) -> (Vec<u8>, Blobs) {
    let mut blobs = Blobs::new();
    let stored: Vec<StoredEvent> =
        events.iter().map(|event| StoredEvent::of(event, &mut blobs)).collect();
    (codec::encode(&stored), blobs)
}

/// Decodes the events of one record. `blob` fetches a payload that left the record.
///
/// # Errors
///
/// [`StoredError`].
pub fn decode(version: u16, bytes: &[u8], blob: Fetch<'_>) -> Result<Vec<Event>, StoredError> {
    if version > EVENTS_VERSION {
        return Err(StoredError::Newer(version));
    }
    let stored: Vec<StoredEvent> = codec::decode(bytes)?;
    stored.into_iter().map(|event| event.read(blob)).collect()
}

/// What a record of these events is, in a word.
#[must_use]
pub fn kind(events: &[Event]) -> &'static str {
    let last = |found: fn(&Event) -> bool| events.iter().rev().find(|event| found(event));
    let over = last(|event| matches!(event, Event::Completed { .. } | Event::Failed { .. }));
    over.or(events.first()).map_or("empty", Event::kind)
}

#[derive(Serialize, Deserialize)]
enum StoredPayload {
    Inline(String),
    Blob(Digest),
}

#[derive(Serialize, Deserialize)]
struct StoredProposal {
    connector: ConnectorName,
    operation: OperationName,
    arguments: StoredPayload,
    routing: Vec<(String, String)>,
    preview: StoredPayload,
    digest: Digest,
    at: Timestamp,
    semantics: WriteSemantics,
    reversal: Reversal,
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Started { workflow: WorkflowRef, input: StoredPayload },
    StepStarted { step: StepName, attempt: u32 },
    StepSkipped { step: StepName },
    StepCompleted { step: StepName, output: StoredPayload },
    StepFailed { step: StepName, error: StepError, next: StepRetry },
    Recorded { step: StepName, effect: EffectRef, asked: Digest, answer: StoredPayload },
    Write { step: StepName, effect: EffectRef, asked: Option<Digest>, event: StoredWriteEvent },
    Completed { output: StoredPayload },
    Failed { step: StepName, error: StepError },
    Dismissed { by: String },
}

#[derive(Serialize, Deserialize)]
enum StoredWriteEvent {
    Proposed { proposal: Box<StoredProposal>, judgement: Judgement },
    Approved { by: String },
    Modified { by: String, proposal: Box<StoredProposal>, judgement: Judgement },
    Aborted { by: String, reason: String },
    Attempted { attempt: u32 },
    Landed { receipt: StoredPayload },
    Faulted { fault: Fault, next: AfterFault },
    ProvenAbsent { next: AfterFault },
    Resolved { by: String, happened: bool },
}

impl StoredPayload {
    fn of(payload: &Payload, blobs: &mut Blobs) -> Self {
        let text = payload.as_str();
        if text.len() <= INLINE_BYTES_MAX {
            return Self::Inline(text.to_owned());
        }
        let digest = payload.digest();
        blobs.push((digest, text.as_bytes().into()));
        Self::Blob(digest)
    }

    fn read(self, fetch: Fetch<'_>) -> Result<Payload, StoredError> {
        let (digest, text) = match self {
            Self::Inline(text) => (None, text),
            Self::Blob(digest) => {
                let problem = |problem| StoredError::Payload { digest: digest.to_hex(), problem };
                let bytes = fetch(&digest)?.ok_or_else(|| problem("missing"))?;
                (Some(digest), String::from_utf8(bytes).map_err(|_| problem("not text"))?)
            }
        };
        Payload::from_json(&text).map_err(|_| StoredError::Payload {
            digest: digest.map_or_else(|| "inline".into(), Digest::to_hex),
            problem: "not JSON",
        })
    }
}

impl StoredProposal {
    fn of(proposal: &Proposal, blobs: &mut Blobs) -> Box<Self> {
        // A preview is text; as a JSON string it spills like every payload.
        let preview = Payload::of(&proposal.preview).unwrap_or_else(|_| Payload::null());
        Box::new(Self {
            connector: proposal.connector.clone(),
            operation: proposal.operation.clone(),
            arguments: StoredPayload::of(&proposal.arguments, blobs),
            routing: proposal.routing.clone().into_iter().collect(),
            preview: StoredPayload::of(&preview, blobs),
            digest: proposal.digest,
            at: proposal.at,
            semantics: proposal.semantics,
            reversal: proposal.reversal,
        })
    }

    fn read(self, fetch: Fetch<'_>) -> Result<Box<Proposal>, StoredError> {
        Ok(Box::new(Proposal {
            connector: self.connector,
            operation: self.operation,
            arguments: self.arguments.read(fetch)?,
            routing: self.routing.into_iter().collect(),
            preview: self.preview.read(fetch)?.parse().unwrap_or_default(),
            digest: self.digest,
            at: self.at,
            semantics: self.semantics,
            reversal: self.reversal,
        }))
    }
}

impl StoredEvent {
    fn of(event: &Event, blobs: &mut Blobs) -> Self {
        match event.clone() {
            Event::Started { workflow, input } => {
                Self::Started { workflow, input: StoredPayload::of(&input, blobs) }
            }
            Event::StepStarted { step, attempt } => Self::StepStarted { step, attempt },
            Event::StepSkipped { step } => Self::StepSkipped { step },
            Event::StepCompleted { step, output } => {
                Self::StepCompleted { step, output: StoredPayload::of(&output, blobs) }
            }
            Event::StepFailed { step, error, next } => Self::StepFailed { step, error, next },
            Event::Recorded { step, effect, asked, answer } => {
                Self::Recorded { step, effect, asked, answer: StoredPayload::of(&answer, blobs) }
            }
            Event::Write { step, effect, asked, event } => {
                Self::Write { step, effect, asked, event: StoredWriteEvent::of(event, blobs) }
            }
            Event::Completed { output } => {
                Self::Completed { output: StoredPayload::of(&output, blobs) }
            }
            Event::Failed { step, error } => Self::Failed { step, error },
            Event::Dismissed { by } => Self::Dismissed { by },
        }
    }

    fn read(self, fetch: Fetch<'_>) -> Result<Event, StoredError> {
        Ok(match self {
            Self::Started { workflow, input } => {
                Event::Started { workflow, input: input.read(fetch)? }
            }
            Self::StepStarted { step, attempt } => Event::StepStarted { step, attempt },
            Self::StepSkipped { step } => Event::StepSkipped { step },
            Self::StepCompleted { step, output } => {
                Event::StepCompleted { step, output: output.read(fetch)? }
            }
            Self::StepFailed { step, error, next } => Event::StepFailed { step, error, next },
            Self::Recorded { step, effect, asked, answer } => {
                Event::Recorded { step, effect, asked, answer: answer.read(fetch)? }
            }
            Self::Write { step, effect, asked, event } => {
                Event::Write { step, effect, asked, event: event.read(fetch)? }
            }
            Self::Completed { output } => Event::Completed { output: output.read(fetch)? },
            Self::Failed { step, error } => Event::Failed { step, error },
            Self::Dismissed { by } => Event::Dismissed { by },
        })
    }
}

impl StoredWriteEvent {
    fn of(event: WriteEvent, blobs: &mut Blobs) -> Self {
        match event {
            WriteEvent::Proposed { proposal, judgement } => {
                Self::Proposed { proposal: StoredProposal::of(&proposal, blobs), judgement }
            }
            WriteEvent::Approved { by } => Self::Approved { by },
            WriteEvent::Modified { by, proposal, judgement } => {
                Self::Modified { by, proposal: StoredProposal::of(&proposal, blobs), judgement }
            }
            WriteEvent::Aborted { by, reason } => Self::Aborted { by, reason },
            WriteEvent::Attempted { attempt } => Self::Attempted { attempt },
            WriteEvent::Landed { receipt } => {
                Self::Landed { receipt: StoredPayload::of(&receipt, blobs) }
            }
            WriteEvent::Faulted { fault, next } => Self::Faulted { fault, next },
            WriteEvent::ProvenAbsent { next } => Self::ProvenAbsent { next },
            WriteEvent::Resolved { by, happened } => Self::Resolved { by, happened },
        }
    }

    fn read(self, fetch: Fetch<'_>) -> Result<WriteEvent, StoredError> {
        Ok(match self {
            Self::Proposed { proposal, judgement } => {
                WriteEvent::Proposed { proposal: proposal.read(fetch)?, judgement }
            }
            Self::Approved { by } => WriteEvent::Approved { by },
            Self::Modified { by, proposal, judgement } => {
                WriteEvent::Modified { by, proposal: proposal.read(fetch)?, judgement }
            }
            Self::Aborted { by, reason } => WriteEvent::Aborted { by, reason },
            Self::Attempted { attempt } => WriteEvent::Attempted { attempt },
            Self::Landed { receipt } => WriteEvent::Landed { receipt: receipt.read(fetch)? },
            Self::Faulted { fault, next } => WriteEvent::Faulted { fault, next },
            Self::ProvenAbsent { next } => WriteEvent::ProvenAbsent { next },
            Self::Resolved { by, happened } => WriteEvent::Resolved { by, happened },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        effect::tests::proposal,
        fault::{FaultClass, Phase},
        policy::Verdict,
        run::event::StepErrorKind,
    };

    /// One event of each kind.
    fn samples() -> Vec<Event> {
        let step: StepName = "send".parse().unwrap();
        let effect = EffectRef { name: "call".parse().unwrap(), occurrence: 0 };
        let (asked, error) =
            (Digest::of(b"asked"), StepError::new(StepErrorKind::TimedOut, "slow"));
        let judgement =
            Judgement { verdict: Verdict::Approve, rule: "r".into(), reason: "why".into() };
        let fault = Fault::new(FaultClass::Crash, Phase::MaybeSent, "died");
        let write = |asked, event| Event::Write {
            step: step.clone(),
            effect: effect.clone(),
            asked,
            event,
        };
        let input = Payload::from_json(r#"{"n":1}"#).unwrap();
        let by = || "operator".to_owned();
        let proposed = WriteEvent::Proposed {
            proposal: Box::new(proposal("a@b.example")),
            judgement: judgement.clone(),
        };
        let modified = WriteEvent::Modified {
            by: by(),
            proposal: Box::new(proposal("c@d.example")),
            judgement,
        };
        let workflow = WorkflowRef { name: "w".parse().unwrap(), version: 3 };
        vec![
            Event::Started { workflow, input: input.clone() },
            Event::StepStarted { step: step.clone(), attempt: 2 },
            Event::StepSkipped { step: step.clone() },
            Event::StepCompleted { step: step.clone(), output: input.clone() },
            Event::StepFailed {
                step: step.clone(),
                error: error.clone(),
                next: StepRetry::At(Timestamp(9)),
            },
            Event::Recorded {
                step: step.clone(),
                effect: effect.clone(),
                asked,
                answer: Payload::null(),
            },
            write(Some(asked), proposed),
            write(None, WriteEvent::Approved { by: by() }),
            write(None, modified),
            write(None, WriteEvent::Aborted { by: by(), reason: "no".into() }),
            write(None, WriteEvent::Attempted { attempt: 1 }),
            write(None, WriteEvent::Landed { receipt: input.clone() }),
            write(
                None,
                WriteEvent::Faulted { fault, next: AfterFault::Probe { at: Timestamp(8) } },
            ),
            write(None, WriteEvent::ProvenAbsent { next: AfterFault::Fail }),
            write(None, WriteEvent::Resolved { by: by(), happened: true }),
            Event::Completed { output: input },
            Event::Failed { step, error },
            Event::Dismissed { by: by() },
        ]
    }

    #[test]
    fn events_come_back_as_they_were() {
        let (bytes, blobs) = encode(&samples());
        assert!(blobs.is_empty());
        assert_eq!(decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap(), samples());
    }

    /// If this fails, journals written before no longer read as they did: make a new version instead.
    #[test]
    fn the_stored_bytes_of_version_1_do_not_change() {
        let (bytes, _) = encode(&samples());
        expect_test::expect!["d738911d77d797fda243ec92449f416574a2ce155030ee30d08fac7e5bbfbb31"]
            .assert_eq(&Digest::of(&bytes).to_hex());
    }

    #[test]
    fn a_large_payload_leaves_the_record_and_comes_back() {
        let large = Payload::of(&"x".repeat(INLINE_BYTES_MAX)).unwrap();
        let events = [Event::Completed { output: large.clone() }];
        let (bytes, blobs) = encode(&events);
        assert!(bytes.len() < 100);
        assert_eq!(blobs.len(), 1);
        let stored = blobs[0].1.to_vec();
        let back = decode(EVENTS_VERSION, &bytes, &|_| Ok(Some(stored.clone()))).unwrap();
        assert_eq!(back, events);
        let missing = decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap_err();
        assert!(missing.to_string().ends_with("is missing"), "{missing}");
    }

    #[test]
    fn events_of_a_newer_version_are_refused() {
        assert!(matches!(decode(2, &[], &|_| Ok(None)), Err(StoredError::Newer(2))));
    }
}
