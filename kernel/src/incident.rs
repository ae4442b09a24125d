//! Incidents of the kernel itself: what it could not keep going, and what the operator says to that.
//!
//! A run decides about its own failures. That the actor of a run dies again and again, or that a supervisor gives up, is
//! nobody's decision: it is put on record here, in a stream of its own, with the evidence, and waits in the inbox like
//! everything that is for the operator. The state is in projections: the incidents there are, and the runs that are set
//! aside. [`Incident::decide`] and [`raise`] give an event, [`project`] what is written beside it, `incident/stored.rs` how
//! it is kept.

mod stored;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use stored::{EVENTS_VERSION, StoredError, decode, encode};

use crate::{
    budget::Account,
    effect::{Choice, Decision},
    id::{InboxId, RunId, StreamId},
    inbox::{self, Item, Kind},
    journal::ProjectionKey,
    payload::Digest,
    run::Refusal,
    time::Timestamp,
};

/// The projection table of incidents, by id. One that was dismissed stays as long as its run is set aside.
pub const TABLE: &str = "incidents";

/// The projection table of the runs that are set aside, by run; the value is the id of the incident.
pub const QUARANTINED: &str = "runs-quarantined";

/// Most deaths that are kept as evidence, the last ones. What dies again and again dies of the same.
pub const DEATHS_MAX: usize = 16;

/// Longest reason and longest work of a death, in characters: a panic's message can hold anything.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// How something died, and what it was doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub reason: String,
    /// What it was doing, if that is known.
    pub work: Option<String>,
}

/// What the kernel could not keep going.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The actor of a run died again and again. The run is set aside and does not take its neighbours down.
    Quarantined {
        /// The run.
        run: RunId,
    },
    /// What a supervisor looks after died again and again, and it gave up.
    GaveUp {
        /// Its path: `soloist/connectors`.
        supervisor: String,
    },
    /// A budget has no room for a call, and what wants to make it waits.
    OverBudget {
        /// The account that has none.
        account: Account,
        /// By how much, in words.
        reason: String,
    },
}

/// What happened to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was put on record.
    Raised {
        /// Its id.
        id: InboxId,
        /// What it is.
        what: What,
        /// What died how, oldest first.
        evidence: Vec<Death>,
    },
    /// The operator lets what was set aside go on.
    Released {
        /// Its id.
        id: InboxId,
        /// Who.
        by: String,
    },
    /// The operator has seen it, and wants to hear no more of it. What is set aside stays so.
    Dismissed {
        /// Its id.
        id: InboxId,
        /// Who.
        by: String,
    },
}

/// An incident of the kernel itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id, which is that of its inbox item.
    pub id: InboxId,
    /// What it is.
    pub what: What,
    /// What died how, oldest first.
    pub evidence: Vec<Death>,
    /// When it was raised.
    pub at: Timestamp,
}

/// The stream of all incidents.
///
/// # Panics
///
/// Never: `supervision` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("supervision").expect("`supervision` is a name")
}

/// Puts on record that `what` could not be kept going. The evidence is cut to [`DEATHS_MAX`] and [`TEXT_CHARS_MAX`].
#[must_use]
pub fn raise(what: What, mut evidence: Vec<Death>, now: Timestamp) -> (Event, Incident) {
    evidence.drain(..evidence.len().saturating_sub(DEATHS_MAX));
    for death in &mut evidence {
        death.reason = short(&death.reason);
        death.work = death.work.as_deref().map(short);
    }
    let id = what.id(now);
    let incident = Incident { id, what, evidence, at: now };
    (incident.raised(), incident)
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

impl What {
    /// The id of the incident that was raised for this at `at`.
    #[must_use]
    pub fn id(&self, at: Timestamp) -> InboxId {
        let what = match self {
            Self::Quarantined { run } => format!("quarantined:{run}:{}", at.0),
            Self::GaveUp { supervisor } => format!("gave-up:{supervisor}:{}", at.0),
            // However many wait for it, it is one.
            Self::OverBudget { account, .. } => format!("over-budget:{account}"),
        };
        let hash = Digest::of(what.as_bytes()).to_hex();
        InboxId::new(&hash[..10]).expect("hex digits are a name")
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Raised { .. } => "incident.raised",
            Self::Released { .. } => "incident.released",
            Self::Dismissed { .. } => "incident.dismissed",
        }
    }
}

impl Incident {
    fn raised(&self) -> Event {
        let Self { id, what, evidence, .. } = self.clone();
        Event::Raised { id, what, evidence }
    }

