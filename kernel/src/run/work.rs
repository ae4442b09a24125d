//! The steps that the kernel carries out itself: what a running step of each kind does next.
//!
//! Agents ask for their effects; every other kind of step has them from its definition. [`next`] gives the one event that
//! now follows, or nothing while the step waits.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    awaited::{Awaited, Awaits, Child, ChildOf, Question, child_id},
    decide::Env,
    event::{AfterFailure, EffectRef, Event, StepError, StepErrorKind},
    flow::{Input, View, failed_output, invalid},
    state::Run,
    step::{EffectState, Step, StepStatus, receipt_labels},
};
use crate::{
    effect::{Outcome, WriteState},
    expression::Template,
    id::WorkflowName,
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    retry::jitter,
    time::{self, Timestamp},
    workflow::{self, Await, Body, OnFailure, ROUNDS_MAX, Work},
};

/// What follows for a running step by itself.
pub(super) fn next(
    run: &Run,
    definition: &workflow::Step,
    step: &Step,
    env: &Env<'_>,
) -> Option<Event> {
    let at = Place { run, definition, step, env };
    if step.stand_in {
        return at.stand_in();
    }
    let event = match &definition.work {
        Work::Agent(_) => Ok(None),
        Work::Call { .. } => Ok(at.call()),
        Work::Workflow(name) => at.workflow(name),
        Work::Approve { message, deadline, approved_at_deadline } => {
            at.approve(message, *deadline, *approved_at_deadline)
        }
        Work::Map { over, body, parallel_max, failures_max } => {
            at.map(over, body, *parallel_max, *failures_max)
        }
        Work::Loop { body, until, rounds_max } => at.rounds(body, until, *rounds_max),
        Work::Wait { duration, until, event } => at.wait(*duration, until.as_ref(), event.as_ref()),
        Work::Emit(_) => Ok(at.emitted()),
    };
    event.unwrap_or_else(|error| Some(failure(run, definition, step, error, env.now)))
}

/// What a failed attempt of a step leads to.
pub(super) fn failure(
    run: &Run,
    definition: &workflow::Step,
    step: &Step,
    error: StepError,
    now: Timestamp,
) -> Event {
    let name = definition.name.clone();
    let (retry, attempt) = (&definition.retry, step.attempt - step.unpaid);
    let next = if error.kind.passes() && !step.stand_in && retry.allows_after(attempt) {
        let chance = jitter(&format!("{}/{name}", run.id), attempt);
        AfterFailure::At(now.after(retry.delay(attempt, chance)))
    } else if error.kind == StepErrorKind::Diverged || step.stand_in {
        // Nothing may stand in for a turn that was recorded otherwise: a person looks at it. And what stands in has failed.
        match definition.on_failure {
            OnFailure::Compensate if step.stand_in => AfterFailure::Compensate,
            _ => AfterFailure::Never,
        }
    } else {
        match definition.on_failure {
            OnFailure::Fail => AfterFailure::Never,
            OnFailure::Compensate => AfterFailure::Compensate,
            OnFailure::Escalate => AfterFailure::Escalate,
            OnFailure::Continue | OnFailure::Agent(_) | OnFailure::Template(_) => {
                AfterFailure::StandIn
            }
        }
    };
    Event::StepFailed { step: name, error, next }
}

/// A running step.
struct Place<'a> {
    run: &'a Run,
    definition: &'a workflow::Step,
    step: &'a Step,
    env: &'a Env<'a>,
}

type Next = Result<Option<Event>, StepError>;

