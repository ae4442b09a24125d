//! Runs: what there is to see of one, how one begins, ends and moves, and the events that reach them.

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::{DecideError, RunEnd, Soloist, StartError, views};
use soloist_kernel::{
    control::Pause,
    effect::{Write, WriteState},
    id::{RunId, StepName},
    inbox::Item,
    journal::{Journal, ReadError, Record},
    payload::Payload,
    run::{self, EffectRef, Run},
    workflow::find_intent,
};

use super::{control, to_json};
use crate::request::Problem;

/// How much of an input's hash is in the id of a run that was given none, in hex digits.
const HASH_CHARS: usize = 10;

/// How long the answer to an event waits for its delivery. It is on disk by then, so nothing hangs on it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it looks meanwhile.
const DELIVERY_LOOK: Duration = Duration::from_millis(5);

/// A run in a line, where its steps stand, what of it waits for the operator, and its history.
pub(super) fn show(journal: &dyn Journal, run: &str) -> Result<Value, Problem> {
    let id = RunId::new(run).map_err(Problem::new)?;
    let missing = || Problem::new(format!("there is no run {run:?}; see `soloist run list`"));
    let view = views::run(journal, &id).map_err(Problem::new)?.ok_or_else(missing)?;
    let fetch = |digest: &_| journal.blob(digest);
    let events = |record: &Record| {
        run::decode(record.entry.version, &record.entry.payload, &fetch)
            .map_err(|error| error.to_string())
    };
    let records = view.records.iter().map(|record| record_view(record, events(record))).collect();
    let mut shown = to_json(&view.summary)?;
    // A history that does not fold is shown record by record all the same.
    let folded = views::folded(journal, &id).ok().flatten();
    shown["steps"] = folded.as_ref().map_or(Value::Null, steps);
    shown["set_aside"] = to_json(&views::set_aside(journal, &id).map_err(Problem::new)?)?;
    let paused = paused(journal, folded.as_ref())?;
    shown["paused"] = paused.as_ref().map_or(Value::Null, control::shown);
    shown["writes"] = folded.as_ref().map_or(Value::Null, writes);
    shown["parked"] = folded.as_ref().map_or(Value::Null, parked);
    shown["waits"] = ids(&waits_in(journal, &id).map_err(Problem::new)?);
    shown["records"] = Value::Array(records);
    Ok(shown)
}

/// The pause by which the run is held as a whole, if it is.
fn paused(journal: &dyn Journal, run: Option<&Run>) -> Result<Option<Pause>, Problem> {
    let Some(run) = run.filter(|run| !run.status.is_over()) else { return Ok(None) };
    let lineage = views::lineage(journal, run).map_err(Problem::new)?;
    Ok(views::pauses(journal).map_err(Problem::new)?.of_run(&lineage).cloned())
}

pub(super) fn steps(run: &Run) -> Value {
    let step = |(definition, step): (&soloist_kernel::workflow::Step, &run::Step)| {
        json!({
            "step": definition.name,
            "status": step.status.word(),
            "attempt": step.attempt,
            "error": step.error.as_ref().map(ToString::to_string),
        })
    };
    run.graph().map(step).collect()
}

/// Every write: what policy said of it, and what became of it.
pub(super) fn writes(run: &Run) -> Value {
    let row = |(step, effect, write): (&StepName, &EffectRef, &Write)| {
        let outcome = match &write.state {
            WriteState::Settled(outcome) => outcome.word(),
            state => state.word(),
        };
        json!({
            "step": step,
            "effect": effect.to_string(),
            "what": format!("{}.{}", write.proposal.connector, write.proposal.operation),
            "verdict": write.judgement.verdict.to_string(),
            "rule": write.judgement.rule,
            "state": outcome,
            "attempts": write.attempts,
        })
    };
    run.writes().map(row).collect()
}

/// The writes that are put aside, until when, and why.
pub(super) fn parked(run: &Run) -> Value {
    let row = |(step, _, write): (&StepName, &EffectRef, &Write)| {
        let WriteState::Parked { until, reason, .. } = &write.state else { return None };
        let what = format!("{}.{}", write.proposal.connector, write.proposal.operation);
        Some(json!({
            "step": step,
            "what": what,
            "until": until.to_string(),
            "reason": reason,
        }))
    };
    run.writes().filter_map(row).collect()
}

pub(super) fn record_view(record: &Record, events: Result<Vec<run::Event>, String>) -> Value {
    let entry = &record.entry;
    let events = match events {
        Ok(events) => events
            .iter()
            .map(|event| json!({ "kind": event.kind(), "detail": format!("{event:?}") }))
            .collect(),
        Err(problem) => vec![json!({ "kind": "unreadable", "detail": problem })],
    };
    json!({
        "seq": record.seq,
        "at": entry.at.to_string(),
        "actor": entry.actor,
        "kind": entry.kind,
        "hash": record.hash.to_hex(),
        "events": events,
    })
}

/// Starts a run, or finds the one that was started with the same input before.
pub(super) async fn start(
    soloist: &Soloist,
    workflow: &str,
    run: Option<String>,
    input: &Value,
) -> Result<Value, Problem> {
    let run = match run {
        Some(run) => run,
        None => {
            let input = Payload::of(input).map_err(Problem::new)?;
            format!("{workflow}-{}", &input.digest().to_hex()[..HASH_CHARS])
        }
    };
    let handle =
        soloist.start(workflow, &run, input).await.map_err(|error| unknown(soloist, error))?;
    let mut rest = at_rest(soloist, &run).await?;
    rest["new"] = Value::Bool(handle.is_new());
    Ok(rest)
}

