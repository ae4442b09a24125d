//! What turns ask for, and how they end.

use serde_json::json;
use soloist_kernel::{
    effect::{Outcome, WriteState},
    id::{Actor, ConnectorName, EventId, OperationName, StepName},
    labels::Labeled,
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    run::{
        self, Action, Asked, Command, Divergence, EffectRef, Occurrence, Replayed, Request,
        StepError, StepErrorKind,
    },
    workflow::Work,
};

use super::{
    Limit, Line, Lost, Message, TurnEnd,
    active::{Active, CarryOutError},
};
use crate::{
    events,
    turn::{Reply, TurnError},
};

impl Active {
    pub(super) async fn recall(
        &mut self,
        line: Line,
        effect: &EffectRef,
        kind: Asked,
        asked: Digest,
        reply: Reply<Option<Payload>>,
    ) -> Result<(), CarryOutError> {
        self.alive(&line);
        let Some(replayed) = self.replay(&line, effect, kind, asked) else { return Ok(()) };
        match replayed {
            Ok(Replayed::Answer(_)) if planted(Mutant::AnswersNotReplayed) => {
                drop(reply.send(Ok(None)));
            }
            Ok(Replayed::Answer(answer)) => drop(reply.send(Ok(Some(answer.value)))),
            Ok(Replayed::New | Replayed::UnderWay) => drop(reply.send(Ok(None))),
            Err(divergence) => return self.diverged(line, divergence, reply).await,
        }
        Ok(())
    }

