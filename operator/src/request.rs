//! What can be asked.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use soloist_kernel::effect::Decision;
use thiserror::Error;

/// A question or a decision of the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// List what waits.
    Inbox,
    /// Show one waiting item.
    InboxItem {
        /// Its id.
        item: String,
    },
    /// List the runs.
    Runs,
    /// Show a run with its history.
    Run {
        /// Its id.
        run: String,
    },
    /// List what could not be read.
    Quarantined,
    /// Show what is known about a contact.
    Facts {
        /// The system that knows the contact: `mail`.
        system: String,
        /// The contact's id there: an address.
        external: String,
    },
    /// Find contacts by what their name is like.
    Contacts {
        /// A name, or a part of one, misspelt or not.
        like: String,
    },
    /// Check the journal's hash chain from its first record to its last.
    Verify,
    /// Decide about a waiting item.
    Decide {
        /// Its id.
        item: String,
        /// What.
        decision: Decision,
    },
    /// Change what a waiting item proposes, and let the changed write happen.
    Modify {
        /// Its id.
        item: String,
        /// The arguments that replace those of the same name.
        arguments: serde_json::Map<String, Value>,
    },
}

impl Request {
    /// Whether it changes something, and therefore needs a running kernel.
    #[must_use]
    pub fn acts(&self) -> bool {
        match self {
            Self::Decide { .. } | Self::Modify { .. } => true,
            Self::Inbox
            | Self::InboxItem { .. }
            | Self::Runs
            | Self::Run { .. }
            | Self::Quarantined
            | Self::Facts { .. }
            | Self::Contacts { .. }
            | Self::Verify => false,
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[error("{message}")]
pub struct Problem {
    /// What was wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem that says `message`.
    #[must_use]
    pub fn new(message: impl ToString) -> Self {
        Self { message: message.to_string() }
    }
}
