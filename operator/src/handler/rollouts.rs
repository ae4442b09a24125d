//! Versions side by side: what share of the runs takes the newest, what is played in their shadow, and what comes of each.

use serde_json::{Value, json};
use soloist_actors::{Comparison, Soloist, compare, tried, views};
use soloist_kernel::{
    id::{ExperimentName, RunId},
    journal::Journal,
    rollout::{Rollout, Subject},
};

use super::to_json;
use crate::request::Problem;

/// Most shadows that are shown at once: each is a page to read.
const SHOWN_MAX: usize = 100;

fn subject(text: &str) -> Result<Subject, Problem> {
    text.parse().map_err(Problem::new)
}

/// Each canary, with what came of its versions.
pub(super) fn compared(journal: &dyn Journal) -> Result<Value, Problem> {
    let rows: Vec<Value> = compare(journal).map_err(Problem::new)?.iter().map(row).collect();
    Ok(Value::Array(rows))
}

fn row(comparison: &Comparison) -> Value {
    let mut row = shared(&comparison.rollout);
    row["arms"] = json!(comparison.arms);
    row
}

fn shared(rollout: &Rollout) -> Value {
    json!({
        "of": rollout.of,
        "base": rollout.base,
        "canary": rollout.canary,
        "percent": rollout.share.as_percent(),
        "by": rollout.by,
        "since": rollout.since.to_string(),
    })
}

/// What came of the versions or the arms of `of`, or of everything that there are several of.
pub(super) fn outcomes(journal: &dyn Journal, of: Option<&str>) -> Result<Value, Problem> {
    let canaries = || compare(journal).map_err(Problem::new);
    let experiments = |only: Option<&ExperimentName>| {
        let found = tried(journal, only).map_err(Problem::new)?;
        let row = |tried: &soloist_actors::Tried| json!({ "of": format!("experiment:{}", tried.experiment), "arms": tried.arms });
        Ok::<_, Problem>(found.iter().map(row).collect::<Vec<_>>())
    };
    let Some(of) = of else {
        let mut rows: Vec<Value> = canaries()?.iter().map(row).collect();
        rows.extend(experiments(None)?);
        return Ok(Value::Array(rows));
    };
    let nothing = |help: &str| Problem::new(format!("`{of}` has nothing to compare; {help}"));
    if let Some(name) = of.strip_prefix("experiment:") {
        let name: ExperimentName = name.parse().map_err(Problem::new)?;
        let rows = experiments(Some(&name))?;
        return match rows.is_empty() {
            true => Err(nothing("no run has drawn one of its arms, with `turn.arm`")),
            false => Ok(Value::Array(rows)),
        };
    }
    let wanted = subject(of)?;
    let found: Vec<Value> =
        canaries()?.iter().filter(|found| found.rollout.of == wanted).map(row).collect();
    match found.is_empty() {
        true => Err(nothing("begin a canary with `soloist canary`, or see `soloist shadow`")),
        false => Ok(Value::Array(found)),
    }
}

pub(super) async fn canary(soloist: &Soloist, of: &str, percent: f64) -> Result<Value, Problem> {
    let rollout = soloist.canary(&subject(of)?, percent).await.map_err(Problem::new)?;
    Ok(shared(&rollout))
}

pub(super) async fn shadow(soloist: &Soloist, of: &str, percent: f64) -> Result<Value, Problem> {
    let rollout = soloist.shadow(&subject(of)?, percent).await.map_err(Problem::new)?;
    let mut answer = shared(&rollout);
    answer["shadow"] = json!(rollout.canary);
    Ok(answer)
}

pub(super) async fn promote(soloist: &Soloist, of: &str) -> Result<Value, Problem> {
    soloist.promote(&subject(of)?).await.map_err(Problem::new)?;
    to_json(&json!({ "of": of, "promoted": true }))
}

/// What the shadows of each version came to.
pub(super) fn shadows(journal: &dyn Journal) -> Result<Value, Problem> {
    to_json(&views::shadows(journal).map_err(Problem::new)?)
}

/// The shadows of `of` that did not agree.
pub(super) fn shadowed(
    journal: &dyn Journal,
    of: &str,
    run: Option<&str>,
) -> Result<Value, Problem> {
    let of = subject(of)?;
    let run = run.map(RunId::new).transpose().map_err(Problem::new)?;
    let found = views::shadowed(journal, &of, run.as_ref(), SHOWN_MAX).map_err(Problem::new)?;
    let (shown, left_off) = found;
    if let (Some(run), true) = (&run, shown.is_empty()) {
        let problem = format!("run {run} has no shadow of `{of}`; see `soloist shadow {of}`");
        return Err(Problem::new(problem));
    }
    Ok(json!({ "of": of, "shadows": shown, "left_off": left_off }))
}
