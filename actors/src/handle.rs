//! The handle: what an embedder and an operator can ask of a running kernel.

mod answers;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use soloist_kernel::{
    effect::Decision,
    id::{BadName, ConnectorName, InboxId, RunId},
    inbox,
    journal::{Append, Journal, ReadError},
    labels::Labeled,
    payload::Payload,
    run::RunSummary,
};
use tokio::sync::oneshot;

pub use answers::{DecideError, EmitError, Halted, PullError, Pulled, RunEnd, StartError};

use crate::{
    actor::{Address, MAILBOX_MAX, NotTaken},
    builder::Builder,
    context::{Context, Stats},
    events, incidents, intake, root,
    run::{Asked, Begin, Which},
    runs,
    views::{self, Quarantined, RunView},
};

/// How long a shutdown waits for the tree before it lets go of it. What is cut off is recovered at the next start.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(90);

/// A running kernel. Cloning the handle is cheap; the kernel runs until [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Soloist {
    context: Arc<Context>,
    root: Address<root::Message>,
}

/// A run that was started.
#[derive(Clone)]
pub struct RunHandle {
    soloist: Soloist,
    id: RunId,
    new: bool,
}

impl Soloist {
    pub(crate) fn new(context: Arc<Context>, root: Address<root::Message>) -> Self {
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
        self.start_labeled(workflow, id, Labeled::owner(Payload::of(input)?)).await
    }

