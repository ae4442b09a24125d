//! Versions side by side: what share of the new runs takes the newest, and what comes of each.

use serde_json::{Value, json};
use soloist_actors::{Comparison, Soloist, compare};
use soloist_kernel::{journal::Journal, rollout::Subject};

use super::to_json;
use crate::request::Problem;

fn subject(text: &str) -> Result<Subject, Problem> {
    text.parse().map_err(Problem::new)
}

/// Each rollout, with what came of its versions.
pub(super) fn compared(journal: &dyn Journal) -> Result<Value, Problem> {
    let rows: Vec<Value> = compare(journal).map_err(Problem::new)?.iter().map(row).collect();
    Ok(Value::Array(rows))
}

fn row(comparison: &Comparison) -> Value {
    let rollout = &comparison.rollout;
    json!({
        "of": rollout.of,
        "base": rollout.base,
        "canary": rollout.canary,
        "percent": rollout.share.as_percent(),
        "by": rollout.by,
        "since": rollout.since.to_string(),
        "arms": comparison.arms,
    })
}

pub(super) async fn canary(soloist: &Soloist, of: &str, percent: f64) -> Result<Value, Problem> {
    let rollout = soloist.canary(&subject(of)?, percent).await.map_err(Problem::new)?;
    let (base, canary) = (rollout.base, rollout.canary);
    Ok(json!({ "of": of, "base": base, "canary": canary, "percent": rollout.share.as_percent() }))
}

pub(super) async fn promote(soloist: &Soloist, of: &str) -> Result<Value, Problem> {
    soloist.promote(&subject(of)?).await.map_err(Problem::new)?;
    to_json(&json!({ "of": of, "promoted": true }))
}
