//! The supervisor of runs: starts the actor of a run when there is something for it, and lets it leave when there is not.
//!
//! A run that only waits for the operator costs disk and no memory. An actor that wants to leave says how many messages from
//! outside it has handled; if more were delivered by then, it stays. So none is lost between the two.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use soloist_kernel::{
    id::{InboxId, RunId},
    journal::{Journal, ReadError},
    run::{
        RunSummary,
        project::{self, Ended},
    },
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    context::{Context, Counters},
    run::{self, Asked, RunActor},
    views,
};

/// Most runs that are active at once. An active run holds its state and its actor, some tens of kilobytes; 100,000 of them
/// stay within a few GiB. What is over it is refused, and the caller may start it later.
pub(crate) const ACTIVE_MAX: usize = 100_000;

/// A run whose actor dies more often than this within [`RESTART_PERIOD`] is left alone until the kernel is opened again.
const RESTARTS_MAX: usize = 3;
const RESTART_PERIOD: Duration = Duration::from_secs(60);

/// How many projections are read at a time.
const PAGE: usize = 1_000;

/// What the supervisor of runs is told.
pub(crate) enum Message {
    /// Deliver `asked` to the actor of `run`, starting it if need be.
    Deliver { run: RunId, asked: Asked },
    /// Deliver `asked` to the run that the inbox item belongs to.
    DeliverToItem { item: InboxId, asked: Asked },
    /// The actor of `run` has nothing to do, after handling `handled` messages from outside.
    Rest { run: RunId, handled: u64 },
    /// Tell when no run is active.
    WhenIdle { reply: oneshot::Sender<()> },
}

pub(crate) struct RunsActor;

pub(crate) struct State {
    context: Arc<Context>,
    active: BTreeMap<RunId, Live>,
    by_pid: BTreeMap<u64, RunId>,
    deaths: BTreeMap<RunId, VecDeque<Instant>>,
    idle: Vec<oneshot::Sender<()>>,
}

struct Live {
    actor: ActorRef<run::Message>,
    delivered: u64,
}

impl Actor for RunsActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        for run in interrupted(&*context.journal)? {
            myself.send_message(Message::Deliver { run, asked: Asked::Recover })?;
        }
        for ended in untold(&*context.journal)? {
            let run = ended.parent.run.clone();
            let asked = Asked::ChildEnded(Box::new(ended));
            myself.send_message(Message::Deliver { run, asked })?;
        }
        context.registry.set_runs(myself);
        Ok(State {
            context,
            active: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            deaths: BTreeMap::new(),
            idle: vec![],
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Deliver { run, asked } => state.deliver(&myself, run, asked).await?,
            Message::DeliverToItem { item, asked } => match state.run_of(&item)? {
                Some(run) => state.deliver(&myself, run, asked).await?,
                None => refuse(asked, &item),
            },
            Message::Rest { run, handled } => state.rest(&run, handled),
            Message::WhenIdle { reply } => {
                state.idle.push(reply);
                state.tell_idle();
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(run) = state.forget(cell.get_id().pid()) {
                    state.restart(&myself, run, &error).await?;
                }
            }
            SupervisionEvent::ActorTerminated(cell, _, _) => {
                state.forget(cell.get_id().pid());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        state.tell_idle();
        Ok(())
    }
}

/// The runs that were under way when the last process ended: not those that only wait for the operator.
fn interrupted(journal: &dyn Journal) -> Result<Vec<RunId>, ActorProcessingErr> {
    let mut found = vec![];
    let mut after = String::new();
    loop {
        let page = journal.projections(project::ACTIVE, "", &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (_, bytes) in &page {
            let summary: RunSummary = serde_json::from_slice(bytes)?;
            if !summary.is_waiting() {
                found.push(summary.run);
            }
        }
    }
}

/// Ends of runs that the runs above have not taken in.
fn untold(journal: &dyn Journal) -> Result<Vec<Ended>, ActorProcessingErr> {
    let (mut found, mut after) = (vec![], String::new());
    loop {
        let page = journal.projections(project::ENDED, "", &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (_, bytes) in &page {
            found.push(serde_json::from_slice(bytes)?);
        }
    }
}

fn refuse(asked: Asked, item: &InboxId) {
    let refusal = || soloist_kernel::run::Refusal::NotWaiting { item: item.clone() }.into();
    match asked {
        Asked::Decide { reply, .. } | Asked::Modify { reply, .. } => {
            drop(reply.send(Err(refusal())))
        }
        _ => {}
    }
}

impl State {
    async fn deliver(
        &mut self,
        myself: &ActorRef<Message>,
        run: RunId,
        asked: Asked,
    ) -> Result<(), ActorProcessingErr> {
        self.context.env.perturb().await;
        if !self.active.contains_key(&run) {
            if self.active.len() >= ACTIVE_MAX && matches!(asked, Asked::Begin(_)) {
                overloaded(asked);
                return Ok(());
            }
            let arguments = run::Arguments {
                context: self.context.clone(),
                id: run.clone(),
                supervisor: myself.clone(),
            };
            let (actor, _) =
                Actor::spawn_linked(None, RunActor, arguments, myself.get_cell()).await?;
            self.by_pid.insert(actor.get_id().pid(), run.clone());
            self.active.insert(run.clone(), Live { actor, delivered: 0 });
        }
        let live = self.active.get_mut(&run).expect("it is active, or was just made so");
        live.delivered += 1;
        // A dead actor's message is lost with its reply, which tells the caller; the restart follows.
        let _ = live.actor.send_message(run::Message::Asked(asked));
        Ok(())
    }

    fn run_of(&self, item: &InboxId) -> Result<Option<RunId>, ReadError> {
        let found = views::inbox_item(&*self.context.journal, item)?;
        Ok(found.and_then(|item| item.run))
    }

    fn rest(&mut self, run: &RunId, handled: u64) {
        if let Some(live) = self.active.get(run).filter(|live| live.delivered == handled) {
            let pid = live.actor.get_id().pid();
            live.actor.stop(None);
            self.forget(pid);
            self.tell_idle();
        }
    }

    fn forget(&mut self, pid: u64) -> Option<RunId> {
        let run = self.by_pid.remove(&pid)?;
        self.active.remove(&run);
        Some(run)
    }

    async fn restart(
        &mut self,
        myself: &ActorRef<Message>,
        run: RunId,
        error: &ActorProcessingErr,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        let deaths = self.deaths.entry(run.clone()).or_default();
        deaths.retain(|death| now.duration_since(*death) < RESTART_PERIOD);
        deaths.push_back(now);
        if self.context.halted.borrow().is_some() {
            return Ok(());
        }
        if deaths.len() > RESTARTS_MAX {
            tracing::error!(%run, %error, "the run's actor dies again and again; it is left alone until the next start");
            return Ok(());
        }
        tracing::warn!(%run, %error, "the run's actor died; it starts again from the journal");
        Counters::add(&self.context.counters.actors_restarted);
        self.deliver(myself, run, Asked::Recover).await
    }

    fn tell_idle(&mut self) {
        if self.active.is_empty() {
            for reply in self.idle.drain(..) {
                let _ = reply.send(());
            }
        }
    }
}

fn overloaded(asked: Asked) {
    if let Asked::Begin(begin) = asked {
        let message = format!(
            "{ACTIVE_MAX} runs are active, which is the limit; start it when some have ended"
        );
        let _ = begin.reply.send(Err(crate::handle::StartError::Refused(message)));
    }
}
