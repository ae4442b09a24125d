//! Answers from inside: what turns, calls and timers tell, as commands.

use ractor::ActorProcessingErr;
use soloist_kernel::{
    effect::{Outcome, WriteState},
    id::{Actor, ConnectorName, OperationName, StepName},
    journal::AppendError,
    payload::{Digest, Payload},
    run::{self, Action, Command, Divergence, EffectRef, Replayed},
    workflow::Work,
};

use super::{
    CallLine, Line, Message, Purpose, TurnEnd,
    active::{Active, CarryOutError},
};
use crate::{
    connector::Room,
    turn::{Reply, TurnError},
};

impl Active {
    /// Handles one message. An error is the end of the actor: the journal is the truth, and the supervisor has it read
    /// again.
    pub(super) async fn on(&mut self, message: Message) -> Result<(), ActorProcessingErr> {
        let result = match message {
            Message::Asked(asked) => {
                self.handled += 1;
                return self.asked(asked).await;
            }
            Message::Recall { line, effect, asked, reply } => {
                self.recall(line, &effect, asked, reply).await
            }
            Message::Record { line, effect, asked, answer, reply } => {
                self.record(line, effect, asked, answer, reply).await
            }
            Message::Propose { line, effect, connector, operation, arguments, reply } => {
                self.propose(line, effect, connector, operation, arguments, reply).await
            }
            Message::ProposeCall { step } => {
                self.under_way.remove(&Action::Propose { step: step.clone() });
                self.propose_call(step).await
            }
            Message::TurnEnded { line, end } => self.turn_ended(line, end).await,
            Message::TimedOut { step, attempt } => self.timed_out(step, attempt).await,
            Message::Wake { step } => {
                self.under_way.retain(
                    |action| !matches!(action, Action::Wake { step: of, .. } if *of == step),
                );
                self.carry_out(Command::Wake { step }, Actor::kernel()).await
            }
            Message::Due { line, purpose } => {
                if self.admit(line.clone(), purpose).is_none() {
                    self.forget_call(&line);
                }
                Ok(())
            }
            Message::Room { line, purpose, room } => self.room(line, purpose, room).await,
            Message::Answered { line, attempt, end } => {
                self.forget_call(&line);
                let CallLine { step, effect, .. } = line;
                let command = match end {
                    Ok(receipt) => Command::Land { step, effect, attempt, receipt },
                    Err(fault) => Command::Fault { step, effect, attempt, fault },
                };
                self.carry_out(command, Actor::kernel()).await
            }
            Message::Probed { line, found } => {
                self.forget_call(&line);
                let CallLine { step, effect, .. } = line;
                self.carry_out(Command::Probed { step, effect, found }, Actor::kernel()).await
            }
            Message::CallLost { line } => {
                self.forget_call(&line);
                Ok(())
            }
            Message::Resume => Ok(()),
        };
        self.tolerate(result)
    }

    /// A refusal of an answer from inside is one that came late: the state has moved on. A journal that does not take a
    /// record ends the actor.
    pub(super) fn tolerate(
        &self,
        result: Result<(), CarryOutError>,
    ) -> Result<(), ActorProcessingErr> {
        match result {
            Ok(()) => Ok(()),
            Err(CarryOutError::Refused(refusal)) => {
                tracing::debug!(run = %self.id, %refusal, "came late");
                Ok(())
            }
            Err(CarryOutError::Append(error)) => Err(self.append_failed(error)),
        }
    }

    pub(super) fn append_failed(&self, error: AppendError) -> ActorProcessingErr {
        if let AppendError::Stopped(stopped) = &error {
            self.context.halt(&stopped.to_string());
        }
        error.into()
    }

    async fn recall(
        &mut self,
        line: Line,
        effect: &EffectRef,
        asked: Digest,
        reply: Reply<Option<Payload>>,
    ) -> Result<(), CarryOutError> {
        let Some(replayed) = self.replay(&line, effect, asked) else { return Ok(()) };
        match replayed {
            Ok(Replayed::Answer(answer)) => drop(reply.send(Ok(Some(answer)))),
            Ok(Replayed::New) => drop(reply.send(Ok(None))),
            Ok(Replayed::Write) => {
                let recorded = format!("a write named {effect}");
                let divergence =
                    Divergence { at: 0, recorded, asked: "an effect that is no write".into() };
                return self.diverged(line, divergence, reply).await;
            }
            Err(divergence) => return self.diverged(line, divergence, reply).await,
        }
        Ok(())
    }

    /// What the journal has for an effect; `None` if the turn is no longer waited for.
    fn replay(
        &mut self,
        line: &Line,
        effect: &EffectRef,
        asked: Digest,
    ) -> Option<Result<Replayed, Divergence>> {
        let (_, state) = self.run.as_ref()?.step(&line.step)?;
        let turn = self.turns.get_mut(&line.step).filter(|_| state.attempt == line.attempt)?;
        Some(turn.replay.ask(state, effect, asked))
    }

    async fn diverged<T>(
        &mut self,
        line: Line,
        divergence: Divergence,
        reply: Reply<T>,
    ) -> Result<(), CarryOutError> {
        let _ = reply.send(Err(TurnError::Diverged(divergence.to_string())));
        self.turns.remove(&line.step);
        let command = Command::Diverge { step: line.step, attempt: line.attempt, divergence };
        self.carry_out(command, Actor::kernel()).await
    }

    async fn record(
        &mut self,
        line: Line,
        effect: EffectRef,
        asked: Digest,
        answer: Payload,
        reply: Reply<()>,
    ) -> Result<(), CarryOutError> {
        let by = self.actor_of(&line.step);
        self.carry_out(Command::Record { step: line.step, effect, asked, answer }, by).await?;
        let _ = reply.send(Ok(()));
        Ok(())
    }

