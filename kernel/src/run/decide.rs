//! The decisions: what a command causes, or why it is refused.

use std::sync::Arc;

use super::{
    advance::{advance, push},
    command::{Command, Probed, Refusal},
    event::{EffectRef, Event, StepError, StepErrorKind, StepRetry},
    state::{EffectState, Run, Status, StepStatus, is_agent},
};
use crate::{
    effect::{
        AfterFault, Decision, Outcome, Proposal, Standing, Write, WriteEvent, WriteState,
        after_absence, after_fault, after_probe,
    },
    fault::{Fault, FaultClass, Phase},
    id::{InboxId, RunId, StepName, WorkflowRef},
    inbox,
    payload::Payload,
    policy::{Evidence, Policy, Verdict},
    retry::{RetryPolicy, jitter},
    time::Timestamp,
    workflow::Workflow,
};

/// Begins a run: its first events, and the state they lead to.
#[must_use]
pub fn start(
    id: RunId,
    workflow: WorkflowRef,
    definition: Arc<Workflow>,
    input: Payload,
    now: Timestamp,
) -> (Vec<Event>, Run) {
    let mut events = vec![Event::Started { workflow: workflow.clone(), input: input.clone() }];
    let mut run = Run::started(id, workflow, definition, input, now);
    advance(&mut run, &mut events, now);
    (events, run)
}

/// Decides what `command` causes in `run` at `now` under `policy`. An empty answer means that nothing needs to change.
///
/// # Errors
///
/// [`Refusal`] says why the command cannot be carried out; the run is as it was.
pub fn decide(
    run: &Run,
    command: Command,
    now: Timestamp,
    policy: &Policy,
) -> Result<Vec<Event>, Refusal> {
    transition(run, command, now, policy).map(|(events, _)| events)
}

/// [`decide`], and the state that its events lead to: deciding what follows from an event folds it in anyway, and a caller
/// that carries the decision out need not do so again.
///
/// # Errors
///
/// As [`decide`].
pub fn transition(
    run: &Run,
    command: Command,
    now: Timestamp,
    policy: &Policy,
) -> Result<(Vec<Event>, Run), Refusal> {
    let first = Decider { run, now, policy }.first(command)?;
    let mut next = run.clone();
    let mut events = vec![];
    for event in first {
        push(&mut next, &mut events, event, now);
    }
    if !events.is_empty() && matches!(next.status, Status::Running) {
        finish_call_steps(&mut next, &mut events, now);
        advance(&mut next, &mut events, now);
    }
    Ok((events, next))
}

/// A `call` step is over when its write is.
fn finish_call_steps(run: &mut Run, events: &mut Vec<Event>, now: Timestamp) {
    let settled: Vec<Event> = run
        .graph()
        .filter(|(definition, step)| {
            !is_agent(&definition.work) && matches!(step.status, StepStatus::Running { .. })
        })
        .filter_map(|(definition, step)| {
            let EffectState::Write(write) = &step.effects.first()?.state else { return None };
            let WriteState::Settled(outcome) = &write.state else { return None };
            Some(call_step_ended(&definition.name, outcome))
        })
        .collect();
    for event in settled {
        push(run, events, event, now);
    }
}

fn call_step_ended(step: &StepName, outcome: &Outcome) -> Event {
    let step = step.clone();
    match outcome {
        Outcome::Landed { .. } | Outcome::Denied { .. } | Outcome::Aborted { .. } => {
            Event::StepCompleted { step, output: outcome.payload() }
        }
        Outcome::Failed { fault } => {
            let error = StepError::new(StepErrorKind::WriteFailed, fault.to_string());
            Event::StepFailed { step, error, next: StepRetry::Never }
        }
    }
}

struct Decider<'a> {
    run: &'a Run,
    now: Timestamp,
    policy: &'a Policy,
}

