//! Setting actions going.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use soloist_kernel::{
    gate::RetryCost,
    id::{Actor, StepName},
    payload::Digest,
    run::{Action, Command, EffectRef, Replay, Run, StepError, StepErrorKind},
    time::Timestamp,
    workflow::Work,
};
use tokio::{sync::oneshot, task::AbortHandle};

use super::{
    Asked, CallLine, Limit, Line, Lost, Message, Purpose, TurnEnd,
    active::{Active, CarryOutError, TurnUnderWay},
};
use crate::{
    agents,
    connector::{self, Admit},
};

/// Wait before an action whose actor is restarting is tried again.
pub(super) const RESTART_WAIT: Duration = Duration::from_millis(50);

/// Longest wait for an attempt or a probe that is spent in memory. Longer waits are durable timers, not sleeping actors.
const INLINE_MAX: Duration = Duration::from_secs(30);

/// How often a write looks for a connector that is not mounted. It is woken when that is.
const UNMOUNTED_WAIT: Duration = Duration::from_secs(3_600);

impl Active {
    /// Sets going every action that is not under way yet; what has a higher priority first.
    pub(super) fn launch(&mut self, mut actions: Vec<Action>) {
        if let Some(run) = &self.run {
            actions.sort_by_key(|action| {
                step_of(action).and_then(|step| run.step(step)).map(|(step, _)| step.priority)
            });
        }
        for action in actions {
            if self.under_way.contains(&action) {
                continue;
            }
            self.under_way.insert(action.clone());
            if self.start(&action).is_none() {
                self.under_way.remove(&action);
                // One look is for all of them: with one for each, each would lead to as many again.
                if !self.looks_again {
                    self.looks_again = true;
                    self.me.send_after(RESTART_WAIT, || Message::Resume);
                }
            }
        }
    }

    /// What was lost with its actor is set going again in a moment: the actor's successor may not be there yet.
    pub(super) fn again_later(&self, lost: Lost) {
        self.me.send_after(RESTART_WAIT, || Message::Again { lost });
    }

    /// Starts one action; `None` if the actor it needs is not there now.
    fn start(&mut self, action: &Action) -> Option<()> {
        match action {
            Action::TakeTurn { step, attempt } => self.take_turn(step, *attempt),
            Action::Propose { step } => {
                let step = step.clone();
                self.tell_me(Message::ProposeCall { step })
            }
            Action::Compensate { step, effect } => {
                let (step, effect) = (step.clone(), effect.clone());
                self.tell_me(Message::Compensate { step, effect })
            }
            Action::Emit { step } => self.emit(step),
            Action::Wake { step, at } => {
                let (wait, step) = (self.wait_until(*at), step.clone());
                self.me.send_after(wait, || Message::Wake { step });
                Some(())
            }
            Action::Attempt { step, effect, at } => {
                self.admit_at(step, effect, *at, Purpose::Attempt)
            }
            Action::Probe { step, effect, at } => self.admit_at(step, effect, *at, Purpose::Probe),
            // An attempt is set going with the room it was admitted to, never from here: one that is outstanding and not
            // under way was lost with its process, and `Recover` has said so.
            Action::Execute { .. } => Some(()),
            Action::AbortChild { run, .. } | Action::UnwindChild { run, .. } => {
                let by = format!("run:{}", self.id);
                let cancelled = self.run.as_ref().is_some_and(Run::is_cancelled);
                let command = match action {
                    Action::AbortChild { .. } if cancelled => {
                        let reason = "the run above was cancelled".into();
                        Command::Cancel { by: by.clone(), reason }
                    }
                    Action::AbortChild { .. } => {
                        let reason = "the run above no longer waits for it".into();
                        Command::Abort { by: by.clone(), reason }
                    }
                    _ => {
                        let reason = "the run above takes back what it did".into();
                        Command::Abort { by: by.clone(), reason }
                    }
                };
                let command = Box::new(command);
                self.tell_run(run.clone(), Asked::Command { command, by, reply: None });
                Some(())
            }
        }
    }

    fn take_turn(&mut self, step: &StepName, attempt: u32) -> Option<()> {
        let run = self.run.as_ref()?;
        let (definition, state) = run.step(step)?;
        let Work::Agent(agent) = &definition.work else { return Some(()) };
        let (timeout, heartbeat) = (definition.timeout, definition.heartbeat);
        let replay = Replay::new(state);
        let version = self.context.version_of(agent, &run.agents);
        let line = Line {
            run: self.me.clone(),
            step: step.clone(),
            attempt,
            version: version.unwrap_or_default(),
        };
        let known =
            version.filter(|version| self.context.mounted().agent(agent, *version).is_some());
        let input = match (known, run.step_input(step)) {
            (None, _) => {
                let version = version.map_or_else(String::new, |version| format!("@{version}"));
                let message = format!(
                    "agent `{agent}{version}` is not there; add it to the kernel, or migrate the run to a version that does \
                     without it"
                );
                Err(StepError::new(StepErrorKind::Invalid, message))
            }
            (Some(_), input) => input,
        };
        let input = match input {
            Ok(input) => input.value.value,
            Err(error) => {
                let end = TurnEnd::Returned(Err(error));
                return self.tell_me(Message::TurnEnded { line, end });
            }
        };
        let (waiting, waited_for) = oneshot::channel();
        let busy = Arc::new(AtomicUsize::new(1));
        let message = agents::Message::TakeTurn {
            guard: line.guard(),
            run: self.id.clone(),
            input,
            busy: busy.clone(),
            waited_for,
        };
        // If the pool is gone, the guard says so.
        let _ = self.context.registry.pool(agent, version?)?.send(message);
        let deadline = timeout.map(|timeout| self.deadline(step, attempt, timeout, Limit::Timeout));
        let heartbeat =
            heartbeat.map(|after| self.deadline(step, attempt, after, Limit::Heartbeat));
        let turn = TurnUnderWay {
            attempt,
            replay,
            proposals: vec![],
            waits: vec![],
            deadline,
            heartbeat,
            busy,
            _waiting: waiting,
        };
        self.turns.insert(step.clone(), turn);
        Some(())
    }

