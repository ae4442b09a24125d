//! Events: what workflows emit and the host brings in, delivered to whoever waits for it.
//!
//! An event is taken once: that it happened, and that it is to be delivered, is one durable record, and the same id from the
//! same source is the same event. It is delivered at least once, and taken in once: a run that it starts has an id made of
//! the event's, and a run that waits for it knows the events it has taken. Only when all have taken it in is it marked as
//! delivered.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use soloist_kernel::{
    codec,
    expression::Scope,
    id::{Actor as Who, AgentName, ConnectorName, EventType, RunId, StepName, StreamId},
    journal::{Append, AppendError, Entry, ProjectionKey, StreamSeq},
    labels::{Labeled, Labels},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    run::{Occurrence, project::AWAITING},
    workflow::Trigger,
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    handle::{EmitError, StartError},
    run::{self, Asked, Begin, Which},
    runs,
    views::{EVENTS_SEEN, QUARANTINED, Quarantined},
};

/// Table of the events that are not delivered to all yet.
pub(crate) const PENDING: &str = "events-pending";
/// Version of the stored events of this stream.
const EVENTS_VERSION: u16 = 1;
/// Most runs that one event reaches because they wait for it. More are reached when some of these have gone on.
pub(crate) const TARGETS_MAX: usize = 10_000;

/// Wait before an event that did not reach everyone is brought again; it doubles.
const AGAIN_MIN: Duration = Duration::from_millis(50);
/// Longest such wait.
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// What the events' actor is asked.
pub(crate) enum Message {
    /// Take an event.
    Emit { occurrence: Occurrence, by: By },
    /// An event has reached everyone; what could not be started because of it is told with the reason.
    Delivered { key: String, failed: Vec<(String, String)> },
    /// Tell when the deliveries under way are over, and whether there were any.
    WhenDelivered { reply: oneshot::Sender<bool> },
}

/// Who brings an event, and is told once it is on disk.
pub(crate) enum By {
    /// An `emit` step.
    Step(EmitGuard),
    /// The host: told whether the event is new.
    Host(oneshot::Sender<Result<bool, EmitError>>),
}

/// Held while a step's event is taken. If it is dropped, the run asks again.
pub(crate) struct EmitGuard {
    to: Option<(Address<run::Message>, StepName)>,
}

impl EmitGuard {
    pub(crate) fn new(run: Address<run::Message>, step: StepName) -> Self {
        Self { to: Some((run, step)) }
    }

    fn emitted(mut self, occurrence: &Occurrence) {
        if let Some((run, step)) = self.to.take() {
            let answer = Payload::of(&json!({ "id": occurrence.id })).unwrap_or_default();
            let answer = Labeled::new(answer, Labels::literal());
            let _ = run.send(run::Message::Emitted { step, answer });
        }
    }
}

impl Drop for EmitGuard {
    fn drop(&mut self) {
        if let Some((run, step)) = self.to.take() {
            let _ = run.send(run::Message::NotEmitted { step });
        }
    }
}

/// An agent that takes a turn for each event of a type.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) agent: AgentName,
    pub(crate) event: EventType,
}

pub(crate) struct EventsActor {
    me: Address<Message>,
    context: Arc<Context>,
    stream: StreamId,
    stream_seq: StreamSeq,
    deliveries: JoinSet<()>,
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Happened { id: String, event: String, source: String, data: String, labels: Labels },
    Delivered { key: String, failed: Vec<(String, String)> },
}

impl Behaviour for EventsActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Emit { .. } => "take an event",
            Message::Delivered { .. } => "mark as delivered",
            Message::WhenDelivered { .. } => "wait for deliveries",
        }
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        let stream = StreamId::new("events")?;
        let stream_seq = context.journal.stream_head(&stream)?;
        context.registry.set_events(me.clone());
        let deliveries = JoinSet::new();
        let mut state = Self { me, context, stream, stream_seq, deliveries };
        for (key, bytes) in state.context.journal.projections(PENDING, "", "", TARGETS_MAX)? {
            if planted(Mutant::EventsUndelivered) {
                break;
            }
            state.deliver(key, serde_json::from_slice(&bytes)?);
        }
        Ok(state)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        if !matches!(message, Message::WhenDelivered { .. }) {
            while self.deliveries.try_join_next().is_some() {}
        }
        match message {
            Message::Emit { occurrence, by } => {
                let taken = self.take(&occurrence).await;
                let healthy = taken.is_ok();
                match (by, taken) {
                    (By::Step(guard), Ok(_)) => guard.emitted(&occurrence),
                    (By::Step(_), Err(_)) => {}
                    (By::Host(reply), taken) => drop(reply.send(taken)),
                }
                if !healthy {
                    return Err("the place in the stream is in doubt; it is read again".into());
                }
            }
            Message::Delivered { key, failed } => self.delivered(key, failed).await?,
            Message::WhenDelivered { reply } => {
                let under_way = !self.deliveries.is_empty();
                while self.deliveries.join_next().await.is_some() {}
                let _ = reply.send(under_way);
            }
        }
        Ok(())
    }
}

