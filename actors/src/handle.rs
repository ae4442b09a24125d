//! The handle: what an embedder and an operator can ask of a running kernel.

use std::{sync::Arc, time::Duration};

use ractor::ActorRef;
use serde::Serialize;
use soloist_kernel::{
    effect::Decision,
    fault::Fault,
    id::{BadName, ConnectorName, InboxId, RunId, StepName, WorkflowName},
    inbox,
    journal::{Append, Journal, ReadError},
    payload::{Payload, PayloadError},
    run::{Refusal, RunSummary},
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    builder::Builder,
    context::{Context, Stats},
    intake,
    run::{Asked, Begin},
    runs,
    views::{self, Quarantined, RunView},
};

/// How long a shutdown waits for the tree before it lets go of it. What is cut off is recovered at the next start.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(90);

/// A running kernel. Cloning the handle is cheap; the kernel runs until [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Soloist {
    context: Arc<Context>,
    root: ActorRef<()>,
}

/// A run that was started.
#[derive(Clone)]
pub struct RunHandle {
    soloist: Soloist,
    id: RunId,
    new: bool,
}

/// Where a run came to rest.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEnd {
    /// It ended well, with this output.
    Completed(Payload),
    /// It failed, and waits in the inbox as an incident.
    Failed {
        /// The step that failed.
        step: StepName,
        /// Why.
        reason: String,
    },
    /// It waits for the operator: see [`Soloist::inbox`].
    Waiting,
    /// There is no such run.
    Missing,
}

/// What one pull brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Runs started.
    pub runs: u64,
    /// Changes that could not be read.
    pub quarantined: u64,
}

/// The kernel has stopped for good in this process.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the kernel has halted: {reason}")]
pub struct Halted {
    /// Why, and what to do.
    pub reason: String,
}

/// Why a run was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The run's id or the workflow's name is not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The input cannot be a payload.
    #[error("the input of the run: {0}")]
    Input(#[from] PayloadError),
    /// No such workflow.
    #[error("there is no workflow `{name}`; there is {there}")]
    UnknownWorkflow {
        /// The name.
        name: String,
        /// The names there are.
        there: String,
    },
    /// The id is in use by a run with another workflow or input.
    #[error("run {run} exists with another workflow or input; choose another id")]
    IdInUse {
        /// The run.
        run: RunId,
    },
    /// The kernel is over a limit.
    #[error("the run was not started: {0}")]
    Refused(String),
    /// The journal has stopped.
    #[error("the run may or may not have been started: {0}")]
    Halted(String),
}

impl StartError {
    pub(crate) fn unknown_workflow(name: &WorkflowName, there: &[&str]) -> Self {
        let there: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        Self::UnknownWorkflow { name: name.to_string(), there }
    }
}

/// Why a decision was not taken. The item waits as before, unless the kernel has halted.
#[derive(Debug, Error)]
pub enum DecideError {
    /// The kernel refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The change cannot be planned.
    #[error("the change cannot be sent: {0}")]
    Invalid(String),
    /// The item's id is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The journal has stopped, or the run's actor died: ask again whether the item still waits.
    #[error("the decision may or may not have been taken: {0}")]
    Halted(String),
}

/// Why a pull did not end well. What it brought until then is kept.
#[derive(Debug, Error)]
pub enum PullError {
    /// No such intake.
    #[error("connector `{0}` has no intake; add one with `Builder::intake`")]
    NoIntake(String),
    /// The source could not be read.
    #[error("failed to read from connector `{connector}`: {}", .fault.message)]
    Source {
        /// The connector.
        connector: ConnectorName,
        /// What happened.
        fault: Fault,
    },
    /// A change's run could not be started.
    #[error("failed to start a run for a change: {0}")]
    Start(Box<StartError>),
    /// The kernel has halted, or a part of it is restarting.
    #[error("{0}")]
    Halted(String),
}

impl Soloist {
    pub(crate) fn new(context: Arc<Context>, root: ActorRef<()>) -> Self {
        Self { context, root }
    }

