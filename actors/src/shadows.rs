//! Shadows: plays the newest version on what runs were given that have ended, one at a time, and puts on record what it would have
//! done otherwise.
//!
//! What is due is a row that the end of the run has written; the record of what came of it removes it. So the actor can die at any
//! moment, and each shadow is recorded once. It is told when something may be due, and looks at nothing otherwise. While anything
//! is paused it plays nothing. What a shadow reads and the run did not, is read here, behind everyone who waits at the gate.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use soloist_kernel::{
    catalog::OperationKind,
    id::{Actor as Who, ConnectorName, OperationName, RunId},
    journal::{Append, AppendError, Entry, ReadError, Seq, StreamSeq},
    labels::Labeled,
    payload::Payload,
    policy::Policy,
    run::Run,
    shadow::{self, Due, Event, Outcome, TRIES_MAX},
    workflow::Priority,
};
use tokio::sync::oneshot;

use crate::{
    actor::{Address, Behaviour, Error},
    connector,
    context::Context,
    handle::{Halted, Soloist},
    travel::shadow::{Ended, Read, Reads, Scene, Shadow, ended, outcome},
};

/// Most reads that are made for one shadow: each has it played once more. What it asks beyond that is answered with nothing.
const READS_MAX: usize = 32;

/// What the actor is told.
pub(crate) enum Message {
    /// Something may be due.
    Look,
    /// Go on behind this row.
    Next { after: String },
    /// Say when nothing is due any more, or nothing may be played.
    WhenDone { reply: oneshot::Sender<()> },
}

/// That something is due, on its way to the actor: the same is not said a thousand times.
#[derive(Default)]
pub(crate) struct Told {
    on_its_way: AtomicBool,
    /// The last record that made something due.
    seq: AtomicU64,
}

pub(crate) struct ShadowsActor {
    me: Address<Message>,
    context: Arc<Context>,
    /// Whether it goes through what is due.
    playing: bool,
    /// Whether something has become due meanwhile, which may be before where it is.
    again: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Behaviour for ShadowsActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Look => "look at what is due",
            Message::Next { .. } => "play a shadow",
            Message::WhenDone { .. } => "tell when nothing is due",
        }
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        context.registry.set_shadows(me.clone());
        me.send(Message::Look)?;
        Ok(Self { me, context, playing: false, again: false, waiting: vec![] })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Look => {
                self.context.shadows.on_its_way.store(false, Ordering::Release);
                if self.playing {
                    self.again = true;
                    return Ok(());
                }
                self.begin()
            }
            Message::Next { after } => self.next(&after).await,
            Message::WhenDone { reply } => {
                match self.playing {
                    true => self.waiting.push(reply),
                    // Whoever asked may be gone.
                    false => reply.send(()).unwrap_or_default(),
                }
                Ok(())
            }
        }
    }
}

impl ShadowsActor {
    /// Plays what is due behind the row `after`, and goes on to the next: between the two it can be stopped.
    async fn next(&mut self, after: &str) -> Result<(), Error> {
        let context = self.context.clone();
        let held = context.is_draining() || !context.held.current().is_empty();
        // A kernel that is played itself has no shadows.
        if !held && context.stage.is_none() {
            context.log.synced(Seq(context.shadows.seq.load(Ordering::Acquire))).await?;
            let page = context.journal.projections(shadow::DUE, "", after, 1)?;
            if let Some((key, bytes)) = page.into_iter().next() {
                if let Ok(due) = serde_json::from_slice(&bytes) {
                    self.play(due).await?;
                }
                self.me.send(Message::Next { after: key })?;
                return Ok(());
            }
        }
        self.playing = false;
        if std::mem::take(&mut self.again) && !held {
            return self.begin();
        }
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(());
        }
        Ok(())
    }

    /// Goes through what is due, from the first.
    fn begin(&mut self) -> Result<(), Error> {
        self.playing = true;
        self.me.send(Message::Next { after: String::new() })?;
        Ok(())
    }

    async fn play(&self, mut due: Due) -> Result<(), Error> {
        let context = &self.context;
        if context.was_shadowed(&due)? {
            return Ok(());
        }
        let outcome = match ended(&*context.journal, &due.run) {
            // It had failed, and goes on again: its next end makes the shadow due once more.
            Ok(None) => return Ok(()),
            Ok(Some(Ended { taken_in_hand: Some(reason), .. })) => Outcome::PassedOver { reason },
            Ok(Some(_)) if due.tries >= TRIES_MAX => {
                let reason = format!(
                    "the process, or the actor that played it, ended {} times in the midst of it",
                    due.tries
                );
                Outcome::Failed { reason }
            }
            Ok(Some(Ended { runs, .. })) => {
                due.tries += 1;
                append(context, &Event::Begun(due.clone())).await?;
                self.played(&due, &runs).await
            }
            Err(error) => Outcome::Failed { reason: error.to_string() },
        };
        append(context, &Event::Played { due, outcome }).await
    }

    async fn played(&self, due: &Due, runs: &[Run]) -> Outcome {
        let context = &self.context;
        let mounted = context.mounted();
        let shadow = Shadow {
            agents: mounted.agents.clone(),
            connectors: mounted.connectors.clone(),
            policy: context.judged(runs),
            world: context.journal.clone(),
        };
        let mut reads = Reads::default();
        loop {
            let given = (reads.len() < READS_MAX).then(|| reads.clone());
            match shadow.clone().play(due, given).await {
                Ok(Scene::Played(forked)) => return outcome(&forked),
                Ok(Scene::Wants(read)) => {
                    let answer = context.read_aside(&due.run, &read).await;
                    reads.add(&read, answer);
                }
                Err(error) => return Outcome::Failed { reason: error.to_string() },
            }
        }
    }
}

