//! An active run: its state, what is under way for it, and the commit of what is decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use soloist_kernel::{
    control::Lineage,
    effect::{Outcome, WriteEvent, WriteState},
    id::{Actor, RunId, StepName},
    journal::{Append, AppendError, Entry, ProjectionKey, ReadError, Seq, StreamSeq},
    mutant::{Mutant, planted},
    payload::Payload,
    run::{
        self, Action, Cause, Command, EffectRef, Event, Refusal, Replay, Run, Status, outstanding,
        project::Ended,
    },
    shadow::Due,
    time::Timestamp,
};
use tokio::sync::oneshot;

use super::{Arguments, Asked, Message, launch::Timer, paying::Payer};
use crate::{
    actor::{Address, Error},
    context::{Context, Counters},
    handle::RunEnd,
    runs, timers,
    turn::Reply,
    views,
};

/// An active run.
pub(crate) struct Active {
    pub(super) context: Arc<Context>,
    pub(super) id: RunId,
    pub(super) me: Address<Message>,
    pub(super) supervisor: Address<runs::Message>,
    /// `None` until it has begun or was loaded.
    pub(super) run: Option<Run>,
    /// What was set going and has not been answered.
    pub(super) under_way: BTreeSet<Action>,
    /// The turns under way, by step.
    pub(super) turns: BTreeMap<StepName, TurnUnderWay>,
    pub(super) watchers: Vec<oneshot::Sender<RunEnd>>,
    /// Whether the last decision put a write before policy again instead of approving it.
    pub(super) reproposed: bool,
    /// Whether it will look again for actors that were not there.
    pub(super) looks_again: bool,
    last_snapshot: StreamSeq,
    last_seq: Option<Seq>,
    /// Who pays for its calls, once that was asked.
    pub(super) payer: Option<Payer>,
    /// Wakes the run for what is next due by itself, while it is in memory.
    pub(super) due: Option<(Timestamp, Timer)>,
}

