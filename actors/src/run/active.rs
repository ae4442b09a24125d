//! An active run: its state, what is under way for it, and the commit of what is decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ractor::{ActorProcessingErr, ActorRef};
use soloist_kernel::{
    effect::{Outcome, WriteEvent, WriteState},
    id::{Actor, RunId, StepName},
    journal::{Append, AppendError, Entry, Seq, StreamSeq},
    run::{self, Action, Command, EffectRef, Event, Refusal, Replay, Run, Status, outstanding},
    time::Timestamp,
};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Arguments, Message, launch::Timer};
use crate::{
    context::{Context, Counters},
    handle::RunEnd,
    runs,
    turn::Reply,
};

/// An active run.
pub(crate) struct Active {
    pub(super) context: Arc<Context>,
    pub(super) id: RunId,
    pub(super) me: ActorRef<Message>,
    supervisor: ActorRef<runs::Message>,
    /// `None` until it has begun or was loaded.
    pub(super) run: Option<Run>,
    /// What was set going and has not been answered.
    pub(super) under_way: BTreeSet<Action>,
    /// The turns under way, by step.
    pub(super) turns: BTreeMap<StepName, TurnUnderWay>,
    pub(super) watchers: Vec<oneshot::Sender<RunEnd>>,
    /// Messages from outside that were handled, for the supervisor's count.
    pub(super) handled: u64,
    last_snapshot: StreamSeq,
    last_seq: Option<Seq>,
}

/// A turn under way: where it is in its journal, and which proposals it waits for.
pub(super) struct TurnUnderWay {
    pub(super) replay: Replay,
    pub(super) proposals: Vec<(EffectRef, Reply<Outcome>)>,
    pub(super) deadline: Option<Timer>,
    /// Held as long as the turn is waited for; dropping it ends the turn.
    pub(super) _waiting: oneshot::Sender<()>,
}

