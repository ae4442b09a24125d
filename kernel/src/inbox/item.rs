//! An item of the inbox as it is shown and stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Waiting;
use crate::{
    effect::{Choice, Write, WriteState},
    id::{InboxId, RunId, StepName},
    labels::Labels,
    payload::Payload,
    run::{Awaits, Cause, EffectRef, Question, Run, Status, Step, StepStatus},
    semantics::Reversal,
    time::Timestamp,
};

/// Why something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A write, or a step, wants to go ahead.
    Approval,
    /// A write may have happened, and nothing can tell.
    Ambiguous,
    /// An agent asks something.
    Question,
    /// A step failed, and the run waits.
    Escalation,
    /// A run failed, or is late, or the kernel could not keep something going.
    Incident,
}

/// Something that waits for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: InboxId,
    /// Why it waits.
    pub kind: Kind,
    /// The run it belongs to. What a supervisor gave up belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The workflow version of that run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workflow: String,
    /// The step, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// Since when.
    pub since: Timestamp,
    /// Until when it can be decided; then its default counts.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// What counts at the deadline.
    #[serde(default)]
    pub at_deadline: Option<String>,
    /// Who is to decide, if not the operator.
    #[serde(default)]
    pub assigned: Option<String>,
    /// What it is about, in one sentence.
    pub title: String,
    /// For a write: exactly what would leave. For a question: what is asked. For what died again and again: each death.
    pub preview: Option<String>,
    /// For a write: its arguments, which `modify` can change. For what failed: the exact input.
    pub arguments: Option<serde_json::Value>,
    /// For a write: where it would go.
    pub routing: BTreeMap<String, String>,
    /// For a write: where each argument comes from, and how far it is trusted.
    #[serde(default)]
    pub provenance: BTreeMap<String, Provenance>,
    /// For a write: how it can be taken back: `irreversible`, or the operation that does it.
    #[serde(default)]
    pub reversal: Option<String>,
    /// The rule that asked, or what failed.
    pub rule: Option<String>,
    /// Why it waits, for a person.
    pub reason: String,
    /// What the rule says can be done about it.
    #[serde(default)]
    pub remedy: Option<String>,
    /// For a write: the hash of what is shown; an approval is bound to it.
    pub digest: Option<String>,
    /// Where the steps of the run stand.
    #[serde(default)]
    pub stands: Vec<Stand>,
    /// What the run did and has not taken back, in order.
    #[serde(default)]
    pub left: Vec<String>,
    /// Who decided what in this run so far.
    #[serde(default)]
    pub decisions: Vec<String>,
    /// What can be said about it.
    pub choices: Vec<Choice>,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The step.
    pub step: StepName,
    /// `completed`, `failed`, `running`, …
    pub status: String,
}

/// Where an argument comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `owner`, `vetted` or `untrusted`.
    pub integrity: String,
    /// `mail`, `agent:draft`, …
    pub origin: Vec<String>,
    /// Classes of personal data.
    pub pii: Vec<crate::labels::Pii>,
}

impl From<&Labels> for Provenance {
    fn from(labels: &Labels) -> Self {
        Self {
            integrity: labels.integrity.word().into(),
            origin: labels.origin.iter().cloned().collect(),
            pii: labels.pii.iter().copied().collect(),
        }
    }
}

/// The item that shows `waiting`.
pub(super) fn of(run: &Run, id: InboxId, waiting: &Waiting<'_>) -> Item {
    let mut item = match waiting {
        Waiting::Write(step, effect, write) => of_write(run, id, step, effect, write),
        Waiting::Question(step, effect, question) => of_question(run, id, step, effect, question),
        Waiting::Escalation(step, state) => of_escalation(run, id, step, state),
        Waiting::Incident => of_incident(run, id),
        Waiting::Late => {
            let title = format!("run {} is over its deadline", run.id);
            let since = run.deadline().unwrap_or(run.updated_at);
            let mut item = blank(run, id, Kind::Incident, &current_step(run), since, title);
            item.reason = "its goal has a deadline, which has passed; the run goes on".into();
            item
        }
    };
    item.choices = choices(run, waiting);
    item
}

