//! Turns, and what they wait for.

use serde_json::json;

use super::{Decider, Refusal};
use crate::{
    catalog::{AgentKind, AgentSpec},
    effect::{WriteEvent, WriteState},
    expression::Scope,
    id::{ConnectorName, OperationName, StepName},
    labels::{Labeled, Labels},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    run::{
        Divergence, Request,
        awaited::{
            Answer, Awaited, Awaits, Child, ChildEnd, ChildOf, Occurrence, Question, child_id,
        },
        event::{EffectRef, Event, StepError, StepErrorKind},
        flow::View,
        state::{Lateness, Status},
        step::{Step, StepStatus},
        work,
    },
    schema,
    time::Timestamp,
    workflow::Work,
};

impl Decider<'_> {
    pub(super) fn complete(
        &self,
        step: StepName,
        attempt: u32,
        output: Payload,
    ) -> Result<Vec<Event>, Refusal> {
        self.current(&step, attempt)?;
        let index = self.run.definition.index(&step);
        if index.is_some_and(|index| self.run.has_open(index)) {
            let message = "the turn ended while something it had asked for was still open; await every \
                           proposal, question and delegated task";
            return self.fail(&step, attempt, StepError::new(StepErrorKind::Invalid, message));
        }
        if let Some(spec) = self.agent_of(&step)
            && spec.output != serde_json::Value::Bool(true)
            && let Err(problem) = schema::validate(&spec.output, &output.value())
        {
            let message = format!("its output is not what it declares: {problem}");
            return self.fail(&step, attempt, StepError::new(StepErrorKind::Output, message));
        }
        let labels = self.run.turn_labels(&step);
        let labels = match self.named(&step).map(|(definition, _)| &definition.work) {
            Some(Work::Agent(agent)) => labels.from_origin(format!("agent:{agent}")),
            _ => labels,
        };
        Ok(vec![Event::StepCompleted { step, output: Labeled::new(output, labels) }])
    }

    pub(super) fn fail(
        &self,
        step: &StepName,
        attempt: u32,
        error: StepError,
    ) -> Result<Vec<Event>, Refusal> {
        self.current(step, attempt)?;
        let (definition, state) = self.named(step).expect("a current step is in the workflow");
        Ok(vec![work::failure(self.run, definition, state, error, self.env.now)])
    }

    pub(super) fn diverge(
        &self,
        step: &StepName,
        attempt: u32,
        divergence: &Divergence,
    ) -> Result<Vec<Event>, Refusal> {
        let error = StepError::new(StepErrorKind::Diverged, divergence.to_string());
        self.fail(step, attempt, error)
    }

    pub(super) fn wake(&self, step: StepName) -> Result<Vec<Event>, Refusal> {
        match self.named(&step).map(|(_, state)| (&state.status, state.attempt)) {
            Some((StepStatus::BackingOff { .. }, attempt)) => {
                Ok(vec![Event::StepStarted { step, attempt: attempt + 1 }])
            }
            _ => Err(self.stale(format!("the wake-up of step `{step}`"), "it does not wait")),
        }
    }

    pub(super) fn await_(
        &self,
        step: StepName,
        effect: EffectRef,
        asked: Digest,
        what: Request,
    ) -> Result<Vec<Event>, Refusal> {
        self.fresh(&step, &effect)?;
        let what = match what {
            Request::Ask { prompt, choices, deadline } => {
                let (deadline, default) = deadline.unzip();
                Awaits::Question(Question {
                    prompt,
                    choices,
                    approval: false,
                    deadline: deadline.map(|deadline| self.env.now.after(deadline)),
                    default,
                    assigned: None,
                    round: 0,
                })
            }
            Request::Sleep(duration) => Awaits::Until { at: self.env.now.after(duration) },
            Request::Delegate { agent, input } => {
                // What is handed on carries the labels of all that the turn has seen.
                let input = Labeled::new(input, self.run.turn_labels(&step));
                let run = child_id(&self.run.effect_id(&step, &effect));
                Awaits::Child(Child { run, of: ChildOf::Agent(agent), input })
            }
        };
        Ok(vec![Event::Awaited { step, effect, asked, what: Box::new(what) }])
    }

    /// What an agent may propose is what it declares.
    pub(super) fn may_propose(
        &self,
        step: &StepName,
        connector: &ConnectorName,
        operation: &OperationName,
    ) -> Result<(), Refusal> {
        let Some((definition, _)) = self.named(step) else { return Ok(()) };
        let Work::Agent(agent) = &definition.work else { return Ok(()) };
        let refuse = |problem: String| Err(Refusal::Forbidden { problem });
        let Some(spec) = self.agent_of(step) else {
            return refuse(format!(
                "agent `{agent}` is not in the catalogue, so it may propose nothing"
            ));
        };
        let tool = format!("{connector}.{operation}");
        if spec.kind == AgentKind::ReadOnly {
            return refuse(format!("agent `{agent}` is read-only and may not propose `{tool}`"));
        }
        if !spec.tools.contains(&tool) {
            return refuse(format!("agent `{agent}` does not name `{tool}` among its tools"));
        }
        Ok(())
    }

    pub(super) fn agent_of(&self, step: &StepName) -> Option<&AgentSpec> {
        match &self.named(step)?.0.work {
            Work::Agent(agent) => self.env.catalog.agent(agent, *self.run.agents.get(agent)?),
            _ => None,
        }
    }

    /// What is due by itself.
    pub(super) fn tick(&self) -> Vec<Event> {
        let mut events = vec![];
        let now = self.env.now;
        if matches!(self.run.status, Status::Running) {
            for (step, effect, awaited) in self.run.awaited() {
                if awaited.is_open() && awaited.what.due().is_some_and(|due| due <= now) {
                    let answer = Box::new(self.at_deadline(awaited));
                    let (step, effect) = (step.clone(), effect.clone());
                    events.push(Event::Answered { step, effect, answer });
                }
            }
        }
        for (step, effect, write) in self.run.writes() {
            let WriteState::Asking { deadline: Some(deadline), .. } = write.state else { continue };
            if deadline <= now {
                let approved =
                    write.judgement.approved_at_deadline || planted(Mutant::ExpiredApproves);
                let event = WriteEvent::Expired { approved };
                let (step, effect) = (step.clone(), effect.clone());
                events.push(Event::Write { step, effect, asked: None, event });
            }
        }
        events.extend(self.unpark_due());
        events.extend(self.steps_due(|_, at| at <= now));
        let late = self.run.lateness == Lateness::InTime && !self.run.status.is_over();
        if late && self.run.deadline().is_some_and(|deadline| deadline <= now) {
            events.push(Event::Overdue);
        }
        events
    }

    /// The next attempts of steps that wait long for them, and of which `which` holds.
    pub(super) fn steps_due(&self, which: impl Fn(&Step, Timestamp) -> bool) -> Vec<Event> {
        let running = matches!(self.run.status, Status::Running);
        let waiting = self.run.graph().filter_map(|(definition, step)| match step.status {
            StepStatus::BackingOff { at, is_long: true } if running && which(step, at) => {
                let (step, attempt) = (definition.name.clone(), step.attempt + 1);
                Some(Event::StepStarted { step, attempt })
            }
            _ => None,
        });
        waiting.collect()
    }

    fn at_deadline(&self, awaited: &Awaited) -> Answer {
        let (payload, by) = match &awaited.what {
            Awaits::Question(question) => (question.default.clone(), "deadline"),
            _ => (Payload::of(&json!({ "at_ms": self.env.now.0 })).ok(), "time"),
        };
        Answer::new(Labeled::new(payload.unwrap_or_default(), Labels::literal()), by)
    }

    /// An event answers each step that waits for it, once: the same event again answers nothing more.
    pub(super) fn occur(&self, occurrence: &Occurrence) -> Vec<Event> {
        if !matches!(self.run.status, Status::Running) {
            return vec![];
        }
        let known = self.run.awaited().any(|(_, _, awaited)| {
            let is_event = matches!(awaited.what, Awaits::Event { .. });
            let by = awaited.answer.as_ref().map(|answer| answer.by.as_str());
            is_event && by == Some(occurrence.id.as_str())
        });
        if known {
            return vec![];
        }
        let waits = self.run.awaited().filter(|(step, _, awaited)| {
            let right_type =
                matches!(&awaited.what, Awaits::Event { event } if *event == occurrence.event);
            right_type && awaited.is_open() && self.matches(step, occurrence)
        });
        let payload = Payload::of(&occurrence.view()).unwrap_or_default();
        waits
            .map(|(step, effect, _)| {
                let answer = Labeled::new(payload.clone(), occurrence.data.labels.clone());
                Event::Answered {
                    step: step.clone(),
                    effect: effect.clone(),
                    answer: Box::new(Answer::new(answer, occurrence.id.as_str())),
                }
            })
            .collect()
    }

    fn matches(&self, step: &StepName, occurrence: &Occurrence) -> bool {
        let Some((definition, _)) = self.named(step) else { return false };
        let Work::Wait { event: Some(waits), .. } = &definition.work else { return false };
        let Some(when) = &waits.when else { return true };
        let event = Labeled::new(occurrence.view(), occurrence.data.labels.clone());
        let scope: Scope = View::of(self.run, definition).with("event", event).scope();
        // An event over which the condition has no value is not the one that is waited for.
        when.holds(&scope).unwrap_or(false)
    }

    pub(super) fn child_ended(
        &self,
        step: StepName,
        effect: EffectRef,
        end: ChildEnd,
    ) -> Result<Vec<Event>, Refusal> {
        let found = self.named(&step).and_then(|(_, state)| state.awaited(&effect));
        let Some((awaited, child)) = found.and_then(|found| Some((found, found.child()?))) else {
            return Err(self.stale(format!("the end of {step}/{effect}"), "nothing waits for it"));
        };
        let mut events = vec![];
        let unwound = end.unwound;
        if awaited.is_open() {
            let answer = Box::new(end.answer(&child.run));
            let (step, effect) = (step.clone(), effect.clone());
            events.push(Event::Answered { step, effect, answer });
        }
        if let Some(left) = unwound.filter(|_| awaited.unwound.is_none()) {
            events.push(Event::ChildUnwound { step, effect, left });
        }
        Ok(events)
    }

    /// The step must be in attempt `attempt`, or the answer is late.
    pub(super) fn current(&self, step: &StepName, attempt: u32) -> Result<(), Refusal> {
        match self.named(step).map(|(_, state)| (&state.status, state.attempt, state.stand_in)) {
            Some((StepStatus::Running { .. }, current, false)) if current == attempt => Ok(()),
            Some((status, current, _)) => {
                let why = format!("the step is {} in attempt {current}", status.word());
                Err(self.stale(format!("attempt {attempt} of step `{step}`"), &why))
            }
            None => Err(self.stale(format!("step `{step}`"), "the workflow has no such step")),
        }
    }

    /// The effect must not be there yet, its step must be running, and there must be room for it.
    pub(super) fn fresh(&self, step: &StepName, effect: &EffectRef) -> Result<(), Refusal> {
        match self.named(step) {
            Some((_, state)) if state.effect(effect).is_some() => {
                Err(self.stale(format!("effect {step}/{effect}"), "it is recorded already"))
            }
            Some((_, state)) if matches!(state.status, StepStatus::Running { .. }) => {
                let max = self.agent_of(step).map_or(u32::MAX, |spec| spec.effects_max);
                if state.effects.len() < max as usize {
                    return Ok(());
                }
                let problem = format!(
                    "step `{step}` has had {max} effects, which is what its agent declares; raise `EFFECTS_MAX`, or \
                     divide the work among several steps"
                );
                Err(Refusal::Forbidden { problem })
            }
            _ => Err(self.stale(format!("effect {step}/{effect}"), "its step is not running")),
        }
    }
}
