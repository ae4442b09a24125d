//! Writes: the façade between what an agent wants and what the world sees.
//!
//! An agent never writes. It proposes; policy judges; where policy says so, the operator is asked; the intent is journaled
//! and fsynced; only then one attempt is made. What an answer means, and above all what no answer means, follows from the
//! connector's declared [`WriteSemantics`]: [`after_fault`] is that table.
//!
//! ```text
//!  Proposed ──allow──────────────► Granted ──Attempted──► Attempting ──Landed──► Settled
//!     │ approve          Approved    ▲                        │
//!     └──────► Asking ───────────────┘                     Faulted
//!     │           │ Aborted, Expired        ┌─────────────────┼────────────────┬──────────► Settled (failed)
//!     │ deny,     ▼                         ▼                 ▼                ▼
//!     └─shadow─► Settled                Retrying           Probing         Ambiguous ──Resolved──► Settled | Retrying
//! ```
//!
//! *Reproposed* puts an asking write before policy again, because policy or the connector has changed since it was shown.
//! *Stopped* ends what is not under way, because the run has ended. A write that takes an earlier one back goes the same way.
//! *Parked* puts aside what would wait long for its next attempt or probe, so that its run can leave memory, and *Unfunded*
//! what a budget has no room for; *Unparked* has it go on where it was, and it keeps its place in line.

mod after_fault;
mod decision;
mod outcome;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use after_fault::{AfterFault, PROBES_MAX, Standing, after_absence, after_fault, after_probe};
pub use decision::{Choice, Decision};
pub use outcome::Outcome;
pub use write::{IllegalWrite, Write, WriteState};

use crate::{
    fault::Fault,
    id::{ConnectorName, OperationName},
    labels::Labels,
    payload::{Digest, Payload},
    policy::Judgement,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

/// A write that an agent, a step or the operator wants to happen, planned to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Through which connector.
    pub connector: ConnectorName,
    /// What is asked of it.
    pub operation: OperationName,
    /// With what.
    pub arguments: Payload,
    /// Where it would go: the arguments with the role `Routing`.
    pub routing: BTreeMap<String, String>,
    /// What the operator is shown.
    pub preview: String,
    /// The hash of the exact plan: an approval is bound to it.
    pub digest: Digest,
    /// When it was proposed: the only time its bytes may hold.
    pub at: Timestamp,
    /// What the connector declares of the operation.
    pub semantics: WriteSemantics,
    /// How it can be taken back.
    pub reversal: Reversal,
    /// The labels of each argument. One that is not named here has the strictest.
    pub labels: BTreeMap<String, Labels>,
    /// The hash of what the connector declares of the operation.
    pub manifest: Digest,
    /// The rules that had the arguments redacted before they were planned.
    pub redacted: Vec<String>,
}

/// What happened to a write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteEvent {
    /// It was proposed and judged.
    Proposed {
        /// What.
        proposal: Box<Proposal>,
        /// What policy said.
        judgement: Judgement,
    },
    /// The operator approved exactly what was shown.
    Approved {
        /// Who.
        by: String,
    },
    /// The operator changed it; the change was judged again, and stands approved.
    Modified {
        /// Who.
        by: String,
        /// What it is now.
        proposal: Box<Proposal>,
        /// What policy said of the change.
        judgement: Judgement,
    },
    /// The operator turned it down.
    Aborted {
        /// Who.
        by: String,
        /// Why; the agent sees it.
        reason: String,
    },
    /// The intent: an attempt is about to be made. Fsynced before the first byte leaves.
    Attempted {
        /// Counted from one.
        attempt: u32,
    },
    /// It happened.
    Landed {
        /// The connector's receipt.
        receipt: Payload,
    },
    /// An attempt or a probe did not end well.
    Faulted {
        /// How.
        fault: Fault,
        /// What is done about it.
        next: AfterFault,
    },
    /// A probe proved that the write is not there.
    ProvenAbsent {
        /// What is done about it.
        next: AfterFault,
    },
    /// The operator said what became of an ambiguous write.
    Resolved {
        /// Who.
        by: String,
        /// Whether it happened. If not, it is tried again.
        happened: bool,
    },
    /// Policy or the connector has changed since it was shown, so it is judged again, in a new round.
    Reproposed {
        /// What would be sent now.
        proposal: Box<Proposal>,
        /// What policy says now.
        judgement: Judgement,
    },
    /// The operator gave the decision to someone else.
    Delegated {
        /// Who.
        by: String,
        /// To whom: a second operator, or `agent:NAME`.
        to: String,
    },
    /// Nobody decided before the deadline.
    Expired {
        /// Whether it counts as approved; if not, it is turned down.
        approved: bool,
    },
    /// The run has ended, or takes back what it did: no attempt is begun any more.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Its next attempt or probe is far away: it is put aside until then.
    Parked {
        /// Until when, if its connector does not call it before.
        until: Timestamp,
        /// Why it waits.
        reason: String,
    },
    /// It waited long enough, or its connector has called it: it goes on.
    Unparked,
    /// There is no room in a budget for its next attempt: it is put aside until there may be.
    Unfunded {
        /// Until when, if the budget is not raised before.
        until: Timestamp,
        /// Which budget has no room.
        reason: String,
    },
}

impl WriteEvent {
    /// The event as a decision of someone, if it is one.
    fn decision(&self) -> Option<String> {
        Some(match self {
            Self::Approved { by } => format!("approved by {by}"),
            Self::Modified { by, .. } => format!("changed by {by}"),
            Self::Aborted { by, reason } => format!("turned down by {by}: {reason}"),
            Self::Resolved { by, happened: true } => format!("{by} said that it happened"),
            Self::Resolved { by, happened: false } => format!("{by} said that it did not happen"),
            Self::Delegated { by, to } => format!("given to {to} by {by}"),
            Self::Expired { approved: true } => "approved by its deadline".into(),
            Self::Expired { approved: false } => "turned down by its deadline".into(),
            _ => return None,
        })
    }

    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Proposed { .. } => "write.proposed",
            Self::Approved { .. } => "write.approved",
            Self::Modified { .. } => "write.modified",
            Self::Aborted { .. } => "write.aborted",
            Self::Attempted { .. } => "write.attempted",
            Self::Landed { .. } => "write.landed",
            Self::Faulted { .. } => "write.faulted",
            Self::ProvenAbsent { .. } => "write.proven_absent",
            Self::Resolved { .. } => "write.resolved",
            Self::Reproposed { .. } => "write.reproposed",
            Self::Delegated { .. } => "write.delegated",
            Self::Expired { .. } => "write.expired",
            Self::Stopped { .. } => "write.stopped",
            Self::Parked { .. } => "write.parked",
            Self::Unparked => "write.unparked",
            Self::Unfunded { .. } => "write.unfunded",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
