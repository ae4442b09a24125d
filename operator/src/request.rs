//! What can be asked.
//!
//! Nothing is decided by a question: what [`acts`](Request::acts) is a variant of its own and never the side effect of one
//! that reads. Whatever carries requests later, a page that is only looked at cannot decide.

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
    /// List the workflows, each in its newest version.
    Workflows,
    /// Show a workflow as it was added.
    Workflow {
        /// `NAME`, which is its newest version, or `NAME@VERSION`.
        workflow: String,
    },
    /// Show the policy as it was set.
    Policy {
        /// Which version; the one in force if absent.
        #[serde(default)]
        version: Option<u32>,
    },
    /// List the writes that were proposed, with what policy said of each, what was decided about it and what became of it.
    Decisions {
        /// Those that were proposed at this time or later, in milliseconds since 1970; all if absent.
        #[serde(default)]
        since_ms: Option<u64>,
        /// Those of one connector; of all if absent.
        #[serde(default)]
        connector: Option<String>,
    },
    /// Tell what another policy would have said of these writes. Nothing is changed by it.
    Backtest {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
        /// As in [`Request::Decisions`].
        #[serde(default)]
        since_ms: Option<u64>,
    },
    /// Propose rules that these decisions support. Nothing is changed by it.
    Suggest {
        /// As in [`Request::Decisions`].
        #[serde(default)]
        since_ms: Option<u64>,
        /// Fewest cases that a rule must rest on.
        min: usize,
        /// What may be left to a rule although it is risky: `new-places`, `untrusted`, `money`.
        #[serde(default)]
        also: Vec<String>,
    },
    /// Show what moving a run to another version of its workflow would change.
    Migration {
        /// The run.
        run: String,
        /// The version; the newest if absent.
        #[serde(default)]
        to: Option<u32>,
    },
    /// Show the live tree, and what lately happened in it.
    Tree,
    /// Tell whether the kernel is ready for work, and why not.
    Ready,
    /// Take no more work in, and wait until the runs rest.
    Drain {
        /// How long to wait, in seconds.
        seconds: u32,
    },
    /// Decide about a waiting item.
    Decide {
        /// Its id.
        item: String,
        /// What.
        decision: Decision,
        /// Who, if not the operator.
        #[serde(default)]
        by: Option<String>,
    },
    /// Change what a waiting item proposes, and let the changed write happen.
    Modify {
        /// Its id.
        item: String,
        /// The arguments that replace those of the same name.
        arguments: serde_json::Map<String, Value>,
        /// Who, if not the operator.
        #[serde(default)]
        by: Option<String>,
    },
    /// Start a run.
    Start {
        /// Of which workflow.
        workflow: String,
        /// Under which id; one that is made of the workflow and the input if absent, so that the same twice is one run.
        #[serde(default)]
        run: Option<String>,
        /// With what.
        input: Value,
    },
    /// Start a run for a goal.
    Pursue {
        /// The goal in words.
        goal: String,
        /// As in [`Request::Start`].
        #[serde(default)]
        run: Option<String>,
        /// With what.
        input: Value,
    },
    /// End a run, and take back what it did.
    AbortRun {
        /// Which.
        run: String,
        /// Why.
        reason: String,
    },
    /// Move a run to another version of its workflow.
    Migrate {
        /// Which.
        run: String,
        /// The version; the newest if absent.
        #[serde(default)]
        to: Option<u32>,
    },
    /// Take an event.
    Emit {
        /// Its type.
        event: String,
        /// Its id: the same one from the same source is the same event.
        id: String,
        /// Where it comes from.
        source: String,
        /// What it says.
        data: Value,
    },
    /// Add a workflow, or a new version of one.
    AddWorkflow {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
    },
    /// Judge by another policy from now on.
    SetPolicy {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
    },
}

impl Request {
    /// Whether it changes something.
    #[must_use]
    pub fn acts(&self) -> bool {
        match self {
            Self::Drain { .. }
            | Self::Decide { .. }
            | Self::Modify { .. }
            | Self::Start { .. }
            | Self::Pursue { .. }
            | Self::AbortRun { .. }
            | Self::Migrate { .. }
            | Self::Emit { .. }
            | Self::AddWorkflow { .. }
            | Self::SetPolicy { .. } => true,
            Self::Inbox
            | Self::InboxItem { .. }
            | Self::Runs
            | Self::Run { .. }
            | Self::Quarantined
            | Self::Facts { .. }
            | Self::Contacts { .. }
            | Self::Verify
            | Self::Workflows
            | Self::Workflow { .. }
            | Self::Policy { .. }
            | Self::Decisions { .. }
            | Self::Backtest { .. }
            | Self::Suggest { .. }
            | Self::Migration { .. }
            | Self::Tree
            | Self::Ready => false,
        }
    }

    /// Whether a journal does not answer it: it acts, or it asks what the kernel would do.
    #[must_use]
    pub fn needs_kernel(&self) -> bool {
        self.acts() || matches!(self, Self::Migration { .. }) || self.needs_server()
    }

    /// Whether it is about the kernel that is being served: one that is opened to answer it would tell of itself.
    #[must_use]
    pub fn needs_server(&self) -> bool {
        matches!(self, Self::Tree | Self::Ready | Self::Drain { .. })
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