    /// What the journal has for an effect; `None` if the turn is no longer waited for.
    fn replay(
        &mut self,
        line: &Line,
        effect: &EffectRef,
        kind: Asked,
        asked: Digest,
    ) -> Option<Result<Replayed, Divergence>> {
        let (_, state) = self.run.as_ref()?.step(&line.step)?;
        let turn = self.turns.get_mut(&line.step).filter(|_| state.attempt == line.attempt)?;
        Some(turn.replay.ask(state, effect, kind, asked))
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
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    pub(super) async fn record(
        &mut self,
        line: Line,
        effect: EffectRef,
        asked: Digest,
        answer: Labeled<Payload>,
        reply: Reply<()>,
    ) -> Result<(), CarryOutError> {
        self.alive(&line);
        let has = |run: &run::Run| Some(run.step(&line.step)?.1.effect(&effect).is_some());
        let is_there = || self.run.as_ref().and_then(has).unwrap_or(false);
        if planted(Mutant::AnswersNotReplayed) && is_there() {
            let _ = reply.send(Ok(()));
            return Ok(());
        }
        let by = self.actor_of(&line.step);
        let command = Command::Record { step: line.step, effect, asked, answer };
        if let Some(reply) = self.wish(command, by, reply).await? {
            let _ = reply.send(Ok(()));
        }
        Ok(())
    }

    /// Carries out a turn's wish. What the turn may not have, it is told; else its reply is handed back.
    async fn wish<T>(
        &mut self,
        command: Command,
        by: Actor,
        reply: Reply<T>,
    ) -> Result<Option<Reply<T>>, CarryOutError> {
        match self.carry_out(command, by).await {
            Ok(_) => Ok(Some(reply)),
            Err(CarryOutError::Refused(run::Refusal::Forbidden { problem })) => {
                let _ = reply.send(Err(TurnError::Forbidden(problem)));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A turn asks for something that takes its time.
    pub(super) async fn await_(
        &mut self,
        line: Line,
        effect: EffectRef,
        asked: Digest,
        what: Request,
        reply: Reply<Payload>,
    ) -> Result<(), CarryOutError> {
        self.alive(&line);
        let Some(replayed) = self.replay(&line, &effect, Asked::Wait, asked) else { return Ok(()) };
        let reply = match replayed {
            Err(divergence) => return self.diverged(line, divergence, reply).await,
            Ok(Replayed::New) => {
                let (step, by) = (line.step.clone(), self.actor_of(&line.step));
                let command = Command::Await { step, effect: effect.clone(), asked, what };
                // What is asked for is answered once it is there, in `answer_turns`, so the reply waits with the turn.
                match self.wish(command, by, reply).await? {
                    Some(reply) => reply,
                    None => return Ok(()),
                }
            }
            Ok(Replayed::UnderWay | Replayed::Answer(_)) => reply,
        };
        let state = self.run.as_ref().and_then(|run| run.step(&line.step)).map(|(_, state)| state);
        let answer = state
            .and_then(|state| state.awaited(&effect))
            .and_then(|awaited| awaited.answer.as_ref())
            .map(|answer| answer.payload.value.clone());
        if let Some(answer) = answer {
            let _ = reply.send(Ok(answer));
        } else if let Some(turn) = self.turns.get_mut(&line.step) {
            turn.waits.push((effect, reply));
        }
        Ok(())
    }

    pub(super) async fn propose(
        &mut self,
        line: Line,
        effect: EffectRef,
        connector: ConnectorName,
        operation: OperationName,
        arguments: Payload,
        reply: Reply<Outcome>,
    ) -> Result<(), CarryOutError> {
        self.alive(&line);
        let asked = Digest::of(arguments.as_str().as_bytes());
        let Some(replayed) = self.replay(&line, &effect, Asked::Write, asked) else {
            return Ok(());
        };
        let reply = match replayed {
            Err(divergence) => return self.diverged(line, divergence, reply).await,
            Ok(Replayed::UnderWay | Replayed::Answer(_)) => reply,
            Ok(Replayed::New) => {
                let (step, by) = (line.step.clone(), self.actor_of(&line.step));
                let planned = self.propose_command(
                    step,
                    effect.clone(),
                    asked,
                    connector,
                    operation,
                    arguments,
                );
                let command = match planned {
                    Ok(command) => command,
                    Err(problem) => {
                        let effect = effect.to_string();
                        let _ = reply.send(Err(TurnError::Effect { effect, problem }));
                        return Ok(());
                    }
                };
                match self.wish(command, by, reply).await? {
                    Some(reply) => reply,
                    None => return Ok(()),
                }
            }
        };
        let write = self.run.as_ref().and_then(|run| run.write(&line.step, &effect));
        if let Some(WriteState::Settled(outcome)) = write.map(|write| &write.state) {
            let _ = reply.send(Ok(outcome.clone()));
        } else if let Some(turn) = self.turns.get_mut(&line.step) {
            turn.proposals.push((effect, reply));
        }
        Ok(())
    }

    pub(super) async fn turn_ended(
        &mut self,
        line: Line,
        end: TurnEnd,
    ) -> Result<(), CarryOutError> {
        let Line { step, attempt, .. } = line;
        let action = Action::TakeTurn { step: step.clone(), attempt };
        // A turn that timed out can end when the next attempt's is under way.
        let ended = self.turns.get(&step).is_some_and(|turn| turn.attempt == attempt);
        let turn = if ended { self.turns.remove(&step) } else { None };
        let TurnEnd::Returned(result) = end else {
            self.again_later(Lost::Action(action));
            return Ok(());
        };
        self.under_way.remove(&action);
        let by = self.actor_of(&step);
        let command = match (result, turn.map(|turn| turn.replay.end())) {
            (Ok(_), Some(Err(divergence))) => Command::Diverge { step, attempt, divergence },
            (Ok(output), _) => Command::CompleteStep { step, attempt, output },
            (Err(error), _) => Command::FailStep { step, attempt, error },
        };
        self.carry_out(command, by).await.map(drop)
    }

    pub(super) async fn timed_out(
        &mut self,
        step: StepName,
        attempt: u32,
        limit: Limit,
    ) -> Result<(), CarryOutError> {
        let Some((definition, state)) = self.run.as_ref().and_then(|run| run.step(&step)) else {
            return Ok(());
        };
        let after = match limit {
            Limit::Timeout => definition.timeout,
            Limit::Heartbeat => definition.heartbeat,
        };
        let after = after.unwrap_or_default();
        // The time of the operator, of another run, of the calendar is not the agent's.
        if state.waits() {
            let deadline = self.deadline(&step, attempt, after, limit);
            if let Some(turn) = self.turns.get_mut(&step) {
                match limit {
                    Limit::Timeout => turn.deadline = Some(deadline),
                    Limit::Heartbeat => turn.heartbeat = Some(deadline),
                }
            }
            return Ok(());
        }
        let seconds = after.as_secs_f64();
        let message = match limit {
            Limit::Timeout => {
                format!("the turn did not end within {seconds} s, its step's timeout")
            }
            Limit::Heartbeat => {
                format!("the turn gave no sign of life for {seconds} s, its step's heartbeat")
            }
        };
        let error = StepError::new(StepErrorKind::TimedOut, message);
        self.under_way.remove(&Action::TakeTurn { step: step.clone(), attempt });
        self.turns.remove(&step);
        let command = Command::FailStep { step, attempt, error };
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    /// The turn has shown a sign of life.
    pub(super) fn alive(&mut self, line: &Line) {
        let heartbeat = self
            .run
            .as_ref()
            .and_then(|run| run.step(&line.step))
            .and_then(|(definition, _)| definition.heartbeat);
        let Some(heartbeat) = heartbeat else { return };
        let timer = self.deadline(&line.step, line.attempt, heartbeat, Limit::Heartbeat);
        if let Some(turn) = self.turns.get_mut(&line.step) {
            turn.heartbeat = Some(timer);
        }
    }

    /// Makes the event of an `emit` step known.
    pub(super) fn emit(&self, step: &StepName) -> Option<()> {
        let run = self.run.as_ref()?;
        let (definition, _) = run.step(step)?;
        let Work::Emit(event) = &definition.work else { return Some(()) };
        let data = match run.step_input(step) {
            Ok(input) => input.value,
            Err(error) => {
                let line = Line {
                    run: self.me.clone(),
                    step: step.clone(),
                    attempt: run.step(step)?.1.attempt,
                    version: 0,
                };
                let end = TurnEnd::Returned(Err(error));
                return self.me.send(Message::TurnEnded { line, end }).ok();
            }
        };
        let key = run.effect_id(step, &emit_effect()).key();
        let occurrence = Occurrence {
            id: EventId::new(key.as_str()).expect("hex digits are an id"),
            event: event.clone(),
            source: format!("workflow:{}", run.workflow.name),
            data,
            at: self.context.env.now(),
        };
        // Before there is a guard: one that is dropped has the step asked for again at once.
        let events = self.context.registry.events()?;
        let guard = events::EmitGuard::new(self.me.clone(), step.clone());
        // If the events are gone, the guard says so.
        let _ = events.send(events::Message::Emit { occurrence, by: events::By::Step(guard) });
        Some(())
    }

    pub(super) async fn emitted(
        &mut self,
        step: StepName,
        answer: Labeled<Payload>,
    ) -> Result<(), CarryOutError> {
        self.under_way.remove(&Action::Emit { step: step.clone() });
        let asked = Digest::of(json!(null).to_string().as_bytes());
        let command = Command::Record { step, effect: emit_effect(), asked, answer };
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    /// The agent of `step`, as the cause of a record.
    pub(super) fn actor_of(&self, step: &StepName) -> Actor {
        let step = self.run.as_ref().and_then(|run| run.step(step));
        match step.map(|(definition, _)| &definition.work) {
            Some(Work::Agent(agent)) => Actor::agent(agent),
            _ => Actor::kernel(),
        }
    }
}

/// The one effect of an `emit` step.
fn emit_effect() -> EffectRef {
    EffectRef { name: "emit".parse().expect("`emit` is a name"), occurrence: 0 }
}
