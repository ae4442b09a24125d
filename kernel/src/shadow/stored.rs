//! How shadows are kept: their stored types, and the way there and back.
//!
//! A change to the stored types is a new [`EVENTS_VERSION`]; a test holds the bytes of each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Due, Event, Kind, Outcome};
use crate::{
    codec::{self, DecodeError},
    id::RunId,
    rollout::Subject,
};

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 1;

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the shadow has version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the shadow does not decode: {0}")]
    Malformed(#[from] DecodeError),
}

#[derive(Serialize, Deserialize)]
struct StoredDue {
    run: RunId,
    of: Subject,
    base: u32,
    shadow: u32,
    tries: u32,
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Begun(StoredDue),
    Played { due: StoredDue, outcome: StoredOutcome },
}

#[derive(Serialize, Deserialize)]
enum StoredOutcome {
    Agreed,
    Diverged { kinds: Vec<(Kind, u32)>, difference: String },
    Failed { reason: String },
    PassedOver { reason: String },
}

/// Encodes an event.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    codec::encode(&match event.clone() {
        Event::Begun(due) => StoredEvent::Begun(due.into()),
        Event::Played { due, outcome } => {
            StoredEvent::Played { due: due.into(), outcome: outcome.into() }
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
        StoredEvent::Begun(due) => Event::Begun(due.into()),
        StoredEvent::Played { due, outcome } => {
            Event::Played { due: due.into(), outcome: outcome.into() }
        }
    })
}

impl From<Due> for StoredDue {
    fn from(due: Due) -> Self {
        let Due { run, of, base, shadow, tries } = due;
        Self { run, of, base, shadow, tries }
    }
}

impl From<StoredDue> for Due {
    fn from(due: StoredDue) -> Self {
        let StoredDue { run, of, base, shadow, tries } = due;
        Self { run, of, base, shadow, tries }
    }
}

impl From<Outcome> for StoredOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Agreed => Self::Agreed,
            Outcome::Diverged { kinds, difference } => {
                Self::Diverged { kinds: kinds.into_iter().collect(), difference }
            }
            Outcome::Failed { reason } => Self::Failed { reason },
            Outcome::PassedOver { reason } => Self::PassedOver { reason },
        }
    }
}

impl From<StoredOutcome> for Outcome {
    fn from(outcome: StoredOutcome) -> Self {
        match outcome {
            StoredOutcome::Agreed => Self::Agreed,
            StoredOutcome::Diverged { kinds, difference } => {
                Self::Diverged { kinds: kinds.into_iter().collect(), difference }
            }
            StoredOutcome::Failed { reason } => Self::Failed { reason },
            StoredOutcome::PassedOver { reason } => Self::PassedOver { reason },
        }
    }
}