    /// The run that is set aside, if one is.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match &self.what {
            What::Quarantined { run } => Some(run),
            What::GaveUp { .. } | What::OverBudget { .. } => None,
        }
    }

    /// Decides what someone's word causes. `waits` tells whether the incident is still in the inbox: one that was dismissed is
    /// not, and can still be released.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why the decision cannot be carried out; nothing has changed.
    pub fn decide(&self, decision: &Decision, by: &str, waits: bool) -> Result<Event, Refusal> {
        let (id, by) = (self.id.clone(), by.to_owned());
        match (&self.what, decision) {
            (What::Quarantined { .. }, Decision::Retry) => Ok(Event::Released { id, by }),
            (_, Decision::Abort { .. }) if waits => Ok(Event::Dismissed { id, by }),
            (_, Decision::Abort { .. }) => Err(Refusal::NotWaiting { item: id }),
            (_, decision) => {
                let words: Vec<String> =
                    self.choices().iter().map(|choice| format!("`{}`", choice.word)).collect();
                let problem = format!(
                    "item {id} cannot be decided by `{}`; it takes {}",
                    decision.word(),
                    words.join(", ")
                );
                Err(Refusal::Unfit { problem })
            }
        }
    }

    fn choices(&self) -> Vec<Choice> {
        match self.what {
            What::Quarantined { .. } => vec![
                Choice::new("retry", "let it go on; it is set aside again if it dies again"),
                Choice::new("abort", "dismiss it; the run stays set aside"),
            ],
            What::GaveUp { .. } => vec![Choice::new("abort", "dismiss it")],
            What::OverBudget { .. } => {
                vec![Choice::new("abort", "dismiss it; what waits for the budget goes on waiting")]
            }
        }
    }

    /// The incident as it waits in the inbox.
    #[must_use]
    pub fn item(&self) -> Item {
        let title = match &self.what {
            What::Quarantined { run } => format!("run {run} is set aside: it died again and again"),
            What::GaveUp { supervisor } => {
                format!("`{supervisor}` gave up: what it looks after died again and again")
            }
            What::OverBudget { account, .. } => format!("budget {account} is used up"),
        };
        let mut item = Item::new(self.id.clone(), Kind::Incident, self.at, title);
        item.run = self.run().cloned();
        item.reason = self.reason();
        let deaths: Vec<String> = self.evidence.iter().map(Death::words).collect();
        item.preview = (!deaths.is_empty()).then(|| deaths.join("\n"));
        item.choices = self.choices();
        item
    }

    /// The evidence in a sentence: how often it died, and how it did the last time.
    fn reason(&self) -> String {
        if let What::OverBudget { account, reason } = &self.what {
            let run = account.run.as_ref().map(|run| format!(" --run {run}")).unwrap_or_default();
            return format!(
                "{reason}; what wants more waits. Raise it with `soloist budget raise {}{run}`, or leave it waiting",
                account.budget
            );
        }
        match (self.evidence.len(), self.evidence.last()) {
            (_, None) => "nothing is known of how it died".into(),
            (1, Some(death)) => format!("it died {}", death.words()),
            (count, Some(death)) => {
                format!("it died {count} times, the last time {}", death.words())
            }
        }
    }
}

impl Death {
    /// `at 2026-…, during the turn of step `draft`: it panicked`.
    fn words(&self) -> String {
        let work = self.work.as_ref().map(|work| format!(", during {work}")).unwrap_or_default();
        format!("at {}{work}: {}", self.at, self.reason)
    }
}

/// The key of a run that is set aside, in [`QUARANTINED`].
#[must_use]
pub fn quarantined_key(run: &RunId) -> ProjectionKey {
    ProjectionKey::new(QUARANTINED, run.as_str())
}

/// The key of an incident, in [`TABLE`].
#[must_use]
pub fn key(id: &InboxId) -> ProjectionKey {
    ProjectionKey::new(TABLE, id.as_str())
}

/// What `event`, which happened to `incident`, changes in the projections.
#[must_use]
pub fn project(event: &Event, incident: &Incident) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
    let id = &incident.id;
    let item = ProjectionKey::new(inbox::TABLE, id.as_str());
    let aside = incident.run().map(quarantined_key);
    match event {
        Event::Raised { .. } => {
            let bytes = serde_json::to_vec(incident).expect("an incident is plain data");
            let aside = aside.map(|key| (key, Some(id.as_str().as_bytes().to_vec())));
            let mut changes =
                vec![(key(id), Some(bytes)), (item, Some(incident.item().to_bytes()))];
            changes.extend(aside);
            changes
        }
        Event::Released { .. } => {
            [key(id), item].into_iter().chain(aside).map(|key| (key, None)).collect()
        }
        // As long as its run is set aside, the incident says why, and can be released.
        Event::Dismissed { .. } if aside.is_some() => vec![(item, None)],
        Event::Dismissed { .. } => vec![(key(id), None), (item, None)],
    }
}
