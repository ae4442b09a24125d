//! What comes from outside: beginnings, decisions, events, the ends of runs beneath, those who watch.

use soloist_kernel::{
    effect::{Decision, WriteState},
    id::{Actor, InboxId, StepName, WorkflowRef},
    inbox::{self, Waiting},
    journal::AppendError,
    labels::Labeled,
    payload::Payload,
    run::{self, Beginning, Command, EffectRef, Refusal, Run, project::Ended},
    workflow::Library,
};
use tokio::sync::oneshot;

use super::{
    Asked, Begin, CallEnd, Message, Which,
    active::{Active, CarryOutError},
    launch::RESTART_WAIT,
};
use crate::{
    actor::Error,
    handle::{DecideError, StartError},
};

/// Told once a decision is on disk.
type Decided = oneshot::Sender<Result<(), DecideError>>;

impl Active {
    pub(super) async fn asked(&mut self, asked: Asked) -> Result<(), Error> {
        if let Asked::Begin(begin) = asked {
            return self.begin(*begin).await;
        }
        if let Asked::Answered { step, effect, attempt, end } = asked {
            return self.answered_late(step, effect, attempt, end).await;
        }
        self.loaded().await?;
        match asked {
            Asked::Begin(_) | Asked::Answered { .. } => Ok(()),
            Asked::Recover => {
                self.tell_children();
                // An actor that dies right after the end is recorded has told nobody.
                self.tell_parent(None);
                Ok(())
            }
            Asked::Watch { reply } => {
                self.watchers.push(reply);
                Ok(())
            }
            Asked::Decide { item, decision, by, reply } => {
                self.decide(item, decision, by, reply).await
            }
            Asked::Modify { item, arguments, by, reply } => {
                match self.modify_command(&item, arguments, by.clone()) {
                    Ok(command) => self.answer(command, &by, reply).await.map(drop),
                    Err(error) => {
                        let _ = reply.send(Err(error));
                        Ok(())
                    }
                }
            }
            Asked::Occur { occurrence, reply } => {
                let command = Command::Occur(occurrence);
                let result = self.if_begun(command, Actor::kernel()).await;
                self.tolerate(result)?;
                let _ = reply.send(());
                Ok(())
            }
            Asked::ChildEnded(ended) => {
                let Ended { parent, end } = *ended;
                let command = Command::ChildEnded {
                    step: parent.step,
                    effect: parent.effect,
                    end: Box::new(end),
                };
                let result = self.if_begun(command, Actor::kernel()).await;
                self.tolerate(result)
            }
            Asked::Command { command, by, reply } => match reply {
                Some(reply) => self.answer(*command, &by, reply).await.map(drop),
                None => {
                    let result = self.if_begun(*command, Actor::kernel()).await;
                    self.tolerate(result)
                }
            },
            Asked::Migrate { to, by, reply } => self.migrate(to, by, reply).await,
            Asked::Unpark { connector } => {
                let command = Command::Unpark { connector };
                let result = self.if_begun(command, Actor::kernel()).await;
                self.tolerate(result)
            }
            Asked::Tick => {
                let result = self.tick().await;
                self.tolerate(result)
            }
        }
    }

    async fn begin(&mut self, begin: Begin) -> Result<(), Error> {
        let Begin { workflow, input, with, reply } = begin;
        if self.run.is_some() {
            return self.begun_already(&workflow, &input, reply);
        }
        let library = self.context.library();
        let pinned = match &workflow {
            Which::Newest(name) => library.for_run(name, &self.id),
            Which::Agent(agent) => {
                let pinned = WorkflowRef::of_agent(agent);
                library.resolve(&pinned, None).map(|definition| (pinned, definition))
            }
        };
        let Some((pinned, definition)) = pinned else {
            let names = self.context.workflows.names();
            let _ = reply.send(Err(StartError::unknown_workflow(&workflow, &names)));
            return Ok(());
        };
        let now = self.context.env.now();
        // What the goal says of who may read it holds for all that the run makes of it.
        let readers = definition.intent.as_ref().and_then(|intent| intent.readers.clone());
        let mut bounded = input.clone();
        if let Some(readers) = readers {
            bounded.labels = bounded.labels.only_for(readers);
        }
        let agents = self.context.pin(&definition, &self.id);
        let beginning =
            Beginning { workflow: pinned, body: None, agents, parent: None, input: bounded };
        let id = self.id.clone();
        let (events, run) =
            self.context.decides(None, now, |env| run::start(id, beginning, definition, env));
        match self.commit(run, events, now, Actor::kernel(), with).await {
            Ok(()) => drop(reply.send(Ok(true))),
            Err(AppendError::Conflict { stream, .. }) if stream == self.id.stream() => {
                self.loaded().await?;
                return self.begun_already(&workflow, &input, reply);
            }
            Err(error @ AppendError::Stopped(_)) => {
                let _ = reply.send(Err(StartError::Halted(error.to_string())));
                return Err(self.append_failed(error));
            }
            Err(error) => drop(reply.send(Err(StartError::Refused(error.to_string())))),
        }
        Ok(())
    }

