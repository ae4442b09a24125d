//! What follows from a state by itself: which steps may now start, what their work comes to, and whether the run is over.

use serde_json::json;

use super::{
    awaited::{Answer, ChildEnd},
    decide::{Env, decision_of},
    event::{AfterFailure, Cause, Event},
    flow::{View, invalid},
    spent,
    state::{Run, Status},
    step::{DECIDE, Effect, EffectState, Step, StepStatus},
    unwind, work,
};
use crate::{
    effect::{Decision, Write, WriteEvent, WriteState},
    id::StepName,
    labels::{Labeled, Labels},
    payload::Payload,
    time::Timestamp,
    workflow::{self, OnFailure},
};

/// Applies `event` to `run` and remembers it.
///
/// # Panics
///
/// If the event cannot follow: `decide` chose it, so that is a defect.
pub(super) fn push(run: &mut Run, events: &mut Vec<Event>, event: Event, at: Timestamp) {
    run.apply(&event, at).expect("decide emits only legal events");
    events.push(event);
}

/// Does what can be done, until nothing changes.
pub(super) fn advance(run: &mut Run, events: &mut Vec<Event>, env: &Env<'_>) {
    while let Some(event) = to_stop(run).or_else(|| spent::lost(run)).or_else(|| next(run, env)) {
        push(run, events, event, env.now);
    }
}

fn next(run: &Run, env: &Env<'_>) -> Option<Event> {
    match &run.status {
        Status::Running => while_running(run, env),
        Status::Unwinding { .. } => unwind::next(run),
        Status::Completed { .. } | Status::Failed { .. } => None,
    }
}

fn while_running(run: &Run, env: &Env<'_>) -> Option<Event> {
    // A failed step ends the run at once; other steps' turns are abandoned.
    if let Some((definition, error)) = run.first_failure() {
        let (step, error) = (definition.name.clone(), error.clone());
        let compensates = matches!(definition.on_failure, OnFailure::Compensate);
        return Some(if compensates {
            Event::Unwinding { cause: Cause::Step { step, error } }
        } else {
            Event::Failed { step, error }
        });
    }
    if let Some(event) = decided_by_agent(run) {
        return Some(event);
    }
    let of_steps = run.graph().find_map(|(definition, step)| match step.status {
        StepStatus::Pending => start_or_skip(run, definition, step.attempt + 1),
        StepStatus::Running { .. } => work::next(run, definition, step, env),
        StepStatus::BackingOff { .. }
        | StepStatus::Escalated { .. }
        | StepStatus::Skipped
        | StepStatus::Completed { .. }
        | StepStatus::Failed => None,
    });
    if of_steps.is_some() {
        return of_steps;
    }
    if run.steps.iter().all(Step::is_over) {
        let output = run.graph().rev().find_map(|(_, step)| step.output()).cloned();
        let output = output.unwrap_or_else(|| Labeled::new(Payload::null(), Labels::literal()));
        return Some(Event::Completed { output });
    }
    None
}

fn start_or_skip(run: &Run, definition: &workflow::Step, attempt: u32) -> Option<Event> {
    let needs = || definition.needs.iter().map(|index| &run.steps[*index].status);
    let step = definition.name.clone();
    if needs().any(|status| matches!(status, StepStatus::Skipped)) {
        return Some(Event::StepSkipped { step });
    }
    if !needs().all(|status| matches!(status, StepStatus::Completed { .. })) {
        return None;
    }
    let holds = match &definition.when {
        Some(when) => when.holds(&View::of(run, definition).scope()),
        None => Ok(true),
    };
    Some(match holds {
        Ok(true) => Event::StepStarted { step, attempt },
        Ok(false) => Event::StepSkipped { step },
        Err(error) => {
            let error = invalid(&step, "when", error);
            Event::StepFailed { step, error, next: AfterFailure::Never }
        }
    })
}

/// What an agent said in the operator's place. If it said nothing that can be understood, the operator is asked again.
fn decided_by_agent(run: &Run) -> Option<Event> {
    run.graph().find_map(|(definition, step)| {
        let answered = step.effects.iter().filter_map(|effect| match &effect.state {
            EffectState::Awaited(awaited) if effect.id.branch() == DECIDE => {
                Some((&effect.id, awaited.answer.as_ref()?))
            }
            _ => None,
        });
        answered.into_iter().find_map(|(decides, answer)| {
            let place: usize = decides.name.as_str().split_once(':')?.1.parse().ok()?;
            let about = step.effects.get(place)?;
            let said = answer.payload.value.value();
            let decision = decision_of(&said["output"]);
            said_by_agent(&definition.name, about, decides.occurrence, decision, answer)
        })
    })
}

