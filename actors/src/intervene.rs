//! What an operator does to a run, or to all runs of something: end it, have a step tried again, say what a step comes to.

use serde::Serialize;
use soloist_kernel::{
    control::Scope,
    id::RunId,
    journal::ReadError,
    payload::Payload,
    run::{Command, Run, project},
    workflow::{Body, OnFailure, Work},
};
use tokio::sync::oneshot;

use crate::{
    control::lost,
    handle::{DecideError, Soloist},
    run::Asked,
    views,
};

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It takes back what it did.
    Abort,
    /// What it did stays.
    Cancel,
}

impl Soloist {
    /// Ends a run, and takes back what it did; returns once that is on disk and under way.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn abort_run(&self, run: &str, reason: &str) -> Result<(), DecideError> {
        self.end_run(&RunId::new(run)?, Ending::Abort, reason).await
    }

    /// Ends a run, and leaves what it did; returns once that is on disk. An attempt under way is still accounted for.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn cancel_run(&self, run: &str, reason: &str) -> Result<(), DecideError> {
        self.end_run(&RunId::new(run)?, Ending::Cancel, reason).await
    }

    /// Has a step tried again that failed or waits for its next attempt: `None` for the one that the run failed at. A run that
    /// had failed goes on. What landed stays; a write that failed for good is proposed anew under another key, and what failed
    /// beneath begins anew.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn retry_step(
        &self,
        run: &str,
        step: Option<&str>,
        reason: &str,
    ) -> Result<(), DecideError> {
        let step = step.map(str::parse).transpose()?;
        let (by, reason) = (operator(), reason.to_owned());
        self.command(&RunId::new(run)?, Command::Retry { step, by, reason }).await
    }

    /// Takes `output` for what a step comes to, in the place of its work. A run that had failed at it goes on.
    ///
    /// # Errors
    ///
    /// [`DecideError`]; also if a step that needs it has begun.
    pub async fn override_step(
        &self,
        run: &str,
        step: &str,
        output: &impl Serialize,
        reason: &str,
    ) -> Result<(), DecideError> {
        let output =
            Payload::of(output).map_err(|error| DecideError::Invalid(error.to_string()))?;
        let (by, reason) = (operator(), reason.to_owned());
        let command = Command::Override { step: step.parse()?, output, by, reason };
        self.command(&RunId::new(run)?, command).await
    }

    /// Ends every run that `scope` names and that is not over, and gives their ids: those of a workflow, those with a step of an
    /// agent or a connector, or all. What is beneath them ends with them.
    ///
    /// # Errors
    ///
    /// [`DecideError`] of the first that could not be ended; those before it are.
    pub async fn end_runs(
        &self,
        scope: &Scope,
        ending: Ending,
        reason: &str,
    ) -> Result<Vec<RunId>, DecideError> {
        let mut ended = vec![];
        for run in self.runs_of(scope)? {
            match self.end_run(&run, ending, reason).await {
                // It came to its end by itself meanwhile.
                Err(DecideError::Refused(soloist_kernel::run::Refusal::Over { .. })) => {}
                Err(error) => return Err(error),
                Ok(()) => ended.push(run),
            }
        }
        Ok(ended)
    }

    async fn end_run(&self, run: &RunId, ending: Ending, reason: &str) -> Result<(), DecideError> {
        let (by, reason) = (operator(), reason.to_owned());
        let command = match ending {
            Ending::Abort => Command::Abort { by, reason },
            Ending::Cancel => Command::Cancel { by, reason },
        };
        self.command(run, command).await
    }

    /// Has `run` do as `command` says; returns once that is on disk.
    pub(crate) async fn command(&self, run: &RunId, command: Command) -> Result<(), DecideError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(command);
        self.deliver(run, Asked::Command { command, by: operator(), reply: Some(reply) });
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// The runs that are not over, are beneath no other, and that `scope` names.
    fn runs_of(&self, scope: &Scope) -> Result<Vec<RunId>, ReadError> {
        let mut topmost = vec![];
        views::each_row(self.journal(), project::ACTIVE, "", |_, bytes| {
            if let Ok(summary) = serde_json::from_slice::<project::RunSummary>(bytes)
                && summary.parent.is_none()
            {
                topmost.push(summary.run);
            }
            Ok::<_, ReadError>(())
        })?;
        let mut found = vec![];
        for id in topmost {
            let is_named = match scope {
                Scope::Everything => true,
                Scope::Run(run) => *run == id,
                Scope::Workflow(_) | Scope::Agent(_) | Scope::Connector(_) => {
                    self.folded(&id)?.is_some_and(|run| names(scope, &run))
                }
            };
            if is_named {
                found.push(id);
            }
        }
        Ok(found)
    }
}

fn operator() -> String {
    "operator".into()
}

/// Whether `scope` names the workflow of `run`, or what one of its steps works with.
fn names(scope: &Scope, run: &Run) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::Run(id) => *id == run.id,
        Scope::Workflow(name) => *name == run.workflow.name,
        Scope::Agent(name) => run.definition.steps.iter().any(|step| {
            let works = match &step.work {
                Work::Agent(agent)
                | Work::Map { body: Body::Agent(agent), .. }
                | Work::Loop { body: Body::Agent(agent), .. } => agent == name,
                _ => false,
            };
            works || matches!(&step.on_failure, OnFailure::Agent(agent) if agent == name)
        }),
        Scope::Connector(name) => {
            let calls = |work: &Work| match work {
                Work::Call { connector, .. }
                | Work::Map { body: Body::Call { connector, .. }, .. }
                | Work::Loop { body: Body::Call { connector, .. }, .. } => connector == name,
                _ => false,
            };
            run.definition.steps.iter().any(|step| calls(&step.work))
                || run.writes().any(|(_, _, write)| write.proposal.connector == *name)
        }
    }
}
