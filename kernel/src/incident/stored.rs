//! How incidents are kept: their stored types, and the way there and back.
//!
//! A change to the stored types is a new [`EVENTS_VERSION`]; a test holds the bytes of each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Death, Event, What};
use crate::{
    budget::Account,
    codec::{self, DecodeError},
    id::{InboxId, RunId},
    time::Timestamp,
};

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 1;

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the incident has version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the incident does not decode: {0}")]
    Malformed(#[from] DecodeError),
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Raised { id: InboxId, what: StoredWhat, evidence: Vec<StoredDeath> },
    Released { id: InboxId, by: String },
    Dismissed { id: InboxId, by: String },
}

#[derive(Serialize, Deserialize)]
enum StoredWhat {
    Quarantined { run: RunId },
    GaveUp { supervisor: String },
    OverBudget { account: Account, reason: String },
}

#[derive(Serialize, Deserialize)]
struct StoredDeath {
    at: Timestamp,
    reason: String,
    work: Option<String>,
}

/// Encodes an event.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    let stored = match event.clone() {
        Event::Raised { id, what, evidence } => {
            let what = match what {
                What::Quarantined { run } => StoredWhat::Quarantined { run },
                What::GaveUp { supervisor } => StoredWhat::GaveUp { supervisor },
                What::OverBudget { account, reason } => StoredWhat::OverBudget { account, reason },
            };
            let stored = |Death { at, reason, work }| StoredDeath { at, reason, work };
            StoredEvent::Raised { id, what, evidence: evidence.into_iter().map(stored).collect() }
        }
        Event::Released { id, by } => StoredEvent::Released { id, by },
        Event::Dismissed { id, by } => StoredEvent::Dismissed { id, by },
    };
    codec::encode(&stored)
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
        StoredEvent::Raised { id, what, evidence } => {
            let what = match what {
                StoredWhat::Quarantined { run } => What::Quarantined { run },
                StoredWhat::GaveUp { supervisor } => What::GaveUp { supervisor },
                StoredWhat::OverBudget { account, reason } => What::OverBudget { account, reason },
            };
            let read = |StoredDeath { at, reason, work }| Death { at, reason, work };
            Event::Raised { id, what, evidence: evidence.into_iter().map(read).collect() }
        }
        StoredEvent::Released { id, by } => Event::Released { id, by },
        StoredEvent::Dismissed { id, by } => Event::Dismissed { id, by },
    })
}