/// A turn under way: where it is in its journal, and what it waits for.
pub(super) struct TurnUnderWay {
    pub(super) attempt: u32,
    pub(super) replay: Replay,
    pub(super) proposals: Vec<(EffectRef, Reply<Outcome>)>,
    pub(super) waits: Vec<(EffectRef, Reply<Payload>)>,
    pub(super) deadline: Option<Timer>,
    pub(super) heartbeat: Option<Timer>,
    /// Branches of the turn that do something.
    pub(super) busy: Arc<AtomicUsize>,
    /// Held as long as the turn is waited for; dropping it ends the turn.
    pub(super) _waiting: oneshot::Sender<()>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryOutError {
    /// The kernel refused it; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal did not take it; nothing has changed here.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Active {
    pub(super) fn new(arguments: Arguments, me: Address<Message>) -> Self {
        let Arguments { context, id, supervisor } = arguments;
        Self {
            context,
            id,
            me,
            supervisor,
            run: None,
            under_way: BTreeSet::new(),
            turns: BTreeMap::new(),
            watchers: vec![],
            reproposed: false,
            looks_again: false,
            last_snapshot: StreamSeq(0),
            last_seq: None,
            payer: None,
            due: None,
        }
    }

    /// Decides `command`, has the journal keep what it causes, and folds it in. Tells whether it caused anything.
    pub(super) async fn carry_out(
        &mut self,
        command: Command,
        by: Actor,
    ) -> Result<bool, CarryOutError> {
        let now = self.context.env.now();
        let run = self.run.as_ref().expect("a command comes to a run that has begun");
        let (events, next) =
            self.context.decides(Some(run), now, |env| run::transition(run, command, env))?;
        if events.is_empty() {
            return Ok(false);
        }
        self.commit(next, events, now, by, Append::default()).await?;
        Ok(true)
    }

    /// Appends `events`, which lead to `next`, together with `with` and the beginnings of the runs beneath that they ask for.
    /// What they acknowledge or announce to the world is fsynced before this returns.
    pub(super) async fn commit(
        &mut self,
        mut next: Run,
        events: Vec<Event>,
        now: Timestamp,
        by: Actor,
        with: Append,
    ) -> Result<(), AppendError> {
        next.stream_seq = StreamSeq(next.stream_seq.0 + 1);
        let mut append = self.append(&next, &events, now, by, with);
        let children = self.begin_children(&next, &events, now, &mut append);
        let shadows = self.context.shadows_due(self.run.as_ref(), &next);
        if !planted(Mutant::ShadowNotWritten) {
            append.projections.extend(shadows.iter().map(Due::row));
        }
        let seq = self.context.log.ordered(append).await?;
        self.keep_books(&events);
        if !shadows.is_empty() {
            self.context.tell_shadows(seq);
        }
        // A run beneath is loaded from the journal, which gives what is written and not what waits to be.
        if events.iter().any(must_be_durable) || !children.is_empty() {
            self.context.log.synced(seq).await?;
        }
        self.last_seq = Some(seq);
        let before = self.run.replace(next);
        self.reproposed = events.iter().any(is_reproposal);
        self.count(&events);
        self.let_go(&events);
        self.answer_turns();
        self.tell_parent(before.as_ref());
        for child in children {
            self.tell_run(child, Asked::Recover);
        }
        Ok(())
    }

    fn append(
        &mut self,
        next: &Run,
        events: &[Event],
        now: Timestamp,
        by: Actor,
        mut with: Append,
    ) -> Append {
        with.projections.extend(run::project::project(self.run.as_ref(), next, events));
        if planted(Mutant::AwaitedForEver) {
            let stays = |key: &ProjectionKey| key.table == run::project::AWAITING;
            with.projections.retain(|(key, value)| value.is_some() || !stays(key));
        }
        add_record(&mut with, next, events, now, by);
        let before = planted(Mutant::SnapshotBehind).then(|| self.run.clone()).flatten();
        let behind = before.map(|before| Run { stream_seq: next.stream_seq, ..before });
        let every = self.context.snapshot_every;
        let taken = run::snapshot(behind.as_ref().unwrap_or(next), self.last_snapshot, every);
        if let Some(state) = taken {
            with.snapshots.push((self.id.stream(), state));
            self.last_snapshot = next.stream_seq;
        }
        with
    }

    fn count(&self, events: &[Event]) {
        let counters = &self.context.counters;
        for event in events {
            match event {
                Event::Started(_) => Counters::add(&counters.runs_started),
                Event::Completed { .. } => Counters::add(&counters.runs_completed),
                Event::Failed { .. } | Event::Cancelled { .. } | Event::Unwound => {
                    Counters::add(&counters.runs_failed)
                }
                Event::Write { event: WriteEvent::Landed { .. }, .. } => {
                    Counters::add(&counters.writes_landed)
                }
                _ => {}
            }
        }
    }

    /// The turn of a step that someone has said the output of is not waited for.
    fn let_go(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Overridden { step, .. } = event {
                self.turns.remove(step);
                self.under_way.retain(
                    |action| !matches!(action, Action::TakeTurn { step: of, .. } if of == step),
                );
            }
        }
    }

    /// Tells turns what they waited for: proposals that are settled, questions that are answered. Turns of a run that goes
    /// on no more are let go.
    fn answer_turns(&mut self) {
        let Some(run) = &self.run else { return };
        if !matches!(run.status, Status::Running) {
            self.turns.clear();
            self.under_way.retain(|action| !matches!(action, Action::TakeTurn { .. }));
            return;
        }
        for (step, turn) in &mut self.turns {
            for (effect, reply) in std::mem::take(&mut turn.proposals) {
                match run.write(step, &effect).map(|write| &write.state) {
                    Some(WriteState::Settled(outcome)) => drop(reply.send(Ok(outcome.clone()))),
                    _ => turn.proposals.push((effect, reply)),
                }
            }
            for (effect, reply) in std::mem::take(&mut turn.waits) {
                let awaited = run.step(step).and_then(|(_, state)| state.awaited(&effect));
                match awaited.and_then(|awaited| awaited.answer.as_ref()) {
                    Some(answer) => drop(reply.send(Ok(answer.payload.value.clone()))),
                    None => turn.waits.push((effect, reply)),
                }
            }
        }
    }

