//! One write on its way from its proposal to what became of it, and its case meanwhile.

use super::Moment;
use crate::{
    decisions::{Answer, Case, Fate, Hearing, Said, Word, edits},
    effect::{Outcome, Proposal, Write, WriteEvent, WriteState},
    id::{EffectId, InboxId},
    time::Timestamp,
};

/// A write, and its case so far.
pub(super) struct Open {
    pub(super) case: Case,
    pub(super) write: Write,
    pub(super) asked_at: Option<Timestamp>,
}

impl Open {
    pub(super) fn last(&self) -> &Proposal {
        &self.case.hearings.last().expect("a case begins with a judgement").proposal
    }

    /// The item under which it waits now.
    pub(super) fn item(&self) -> Option<InboxId> {
        let kind = match self.write.state {
            WriteState::Asking { .. } => "approval",
            WriteState::Ambiguous { .. } => "ambiguous",
            _ => return None,
        };
        let Case { run, step, effect, .. } = &self.case;
        let id = EffectId {
            run: run.clone(),
            step: step.clone(),
            name: effect.name.clone(),
            occurrence: effect.occurrence,
        };
        let key = id.key_of(self.write.generation);
        Some(key.inbox_id(kind, self.write.round, self.write.seal()))
    }

    /// Policy has judged it, which `write` has taken in.
    pub(super) fn heard(&mut self, hearing: Hearing, at: Timestamp) {
        let asks = matches!(self.write.state, WriteState::Asking { .. });
        if asks {
            self.asked_at.get_or_insert(at);
            self.case.answer = Answer::Waiting;
        } else if self.case.answer == Answer::Waiting {
            self.answered(Answer::Overruled, at);
        }
        let item = self.item().filter(|_| asks);
        self.case.hearings.push(Hearing { item, ..hearing });
    }

    pub(super) fn answered(&mut self, answer: Answer, at: Timestamp) {
        self.case.answer = answer;
        self.case.waited = self.asked_at.map(|asked| asked.until(at));
    }

    /// Something was said, which `write` has not taken in yet.
    pub(super) fn said(
        &mut self,
        at: Moment<'_>,
        item: Option<InboxId>,
        by: Option<String>,
        event: &WriteEvent,
    ) {
        let asking = matches!(self.write.state, WriteState::Asking { .. });
        let (what, answer) = match event {
            WriteEvent::Approved { .. } => (Word::Approved, Some(Answer::Approved)),
            WriteEvent::Modified { proposal, .. } => {
                let edit = edits(&self.last().arguments.value(), &proposal.arguments.value());
                (Word::Modified { edit }, Some(Answer::Edited))
            }
            WriteEvent::Aborted { reason, .. } => {
                (Word::Aborted { reason: reason.clone() }, Some(Answer::TurnedDown))
            }
            WriteEvent::Resolved { happened, .. } => (Word::Resolved { happened: *happened }, None),
            WriteEvent::Delegated { to, .. } => (Word::Delegated { to: to.clone() }, None),
            WriteEvent::Expired { approved } => {
                let lapsed = if *approved { Answer::LapsedApproved } else { Answer::LapsedRefused };
                (Word::Expired { approved: *approved }, Some(lapsed))
            }
            WriteEvent::Stopped { reason } if asking => {
                (Word::Stopped { reason: reason.clone() }, Some(Answer::Dropped))
            }
            WriteEvent::Proposed { .. }
            | WriteEvent::Attempted { .. }
            | WriteEvent::Landed { .. }
            | WriteEvent::Faulted { .. }
            | WriteEvent::ProvenAbsent { .. }
            | WriteEvent::Reproposed { .. }
            | WriteEvent::Stopped { .. }
            | WriteEvent::Parked { .. }
            | WriteEvent::Unparked
            | WriteEvent::Unfunded { .. } => return,
        };
        self.case.said.push(Said { seq: at.seq, at: at.at, item, by, what });
        // What is said of a write that may have happened is no answer to whether it may.
        if let Some(answer) = answer.filter(|_| asking) {
            self.answered(answer, at.at);
        }
    }

    /// The case, with what has become of its write so far.
    pub(super) fn close(self) -> Case {
        let (fate, why) = match self.write.state {
            WriteState::Asking { .. } => (Fate::Waiting, None),
            WriteState::Granted
            | WriteState::Attempting
            | WriteState::Retrying { .. }
            | WriteState::Probing { .. } => (Fate::UnderWay, None),
            WriteState::Parked { reason, .. } => (Fate::UnderWay, Some(reason)),
            WriteState::Ambiguous { fault, .. } => (Fate::InDoubt, Some(fault.to_string())),
            WriteState::Settled(outcome) => match outcome {
                Outcome::Landed { .. } => (Fate::Landed, None),
                Outcome::Denied { reason, .. } => (Fate::Denied, Some(reason)),
                Outcome::Aborted { reason } => (Fate::Aborted, Some(reason)),
                Outcome::Failed { fault } => (Fate::Failed, Some(fault.to_string())),
                Outcome::Shadowed { .. } => (Fate::Shadowed, None),
            },
        };
        Case { fate, why, ..self.case }
    }
}
