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
//!     │           │ Aborted                 ┌─────────────────┼────────────────┬──────────► Settled (failed)
//!     │ deny      ▼                         ▼                 ▼                ▼
//!     └──────► Settled                  Retrying           Probing         Ambiguous ──Resolved──► Settled | Retrying
//! ```

mod after_fault;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use after_fault::{AfterFault, PROBES_MAX, Standing, after_absence, after_fault, after_probe};

use crate::{
    fault::Fault,
    id::{ConnectorName, OperationName},
    payload::{Digest, Payload},
    policy::{Judgement, Verdict},
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

/// A write that an agent, a step or the operator wants to happen, planned to the byte.
#[derive(Clone, Debug, PartialEq)]
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
}

/// A write and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// What is to happen, as last modified.
    pub proposal: Proposal,
    /// What policy said of it.
    pub judgement: Judgement,
    /// How often it has been put to the operator, counted from zero: the part of an inbox item's id that changes.
    pub round: u32,
    /// Attempts made.
    pub attempts: u32,
    /// When the first attempt was made.
    pub first_attempt_at: Option<Timestamp>,
    /// Where it stands.
    pub state: WriteState,
}

/// Where a write stands.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteState {
    /// It waits for the operator's decision.
    Asking {
        /// Since when.
        since: Timestamp,
    },
    /// It may be attempted.
    Granted,
    /// An attempt is under way.
    Attempting,
    /// Another attempt is due.
    Retrying {
        /// From when.
        at: Timestamp,
    },
    /// The other side is to be asked whether it happened.
    Probing {
        /// From when.
        at: Timestamp,
        /// Probes made.
        probes: u32,
    },
    /// It may have happened, nothing can tell, and the operator is asked.
    Ambiguous {
        /// The evidence.
        fault: Fault,
        /// Since when.
        since: Timestamp,
    },
    /// It is over.
    Settled(Outcome),
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It happened.
    Landed {
        /// The connector's receipt, or the operator's word.
        receipt: Payload,
    },
    /// Policy denied it.
    Denied {
        /// The rule.
        rule: String,
        /// Its reason.
        reason: String,
    },
    /// The operator turned it down.
    Aborted {
        /// Why.
        reason: String,
    },
    /// It did not happen, and trying again would not help.
    Failed {
        /// The last fault.
        fault: Fault,
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
        }
    }

    /// The outcome as the output of a `call` step: `{ "outcome": "landed", "receipt": … }`.
    #[must_use]
    pub fn payload(&self) -> Payload {
        #[derive(Serialize)]
        struct View<'a> {
            outcome: &'a str,
            receipt: Option<serde_json::Value>,
            reason: Option<String>,
        }
        let (receipt, reason) = match self {
            Self::Landed { receipt } => (Some(receipt.value()), None),
            Self::Denied { rule, reason } => (None, Some(format!("{reason} (rule `{rule}`)"))),
            Self::Aborted { reason } => (None, Some(reason.clone())),
            Self::Failed { fault } => (None, Some(fault.to_string())),
        };
        Payload::of(&View { outcome: self.word(), receipt, reason })
            .unwrap_or_else(|_| Payload::null())
    }
}

/// An event that cannot follow the state it was applied to: while running a defect, while recovering a damaged journal.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("event {event} cannot follow a write that is {state}")]
pub struct IllegalWrite {
    /// The event.
    pub event: &'static str,
    /// The state.
    pub state: &'static str,
}

impl Write {
    /// The write that [`WriteEvent::Proposed`] begins.
    #[must_use]
    pub fn proposed(proposal: Proposal, judgement: Judgement, at: Timestamp) -> Self {
        let state = match judgement.verdict {
            Verdict::Allow => WriteState::Granted,
            Verdict::Approve => WriteState::Asking { since: at },
            Verdict::Deny => WriteState::Settled(Outcome::Denied {
                rule: judgement.rule.clone(),
                reason: judgement.reason.clone(),
            }),
        };
        Self { proposal, judgement, round: 0, attempts: 0, first_attempt_at: None, state }
    }

    /// Folds `event`, which happened at `at`, into the write. This match is the specification: a line for each legal
    /// transition, and a last arm that rejects the rest.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if `event` cannot follow this state.
    pub fn apply(&mut self, event: &WriteEvent, at: Timestamp) -> Result<(), IllegalWrite> {
        use {WriteEvent as Event, WriteState as State};
        let next = match (&self.state, event) {
            (State::Asking { .. }, Event::Approved { .. }) => State::Granted,
            (State::Asking { .. }, Event::Modified { proposal, judgement, .. }) => {
                self.proposal = (**proposal).clone();
                self.judgement = judgement.clone();
                State::Granted
            }
            (State::Asking { .. } | State::Ambiguous { .. }, Event::Aborted { reason, .. }) => {
                State::Settled(Outcome::Aborted { reason: reason.clone() })
            }
            (State::Granted | State::Retrying { .. }, Event::Attempted { attempt })
                if *attempt == self.attempts + 1 =>
            {
                self.attempts = *attempt;
                self.first_attempt_at = self.first_attempt_at.or(Some(at));
                State::Attempting
            }
            (State::Attempting | State::Probing { .. }, Event::Landed { receipt }) => {
                State::Settled(Outcome::Landed { receipt: receipt.clone() })
            }
            (State::Attempting, Event::Faulted { fault, next }) => next.state(fault, 0, at),
            (State::Probing { probes, .. }, Event::Faulted { fault, next }) => {
                next.state(fault, probes + 1, at)
            }
            (State::Probing { probes, .. }, Event::ProvenAbsent { next }) => {
                next.state(&after_fault::absent(), probes + 1, at)
            }
            (State::Ambiguous { .. }, Event::Resolved { happened: true, by }) => {
                State::Settled(Outcome::Landed { receipt: by_word_of(by) })
            }
            (State::Ambiguous { .. }, Event::Resolved { happened: false, .. }) => {
                State::Retrying { at }
            }
            (state, event) => {
                return Err(IllegalWrite { event: event.kind(), state: state.word() });
            }
        };
        if matches!(next, State::Ambiguous { .. }) {
            self.round += 1;
        }
        self.state = next;
        Ok(())
    }