    /// The same id with the same input is the same run; with another it is a mistake.
    fn begun_already(
        &self,
        workflow: &Which,
        input: &Labeled<Payload>,
        reply: oneshot::Sender<Result<bool, StartError>>,
    ) -> Result<(), Error> {
        let same = self.run.as_ref().is_some_and(|run| {
            run.workflow.name.as_str() == workflow.name() && run.input.value == input.value
        });
        let answer =
            if same { Ok(false) } else { Err(StartError::IdInUse { run: self.id.clone() }) };
        let _ = reply.send(answer);
        Ok(())
    }

    /// Loads the run if it is not loaded, and accounts for attempts that died with their process.
    async fn loaded(&mut self) -> Result<bool, Error> {
        if self.run.is_some() {
            return Ok(true);
        }
        if !self.load()? {
            return Ok(false);
        }
        self.recover().await?;
        Ok(true)
    }

    /// The runs beneath that are waited for go on: an actor that died may have begun one and not have told it.
    fn tell_children(&self) {
        let Some(run) = &self.run else { return };
        let open = run.awaited().filter(|(_, _, awaited)| awaited.is_open());
        for child in open.filter_map(|(_, _, awaited)| awaited.child()) {
            self.tell_run(child.run.clone(), Asked::Recover);
        }
    }

    /// Accounts for attempts that were lost. One that is under way, though the actor that began it is no more, may yet be
    /// answered: nobody is asked about it, and nothing is found out, before its call has ended.
    pub(super) async fn recover(&mut self) -> Result<(), Error> {
        self.answer_from_recording().await?;
        let Some(run) = &self.run else { return Ok(()) };
        let under_way = run.writes().any(|(step, effect, write)| {
            let id = (self.id.clone(), step.clone(), effect.clone());
            matches!(write.state, WriteState::Attempting)
                && self.context.gates.is_in_flight(&write.proposal.connector, &id)
        });
        if under_way {
            self.me.send_after(RESTART_WAIT, || Message::Recover);
            return Ok(());
        }
        // A run that is over refuses, and is left as it is.
        let result = self.carry_out(Command::Recover, Actor::kernel()).await.map(drop);
        self.tolerate(result)?;
        // Whoever found that a budget has no room may have died before he had told the operator.
        if !self.run.as_ref().is_some_and(Run::waits_for_budget) {
            return Ok(());
        }
        let result = self.carry_out(Command::Fund, Actor::kernel()).await.map(drop);
        self.tolerate(result)
    }

    /// Takes the answer to an attempt that an earlier actor of this run began, before it is taken for lost.
    async fn answered_late(
        &mut self,
        step: StepName,
        effect: EffectRef,
        attempt: u32,
        end: CallEnd,
    ) -> Result<(), Error> {
        if self.run.is_none() && !self.load()? {
            return Ok(());
        }
        let result = self.answered(step, effect, attempt, end).await;
        self.tolerate(result)?;
        self.recover().await
    }

    async fn if_begun(&mut self, command: Command, by: Actor) -> Result<(), CarryOutError> {
        if self.run.is_none() {
            return Ok(());
        }
        self.carry_out(command, by).await.map(drop)
    }

