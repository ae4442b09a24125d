//! What all our actors have in common: a mailbox whose depth is known, timers that die with them, and a behaviour.
//!
//! A [`Behaviour`] is the actor itself, without ractor's plumbing; [`spawn`] makes a ractor actor of it. Everyone talks to it
//! through its [`Address`]. What comes from outside is [offered](Address::offer) and refused when the mailbox is full; what
//! follows from work that was admitted is [sent](Address::send) and never refused, so that no answer is lost.

use std::{
    future::Future,
    marker::PhantomData,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ractor::{
    Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, SpawnErr, SupervisionEvent,
};
use soloist_connectors::Env;
use tokio::task::{AbortHandle, JoinSet};

use crate::tree::Tells;

/// Why an actor ends.
pub(crate) type Error = ActorProcessingErr;

/// Messages that may wait for one actor before more from outside are refused. Each is some hundred bytes, and an actor handles
/// some ten thousand in a second: what is refused would have waited for seconds.
pub(crate) const MAILBOX_MAX: usize = 10_000;

/// What an actor is and does.
pub(crate) trait Behaviour: Send + Sync + Sized + 'static {
    /// What it is told.
    type Message: Send + 'static;
    /// What it starts with.
    type Arguments: Send + 'static;

    /// A message in a word or two: what the actor does while it handles it.
    fn label(message: &Self::Message) -> &'static str;

    /// Starts; an error is one of its supervisor's.
    fn start(
        arguments: Self::Arguments,
        me: Address<Self::Message>,
    ) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Handles one message. An error is the actor's end.
    fn handle(&mut self, message: Self::Message) -> impl Future<Output = Result<(), Error>> + Send;

    /// An actor that this one started has ended.
    fn child_ended(
        &mut self,
        child: u64,
        ended: Ended,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = (child, ended);
        async { Ok(()) }
    }

    /// Who tells of it when the tree is looked at.
    fn tells(&self) -> Option<Arc<dyn Tells>> {
        None
    }

    /// Called when it is asked to stop; not when it fails or is killed.
    fn stop(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It stopped.
    Normally,
    /// It failed, panicked or was killed, with the reason.
    Failed(String),
}

/// An actor's mailbox as seen from outside.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// Messages that were sent to it.
    sent: Apart<AtomicUsize>,
    own: Apart<Own>,
    timers: Mutex<Option<JoinSet<()>>>,
    tells: OnceLock<Arc<dyn Tells>>,
}

/// What the actor alone writes, once or more with each message.
#[derive(Default)]
struct Own {
    /// Messages that it has begun to handle.
    begun: AtomicUsize,
    /// Whether it handles one.
    busy: AtomicBool,
    /// The label of the last one. Written only when it changes: most actors get most messages of one kind in a row.
    label: Mutex<&'static str>,
}

/// In a cache line of its own: senders and the actor write all the time, on different cores.
#[derive(Default)]
#[repr(align(64))]
struct Apart<T>(T);

impl Mailbox {
    /// Messages that wait.
    pub(crate) fn depth(&self) -> usize {
        // In this order: what has been begun was sent before.
        let begun = self.own.0.begun.load(Ordering::Acquire);
        self.sent.0.load(Ordering::Relaxed).saturating_sub(begun)
    }

    /// Messages that were sent to it so far, from wherever.
    pub(crate) fn sent(&self) -> usize {
        self.sent.0.load(Ordering::Acquire)
    }

    /// Messages that it has begun to handle so far.
    pub(crate) fn begun(&self) -> usize {
        self.own.0.begun.load(Ordering::Acquire)
    }

    /// What the actor does now, or did when it died.
    pub(crate) fn work(&self) -> Option<&'static str> {
        self.own.0.busy.load(Ordering::Acquire).then(|| *self.own.0.label())
    }

    /// What the actor tells of itself.
    pub(crate) fn tells(&self) -> Option<Arc<dyn Tells>> {
        self.tells.get().cloned()
    }

    fn timers(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.timers.lock().expect("setting a timer does not panic")
    }
}

impl Own {
    fn label(&self) -> MutexGuard<'_, &'static str> {
        self.label.lock().expect("noting the work does not panic")
    }
}

/// Where an actor is reached. Cloning it is cheap.
pub(crate) struct Address<M> {
    actor: ActorRef<M>,
    mailbox: Arc<Mailbox>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), mailbox: self.mailbox.clone() }
    }
}

/// The actor is gone: its message was dropped, and with it the reply it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the actor has ended; its supervisor starts it again")]
pub(crate) struct Gone;

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken<M> {
    /// The mailbox is full; the message comes back.
    Full(M),
    /// The actor has ended.
    Gone,
}