impl EventsActor {
    /// Takes an event in, and sets its delivery going; tells whether it is new.
    async fn take(&mut self, occurrence: &Occurrence) -> Result<bool, EmitError> {
        let seen = ProjectionKey::of_text(EVENTS_SEEN, &occurrence.source, occurrence.id.as_str());
        if self.context.journal.projection(&seen)?.is_some() {
            return Ok(false);
        }
        let key = format!("{:020}", self.stream_seq.0 + 1);
        let pending = serde_json::to_vec(occurrence).expect("an event is plain data");
        let event = StoredEvent::Happened {
            id: occurrence.id.to_string(),
            event: occurrence.event.to_string(),
            source: occurrence.source.clone(),
            data: occurrence.data.value.as_str().to_owned(),
            labels: occurrence.data.labels.clone(),
        };
        let projections =
            vec![(seen, Some(vec![])), (ProjectionKey::new(PENDING, &*key), Some(pending))];
        let append = self.append("event.happened", &event, projections);
        let taken = if planted(Mutant::EventAcknowledgedUnsynced) {
            self.context.log.ordered(append).await
        } else {
            self.context.log.durable(append).await
        };
        taken.map_err(|error| self.not_taken(&error))?;
        self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
        self.deliver(key, occurrence.clone());
        Ok(true)
    }

    fn not_taken(&self, error: &AppendError) -> EmitError {
        if matches!(error, AppendError::Stopped(_)) {
            self.context.halt(&error.to_string());
        }
        EmitError::Halted(error.to_string())
    }

    /// Sets the delivery of an event going: to the workflows that it triggers, the agents that subscribe to it, and the runs
    /// that wait for it.
    fn deliver(&mut self, key: String, occurrence: Occurrence) {
        let (context, me) = (self.context.clone(), self.me.clone());
        self.deliveries.spawn(async move {
            let mut wait = AGAIN_MIN;
            let failed = loop {
                if let Some(failed) = reach(&context, &occurrence).await {
                    break failed;
                }
                // An actor on the way died, and another takes its place.
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN_MAX);
            };
            let _ = me.send(Message::Delivered { key, failed });
        });
    }

    async fn delivered(&mut self, key: String, failed: Vec<(String, String)>) -> Result<(), Error> {
        let mut projections = vec![(ProjectionKey::new(PENDING, &*key), None)];
        for (name, reason) in &failed {
            let entry = Quarantined {
                connector: ConnectorName::new("events")?,
                identity: format!("{key}/{name}"),
                reason: format!("{name} was not reached by the event: {reason}"),
                at: self.context.env.now(),
            };
            let row = ProjectionKey::of_text(QUARANTINED, "events", &entry.identity);
            projections.push((row, Some(serde_json::to_vec(&entry)?)));
        }
        let event = StoredEvent::Delivered { key, failed };
        let append = self.append("event.delivered", &event, projections);
        self.context.log.ordered(append).await?;
        self.stream_seq = StreamSeq(self.stream_seq.0 + 1);
        Ok(())
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
            at: self.context.env.now(),
            actor: Who::kernel(),
            causation: None,
            correlation: None,
            kind: kind.into(),
            version: EVENTS_VERSION,
            payload: codec::encode(event),
        };
        Append { entries: vec![entry], projections, ..Append::default() }
    }
}

/// Brings an event to everyone that it is for. Gives who could not take it and why; `None` if that is not known, and it has
/// to be brought again.
async fn reach(context: &Context, occurrence: &Occurrence) -> Option<Vec<(String, String)>> {
    let mut failed = vec![];
    for (which, input) in starts(context, &context.subscriptions, occurrence) {
        let name = which.name().to_owned();
        let started = match input {
            Ok(input) => start(context, occurrence, which, input).await,
            Err(problem) => Started::Failed(problem),
        };
        match started {
            Started::Yes => {}
            Started::Failed(problem) => failed.push((format!("workflow `{name}`"), problem)),
            Started::Unknown => return None,
        }
    }
    tell_waiting(context, occurrence, &mut failed).await.then_some(failed)
}

