//! One write and where it stands: the state machine of `effect.rs`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AfterFault, Outcome, Proposal, WriteEvent, after_fault};
use crate::{
    fault::{Fault, Phase},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    policy::{Judgement, Verdict},
    run::EffectRef,
    time::Timestamp,
};

/// A write and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// What is to happen, as last modified.
    pub proposal: Proposal,
    /// What policy said of it.
    pub judgement: Judgement,
    /// What was proposed, if the operator changed it since.
    pub original: Option<Payload>,
    /// Who decided what about it, in order: `approved by operator`.
    pub decisions: Vec<String>,
    /// The write of the same step that this one takes back.
    pub reverses: Option<EffectRef>,
    /// How often the operator had had its step tried again when it was proposed: a part of its key.
    pub generation: u32,
    /// Whether it was stopped because its step or its run had ended.
    pub stopped: bool,
    /// Whether it is put aside because a budget has no room for it.
    pub unfunded: bool,
    /// How often it has been put to the operator, counted from zero: the part of an inbox item's id that changes.
    pub round: u32,
    /// Attempts made.
    pub attempts: u32,
    /// When the first attempt was made.
    pub first_attempt_at: Option<Timestamp>,
    /// Since when it has been in line for its next attempt or probe: set when it is first parked, and kept until one is made.
    pub queued_at: Option<Timestamp>,
    /// The fault of an attempt that may have happened, as long as that is not known.
    pub doubt: Option<Fault>,
    /// Its place among what the run has done, counted from one, once it has landed: taking back goes the other way.
    pub order: u64,
    /// Why it cannot be taken back, once that was tried.
    pub uncompensated: Option<String>,
    /// Where it stands.
    pub state: WriteState,
}

