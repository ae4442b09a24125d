//! What calls cost: reserved, settled, and what is done where a budget has no room.

use super::{Decider, Refusal};
use crate::{
    budget::{Cost, Over, OverBudget, Reservation},
    effect::{AfterFault, WriteEvent, WriteState},
    fault::{Fault, FaultClass, Phase},
    id::StepName,
    run::{
        command::{Caller, Command, Payment},
        decide::writes::write_event,
        event::{AfterFailure, EffectRef, Event, StepError, StepErrorKind},
        work,
    },
};

impl Decider<'_> {
    /// What `command` causes, and what is paid with it. An attempt that is not begun is not paid for.
    pub(super) fn paid(&self, command: Command, payment: Payment) -> Result<Vec<Event>, Refusal> {
        let mut events = self.first(command)?;
        let paid = match payment {
            Payment::Reserve(reservation) => events.iter().find_map(|event| match event {
                Event::Write { step, effect, event: WriteEvent::Attempted { .. }, .. } => {
                    Some(self.reserved(step.clone(), effect.clone(), reservation.clone()))
                }
                _ => None,
            }),
            Payment::Settle { call, cost } => {
                self.run.spent.open_call(call).map(|open| open.settled(cost))
            }
        };
        events.extend(paid);
        Ok(events)
    }

    /// A turn's call. One of the same effect that is still open was lost with the turn that had made it.
    pub(super) fn reserve(
        &self,
        step: StepName,
        effect: EffectRef,
        reservation: Box<Reservation>,
    ) -> Result<Vec<Event>, Refusal> {
        self.fresh(&step, &effect)?;
        let open = self.run.spent.open_of(&step, &effect);
        let lost = open.map(|open| open.settled(open.reservation.most));
        Ok(lost.into_iter().chain([self.reserved(step, effect, reservation)]).collect())
    }

    fn reserved(&self, step: StepName, effect: EffectRef, reservation: Box<Reservation>) -> Event {
        Event::Reserved { step, effect, call: self.run.spent.calls + 1, reservation }
    }

    pub(super) fn settle(&self, call: u32, cost: Cost) -> Result<Vec<Event>, Refusal> {
        let settled = || self.stale(format!("what call {call} has cost"), "it is settled");
        let open = self.run.spent.open_call(call).ok_or_else(settled)?;
        Ok(vec![open.settled(cost)])
    }

    /// Without a price, waiting does not help.
    pub(super) fn not_funded(
        &self,
        step: StepName,
        call: Caller,
        over: Over,
    ) -> Result<Vec<Event>, Refusal> {
        let Over { passes, until, reason, .. } = over;
        let waits = passes && self.run.definition.over_budget == OverBudget::Ask;
        match call {
            Caller::Turn(attempt) => {
                self.running()?;
                self.current(&step, attempt)?;
                let error = StepError::new(StepErrorKind::OverBudget, reason);
                let (definition, state) = self.named(&step).expect("a current step is there");
                Ok(vec![match waits {
                    true => Event::StepFailed { step, error, next: AfterFailure::At(until) },
                    false => work::failure(self.run, definition, state, error, self.env.now),
                }])
            }
            Caller::Write(effect) => {
                let write = self.write(&step, &effect)?;
                if !matches!(write.state, WriteState::Granted | WriteState::Retrying { .. }) {
                    return Err(
                        self.stale(format!("an attempt of {step}/{effect}"), write.state.word())
                    );
                }
                // Of what may have happened only the operator can say what became of it, and he may raise the budget as well.
                let event = match waits || write.doubt.is_some() {
                    true => WriteEvent::Unfunded { until, reason },
                    false => WriteEvent::Faulted {
                        fault: Fault::new(FaultClass::OverBudget, Phase::NotSent, reason),
                        next: AfterFault::Fail,
                    },
                };
                Ok(vec![write_event(step, effect, event)])
            }
        }
    }

    /// Everything that waits for a budget tries again, and waits again where there is no room.
    pub(super) fn fund(&self) -> Vec<Event> {
        let mut events = self.unparked(|write| write.unfunded);
        events.extend(self.steps_due(|step, _| step.waits_for_budget()));
        events
    }
}