    fn admit_at(
        &self,
        step: &StepName,
        effect: &EffectRef,
        at: Timestamp,
        purpose: Purpose,
    ) -> Option<()> {
        let line = self.call_line(step, effect);
        let wait = self.wait_until(at);
        if wait > INLINE_MAX {
            let reason = self.why_later(&line, at, purpose);
            return self.tell_me(Message::NotNow { line, until: at, reason });
        }
        if wait > Duration::ZERO {
            self.me.send_after(wait, move || Message::Due { line, purpose });
            return Some(());
        }
        self.admit(line, purpose)
    }

    /// Why a write is attempted or probed only at `at`, for a person.
    fn why_later(&self, line: &CallLine, at: Timestamp, purpose: Purpose) -> String {
        let write = self.run.as_ref().and_then(|run| run.write(&line.step, &line.effect));
        let doubt = write.and_then(|write| write.doubt.as_ref());
        let fault = doubt.map_or_else(|| "its last fault".into(), ToString::to_string);
        match purpose {
            Purpose::Attempt => format!("it is tried again at {at}, as after {fault}"),
            Purpose::Probe => format!("it is looked for at {at}, after {fault}"),
        }
    }

    /// Asks the connector for room.
    pub(super) fn admit(&self, line: CallLine, purpose: Purpose) -> Option<()> {
        let run = self.run.as_ref()?;
        let write = run.write(&line.step, &line.effect)?;
        let priority = run.step(&line.step)?.0.priority;
        let doubt = write.doubt.is_some();
        let cost = if doubt { RetryCost::Ambiguous } else { RetryCost::Certain };
        let (operation, since) = (write.proposal.operation.clone(), write.queued_at);
        let retry = (write.attempts > 0).then_some(cost);
        let connector = &write.proposal.connector;
        if !self.context.mounted().connectors.contains_key(connector) {
            let until = self.context.env.now().after(UNMOUNTED_WAIT);
            let reason = format!("connector `{connector}` is not mounted");
            return self.tell_me(Message::NotNow { line, until, reason });
        }
        let actor = self.context.registry.connector(connector)?;
        let guard = line.waiting();
        // If the connector is gone, the guard says so.
        let run = self.id.clone();
        let admit = Admit { run, guard, purpose, operation, priority, since, retry };
        let _ = actor.send(connector::Message::Admit(Box::new(admit)));
        Some(())
    }

    /// Plans the write of a `call` step and proposes it.
    pub(super) async fn propose_call(&mut self, step: StepName) -> Result<(), CarryOutError> {
        let Some((Work::Call { connector, operation }, attempt, input)) =
            self.run.as_ref().and_then(|run| {
                let (definition, state) = run.step(&step)?;
                Some((definition.work.clone(), state.attempt, run.step_input(&step)))
            })
        else {
            return Ok(());
        };
        let proposed = match input {
            Ok(input) => {
                let arguments = input.value.value;
                let asked = Digest::of(arguments.as_str().as_bytes());
                self.propose_command(step.clone(), call(), asked, connector, operation, arguments)
            }
            Err(error) => Err(error.message),
        };
        let command = proposed.unwrap_or_else(|message| {
            let error = StepError::new(StepErrorKind::Invalid, message);
            Command::FailStep { step, attempt, error }
        });
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    pub(super) fn deadline(
        &self,
        step: &StepName,
        attempt: u32,
        after: Duration,
        limit: Limit,
    ) -> Timer {
        let step = step.clone();
        Timer(self.me.send_after(after, move || Message::TimedOut { step, attempt, limit }))
    }

    fn call_line(&self, step: &StepName, effect: &EffectRef) -> CallLine {
        CallLine {
            run: self.me.clone(),
            home: self.supervisor.clone(),
            id: self.id.clone(),
            step: step.clone(),
            effect: effect.clone(),
        }
    }

    fn wait_until(&self, at: Timestamp) -> Duration {
        self.context.env.now().until(at)
    }

    fn tell_me(&self, message: Message) -> Option<()> {
        self.me.send(message).ok()
    }
}

fn step_of(action: &Action) -> Option<&StepName> {
    match action {
        Action::TakeTurn { step, .. }
        | Action::Propose { step }
        | Action::Emit { step }
        | Action::Wake { step, .. }
        | Action::Attempt { step, .. }
        | Action::Execute { step, .. }
        | Action::Probe { step, .. }
        | Action::Compensate { step, .. }
        | Action::AbortChild { step, .. }
        | Action::UnwindChild { step, .. } => Some(step),
    }
}

/// The one effect of a `call` step.
pub(super) fn call() -> EffectRef {
    EffectRef { name: "call".parse().expect("`call` is a name"), occurrence: 0 }
}

/// A message to come, for as long as it is held.
pub(super) struct Timer(AbortHandle);

impl Timer {
    pub(super) fn new(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