    /// [`start`](Self::start) with an input that is not, or not only, the owner's word: what the labels say of it stays with
    /// everything that is made of it.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start_labeled(
        &self,
        workflow: &str,
        id: &str,
        input: Labeled<Payload>,
    ) -> Result<RunHandle, StartError> {
        let id = RunId::new(id)?;
        if self.context.is_draining() {
            return Err(StartError::Refused(
                "the kernel is being drained; start it on the next".into(),
            ));
        }
        let (reply, answer) = oneshot::channel();
        let workflow = Which::Newest(workflow.parse()?);
        let begin = Begin { workflow, input, with: Append::default(), reply };
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
        if self.context.is_draining() {
            return Err(PullError::Halted("the kernel is being drained".into()));
        }
        let no_intake = || PullError::NoIntake(connector.into());
        let name: ConnectorName = connector.parse().map_err(|_| no_intake())?;
        let intake = self.context.registry.intake(&name).ok_or_else(no_intake)?;
        let (reply, answer) = oneshot::channel();
        let restarting = || PullError::Halted("the intake is restarting; pull again".into());
        intake.send(intake::Message::Pull { reply }).map_err(|_| restarting())?;
        answer.await.unwrap_or_else(|_| Err(restarting()))
    }

    /// Returns once every run is over or waits for the operator, and every event has reached those who wait for it.
    ///
    /// # Errors
    ///
    /// [`Halted`].
    pub async fn idle(&self) -> Result<(), Halted> {
        loop {
            let (reply, answer) = oneshot::channel();
            if let Some(runs) = self.context.registry.runs() {
                let _ = runs.send(runs::Message::WhenIdle { reply });
            }
            let rested = tokio::select! {
                biased;
                halted = self.halted() => return Err(halted),
                answer = answer => answer.is_ok(),
            };
            match self.delivered_events().await {
                // An event that has just been delivered may have set a run going.
                Ok(under_way) if rested && !under_way => return Ok(()),
                Ok(_) if rested => {}
                // A supervisor died, and another takes its place.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Returns once the deliveries under way are over, and tells whether there were any.
    async fn delivered_events(&self) -> Result<bool, oneshot::error::RecvError> {
        let (reply, answer) = oneshot::channel();
        if let Some(events) = self.context.registry.events() {
            let _ = events.send(events::Message::WhenDelivered { reply });
        }
        answer.await
    }

    /// Returns when the kernel can no longer go on, and says why.
    pub async fn halted(&self) -> Halted {
        let mut halted = self.context.halted.subscribe();
        let why = halted.wait_for(Option::is_some).await;
        // The sender lives in the context, which this handle holds.
        why.ok().and_then(|why| why.clone()).expect("it is there, or was waited for")
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

    /// Answers a question.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn answer(&self, item: &str, value: impl Into<Value>) -> Result<(), DecideError> {
        self.decide(item, Decision::Answer { value: value.into() }).await
    }

    /// Decides about an item, and returns once the decision is on disk.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn decide(&self, item: &str, decision: Decision) -> Result<(), DecideError> {
        self.decide_as(item, decision, "operator").await
    }

    /// [`decide`](Self::decide) for someone else: a second operator, whose name is in the record.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn decide_as(
        &self,
        item: &str,
        decision: Decision,
        by: &str,
    ) -> Result<(), DecideError> {
        let item = InboxId::new(item)?;
        if views::incident(self.journal(), &item)?.is_some() {
            let released = incidents::decide(&self.context, &item, &decision, by).await?;
            if let Some(run) = released {
                self.context.aside.release(&run);
                if let Some(runs) = self.context.registry.runs() {
                    let _ = runs.send(runs::Message::Released { run });
                }
            }
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Decide { item: item.clone(), decision, by: by.into(), reply };
        self.ask_item(item, asked, answer).await
    }

    /// Changes what an item proposes, and lets the changed write happen unless policy denies it.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn modify(&self, item: &str, arguments: &impl Serialize) -> Result<(), DecideError> {
        self.modify_as(item, arguments, "operator").await
    }

    pub(crate) async fn ask_item(
        &self,
        item: InboxId,
        asked: Asked,
        answer: oneshot::Receiver<Result<(), DecideError>>,
    ) -> Result<(), DecideError> {
        if let Some(runs) = self.context.registry.runs()
            && let Err(NotTaken::Full(_)) = runs.offer(runs::Message::DeliverToItem { item, asked })
        {
            return Err(DecideError::Overloaded { waiting: MAILBOX_MAX });
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
        context.draining.store(true, Ordering::Release);
        let cell = root.cell();
        if cell.stop_and_wait(None, Some(SHUTDOWN_TIMEOUT)).await.is_err() {
            tracing::warn!(
                "the tree did not stop in time; what was under way goes on at the next start"
            );
            let _ = cell.kill_and_wait(None).await;
        }
        context.registry.clear();
        drop((root, cell));
        let journal = context.journal.clone();
        let closed = journal
            .close()
            .map_err(|stopped| Halted { reason: stopped.to_string(), gave_up: false });
        // The data directory is free when the last hold on the journal is gone. The runtime lets go of the tasks of stopped
        // actors a moment after they have stopped, so that moment is waited for here; handles that the caller keeps are not.
        let only_ours = || Arc::strong_count(&context) == 1;
        until(only_ours).await;
        drop(context);
        until(|| Arc::strong_count(&journal) == 1).await;
        closed
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Delivers what comes from outside; what is not taken drops its reply, which tells the caller.
    pub(crate) fn deliver(&self, run: &RunId, asked: Asked) {
        let Some(runs) = self.context.registry.runs() else { return };
        let offered = runs.offer(runs::Message::Deliver { run: run.clone(), asked });
        if let Err(NotTaken::Full(runs::Message::Deliver { asked, .. })) = offered {
            runs::overloaded(asked);
        }
    }
}

/// Waits for `condition`, looking after 1 ms, 2 ms, 4 ms and so on, for a second at most.
async fn until(condition: impl Fn() -> bool) {
    for doublings in 0..10 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1 << doublings)).await;
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

    /// Returns once the run is over, or waits for the operator, a time or an event, and that is on disk. A run that waits for
    /// runs beneath it waits when these do.
    ///
    /// # Errors
    ///
    /// [`Halted`].
    pub async fn rest(&self) -> Result<RunEnd, Halted> {
        loop {
            let end = self.watch(&self.id).await?;
            let RunEnd::Waiting { on } = &end else { return Ok(end) };
            if self.all_wait(on.clone()).await? {
                return Ok(end);
            }
        }
    }

    /// Whether all of `runs` wait, and everything beneath them that they wait for. If one has ended, the run above goes on.
    async fn all_wait(&self, mut runs: Vec<RunId>) -> Result<bool, Halted> {
        while let Some(run) = runs.pop() {
            match self.watch(&run).await? {
                RunEnd::Waiting { on } => runs.extend(on),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn watch(&self, run: &RunId) -> Result<RunEnd, Halted> {
        loop {
            let (reply, answer) = oneshot::channel();
            self.soloist.deliver(run, Asked::Watch { reply });
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
