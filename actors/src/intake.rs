//! The intake of one connector: pulls what is new, and starts a run for each change.
//!
//! A change is taken once. That it was seen, and the run it starts, are appended in one batch, so a crash leaves both or
//! neither. What cannot be read is quarantined with its reason, which is as durable as a run.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use soloist_connectors::{Change, Connector, Observed, Page};
use soloist_kernel::{
    codec,
    fault::Fault,
    id::{Actor as By, ConnectorName, RunId, StreamId, WorkflowName},
    journal::{Append, AppendError, Entry, ProjectionKey, StreamSeq},
    labels::Labeled,
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    time::Timestamp,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    actor::{Address, Behaviour, Error},
    connector::{self, too_late},
    context::{Context, Counters},
    handle::{PullError, Pulled, StartError},
    run::{Asked, Begin, Which},
    runs,
    views::{CHANGES_SEEN, QUARANTINED, Quarantined},
};

/// Version of the stored events of a connector's stream.
const EVENTS_VERSION: u16 = 1;
/// Changes pulled at a time: as many mails are held in memory at once.
const PAGE: usize = 32;

/// Wait before a pull that finds the runs restarting is tried again.
const RESTART_WAIT: Duration = Duration::from_millis(50);

/// What an intake is asked.
pub(crate) enum Message {
    /// Pull what is new.
    Pull { reply: oneshot::Sender<Result<Pulled, PullError>> },
    /// Pull what is new, and again after each `interval`.
    Every { interval: Duration },
}

#[derive(Clone)]
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) name: ConnectorName,
    pub(crate) workflow: WorkflowName,
    pub(crate) interval: Option<Duration>,
}

pub(crate) struct IntakeActor {
    me: Address<Message>,
    context: Arc<Context>,
    name: ConnectorName,
    workflow: WorkflowName,
    connector: Arc<dyn Connector>,
    stream: StreamId,
    stream_seq: StreamSeq,
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Received { identity: String, run: RunId },
    Quarantined { identity: String, reason: String },
}

impl StoredEvent {
    fn run(&self) -> Option<&RunId> {
        match self {
            Self::Received { run, .. } => Some(run),
            Self::Quarantined { .. } => None,
        }
    }
}

impl Behaviour for IntakeActor {
    type Message = Message;
    type Arguments = Arguments;

    fn label(_message: &Message) -> &'static str {
        "pull"
    }

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, Error> {
        let Arguments { context, name, workflow, interval } = arguments;
        let connector = context
            .mounted()
            .connectors
            .get(&name)
            .cloned()
            .ok_or("the connector is not mounted")?;
        let stream = StreamId::new(format!("connector:{name}"))?;
        let stream_seq = context.journal.stream_head(&stream)?;
        if let Some(interval) = interval {
            me.send(Message::Every { interval })?;
        }
        context.registry.set_intake(name.clone(), me.clone());
        Ok(Self { me, context, name, workflow, connector, stream, stream_seq })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Pull { reply } if !self.runs_are_there() => {
                let _ = reply.send(Err(restarting()));
                Ok(())
            }
            Message::Pull { reply } => {
                let result = self.pull().await;
                let healthy = is_healthy(&result);
                let _ = reply.send(result);
                healthy
            }
            Message::Every { .. } if self.context.is_draining() => Ok(()),
            // The tree starts in order, and this is before the runs.
            Message::Every { interval } if !self.runs_are_there() => {
                self.me.send_after(RESTART_WAIT, move || Message::Every { interval });
                Ok(())
            }
            Message::Every { interval } => {
                let result = self.pull().await;
                if let Err(error) = &result {
                    tracing::warn!(connector = %self.name, %error, "failed to pull; it is tried again");
                }
                self.me.send_after(interval, move || Message::Every { interval });
                is_healthy(&result)
            }
        }
    }
}

impl IntakeActor {
    fn runs_are_there(&self) -> bool {
        self.context.registry.runs().is_some_and(|runs| runs.is_alive())
    }

    async fn pull(&mut self) -> Result<Pulled, PullError> {
        let mut pulled = Pulled::default();
        loop {
            let page = self
                .page()
                .await
                .map_err(|fault| PullError::Source { connector: self.name.clone(), fault })?;
            for change in page.changes {
                self.take(change, &mut pulled).await?;
            }
            if !page.more {
                return Ok(pulled);
            }
        }
    }

    /// What is new, as far as fits on a page; where a pull calls the other side, when there is room for a call.
    async fn page(&self) -> Result<Page, Fault> {
        let journal = self.context.journal.clone();
        let name = self.name.clone();
        let seen = move |identity: &str| {
            // An unreadable answer counts as not seen: the append that follows would conflict or fail loudly.
            journal.projection(&seen_key(&name, identity)).is_ok_and(|found| found.is_some())
        };
        let manifest = self.connector.manifest();
        let limit = manifest.call_timeout;
        if manifest.pulls_call {
            let calls = self.context.registry.connector(&self.name);
            let room = connector::room(calls.as_ref()).await?;
            let env = room.env();
            return room.call("pull", limit, self.connector.pull(&env, &seen, PAGE)).await;
        }
        let pulled = timeout(limit, self.connector.pull(&self.context.env, &seen, PAGE)).await;
        pulled.unwrap_or_else(|_| Err(too_late("pull", limit)))
    }

