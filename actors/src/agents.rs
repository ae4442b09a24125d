//! The actor of one agent: it owns the turns under way.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use soloist_kernel::{
    id::{AgentName, RunId},
    payload::Payload,
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{context::Context, run::TurnGuard, turn::Turn};

/// How long a shutdown waits for turns to come to an end by themselves. What is cut off is taken again from its journal.
const GRACE: Duration = Duration::from_millis(200);

/// What an agent's actor is asked.
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
}

pub(crate) struct AgentActor;

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) name: AgentName,
}

pub(crate) struct State {
    context: Arc<Context>,
    name: AgentName,
    turns: JoinSet<()>,
}

impl Actor for AgentActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { context, name } = arguments;
        context.registry.set_agent(name.clone(), myself);
        Ok(State { context, name, turns: JoinSet::new() })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.turns.try_join_next().is_some() {}
        match message {
            Message::TakeTurn { guard, run, input, busy, waited_for } => {
                state.take_turn(guard, run, input, busy, waited_for)
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let all = async { while state.turns.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all).await;
        Ok(())
    }
}

impl State {
    fn take_turn(
        &mut self,
        guard: TurnGuard,
        run: RunId,
        input: Payload,
        busy: Arc<AtomicUsize>,
        waited_for: oneshot::Receiver<()>,
    ) {
        let Some(line) = guard.line().cloned() else { return };
        let Some(agent) = self.context.agent(&self.name, line.version).cloned() else { return };
        let turn = Turn::new(self.context.clone(), line, run, self.name.clone(), busy);
        self.turns.spawn(async move {
            // Dropped in a panic or an abort, the guard says so to the run.
            let guard = guard;
            tokio::select! {
                biased;
                result = agent.take_turn(turn, input) => guard.ended(result),
                _ = waited_for => {}
            }
        });
    }
}
