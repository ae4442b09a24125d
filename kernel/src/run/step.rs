//! The state of one step, its effects, and how events change them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    awaited::{Answer, Awaited, Awaits, Child},
    event::{AfterFailure, EffectRef, Event, StepError, StepErrorKind},
};
use crate::{
    effect::{Outcome, Write, WriteEvent, WriteState},
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    time::Timestamp,
};

/// Longest wait for the next attempt of a step that is spent in memory. A longer one is a durable timer.
const BACKOFF_IN_MEMORY_MAX: Duration = Duration::from_secs(30);

/// A step's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts begun.
    pub attempt: u32,
    /// Those of them that a budget had no room for: they are no failures, and are not counted as such.
    pub unpaid: u32,
    /// Its last error.
    pub error: Option<StepError>,
    /// Whether something else stands in for it, because it has failed for good.
    pub stand_in: bool,
    /// How often the operator has had it tried again. What failed for good before is not what is tried now: a write has
    /// another key, and a run beneath another id.
    pub generation: u32,
    /// Its effects, in the order they were first asked for.
    pub effects: Vec<Effect>,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepStatus {
    /// Its needs are not met yet.
    Pending,
    /// An attempt is under way.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It waits for its next attempt.
    BackingOff {
        /// When that is due.
        at: Timestamp,
        /// Whether that is far away, so that the run leaves memory.
        is_long: bool,
    },
    /// It has failed, and waits for the operator.
    Escalated {
        /// Since when.
        since: Timestamp,
    },
    /// It will not run.
    Skipped,
    /// It ended well.
    Completed {
        /// What it returned.
        output: Labeled<Payload>,
    },
    /// It failed for good.
    Failed,
}

/// An effect of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Which.
    pub id: EffectRef,
    /// The hash of what was asked: a replay must ask the same.
    pub asked: Digest,
    /// What came of it.
    pub state: EffectState,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EffectState {
    /// It was answered at once.
    Recorded {
        /// The answer.
        answer: Labeled<Payload>,
    },
    /// It is waited for, or was.
    Awaited(Box<Awaited>),
    /// It is a write.
    Write(Box<Write>),
}

impl Step {
    /// A step that has not begun.
    #[must_use]
    pub(super) fn pending() -> Self {
        Self {
            status: StepStatus::Pending,
            attempt: 0,
            unpaid: 0,
            error: None,
            stand_in: false,
            generation: 0,
            effects: vec![],
        }
    }

    /// Folds an event of this step: one line for each legal transition. Tells whether the run has now done one thing more to
    /// the world, which then has the place `order`.
    pub(super) fn apply(
        &mut self,
        event: &Event,
        at: Timestamp,
        order: u64,
    ) -> Result<bool, String> {
        use {Event as E, StepStatus as S};
        match (&self.status, event) {
            (
                S::Pending | S::BackingOff { .. } | S::Escalated { .. },
                E::StepStarted { attempt, .. },
            ) if *attempt == self.attempt + 1 => {
                self.attempt = *attempt;
                self.status = S::Running { since: at };
            }
            (S::Pending | S::Running { .. }, E::StepSkipped { .. }) => self.status = S::Skipped,
            (S::Running { .. } | S::Escalated { .. }, E::StepCompleted { output, .. }) => {
                self.status = S::Completed { output: output.clone() };
            }
            (S::Running { .. }, E::StepFailed { error, next, .. }) => {
                self.failed(error, *next, at);
            }
            // A condition without a value, and the operator's word.
            (
                S::Pending | S::Escalated { .. },
                E::StepFailed { error, next: AfterFailure::Never, .. },
            ) => self.failed(error, AfterFailure::Never, at),
            (S::Running { .. }, E::Recorded { effect, asked, answer, .. }) => {
                self.add(effect, *asked, EffectState::Recorded { answer: answer.clone() })?;
            }
            (_, E::Awaited { effect, asked, what, .. }) if self.may_await(effect) => {
                let awaited = Awaited::new((**what).clone(), at);
                self.add(effect, *asked, EffectState::Awaited(Box::new(awaited)))?;
            }
            (_, E::Answered { effect, answer, .. }) => {
                let did = self.answered(effect, answer, order)?;
                return Ok(did);
            }
            (S::Running { .. }, E::Delegated { effect, to, .. }) => {
                self.delegated(effect, to)?;
            }
            (
                _,
                E::Write {
                    effect,
                    asked: Some(asked),
                    event: WriteEvent::Proposed { proposal, judgement },
                    ..
                },
            ) if matches!(self.status, S::Running { .. }) || effect.branch() == UNDO => {
                let mut write = Write::proposed((**proposal).clone(), judgement.clone(), at);
                write.reverses = self.reversed_by(effect);
                write.generation = self.generation;
                self.add(effect, *asked, EffectState::Write(Box::new(write)))?;
            }
            // A write that is under way ends whatever has become of its step.
            (_, E::Write { effect, event, .. }) => {
                let write = self.write_mut(effect)?;
                write.apply(event, at).map_err(|illegal| illegal.to_string())?;
                if write.receipt().is_some() {
                    write.order = order;
                    return Ok(true);
                }
            }
            (S::Failed | S::Escalated { .. } | S::BackingOff { .. }, E::Retried { .. }) => {
                self.generation += 1;
                self.stand_in = false;
                self.effects.retain(Effect::outlives_attempt);
                self.status = S::Pending;
            }
            (status, E::Overridden { output, .. }) if !matches!(status, S::Skipped) => {
                self.stand_in = false;
                self.status = S::Completed { output: output.clone() };
            }
            (_, E::Uncompensated { effect, reason, .. }) => {
                self.write_mut(effect)?.uncompensated = Some(reason.clone());
            }
            (_, E::ChildUnwound { effect, left, .. }) => {
                self.awaited_mut(effect)?.unwound = Some(*left);
            }
            (status, _) => return Err(format!("it is {}", status.word())),
        }
        Ok(false)
    }

