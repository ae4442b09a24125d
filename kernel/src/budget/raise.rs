//! The operator's word that a budget may be exceeded: how it is kept.
//!
//! It holds for one account, so that what is raised today is not raised tomorrow. A change to the stored types is a new
//! [`EVENTS_VERSION`]; a test holds the bytes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Account, Cost};
use crate::{
    codec::{self, DecodeError},
    id::StreamId,
    journal::ProjectionKey,
};

/// By how much each account was raised: a projection.
pub const RAISED: &str = "budgets-raised";

/// The version of the stored events that this code writes.
pub const EVENTS_VERSION: u16 = 1;

/// Someone lets an account be exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Which.
    pub account: Account,
    /// By how much.
    pub more: Cost,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Stored events that cannot be read.
#[derive(Debug, Error)]
pub enum StoredError {
    /// Written by a newer Soloist.
    #[error(
        "the raised budget has version {0} and this Soloist reads up to {EVENTS_VERSION}; use the newer one"
    )]
    Newer(u16),
    /// Not what the version's encoding can be.
    #[error("the raised budget does not decode: {0}")]
    Malformed(#[from] DecodeError),
}

/// What is stored: an enum, so that there can be others.
#[derive(Serialize, Deserialize)]
enum Stored {
    Raised(Raised),
}

/// The stream of all that is said about budgets.
///
/// # Panics
///
/// Never: `budgets` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("budgets").expect("`budgets` is a name")
}

/// Encodes an event.
#[must_use]
pub fn encode(raised: &Raised) -> Vec<u8> {
    codec::encode(&Stored::Raised(raised.clone()))
}

/// Decodes the event of one record.
///
/// # Errors
///
/// [`StoredError`].
pub fn decode(version: u16, bytes: &[u8]) -> Result<Raised, StoredError> {
    if version > EVENTS_VERSION {
        return Err(StoredError::Newer(version));
    }
    let Stored::Raised(raised) = codec::decode(bytes)?;
    Ok(raised)
}

/// What `raised` changes in the projections, where the account had been raised by `before`.
#[must_use]
pub fn project(raised: &Raised, before: Cost) -> (ProjectionKey, Option<Vec<u8>>) {
    let Raised { account, more, .. } = raised;
    let run = account.run.as_ref().map_or("", |run| run.as_str());
    let key = ProjectionKey::new(RAISED, format!("{}/{}/{run}", account.budget, account.period));
    let row = (account, before.plus(*more));
    (key, Some(serde_json::to_vec(&row).expect("an account is plain data")))
}
