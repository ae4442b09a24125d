//! Taking back what a run did: the saga.
//!
//! What the run did to the world has an order: writes as they landed, runs beneath it as they ended. Taking back goes the
//! other way, one at a time, each by a write of its own with the same guarantees. It begins when nothing is in doubt any
//! more, because what may have happened can neither be taken back nor left. What cannot be taken back stays, and is named.

use super::{
    awaited::Awaited,
    event::{EffectRef, Event},
    outstanding::Action,
    state::{Run, Status},
};
use crate::{
    effect::Write,
    id::StepName,
    mutant::{Mutant, planted},
    semantics::Reversal,
    workflow,
};

/// Something the run did and did not take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The step that did it.
    pub step: StepName,
    /// What it is: `payments.charge`, or the run beneath.
    pub what: String,
    /// Why it stays.
    pub why: String,
}

/// One thing that the run did.
enum Did<'a> {
    Write(&'a StepName, &'a EffectRef, &'a Write),
    Child(&'a StepName, &'a EffectRef, &'a Awaited),
}

impl Did<'_> {
    fn order(&self) -> u64 {
        match self {
            Self::Write(_, _, write) => write.order,
            Self::Child(_, _, awaited) => awaited.order,
        }
    }
}

/// What follows by itself while the run takes back what it did.
pub(super) fn next(run: &Run) -> Option<Event> {
    let is_over = !run.is_unclear() && !run.has_undo_under_way() && run.to_take_back().is_none();
    is_over.then_some(Event::Unwound)
}

/// The work of taking back: what is unclear first, then the last thing done.
pub(super) fn action(run: &Run) -> Option<Action> {
    if run.is_unclear() || run.has_undo_under_way() {
        return None;
    }
    Some(match run.to_take_back()? {
        Did::Write(step, effect, _) => {
            Action::Compensate { step: step.clone(), effect: effect.clone() }
        }
        Did::Child(step, effect, awaited) => Action::UnwindChild {
            step: step.clone(),
            effect: effect.clone(),
            run: awaited.child().expect("what ended beneath is a run").run.clone(),
        },
    })
}

impl Run {
    /// Whether a write may have happened or not, or a run beneath has not ended.
    fn is_unclear(&self) -> bool {
        if planted(Mutant::UnwindsInDoubt) {
            return false;
        }
        let in_doubt = |write: &Write| !write.is_settled() && write.reverses.is_none();
        self.writes().any(|(_, _, write)| in_doubt(write))
            || self.awaited().any(|(_, _, awaited)| awaited.child().is_some() && awaited.is_open())
    }

    fn has_undo_under_way(&self) -> bool {
        self.writes().any(|(_, _, write)| write.reverses.is_some() && !write.is_settled())
    }

    fn did(&self) -> impl Iterator<Item = Did<'_>> {
        let from = if planted(Mutant::ForgetsFirstWrite) { 2 } else { 1 };
        let writes = self
            .writes()
            .filter(move |(_, _, write)| write.order >= from && write.reverses.is_none())
            .map(|(step, effect, write)| Did::Write(step, effect, write));
        let children = self
            .awaited()
            .filter(|(_, _, awaited)| awaited.order > 0 && !planted(Mutant::ChildNotUnwound))
            .map(|(step, effect, awaited)| Did::Child(step, effect, awaited));
        writes.chain(children)
    }

    /// The last thing done that can be taken back and has not been tried.
    fn to_take_back(&self) -> Option<Did<'_>> {
        self.did()
            .filter(|did| match did {
                Did::Write(step, effect, write) => {
                    write.uncompensated.is_none()
                        && self.undo(step, effect).is_none()
                        && self.reversal(step, write) != Reversal::Irreversible
                }
                Did::Child(_, _, awaited) => awaited.unwound.is_none(),
            })
            .max_by_key(|did| {
                if planted(Mutant::UnwindsForward) { u64::MAX - did.order() } else { did.order() }
            })
    }

    /// The write that takes back `effect`, if there is one yet.
    fn undo(&self, step: &StepName, effect: &EffectRef) -> Option<&Write> {
        let (_, state) = self.step(step)?;
        state.write(&state.undo(effect)?)
    }

    /// How a write of `step` can be taken back: as the step's definition says, or as its operation declares.
    #[must_use]
    pub fn reversal(&self, step: &StepName, write: &Write) -> Reversal {
        match self.compensate(step) {
            Some(compensate) if write.reverses.is_none() => {
                Reversal::Counter(compensate.operation.clone())
            }
            _ => write.proposal.reversal.clone(),
        }
    }

    /// What the definition of `step` says of taking its writes back.
    #[must_use]
    pub fn compensate(&self, step: &StepName) -> Option<&workflow::Compensate> {
        self.step(step)?.0.compensate.as_ref()
    }

    /// What the run did and has not taken back, in the order it was done.
    pub fn left(&self) -> impl Iterator<Item = Left> {
        let mut did: Vec<Did<'_>> = self.did().collect();
        did.sort_by_key(Did::order);
        did.into_iter().filter_map(|did| match did {
            Did::Write(step, effect, write) => {
                let why = self.why_left(step, effect, write)?;
                let what = format!("{}.{}", write.proposal.connector, write.proposal.operation);
                Some(Left { step: step.clone(), what, why })
            }
            Did::Child(step, _, awaited) => {
                let count = awaited.unwound.filter(|left| *left > 0)?;
                let run = &awaited.child()?.run;
                let why = format!("{count} of its writes stay; see `soloist run show {run}`");
                Some(Left { step: step.clone(), what: format!("run {run}"), why })
            }
        })
    }

    fn why_left(&self, step: &StepName, effect: &EffectRef, write: &Write) -> Option<String> {
        if let Some(reason) = &write.uncompensated {
            return Some(format!("its compensation could not be planned: {reason}"));
        }
        match self.undo(step, effect) {
            Some(undo) if undo.receipt().is_some() => None,
            Some(undo) if undo.is_settled() => {
                let outcome = match &undo.state {
                    crate::effect::WriteState::Settled(outcome) => outcome.payload(),
                    _ => return None,
                };
                let reason = outcome.value()["reason"].as_str().unwrap_or_default().to_owned();
                Some(format!("its compensation did not happen: {reason}"))
            }
            Some(_) => Some("its compensation is under way".into()),
            None if self.reversal(step, write) == Reversal::Irreversible => {
                Some("it is irreversible".into())
            }
            None if matches!(self.status, Status::Unwinding { .. }) => {
                Some("its turn has not come yet".into())
            }
            None => Some("nobody asked for it to be taken back".into()),
        }
    }
}
