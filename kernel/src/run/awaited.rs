//! What a step may wait for, and what it is answered with.
//!
//! A question, a time, an event and the end of another run are one thing to a run: an effect that is asked for once and
//! answered once. While a run waits for nothing else it costs disk and no memory.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    id::{AgentName, EffectId, EventId, EventType, RunId, StepName, WorkflowRef},
    labels::{Labeled, Labels},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    time::Timestamp,
};

/// Something a step waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Awaits {
    /// The operator's answer.
    Question(Question),
    /// A time.
    Until {
        /// Which.
        at: Timestamp,
    },
    /// An event that matches what the step's definition says.
    Event {
        /// Its type.
        event: EventType,
    },
    /// The end of a run beneath this one.
    Child(Child),
}

/// A question to the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// The answers there are; none: any.
    pub choices: Vec<String>,
    /// Whether it is a step that asks for approval: the answer is yes or no.
    pub approval: bool,
    /// Until when it can be answered.
    pub deadline: Option<Timestamp>,
    /// What counts as the answer at the deadline.
    pub default: Option<Payload>,
    /// Who is to answer, if not the operator.
    pub assigned: Option<String>,
    /// How often it has been put, counted from zero.
    pub round: u32,
}

impl Question {
    /// A hash of what is put to the operator.
    #[must_use]
    pub fn content(&self) -> Digest {
        let Self { prompt, choices, .. } = self;
        let parts =
            std::iter::once(prompt).chain(choices).map(|part| format!("{}:{part}", part.len()));
        Digest::of(parts.collect::<String>().as_bytes())
    }
}

/// A run beneath this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Its id, made of this run's and the effect's.
    pub run: RunId,
    /// What it does.
    pub of: ChildOf,
    /// Its input.
    pub input: Labeled<Payload>,
}

/// What a run beneath another does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildOf {
    /// The body of the step that waits for it.
    Body,
    /// A workflow, in the version that was the newest when it began.
    Workflow(WorkflowRef),
    /// One turn of an agent.
    Agent(AgentName),
}

/// The answer to what a step waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What it is.
    pub payload: Labeled<Payload>,
    /// Who or what gave it: `operator`, `time`, an event's id, a run's id.
    pub by: String,
    /// Whether it is the end of a run that did something to the world.
    pub did: bool,
}

impl Answer {
    /// What `by` says.
    #[must_use]
    pub fn new(payload: Labeled<Payload>, by: impl Into<String>) -> Self {
        Self { payload, by: by.into(), did: false }
    }
}

/// An effect that is waited for, and its answer once there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Awaited {
    /// For what.
    pub what: Awaits,
    /// Since when.
    pub since: Timestamp,
    /// The answer.
    pub answer: Option<Answer>,
    /// For a run beneath this one that ended: its place among what this run has done. See
    /// [`Write::order`](crate::effect::Write::order).
    pub order: u64,
    /// For a run beneath this one that has taken back what it did: how many of its writes stay.
    pub unwound: Option<u32>,
}

/// How a run beneath another ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// Its output, or why it failed.
    pub result: Result<Labeled<Payload>, String>,
    /// Whether it did something to the world.
    pub did: bool,
    /// Whether it has taken back what it did, and how many of its writes stay then.
    pub unwound: Option<u32>,
}

/// Something that happened, from outside or from another run; a CloudEvent in Soloist's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// Its id: the same event twice is one event.
    pub id: EventId,
    /// Its type: `invoice.paid`.
    pub event: EventType,
    /// Where it comes from.
    pub source: String,
    /// What it says.
    pub data: Labeled<Payload>,
    /// When.
    pub at: Timestamp,
}

impl Occurrence {
    /// The event as expressions and agents see it: `{ id, type, source, data, at_ms }`.
    #[must_use]
    pub fn view(&self) -> Value {
        json!({
            "id": self.id,
            "type": self.event,
            "source": self.source,
            "data": self.data.value.value(),
            "at_ms": self.at.0,
        })
    }
}

impl Awaits {
    /// What begins when a step waits for this, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Question(_) => "question.asked",
            Self::Until { .. } => "timer.set",
            Self::Event { .. } => "event.awaited",
            Self::Child(_) => "child.started",
        }
    }

    /// The time at which this is over by itself.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Question(question) => question.deadline,
            Self::Until { at } if planted(Mutant::FiresEarly) => {
                Some(Timestamp(at.0.saturating_sub(10_000)))
            }
            Self::Until { at } => Some(*at),
            Self::Event { .. } | Self::Child(_) => None,
        }
    }
}

impl Awaited {
    /// What is waited for since `since`.
    #[must_use]
    pub fn new(what: Awaits, since: Timestamp) -> Self {
        Self { what, since, answer: None, order: 0, unwound: None }
    }

    /// Whether it is still waited for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answer.is_none()
    }

    /// The run beneath, if it is one.
    #[must_use]
    pub fn child(&self) -> Option<&Child> {
        match &self.what {
            Awaits::Child(child) => Some(child),
            Awaits::Question(_) | Awaits::Until { .. } | Awaits::Event { .. } => None,
        }
    }

    /// The question, if it is one that still waits.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        match &self.what {
            Awaits::Question(question) if self.is_open() => Some(question),
            _ => None,
        }
    }
}

impl ChildEnd {
    /// The end as the answer that the step reads: `{ "outcome": "completed", "output": … }` or
    /// `{ "outcome": "failed", "reason": … }`.
    #[must_use]
    pub fn answer(self, run: &RunId) -> Answer {
        let (view, labels) = match self.result {
            Ok(output) => {
                (json!({ "outcome": "completed", "output": output.value.value() }), output.labels)
            }
            Err(reason) => {
                let labels = Labels::untrusted(format!("run:{run}"));
                (json!({ "outcome": "failed", "reason": reason }), labels)
            }
        };
        // An output that only just fitted does not fit with its wrapping.
        let payload = Payload::of(&view).unwrap_or_else(|error| {
            Payload::of(&json!({ "outcome": "failed", "reason": error.to_string() }))
                .expect("a short text is a payload")
        });
        Answer { payload: Labeled::new(payload, labels), by: run.to_string(), did: self.did }
    }
}

/// Longest part of a parent's id, and of a step's name, in the id of a run beneath it.
const STEM_BYTES_MAX: usize = 60;

/// The id of the run beneath `parent` that effect `id` is: readable at its beginning, and derived from the effect, so that
/// it is the same one after every crash.
#[must_use]
pub fn child_id(id: &EffectId) -> RunId {
    let stem = |text: &str| text[..text.len().min(STEM_BYTES_MAX)].to_owned();
    let (run, step) = (stem(id.run.as_str()), stem(StepName::as_str(&id.step)));
    let key = id.key();
    RunId::new(format!("{run}.{step}.{}-{}", id.occurrence, &key.as_str()[..16]))
        .expect("parts of ids, digits and hex digits are an id")
}
