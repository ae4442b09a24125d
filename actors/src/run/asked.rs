//! What comes from outside: beginnings, decisions, those who watch.

use ractor::ActorProcessingErr;
use soloist_kernel::{
    id::{Actor, InboxId, WorkflowName},
    inbox,
    journal::AppendError,
    payload::Payload,
    run::{self, Command, Refusal},
};
use tokio::sync::oneshot;

use super::{
    Asked, Begin,
    active::{Active, CarryOutError},
};
use crate::handle::{DecideError, StartError};

impl Active {
    pub(super) async fn asked(&mut self, asked: Asked) -> Result<(), ActorProcessingErr> {
        match asked {
            Asked::Begin(begin) => self.begin(*begin).await,
            Asked::Watch { reply } => {
                self.loaded().await?;
                self.watchers.push(reply);
                Ok(())
            }
            Asked::Recover => self.loaded().await.map(drop),
            Asked::Decide { item, decision, by, reply } => {
                self.loaded().await?;
                let command = Command::Decide { item: item.clone(), decision, by };
                self.decide(command, item, reply).await
            }
            Asked::Modify { item, arguments, by, reply } => {
                self.loaded().await?;
                match self.modify_command(&item, arguments, by) {
                    Ok(command) => self.decide(command, item, reply).await,
                    Err(error) => {
                        let _ = reply.send(Err(error));
                        Ok(())
                    }
                }
            }
        }
    }

    async fn begin(&mut self, begin: Begin) -> Result<(), ActorProcessingErr> {
        let Begin { workflow, input, with, reply } = begin;
        if self.run.is_some() {
            return self.begun_already(&workflow, &input, reply);
        }
        let Some((pinned, definition)) = self.context.workflows.newest(&workflow) else {
            let _ = reply.send(Err(StartError::unknown_workflow(
                &workflow,
                &self.context.workflows.names(),
            )));
            return Ok(());
        };
        let now = self.context.env.now();
        let (events, run) = run::start(self.id.clone(), pinned, definition, input.clone(), now);
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
        workflow: &WorkflowName,
        input: &Payload,
        reply: oneshot::Sender<Result<bool, StartError>>,
    ) -> Result<(), ActorProcessingErr> {
        let same = self
            .run
            .as_ref()
            .is_some_and(|run| run.workflow.name == *workflow && run.input == *input);
        let answer =
            if same { Ok(false) } else { Err(StartError::IdInUse { run: self.id.clone() }) };
        let _ = reply.send(answer);
        Ok(())
    }

    /// Loads the run if it is not loaded, and accounts for attempts that died with their process.
    async fn loaded(&mut self) -> Result<bool, ActorProcessingErr> {
        if self.run.is_some() {
            return Ok(true);
        }
        if !self.load()? {
            return Ok(false);
        }
        // A run that is over refuses, and is left as it is.
        let result = self.carry_out(Command::Recover, Actor::kernel()).await;
        self.tolerate(result)?;
        Ok(true)
    }

    async fn decide(
        &mut self,
        command: Command,
        item: InboxId,
        reply: oneshot::Sender<Result<(), DecideError>>,
    ) -> Result<(), ActorProcessingErr> {
        if self.run.is_none() {
            let _ = reply.send(Err(Refusal::NotWaiting { item }.into()));
            return Ok(());
        }
        match self.carry_out(command, Actor::operator()).await {
            Ok(()) => drop(reply.send(Ok(()))),
            Err(CarryOutError::Refused(refusal)) => drop(reply.send(Err(refusal.into()))),
            Err(CarryOutError::Append(error)) => {
                let _ = reply.send(Err(DecideError::Halted(error.to_string())));
                return Err(self.append_failed(error));
            }
        }
        Ok(())
    }

    fn modify_command(
        &self,
        item: &InboxId,
        arguments: Payload,
        by: String,
    ) -> Result<Command, DecideError> {
        let not_waiting = || DecideError::from(Refusal::NotWaiting { item: item.clone() });
        let run = self.run.as_ref().ok_or_else(not_waiting)?;
        let (step, effect, write) = inbox::find(run, item).ok_or_else(not_waiting)?;
        let (connector, operation) =
            (write.proposal.connector.clone(), write.proposal.operation.clone());
        let proposal = self
            .plan(step, effect, &connector, &operation, arguments)
            .map_err(DecideError::Invalid)?;
        let evidence = self.context.evidence(&connector, &proposal.routing);
        let evidence = evidence.map_err(|error| DecideError::Invalid(error.to_string()))?;
        Ok(Command::Modify { item: item.clone(), proposal: Box::new(proposal), evidence, by })
    }
}
