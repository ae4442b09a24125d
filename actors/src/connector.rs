//! The actor of one connector: it owns the governor, the room for calls, and the calls under way.
//!
//! A run first asks for room, and journals the intent of an attempt only when it has it: so the time during which a crash
//! leaves an attempt in doubt is the call itself and not the wait for it.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use soloist_connectors::{Connector, Env, Plan, Probe};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::ConnectorName,
    payload::Payload,
    run::Probed,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

use crate::{
    context::Context,
    governor::Governor,
    run::{CallGuard, Purpose},
};

/// The right to make one call. Dropping it gives the room back.
pub(crate) type Room = OwnedSemaphorePermit;

/// What a connector's actor is asked.
pub(crate) enum Message {
    /// Tell when there is room for a call.
    Admit { guard: CallGuard, purpose: Purpose },
    /// Make one attempt.
    Execute { guard: CallGuard, plan: Plan, attempt: u32, room: Room },
    /// Find out what became of an attempt.
    Probe { guard: CallGuard, plan: Plan, room: Room },
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
        Ok(State { env: context.env.clone(), connector, governor, room, calls: JoinSet::new() })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.calls.try_join_next().is_some() {}
        match message {
            Message::Admit { guard, purpose } => state.admit(guard, purpose),
            Message::Execute { guard, plan, attempt, room } => {
                state.execute(guard, plan, attempt, room)
            }
            Message::Probe { guard, plan, room } => state.probe(guard, plan, room),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // A call that is under way is let finish, within its own timeout: its answer is worth more than a second.
        state.room.close();
        while state.calls.join_next().await.is_some() {}
        Ok(())
    }
}

impl State {
    fn admit(&mut self, guard: CallGuard, purpose: Purpose) {
        let (room, governor) = (self.room.clone(), self.governor.clone());
        self.calls.spawn(async move {
            // Closed means shutdown: whoever waits is not admitted.
            if let Ok(room) = room.acquire_owned().await {
                governor.admit().await;
                guard.room(purpose, room);
            }
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
