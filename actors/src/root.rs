//! The tree, from its root: what is there, in which order, and who restarts whom.

use std::{sync::Arc, time::Duration};

use soloist_kernel::{
    id::{AgentName, ConnectorName},
    incident::{Death, What},
};
use tokio::time::timeout;

use crate::{
    actor::{Address, Behaviour, Ended, Error},
    agents::{self, Pool},
    connector::{self, ConnectorActor},
    context::Context,
    events::EventsActor,
    incidents,
    intake::{self, IntakeActor},
    journal::JournalActor,
    log::Notifier,
    memory::MemoryActor,
    retention::RetentionActor,
    runs::RunsActor,
    schedules::SchedulesActor,
    shadows::ShadowsActor,
    supervisor::{AutoShutdown, Flags, Restart, Shutdown, Spec, Strategy},
    timers::TimersActor,
    tree::Place,
};

/// The supervisor of everything.
pub(crate) const SOLOIST: &str = "soloist";
/// The supervisor of connectors.
pub(crate) const CONNECTORS: &str = "soloist/connectors";
/// The supervisor of agents.
pub(crate) const AGENTS: &str = "soloist/agents";

/// Beyond the time that a call may take, how long a connector may take to stop.
const CALL_GRACE: Duration = Duration::from_secs(5);

/// How long the record of a tree that gave up may take: the journal may be what it gave up over.
const RAISE_TIMEOUT: Duration = Duration::from_secs(5);

const ONE_FOR_ONE: Flags = Flags::new(Strategy::OneForOne);

/// The tree beneath the root, in the order it starts. Each depends on those before it: if one of them dies, those after it
/// start again with it.
fn children(context: &Arc<Context>) -> Vec<Spec> {
    let with = || {
        let context = context.clone();
        move || context.clone()
    };
    let (for_connectors, for_agents) = (context.clone(), context.clone());
    let for_services = context.clone();
    vec![
        Spec::actor::<JournalActor>("journal", with()),
        Spec::actor::<MemoryActor>("memory", with()),
        Spec::supervisor("connectors", ONE_FOR_ONE, context, move || connectors(&for_connectors)),
        // A provider is beneath it as soon as one is mounted.
        Spec::supervisor("models", ONE_FOR_ONE, context, Vec::new),
        Spec::supervisor("agents", ONE_FOR_ONE, context, move || agents(&for_agents)),
        Spec::actor::<RunsActor>("runs", with()),
        // What is due is in the journal: nothing of it is worth waiting for.
        Spec::actor::<TimersActor>("timers", with()).shutdown(Shutdown::BrutalKill),
        Spec::actor::<EventsActor>("events", with()),
        Spec::actor::<SchedulesActor>("schedules", with()),
        Spec::actor::<RetentionActor>("retention", with()),
        // What is due is in the journal: a shadow that is cut off is played once more.
        Spec::actor::<ShadowsActor>("shadows", with()).shutdown(Shutdown::BrutalKill),
        Spec::supervisor("services", ONE_FOR_ONE, context, move || {
            for_services.services.iter().map(|services| services.spec(&for_services)).collect()
        }),
    ]
}

fn connectors(context: &Arc<Context>) -> Vec<Spec> {
    context.mounted().connectors.keys().map(|name| connector(context, name)).collect()
}

/// A connector: the actor of its calls, and the one that pulls what is new through it. When the first has been drained and
/// ends, there is nothing left for the second.
pub(crate) fn connector(context: &Arc<Context>, name: &ConnectorName) -> Spec {
    let flags =
        Flags { auto_shutdown: AutoShutdown::AnySignificant, ..Flags::new(Strategy::RestForOne) };
    let (of, mounted_as) = (context.clone(), name.clone());
    Spec::supervisor(name.as_str(), flags, context, move || of_connector(&of, &mounted_as))
        .restart(Restart::Transient)
}

