//! What a run has spent: its calls that cost something, reserved before they are made and settled after.

use serde::{Deserialize, Serialize};

use super::{
    event::{EffectRef, Event},
    state::{Run, Status},
    step::StepStatus,
};
use crate::{
    budget::{Cost, Reservation},
    effect::WriteState,
    fault::Phase,
    id::StepName,
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// What a run has spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Calls that were reserved; the last one has this number.
    pub calls: u32,
    /// What those that are settled have cost.
    pub cost: Cost,
    /// Those that are not.
    pub open: Vec<OpenCall>,
}

/// A call that was reserved and is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    /// Its number in the run, counted from one.
    pub call: u32,
    /// The step that makes it.
    pub step: StepName,
    /// The effect of that step.
    pub effect: EffectRef,
    /// When it was reserved.
    pub at: Timestamp,
    /// What it is, and what it can cost at most.
    pub reservation: Reservation,
}

impl Spent {
    /// What is spent, and what may be: settled and reserved together.
    #[must_use]
    pub fn at_most(&self) -> Cost {
        let open = self.open.iter().map(|open| open.reservation.most);
        open.fold(self.cost, Cost::plus)
    }

    /// The call of this number, if it is not settled.
    #[must_use]
    pub fn open_call(&self, call: u32) -> Option<&OpenCall> {
        self.open.iter().find(|open| open.call == call)
    }

    /// The call of `effect` of `step` that is not settled.
    #[must_use]
    pub fn open_of(&self, step: &StepName, effect: &EffectRef) -> Option<&OpenCall> {
        self.open.iter().find(|open| open.step == *step && open.effect == *effect)
    }

    /// Folds a reservation or its settlement, which happened at `at`; says what does not fit.
    pub(super) fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), String> {
        match event {
            Event::Reserved { step, effect, call, reservation } if *call == self.calls + 1 => {
                self.calls = *call;
                let (step, effect) = (step.clone(), effect.clone());
                let reservation = (**reservation).clone();
                self.open.push(OpenCall { call: *call, step, effect, at, reservation });
                Ok(())
            }
            Event::Settled { call, cost, .. } => {
                let place = self.open.iter().position(|open| open.call == *call);
                self.open.remove(place.ok_or_else(|| format!("call {call} is not open"))?);
                self.cost = self.cost.plus(*cost);
                Ok(())
            }
            _ => Err(format!("the last call is {}", self.calls)),
        }
    }
}

impl OpenCall {
    /// It is over, and has cost `cost`.
    #[must_use]
    pub fn settled(&self, cost: Cost) -> Event {
        let Self { call, step, effect, .. } = self.clone();
        Event::Settled { step, effect, call, cost }
    }

    /// What it has cost if it failed at `phase`. What was not sent costs nothing, what was refused is a call and no more, and
    /// what may have happened may have cost all that was reserved.
    #[must_use]
    pub fn cost_of_fault(&self, phase: Phase) -> Cost {
        match phase {
            Phase::NotSent => Cost::NOTHING,
            Phase::Answered => Cost::CALL,
            Phase::MaybeSent => self.reservation.most,
        }
    }
}

/// Settles a call that nobody will settle: its turn or its attempt is over, and what it came to is not known.
pub(super) fn lost(run: &Run) -> Option<Event> {
    if planted(Mutant::SettlementForgotten) {
        return None;
    }
    let running = matches!(run.status, Status::Running);
    let is_lost = |open: &&OpenCall| match run.write(&open.step, &open.effect) {
        Some(write) => !matches!(write.state, WriteState::Attempting),
        None => {
            let step = run.step(&open.step).map(|(_, step)| &step.status);
            !(running && matches!(step, Some(StepStatus::Running { .. })))
        }
    };
    run.spent.open.iter().find(is_lost).map(|open| open.settled(open.reservation.most))
}
