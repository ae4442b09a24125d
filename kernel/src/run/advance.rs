//! What follows from a state by itself: which steps may now start, and whether the run is over.

use serde_json::Value;

use super::{
    event::{Event, StepError, StepErrorKind, StepRetry},
    state::{Run, Status, Step, StepStatus},
};
use crate::{
    expression::{ExpressionError, Scope},
    id::StepName,
    payload::{Payload, PayloadError},
    time::Timestamp,
    workflow,
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

/// Starts and skips what can be, until nothing changes, and ends the run if all is over.
pub(super) fn advance(run: &mut Run, events: &mut Vec<Event>, at: Timestamp) {
    // A failed step ends the run at once; other steps' turns are abandoned.
    if let Some(Event::StepFailed { step, error, next: StepRetry::Never }) = events.last() {
        let event = Event::Failed { step: step.clone(), error: error.clone() };
        return push(run, events, event, at);
    }
    while let Some(event) = next(run) {
        let failed = match &event {
            Event::StepFailed { step, error, .. } => Some((step.clone(), error.clone())),
            _ => None,
        };
        push(run, events, event, at);
        if let Some((step, error)) = failed {
            return push(run, events, Event::Failed { step, error }, at);
        }
    }
    if matches!(run.status, Status::Running) && run.steps.iter().all(Step::is_over) {
        let output = run.steps.iter().rev().find_map(Step::output).cloned();
        let output = output.unwrap_or_else(Payload::null);
        push(run, events, Event::Completed { output }, at);
    }
}

/// The first step that can leave `Pending`, and how.
fn next(run: &Run) -> Option<Event> {
    run.graph().find_map(|(definition, step)| match step.status {
        StepStatus::Pending => start_or_skip(run, definition),
        _ => None,
    })
}

fn start_or_skip(run: &Run, definition: &workflow::Step) -> Option<Event> {
    let needs = || definition.needs.iter().map(|index| &run.steps[*index].status);
    let step = definition.name.clone();
    if needs().any(|status| matches!(status, StepStatus::Skipped)) {
        return Some(Event::StepSkipped { step });
    }
    if !needs().all(|status| matches!(status, StepStatus::Completed { .. })) {
        return None;
    }
    let holds = match &definition.when {
        Some(when) => when.holds(&scope(run, definition)),
        None => Ok(true),
    };
    Some(match holds {
        Ok(true) => Event::StepStarted { step, attempt: 1 },
        Ok(false) => Event::StepSkipped { step },
        Err(error) => {
            let message = format!("step `{step}`, field `when`: {error}");
            let error = StepError::new(StepErrorKind::Invalid, message);
            Event::StepFailed { step, error, next: StepRetry::Never }
        }
    })
}

fn scope(run: &Run, definition: &workflow::Step) -> Scope {
    let outputs = definition.needs.iter().filter_map(|index| {
        let output = run.steps[*index].output()?;
        Some((run.definition.steps[*index].name.as_str(), output.value()))
    });
    Scope::new([("input", run.input.value())].into_iter().chain(outputs))
}

impl Run {
    /// The input of `step`, from the run's input and the outputs of what it needs. Pure, so a replay gets the same.
    ///
    /// # Errors
    ///
    /// Fails if an expression has no value; the message names step and field.
    pub fn step_input(&self, step: &StepName) -> Result<Payload, StepError> {
        let invalid = |message: String| StepError::new(StepErrorKind::Invalid, message);
        let Some((definition, _)) = self.step(step) else {
            return Err(invalid(format!("there is no step `{step}`")));
        };
        if definition.input.is_empty() {
            return Ok(self.input.clone());
        }
        let scope = scope(self, definition);
        let fields: Result<serde_json::Map<String, Value>, ExpressionError> = definition
            .input
            .iter()
            .map(|(field, expression)| Ok((field.clone(), expression.evaluate(&scope)?)))
            .collect();
        let fields =
            fields.map_err(|error| invalid(format!("step `{step}`, field `input`: {error}")))?;
        Payload::of(&fields).map_err(|error: PayloadError| {
            invalid(format!("step `{step}`, field `input`: {error}"))
        })
    }
}
