//! What can go wrong with a call to the outside, and what is known about it.
//!
//! The phase is the point: "failed before the write" and "failed after" are never confused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How far a call got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No byte of the request can have been acted on.
    NotSent,
    /// The request left, and nothing is known of its fate.
    MaybeSent,
    /// The other side answered; the answer says what happened.
    Answered,
}

/// The kind of a fault: it decides whether the call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// The other side could not be reached, or failed in a way that passes.
    Transient,
    /// The other side asks to be called less often.
    Throttled,
    /// The credential is not accepted.
    Auth,
    /// The other side understood and refused, and would refuse again.
    Declined,
    /// The request is wrong, and would be wrong again.
    Invalid,
    /// The call did not end within its deadline.
    Deadline,
    /// The process or the actor died while the call was under way.
    Crash,
    /// A panic, or an answer that cannot be: a defect of the connector.
    Bug,
    /// A budget has no room for the call.
    OverBudget,
}

impl FaultClass {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Transient | Self::Throttled | Self::Deadline | Self::Crash => true,
            Self::Auth | Self::Declined | Self::Invalid | Self::Bug | Self::OverBudget => false,
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient failure",
            Self::Throttled => "throttled",
            Self::Auth => "credential refused",
            Self::Declined => "declined",
            Self::Invalid => "invalid request",
            Self::Deadline => "deadline passed",
            Self::Crash => "crashed in mid-call",
            Self::Bug => "defect",
            Self::OverBudget => "over budget",
        })
    }
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub class: FaultClass,
    /// How far the call got.
    pub phase: Phase,
    /// What happened, for a person: the evidence, the other side's own words where there are any.
    pub message: String,
    /// When the other side asked to be called again, if it did.
    pub retry_at: Option<Timestamp>,
}

impl Fault {
    /// A fault without a hint when to try again.
    #[must_use]
    pub fn new(class: FaultClass, phase: Phase, message: impl Into<String>) -> Self {
        Self { class, phase, message: message.into(), retry_at: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::NotSent => "before anything was sent",
            Phase::MaybeSent => "after it may have been sent",
            Phase::Answered => "by the other side's answer",
        };
        write!(f, "{} {phase}: {}", self.class, self.message)
    }
}
