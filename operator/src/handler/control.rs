//! What an operator holds, ends and has tried again.

use std::sync::Arc;

use serde_json::{Value, json};
use soloist_actors::{Ending, Soloist, views};
use soloist_kernel::{
    control::{Pause, Scope},
    journal::Journal,
};

use super::runs::{at_rest, no_run};
use crate::request::Problem;

fn scope(text: &str) -> Result<Scope, Problem> {
    text.parse().map_err(Problem::new)
}

/// What is paused, since when, by whom and why.
pub(super) fn pauses(journal: &dyn Journal) -> Result<Value, Problem> {
    let pauses = views::pauses(journal).map_err(Problem::new)?;
    Ok(pauses.iter().map(shown).collect())
}

/// A pause as it is shown.
pub(super) fn shown(pause: &Pause) -> Value {
    let Pause { scope, by, reason, since } = pause;
    json!({ "scope": scope, "by": by, "reason": reason, "since": since.to_string() })
}

pub(super) async fn pause(soloist: &Soloist, text: &str, reason: &str) -> Result<Value, Problem> {
    let new = soloist.pause(&scope(text)?, reason).await.map_err(Problem::new)?;
    Ok(json!({ "scope": text, "paused": true, "new": new }))
}

pub(super) async fn resume(soloist: &Soloist, text: &str) -> Result<Value, Problem> {
    let scope = scope(text)?;
    let known = soloist.resume(&scope).await.map_err(Problem::new)?;
    resumed(text, known, soloist.journal())
}

/// As [`pause`] and [`resume`], for the kernel to come.
pub(super) async fn hold(
    journal: &Arc<dyn Journal>,
    text: &str,
    reason: Option<&str>,
) -> Result<Value, Problem> {
    let changed = soloist_actors::hold(journal.clone(), &scope(text)?, reason).await;
    let changed = changed.map_err(Problem::new)?;
    match reason {
        Some(_) => Ok(json!({ "scope": text, "paused": true, "new": changed })),
        None => resumed(text, changed, &**journal),
    }
}

fn resumed(text: &str, known: bool, journal: &dyn Journal) -> Result<Value, Problem> {
    if known {
        return Ok(json!({ "scope": text, "paused": false, "new": true }));
    }
    let pauses = views::pauses(journal).map_err(Problem::new)?;
    let there: Vec<String> = pauses.iter().map(|pause| format!("`{}`", pause.scope)).collect();
    let there = if there.is_empty() { "nothing is".into() } else { there.join(", ") };
    Err(Problem::new(format!("`{text}` is not paused; what is: {there}")))
}

pub(super) async fn end(
    soloist: &Soloist,
    run: &str,
    ending: Ending,
    reason: &str,
) -> Result<Value, Problem> {
    let ended = match ending {
        Ending::Abort => soloist.abort_run(run, reason).await,
        Ending::Cancel => soloist.cancel_run(run, reason).await,
    };
    ended.map_err(|error| no_run(run, error))?;
    at_rest(soloist, run).await
}

pub(super) async fn end_all(
    soloist: &Soloist,
    text: &str,
    ending: Ending,
    reason: &str,
) -> Result<Value, Problem> {
    let ended = soloist.end_runs(&scope(text)?, ending, reason).await.map_err(Problem::new)?;
    let mut runs = vec![];
    for run in ended {
        runs.push(at_rest(soloist, run.as_str()).await?);
    }
    Ok(json!({ "scope": text, "runs": runs }))
}

pub(super) async fn retry(
    soloist: &Soloist,
    run: &str,
    step: Option<&str>,
    reason: &str,
) -> Result<Value, Problem> {
    soloist.retry_step(run, step, reason).await.map_err(|error| no_run(run, error))?;
    at_rest(soloist, run).await
}

pub(super) async fn override_step(
    soloist: &Soloist,
    run: &str,
    step: &str,
    output: &Value,
    reason: &str,
) -> Result<Value, Problem> {
    let overridden = soloist.override_step(run, step, output, reason).await;
    overridden.map_err(|error| no_run(run, error))?;
    at_rest(soloist, run).await
}
