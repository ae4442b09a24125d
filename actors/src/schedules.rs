//! Starts runs at the times of a calendar.
//!
//! The last time that was acted upon is kept beside the run that it started, in one batch, so a time starts one run however
//! often the kernel is opened. What passed while it was not open is what the schedule's `missed` says.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    codec,
    id::{Actor as Who, RunId, StreamId, WorkflowName},
    journal::{Append, Entry, ProjectionKey, StreamSeq},
    labels::Labeled,
    payload::{Digest, Payload},
    time::Timestamp,
    workflow::{Missed, Schedule},
};
use tokio::sync::oneshot;

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    run::{Asked, Begin, Which},
    runs,
};

/// Table of the last time of each schedule that was acted upon.
const LAST: &str = "schedules";
/// Version of the stored events of this stream.
const EVENTS_VERSION: u16 = 1;
/// Longest wait before the clock is looked at again: it may have been set, and the machine may have slept.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

/// What the schedules' actor is told.
pub(crate) enum Message {
    /// Look at what is due.
    Look,
    /// The time to look again has come.
    Due { at: Timestamp },
}

pub(crate) struct SchedulesActor {
    me: Address<Message>,
    context: Arc<Context>,
    stream: StreamId,
    stream_seq: StreamSeq,
    /// When the kernel was opened, or this actor restarted.
    opened: Timestamp,
    /// Workflows that were paused when it last looked.
    paused: BTreeSet<WorkflowName>,
    /// When the actor looks next.
    next: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    /// The schedule was met for the first time.
    Known { schedule: String },
    /// It started a run.
    Started { schedule: String, at: Timestamp, run: RunId },
}

impl Behaviour for SchedulesActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(_message: &Message) -> &'static str {
        "look at what is due"
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        let stream = StreamId::new("schedules")?;
        let stream_seq = context.journal.stream_head(&stream)?;
        context.registry.set_schedules(me.clone());
        me.send(Message::Look)?;
        let opened = context.env.now();
        let paused = BTreeSet::new();
        Ok(Self { me, context, stream, stream_seq, opened, paused, next: None })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Look => self.look().await,
            // An alarm that an earlier one has overtaken rings for nothing.
            Message::Due { at } if self.next == Some(at) => {
                self.next = None;
                self.look().await
            }
            Message::Due { .. } => Ok(()),
        }
    }
}

impl SchedulesActor {
    async fn look(&mut self) -> Result<(), Error> {
        // What is due now is found by the next kernel, as what its schedule says of missed times.
        if self.context.is_draining() {
            return Ok(());
        }
        let mut next: Option<Timestamp> = None;
        for (name, workflow) in self.context.workflows.all() {
            if self.context.held.of_workflow(&name).is_some() {
                self.paused.insert(name);
                continue;
            }
            // What passed while it was paused is missed, as what passes while no kernel runs.
            let since = match self.paused.remove(&name) {
                true => self.context.env.now(),
                false => self.opened,
            };
            for schedule in &workflow.schedules {
                self.act(&name, schedule, since).await?;
                let due = schedule.next_after(self.context.env.now());
                next = due.into_iter().chain(next).min();
            }
        }
        let now = self.context.env.now();
        if let Some(at) = next.map(|at| at.min(now.after(LOOK_AGAIN)))
            && self.next.is_none_or(|armed| armed > at)
        {
            self.next = Some(at);
            // Cron fields are whole minutes: a moment later is surely within.
            let wait = now.until(at.after(Duration::from_millis(1)));
            self.me.send_after(wait, move || Message::Due { at });
        }
        Ok(())
    }

    /// Starts the runs of `schedule` that are due.
    async fn act(
        &mut self,
        name: &WorkflowName,
        schedule: &Schedule,
        since: Timestamp,
    ) -> Result<(), Error> {
        let identity = identity(name, schedule);
        let key = ProjectionKey::new(LAST, &*identity);
        let now = self.context.env.now();
        let last = self.context.journal.projection(&key)?;
        let last = last.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
        let Some(last) = last.map(Timestamp) else {
            let append = self.append(&StoredEvent::Known { schedule: identity }, key, now);
            self.context.log.durable(append).await?;
            self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
            return Ok(());
        };
        let due = match schedule.missed {
            // What passed before is skipped; what passes now is not missed.
            Missed::Skip => {
                let now_on = Schedule { missed: Missed::All, ..schedule.clone() };
                now_on.missed_between(last.max(since), now)
            }
            Missed::Once | Missed::All => schedule.missed_between(last, now),
        };
        for at in due {
            self.start(name, schedule, &identity, at).await?;
        }
        Ok(())
    }

    async fn start(
        &mut self,
        name: &WorkflowName,
        schedule: &Schedule,
        identity: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        let hash = Digest::of(format!("{identity}/{}", at.0).as_bytes()).to_hex();
        let run = RunId::new(format!("{name}-{}-{}", at.0, &hash[..8]))?;
        let event = StoredEvent::Started { schedule: identity.to_owned(), at, run: run.clone() };
        let with = self.append(&event, ProjectionKey::new(LAST, identity), at);
        let input = Labeled::owner(Payload::of(&schedule.input)?);
        let (reply, answer) = oneshot::channel();
        let begin = Begin { workflow: Which::Newest(name.clone()), input, with, reply };
        let runs = self.context.registry.runs().ok_or("the supervisor of runs is restarting")?;
        runs.send(runs::Message::Deliver { run, asked: Asked::Begin(Box::new(begin)) })?;
        if answer.await?? {
            self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
        }
        Ok(())
    }

    fn append(&self, event: &StoredEvent, key: ProjectionKey, last: Timestamp) -> Append {
        let kind = match event {
            StoredEvent::Known { .. } => "schedule.known",
            StoredEvent::Started { .. } => "schedule.started",
        };
        let entry = Entry {
            stream: self.stream.clone(),
            stream_seq: StreamSeq(self.stream_seq.0 + 1),
            at: self.context.env.now(),
            actor: Who::kernel(),
            causation: None,
            correlation: None,
            kind: kind.into(),
            version: EVENTS_VERSION,
            payload: codec::encode(event),
        };
        let projections = vec![(key, Some(last.0.to_be_bytes().to_vec()))];
        Append { entries: vec![entry], projections, ..Append::default() }
    }
}

/// A schedule is the same one as long as it has the same times.
fn identity(name: &WorkflowName, schedule: &Schedule) -> String {
    let times = format!("{} {}", schedule.cron, schedule.timezone);
    format!("{name}/{}", &Digest::of(times.as_bytes()).to_hex()[..16])
}
