//! The tree, from its root: what is there, in which order, and who restarts whom.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use soloist_kernel::id::{ConnectorName, WorkflowName};

use crate::{
    agents::{self, AgentActor},
    connector::{self, ConnectorActor},
    context::Context,
    events::{self, EventsActor, Subscription},
    intake::{self, IntakeActor},
    memory::MemoryActor,
    runs::RunsActor,
    schedules::SchedulesActor,
    supervisor::{Arguments as Supervise, Spec, Strategy, Supervisor},
    timers::TimersActor,
};

/// A connector that is read: which workflow its changes start, and how often it is pulled by itself.
#[derive(Clone)]
pub(crate) struct IntakeSpec {
    pub(crate) connector: ConnectorName,
    pub(crate) workflow: WorkflowName,
    pub(crate) interval: Option<Duration>,
}

/// The tree beneath the root, in the order it starts. Each depends on those before it: if one of them dies for good, it and
/// those after it start again.
fn children(
    context: &Arc<Context>,
    intakes: &[IntakeSpec],
    subscriptions: &[Subscription],
) -> Vec<Spec> {
    let of = |context: &Arc<Context>| context.clone();
    let (memory, runs) = (of(context), of(context));
    let (for_connectors, for_agents, for_intakes) = (of(context), of(context), of(context));
    let (timers, schedules) = (of(context), of(context));
    let intakes = intakes.to_vec();
    let events = events::Arguments { context: of(context), subscriptions: subscriptions.to_vec() };
    vec![
        Spec::actor("memory", || MemoryActor, move || memory.clone()),
        Spec::supervisor("connectors", Strategy::OneForOne, of(context), move || {
            connectors(&for_connectors)
        }),
        Spec::supervisor("agents", Strategy::OneForOne, of(context), move || agents(&for_agents)),
        Spec::actor("runs", || RunsActor, move || runs.clone()),
        Spec::actor("timers", || TimersActor, move || timers.clone()),
        Spec::actor("events", || EventsActor, move || events.clone()),
        Spec::actor("schedules", || SchedulesActor, move || schedules.clone()),
        Spec::supervisor("intakes", Strategy::OneForOne, of(context), move || {
            self::intakes(&for_intakes, &intakes)
        }),
    ]
}

fn connectors(context: &Arc<Context>) -> Vec<Spec> {
    let spec = |(name, connector): (&ConnectorName, &Arc<dyn soloist_connectors::Connector>)| {
        let (context, name, connector) = (context.clone(), name.clone(), connector.clone());
        let arguments = move || connector::Arguments {
            context: context.clone(),
            name: name.clone(),
            connector: connector.clone(),
        };
        Spec::actor("connector", || ConnectorActor, arguments)
    };
    context.connectors.iter().map(spec).collect()
}

fn agents(context: &Arc<Context>) -> Vec<Spec> {
    let spec = |name: &soloist_kernel::id::AgentName| {
        let (context, name) = (context.clone(), name.clone());
        let arguments = move || agents::Arguments { context: context.clone(), name: name.clone() };
        Spec::actor("agent", || AgentActor, arguments)
    };
    context.agents.keys().map(spec).collect()
}

fn intakes(context: &Arc<Context>, intakes: &[IntakeSpec]) -> Vec<Spec> {
    let spec = |intake: &IntakeSpec| {
        let arguments = intake::Arguments {
            context: context.clone(),
            name: intake.connector.clone(),
            workflow: intake.workflow.clone(),
            interval: intake.interval,
        };
        Spec::actor("intake", || IntakeActor, move || arguments.clone())
    };
    intakes.iter().map(spec).collect()
}

/// The root: one child, the supervisor of the tree. If that gives up, the kernel halts and says why; the process stays, so
/// that the operator can see.
pub(crate) struct Root;

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) intakes: Vec<IntakeSpec>,
    pub(crate) subscriptions: Vec<Subscription>,
}

pub(crate) struct State {
    context: Arc<Context>,
    tree: ActorRef<()>,
}

impl Actor for Root {
    type Msg = ();
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { context, intakes, subscriptions } = arguments;
        let supervise = Supervise {
            name: "soloist",
            strategy: Strategy::RestForOne,
            context: context.clone(),
            children: children(&context, &intakes, &subscriptions),
        };
        let (tree, _) = Actor::spawn_linked(None, Supervisor, supervise, myself.get_cell()).await?;
        Ok(State { context, tree })
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            state.context.halt(&error.to_string());
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<()>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.tree.stop_and_wait(None, None).await.ok();
        Ok(())
    }
}
