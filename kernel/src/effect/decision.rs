//! What an operator may say to something that waits.

use serde::{Deserialize, Serialize};

/// What an operator says to a waiting item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Let a write happen exactly as shown, or say yes to a step that asks.
    Approve,
    /// Turn a write or a step that asks down; dismiss an incident.
    Abort {
        /// Why; the agent sees it.
        reason: String,
    },
    /// Say whether an ambiguous write happened.
    Resolve {
        /// Whether it did. If not, it is tried again.
        happened: bool,
    },
    /// Answer a question.
    Answer {
        /// With what: one of the choices, where there are any.
        value: serde_json::Value,
    },
    /// Give the decision to someone else.
    Delegate {
        /// A second operator by name, or `agent:NAME`.
        to: String,
    },
    /// Try a step again that waits after its failure, or let a run go on that was set aside.
    Retry,
    /// Go on after a failed step, with this as its output.
    GoOn {
        /// The output.
        output: serde_json::Value,
    },
    /// Fail the run of a step that waits after its failure.
    Fail,
    /// Take back what the run did.
    Compensate,
}

/// A decision that fits an item, as it is shown: the word that `soloist inbox` takes, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredChoice")]
pub struct Choice {
    /// The word: `approve`.
    pub word: String,
    /// What comes of it.
    pub effect: String,
}

/// A choice as it is stored: items of earlier versions have the word alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredChoice {
    Word(String),
    Choice { word: String, effect: String },
}

impl From<StoredChoice> for Choice {
    fn from(stored: StoredChoice) -> Self {
        match stored {
            StoredChoice::Word(word) => Self { word, effect: String::new() },
            StoredChoice::Choice { word, effect } => Self { word, effect },
        }
    }
}

impl Choice {
    /// A choice of `word`.
    #[must_use]
    pub fn new(word: &str, effect: impl Into<String>) -> Self {
        Self { word: word.into(), effect: effect.into() }
    }
}

impl Decision {
    /// The decision in a word, as the record and the command line have it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Abort { .. } => "abort",
            Self::Resolve { .. } => "resolve",
            Self::Answer { .. } => "answer",
            Self::Delegate { .. } => "delegate",
            Self::Retry => "retry",
            Self::GoOn { .. } => "go-on",
            Self::Fail => "fail",
            Self::Compensate => "compensate",
        }
    }
}