    async fn decide(
        &mut self,
        item: InboxId,
        decision: Decision,
        by: String,
        reply: Decided,
    ) -> Result<(), Error> {
        let Some(run) = &self.run else {
            let _ = reply.send(Err(Refusal::NotWaiting { item }.into()));
            return Ok(());
        };
        // What is approved is what was shown: what the connector would send now is put beside it.
        let fresh = match (inbox::find(run, &item), &decision) {
            (Some(Waiting::Write(step, effect, write)), Decision::Approve) => {
                self.fresh(step, effect, write).map(Box::new)
            }
            _ => None,
        };
        let approves = fresh.is_some();
        let command = Command::Decide { item: item.clone(), decision, by: by.clone(), fresh };
        let actor = by_whom(&by);
        let answer = match self.carry_out(command, actor).await {
            // Policy or the connector has changed, and the write was put before policy again.
            Ok(_) if approves && self.reproposed => Err(DecideError::Changed { item }),
            Ok(_) => Ok(()),
            Err(CarryOutError::Refused(refusal)) => Err(refusal.into()),
            Err(CarryOutError::Append(error)) => {
                let _ = reply.send(Err(DecideError::Halted(error.to_string())));
                return Err(self.append_failed(error));
            }
        };
        let _ = reply.send(answer);
        Ok(())
    }

    async fn answer(&mut self, command: Command, by: &str, reply: Decided) -> Result<bool, Error> {
        if self.run.is_none() {
            let run = self.id.clone();
            let _ = reply.send(Err(DecideError::NoRun { run }));
            return Ok(false);
        }
        match self.carry_out(command, by_whom(by)).await {
            Ok(caused) => {
                let _ = reply.send(Ok(()));
                Ok(caused)
            }
            Err(CarryOutError::Refused(refusal)) => {
                let _ = reply.send(Err(refusal.into()));
                Ok(false)
            }
            Err(CarryOutError::Append(error)) => {
                let _ = reply.send(Err(DecideError::Halted(error.to_string())));
                Err(self.append_failed(error))
            }
        }
    }

    async fn migrate(&mut self, to: WorkflowRef, by: String, reply: Decided) -> Result<(), Error> {
        let Some(definition) = self.context.library().resolve(&to, None) else {
            let problem = format!("there is no workflow {to}");
            let _ = reply.send(Err(DecideError::Invalid(problem)));
            return Ok(());
        };
        let agents = self.context.pin(&definition, &self.id);
        let command = Command::Migrate { workflow: to, definition, agents, by: by.clone() };
        self.answer(command, &by, reply).await.map(drop)
    }

    fn modify_command(
        &self,
        item: &InboxId,
        arguments: Payload,
        by: String,
    ) -> Result<Command, DecideError> {
        let not_waiting = || DecideError::from(Refusal::NotWaiting { item: item.clone() });
        let run = self.run.as_ref().ok_or_else(not_waiting)?;
        let Some(Waiting::Write(step, effect, write)) = inbox::find(run, item) else {
            return Err(not_waiting());
        };
        let old = &write.proposal;
        let labels = relabeled(old, &arguments);
        let mut proposal = self
            .plan(step, effect, &old.connector, &old.operation, arguments, labels)
            .map_err(DecideError::Invalid)?;
        let unread =
            |error: soloist_kernel::journal::ReadError| DecideError::Invalid(error.to_string());
        let mut evidence = self.evidence(step, &proposal).map_err(unread)?;
        evidence.reverses = write.reverses.is_some();
        self.redact(step, effect, &mut proposal, &evidence).map_err(DecideError::Invalid)?;
        Ok(Command::Modify { item: item.clone(), proposal: Box::new(proposal), evidence, by })
    }
}

/// What the operator changed is the operator's word; the rest keeps its labels.
fn relabeled(
    old: &soloist_kernel::effect::Proposal,
    arguments: &Payload,
) -> std::collections::BTreeMap<String, soloist_kernel::labels::Labels> {
    let (before, after) = (old.arguments.value(), arguments.value());
    let Some(fields) = after.as_object() else { return old.labels.clone() };
    fields
        .iter()
        .map(|(field, value)| {
            let kept = old.labels.get(field).filter(|_| before.get(field) == Some(value));
            let labels = kept.cloned().unwrap_or_else(soloist_kernel::labels::Labels::owner);
            (field.clone(), labels)
        })
        .collect()
}

/// Who a record is by: the operator, a second one, an agent.
pub(crate) fn by_whom(by: &str) -> Actor {
    match by {
        "operator" => Actor::operator(),
        other => Actor::new(format!("operator:{other}")).unwrap_or_else(|_| Actor::operator()),
    }
}
