//! How a run's events are kept: their stored types, and the way there and back.
//!
//! One record holds the events of one decision. A payload over [`INLINE_BYTES_MAX`](crate::payload::INLINE_BYTES_MAX) goes
//! to the blob keyspace, and the record keeps its hash. A change to the stored types, or to a leaf type that they embed, is a
//! new [`EVENTS_VERSION`]: the types of the old one move to a file of their own, as `v1.rs` has those of the first, and the
//! tests hold the bytes of each.

mod payload;
mod v1;
mod v2;

use std::sync::Arc;

use thiserror::Error;

use super::event::Event;
use crate::{
    codec::{self, DecodeError},
    journal::ReadError,
    payload::Digest,
};

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 2;

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
    let stored: Vec<v2::StoredEvent> =
        events.iter().map(|event| v2::StoredEvent::of(event, &mut blobs)).collect();
    (codec::encode(&stored), blobs)
}

/// Decodes the events of one record. `blob` fetches a payload that left the record.
///
/// # Errors
///
/// [`StoredError`].
pub fn decode(version: u16, bytes: &[u8], blob: Fetch<'_>) -> Result<Vec<Event>, StoredError> {
    match version {
        0 | 1 => {
            let stored: Vec<v1::StoredEvent> = codec::decode(bytes)?;
            stored.into_iter().map(|event| event.read(blob)).collect()
        }
        EVENTS_VERSION => {
            let stored: Vec<v2::StoredEvent> = codec::decode(bytes)?;
            stored.into_iter().map(|event| event.read(blob)).collect()
        }
        newer => Err(StoredError::Newer(newer)),
    }
}

/// As [`decode`], for who looks at writes: what left the record of any other event is not fetched, and `null` stands in its place.
///
/// # Errors
///
/// [`StoredError`].
pub fn decode_writes(
    version: u16,
    bytes: &[u8],
    blob: Fetch<'_>,
) -> Result<Vec<Event>, StoredError> {
    let nothing: Fetch<'_> = &|_| Ok(Some(b"null".to_vec()));
    match version {
        0 | 1 => decode(version, bytes, blob),
        EVENTS_VERSION => {
            let stored: Vec<v2::StoredEvent> = codec::decode(bytes)?;
            let read = |event: v2::StoredEvent| {
                let is_write = matches!(event, v2::StoredEvent::Write { .. });
                event.read(if is_write { blob } else { nothing })
            };
            stored.into_iter().map(read).collect()
        }
        newer => Err(StoredError::Newer(newer)),
    }
}

/// What a record of these events is, in a word.
#[must_use]
pub fn kind(events: &[Event]) -> &'static str {
    let ends = |event: &&Event| {
        matches!(
            event,
            Event::Completed { .. }
                | Event::Failed { .. }
                | Event::Unwinding { .. }
                | Event::Unwound
        )
    };
    events.iter().rev().find(ends).or(events.first()).map_or("empty", Event::kind)
}

#[cfg(test)]
mod tests;