impl<M: Send + 'static> Address<M> {
    /// Sends what follows from work that was admitted: however full the mailbox is.
    pub(crate) fn send(&self, message: M) -> Result<(), Gone> {
        self.mailbox.sent.0.fetch_add(1, Ordering::Relaxed);
        self.actor.send_message(message).map_err(|_| {
            self.mailbox.sent.0.fetch_sub(1, Ordering::Relaxed);
            Gone
        })
    }

    /// Sends what comes from outside, unless the mailbox is full.
    pub(crate) fn offer(&self, message: M) -> Result<(), NotTaken<M>> {
        if self.mailbox.depth() >= MAILBOX_MAX {
            return Err(NotTaken::Full(message));
        }
        self.send(message).map_err(|Gone| NotTaken::Gone)
    }

    /// Sends after `wait`, unless the actor has ended by then or the handle aborts it.
    pub(crate) fn send_after(
        &self,
        wait: Duration,
        message: impl FnOnce() -> M + Send + 'static,
    ) -> AbortHandle {
        let me = self.clone();
        let mut timers = self.mailbox.timers();
        let timers = timers.get_or_insert_default();
        while timers.try_join_next().is_some() {}
        timers.spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = me.send(message());
        })
    }

    /// Whether it has not begun to end.
    pub(crate) fn is_alive(&self) -> bool {
        self.actor.get_status() <= ActorStatus::Running
    }

    /// The actor's number in this process.
    pub(crate) fn number(&self) -> u64 {
        self.actor.get_id().pid()
    }

    /// For the supervisor that starts children in this actor's name.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Asks it to stop once it has handled what it handles now.
    pub(crate) fn stop(&self) {
        self.actor.stop(None);
    }
}

/// Starts an actor beneath `supervisor`.
pub(crate) async fn spawn<B: Behaviour>(
    arguments: B::Arguments,
    supervisor: ActorCell,
    env: &Env,
) -> Result<Address<B::Message>, SpawnErr> {
    let mailbox = Arc::new(Mailbox::default());
    let managed = Managed::<B>::new(env);
    let started = (arguments, mailbox.clone());
    let (actor, _) = Actor::spawn_linked(None, managed, started, supervisor).await?;
    Ok(Address { actor, mailbox })
}

/// Starts the actor at the root, beneath nothing.
pub(crate) async fn spawn_root<B: Behaviour>(
    arguments: B::Arguments,
    env: &Env,
) -> Result<Address<B::Message>, SpawnErr> {
    let mailbox = Arc::new(Mailbox::default());
    let managed = Managed::<B>::new(env);
    let (actor, _) = Actor::spawn(None, managed, (arguments, mailbox.clone())).await?;
    Ok(Address { actor, mailbox })
}

/// A behaviour as a ractor actor.
struct Managed<B> {
    env: Env,
    behaviour: PhantomData<fn() -> B>,
}

impl<B> Managed<B> {
    fn new(env: &Env) -> Self {
        Self { env: env.clone(), behaviour: PhantomData }
    }
}

/// A behaviour with its mailbox.
struct Kept<B> {
    behaviour: B,
    mailbox: Owned,
}

/// The actor's own hold on its mailbox.
struct Owned {
    mailbox: Arc<Mailbox>,
    /// What the mailbox says as well; here it can be read for nothing.
    begun: usize,
    label: &'static str,
}

impl Owned {
    /// It begins to handle a message.
    fn begins(&mut self, label: &'static str) {
        let own = &self.mailbox.own.0;
        self.begun += 1;
        own.begun.store(self.begun, Ordering::Release);
        if self.label != label {
            self.label = label;
            *own.label() = label;
        }
        own.busy.store(true, Ordering::Release);
    }

    /// It has handled it; an actor that dies over one has not.
    fn done(&self) {
        self.mailbox.own.0.busy.store(false, Ordering::Release);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Dropping the set aborts the timers, also when the actor did not get to its end, or not even to its beginning.
        self.mailbox.timers().take();
    }
}

impl<B: Behaviour> Actor for Managed<B> {
    type Msg = B::Message;
    type State = Kept<B>;
    type Arguments = (B::Arguments, Arc<Mailbox>);

    async fn pre_start(
        &self,
        myself: ActorRef<B::Message>,
        (arguments, mailbox): Self::Arguments,
    ) -> Result<Kept<B>, ActorProcessingErr> {
        self.env.perturb().await;
        let me = Address { actor: myself, mailbox: mailbox.clone() };
        let mailbox = Owned { mailbox, begun: 0, label: "" };
        let behaviour = B::start(arguments, me).await?;
        if let Some(tells) = behaviour.tells() {
            let _ = mailbox.mailbox.tells.set(tells);
        }
        Ok(Kept { behaviour, mailbox })
    }

    async fn handle(
        &self,
        _myself: ActorRef<B::Message>,
        message: B::Message,
        state: &mut Kept<B>,
    ) -> Result<(), ActorProcessingErr> {
        state.mailbox.begins(B::label(&message));
        // Between a message's sending and what it causes, whoever sent it: the one place for every send.
        self.env.perturb().await;
        state.behaviour.handle(message).await?;
        state.mailbox.done();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<B::Message>,
        event: SupervisionEvent,
        state: &mut Kept<B>,
    ) -> Result<(), ActorProcessingErr> {
        let (child, ended) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, Ended::Failed(error.to_string())),
            SupervisionEvent::ActorTerminated(cell, _, Some(reason)) if reason == KILLED => {
                (cell, Ended::Failed(reason))
            }
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, Ended::Normally),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        state.behaviour.child_ended(child.get_id().pid(), ended).await
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<B::Message>,
        state: &mut Kept<B>,
    ) -> Result<(), ActorProcessingErr> {
        state.behaviour.stop().await;
        Ok(())
    }
}

/// The reason that ractor gives when an actor was killed.
const KILLED: &str = "killed";