async fn append(context: &Context, event: &Event) -> Result<(), Error> {
    let stream = shadow::stream();
    let last = context.journal.stream_head(&stream)?;
    let at = context.env.now();
    let entry = Entry {
        stream,
        stream_seq: StreamSeq(last.0 + 1),
        at,
        actor: Who::kernel(),
        causation: None,
        correlation: Some(event.run().clone()),
        kind: event.kind().into(),
        version: shadow::EVENTS_VERSION,
        payload: shadow::encode(event),
    };
    let projections = shadow::project(event, at);
    let append = Append { entries: vec![entry], projections, ..Append::default() };
    if let Err(error) = context.log.durable(append).await {
        if let AppendError::Stopped(stopped) = &error {
            context.halt(&stopped.to_string());
        }
        return Err(error.into());
    }
    Ok(())
}

impl Context {
    /// The shadows that are due because `after`, which was `before`, has just ended.
    pub(crate) fn shadows_due(&self, before: Option<&Run>, after: &Run) -> Vec<Due> {
        let rollouts = self.shares.current();
        let due = rollouts.iter().filter_map(|rollout| shadow::due(rollout, before, after));
        // One that cannot be looked up is played, and then found to have been.
        due.filter(|due| !self.was_shadowed(due).unwrap_or_default()).collect()
    }

    /// Says that something is due since record `seq`.
    pub(crate) fn tell_shadows(&self, seq: Seq) {
        self.shadows.seq.fetch_max(seq.0, Ordering::AcqRel);
        if !self.shadows.on_its_way.swap(true, Ordering::AcqRel)
            && let Some(shadows) = self.registry.shadows()
        {
            let _ = shadows.send(Message::Look);
        }
    }

    /// Whether what came of `due` is on record.
    fn was_shadowed(&self, due: &Due) -> Result<bool, ReadError> {
        Ok(self.journal.projection(&due.played_key(shadow::TABLE))?.is_some())
    }

    /// The policy that judged `runs`: the version that did so last, so that a verdict is only another one if the shadow asks for
    /// something else.
    fn judged(&self, runs: &[Run]) -> Arc<Policy> {
        let judged = runs.iter().flat_map(Run::writes).map(|(_, _, write)| write.judgement.policy);
        let found =
            judged.max().and_then(|version| self.policies.version(&*self.journal, version).ok()?);
        let of_run = || runs.first().map(|run| self.policy_of(run));
        found.or_else(of_run).unwrap_or_else(|| self.policies.current())
    }

    /// Reads for a shadow of `run`, behind everyone else who waits.
    async fn read_aside(&self, run: &RunId, read: &Read) -> Result<Labeled<Payload>, String> {
        let Read { operation: named, arguments, .. } = read;
        let (connector, operation) =
            named.split_once('.').ok_or_else(|| format!("`{named}` names no operation"))?;
        let connector: ConnectorName = connector.parse().map_err(|error| format!("{error}"))?;
        let operation: OperationName = operation.parse().map_err(|error| format!("{error}"))?;
        let mounted = self.mounted();
        let declared = mounted.catalog.operation(&connector, &operation);
        if !declared.is_some_and(|declared| declared.kind == OperationKind::Read) {
            return Err(format!("`{named}` is no read, and a shadow only reads"));
        }
        if self.purse.ledger().budgets().is_charged(&connector, &operation) {
            return Err(format!("a call of `{named}` is paid for, and nobody pays for a shadow's"));
        }
        let actor = self.registry.connector(&connector);
        let actor = actor.ok_or_else(|| format!("connector `{connector}` is not mounted"))?;
        let read =
            connector::read(&actor, run.clone(), Priority::Low, operation, arguments.clone()).await;
        read.map_err(|fault| fault.to_string())
    }
}

impl Soloist {
    /// Returns once every shadow that is due has been played, or none may be: while anything is paused, and in a kernel that is
    /// being drained.
    ///
    /// # Errors
    ///
    /// [`Halted`].
    pub async fn shadowed(&self) -> Result<(), Halted> {
        loop {
            let (reply, answer) = oneshot::channel();
            if let Some(shadows) = self.context().registry.shadows() {
                let _ = shadows.send(Message::WhenDone { reply });
            }
            tokio::select! {
                biased;
                halted = self.halted() => return Err(halted),
                answer = answer => if answer.is_ok() { return Ok(()) },
            }
            // The actor died, and another takes its place.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