    /// A kernel to be made.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a run of the newest version of `workflow`, and returns once its beginning is on disk. Starting the same `id`
    /// with the same input again gives the run that is there.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(
        &self,
        workflow: &str,
        id: &str,
        input: &impl Serialize,
    ) -> Result<RunHandle, StartError> {
        let id = RunId::new(id)?;
        let (reply, answer) = oneshot::channel();
        let begin = Begin {
            workflow: workflow.parse()?,
            input: Payload::of(input)?,
            with: Append::default(),
            reply,
        };
        self.deliver(&id, Asked::Begin(Box::new(begin)));
        let lost =
            || Err(StartError::Halted("its actor died; start it again, which is safe".into()));
        let new = answer.await.unwrap_or_else(|_| lost())?;
        Ok(RunHandle { soloist: self.clone(), id, new })
    }

    /// A hold on a run by its id.
    ///
    /// # Errors
    ///
    /// [`BadName`] if the id is not one.
    pub fn run(&self, id: &str) -> Result<RunHandle, BadName> {
        Ok(RunHandle { soloist: self.clone(), id: RunId::new(id)?, new: false })
    }

    /// Pulls what is new from `connector`, and returns once every change has its run, or its place in quarantine, on disk.
    ///
    /// # Errors
    ///
    /// [`PullError`].
    pub async fn pull(&self, connector: &str) -> Result<Pulled, PullError> {
        let no_intake = || PullError::NoIntake(connector.into());
        let name: ConnectorName = connector.parse().map_err(|_| no_intake())?;
        let intake = self.context.registry.intake(&name).ok_or_else(no_intake)?;
        let (reply, answer) = oneshot::channel();
        let restarting = || PullError::Halted("the intake is restarting; pull again".into());
        intake.send_message(intake::Message::Pull { reply }).map_err(|_| restarting())?;
        answer.await.unwrap_or_else(|_| Err(restarting()))
    }

    /// Returns once every run is over or waits for the operator.
    ///
    /// # Errors
    ///
    /// [`Halted`].
    pub async fn idle(&self) -> Result<(), Halted> {
        loop {
            let (reply, answer) = oneshot::channel();
            if let Some(runs) = self.context.registry.runs() {
                let _ = runs.send_message(runs::Message::WhenIdle { reply });
            }
            tokio::select! {
                biased;
                halted = self.halted() => return Err(halted),
                answer = answer => match answer {
                    Ok(()) => return Ok(()),
                    // The supervisor of runs died, and another takes its place.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
            }
        }
    }

    /// Returns when the kernel can no longer go on, and says why.
    pub async fn halted(&self) -> Halted {
        let mut halted = self.context.halted.subscribe();
        let reason = halted.wait_for(Option::is_some).await;
        let reason = reason.ok().and_then(|reason| reason.clone()).unwrap_or_default();
        Halted { reason }
    }

    /// What waits for the operator, oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn inbox(&self) -> Result<Vec<inbox::Item>, ReadError> {
        views::inbox(self.journal())
    }

    /// Lets an item's write happen exactly as it is shown.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn approve(&self, item: &str) -> Result<(), DecideError> {
        self.decide(item, Decision::Approve).await
    }

    /// Turns an item down. The agent sees `reason`.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn abort(&self, item: &str, reason: &str) -> Result<(), DecideError> {
        self.decide(item, Decision::Abort { reason: reason.into() }).await
    }

    /// Says whether a write that may have happened did. If not, it is tried again.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn resolve(&self, item: &str, happened: bool) -> Result<(), DecideError> {
        self.decide(item, Decision::Resolve { happened }).await
    }

    /// Decides about an item, and returns once the decision is on disk.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn decide(&self, item: &str, decision: Decision) -> Result<(), DecideError> {
        let item = InboxId::new(item)?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Decide { item: item.clone(), decision, by: "operator".into(), reply };
        self.ask_item(item, asked, answer).await
    }

    /// Changes what an item proposes, and lets the changed write happen unless policy denies it.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn modify(&self, item: &str, arguments: &impl Serialize) -> Result<(), DecideError> {
        let item = InboxId::new(item)?;
        let arguments =
            Payload::of(arguments).map_err(|error| DecideError::Invalid(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Modify { item: item.clone(), arguments, by: "operator".into(), reply };
        self.ask_item(item, asked, answer).await
    }

    async fn ask_item(
        &self,
        item: InboxId,
        asked: Asked,
        answer: oneshot::Receiver<Result<(), DecideError>>,
    ) -> Result<(), DecideError> {
        if let Some(runs) = self.context.registry.runs() {
            let _ = runs.send_message(runs::Message::DeliverToItem { item, asked });
        }
        let lost = || {
            Err(DecideError::Halted(
                "the run's actor died; see whether the item still waits".into(),
            ))
        };
        answer.await.unwrap_or_else(|_| lost())
    }

    /// The runs, newest first by their last event: those under way or waiting, then those that are over.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn runs(&self) -> Result<Vec<RunSummary>, ReadError> {
        views::runs(self.journal())
    }

    /// The changes that could not be read.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, ReadError> {
        views::quarantined(self.journal())
    }

    /// What happened since the kernel was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }

    /// The journal, for reading.
    #[must_use]
    pub fn journal(&self) -> &dyn Journal {
        &*self.context.journal
    }

    /// The journal, for reading beyond the handle's life.
    #[must_use]
    pub fn shared_journal(&self) -> Arc<dyn Journal> {
        self.context.journal.clone()
    }

    /// What is known.
    #[must_use]
    pub fn memory(&self) -> &soloist_memory::Memory {
        &self.context.memory
    }

    /// Stops the tree in reverse order, lets calls under way come to an end, and closes the journal. Whatever is cut off goes
    /// on at the next start. The data directory is free for another kernel once every other clone of this handle is dropped.
    ///
    /// # Errors
    ///
    /// [`Halted`] if the journal could not be closed: what was acknowledged is safe, the rest is decided by recovery.
    pub async fn shutdown(self) -> Result<(), Halted> {
        let Self { context, root } = self;
        if root.stop_and_wait(None, Some(SHUTDOWN_TIMEOUT)).await.is_err() {
            tracing::warn!(
                "the tree did not stop in time; what was under way goes on at the next start"
            );
        }
        let journal = context.journal.clone();
        let closed = journal.close().map_err(|stopped| Halted { reason: stopped.to_string() });
        // The data directory is free when the last hold on the journal is gone. The runtime lets go of the tasks of stopped
        // actors a moment after they have stopped, so that moment is waited for here; handles that the caller keeps are not.
        let only_ours = || Arc::strong_count(&context) == 1;
        until(only_ours).await;
        drop(context);
        until(|| Arc::strong_count(&journal) == 1).await;
        closed
    }

    fn deliver(&self, run: &RunId, asked: Asked) {
        if let Some(runs) = self.context.registry.runs() {
            let _ = runs.send_message(runs::Message::Deliver { run: run.clone(), asked });
        }
    }
}

/// Waits for `condition`, looking each millisecond, for a second at most.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl RunHandle {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Whether this call started it; false if it was there already.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Returns once the run is over or waits for the operator, and that is on disk.
    ///
    /// # Errors
    ///
    /// [`Halted`].
    pub async fn rest(&self) -> Result<RunEnd, Halted> {
        loop {
            let (reply, answer) = oneshot::channel();
            self.soloist.deliver(&self.id, Asked::Watch { reply });
            tokio::select! {
                biased;
                answer = answer => match answer {
                    Ok(end) => return Ok(end),
                    // Its actor died, and starts again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
                halted = self.soloist.halted() => return Err(halted),
            }
        }
    }

    /// The run with its history; `None` if there is no such run.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn view(&self) -> Result<Option<RunView>, ReadError> {
        views::run(self.soloist.journal(), &self.id)
    }
}