    /// The run above is told of the end at once. If it is not reached, the projection `ended` tells it when this run's actor
    /// starts again, or at the next start.
    pub(super) fn tell_parent(&self, before: Option<&Run>) {
        let Some(run) = &self.run else { return };
        let (Some(parent), Some(end)) = (&run.parent, run.end()) else { return };
        if before.and_then(Run::end).as_ref() == Some(&end) {
            return;
        }
        let ended = Ended { parent: parent.clone(), end };
        self.tell_run(parent.run.clone(), Asked::ChildEnded(Box::new(ended)));
    }

    pub(super) fn tell_run(&self, run: RunId, asked: Asked) {
        let _ = self.supervisor.send(runs::Message::Deliver { run, asked });
    }

    /// Sets going what is outstanding; if nothing is, or only turns that wait, the actor may leave.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let Some(run) = &self.run else { return self.rest().await };
        let (actions, due) = (outstanding(run), run.next_due());
        let actions = self.not_held(actions)?;
        self.wake_at(due);
        if actions.is_empty() && !self.turns.values().any(TurnUnderWay::is_busy) {
            return self.rest().await;
        }
        self.launch(actions);
        Ok(())
    }

    /// Those of `actions` that nobody has paused.
    fn not_held(&self, mut actions: Vec<Action>) -> Result<Vec<Action>, ReadError> {
        let pauses = self.context.held.current();
        if pauses.is_empty() {
            return Ok(actions);
        }
        let Some(run) = &self.run else { return Ok(actions) };
        let lineage = match pauses.needs_lineage() {
            true => views::lineage(&*self.context.journal, run)?,
            false => Lineage::default(),
        };
        actions.retain(|action| pauses.holds(run, &lineage, action).is_none());
        Ok(actions)
    }

    /// Whether `action` is held by a pause. If that cannot be read, it is.
    pub(super) fn is_held(&self, action: Action) -> bool {
        self.not_held(vec![action]).map_or(true, |left| left.is_empty())
    }

    fn wake_at(&mut self, due: Option<Timestamp>) {
        let Some(at) = due else {
            self.due = None;
            return;
        };
        if self.due.as_ref().is_some_and(|(known, _)| *known == at) {
            return;
        }
        let wait = self.context.env.now().until(at);
        self.due = Some((at, Timer::new(self.me.send_after(wait, || Message::Tick))));
    }

    /// The run is over or waits: whoever watches is told, once it is fsynced.
    async fn rest(&mut self) -> Result<(), Error> {
        if let Some(seq) = self.last_seq.take() {
            self.context
                .log
                .synced(seq)
                .await
                .inspect_err(|stopped| self.context.halt(&stopped.to_string()))?;
        }
        // From here on the projection wakes it, which can be read now that it is fsynced.
        if let (Some((at, _)), Some(timers)) = (&self.due, self.context.registry.timers())
            && !planted(Mutant::RestingNotTimed)
        {
            let _ = timers.send(timers::Message::Set { at: *at });
        }
        let end = self.end();
        for watcher in self.watchers.drain(..) {
            let _ = watcher.send(end.clone());
        }
        let seen = self.me.mailbox().begun();
        let rest = runs::Message::Rest { run: self.id.clone(), seen };
        let _ = self.supervisor.send(rest);
        Ok(())
    }

    fn end(&self) -> RunEnd {
        self.run.as_ref().map_or(RunEnd::Missing, end_of)
    }

    /// Loads the run from its journal: the newest snapshot and the records after it.
    pub(super) fn load(&mut self) -> Result<bool, Error> {
        let journal = self.context.journal.clone();
        let stream = self.id.stream();
        let library = self.context.library();
        let snapshot = journal.snapshot(&stream)?;
        let run =
            snapshot.and_then(|snapshot| run::restore(self.id.clone(), &snapshot.state, &library));
        self.last_snapshot = run.as_ref().map_or(StreamSeq(0), |run| run.stream_seq);
        self.run = views::fold(&*journal, &self.id, run, &library)?;
        self.reconcile()?;
        Ok(self.run.is_some())
    }
}