    async fn take(&mut self, change: Change, pulled: &mut Pulled) -> Result<(), PullError> {
        match change.observed {
            Observed::Record(input) => {
                let run = self.run_id(&change.identity);
                let new = self.start(change.identity, run, input).await?;
                pulled.runs += u64::from(new);
            }
            Observed::Quarantined { reason } => {
                self.quarantine(change.identity, reason).await?;
                pulled.quarantined += 1;
            }
        }
        Ok(())
    }

    /// The run that a change starts: the same one however often it is pulled.
    fn run_id(&self, identity: &str) -> RunId {
        let hash = Digest::of(identity.as_bytes()).to_hex();
        RunId::new(format!("{}-{}", self.name, &hash[..16]))
            .expect("a connector's name and hex digits are a name")
    }

    async fn start(
        &mut self,
        identity: String,
        run: RunId,
        input: Labeled<Payload>,
    ) -> Result<bool, PullError> {
        let event = StoredEvent::Received { identity: identity.clone(), run: run.clone() };
        let mark = (!planted(Mutant::SeenNotKept)).then(Vec::new);
        let mut with =
            self.append("change.received", &event, vec![(seen_key(&self.name, &identity), mark)]);
        if planted(Mutant::SeenBeforeRun) {
            let alone = std::mem::take(&mut with);
            self.context.log.durable(alone).await.map_err(|error| self.not_appended(&error))?;
        }
        let (reply, answer) = oneshot::channel();
        let workflow = Which::Newest(self.workflow.clone());
        let begin = Begin { workflow, input, with, reply };
        let asked = Asked::Begin(Box::new(begin));
        let runs = self.context.registry.runs().ok_or_else(restarting)?;
        runs.send(runs::Message::Deliver { run, asked }).map_err(|_| restarting())?;
        let new =
            answer.await.map_err(|_| restarting())?.map_err(|error| self.not_started(error))?;
        if new {
            self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
        }
        Ok(new)
    }

    fn not_started(&self, error: StartError) -> PullError {
        match error {
            StartError::Halted(reason) => PullError::Halted(reason),
            error => PullError::Start(Box::new(error)),
        }
    }

    async fn quarantine(&mut self, identity: String, reason: String) -> Result<(), PullError> {
        let at = self.context.env.now();
        let entry = Quarantined {
            connector: self.name.clone(),
            identity: identity.clone(),
            reason: reason.clone(),
            at,
        };
        let bytes = serde_json::to_vec(&entry).expect("plain data is JSON");
        let key = ProjectionKey::of_text(QUARANTINED, self.name.as_str(), &identity);
        let projections = vec![(seen_key(&self.name, &identity), Some(vec![])), (key, Some(bytes))];
        let event = StoredEvent::Quarantined { identity, reason };
        let append = self.append("change.quarantined", &event, projections);
        self.context.log.durable(append).await.map_err(|error| self.not_appended(&error))?;
        self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
        Counters::add(&self.context.counters.changes_quarantined);
        Ok(())
    }

    fn not_appended(&self, error: &AppendError) -> PullError {
        if matches!(error, AppendError::Stopped(_)) {
            self.context.halt(&error.to_string());
        }
        PullError::Halted(error.to_string())
    }

    fn append(
        &self,
        kind: &str,
        event: &StoredEvent,
        projections: Vec<(ProjectionKey, Option<Vec<u8>>)>,
    ) -> Append {
        let entry = Entry {
            stream: self.stream.clone(),
            stream_seq: StreamSeq(self.stream_seq.0 + 1),
            at: self.now(),
            actor: By::connector(&self.name),
            causation: None,
            correlation: event.run().cloned(),
            kind: kind.into(),
            version: EVENTS_VERSION,
            payload: codec::encode(event),
        };
        Append { entries: vec![entry], projections, ..Append::default() }
    }

    fn now(&self) -> Timestamp {
        self.context.env.now()
    }
}

/// An error if it is not known how much of a pull is in the journal: the actor starts again from there.
fn is_healthy(result: &Result<Pulled, PullError>) -> Result<(), Error> {
    match result {
        Ok(_) | Err(PullError::Source { .. }) => Ok(()),
        Err(_) => Err("the place in the stream is in doubt; it is read again".into()),
    }
}

fn seen_key(connector: &ConnectorName, identity: &str) -> ProjectionKey {
    ProjectionKey::of_text(CHANGES_SEEN, connector.as_str(), identity)
}

fn restarting() -> PullError {
    PullError::Halted("the supervisor of runs is restarting; pull again".into())
}