fn of_connector(context: &Arc<Context>, name: &ConnectorName) -> Vec<Spec> {
    let mounted = context.mounted();
    let Some(connector) = mounted.connectors.get(name).cloned() else { return vec![] };
    let shutdown = Shutdown::After(connector.manifest().call_timeout + CALL_GRACE);
    let (of, mounted_as) = (context.clone(), name.clone());
    let arguments = move || connector::Arguments {
        context: of.clone(),
        name: mounted_as.clone(),
        connector: connector.clone(),
    };
    let calls = Spec::actor::<ConnectorActor>("calls", arguments)
        .restart(Restart::Transient)
        .significant()
        .shutdown(shutdown);
    let sync = mounted.intakes.get(name).map(|intake| {
        let arguments = intake::Arguments {
            context: context.clone(),
            name: name.clone(),
            workflow: intake.workflow.clone(),
            interval: intake.interval,
        };
        Spec::actor::<IntakeActor>("sync", move || arguments.clone()).shutdown(shutdown)
    });
    [calls].into_iter().chain(sync).collect()
}

fn agents(context: &Arc<Context>) -> Vec<Spec> {
    let mounted = context.mounted();
    let all = mounted.agents.iter();
    let all = all.flat_map(|(name, versions)| versions.keys().map(move |version| (name, *version)));
    all.map(|(name, version)| pool(context, name, version)).collect()
}

/// The pool of one version of an agent.
pub(crate) fn pool(context: &Arc<Context>, name: &AgentName, version: u32) -> Spec {
    let (context, agent) = (context.clone(), name.clone());
    let arguments =
        move || agents::Arguments { context: context.clone(), name: agent.clone(), version };
    Spec::actor::<Pool>(pool_name(name, version), arguments).restart(Restart::Transient)
}

/// What the pool of a version is called: `draft@2`.
pub(crate) fn pool_name(name: &AgentName, version: u32) -> String {
    format!("{name}@{version}")
}

/// The root: one child, the supervisor of the tree. If that gives up, nothing more is done, and that is said: the process
/// stays, so that the operator can see.
pub(crate) struct Root {
    context: Arc<Context>,
    place: Place,
    living: Option<ractor::ActorCell>,
    /// Wakes those who still write when the tree, and the journal's actor with it, is gone.
    notifier: Option<Notifier>,
}

/// Nothing is asked of the root.
pub(crate) enum Message {}

impl Behaviour for Root {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match *message {}
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        let (flags, of) = (Flags::new(Strategy::RestForOne), context.clone());
        let tree = Spec::supervisor(SOLOIST, flags, &context, move || children(&of))
            .restart(Restart::Temporary);
        let place = context.tree.root(SOLOIST, Strategy::RestForOne);
        let living = tree.start(me.cell(), &place).await?;
        place.started(living.cell.clone(), living.mailbox);
        Ok(Self { context, place, living: Some(living.cell), notifier: None })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {}
    }

    async fn child_ended(&mut self, _child: u64, ended: Ended) -> Result<(), Error> {
        self.living = None;
        if let Ended::Failed(reason) = ended
            && self.context.halted.borrow().is_none()
        {
            self.place.gave_up(&reason);
            self.notifier = Some(self.context.log.notifier());
            self.raise(&reason).await;
            self.context.give_up(&reason);
        }
        Ok(())
    }

    async fn stop(&mut self) {
        let Some(cell) = self.living.take() else { return };
        let _ = cell.stop_and_wait(None, None).await;
        self.place.ended(None);
    }
}

impl Root {
    /// Puts on record, and into the inbox, that the tree has given up.
    async fn raise(&self, reason: &str) {
        let what = What::GaveUp { supervisor: SOLOIST.into() };
        let at = self.context.env.now();
        let evidence = vec![Death { at, reason: reason.to_owned(), work: None }];
        let raised = timeout(RAISE_TIMEOUT, incidents::raise(&self.context, what, evidence)).await;
        if !matches!(raised, Ok(Ok(_))) {
            tracing::error!("failed to put on record that the tree gave up");
        }
    }
}