fn of_write(run: &Run, id: InboxId, step: &StepName, _effect: &EffectRef, write: &Write) -> Item {
    let proposal = &write.proposal;
    let operation = format!("{}.{}", proposal.connector, proposal.operation);
    let to = proposal.routing.values().cloned().collect::<Vec<_>>().join(", ");
    let takes_back = if write.reverses.is_some() { ", to take back an earlier write" } else { "" };
    let mut item = match &write.state {
        WriteState::Ambiguous { fault, since } => {
            let title = format!("{operation} to {to} may have happened");
            let mut item = blank(run, id, Kind::Ambiguous, step, *since, title);
            item.reason = format!("attempt {} ended unclear: {fault}", write.attempts);
            item
        }
        state => {
            let (since, deadline, assigned) = match state {
                WriteState::Asking { since, deadline, assigned } => {
                    (*since, *deadline, assigned.clone())
                }
                _ => (run.updated_at, None, None),
            };
            let title = format!("{operation} to {to}{takes_back}");
            let mut item = blank(run, id, Kind::Approval, step, since, title);
            item.reason.clone_from(&write.judgement.reason);
            let default = if write.judgement.approved_at_deadline { "approve" } else { "abort" };
            item.at_deadline = deadline.map(|_| default.into());
            (item.deadline, item.assigned) = (deadline, assigned);
            item
        }
    };
    item.preview = Some(proposal.preview.clone());
    item.arguments = Some(proposal.arguments.value());
    item.routing.clone_from(&proposal.routing);
    item.provenance = proposal
        .labels
        .iter()
        .map(|(argument, labels)| (argument.clone(), Provenance::from(labels)))
        .collect();
    item.reversal = Some(match run.reversal(step, write) {
        Reversal::Irreversible => "irreversible".into(),
        Reversal::Undo(operation) => format!("undo by {operation}"),
        Reversal::Counter(operation) => format!("countered by {operation}"),
    });
    item.rule = Some(write.judgement.rule.clone());
    item.remedy.clone_from(&write.judgement.remedy);
    item.digest = Some(write.seal().to_hex());
    item
}

fn of_question(
    run: &Run,
    id: InboxId,
    step: &StepName,
    effect: &EffectRef,
    question: &Question,
) -> Item {
    let since = run
        .step(step)
        .and_then(|(_, state)| state.awaited(effect))
        .map_or(run.updated_at, |awaited| awaited.since);
    let kind = if question.approval { Kind::Approval } else { Kind::Question };
    let mut item = blank(run, id, kind, step, since, question.prompt.clone());
    item.preview = Some(question.prompt.clone());
    item.reason = if question.approval {
        "the workflow asks before it goes on".into()
    } else {
        "an agent asks".into()
    };
    item.deadline = question.deadline;
    item.at_deadline =
        question.deadline.and(question.default.as_ref()).map(|default| default.to_string());
    item.assigned.clone_from(&question.assigned);
    item.arguments = run.step_input(step).ok().map(|input| input.value.value.value());
    item
}

fn of_escalation(run: &Run, id: InboxId, step: &StepName, state: &Step) -> Item {
    let since = match state.status {
        StepStatus::Escalated { since } => since,
        _ => run.updated_at,
    };
    let title = format!("step `{step}` of run {} failed, and waits for you", run.id);
    let mut item = blank(run, id, Kind::Escalation, step, since, title);
    item.reason = state.error.as_ref().map(ToString::to_string).unwrap_or_default();
    item.arguments = run.step_input(step).ok().map(|input| input.value.value.value());
    item.stands = stands(run);
    item.left = left(run);
    item
}

fn of_incident(run: &Run, id: InboxId) -> Item {
    let (step, title) = match &run.status {
        Status::Failed { cause: Cause::Step { step, .. }, .. } => {
            (step.clone(), format!("run {} failed at step `{step}`", run.id))
        }
        _ => (current_step(run), format!("run {} was aborted, and something stays", run.id)),
    };
    let mut item = blank(run, id, Kind::Incident, &step, run.updated_at, title);
    item.reason = run.reason().unwrap_or_default();
    item.arguments = run.step_input(&step).ok().map(|input| input.value.value.value());
    item.stands = stands(run);
    item.left = left(run);
    item
}

fn stands(run: &Run) -> Vec<Stand> {
    run.graph()
        .map(|(definition, step)| Stand {
            step: definition.name.clone(),
            status: step.status.word().into(),
        })
        .collect()
}

