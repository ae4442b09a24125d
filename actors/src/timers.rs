//! Wakes runs that have left memory when something is due in them.
//!
//! What is due is a projection, soonest first, so this actor holds no more than the next time. A run in memory has a timer
//! of its own; that both may ring does no harm.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use soloist_kernel::{
    id::RunId,
    mutant::{Mutant, planted},
    run::project::TIMERS,
    time::Timestamp,
};

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    run::Asked,
    runs,
};

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

pub(crate) struct TimersActor {
    me: Address<Message>,
    context: Arc<Context>,
    /// When the actor looks next.
    next: Option<Timestamp>,
    /// What was due and has been told, and may not have been taken in yet.
    told: BTreeSet<String>,
}

impl Behaviour for TimersActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Set { .. } => "set a time",
            Message::Look | Message::Due { .. } => "look at what is due",
        }
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        context.registry.set_timers(me.clone());
        if !planted(Mutant::DueForgotten) {
            me.send(Message::Look)?;
        }
        Ok(Self { me, context, next: None, told: BTreeSet::new() })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Set { at } => {
                // Who was told that it was due and waits for it still has seen the clock go back.
                self.told.retain(|key| read(key).is_none_or(|(due, _)| due != at));
                self.look_at(at);
            }
            Message::Look => self.look()?,
            // An alarm that an earlier one has overtaken rings for nothing.
            Message::Due { at } if self.next == Some(at) => {
                self.next = None;
                self.look()?;
            }
            Message::Due { .. } => {}
        }
        Ok(())
    }
}

impl TimersActor {
    /// Looks at `at`, unless it looks before that anyway.
    fn look_at(&mut self, at: Timestamp) {
        let now = self.context.env.now();
        let at = at.min(now.after(LOOK_AGAIN));
        if self.next.is_some_and(|next| next <= at) {
            return;
        }
        self.next = Some(at);
        self.me.send_after(now.until(at), move || Message::Due { at });
    }

    fn look(&mut self) -> Result<(), Error> {
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
                    self.look_at(at);
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
            let _ = runs.send(runs::Message::Deliver { run, asked: Asked::Tick });
        }
    }
}

fn read(key: &str) -> Option<(Timestamp, RunId)> {
    let (at, run) = key.split_once('/')?;
    Some((Timestamp(at.parse().ok()?), run.parse().ok()?))
}