    fn failed(&mut self, error: &StepError, next: AfterFailure, at: Timestamp) {
        self.error = Some(error.clone());
        self.effects.retain(Effect::outlives_attempt);
        let waits = error.kind == StepErrorKind::OverBudget && matches!(next, AfterFailure::At(_));
        self.unpaid += u32::from(waits);
        self.status = match next {
            AfterFailure::At(due) => {
                StepStatus::BackingOff { at: due, is_long: at.until(due) > BACKOFF_IN_MEMORY_MAX }
            }
            AfterFailure::Never | AfterFailure::Compensate => StepStatus::Failed,
            AfterFailure::Escalate => StepStatus::Escalated { since: at },
            AfterFailure::StandIn => {
                self.stand_in = true;
                StepStatus::Running { since: at }
            }
        };
    }

    /// Whether it waits because a budget has no room for one of its calls.
    #[must_use]
    pub fn waits_for_budget(&self) -> bool {
        let over = |error: &StepError| error.kind == StepErrorKind::OverBudget;
        matches!(self.status, StepStatus::BackingOff { .. })
            && self.error.as_ref().is_some_and(over)
    }

    /// What was stopped because the run had ended is asked for again, now that it goes on.
    pub(super) fn forget_stopped(&mut self) {
        self.effects.retain(|effect| match &effect.state {
            EffectState::Write(write) => !write.stopped,
            EffectState::Recorded { .. } | EffectState::Awaited(_) => true,
        });
    }

    /// A step waits for what it asked for while it runs; a delegated decision is waited for beside whatever it is about.
    fn may_await(&self, effect: &EffectRef) -> bool {
        matches!(self.status, StepStatus::Running { .. }) || effect.branch() == DECIDE
    }

    fn answered(
        &mut self,
        effect: &EffectRef,
        answer: &Answer,
        order: u64,
    ) -> Result<bool, String> {
        let awaited = self.awaited_mut(effect)?;
        if !awaited.is_open() {
            return Err(format!("effect {effect} is answered already"));
        }
        awaited.answer = Some(answer.clone());
        if answer.did {
            awaited.order = order;
        }
        Ok(answer.did)
    }

    fn delegated(&mut self, effect: &EffectRef, to: &str) -> Result<(), String> {
        match &mut self.awaited_mut(effect)?.what {
            Awaits::Question(question) => {
                question.assigned = Some(to.to_owned());
                question.round += 1;
                Ok(())
            }
            _ => Err(format!("effect {effect} is no question")),
        }
    }

    fn add(&mut self, effect: &EffectRef, asked: Digest, state: EffectState) -> Result<(), String> {
        if self.effect(effect).is_some() {
            return Err(format!("effect {effect} is there already"));
        }
        self.effects.push(Effect { id: effect.clone(), asked, state });
        Ok(())
    }

    /// The effect `id`.
    #[must_use]
    pub fn effect(&self, id: &EffectRef) -> Option<&Effect> {
        self.position(id).map(|index| &self.effects[index])
    }

    /// Rounds of a `map` stand at their occurrence, so that a thousand of them are found at once.
    fn position(&self, id: &EffectRef) -> Option<usize> {
        let expected = id.occurrence as usize;
        if self.effects.get(expected).is_some_and(|effect| effect.id == *id) {
            return Some(expected);
        }
        self.effects.iter().position(|effect| effect.id == *id)
    }

    /// The write `id`.
    #[must_use]
    pub fn write(&self, id: &EffectRef) -> Option<&Write> {
        match &self.effect(id)?.state {
            EffectState::Write(write) => Some(write),
            EffectState::Recorded { .. } | EffectState::Awaited(_) => None,
        }
    }