    async fn propose(
        &mut self,
        line: Line,
        effect: EffectRef,
        connector: ConnectorName,
        operation: OperationName,
        arguments: Payload,
        reply: Reply<Outcome>,
    ) -> Result<(), CarryOutError> {
        let asked = Digest::of(arguments.as_str().as_bytes());
        let Some(replayed) = self.replay(&line, &effect, asked) else { return Ok(()) };
        match replayed {
            Err(divergence) => return self.diverged(line, divergence, reply).await,
            Ok(Replayed::Answer(_)) => {
                let (recorded, asked) =
                    (format!("{effect}, which is no write"), "a write".to_owned());
                return self.diverged(line, Divergence { at: 0, recorded, asked }, reply).await;
            }
            Ok(Replayed::Write) => {}
            Ok(Replayed::New) => {
                let (step, by) = (line.step.clone(), self.actor_of(&line.step));
                match self.propose_command(
                    step,
                    effect.clone(),
                    asked,
                    connector,
                    operation,
                    arguments,
                ) {
                    Ok(command) => self.carry_out(command, by).await?,
                    Err(problem) => {
                        let _ = reply
                            .send(Err(TurnError::Effect { effect: effect.to_string(), problem }));
                        return Ok(());
                    }
                }
            }
        }
        let state = self
            .run
            .as_ref()
            .and_then(|run| run.write(&line.step, &effect))
            .map(|write| &write.state);
        if let Some(WriteState::Settled(outcome)) = state {
            let _ = reply.send(Ok(outcome.clone()));
        } else if let Some(turn) = self.turns.get_mut(&line.step) {
            turn.proposals.push((effect, reply));
        }
        Ok(())
    }

    async fn turn_ended(&mut self, line: Line, end: TurnEnd) -> Result<(), CarryOutError> {
        let Line { step, attempt, .. } = line;
        self.under_way.remove(&Action::TakeTurn { step: step.clone(), attempt });
        let turn = self.turns.remove(&step);
        let TurnEnd::Returned(result) = end else { return Ok(()) };
        let by = self.actor_of(&step);
        let command = match (result, turn.map(|turn| turn.replay.end())) {
            (Ok(_), Some(Err(divergence))) => Command::Diverge { step, attempt, divergence },
            (Ok(output), _) => Command::CompleteStep { step, attempt, output },
            (Err(error), _) => Command::FailStep { step, attempt, error },
        };
        self.carry_out(command, by).await
    }

    async fn timed_out(&mut self, step: StepName, attempt: u32) -> Result<(), CarryOutError> {
        let Some((definition, state)) = self.run.as_ref().and_then(|run| run.step(&step)) else {
            return Ok(());
        };
        let timeout = definition.timeout.unwrap_or_default();
        // The operator's time is not the agent's.
        if state.waits_for_operator() {
            let deadline = self.deadline(&step, attempt, timeout);
            if let Some(turn) = self.turns.get_mut(&step) {
                turn.deadline = Some(deadline);
            }
            return Ok(());
        }
        let message =
            format!("the turn did not end within {} s, its step's timeout", timeout.as_secs_f64());
        let error = run::StepError::new(run::StepErrorKind::TimedOut, message);
        self.under_way.remove(&Action::TakeTurn { step: step.clone(), attempt });
        self.turns.remove(&step);
        self.carry_out(Command::FailStep { step, attempt, error }, Actor::kernel()).await
    }

    /// There is room for a call: journal the intent and make the attempt, or probe.
    async fn room(
        &mut self,
        line: CallLine,
        purpose: Purpose,
        room: Room,
    ) -> Result<(), CarryOutError> {
        self.forget_call(&line);
        let CallLine { step, effect, .. } = line.clone();
        if purpose == Purpose::Attempt {
            self.carry_out(
                Command::Attempt { step: step.clone(), effect: effect.clone() },
                Actor::kernel(),
            )
            .await?;
        }
        let Some(write) = self.run.as_ref().and_then(|run| run.write(&step, &effect)).cloned()
        else {
            return Ok(());
        };
        let attempt = write.attempts;
        self.under_way.insert(match (purpose, &write.state) {
            (Purpose::Probe, WriteState::Probing { at, .. }) => {
                Action::Probe { step, effect, at: *at }
            }
            (Purpose::Probe, _) => return Ok(()),
            (Purpose::Attempt, _) => Action::Execute { step, effect, attempt },
        });
        match self.planned(&line, &write) {
            Ok(plan) => self.call(line, purpose, plan, attempt, room),
            Err(fault) => {
                let message = match purpose {
                    Purpose::Attempt => Message::Answered { line, attempt, end: Err(fault) },
                    Purpose::Probe => {
                        Message::Probed { line, found: run::Probed::Unknown { fault } }
                    }
                };
                let _ = self.me.send_message(message);
            }
        }
        Ok(())
    }

    /// The agent of `step`, as the cause of a record.
    fn actor_of(&self, step: &StepName) -> Actor {
        match self
            .run
            .as_ref()
            .and_then(|run| run.step(step))
            .map(|(definition, _)| &definition.work)
        {
            Some(Work::Agent(agent)) => Actor::agent(agent),
            _ => Actor::kernel(),
        }
    }

    /// A call's action is no longer under way.
    fn forget_call(&mut self, line: &CallLine) {
        self.under_way.retain(|action| match action {
            Action::Attempt { step, effect, .. }
            | Action::Execute { step, effect, .. }
            | Action::Probe { step, effect, .. } => *step != line.step || *effect != line.effect,
            Action::TakeTurn { .. } | Action::Propose { .. } | Action::Wake { .. } => true,
        });
    }
}
