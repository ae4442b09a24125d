//! A write as the journal tells it: what may follow what.

use std::collections::BTreeMap;

use soloist_kernel::{
    effect::{Proposal, WriteEvent},
    fault::{FaultClass, Phase},
    id::{ConnectorName, EffectId, RunId},
    journal::Seq,
    payload::Digest,
    policy::{Judgement, Verdict},
    semantics::WriteSemantics,
    time::Timestamp,
};

use super::journal::Problem;
use crate::world::State;

/// A record that is looked at: its place, its time, and the world, if that can be asked.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) seq: Seq,
    pub(super) at: Timestamp,
    pub(super) state: Option<&'a State>,
}

/// A write as the journal knows it.
pub(crate) struct Known {
    pub(super) run: RunId,
    pub(super) connector: ConnectorName,
    granted: bool,
    pub(crate) semantics: WriteSemantics,
    /// Of the bytes that were judged last.
    pub(crate) digest: Digest,
    pub(crate) attempts: BTreeMap<u32, (Seq, Timestamp)>,
    /// Whether an attempt is under way.
    open: bool,
    /// Whether an attempt that is over may have happened and nobody has found out since.
    doubt: bool,
    /// Until when it can be decided, while it can be.
    deadline: Option<Timestamp>,
    /// Whether it is approved if nobody decides.
    approved_by_silence: bool,
}

impl Known {
    pub(super) fn proposed(
        run: &RunId,
        at: Timestamp,
        proposal: &Proposal,
        judgement: &Judgement,
    ) -> Self {
        let mut known = Self {
            run: run.clone(),
            connector: proposal.connector.clone(),
            granted: false,
            semantics: proposal.semantics,
            digest: proposal.digest,
            attempts: BTreeMap::new(),
            open: false,
            doubt: false,
            deadline: None,
            approved_by_silence: false,
        };
        known.judged(at, proposal, judgement);
        known
    }

    fn judged(&mut self, at: Timestamp, proposal: &Proposal, judgement: &Judgement) {
        self.granted = judgement.verdict == Verdict::Allow;
        self.digest = proposal.digest;
        let asks = matches!(judgement.verdict, Verdict::Approve | Verdict::Redact);
        self.deadline = judgement.deadline.filter(|_| asks).map(|deadline| at.after(deadline));
        self.approved_by_silence = judgement.approved_at_deadline;
    }

    /// What follows in the record of `moment`, for the effect `id` under `key`.
    pub(super) fn follows(
        &mut self,
        id: &EffectId,
        key: &str,
        moment: Moment<'_>,
        event: &WriteEvent,
        problems: &mut Vec<Problem>,
    ) {
        let Moment { seq, at, state } = moment;
        let decides = matches!(
            event,
            WriteEvent::Approved { .. } | WriteEvent::Modified { .. } | WriteEvent::Aborted { .. }
        );
        if let Some(deadline) = self.deadline.take_if(|_| decides)
            && deadline <= at
        {
            let what = format!("{id} could be decided until {deadline}, and was at {at}");
            problems.push(("decided-in-time", what));
        }
        match event {
            WriteEvent::Approved { by } => {
                self.granted = true;
                let shown = |state: &State| state.told.is_shown(key, self.digest);
                if by == "operator" && !state.is_none_or(shown) {
                    let what = format!("{id} was approved, and other bytes of it were shown");
                    problems.push(("approved-as-shown", what));
                }
            }
            WriteEvent::Modified { judgement, proposal, .. } => {
                self.judged(at, proposal, judgement);
                self.granted = matches!(judgement.verdict, Verdict::Allow | Verdict::Approve);
                self.deadline = None;
            }
            WriteEvent::Reproposed { judgement, proposal } => self.judged(at, proposal, judgement),
            WriteEvent::Expired { approved } => {
                if *approved && !self.approved_by_silence {
                    let what = format!("nobody decided about {id}, and that approved it");
                    problems.push(("approved", what));
                }
                (self.granted, self.deadline) = (*approved, None);
            }
            WriteEvent::Attempted { attempt } => {
                if !self.granted {
                    problems.push(("approved", format!("{id} is attempted and was not approved")));
                }
                if self.is_in_doubt() && !self.may_repeat(at) {
                    let what = format!("{id} may have happened, and is attempted again");
                    problems.push(("not-repeated", what));
                }
                self.open = true;
                self.attempts.insert(*attempt, (seq, at));
            }
            WriteEvent::Landed { receipt } => {
                (self.open, self.doubt) = (false, false);
                if state.is_some_and(|state| !state.has_happened(key)) {
                    let what = format!("{id} is recorded as landed and has not happened");
                    problems.push(("landed-happened", what));
                } else if state.is_some_and(|state| !state.told.has_receipt(key, receipt)) {
                    let what = format!("{id} is recorded with a receipt that nobody gave");
                    problems.push(("receipt-given", what));
                }
            }
            WriteEvent::Faulted { fault, .. } => {
                self.doubt |= self.open && fault.phase == Phase::MaybeSent;
                // It has been looked at, under a key that the other side remembers.
                let refused = fault.phase == Phase::Answered && fault.class == FaultClass::Declined;
                self.doubt &= !refused;
                self.open = false;
            }
            WriteEvent::ProvenAbsent { .. } => {
                self.doubt = false;
                if state.is_some_and(|state| !state.told.is_absent(key)) {
                    let what = format!("{id} is recorded as absent, and no probe has said so");
                    problems.push(("absence-proven", what));
                }
            }
            // What did not happen, and is not tried again, is turned down.
            WriteEvent::Resolved { .. } | WriteEvent::Aborted { .. } => self.doubt = false,
            WriteEvent::Proposed { .. }
            | WriteEvent::Delegated { .. }
            | WriteEvent::Stopped { .. }
            | WriteEvent::Parked { .. }
            | WriteEvent::Unparked
            | WriteEvent::Unfunded { .. } => {}
        }
    }

    /// Whether an attempt may have happened and nobody has found out since.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.open || self.doubt
    }

    /// Whether what may have happened may be attempted again: while the other side still knows the key, counted from the first
    /// attempt.
    fn may_repeat(&self, at: Timestamp) -> bool {
        match &self.semantics {
            WriteSemantics::Keyed { ttl } => {
                let first = self.attempts.values().map(|(_, at)| *at).min();
                first.is_none_or(|first| first.until(at) < *ttl)
            }
            _ => false,
        }
    }
}