    fn write_mut(&mut self, id: &EffectRef) -> Result<&mut Write, String> {
        let missing = || format!("there is no write {id}");
        let index = self.position(id).ok_or_else(missing)?;
        match &mut self.effects[index].state {
            EffectState::Write(write) => Ok(write),
            EffectState::Recorded { .. } | EffectState::Awaited(_) => Err(missing()),
        }
    }

    /// What is waited for under `id`.
    #[must_use]
    pub fn awaited(&self, id: &EffectRef) -> Option<&Awaited> {
        match &self.effect(id)?.state {
            EffectState::Awaited(awaited) => Some(awaited),
            EffectState::Recorded { .. } | EffectState::Write(_) => None,
        }
    }

    fn awaited_mut(&mut self, id: &EffectRef) -> Result<&mut Awaited, String> {
        let missing = || format!("nothing is waited for under {id}");
        let index = self.position(id).ok_or_else(missing)?;
        match &mut self.effects[index].state {
            EffectState::Awaited(awaited) => Ok(awaited),
            EffectState::Recorded { .. } | EffectState::Write(_) => Err(missing()),
        }
    }

    /// The write that `undo` takes back.
    fn reversed_by(&self, undo: &EffectRef) -> Option<EffectRef> {
        let original = undo.name.as_str().strip_prefix("undo:")?;
        let index: usize = original.parse().ok()?;
        self.effects.get(index).map(|effect| effect.id.clone())
    }

    /// The effect that takes back `effect`. Effects of a step that is over keep their places, so the place names it.
    #[must_use]
    pub fn undo(&self, effect: &EffectRef) -> Option<EffectRef> {
        self.position(effect).map(|index| EffectRef::kernel(&format!("{UNDO}:{index}"), 0))
    }

    /// Its output, once it has completed.
    #[must_use]
    pub fn output(&self) -> Option<&Labeled<Payload>> {
        match &self.status {
            StepStatus::Completed { output } => Some(output),
            _ => None,
        }
    }

    /// Whether nothing more can happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.status {
            StepStatus::Completed { .. } | StepStatus::Skipped | StepStatus::Failed => true,
            StepStatus::Pending
            | StepStatus::Running { .. }
            | StepStatus::BackingOff { .. }
            | StepStatus::Escalated { .. } => false,
        }
    }

    /// Whether something it asked for is not there yet and comes without its doing: a decision, a time, a connector, an
    /// event, a run.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.effects.iter().any(|effect| match &effect.state {
            EffectState::Write(write) => write.waits_for_operator() || write.is_parked(),
            EffectState::Awaited(awaited) => awaited.is_open(),
            EffectState::Recorded { .. } => false,
        })
    }

    /// The runs beneath it that have not ended.
    pub(super) fn open_children(&self) -> impl Iterator<Item = (&EffectRef, &Child)> {
        self.effects.iter().filter_map(|effect| match &effect.state {
            EffectState::Awaited(awaited) if awaited.is_open() => {
                Some((&effect.id, awaited.child()?))
            }
            _ => None,
        })
    }

    /// The labels of everything its turn has seen, joined with those of its input.
    #[must_use]
    pub fn labels(&self, input: &Labels) -> Labels {
        self.effects.iter().fold(input.clone(), |joined, effect| match &effect.state {
            EffectState::Recorded { answer } => joined.join(&answer.labels),
            EffectState::Awaited(awaited) => match &awaited.answer {
                Some(answer) => joined.join(&answer.payload.labels),
                None => joined,
            },
            EffectState::Write(write) => {
                write.receipt().map_or(joined.clone(), |_| joined.join(&receipt_labels(write)))
            }
        })
    }
}

/// The labels of what a connector says about a write: it came from outside.
pub(super) fn receipt_labels(write: &Write) -> Labels {
    Labels::untrusted(write.proposal.connector.as_str())
}

/// What names an effect that takes another back.
pub(crate) const UNDO: &str = "undo";

/// What names a decision that an agent makes in the operator's place.
pub(super) const DECIDE: &str = "decide";

impl StepStatus {
    /// The status in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::BackingOff { .. } => "backing off",
            Self::Escalated { .. } => "escalated",
            Self::Skipped => "skipped",
            Self::Completed { .. } => "completed",
            Self::Failed => "failed",
        }
    }
}

impl Effect {
    /// What an attempt leaves to the next: everything but writes that certainly did not happen and runs beneath it that
    /// failed. So nothing is paid for twice, and what failed is tried again.
    fn outlives_attempt(&self) -> bool {
        match &self.state {
            EffectState::Recorded { .. } | EffectState::Awaited(_) => true,
            EffectState::Write(write) => {
                !matches!(write.state, WriteState::Settled(Outcome::Failed { .. }))
            }
        }
    }
}
