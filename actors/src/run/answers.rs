//! Answers from inside: what turns, calls and timers tell, as commands.

use soloist_kernel::{
    id::{Actor, StepName},
    journal::AppendError,
    run::{Action, Asked, Command, EffectRef},
};

use super::{
    CallEnd, CallLine, Lost, Message,
    active::{Active, CarryOutError},
};
use crate::{actor::Error, turn::TurnError};

impl Active {
    /// Handles one message. An error is the end of the actor: the journal is the truth, and the supervisor has it read
    /// again.
    pub(super) async fn on(&mut self, message: Message) -> Result<(), Error> {
        let result = match message {
            Message::Asked(asked) => {
                return self.asked(asked).await;
            }
            Message::Recall { line, effect, asked, reply } => {
                self.recall(line, &effect, Asked::Effect, asked, reply).await
            }
            Message::Record { line, effect, asked, answer, reply } => {
                self.record(line, effect, asked, answer, reply).await
            }
            Message::Reserve { line, effect, call, arguments, reply } => {
                self.reserve(line, effect, call, arguments, reply).await
            }
            Message::Settle { call, end } => self.settle_call(call, end).await,
            Message::Await { line, effect, asked, what, reply } => {
                self.await_(line, effect, asked, what, reply).await
            }
            Message::Propose { line, effect, connector, operation, arguments, reply } => {
                self.propose(line, effect, connector, operation, arguments, reply).await
            }
            Message::Labels { line, reply } => {
                let labels = self.run.as_ref().map(|run| run.turn_labels(&line.step));
                let _ = reply.send(labels.ok_or(TurnError::Abandoned));
                Ok(())
            }
            Message::Heartbeat { line } => {
                self.alive(&line);
                Ok(())
            }
            Message::ProposeCall { step } => {
                self.under_way.remove(&Action::Propose { step: step.clone() });
                self.propose_call(step).await
            }
            Message::Compensate { step, effect } => {
                let action = Action::Compensate { step: step.clone(), effect: effect.clone() };
                self.under_way.remove(&action);
                self.compensate(step, effect).await
            }
            Message::Emitted { step, answer } => self.emitted(step, answer).await,
            Message::NotEmitted { step } => {
                self.again_later(Lost::Action(Action::Emit { step }));
                Ok(())
            }
            Message::TurnEnded { line, end } => self.turn_ended(line, end).await,
            Message::TimedOut { step, attempt, limit } => {
                self.timed_out(step, attempt, limit).await
            }
            Message::Wake { step } => {
                self.under_way.retain(
                    |action| !matches!(action, Action::Wake { step: of, .. } if *of == step),
                );
                self.carry_out(Command::Wake { step }, Actor::kernel()).await.map(drop)
            }
            Message::Tick => {
                // If the clock is not there yet, the alarm is set again.
                self.due = None;
                self.tick().await
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
                self.answered(step, effect, attempt, end).await
            }
            Message::Probed { line, found } => {
                self.forget_call(&line);
                let CallLine { step, effect, .. } = line;
                let command = Command::Probed { step, effect, found };
                self.carry_out(command, Actor::kernel()).await.map(drop)
            }
            Message::NotNow { line, until, reason } => {
                self.forget_call(&line);
                let CallLine { step, effect, .. } = line;
                let command = Command::Park { step, effect, until, reason };
                self.carry_out(command, Actor::kernel()).await.map(drop)
            }
            Message::CallLost { line } => {
                self.again_later(Lost::Call(line));
                Ok(())
            }
            Message::Again { lost } => {
                match lost {
                    Lost::Action(action) => drop(self.under_way.remove(&action)),
                    Lost::Call(line) => self.forget_call(&line),
                }
                Ok(())
            }
            Message::Recover => return self.recover().await,
            Message::Resume => {
                self.looks_again = false;
                Ok(())
            }
        };
        self.tolerate(result)
    }

    /// An attempt has ended.
    pub(super) async fn answered(
        &mut self,
        step: StepName,
        effect: EffectRef,
        attempt: u32,
        end: CallEnd,
    ) -> Result<(), CarryOutError> {
        let payment = self.payment(&step, &effect, &end);
        let command = match end {
            Ok(receipt) => Command::Land { step, effect, attempt, receipt },
            Err(fault) => Command::Fault { step, effect, attempt, fault },
        };
        let command = match payment {
            Some(payment) => Command::Paid { command: Box::new(command), payment },
            None => command,
        };
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    /// A refusal of an answer from inside is one that came late: the state has moved on. A journal that does not take a
    /// record ends the actor.
    pub(super) fn tolerate(&self, result: Result<(), CarryOutError>) -> Result<(), Error> {
        match result {
            Ok(()) => Ok(()),
            Err(CarryOutError::Refused(refusal)) => {
                tracing::debug!(run = %self.id, %refusal, "came late");
                Ok(())
            }
            Err(CarryOutError::Append(error)) => Err(self.append_failed(error)),
        }
    }

    pub(super) fn append_failed(&self, error: AppendError) -> Error {
        if let AppendError::Stopped(stopped) = &error {
            self.context.halt(&stopped.to_string());
        }
        error.into()
    }

    pub(super) async fn tick(&mut self) -> Result<(), CarryOutError> {
        if self.run.is_none() {
            return Ok(());
        }
        self.carry_out(Command::Tick, Actor::kernel()).await.map(drop)
    }
}
