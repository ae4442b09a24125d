//! How pauses are kept: their stored types, and the way there and back.
//!
//! A change to the stored types is a new [`EVENTS_VERSION`]; a test holds the bytes of each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Event, Scope};
use crate::codec::{self, DecodeError};

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 1;

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the pause has version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the pause does not decode: {0}")]
    Malformed(#[from] DecodeError),
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Paused { scope: Scope, by: String, reason: String },
    Resumed { scope: Scope, by: String },
}

/// Encodes an event.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    codec::encode(&match event.clone() {
        Event::Paused { scope, by, reason } => StoredEvent::Paused { scope, by, reason },
        Event::Resumed { scope, by } => StoredEvent::Resumed { scope, by },
    })
}

/// Decodes the event of one record.
///
/// # Errors
///
/// [`StoredError`].
pub fn decode(version: u16, bytes: &[u8]) -> Result<Event, StoredError> {
    if version > EVENTS_VERSION {
        return Err(StoredError::Newer(version));
    }
    Ok(match codec::decode(bytes)? {
        StoredEvent::Paused { scope, by, reason } => Event::Paused { scope, by, reason },
        StoredEvent::Resumed { scope, by } => Event::Resumed { scope, by },
    })
}
