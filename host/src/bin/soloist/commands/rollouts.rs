//! `soloist canary` and `promote`: versions side by side.

use serde_json::Value;
use soloist::operator::Request;

use super::ask::asked;
use crate::{
    config::Config,
    report::{Failure, command, entries, table, text},
};

/// Shares the new runs of `of` between two versions; without one, compares those that are side by side.
pub(crate) async fn canary(
    config: &Config,
    of: Option<String>,
    percent: f64,
    json: bool,
) -> Result<(), Failure> {
    let Some(of) = of else {
        return asked(config, Request::Rollouts, json, show).await;
    };
    asked(config, Request::Canary { of, percent }, json, |answer| {
        let (of, percent) = (text(answer, "/of"), text(answer, "/percent"));
        let (base, canary) = (text(answer, "/base"), text(answer, "/canary"));
        say!("{percent} % of the new runs take version {canary} of `{of}`, the others version {base}.");
        say!("Next: {}", command(config, "canary"));
    })
    .await
}

pub(crate) async fn promote(config: &Config, of: String, json: bool) -> Result<(), Failure> {
    asked(config, Request::Promote { of }, json, |answer| {
        say!("Every new run takes the newest version of `{}`.", text(answer, "/of"));
    })
    .await
}

fn show(answer: &Value) {
    let rollouts = entries(answer);
    if rollouts.is_empty() {
        say!("No versions are side by side.");
    }
    for rollout in rollouts {
        let (of, percent) = (text(rollout, "/of"), text(rollout, "/percent"));
        let (canary, since) = (text(rollout, "/canary"), text(rollout, "/since"));
        say!("{of}: {percent} % take version {canary}, since {since}");
        let row = |arm: &Value| {
            let took = match arm["took_ms_p50"].as_u64() {
                Some(ms) => format!("{:.1} s", ms as f64 / 1_000.0),
                None => String::new(),
            };
            let mut row: Vec<String> =
                ["/version", "/runs", "/completed", "/failed", "/ended", "/open"]
                    .map(|pointer| text(arm, pointer))
                    .to_vec();
            row.push(took);
            row.extend(["/asked", "/changed", "/turned_down"].map(|pointer| text(arm, pointer)));
            row
        };
        let rows: Vec<Vec<String>> = entries(&rollout["arms"]).iter().map(row).collect();
        let columns = [
            "VERSION",
            "RUNS",
            "COMPLETED",
            "FAILED",
            "ENDED",
            "OPEN",
            "TOOK",
            "ASKED",
            "CHANGED",
            "TURNED DOWN",
        ];
        table(&columns, &rows);
    }
}