/// Where a write stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WriteState {
    /// It waits for a decision.
    Asking {
        /// Since when.
        since: Timestamp,
        /// Until when.
        deadline: Option<Timestamp>,
        /// Who is to decide, if not the operator: a second one by name, or `agent:NAME`.
        assigned: Option<String>,
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
    /// It waits long for its next attempt or probe, and costs no memory meanwhile.
    Parked {
        /// Until when, if its connector does not call it before.
        until: Timestamp,
        /// Before then its connector does not call it: a search that lags behind finds nothing sooner.
        not_before: Timestamp,
        /// Why it waits.
        reason: String,
        /// For one that was to be probed: probes made. Until it is, it may have happened.
        probes: Option<u32>,
    },
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
        let state = WriteState::judged(&judgement, at);
        Self {
            proposal,
            judgement,
            original: None,
            decisions: vec![],
            reverses: None,
            generation: 0,
            stopped: false,
            unfunded: false,
            round: 0,
            attempts: 0,
            first_attempt_at: None,
            queued_at: None,
            doubt: None,
            order: 0,
            uncompensated: None,
            state,
        }
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
                self.original.get_or_insert_with(|| self.proposal.arguments.clone());
                self.put(proposal, judgement);
                match judgement.verdict {
                    // The operator has just said that this is what is to happen.
                    Verdict::Approve => State::Granted,
                    _ => State::judged(judgement, at),
                }
            }
            (State::Asking { .. }, Event::Reproposed { proposal, judgement }) => {
                self.put(proposal, judgement);
                State::judged(judgement, at)
            }
            (State::Asking { since, deadline, .. }, Event::Delegated { to, .. }) => {
                State::Asking { since: *since, deadline: *deadline, assigned: Some(to.clone()) }
            }
            (State::Asking { .. }, Event::Expired { approved: true }) => State::Granted,
            (State::Asking { .. }, Event::Expired { approved: false }) => {
                State::Settled(Outcome::Aborted { reason: "nobody decided in time".into() })
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
                self.landed(receipt.clone())
            }
            (State::Attempting, Event::Faulted { fault, next }) => {
                if fault.phase == Phase::MaybeSent {
                    self.doubt = Some(fault.clone());
                }
                next.state(fault, 0, at)
            }
            // Too long after an attempt that may have happened: the other side no longer knows its key.
            (State::Retrying { .. }, Event::Faulted { fault, next: next @ AfterFault::Ask })
                if self.doubt.is_some() =>
            {
                next.state(fault, 0, at)
            }
            (State::Probing { probes, .. }, Event::Faulted { fault, next }) => {
                next.state(fault, probes + 1, at)
            }
            (State::Probing { probes, .. }, Event::ProvenAbsent { next }) => {
                let probes = probes + 1;
                self.doubt = None;
                next.state(&after_fault::absent(), probes, at)
            }
            (State::Ambiguous { .. }, Event::Resolved { happened: true, by }) => {
                self.landed(by_word_of(by))
            }
            (State::Ambiguous { .. }, Event::Resolved { happened: false, .. }) => {
                self.doubt = None;
                State::Retrying { at }
            }
            // The wait before a retry is the kernel's own: its connector may call it sooner.
            (
                State::Granted | State::Retrying { .. },
                Event::Parked { until, reason } | Event::Unfunded { until, reason },
            ) => parked(*until, at, reason, None),
            // There was no room in a budget for a write that is to fail then. It has not happened.
            (
                State::Granted | State::Retrying { .. },
                Event::Faulted { fault, next: next @ AfterFault::Fail },
            ) if self.doubt.is_none() => next.state(fault, 0, at),
            (State::Probing { probes, at: due }, Event::Parked { until, reason }) => {
                parked(*until, *due, reason, Some(*probes))
            }
            (State::Parked { probes: None, not_before, .. }, Event::Unparked) => {
                State::Retrying { at: at.max(*not_before) }
            }
            (State::Parked { probes: Some(probes), not_before, .. }, Event::Unparked) => {
                State::Probing { at: at.max(*not_before), probes: *probes }
            }
            // What waits has not happened. What was to be tried again may have, and then only the operator can tell. What was
            // to be probed is not stopped: it is found out first.
            (
                State::Asking { .. }
                | State::Granted
                | State::Retrying { .. }
                | State::Parked { probes: None, .. },
                Event::Stopped { reason },
            ) => match &self.doubt {
                Some(fault) if !planted(Mutant::DoubtStopped) => {
                    State::Ambiguous { fault: fault.clone(), since: at }
                }
                _ => State::Settled(Outcome::Aborted { reason: reason.clone() }),
            },
            (state, event) => {
                return Err(IllegalWrite { event: event.kind(), state: state.word() });
            }
        };
        let again = matches!(next, State::Ambiguous { .. })
            || matches!(event, Event::Reproposed { .. } | Event::Delegated { .. });
        self.queued_at = match event {
            Event::Parked { .. } | Event::Unfunded { .. } => self.queued_at.or(Some(at)),
            Event::Unparked => self.queued_at,
            _ => None,
        };
        self.round += u32::from(again);
        self.stopped = matches!((&next, event), (State::Settled(_), Event::Stopped { .. }));
        self.unfunded = matches!(event, Event::Unfunded { .. });
        self.decisions.extend(event.decision());
        self.state = next;
        Ok(())
    }

    fn put(&mut self, proposal: &Proposal, judgement: &Judgement) {
        self.proposal = proposal.clone();
        self.judgement = judgement.clone();
    }

    fn landed(&mut self, receipt: Payload) -> WriteState {
        self.doubt = None;
        let modified = self.original.as_ref().map(|_| self.proposal.arguments.clone());
        WriteState::Settled(Outcome::Landed { receipt, modified })
    }

    /// What an approval is bound to: the exact bytes, what the connector declares, the labels, and what policy said. What is
    /// shown under this hash is what is sent.
    #[must_use]
    pub fn seal(&self) -> Digest {
        let Self { proposal, judgement, .. } = self;
        let labels = serde_json::to_string(&proposal.labels).expect("labels are plain data");
        let text = format!(
            "{}\n{}\n{labels}\n{}\n{}\n{}",
            proposal.digest, proposal.manifest, judgement.verdict, judgement.rule, judgement.reason
        );
        Digest::of(text.as_bytes())
    }

    /// The receipt, if it landed.
    #[must_use]
    pub fn receipt(&self) -> Option<&Payload> {
        match &self.state {
            WriteState::Settled(Outcome::Landed { receipt, .. }) => Some(receipt),
            _ => None,
        }
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
        matches!(
            self.state,
            WriteState::Attempting
                | WriteState::Probing { .. }
                | WriteState::Parked { probes: Some(_), .. }
        )
    }

    /// Whether it is put aside until its next attempt or probe.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        matches!(self.state, WriteState::Parked { .. })
    }

    /// Whether it is put aside and may go on at `now` if its connector calls it.
    #[must_use]
    pub fn may_be_called(&self, now: Timestamp) -> bool {
        matches!(self.state, WriteState::Parked { not_before, .. } if not_before <= now)
    }

    /// When it goes on by itself, if it is put aside.
    #[must_use]
    pub fn parked_until(&self) -> Option<Timestamp> {
        match self.state {
            WriteState::Parked { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether it waits for the operator.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        matches!(self.state, WriteState::Asking { .. } | WriteState::Ambiguous { .. })
    }
}

fn parked(
    until: Timestamp,
    not_before: Timestamp,
    reason: &str,
    probes: Option<u32>,
) -> WriteState {
    WriteState::Parked { until, not_before, reason: reason.to_owned(), probes }
}

fn by_word_of(by: &str) -> Payload {
    Payload::of(&BTreeMap::from([("confirmed_by", by)])).expect("a short text is a payload")
}

impl WriteState {
    /// Where a judgement puts a write.
    fn judged(judgement: &Judgement, at: Timestamp) -> Self {
        let Judgement { rule, reason, deadline, .. } = judgement;
        match judgement.verdict {
            Verdict::Allow => Self::Granted,
            Verdict::Approve if planted(Mutant::ApprovalNotAsked) => Self::Granted,
            Verdict::Shadow if planted(Mutant::ShadowIsSent) => Self::Granted,
            // What was to be redacted and was not is never sent unseen.
            Verdict::Approve | Verdict::Redact => Self::Asking {
                since: at,
                deadline: deadline.map(|deadline| at.after(deadline)),
                assigned: None,
            },
            Verdict::Deny => {
                Self::Settled(Outcome::Denied { rule: rule.clone(), reason: reason.clone() })
            }
            Verdict::Shadow => Self::Settled(Outcome::Shadowed { rule: rule.clone() }),
        }
    }

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
            Self::Parked { .. } => "parked",
        }
    }
}