fn said_by_agent(
    step: &StepName,
    about: &Effect,
    round: u32,
    decision: Option<Decision>,
    answer: &Answer,
) -> Option<Event> {
    let (step, effect, by) = (step.clone(), about.id.clone(), answer.by.clone());
    let back = || "operator".to_owned();
    match &about.state {
        EffectState::Write(write)
            if write.round == round && matches!(write.state, WriteState::Asking { .. }) =>
        {
            let event = match decision {
                Some(Decision::Approve) => WriteEvent::Approved { by },
                Some(Decision::Abort { reason }) => WriteEvent::Aborted { by, reason },
                _ => WriteEvent::Delegated { by, to: back() },
            };
            Some(Event::Write { step, effect, asked: None, event })
        }
        EffectState::Awaited(awaited) => {
            let question = awaited.question().filter(|question| question.round == round)?;
            let value = match decision {
                Some(Decision::Approve) if question.approval => json!({ "approved": true }),
                Some(Decision::Abort { reason }) if question.approval => {
                    json!({ "approved": false, "reason": reason })
                }
                Some(Decision::Answer { value }) if !question.approval => value,
                _ => return Some(Event::Delegated { step, effect, by, to: back() }),
            };
            let payload = Labeled::new(Payload::of(&value).ok()?, answer.payload.labels.clone());
            let answer = Box::new(Answer::new(payload, by));
            Some(Event::Answered { step, effect, answer })
        }
        _ => None,
    }
}

/// What no longer may be attempted, because its step or its run has ended, is stopped.
fn to_stop(run: &Run) -> Option<Event> {
    let waits = |state: &WriteState| {
        matches!(
            state,
            WriteState::Asking { .. }
                | WriteState::Granted
                | WriteState::Retrying { .. }
                | WriteState::Parked { probes: None, .. }
        )
    };
    run.writes().find(|(step, _, write)| waits(&write.state) && !run.may_attempt(step, write)).map(
        |(step, effect, _)| {
            let event = WriteEvent::Stopped { reason: "its step ended before it was made".into() };
            Event::Write { step: step.clone(), effect: effect.clone(), asked: None, event }
        },
    )
}

impl Run {
    /// How the run ended, as the run above it is told; `None` while it goes on, and while it is not known what its writes have
    /// come to: whoever takes back what this run did must know what that is.
    #[must_use]
    pub fn end(&self) -> Option<ChildEnd> {
        if self.writes().any(|(_, _, write)| !write.is_settled()) {
            return None;
        }
        let unwound =
            |unwound: bool| unwound.then(|| u32::try_from(self.left().count()).unwrap_or(u32::MAX));
        match &self.status {
            Status::Running | Status::Unwinding { .. } => None,
            Status::Completed { output } => {
                Some(ChildEnd { result: Ok(output.clone()), did: self.done > 0, unwound: None })
            }
            Status::Failed { cause, unwound: is_unwound, .. } => Some(ChildEnd {
                result: Err(cause.to_string()),
                did: self.done > 0,
                unwound: unwound(*is_unwound),
            }),
        }
    }

    /// Whether `write` of `step` may be attempted. A step that has ended makes no attempt, nor does one that something else
    /// stands in for; a run that takes back what it did makes those that take back.
    pub(super) fn may_attempt(&self, step: &StepName, write: &Write) -> bool {
        let Some((_, state)) = self.step(step) else { return false };
        match self.status {
            Status::Running => write.reverses.is_none() && !state.is_over() && !state.stand_in,
            Status::Unwinding { .. } => write.reverses.is_some(),
            Status::Completed { .. } | Status::Failed { .. } => false,
        }
    }

    /// Whether anything is still waited for in a step.
    pub(super) fn has_open(&self, index: usize) -> bool {
        self.steps[index].effects.iter().any(|effect| match &effect.state {
            EffectState::Write(write) => !write.is_settled(),
            EffectState::Awaited(awaited) => awaited.is_open(),
            EffectState::Recorded { .. } => false,
        })
    }
}