fn left(run: &Run) -> Vec<String> {
    run.left().map(|left| format!("{} of step `{}`: {}", left.what, left.step, left.why)).collect()
}

/// Who decided what, step by step.
fn decisions(run: &Run) -> Vec<String> {
    let writes = run.writes().flat_map(|(step, _, write)| {
        let what = format!("{}.{}", write.proposal.connector, write.proposal.operation);
        write.decisions.iter().map(move |said| format!("{what} of step `{step}`: {said}"))
    });
    let answers = run.awaited().filter_map(|(step, _, awaited)| {
        let Awaits::Question(question) = &awaited.what else { return None };
        let answer = awaited.answer.as_ref()?;
        Some(format!(
            "{:?} of step `{step}`: {} by {}",
            question.prompt, answer.payload.value, answer.by
        ))
    });
    writes.chain(answers).collect()
}

/// The step that the run is at: the first that is not over.
fn current_step(run: &Run) -> StepName {
    let open = run.graph().find(|(_, step)| {
        matches!(step.status, StepStatus::Running { .. } | StepStatus::BackingOff { .. })
    });
    let (definition, _) = open.or_else(|| run.graph().next()).expect("a workflow has a step");
    definition.name.clone()
}

/// What can be said about what waits.
pub(super) fn choices(run: &Run, waiting: &Waiting<'_>) -> Vec<Choice> {
    let stays = || run.left().next().is_some();
    match waiting {
        Waiting::Write(_, _, write) => match write.state {
            WriteState::Ambiguous { .. } => vec![
                Choice::new("resolve --happened", "it did; the run goes on"),
                Choice::new("resolve --did-not-happen", "it did not; it is tried again"),
                Choice::new("abort", "leave it as it is, and go on without it"),
            ],
            _ => vec![
                Choice::new("approve", "exactly this happens, once"),
                Choice::new("modify", "something else happens, if policy lets it"),
                Choice::new("abort", "it does not happen; the agent is told why"),
                Choice::new("delegate", "someone else decides, or an agent"),
            ],
        },
        Waiting::Question(_, _, question) if question.approval => vec![
            Choice::new("approve", "the run goes on"),
            Choice::new("abort", "the step is skipped, with all that need it"),
            Choice::new("delegate", "someone else decides, or an agent"),
        ],
        Waiting::Question(_, _, question) => {
            let effect = match question.choices.as_slice() {
                [] => "anything".to_owned(),
                choices => choices.join(" | "),
            };
            vec![
                Choice::new("answer", effect),
                Choice::new("delegate", "someone else answers, or an agent"),
            ]
        }
        Waiting::Escalation(..) => vec![
            Choice::new("retry", "the step is tried again"),
            Choice::new("go-on", "the run goes on with an output that you give"),
            Choice::new("fail", "the run fails, and what it did stays"),
            Choice::new("compensate", "the run fails, and what it did is taken back"),
        ],
        Waiting::Incident => {
            let mut choices = vec![Choice::new("abort", "dismiss it")];
            if matches!(run.status, Status::Failed { unwound: false, .. }) && stays() {
                choices.push(Choice::new("compensate", "what the run did is taken back"));
            }
            choices
        }
        Waiting::Late => vec![
            Choice::new("abort", "dismiss it; the run goes on"),
            Choice::new("compensate", "end the run, and take back what it did"),
        ],
    }
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
        run: Some(run.id.clone()),
        workflow: run.workflow.to_string(),
        step: Some(step.clone()),
        decisions: decisions(run),
        ..Item::new(id, kind, since, title)
    }
}

impl Item {
    /// An item of which no more is known.
    pub(crate) fn new(id: InboxId, kind: Kind, since: Timestamp, title: String) -> Self {
        Self {
            id,
            kind,
            run: None,
            workflow: String::new(),
            step: None,
            since,
            deadline: None,
            at_deadline: None,
            assigned: None,
            title,
            preview: None,
            arguments: None,
            routing: BTreeMap::new(),
            provenance: BTreeMap::new(),
            reversal: None,
            rule: None,
            reason: String::new(),
            remedy: None,
            digest: None,
            stands: vec![],
            left: vec![],
            decisions: vec![],
            choices: vec![],
        }
    }

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