/// Why a command was not carried out.
#[derive(Debug, Error)]
pub(super) enum CarryOutError {
    /// The kernel refused it; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal did not take it; nothing has changed here.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Active {
    pub(super) fn new(arguments: Arguments, me: ActorRef<Message>) -> Self {
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
            handled: 0,
            last_snapshot: StreamSeq(0),
            last_seq: None,
        }
    }

    /// Decides `command`, has the journal keep what it causes, and folds it in.
    pub(super) async fn carry_out(
        &mut self,
        command: Command,
        by: Actor,
    ) -> Result<(), CarryOutError> {
        let now = self.context.env.now();
        let run = self.run.as_ref().expect("a command comes to a run that has begun");
        let (events, next) = run::transition(run, command, now, &self.context.policy)?;
        if events.is_empty() {
            return Ok(());
        }
        self.commit(next, events, now, by, Append::default()).await?;
        Ok(())
    }

    /// Appends `events`, which lead to `next`, together with `with`. What they acknowledge or announce to the world is
    /// fsynced before this returns.
    pub(super) async fn commit(
        &mut self,
        mut next: Run,
        events: Vec<Event>,
        now: Timestamp,
        by: Actor,
        with: Append,
    ) -> Result<(), AppendError> {
        next.stream_seq = StreamSeq(next.stream_seq.0 + 1);
        let append = self.append(&next, &events, now, by, with);
        let seq = self.context.log.ordered(append).await?;
        if events.iter().any(must_be_durable) {
            self.context.log.synced(seq).await?;
        }
        self.last_seq = Some(seq);
        self.run = Some(next);
        self.count(&events);
        self.answer_proposals();
        Ok(())
    }

    fn append(
        &mut self,
        next: &Run,
        events: &[Event],
        now: Timestamp,
        by: Actor,
        with: Append,
    ) -> Append {
        let (payload, blobs) = run::encode(events);
        let Append { mut entries, mut projections, blobs: mut all_blobs, mut snapshots } = with;
        entries.push(Entry {
            stream: self.id.stream(),
            stream_seq: next.stream_seq,
            at: now,
            actor: by,
            causation: None,
            correlation: None,
            kind: run::kind(events).into(),
            version: run::EVENTS_VERSION,
            payload,
        });
        all_blobs.extend(blobs);
        projections.extend(run::project::project(self.run.as_ref(), next, events));
        if let Some(state) = run::snapshot(next, self.last_snapshot) {
            snapshots.push((self.id.stream(), state));
            self.last_snapshot = next.stream_seq;
        }
        Append { entries, projections, blobs: all_blobs, snapshots }
    }

    fn count(&self, events: &[Event]) {
        let counters = &self.context.counters;
        for event in events {
            match event {
                Event::Started { .. } => Counters::add(&counters.runs_started),
                Event::Completed { .. } => Counters::add(&counters.runs_completed),
                Event::Failed { .. } => Counters::add(&counters.runs_failed),
                Event::Write { event: WriteEvent::Landed { .. }, .. } => {
                    Counters::add(&counters.writes_landed)
                }
                _ => {}
            }
        }
    }

    /// Tells turns whose proposals are settled.
    fn answer_proposals(&mut self) {
        let Some(run) = &self.run else { return };
        for (step, turn) in &mut self.turns {
            let waiting = std::mem::take(&mut turn.proposals);
            for (effect, reply) in waiting {
                match run.write(step, &effect).map(|write| &write.state) {
                    Some(WriteState::Settled(outcome)) => drop(reply.send(Ok(outcome.clone()))),
                    _ => turn.proposals.push((effect, reply)),
                }
            }
        }
    }

    /// Sets going what is outstanding; if nothing is, the actor may leave.
    pub(super) async fn settle(&mut self) -> Result<(), ActorProcessingErr> {
        let Some(run) = &self.run else { return self.rest().await };
        let actions = outstanding(run);
        if actions.is_empty() {
            return self.rest().await;
        }
        self.launch(actions);
        Ok(())
    }

    /// The run is over or waits for the operator: whoever watches is told, once it is fsynced.
    async fn rest(&mut self) -> Result<(), ActorProcessingErr> {
        if let Some(seq) = self.last_seq.take() {
            self.context
                .log
                .synced(seq)
                .await
                .inspect_err(|stopped| self.context.halt(&stopped.to_string()))?;
        }
        let end = self.end();
        for watcher in self.watchers.drain(..) {
            let _ = watcher.send(end.clone());
        }
        let rest = runs::Message::Rest { run: self.id.clone(), handled: self.handled };
        let _ = self.supervisor.send_message(rest);
        Ok(())
    }

    fn end(&self) -> RunEnd {
        match self.run.as_ref().map(|run| &run.status) {
            Some(Status::Completed { output }) => RunEnd::Completed(output.clone()),
            Some(Status::Failed { step, error, .. }) => {
                RunEnd::Failed { step: step.clone(), reason: error.message.clone() }
            }
            Some(Status::Running) => RunEnd::Waiting,
            None => RunEnd::Missing,
        }
    }

    /// Loads the run from its journal: the newest snapshot and the records after it.
    pub(super) fn load(&mut self) -> Result<bool, ActorProcessingErr> {
        let journal = self.context.journal.clone();
        let stream = self.id.stream();
        let workflows = &self.context.workflows;
        let snapshot = journal.snapshot(&stream)?.and_then(|snapshot| {
            let definition = |workflow: &_| workflows.get(&*journal, workflow).ok().flatten();
            run::restore(self.id.clone(), &snapshot.state, definition)
        });
        if let Some(run) = &snapshot {
            self.last_snapshot = run.stream_seq;
        }
        let after = snapshot.as_ref().map_or(StreamSeq(0), |run| run.stream_seq);
        let mut run = snapshot;
        for record in journal.stream(&stream, after)? {
            let fetch = |digest: &_| journal.blob(digest);
            let events = run::decode(record.entry.version, &record.entry.payload, &fetch)?;
            for event in events {
                match (&mut run, event) {
                    (None, Event::Started { workflow, input }) => {
                        let definition = workflows
                            .get(&*journal, &workflow)?
                            .ok_or("its workflow is missing")?;
                        run = Some(Run::started(
                            self.id.clone(),
                            workflow,
                            definition,
                            input,
                            record.entry.at,
                        ));
                    }
                    (None, event) => {
                        return Err(format!("run {} begins with {}", self.id, event.kind()).into());
                    }
                    (Some(run), event) => run.apply(&event, record.entry.at)?,
                }
            }
            if let Some(run) = &mut run {
                run.stream_seq = record.entry.stream_seq;
            }
        }
        self.run = run;
        Ok(self.run.is_some())
    }
}

/// What must be on disk before anything follows from it: the beginning of a run, the intent of a write, the operator's
/// decision; and a receipt, because a crash that loses one turns a known write into a doubtful one. Everything else rides on
/// the next fsync.
fn must_be_durable(event: &Event) -> bool {
    match event {
        Event::Started { .. } | Event::Dismissed { .. } => true,
        Event::Write { event, .. } => match event {
            WriteEvent::Attempted { .. }
            | WriteEvent::Approved { .. }
            | WriteEvent::Modified { .. }
            | WriteEvent::Aborted { .. }
            | WriteEvent::Landed { .. }
            | WriteEvent::Resolved { .. } => true,
            WriteEvent::Proposed { .. }
            | WriteEvent::Faulted { .. }
            | WriteEvent::ProvenAbsent { .. } => false,
        },
        Event::StepStarted { .. }
        | Event::StepSkipped { .. }
        | Event::StepCompleted { .. }
        | Event::StepFailed { .. }
        | Event::Recorded { .. }
        | Event::Completed { .. }
        | Event::Failed { .. } => false,
    }
}
