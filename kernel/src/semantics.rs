//! What a connector declares about a write, and what an ambiguous answer therefore means.
//!
//! Exactly-once is claimed where it is true and never elsewhere: what may be repeated, checked or neither is declared per
//! operation, and `effect.rs` acts on the declaration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::OperationName;

/// How a write behaves when it is not known whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteSemantics {
    /// The other side remembers the idempotency key: the same key and bytes again have no second effect within `ttl`.
    Keyed {
        /// How long the other side remembers a key.
        ttl: Duration,
    },
    /// The record carries a name of its own that can be looked up: it landed, or it may be tried again.
    NaturalKey,
    /// A marker in the record can be searched for, once `visibility_lag` has passed.
    Searchable {
        /// How long after a write the search may still miss it.
        visibility_lag: Duration,
    },
    /// Nothing can be known afterwards. It is never repeated by itself: the operator decides.
    Opaque,
    /// The write names the state it changes (an ETag, a timestamp): if that is no longer the state, reading it again tells
    /// whether the write landed, or the other side refuses the repeat by itself.
    Conditional,
}

/// Whether a key that was first used `age` ago, and that the other side remembers for `ttl`, is still remembered for certain.
/// A tenth is kept in reserve: where a clock that was put back is caught up with, time passes that much slower.
#[must_use]
pub fn remembers(ttl: Duration, age: Duration) -> bool {
    age < ttl - ttl / 10
}

/// How a landed write can be taken back. Known before it is made, and shown with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversal {
    /// It cannot. A mail that has left has left.
    Irreversible,
    /// This operation makes it as if it had not been: a draft is deleted.
    Undo(OperationName),
    /// This operation balances it, and both stay on record: a payment is refunded.
    Counter(OperationName),
}

/// Whether an argument says where a write goes or what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentRole {
    /// Recipient, URL, account, amount, path: what an attacker would want to change.
    Routing,
    /// Everything else.
    Content,
}