/// A misspelt name gets a suggestion.
fn unknown(soloist: &Soloist, error: StartError) -> Problem {
    let StartError::UnknownWorkflow { name, .. } = &error else { return Problem::new(error) };
    let known = soloist.workflows();
    let names = known.iter().map(|(pinned, _)| pinned.name.as_str());
    match soloist_kernel::workflow::nearest(name, names) {
        Some(near) => {
            Problem::new(format!("there is no workflow `{name}`; did you mean `{near}`?"))
        }
        None => Problem::new(error),
    }
}

/// [`start`] for the workflow that serves a goal.
pub(super) async fn pursue(
    soloist: &Soloist,
    goal: &str,
    run: Option<String>,
    input: &Value,
) -> Result<Value, Problem> {
    let known = soloist.workflows();
    let found = find_intent(known.iter().map(|(_, workflow)| &**workflow), goal);
    let workflow = found.map_err(Problem::new)?.name.clone();
    start(soloist, workflow.as_str(), run, input).await
}

pub(super) fn migration(soloist: &Soloist, run: &str, to: Option<u32>) -> Result<Value, Problem> {
    let migration = soloist.migration(run, to).map_err(|error| no_run(run, error))?;
    let said: Vec<String> = migration.changes.iter().map(ToString::to_string).collect();
    let mut shown = to_json(&migration)?;
    // Versions as everywhere else, and each change in words beside its parts.
    shown["from"] = Value::String(migration.from.to_string());
    shown["to"] = Value::String(migration.to.to_string());
    shown["said"] = json!(said);
    Ok(shown)
}

pub(super) async fn migrate(
    soloist: &Soloist,
    run: &str,
    to: Option<u32>,
) -> Result<Value, Problem> {
    let migration = soloist.migration(run, to).map_err(|error| no_run(run, error))?;
    if migration.from == migration.to {
        let at = migration.to;
        return Err(Problem::new(format!("run {run} is on {at} already; there is nothing to do")));
    }
    soloist.migrate(run, to).await.map_err(|error| no_run(run, error))?;
    at_rest(soloist, run).await
}

pub(super) fn no_run(run: &str, error: DecideError) -> Problem {
    match error {
        DecideError::NoRun { .. } => {
            Problem::new(format!("there is no run {run:?}; see `soloist run list`"))
        }
        error => Problem::new(error),
    }
}

/// Takes an event, and waits until what it starts and wakes has come to rest.
pub(super) async fn emit(
    soloist: &Soloist,
    source: &str,
    id: &str,
    event: &str,
    data: &Value,
) -> Result<Value, Problem> {
    let new = soloist.emit(source, id, event, data).await.map_err(Problem::new)?;
    let delivered = delivered(soloist, source, id).await?;
    let mut runs = vec![];
    for run in views::started_by(soloist.journal(), source, id).map_err(Problem::new)? {
        runs.push(at_rest(soloist, run.run.as_str()).await?);
    }
    Ok(json!({
        "event": event,
        "id": id,
        "source": source,
        "new": new,
        "delivered": delivered,
        "runs": runs,
    }))
}

/// Waits until an event has reached everyone that it is for; what takes longer goes on behind, and after a restart.
async fn delivered(soloist: &Soloist, source: &str, id: &str) -> Result<bool, Problem> {
    let deadline = tokio::time::Instant::now() + DELIVERY_TIMEOUT;
    while !views::is_delivered(soloist.journal(), source, id).map_err(Problem::new)? {
        if tokio::time::Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(DELIVERY_LOOK).await;
    }
    Ok(true)
}

/// Where a run came to rest: what every request that sets one going answers.
pub(super) async fn at_rest(soloist: &Soloist, run: &str) -> Result<Value, Problem> {
    let handle = soloist.run(run).map_err(Problem::new)?;
    let end = handle.rest().await.map_err(Problem::new)?;
    let (status, reason, output) = match end {
        RunEnd::Completed(output) => ("completed", None, output.value()),
        RunEnd::Failed { reason, .. } => ("failed", Some(reason), Value::Null),
        RunEnd::Aborted { reason } => ("aborted", Some(reason), Value::Null),
        RunEnd::Cancelled { reason } => ("cancelled", Some(reason), Value::Null),
        RunEnd::Waiting { .. } => ("waiting", None, Value::Null),
        RunEnd::SetAside { reason } => ("set_aside", Some(reason), Value::Null),
        RunEnd::Missing => ("missing", None, Value::Null),
    };
    let view = handle.view().map_err(Problem::new)?;
    let landed = view.as_ref().map_or(0, |view| view.summary.writes_landed);
    let workflow = view.map(|view| view.summary.workflow);
    let waits = waits_in(soloist.journal(), handle.id()).map_err(Problem::new)?;
    Ok(json!({
        "run": run,
        "workflow": workflow,
        "status": status,
        "reason": reason,
        "output": output,
        "writes_landed": landed,
        "waits": ids(&waits),
    }))
}

/// What of `run` waits for the operator.
pub(super) fn waits_in(journal: &dyn Journal, run: &RunId) -> Result<Vec<Item>, ReadError> {
    let mut items = views::inbox(journal)?;
    items.retain(|item| item.run.as_ref() == Some(run));
    Ok(items)
}

pub(super) fn ids(items: &[Item]) -> Value {
    items.iter().map(|item| Value::String(item.id.to_string())).collect()
}
