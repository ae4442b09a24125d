//! Setting actions going.

use std::time::Duration;

use ractor::{MessagingErr, concurrency::JoinHandle};
use soloist_kernel::{
    id::{Actor, StepName},
    payload::Digest,
    run::{Action, Command, EffectRef, Replay, StepError, StepErrorKind},
    time::Timestamp,
    workflow::Work,
};
use tokio::sync::oneshot;

use super::{
    CallLine, Line, Message, Purpose,
    active::{Active, TurnUnderWay},
};
use crate::{agents, connector};

/// Wait before an action whose actor is restarting is tried again.
const RESTART_WAIT: Duration = Duration::from_millis(50);

impl Active {
    /// Sets going every action that is not under way yet.
    pub(super) fn launch(&mut self, actions: Vec<Action>) {
        for action in actions {
            if self.under_way.contains(&action) {
                continue;
            }
            self.under_way.insert(action.clone());
            if self.start(&action).is_none() {
                self.under_way.remove(&action);
                self.me.send_after(RESTART_WAIT, || Message::Resume);
            }
        }
    }

    /// Starts one action; `None` if the actor it needs is not there now.
    fn start(&mut self, action: &Action) -> Option<()> {
        match action {
            Action::TakeTurn { step, attempt } => self.take_turn(step, *attempt),
            Action::Propose { step } => {
                let step = step.clone();
                self.tell_me(Message::ProposeCall { step })
            }
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
        }
    }

    fn take_turn(&mut self, step: &StepName, attempt: u32) -> Option<()> {
        let run = self.run.as_ref()?;
        let (definition, state) = run.step(step)?;
        let Work::Agent(agent) = &definition.work else { return Some(()) };
        let timeout = definition.timeout;
        let replay = Replay::new(state);
        let line = Line { run: self.me.clone(), step: step.clone(), attempt };
        let input = match run.step_input(step) {
            Ok(input) => input,
            Err(error) => {
                let end = super::TurnEnd::Returned(Err(error));
                return self.tell_me(Message::TurnEnded { line, end });
            }
        };
        let (waiting, waited_for) = oneshot::channel();
        let message = agents::Message::TakeTurn {
            guard: line.guard(),
            run: self.id.clone(),
            input,
            waited_for,
        };
        self.context.registry.agent(agent)?.send_message(message).ok()?;
        let deadline = timeout.map(|timeout| self.deadline(step, attempt, timeout));
        self.turns.insert(
            step.clone(),
            TurnUnderWay { replay, proposals: vec![], deadline, _waiting: waiting },
        );
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
        if wait > Duration::ZERO {
            self.me.send_after(wait, move || Message::Due { line, purpose });
            return Some(());
        }
        self.admit(line, purpose)
    }

    /// Asks the connector for room.
    pub(super) fn admit(&self, line: CallLine, purpose: Purpose) -> Option<()> {
        let write = self.run.as_ref()?.write(&line.step, &line.effect)?;
        let actor = self.context.registry.connector(&write.proposal.connector)?;
        actor.send_message(connector::Message::Admit { guard: line.waiting(), purpose }).ok()
    }

    /// Plans the write of a `call` step and proposes it.
    pub(super) async fn propose_call(
        &mut self,
        step: StepName,
    ) -> Result<(), super::active::CarryOutError> {
        let Some((Work::Call { connector, operation }, attempt, input)) =
            self.run.as_ref().and_then(|run| {
                let (definition, state) = run.step(&step)?;
                Some((definition.work.clone(), state.attempt, run.step_input(&step)))
            })
        else {
            return Ok(());
        };
        let proposed = match input {
            Ok(arguments) => {
                let asked = Digest::of(arguments.as_str().as_bytes());
                self.propose_command(step.clone(), call(), asked, connector, operation, arguments)
            }
            Err(error) => Err(error.message),
        };
        let command = proposed.unwrap_or_else(|message| {
            let error = StepError::new(StepErrorKind::Invalid, message);
            Command::FailStep { step, attempt, error }
        });
        self.carry_out(command, Actor::kernel()).await
    }

    pub(super) fn deadline(&self, step: &StepName, attempt: u32, timeout: Duration) -> Timer {
        let step = step.clone();
        Timer(self.me.send_after(timeout, move || Message::TimedOut { step, attempt }))
    }

    fn call_line(&self, step: &StepName, effect: &EffectRef) -> CallLine {
        CallLine { run: self.me.clone(), step: step.clone(), effect: effect.clone() }
    }

    fn wait_until(&self, at: Timestamp) -> Duration {
        self.context.env.now().until(at)
    }

    fn tell_me(&self, message: Message) -> Option<()> {
        self.me.send_message(message).ok()
    }
}

/// The one effect of a `call` step.
pub(super) fn call() -> EffectRef {
    EffectRef { name: "call".parse().expect("`call` is a name"), occurrence: 0 }
}

/// A message to come, for as long as it is held.
pub(super) struct Timer(JoinHandle<Result<(), MessagingErr<Message>>>);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
