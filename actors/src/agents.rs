//! The pool of one version of an agent: it owns the turns under way, each in a task of its own, and survives their panics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicUsize},
    time::Duration,
};

use soloist_kernel::{
    id::{AgentName, RunId},
    payload::Payload,
    run::{StepError, StepErrorKind},
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    panics::caught_async,
    run::TurnGuard,
    tree::{Tells, TreeNode},
    turn::Turn,
};

/// How long a shutdown waits for turns to come to an end by themselves. What is cut off is taken again from its journal.
const GRACE: Duration = Duration::from_millis(200);

/// What a pool is asked.
pub(crate) enum Message {
    /// Let the agent take a turn; the answer goes through the guard.
    /// The turn lives as long as the other end of `waited_for` is held.
    TakeTurn {
        guard: TurnGuard,
        run: RunId,
        input: Payload,
        /// Branches of the turn that do something.
        busy: Arc<AtomicUsize>,
        waited_for: oneshot::Receiver<()>,
    },
    /// Leave when the turns under way are over; told then.
    Drain { reply: oneshot::Sender<()> },
}

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) name: AgentName,
    pub(crate) version: u32,
}

pub(crate) struct Pool {
    me: Address<Message>,
    context: Arc<Context>,
    name: AgentName,
    version: u32,
    turns: JoinSet<()>,
    under_way: Arc<UnderWay>,
}

/// The turns under way, in the order they began: run and step.
#[derive(Default)]
struct UnderWay(Mutex<BTreeMap<u64, String>>);

/// A turn's entry among those under way, for as long as it is taken.
struct Entry {
    under_way: Arc<UnderWay>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.under_way.turns().remove(&self.number);
    }
}

impl UnderWay {
    fn turns(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0.lock().expect("noting a turn does not panic")
    }

    fn begin(self: &Arc<Self>, turn: String) -> Entry {
        let mut turns = self.turns();
        let number = turns.last_key_value().map_or(0, |(last, _)| last + 1);
        turns.insert(number, turn);
        Entry { under_way: self.clone(), number }
    }
}

impl Tells for UnderWay {
    fn members(&self, limit: usize) -> Option<(usize, Vec<TreeNode>)> {
        let turns = self.turns();
        let shown = turns.values().take(limit);
        let shown =
            shown.map(|turn| TreeNode::member(turn.clone(), "running", 0, Some("turn".into())));
        Some((turns.len(), shown.collect()))
    }
}

impl Behaviour for Pool {
    type Message = Message;
    type Arguments = Arguments;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::TakeTurn { .. } => "begin a turn",
            Message::Drain { .. } => "drain",
        }
    }

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, Error> {
        let Arguments { context, name, version } = arguments;
        context.registry.set_pool(name.clone(), version, me.clone());
        Ok(Self { me, context, name, version, turns: JoinSet::new(), under_way: Arc::default() })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        while self.turns.try_join_next().is_some() {}
        match message {
            Message::TakeTurn { guard, run, input, busy, waited_for } => {
                self.take_turn(guard, run, input, busy, waited_for);
            }
            Message::Drain { reply } => {
                while self.turns.join_next().await.is_some() {}
                let _ = reply.send(());
                self.me.stop();
            }
        }
        Ok(())
    }

    fn tells(&self) -> Option<Arc<dyn Tells>> {
        Some(self.under_way.clone())
    }

    async fn stop(&mut self) {
        let all = async { while self.turns.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all).await;
    }
}

fn panicked(said: &str) -> StepError {
    StepError::new(StepErrorKind::Panicked, format!("the agent panicked: {said}"))
}

impl Pool {
    fn take_turn(
        &mut self,
        guard: TurnGuard,
        run: RunId,
        input: Payload,
        busy: Arc<AtomicUsize>,
        waited_for: oneshot::Receiver<()>,
    ) {
        let Some(line) = guard.line().cloned() else { return };
        let Some(agent) = self.context.mounted().agent(&self.name, self.version).cloned() else {
            return;
        };
        let entry = self.under_way.begin(format!("{run}/{}", line.step));
        let turn = Turn::new(self.context.clone(), line, run, self.name.clone(), busy);
        self.turns.spawn(async move {
            // Dropped in an abort, the guard says so to the run.
            let (guard, _entry) = (guard, entry);
            tokio::select! {
                biased;
                result = caught_async(agent.take_turn(turn, input)) => {
                    guard.ended(result.unwrap_or_else(|said| Err(panicked(&said))));
                }
                _ = waited_for => {}
            }
        });
    }
}