impl Decider<'_> {
    /// The events that the command causes directly.
    fn first(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        match self.run.status {
            Status::Running => self.while_running(command),
            Status::Failed { .. } => self.after_failure(command),
            Status::Completed { .. } => Err(self.over()),
        }
    }

    /// A failed run takes no new step and makes no new attempt, and still accounts for what it has under way: a write that may
    /// have happened is never forgotten.
    fn after_failure(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        if let Command::Decide { item, decision, by } = &command {
            if *item == inbox::incident_id(&self.run.id) {
                return self.dismiss(item, decision, by);
            }
            return self.decided_after_failure(item, decision.clone(), by.clone());
        }
        match command {
            Command::Land { .. }
            | Command::Fault { .. }
            | Command::Probed { .. }
            | Command::Recover => {
                let events = self.while_running(command)?;
                Ok(events.into_iter().map(without_another_attempt).collect())
            }
            _ => Err(self.over()),
        }
    }

    /// What the operator knows of an ambiguous write settles it; if it did not happen, it is not tried again.
    fn decided_after_failure(
        &self,
        item: &InboxId,
        decision: Decision,
        by: String,
    ) -> Result<Vec<Event>, Refusal> {
        let (_, _, write) = self.waiting(item)?;
        if !matches!(write.state, WriteState::Ambiguous { .. }) {
            return Err(self.over());
        }
        let decision = match decision {
            Decision::Resolve { happened: false } => {
                let reason =
                    "it did not happen, and its run has failed, so it is not tried again".into();
                Decision::Abort { reason }
            }
            decision => decision,
        };
        self.decided(item, decision, by)
    }

    fn over(&self) -> Refusal {
        Refusal::Over { run: self.run.id.clone(), status: self.run.status.word() }
    }

    fn while_running(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::CompleteStep { step, attempt, output } => self.complete(step, attempt, output),
            Command::FailStep { step, attempt, error } => self.fail(step, attempt, error),
            Command::Diverge { step, attempt, divergence } => {
                let error = StepError::new(StepErrorKind::Diverged, divergence.to_string());
                self.fail(step, attempt, error)
            }
            Command::Wake { step } => self.wake(step),
            Command::Record { step, effect, asked, answer } => {
                self.fresh(&step, &effect)?;
                Ok(vec![Event::Recorded { step, effect, asked, answer }])
            }
            Command::Propose { step, effect, asked, proposal, evidence } => {
                self.fresh(&step, &effect)?;
                let judgement = self.policy.judge(&proposal, &evidence);
                let event = WriteEvent::Proposed { proposal, judgement };
                Ok(vec![Event::Write { step, effect, asked: Some(asked), event }])
            }
            Command::Attempt { step, effect } => self.attempt(step, effect),
            Command::Land { step, effect, attempt, receipt } => {
                self.attempting(&step, &effect, attempt)?;
                Ok(vec![write_event(step, effect, WriteEvent::Landed { receipt })])
            }
            Command::Fault { step, effect, attempt, fault } => {
                let write = self.attempting(&step, &effect, attempt)?;
                let next =
                    after_fault(&fault, &self.standing(&step, &effect, write), &RetryPolicy::WRITE);
                Ok(vec![write_event(step, effect, WriteEvent::Faulted { fault, next })])
            }
            Command::Probed { step, effect, found } => self.probed(step, effect, found),
            Command::Decide { item, decision, by } => self.decided(&item, decision, by),
            Command::Modify { item, proposal, evidence, by } => {
                self.modified(&item, proposal, &evidence, by)
            }
            Command::Recover => Ok(self.recover()),
        }
    }

    fn complete(
        &self,
        step: StepName,
        attempt: u32,
        output: Payload,
    ) -> Result<Vec<Event>, Refusal> {
        self.current(&step, attempt)?;
        let open = self.run.writes().find(|(name, _, write)| **name == step && !write.is_settled());
        if let Some((_, effect, _)) = open {
            let message = format!(
                "the turn ended while its proposal {effect} was still open; await every proposal"
            );
            return self.fail(step, attempt, StepError::new(StepErrorKind::Invalid, message));
        }
        Ok(vec![Event::StepCompleted { step, output }])
    }

    fn fail(&self, step: StepName, attempt: u32, error: StepError) -> Result<Vec<Event>, Refusal> {
        self.current(&step, attempt)?;
        let retry =
            self.run.step(&step).map_or(RetryPolicy::NEVER, |(definition, _)| definition.retry);
        let next = if error.kind.passes() && retry.allows_after(attempt) {
            let chance = jitter(&format!("{}/{step}", self.run.id), attempt);
            StepRetry::At(self.now.after(retry.delay(attempt, chance)))
        } else {
            StepRetry::Never
        };
        Ok(vec![Event::StepFailed { step, error, next }])
    }

    fn wake(&self, step: StepName) -> Result<Vec<Event>, Refusal> {
        match self.run.step(&step).map(|(_, state)| (&state.status, state.attempt)) {
            Some((StepStatus::BackingOff { .. }, attempt)) => {
                Ok(vec![Event::StepStarted { step, attempt: attempt + 1 }])
            }
            _ => Err(self.stale(format!("the wake-up of step `{step}`"), "it does not wait")),
        }
    }

    fn attempt(&self, step: StepName, effect: EffectRef) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        match write.state {
            WriteState::Granted | WriteState::Retrying { .. } => {
                let attempt = write.attempts + 1;
                Ok(vec![write_event(step, effect, WriteEvent::Attempted { attempt })])
            }
            _ => Err(self.stale(format!("an attempt of {step}/{effect}"), write.state.word())),
        }
    }

    fn probed(
        &self,
        step: StepName,
        effect: EffectRef,
        found: Probed,
    ) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        let WriteState::Probing { probes, .. } = write.state else {
            return Err(self.stale(format!("a probe of {step}/{effect}"), write.state.word()));
        };
        let standing = self.standing(&step, &effect, write);
        let event = match found {
            Probed::Landed { receipt } => WriteEvent::Landed { receipt },
            Probed::Absent => {
                WriteEvent::ProvenAbsent { next: after_absence(&standing, &RetryPolicy::WRITE) }
            }
            Probed::Unknown { fault } => {
                let next = after_probe(&fault, probes + 1, &standing, &RetryPolicy::WRITE);
                WriteEvent::Faulted { fault, next }
            }
        };
        Ok(vec![write_event(step, effect, event)])
    }

    /// A decision about a write that waits.
    fn decided(
        &self,
        item: &InboxId,
        decision: Decision,
        by: String,
    ) -> Result<Vec<Event>, Refusal> {
        let (step, effect, write) = self.waiting(item)?;
        let event = match (&write.state, decision) {
            (WriteState::Asking { .. }, Decision::Approve) => WriteEvent::Approved { by },
            (_, Decision::Abort { reason }) => WriteEvent::Aborted { by, reason },
            (WriteState::Ambiguous { .. }, Decision::Resolve { happened }) => {
                WriteEvent::Resolved { by, happened }
            }
            (WriteState::Ambiguous { .. }, Decision::Approve) => {
                let problem = format!(
                    "item {item} may have happened already, so approving it could do it twice; say `soloist inbox resolve \
                     {item} --happened` or `--did-not-happen` (which sends it again), or abort it"
                );
                return Err(Refusal::Unfit { problem });
            }
            (_, Decision::Resolve { .. }) => {
                let problem = format!(
                    "item {item} has not been attempted, so there is nothing to resolve; approve, modify or abort it"
                );
                return Err(Refusal::Unfit { problem });
            }
            (_, Decision::Approve) => return Err(Refusal::NotWaiting { item: item.clone() }),
        };
        Ok(vec![write_event(step, effect, event)])
    }

    fn modified(
        &self,
        item: &InboxId,
        proposal: Box<Proposal>,
        evidence: &Evidence,
        by: String,
    ) -> Result<Vec<Event>, Refusal> {
        let (step, effect, write) = self.waiting(item)?;
        if !matches!(write.state, WriteState::Asking { .. }) {
            let problem = format!(
                "item {item} may have happened already, so it cannot be changed; resolve or abort it"
            );
            return Err(Refusal::Unfit { problem });
        }
        let judgement = self.policy.judge(&proposal, evidence);
        if judgement.verdict == Verdict::Deny {
            return Err(Refusal::Denied { rule: judgement.rule, reason: judgement.reason });
        }
        Ok(vec![write_event(step, effect, WriteEvent::Modified { by, proposal, judgement })])
    }

    fn dismiss(
        &self,
        item: &InboxId,
        decision: &Decision,
        by: &str,
    ) -> Result<Vec<Event>, Refusal> {
        if *item != inbox::incident_id(&self.run.id) {
            return Err(Refusal::NotWaiting { item: item.clone() });
        }
        match decision {
            Decision::Abort { .. } => Ok(vec![Event::Dismissed { by: by.into() }]),
            Decision::Approve | Decision::Resolve { .. } => {
                let problem = format!(
                    "item {item} is an incident: its run has failed. `soloist inbox abort {item}` dismisses it"
                );
                Err(Refusal::Unfit { problem })
            }
        }
    }

    /// Nothing is known of attempts that the last process had under way.
    fn recover(&self) -> Vec<Event> {
        let lost =
            self.run.writes().filter(|(_, _, write)| matches!(write.state, WriteState::Attempting));
        lost.map(|(step, effect, write)| {
            let message = "the process died while the attempt was under way";
            let fault = Fault::new(FaultClass::Crash, Phase::MaybeSent, message);
            let next =
                after_fault(&fault, &self.standing(step, effect, write), &RetryPolicy::WRITE);
            write_event(step.clone(), effect.clone(), WriteEvent::Faulted { fault, next })
        })
        .collect()
    }

    fn standing(&self, step: &StepName, effect: &EffectRef, write: &Write) -> Standing {
        let key = self.run.effect_id(step, effect).key();
        Standing {
            semantics: write.proposal.semantics,
            attempts: write.attempts,
            age: write.age(self.now),
            now: self.now,
            chance: jitter(key.as_str(), write.attempts),
        }
    }

    fn write(&self, step: &StepName, effect: &EffectRef) -> Result<&Write, Refusal> {
        let found = self.run.write(step, effect);
        found.ok_or_else(|| self.stale(format!("{step}/{effect}"), "there is no such write"))
    }

    fn attempting(
        &self,
        step: &StepName,
        effect: &EffectRef,
        attempt: u32,
    ) -> Result<&Write, Refusal> {
        let write = self.write(step, effect)?;
        if matches!(write.state, WriteState::Attempting) && write.attempts == attempt {
            return Ok(write);
        }
        Err(self.stale(
            format!("the answer to attempt {attempt} of {step}/{effect}"),
            write.state.word(),
        ))
    }

    fn waiting(&self, item: &InboxId) -> Result<(StepName, EffectRef, &Write), Refusal> {
        inbox::find(self.run, item)
            .map(|(step, effect, write)| (step.clone(), effect.clone(), write))
            .ok_or_else(|| Refusal::NotWaiting { item: item.clone() })
    }

    /// The step must be in attempt `attempt`, or the answer is late.
    fn current(&self, step: &StepName, attempt: u32) -> Result<(), Refusal> {
        match self.run.step(step).map(|(_, state)| (&state.status, state.attempt)) {
            Some((StepStatus::Running { .. }, current)) if current == attempt => Ok(()),
            Some((status, current)) => {
                let why = format!("the step is {} in attempt {current}", status.word());
                Err(self.stale(format!("attempt {attempt} of step `{step}`"), &why))
            }
            None => Err(self.stale(format!("step `{step}`"), "the workflow has no such step")),
        }
    }

    /// The effect must not be there yet, and its step must be running.
    fn fresh(&self, step: &StepName, effect: &EffectRef) -> Result<(), Refusal> {
        match self.run.step(step) {
            Some((_, state)) if state.effect(effect).is_some() => {
                Err(self.stale(format!("effect {step}/{effect}"), "it is recorded already"))
            }
            Some((_, state)) if matches!(state.status, StepStatus::Running { .. }) => Ok(()),
            _ => Err(self.stale(format!("effect {step}/{effect}"), "its step is not running")),
        }
    }

    fn stale(&self, what: String, why: &str) -> Refusal {
        Refusal::Stale { run: self.run.id.clone(), what, why: why.into() }
    }
}

/// An attempt that would be repeated is not: it failed if that is certain, and else the operator is asked.
fn without_another_attempt(event: Event) -> Event {
    let Event::Write { step, effect, asked, event } = event else { return event };
    let event = match event {
        WriteEvent::Faulted { fault, next: AfterFault::Retry { .. } } => {
            let certain = !matches!(fault.phase, Phase::MaybeSent);
            WriteEvent::Faulted {
                fault,
                next: if certain { AfterFault::Fail } else { AfterFault::Ask },
            }
        }
        WriteEvent::ProvenAbsent { .. } => WriteEvent::ProvenAbsent { next: AfterFault::Fail },
        event => event,
    };
    Event::Write { step, effect, asked, event }
}

fn write_event(step: StepName, effect: EffectRef, event: WriteEvent) -> Event {
    Event::Write { step, effect, asked: None, event }
}