    /// How long ago the first attempt was, for keys that expire.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        self.first_attempt_at.map_or(Duration::ZERO, |first| first.until(now))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.state, WriteState::Settled(_))
    }

    /// Whether an attempt is under way, or it is being found out what became of one.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, WriteState::Attempting | WriteState::Probing { .. })
    }

    /// Whether it waits for the operator.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        matches!(self.state, WriteState::Asking { .. } | WriteState::Ambiguous { .. })
    }
}

fn by_word_of(by: &str) -> Payload {
    Payload::of(&BTreeMap::from([("confirmed_by", by)])).expect("a short text is a payload")
}

impl WriteEvent {
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
        }
    }
}

impl WriteState {
    /// The state in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Asking { .. } => "asking",
            Self::Granted => "granted",
            Self::Attempting => "attempting",
            Self::Retrying { .. } => "retrying",
            Self::Probing { .. } => "probing",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Settled(_) => "settled",
        }
    }
}

/// What an operator may do with a waiting write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Let it happen exactly as shown.
    Approve,
    /// Turn it down.
    Abort {
        /// Why; the agent sees it.
        reason: String,
    },
    /// Say whether an ambiguous write happened.
    Resolve {
        /// Whether it did. If not, it is tried again.
        happened: bool,
    },
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fault::{FaultClass, Phase};

    const NOW: Timestamp = Timestamp(1_000);

    pub(crate) fn proposal(to: &str) -> Proposal {
        Proposal {
            connector: "mail".parse().unwrap(),
            operation: "send".parse().unwrap(),
            arguments: Payload::of(&BTreeMap::from([("to", to)])).unwrap(),
            routing: BTreeMap::from([("to".to_owned(), to.to_owned())]),
            preview: format!("To: {to}"),
            digest: Digest::of(to.as_bytes()),
            at: NOW,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
        }
    }

    fn judgement(verdict: Verdict) -> Judgement {
        Judgement { verdict, rule: "r".into(), reason: "because".into() }
    }

    fn fault() -> Fault {
        Fault::new(FaultClass::Transient, Phase::MaybeSent, "reset")
    }

    fn states() -> Vec<WriteState> {
        vec![
            WriteState::Asking { since: NOW },
            WriteState::Granted,
            WriteState::Attempting,
            WriteState::Retrying { at: NOW },
            WriteState::Probing { at: NOW, probes: 0 },
            WriteState::Ambiguous { fault: fault(), since: NOW },
            WriteState::Settled(Outcome::Landed { receipt: Payload::null() }),
        ]
    }

    fn events() -> Vec<WriteEvent> {
        let (proposal, judgement) = (Box::new(proposal("a@b.example")), judgement(Verdict::Allow));
        vec![
            WriteEvent::Proposed { proposal: proposal.clone(), judgement: judgement.clone() },
            WriteEvent::Approved { by: "me".into() },
            WriteEvent::Modified { by: "me".into(), proposal, judgement },
            WriteEvent::Aborted { by: "me".into(), reason: "no".into() },
            WriteEvent::Attempted { attempt: 1 },
            WriteEvent::Landed { receipt: Payload::null() },
            WriteEvent::Faulted { fault: fault(), next: AfterFault::Ask },
            WriteEvent::ProvenAbsent { next: AfterFault::Retry { at: NOW } },
            WriteEvent::Resolved { by: "me".into(), happened: true },
        ]
    }

    /// Every pair of state and event, so that a new variant cannot fall into the last arm unnoticed.
    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        let mut legal = String::new();
        for state in states() {
            for event in events() {
                let mut write =
                    Write::proposed(proposal("a@b.example"), judgement(Verdict::Approve), NOW);
                write.state = state.clone();
                let before = write.clone();
                match write.apply(&event, NOW) {
                    Ok(()) => {
                        let line = format!(
                            "{} + {} → {}\n",
                            state.word(),
                            event.kind(),
                            write.state.word()
                        );
                        legal.push_str(&line);
                    }
                    Err(_) => assert_eq!(write, before, "a rejected event changes nothing"),
                }
            }
        }
        expect_test::expect![[r#"
            asking + write.approved → granted
            asking + write.modified → granted
            asking + write.aborted → settled
            granted + write.attempted → attempting
            attempting + write.landed → settled
            attempting + write.faulted → ambiguous
            retrying + write.attempted → attempting
            probing + write.landed → settled
            probing + write.faulted → ambiguous
            probing + write.proven_absent → retrying
            ambiguous + write.aborted → settled
            ambiguous + write.resolved → settled
        "#]]
        .assert_eq(&legal);
    }

    #[test]
    fn a_denied_proposal_is_settled_at_once() {
        let write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Deny), NOW);
        assert!(matches!(write.state, WriteState::Settled(Outcome::Denied { .. })));
    }

    #[test]
    fn attempts_are_counted_without_gaps() {
        let mut write = Write::proposed(proposal("a@b.example"), judgement(Verdict::Allow), NOW);
        assert!(write.apply(&WriteEvent::Attempted { attempt: 2 }, NOW).is_err());
        write.apply(&WriteEvent::Attempted { attempt: 1 }, NOW).unwrap();
        assert_eq!((write.attempts, write.first_attempt_at), (1, Some(NOW)));
    }
}
