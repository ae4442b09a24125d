//! A fact: one thing known about one subject, in one version.

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    id::{AgentName, EffectId},
    labels::Labels,
    payload::Payload,
    time::Timestamp,
};

/// A version of a fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// About whom or what: an entity id.
    pub subject: String,
    /// What about it: `last_said`.
    pub name: String,
    /// The value.
    pub value: Payload,
    /// Where the value comes from, how far it is trusted, and who may read it.
    pub labels: Labels,
    /// Counted from one.
    pub version: u32,
    /// When it was learned.
    pub at: Timestamp,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Where a fact comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// An agent asserted it, as an effect of its turn.
    Agent {
        /// The agent.
        agent: AgentName,
        /// The effect: it leads to the run and everything before it.
        effect: EffectId,
    },
    /// The operator said so.
    Operator {
        /// Who.
        by: String,
    },
}

/// A fact as it is stored in projections and shown to people.
#[derive(Serialize, Deserialize)]
pub(crate) struct FactView {
    subject: String,
    name: String,
    value: serde_json::Value,
    /// A fact from before labels were kept has the strictest.
    #[serde(default)]
    labels: Labels,
    version: u32,
    at: Timestamp,
    provenance: Provenance,
}

impl From<&Fact> for FactView {
    fn from(fact: &Fact) -> Self {
        Self {
            subject: fact.subject.clone(),
            name: fact.name.clone(),
            value: fact.value.value(),
            labels: fact.labels.clone(),
            version: fact.version,
            at: fact.at,
            provenance: fact.provenance.clone(),
        }
    }
}

impl Fact {
    /// The fact as a payload: what an agent gets as an answer.
    ///
    /// # Errors
    ///
    /// Fails if the value with its provenance is over the payload limit.
    pub fn payload(&self) -> Result<Payload, soloist_kernel::payload::PayloadError> {
        Payload::of(&FactView::from(self))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let view: FactView = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            subject: view.subject,
            name: view.name,
            value: Payload::of(&view.value).ok()?,
            labels: view.labels,
            version: view.version,
            at: view.at,
            provenance: view.provenance,
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&FactView::from(self)).expect("a fact is plain data")
    }
}
