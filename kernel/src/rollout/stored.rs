//! How rollouts are kept: their stored types, and the way there and back.
//!
//! A change to the stored types is a new [`EVENTS_VERSION`]; a test holds the bytes of each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Event, Share, Subject};
use crate::codec::{self, DecodeError};

/// The version of the stored events that this code writes. Version 2 added what is in the shadow, and the policy to what there can
/// be two versions of; version 1 reads as it.
pub const EVENTS_VERSION: u16 = 2;

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the rollout has version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the rollout does not decode: {0}")]
    Malformed(#[from] DecodeError),
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Shared { of: Subject, base: u32, canary: u32, share: Share, by: String },
    Promoted { of: Subject, canary: u32, by: String },
    Shadowed { of: Subject, base: u32, canary: u32, share: Share, by: String },
}

/// Encodes an event.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    codec::encode(&match event.clone() {
        Event::Shared { of, base, canary, share, by } => {
            StoredEvent::Shared { of, base, canary, share, by }
        }
        Event::Promoted { of, canary, by } => StoredEvent::Promoted { of, canary, by },
        Event::Shadowed { of, base, canary, share, by } => {
            StoredEvent::Shadowed { of, base, canary, share, by }
        }
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
        StoredEvent::Shared { of, base, canary, share, by } => {
            Event::Shared { of, base, canary, share, by }
        }
        StoredEvent::Promoted { of, canary, by } => Event::Promoted { of, canary, by },
        StoredEvent::Shadowed { of, base, canary, share, by } => {
            Event::Shadowed { of, base, canary, share, by }
        }
    })
}
