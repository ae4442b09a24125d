//! The inbox: what waits for the operator, as a projection of the runs.
//!
//! An item's id is derived from what waits, so it is the same after every restart, and it changes when what waits changes:
//! a decision can only meet what was shown. Incidents of the kernel itself wait in the same table, under ids of their own: see
//! [`incident`](crate::incident).

mod item;

use crate::{
    effect::{Write, WriteState},
    id::{InboxId, StepName},
    mutant::{Mutant, planted},
    payload::Digest,
    run::{Awaits, Cause, EffectRef, Lateness, Question, Run, Status, Step, StepStatus},
};

pub use item::{Item, Kind, Provenance, Stand};

/// The projection table of waiting items, keyed by item id.
pub const TABLE: &str = "inbox";

/// Something of a run that waits for a decision.
#[derive(Clone, Copy, Debug)]
pub enum Waiting<'a> {
    /// A write that wants to happen, or that may have happened.
    Write(&'a StepName, &'a EffectRef, &'a Write),
    /// A question of a turn, or a step that asks for approval.
    Question(&'a StepName, &'a EffectRef, &'a Question),
    /// A step that failed and whose definition has the operator decide.
    Escalation(&'a StepName, &'a Step),
    /// The run failed.
    Incident,
    /// The run is over its deadline.
    Late,
}

/// Everything of `run` that waits for a decision, with its id.
pub fn waiting(run: &Run) -> Vec<(InboxId, Waiting<'_>)> {
    let mut found = vec![];
    let derived = |what: String| {
        let hash = Digest::of(what.as_bytes()).to_hex();
        InboxId::new(&hash[..10]).expect("hex digits are a name")
    };
    let running = matches!(run.status, Status::Running);
    if has_incident(run) {
        found.push((incident_id(run), Waiting::Incident));
    }
    if run.lateness == Lateness::Overdue && !run.status.is_over() {
        found.push((derived(format!("late:{}", run.id)), Waiting::Late));
    }
    for (definition, step) in run.graph().filter(|_| running) {
        if matches!(step.status, StepStatus::Escalated { .. }) {
            let what = format!("escalation:{}/{}/{}", run.id, definition.name, step.attempt);
            found.push((derived(what), Waiting::Escalation(&definition.name, step)));
        }
    }
    for (step, effect, awaited) in run.awaited().filter(|_| running) {
        if let (Awaits::Question(question), true) = (&awaited.what, awaited.is_open()) {
            let id = run.key(step, effect).inbox_id("question", question.round, question.content());
            found.push((id, Waiting::Question(step, effect, question)));
        }
    }
    // A write that may have happened waits on, whatever has become of its run.
    for (step, effect, write) in run.writes() {
        let kind = match write.state {
            WriteState::Asking { .. } => "approval",
            WriteState::Ambiguous { .. } => "ambiguous",
            _ => continue,
        };
        let stale = planted(Mutant::StaleDecisionTaken);
        let (round, shown) = if stale { (0, Digest::of(b"")) } else { (write.round, write.seal()) };
        let id = run.key(step, effect).inbox_id(kind, round, shown);
        found.push((id, Waiting::Write(step, effect, write)));
    }
    found
}

/// A failed run is an incident. One beneath another is that one's to account for, unless something of it stays in the world.
fn has_incident(run: &Run) -> bool {
    match &run.status {
        Status::Failed { dismissed: true, .. }
        | Status::Running
        | Status::Unwinding { .. }
        | Status::Completed { .. } => false,
        Status::Failed { unwound, cause, .. } => match (&run.parent, cause) {
            (None, _) => true,
            (Some(_), Cause::Aborted { .. } | Cause::Cancelled { .. } | Cause::Step { .. }) => {
                *unwound && run.left().next().is_some()
            }
        },
    }
}

/// What of `run` waits under `item`.
#[must_use]
pub fn find<'a>(run: &'a Run, item: &InboxId) -> Option<Waiting<'a>> {
    waiting(run).into_iter().find(|(id, _)| id == item).map(|(_, waiting)| waiting)
}

/// The id of the incident of a failed run: another one each time that it fails.
#[must_use]
pub fn incident_id(run: &Run) -> InboxId {
    let again = if run.revived > 0 { format!(":{}", run.revived) } else { String::new() };
    let hash = Digest::of(format!("incident:{}{again}", run.id).as_bytes()).to_hex();
    InboxId::new(&hash[..10]).expect("hex digits are a name")
}

/// Everything of `run` that waits, as it is shown.
#[must_use]
pub fn items(run: &Run) -> Vec<Item> {
    waiting(run).into_iter().map(|(id, waiting)| item::of(run, id, &waiting)).collect()
}

/// The words that decide `waiting`, for a person.
#[must_use]
pub fn words(waiting: &Waiting<'_>, run: &Run) -> String {
    let words: Vec<String> = item::choices(run, waiting)
        .into_iter()
        .map(|choice| format!("`{}`", choice.word))
        .collect();
    words.join(", ")
}
