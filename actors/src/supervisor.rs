//! Supervisors: start children in order, restart what dies, stop in reverse order.
//!
//! The strategy is a pure function (`restart.rs`); this actor carries it out. Children are kept in our own order, because
//! ractor keeps them in a `HashMap`.

mod restart;

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

pub(crate) use restart::Strategy;

use self::restart::{Intensity, Verdict, after_exit};
use crate::context::{Context, Counters};

/// How long one child may take to stop before it is killed: longer than a connector's call may need to answer.
const STOP_TIMEOUT: Duration = Duration::from_secs(65);

type Starting = Pin<Box<dyn Future<Output = Result<ActorCell, SpawnErr>> + Send>>;

/// A child: its name, and how it is started.
pub(crate) struct Spec {
    name: String,
    start: Box<dyn Fn(ActorCell) -> Starting + Send + Sync>,
}

impl Spec {
    /// A child started by `start`, which is given its supervisor.
    pub(crate) fn new<F>(
        name: impl Into<String>,
        start: impl Fn(ActorCell) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self { name: name.into(), start: Box::new(move |supervisor| Box::pin(start(supervisor))) }
    }

    /// A child that is the actor `A` with a copy of `arguments` at each start.
    pub(crate) fn actor<A>(
        name: impl Into<String>,
        make: fn() -> A,
        arguments: impl Fn() -> A::Arguments + Send + Sync + 'static,
    ) -> Self
    where
        A: Actor,
    {
        Self::new(name, move |supervisor| {
            let arguments = arguments();
            async move {
                let (actor, _) = Actor::spawn_linked(None, make(), arguments, supervisor).await?;
                Ok(actor.get_cell())
            }
        })
    }

    /// A child that is itself a supervisor.
    pub(crate) fn supervisor(
        name: &'static str,
        strategy: Strategy,
        context: Arc<Context>,
        children: impl Fn() -> Vec<Self> + Send + Sync + 'static,
    ) -> Self {
        let make =
            move || Arguments { name, strategy, context: context.clone(), children: children() };
        Self::actor(name, || Supervisor, make)
    }
}

pub(crate) struct Supervisor;

pub(crate) struct Arguments {
    pub(crate) name: &'static str,
    pub(crate) strategy: Strategy,
    pub(crate) context: Arc<Context>,
    pub(crate) children: Vec<Spec>,
}

pub(crate) struct State {
    name: &'static str,
    strategy: Strategy,
    context: Arc<Context>,
    specs: Vec<Spec>,
    living: Vec<Option<ActorCell>>,
    deaths: VecDeque<Instant>,
}

impl Actor for Supervisor {
    type Msg = ();
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { name, strategy, context, children: specs } = arguments;
        let living = specs.iter().map(|_| None).collect();
        let mut state = State { name, strategy, context, specs, living, deaths: VecDeque::new() };
        for index in 0..state.specs.len() {
            state.start(&myself, index).await?;
        }
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, reason) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.unwrap_or_else(|| "it stopped".into()))
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        // A child that was stopped on purpose is no longer in its place.
        match state.living.iter().position(|living| {
            living.as_ref().is_some_and(|living| living.get_id() == cell.get_id())
        }) {
            Some(index) => state.died(&myself, index, &reason).await,
            None => Ok(()),
        }
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<()>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        for index in (0..state.living.len()).rev() {
            state.stop(index).await;
        }
        Ok(())
    }
}

impl State {
    async fn start(
        &mut self,
        myself: &ActorRef<()>,
        index: usize,
    ) -> Result<(), ActorProcessingErr> {
        self.context.env.perturb().await;
        self.living[index] = Some((self.specs[index].start)(myself.get_cell()).await?);
        Ok(())
    }

    async fn stop(&mut self, index: usize) {
        let Some(cell) = self.living[index].take() else { return };
        if cell.stop_and_wait(None, Some(STOP_TIMEOUT)).await.is_err() {
            tracing::warn!(
                supervisor = self.name,
                child = self.specs[index].name,
                "it did not stop in time and is killed"
            );
            cell.kill();
        }
    }

    async fn died(
        &mut self,
        myself: &ActorRef<()>,
        index: usize,
        reason: &str,
    ) -> Result<(), ActorProcessingErr> {
        let child = &self.specs[index].name;
        self.living[index] = None;
        if self.context.halted.borrow().is_some() {
            return Ok(());
        }
        let verdict = after_exit(
            self.strategy,
            self.specs.len(),
            index,
            &mut self.deaths,
            Instant::now(),
            &Intensity::DEFAULT,
        );
        match verdict {
            Verdict::GiveUp => {
                tracing::error!(
                    supervisor = self.name,
                    child,
                    reason,
                    "it dies again and again; its supervisor gives up"
                );
                Err(format!("`{child}` dies again and again: {reason}").into())
            }
            Verdict::Restart { children } => {
                tracing::warn!(supervisor = self.name, child, reason, "it died and starts again");
                for later in children.clone().rev().filter(|later| *later != index) {
                    self.stop(later).await;
                }
                for child in children {
                    Counters::add(&self.context.counters.actors_restarted);
                    self.start(myself, child).await?;
                }
                Ok(())
            }
        }
    }
}
