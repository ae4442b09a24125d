//! The actor of one connector: it owns the governor, the room for calls, and the calls under way.
//!
//! Who waits for room is served by priority, and within a priority in turn.
//!
//! A run first asks for room, and journals the intent of an attempt only when it has it: so the time during which a crash
//! leaves an attempt in doubt is the call itself and not the wait for it.

use std::{collections::BTreeMap, sync::Arc};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use soloist_connectors::{Connector, Env, Plan, Probe};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, OperationName},
    labels::Labeled,
    payload::Payload,
    run::Probed,
    workflow::Priority,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
    time::timeout,
};

use crate::{
    context::Context,
    governor::Governor,
    run::{CallGuard, Purpose},
};

/// The right to make one call. Dropping it gives the room back, and tells the actor so.
pub(crate) struct Room {
    permit: Option<OwnedSemaphorePermit>,
    actor: ActorRef<Message>,
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.permit.take());
        let _ = self.actor.send_message(Message::Freed);
    }
}

/// What a connector's actor is asked.
pub(crate) enum Message {
    /// Tell when there is room for a call.
    Admit { guard: CallGuard, purpose: Purpose, priority: Priority },
    /// Read.
    Read { operation: OperationName, arguments: Payload, reply: Reply },
    /// A call has given its room back.
    Freed,
    /// Make one attempt.
    Execute { guard: CallGuard, plan: Plan, attempt: u32, room: Room },
    /// Find out what became of an attempt.
    Probe { guard: CallGuard, plan: Plan, room: Room },
}

type Reply = oneshot::Sender<Result<Labeled<Payload>, Fault>>;

/// Reads through `connector`, when there is room.
pub(crate) async fn read(
    connector: &ActorRef<Message>,
    operation: OperationName,
    arguments: Payload,
) -> Result<Labeled<Payload>, String> {
    let (reply, answer) = oneshot::channel();
    let restarting = || "the connector is restarting; try again".to_owned();
    let message = Message::Read { operation, arguments, reply };
    connector.send_message(message).map_err(|_| restarting())?;
    answer.await.map_err(|_| restarting())?.map_err(|fault| fault.to_string())
}

/// Someone who waits for room.
enum Waiting {
    Call(CallGuard, Purpose),
    Read(OperationName, Payload, Reply),
}

pub(crate) struct ConnectorActor;

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) name: ConnectorName,
    pub(crate) connector: Arc<dyn Connector>,
}

pub(crate) struct State {
    env: Env,
    connector: Arc<dyn Connector>,
    governor: Arc<Governor>,
    room: Arc<Semaphore>,
    /// Who waits for room, by priority and then in turn.
    waiting: BTreeMap<(Priority, u64), Waiting>,
    turn: u64,
    calls: JoinSet<()>,
}

impl Actor for ConnectorActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { context, name, connector } = arguments;
        let manifest = connector.manifest();
        let governor = Arc::new(Governor::new(manifest.rate));
        let room = Arc::new(Semaphore::new(manifest.concurrency_max.max(1)));
        context.registry.set_connector(name, myself);
        Ok(State {
            env: context.env.clone(),
            connector,
            governor,
            room,
            waiting: BTreeMap::new(),
            turn: 0,
            calls: JoinSet::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.calls.try_join_next().is_some() {}
        match message {
            Message::Admit { guard, purpose, priority } => {
                state.queue(priority, Waiting::Call(guard, purpose))
            }
            Message::Read { operation, arguments, reply } => {
                state.queue(Priority::Normal, Waiting::Read(operation, arguments, reply))
            }
            Message::Freed => {}
            Message::Execute { guard, plan, attempt, room } => {
                state.execute(guard, plan, attempt, room)
            }
            Message::Probe { guard, plan, room } => state.probe(guard, plan, room),
        }
        state.admit(&myself);
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // A call that is under way is let finish, within its own timeout: its answer is worth more than a second.
        state.room.close();
        state.waiting.clear();
        while state.calls.join_next().await.is_some() {}
        Ok(())
    }
}

impl State {
    fn queue(&mut self, priority: Priority, waiting: Waiting) {
        self.turn += 1;
        self.waiting.insert((priority, self.turn), waiting);
    }

    /// Gives room to those who have waited longest with the highest priority.
    fn admit(&mut self, myself: &ActorRef<Message>) {
        while !self.waiting.is_empty() {
            let Ok(permit) = self.room.clone().try_acquire_owned() else { return };
            let Some((_, next)) = self.waiting.pop_first() else { return };
            let room = Room { permit: Some(permit), actor: myself.clone() };
            let governor = self.governor.clone();
            match next {
                Waiting::Call(guard, purpose) => {
                    self.calls.spawn(async move {
                        governor.admit().await;
                        guard.room(purpose, room);
                    });
                }
                Waiting::Read(operation, arguments, reply) => {
                    self.read(operation, arguments, reply, room)
                }
            }
        }
    }

    fn read(&mut self, operation: OperationName, arguments: Payload, reply: Reply, room: Room) {
        let (env, connector) = (self.env.clone(), self.connector.clone());
        let governor = self.governor.clone();
        self.calls.spawn(async move {
            governor.admit().await;
            env.perturb().await;
            let limit = connector.manifest().call_timeout;
            let read = timeout(limit, connector.read(&env, &operation, &arguments)).await;
            let answer = read.unwrap_or_else(|_| {
                let message = format!("the read did not end within {} s", limit.as_secs_f64());
                Err(Fault::new(FaultClass::Deadline, Phase::MaybeSent, message))
            });
            let _ = reply.send(answer);
            drop(room);
        });
    }

    fn execute(&mut self, mut guard: CallGuard, plan: Plan, attempt: u32, room: Room) {
        let (env, connector) = (self.env.clone(), self.connector.clone());
        self.calls.spawn(async move {
            guard.begins();
            env.perturb().await;
            let limit = connector.manifest().call_timeout;
            let answer: Result<Payload, Fault> =
                match timeout(limit, connector.execute(&env, &plan, attempt)).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        let message =
                            format!("the call did not end within {} s", limit.as_secs_f64());
                        Err(Fault::new(FaultClass::Deadline, Phase::MaybeSent, message))
                    }
                };
            guard.answered(answer);
            drop(room);
        });
    }

    fn probe(&mut self, guard: CallGuard, plan: Plan, room: Room) {
        let (env, connector) = (self.env.clone(), self.connector.clone());
        self.calls.spawn(async move {
            env.perturb().await;
            let limit = connector.manifest().call_timeout;
            let unknown = |class, message: String| Probed::Unknown {
                fault: Fault::new(class, Phase::NotSent, message),
            };
            let found = match timeout(limit, connector.probe(&env, &plan)).await {
                Ok(Ok(Probe::Landed { receipt })) => Probed::Landed { receipt },
                Ok(Ok(Probe::Absent)) => Probed::Absent,
                Ok(Ok(Probe::Unknown { reason })) => unknown(FaultClass::Transient, reason),
                Ok(Err(fault)) => Probed::Unknown { fault },
                Err(_) => unknown(FaultClass::Deadline, "the probe did not end in time".into()),
            };
            guard.probed(found);
            drop(room);
        });
    }
}
