//! The inbox: what waits for the operator, as a projection of the runs.
//!
//! An item's id is derived from what waits, so it is the same after every restart, and it changes when what waits changes:
//! a decision can only meet what was shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    effect::{Write, WriteState},
    id::{InboxId, RunId, StepName},
    payload::{Digest, Payload},
    run::{EffectRef, Run, Status},
    time::Timestamp,
};

/// The projection table of waiting items, keyed by item id.
pub const TABLE: &str = "inbox";

/// Why something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A write wants to happen.
    Approval,
    /// A write may have happened, and nothing can tell.
    Ambiguous,
    /// A run failed.
    Incident,
}

/// Something that waits for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: InboxId,
    /// Why it waits.
    pub kind: Kind,
    /// The run it belongs to.
    pub run: RunId,
    /// The workflow version of that run.
    pub workflow: String,
    /// The step.
    pub step: StepName,
    /// Since when.
    pub since: Timestamp,
    /// What it is about, in one sentence.
    pub title: String,
    /// For a write: exactly what would leave.
    pub preview: Option<String>,
    /// For a write: its arguments, which `modify` can change.
    pub arguments: Option<serde_json::Value>,
    /// For a write: where it would go.
    pub routing: BTreeMap<String, String>,
    /// The rule that asked, or what failed.
    pub rule: Option<String>,
    /// Why it waits, for a person.
    pub reason: String,
    /// For a write: the hash of the exact bytes; an approval is bound to it.
    pub digest: Option<String>,
    /// What can be said about it.
    pub choices: Vec<String>,
}

/// The id under which `write` waits, if it does.
#[must_use]
fn id(run: &Run, step: &StepName, effect: &EffectRef, write: &Write) -> Option<InboxId> {
    let kind = match write.state {
        WriteState::Asking { .. } => "approval",
        WriteState::Ambiguous { .. } => "ambiguous",
        _ => return None,
    };
    Some(run.effect_id(step, effect).inbox_id(kind, write.round))
}

/// The write of `run` that waits under `item`, with its place.
#[must_use]
pub fn find<'a>(run: &'a Run, item: &InboxId) -> Option<(&'a StepName, &'a EffectRef, &'a Write)> {
    run.writes().find(|(step, effect, write)| id(run, step, effect, write).as_ref() == Some(item))
}

/// The id of the incident of a failed run.
#[must_use]
pub fn incident_id(run: &RunId) -> InboxId {
    let hash = Digest::of(format!("incident:{run}").as_bytes()).to_hex();
    InboxId::new(&hash[..10]).expect("hex digits are a name")
}

/// Everything of `run` that waits for the operator.
#[must_use]
pub fn items(run: &Run) -> Vec<Item> {
    match &run.status {
        Status::Completed { .. } => vec![],
        Status::Failed { step, error, dismissed } => {
            let (kind, since) = (Kind::Incident, run.updated_at);
            let title = format!("run {} failed at step `{step}`", run.id);
            let mut item = blank(run, incident_id(&run.id), kind, step, since, title);
            item.reason.clone_from(&error.message);
            item.choices = words(&["abort"]);
            // A write that may have happened waits on, whatever has become of its run.
            let unclear = run
                .writes()
                .filter(|(_, _, write)| matches!(write.state, WriteState::Ambiguous { .. }));
            let unclear =
                unclear.filter_map(|(step, effect, write)| of_write(run, step, effect, write));
            Some(item).filter(|_| !dismissed).into_iter().chain(unclear).collect()
        }
        Status::Running => run
            .writes()
            .filter_map(|(step, effect, write)| of_write(run, step, effect, write))
            .collect(),
    }
}

fn of_write(run: &Run, step: &StepName, effect: &EffectRef, write: &Write) -> Option<Item> {
    let id = id(run, step, effect, write)?;
    let proposal = &write.proposal;
    let operation = format!("{}.{}", proposal.connector, proposal.operation);
    let to = proposal.routing.values().cloned().collect::<Vec<_>>().join(", ");
    let mut item = match &write.state {
        WriteState::Asking { since } => {
            let title = format!("{operation} to {to}");
            let mut item = blank(run, id, Kind::Approval, step, *since, title);
            item.reason.clone_from(&write.judgement.reason);
            item.choices = words(&["approve", "modify", "abort"]);
            item
        }
        WriteState::Ambiguous { fault, since } => {
            let title = format!("{operation} to {to} may have happened");
            let mut item = blank(run, id, Kind::Ambiguous, step, *since, title);
            item.reason = format!("attempt {} ended unclear: {fault}", write.attempts);
            item.choices = words(&["resolve --happened", "resolve --did-not-happen", "abort"]);
            item
        }
        _ => return None,
    };
    item.preview = Some(proposal.preview.clone());
    item.arguments = Some(proposal.arguments.value());
    item.routing.clone_from(&proposal.routing);
    item.rule = Some(write.judgement.rule.clone());
    item.digest = Some(proposal.digest.to_hex());
    Some(item)
}

fn blank(
    run: &Run,
    id: InboxId,
    kind: Kind,
    step: &StepName,
    since: Timestamp,
    title: String,
) -> Item {
    Item {
        id,
        kind,
        run: run.id.clone(),
        workflow: run.workflow.to_string(),
        step: step.clone(),
        since,
        title,
        preview: None,
        arguments: None,
        routing: BTreeMap::new(),
        rule: None,
        reason: String::new(),
        digest: None,
        choices: vec![],
    }
}

fn words(choices: &[&str]) -> Vec<String> {
    choices.iter().map(|&choice| choice.to_owned()).collect()
}

impl Item {
    /// The item as it is stored in the projection.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Payload::of(self).map(|payload| payload.as_str().as_bytes().to_vec()).unwrap_or_default()
    }

    /// Reads a stored item.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not an item.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