impl Place<'_> {
    fn completed(&self, output: Labeled<Payload>) -> Event {
        Event::StepCompleted { step: self.definition.name.clone(), output }
    }

    fn skipped(&self) -> Event {
        Event::StepSkipped { step: self.definition.name.clone() }
    }

    fn awaits(&self, effect: EffectRef, asked: Digest, what: Awaits) -> Event {
        let (step, what) = (self.definition.name.clone(), Box::new(what));
        Event::Awaited { step, effect, asked, what }
    }

    fn awaited(&self, effect: &EffectRef) -> Option<&Awaited> {
        self.step.awaited(effect)
    }

    fn view(&self) -> View {
        View::of(self.run, self.definition)
    }

    fn object(&self, value: &Value, labels: Labels) -> Result<Labeled<Payload>, StepError> {
        let payload = Payload::of(value).map_err(|error| self.invalid("output", error))?;
        Ok(Labeled::new(payload, labels))
    }

    fn invalid(&self, field: &str, problem: impl std::fmt::Display) -> StepError {
        invalid(&self.definition.name, field, problem)
    }

    /// A `call` step is over when its write is.
    fn call(&self) -> Option<Event> {
        let EffectState::Write(write) = &self.step.effects.first()?.state else { return None };
        let WriteState::Settled(outcome) = &write.state else { return None };
        Some(match outcome {
            Outcome::Failed { fault } => {
                let error = StepError::new(StepErrorKind::WriteFailed, fault.to_string());
                failure(self.run, self.definition, self.step, error, self.env.now)
            }
            outcome => self.completed(Labeled::new(outcome.payload(), receipt_labels(write))),
        })
    }

    fn emitted(&self) -> Option<Event> {
        let EffectState::Recorded { answer } = &self.step.effects.first()?.state else {
            return None;
        };
        Some(self.completed(answer.clone()))
    }

    fn approve(
        &self,
        message: &Template,
        deadline: Option<Duration>,
        approved_at_deadline: bool,
    ) -> Next {
        let effect = EffectRef::kernel("approve", 0);
        let Some(awaited) = self.awaited(&effect) else {
            let prompt =
                self.view().render(message).map_err(|error| self.invalid("approve", error))?;
            let default =
                json!({ "approved": approved_at_deadline, "reason": "nobody decided in time" });
            let question = Question {
                prompt: prompt.value,
                choices: vec![],
                approval: true,
                deadline: deadline.map(|deadline| self.env.now.after(deadline)),
                default: deadline.and_then(|_| Payload::of(&default).ok()),
                assigned: None,
                round: 0,
            };
            let asked = Digest::of(question.prompt.as_bytes());
            return Ok(Some(self.awaits(effect, asked, Awaits::Question(question))));
        };
        let Some(answer) = &awaited.answer else { return Ok(None) };
        let said = answer.payload.value.value();
        if said["approved"] != json!(true) {
            return Ok(Some(self.skipped()));
        }
        let output = json!({ "approved": true, "by": answer.by, "reason": said["reason"].clone() });
        Ok(Some(self.completed(self.object(&output, answer.payload.labels.clone())?)))
    }

    fn wait(
        &self,
        duration: Option<Duration>,
        until: Option<&crate::expression::Expression>,
        event: Option<&Await>,
    ) -> Next {
        let (time, occurrence) = (EffectRef::kernel("until", 0), EffectRef::kernel("event", 0));
        let over = |effect: &EffectRef| self.awaited(effect)?.answer.as_ref();
        if let Some(answer) = over(&occurrence) {
            let output = json!({ "by": "event", "event": answer.payload.value.value() });
            return Ok(Some(self.completed(self.object(&output, answer.payload.labels.clone())?)));
        }
        if over(&time).is_some() {
            let output = json!({ "by": "time", "event": null });
            return Ok(Some(self.completed(self.object(&output, Labels::literal())?)));
        }
        if self.awaited(&occurrence).is_none()
            && let Some(Await { event, .. }) = event
        {
            let asked = Digest::of(event.as_str().as_bytes());
            let what = Awaits::Event { event: event.clone() };
            return Ok(Some(self.awaits(occurrence, asked, what)));
        }
        if self.awaited(&time).is_none() && (duration.is_some() || until.is_some()) {
            let at = self.due(duration, until)?;
            let asked = Digest::of(&at.0.to_le_bytes());
            return Ok(Some(self.awaits(time, asked, Awaits::Until { at })));
        }
        Ok(None)
    }

    /// The earlier of a time from now and a point in time.
    fn due(
        &self,
        duration: Option<Duration>,
        until: Option<&crate::expression::Expression>,
    ) -> Result<Timestamp, StepError> {
        let after = duration.map(|duration| self.env.now.after(duration));
        let Some(until) = until else { return Ok(after.unwrap_or(self.env.now)) };
        let value =
            self.view().evaluate(until).map_err(|error| self.invalid("wait.until", error))?.value;
        let at = match &value {
            Value::Number(millis) => millis.as_u64().map(Timestamp),
            Value::String(text) => time::parse_rfc3339(text),
            _ => None,
        };
        let at = at.ok_or_else(|| {
            let help =
                "give a time in RFC 3339, as 2026-11-21T09:00:00Z, or milliseconds since 1970";
            self.invalid("wait.until", format!("{value} is no time; {help}"))
        })?;
        Ok(after.map_or(at, |after| after.min(at)))
    }

    fn workflow(&self, name: &WorkflowName) -> Next {
        let effect = EffectRef::kernel("run", self.step.generation);
        let Some(awaited) = self.awaited(&effect) else {
            let input = self.run.input_of(self.definition, &self.view())?;
            let of = self.version_of(name, "workflow", &effect)?;
            return Ok(Some(self.child(effect, of, input)));
        };
        let Some(answer) = &awaited.answer else { return Ok(None) };
        Ok(Some(match ended(&answer.payload) {
            Ok(output) => self.completed(output),
            Err(reason) => {
                let error = StepError::new(StepErrorKind::Child, reason);
                failure(self.run, self.definition, self.step, error, self.env.now)
            }
        }))
    }

    /// The version of `name` that the run beneath which `effect` is takes.
    fn version_of(
        &self,
        name: &WorkflowName,
        field: &str,
        effect: &EffectRef,
    ) -> Result<ChildOf, StepError> {
        let run = child_id(&self.run.effect_id(&self.definition.name, effect));
        let found = self.env.library.for_run(name, &run).ok_or_else(|| {
            let help = "add it with `soloist workflow add`";
            self.invalid(field, format!("there is no workflow `{name}`; {help}"))
        })?;
        Ok(ChildOf::Workflow(found.0))
    }

    fn of_body(&self, body: &Body, field: &str, effect: &EffectRef) -> Result<ChildOf, StepError> {
        match body {
            Body::Agent(_) | Body::Call { .. } => Ok(ChildOf::Body),
            Body::Workflow(name) => self.version_of(name, field, effect),
        }
    }

    fn child(&self, effect: EffectRef, of: ChildOf, input: Input) -> Event {
        let run = child_id(&self.run.effect_id(&self.definition.name, &effect));
        let asked = input.value.value.digest();
        self.awaits(effect, asked, Awaits::Child(Child { run, of, input: input.value }))
    }

    /// The rounds so far, by their index. One that failed before the operator had the step tried again is not there: it is
    /// begun anew.
    fn rounds_so_far(&self) -> Vec<Option<&Awaited>> {
        let mut rounds = vec![];
        for effect in &self.step.effects {
            let (EffectState::Awaited(awaited), Some(generation)) =
                (&effect.state, round_generation(&effect.id))
            else {
                continue;
            };
            let failed = || {
                let answer = awaited.answer.as_ref();
                answer.is_some_and(|answer| ended(&answer.payload).is_err())
            };
            let index = effect.id.occurrence as usize;
            if rounds.len() <= index {
                rounds.resize(index + 1, None);
            }
            let stands = generation == self.step.generation || !failed();
            rounds[index] = stands.then_some(&**awaited);
        }
        rounds
    }

    fn map(
        &self,
        over: &crate::expression::Expression,
        body: &Body,
        parallel_max: u32,
        failures_max: Option<u32>,
    ) -> Next {
        let rounds = self.rounds_so_far();
        let begun = rounds.iter().position(Option::is_none).unwrap_or(rounds.len());
        let known = || rounds.iter().flatten();
        let open = known().filter(|round| round.is_open()).count();
        let failures = || {
            let answers = known().filter_map(|round| round.answer.as_ref());
            answers.filter_map(|answer| ended(&answer.payload).err())
        };
        let failed = failures().count();
        if failures_max.is_some_and(|max| failed > max as usize) {
            let reason = failures().next().unwrap_or_default();
            let problem = format!("{failed} of its rounds failed; the first: {reason}");
            return Err(StepError::new(StepErrorKind::Child, problem));
        }
        if open >= parallel_max as usize {
            return Ok(None);
        }
        let items = self.view().evaluate(over).map_err(|error| self.invalid("map", error))?;
        let Value::Array(list) = items.value else {
            return Err(self.invalid("map", format!("`{}` is no list", over.source())));
        };
        if list.len() > ROUNDS_MAX as usize {
            let problem =
                format!("the list has {} items and the limit is {ROUNDS_MAX}", list.len());
            let help = "handle a page, and emit an event for the next";
            return Err(self.invalid("map", format!("{problem}; {help}")));
        }
        if let Some(item) = list.get(begun) {
            let view = self
                .view()
                .with("item", Labeled::new(item.clone(), items.labels))
                .with("index", Labeled::new(json!(begun), Labels::literal()));
            return self.round(begun, body, &view).map(Some);
        }
        if open > 0 {
            return Ok(None);
        }
        self.gathered(&rounds).map(Some)
    }

    /// The outputs of all rounds, in order; a round that failed is `{ outcome = "failed", reason }`.
    fn gathered(&self, rounds: &[Option<&Awaited>]) -> Result<Event, StepError> {
        let (mut outputs, mut labels) = (vec![], vec![]);
        for answer in rounds.iter().flatten().filter_map(|round| round.answer.as_ref()) {
            labels.push(&answer.payload.labels);
            outputs.push(match ended(&answer.payload) {
                Ok(output) => output.value.value(),
                Err(reason) => json!({ "outcome": "failed", "reason": reason }),
            });
        }
        Ok(self.completed(self.object(&json!(outputs), Labels::join_all(labels))?))
    }

    fn round(&self, index: usize, body: &Body, view: &View) -> Result<Event, StepError> {
        let occurrence = u32::try_from(index).expect("there are at most ROUNDS_MAX rounds");
        let input = match view.get("item").filter(|_| self.definition.input.is_empty()) {
            Some(item) => Input::whole(self.object(&item.value, item.labels.clone())?),
            None => self.run.input_of(self.definition, view)?,
        };
        let name = match self.step.generation {
            0 => ROUND.to_owned(),
            generation => format!("{ROUND}:{generation}"),
        };
        let effect = EffectRef::kernel(&name, occurrence);
        let of = self.of_body(body, "workflow", &effect)?;
        Ok(self.child(effect, of, input))
    }

    fn rounds(&self, body: &Body, until: &crate::expression::Expression, rounds_max: u32) -> Next {
        let rounds = self.rounds_so_far();
        let begun = rounds.iter().position(Option::is_none).unwrap_or(rounds.len());
        let last = rounds[..begun].last().copied().flatten();
        let previous = match last.map(|round| &round.answer) {
            None => Labeled::new(Value::Null, Labels::literal()),
            Some(None) => return Ok(None),
            Some(Some(answer)) => {
                let output = ended(&answer.payload)
                    .map_err(|reason| StepError::new(StepErrorKind::Child, reason))?;
                let index = Labeled::new(json!(begun - 1), Labels::literal());
                let result = output.clone().map(|output| output.value());
                let view = self.view().with("result", result.clone()).with("index", index);
                if until.holds(&view.scope()).map_err(|error| self.invalid("loop.until", error))? {
                    return Ok(Some(self.completed(output)));
                }
                result
            }
        };
        if begun >= rounds_max as usize {
            let problem =
                format!("`{}` does not hold after {begun} rounds, its limit", until.source());
            return Err(StepError::new(StepErrorKind::Rounds, problem));
        }
        let index = Labeled::new(json!(begun), Labels::literal());
        let view = self.view().with("previous", previous).with("index", index);
        self.round(begun, body, &view).map(Some)
    }

    /// What stands in for a step that has failed for good.
    fn stand_in(&self) -> Option<Event> {
        let error = self.step.error.as_ref()?;
        let labels = || self.run.turn_labels(&self.definition.name);
        match &self.definition.on_failure {
            OnFailure::Agent(agent) => {
                let effect = EffectRef::kernel("kernel:stand-in", self.step.generation);
                let Some(awaited) = self.awaited(&effect) else {
                    return match self.run.input_of(self.definition, &self.view()) {
                        Ok(input) => Some(self.child(effect, ChildOf::Agent(agent.clone()), input)),
                        Err(error) => Some(self.failed(error)),
                    };
                };
                Some(match ended(&awaited.answer.as_ref()?.payload) {
                    Ok(output) => self.completed(output),
                    Err(reason) => self.failed(StepError::new(
                        StepErrorKind::Child,
                        format!(
                            "{error}; agent `{agent}`, which stood in, failed as well: {reason}"
                        ),
                    )),
                })
            }
            OnFailure::Template(fields) => {
                let said = json!({ "kind": error.kind, "message": error.message });
                let view = self.view().with("error", Labeled::new(said, labels()));
                let mut object = serde_json::Map::new();
                let mut joined = Labels::literal().from_origin("template");
                for (field, template) in fields {
                    match view.render(template) {
                        Ok(text) => {
                            joined = joined.join(&text.labels);
                            object.insert(field.clone(), Value::String(text.value));
                        }
                        Err(error) => {
                            let field = format!("on_failure.template.{field}");
                            return Some(self.failed(self.invalid(&field, error)));
                        }
                    }
                }
                let output = self.object(&Value::Object(object), joined);
                Some(
                    output.map_or_else(|error| self.failed(error), |output| self.completed(output)),
                )
            }
            OnFailure::Fail | OnFailure::Continue | OnFailure::Compensate | OnFailure::Escalate => {
                Some(self.completed(failed_output(error, labels())))
            }
        }
    }

    fn failed(&self, error: StepError) -> Event {
        failure(self.run, self.definition, self.step, error, self.env.now)
    }
}

/// The name of the effect that a round of a `map` or a `loop` is.
const ROUND: &str = "round";

/// How often the operator had had the step tried again when the round `effect` began; `None` if it is no round.
fn round_generation(effect: &EffectRef) -> Option<u32> {
    let rest = effect.name.as_str().strip_prefix(ROUND)?;
    match rest.strip_prefix(':') {
        Some(generation) => generation.parse().ok(),
        None => rest.is_empty().then_some(0),
    }
}

/// The output of a run beneath the step, or why it failed.
fn ended(answer: &Labeled<Payload>) -> Result<Labeled<Payload>, String> {
    let view = answer.value.value();
    if view["outcome"] == json!("completed") {
        let output = Payload::of(&view["output"]).expect("a part of a payload is a payload");
        return Ok(Labeled::new(output, answer.labels.clone()));
    }
    Err(view["reason"].as_str().unwrap_or("it ended without a reason").to_owned())
}

/// Whether a step is carried out by an agent's turn now.
pub(super) fn takes_turn(definition: &workflow::Step, step: &Step) -> bool {
    let is_agent = matches!(definition.work, Work::Agent(_));
    is_agent && !step.stand_in && matches!(step.status, StepStatus::Running { .. })
}
