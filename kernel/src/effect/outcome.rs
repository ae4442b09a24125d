//! How a write ends, as agents and expressions read it.

use serde::{Deserialize, Serialize};

use crate::{fault::Fault, payload::Payload};

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It happened.
    Landed {
        /// The connector's receipt, or the operator's word.
        receipt: Payload,
        /// The arguments it happened with, if the operator changed them: an agent that sees this need not ask again.
        modified: Option<Payload>,
    },
    /// Policy denied it.
    Denied {
        /// The rule.
        rule: String,
        /// Its reason.
        reason: String,
    },
    /// The operator turned it down, or its run ended before it was attempted.
    Aborted {
        /// Why.
        reason: String,
    },
    /// It did not happen, and trying again would not help.
    Failed {
        /// The last fault.
        fault: Fault,
    },
    /// Policy had it recorded and not made.
    Shadowed {
        /// The rule.
        rule: String,
    },
}

impl Outcome {
    /// The outcome in a word, as expressions and agents read it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Landed { .. } => "landed",
            Self::Denied { .. } => "denied",
            Self::Aborted { .. } => "aborted",
            Self::Failed { .. } => "failed",
            Self::Shadowed { .. } => "shadowed",
        }
    }

    /// Whether it happened.
    #[must_use]
    pub fn is_landed(&self) -> bool {
        matches!(self, Self::Landed { .. })
    }

    /// The outcome as the output of a `call` step: `{ "outcome": "landed", "receipt": …, "reason": …, "modified": … }`.
    #[must_use]
    pub fn payload(&self) -> Payload {
        #[derive(Serialize)]
        struct View<'a> {
            outcome: &'a str,
            receipt: Option<serde_json::Value>,
            reason: Option<String>,
            modified: Option<serde_json::Value>,
        }
        let mut view = View { outcome: self.word(), receipt: None, reason: None, modified: None };
        match self {
            Self::Landed { receipt, modified } => {
                view.receipt = Some(receipt.value());
                view.modified = modified.as_ref().map(Payload::value);
            }
            Self::Denied { rule, reason } => {
                view.reason = Some(format!("{reason} (rule `{rule}`)"))
            }
            Self::Aborted { reason } => view.reason = Some(reason.clone()),
            Self::Failed { fault } => view.reason = Some(fault.to_string()),
            Self::Shadowed { rule } => {
                view.reason = Some(format!("it was recorded and not made (rule `{rule}`)"));
            }
        }
        Payload::of(&view).unwrap_or_else(|_| Payload::null())
    }
}