impl TurnUnderWay {
    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }
}

/// Where `run` has come to rest.
pub(crate) fn end_of(run: &Run) -> RunEnd {
    match &run.status {
        Status::Completed { output } => RunEnd::Completed(output.value.clone()),
        Status::Failed { cause: Cause::Step { step, error }, .. } => {
            RunEnd::Failed { step: step.clone(), reason: error.message.clone() }
        }
        Status::Failed { cause: Cause::Aborted { reason, .. }, .. } => {
            RunEnd::Aborted { reason: reason.clone() }
        }
        Status::Failed { cause: Cause::Cancelled { reason, .. }, .. } => {
            RunEnd::Cancelled { reason: reason.clone() }
        }
        Status::Running | Status::Unwinding { .. } => {
            let open = run.awaited().filter(|(_, _, awaited)| awaited.is_open());
            let children = open.filter_map(|(_, _, awaited)| awaited.child());
            RunEnd::Waiting { on: children.map(|child| child.run.clone()).collect() }
        }
    }
}

fn is_reproposal(event: &Event) -> bool {
    matches!(event, Event::Write { event: WriteEvent::Reproposed { .. }, .. })
}

/// Adds the record of `events`, which led to `run`, to `append`.
pub(super) fn add_record(
    append: &mut Append,
    run: &Run,
    events: &[Event],
    at: Timestamp,
    actor: Actor,
) {
    let (payload, blobs) = run::encode(events);
    append.blobs.extend(blobs);
    append.entries.push(Entry {
        stream: run.id.stream(),
        stream_seq: run.stream_seq,
        at,
        actor,
        causation: None,
        correlation: run.parent.as_ref().map(|parent| parent.run.clone()),
        kind: run::kind(events).into(),
        version: run::EVENTS_VERSION,
        payload,
    });
}

/// What must be on disk before anything follows from it: the beginning of a run, the intent of a write, a person's
/// decision; and a receipt, because a crash that loses one turns a known write into a doubtful one. Everything else rides on
/// the next fsync.
fn must_be_durable(event: &Event) -> bool {
    match event {
        Event::Started(_) => !planted(Mutant::StartAcknowledgedUnsynced),
        Event::Dismissed { .. }
        | Event::Cancelled { .. }
        | Event::Retried { .. }
        | Event::Overridden { .. }
        | Event::Delegated { .. }
        | Event::Migrated { .. }
        | Event::Unwinding { .. } => true,
        Event::Reserved { .. } => !planted(Mutant::ReservationUnsynced),
        // The end of a run beneath, a time: what is lost is told again. What a person or an event said is not.
        Event::Answered { answer, .. } => answer.by != "time" && !answer.did,
        Event::Write { event, .. } => match event {
            WriteEvent::Attempted { .. } => !planted(Mutant::IntentNotSynced),
            WriteEvent::Approved { .. }
            | WriteEvent::Modified { .. }
            | WriteEvent::Aborted { .. }
            | WriteEvent::Delegated { .. }
            | WriteEvent::Resolved { .. } => !planted(Mutant::DecisionUnsynced),
            WriteEvent::Landed { .. } | WriteEvent::Reproposed { .. } => true,
            WriteEvent::Proposed { .. }
            | WriteEvent::Faulted { .. }
            | WriteEvent::ProvenAbsent { .. }
            | WriteEvent::Expired { .. }
            | WriteEvent::Stopped { .. }
            | WriteEvent::Parked { .. }
            | WriteEvent::Unparked
            | WriteEvent::Unfunded { .. } => false,
        },
        Event::StepStarted { .. }
        | Event::StepSkipped { .. }
        | Event::StepCompleted { .. }
        | Event::StepFailed { .. }
        | Event::Recorded { .. }
        | Event::Awaited { .. }
        | Event::Uncompensated { .. }
        | Event::ChildUnwound { .. }
        | Event::Completed { .. }
        | Event::Failed { .. }
        | Event::Unwound
        | Event::Overdue
        | Event::Settled { .. } => false,
    }
}
