//! What a supervisor knows of a child: its name, how it starts, whether it comes back, how it is stopped.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use ractor::{ActorCell, SpawnErr};
use soloist_connectors::Env;

use super::{
    Arguments, Supervisor,
    strategy::{Flags, Restart, Strategy},
};
use crate::{
    actor::{Behaviour, Mailbox, spawn},
    context::Context,
    tree::Place,
};

/// How long a worker may take to stop: OTP's default.
const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// It is killed at once: nothing that it does is worth waiting for.
    BrutalKill,
    /// It is asked to stop, and killed if it has not by then.
    After(Duration),
    /// It is waited for. For supervisors, whose children have limits of their own.
    Infinity,
}

/// A child that has started.
pub(crate) struct Living {
    pub(crate) cell: ActorCell,
    pub(crate) mailbox: Arc<Mailbox>,
}

type Starting = Pin<Box<dyn Future<Output = Result<Living, SpawnErr>> + Send>>;
type Start = Box<dyn Fn(ActorCell, &Place) -> Starting + Send + Sync>;

/// A child: in OTP's words, its specification.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) restart: Restart,
    pub(crate) significant: bool,
    pub(crate) shutdown: Shutdown,
    /// For a supervisor.
    pub(crate) strategy: Option<Strategy>,
    start: Start,
}

impl Spec {
    /// A child that is the actor `B` with new `arguments` at each start. It is permanent until something else is said.
    pub(crate) fn actor<B: Behaviour>(
        name: impl Into<String>,
        arguments: impl Fn() -> B::Arguments + Send + Sync + 'static,
    ) -> Self {
        let start = move |supervisor: ActorCell, place: &Place| -> Starting {
            Box::pin(start::<B>(arguments(), supervisor, place.spot().env()))
        };
        Self {
            name: name.into(),
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
            strategy: None,
            start: Box::new(start),
        }
    }

    /// A child that is itself a supervisor. Its children are asked for at each start.
    pub(crate) fn supervisor(
        name: impl Into<String>,
        flags: Flags,
        context: &Arc<Context>,
        children: impl Fn() -> Vec<Self> + Send + Sync + 'static,
    ) -> Self {
        let context = context.clone();
        let start = move |supervisor: ActorCell, place: &Place| -> Starting {
            let arguments = Arguments {
                flags,
                context: context.clone(),
                spot: place.spot().clone(),
                children: children(),
            };
            Box::pin(start::<Supervisor>(arguments, supervisor, place.spot().env()))
        };
        Self {
            name: name.into(),
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::Infinity,
            strategy: Some(flags.strategy),
            start: Box::new(start),
        }
    }

    pub(crate) fn restart(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// Its end by itself may end its supervisor.
    ///
    /// # Panics
    ///
    /// For a permanent child, which has no such end: a defect of the tree's definition.
    pub(crate) fn significant(self) -> Self {
        assert!(self.restart != Restart::Permanent, "a permanent child cannot be significant");
        Self { significant: true, ..self }
    }

    pub(crate) fn shutdown(self, shutdown: Shutdown) -> Self {
        Self { shutdown, ..self }
    }

    /// Starts the child beneath `supervisor`, at its `place`.
    pub(crate) async fn start(
        &self,
        supervisor: ActorCell,
        place: &Place,
    ) -> Result<Living, SpawnErr> {
        (self.start)(supervisor, place).await
    }
}

async fn start<B: Behaviour>(
    arguments: B::Arguments,
    supervisor: ActorCell,
    env: Env,
) -> Result<Living, SpawnErr> {
    let address = spawn::<B>(arguments, supervisor, &env).await?;
    Ok(Living { cell: address.cell(), mailbox: address.mailbox().clone() })
}
