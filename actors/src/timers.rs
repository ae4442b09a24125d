//! Wakes runs that have left memory when something is due in them.
//!
//! What is due is a projection, soonest first, so this actor holds no more than the next time. A run in memory has a timer
//! of its own; that both may ring does no harm.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use soloist_kernel::{id::RunId, run::project::TIMERS, time::Timestamp};

use crate::{context::Context, run::Asked, runs};

/// Longest wait before the clock is looked at again: it may have been set, and the machine may have slept.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

/// How many projections are read at a time.
const PAGE: usize = 1_000;

/// What the timers' actor is told.
pub(crate) enum Message {
    /// Something is due at `at`.
    Set { at: Timestamp },
    /// Look at what is due.
    Look,
    /// The time to look again has come.
    Due { at: Timestamp },
}

pub(crate) struct TimersActor;

pub(crate) struct State {
    context: Arc<Context>,
    /// When the actor looks next.
    next: Option<Timestamp>,
    /// What was due and has been told, and may not have been taken in yet.
    told: BTreeSet<String>,
}

impl Actor for TimersActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        context.registry.set_timers(myself.clone());
        myself.send_message(Message::Look)?;
        Ok(State { context, next: None, told: BTreeSet::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Set { at } => state.look_at(&myself, at),
            Message::Look => state.look(&myself)?,
            // An alarm that an earlier one has overtaken rings for nothing.
            Message::Due { at } if state.next == Some(at) => {
                state.next = None;
                state.look(&myself)?;
            }
            Message::Due { .. } => {}
        }
        Ok(())
    }
}

impl State {
    /// Looks at `at`, unless it looks before that anyway.
    fn look_at(&mut self, myself: &ActorRef<Message>, at: Timestamp) {
        let now = self.context.env.now();
        let at = at.min(now.after(LOOK_AGAIN));
        if self.next.is_some_and(|next| next <= at) {
            return;
        }
        self.next = Some(at);
        myself.send_after(now.until(at), move || Message::Due { at });
    }

    fn look(&mut self, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let now = self.context.env.now();
        let (mut after, mut due) = (String::new(), BTreeSet::new());
        loop {
            let page = self.context.journal.projections(TIMERS, "", &after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (key, _) in &page {
                let Some((at, run)) = read(key) else { continue };
                if at > now {
                    self.told = due;
                    self.look_at(myself, at);
                    return Ok(());
                }
                if !self.told.contains(key) {
                    self.tell(run);
                }
                due.insert(key.clone());
            }
        }
        self.told = due;
        Ok(())
    }

    fn tell(&self, run: RunId) {
        if let Some(runs) = self.context.registry.runs() {
            let _ = runs.send_message(runs::Message::Deliver { run, asked: Asked::Tick });
        }
    }
}

fn read(key: &str) -> Option<(Timestamp, RunId)> {
    let (at, run) = key.split_once('/')?;
    Some((Timestamp(at.parse().ok()?), run.parse().ok()?))
}