type Input = Result<Labeled<Payload>, String>;

/// The runs that an event starts: of the workflows that it triggers, and of the agents that subscribe to it.
fn starts(
    context: &Context,
    subscriptions: &[Subscription],
    occurrence: &Occurrence,
) -> Vec<(Which, Input)> {
    let mut starts = vec![];
    // What is emitted in a fork starts nothing: those would be runs of which nothing is recorded.
    if context.stage.is_some() {
        return starts;
    }
    for (name, workflow) in context.workflows.all() {
        let matching = workflow.triggers.iter().find(|trigger| matches(trigger, occurrence));
        if let Some(trigger) = matching {
            starts.push((Which::Newest(name), input(trigger, occurrence)));
        }
    }
    for subscription in subscriptions.iter().filter(|known| known.event == occurrence.event) {
        let view = Payload::of(&occurrence.view()).map_err(|error| error.to_string());
        let input = view.map(|view| Labeled::new(view, occurrence.data.labels.clone()));
        starts.push((Which::Agent(subscription.agent.clone()), input));
    }
    starts
}

fn matches(trigger: &Trigger, occurrence: &Occurrence) -> bool {
    let scope = || Scope::new([("event", occurrence.view())]);
    // An event over which the condition has no value is not the one that is meant.
    trigger.event == occurrence.event
        && trigger.when.as_ref().is_none_or(|when| when.holds(&scope()).unwrap_or(false))
}

fn input(trigger: &Trigger, occurrence: &Occurrence) -> Input {
    if trigger.input.is_empty() {
        return Ok(occurrence.data.clone());
    }
    let scope = Scope::new([("event", occurrence.view())]);
    let mut fields = serde_json::Map::new();
    for (field, expression) in &trigger.input {
        let value = expression
            .evaluate(&scope)
            .map_err(|error| format!("trigger, field `input.{field}`: {error}"))?;
        fields.insert(field.clone(), value);
    }
    let payload = Payload::of(&fields).map_err(|error| error.to_string())?;
    Ok(Labeled::new(payload, occurrence.data.labels.clone()))
}

enum Started {
    Yes,
    Failed(String),
    Unknown,
}

/// Starts the run of `which` for an event: always the same one.
async fn start(
    context: &Context,
    occurrence: &Occurrence,
    which: Which,
    input: Labeled<Payload>,
) -> Started {
    let run = run_of(which.name(), &occurrence.source, occurrence.id.as_str());
    let (reply, answer) = oneshot::channel();
    let begin = Begin { workflow: which, input, with: Append::default(), reply };
    let asked = Asked::Begin(Box::new(begin));
    let Some(runs) = context.registry.runs() else { return Started::Unknown };
    let _ = runs.send(runs::Message::Deliver { run, asked });
    match answer.await {
        Ok(Ok(_)) => Started::Yes,
        Ok(Err(StartError::Halted(_))) | Err(_) => Started::Unknown,
        Ok(Err(error)) => Started::Failed(error.to_string()),
    }
}

/// The run of the workflow or agent `name` that event `id` from `source` starts.
pub(crate) fn run_of(name: &str, source: &str, id: &str) -> RunId {
    let hash = Digest::of(format!("{name}/{source}/{id}").as_bytes()).to_hex();
    RunId::new(format!("{name}-{}", &hash[..16])).expect("a name and hex digits are an id")
}

/// Tells the runs that wait for an event of this type; tells whether all have taken it in that can.
async fn tell_waiting(
    context: &Context,
    occurrence: &Occurrence,
    failed: &mut Vec<(String, String)>,
) -> bool {
    let prefix = format!("{}/", occurrence.event);
    let Ok(rows) = context.journal.projections(AWAITING, &prefix, "", TARGETS_MAX) else {
        return false;
    };
    let mut answers = vec![];
    for (key, _) in rows {
        let run = key.split_once('/').and_then(|(_, run)| RunId::new(run).ok());
        let (Some(run), Some(runs)) = (run, context.registry.runs()) else { continue };
        if context.aside.holds(&run) {
            let problem = "it is set aside; bring the event again under another id once it goes on";
            failed.push((format!("run {run}"), problem.into()));
            continue;
        }
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Occur { occurrence: Box::new(occurrence.clone()), reply };
        let _ = runs.send(runs::Message::Deliver { run, asked });
        answers.push(answer);
    }
    let mut all = true;
    for answer in answers {
        all &= answer.await.is_ok();
    }
    all
}
