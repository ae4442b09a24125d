//! `soloist canary`, `shadow`, `compare` and `promote`: versions side by side.

use serde_json::Value;
use soloist::operator::Request;

use super::{ask::asked, travel::show_changes};
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
        match of.as_str() {
            "policy" => say!(
                "Version {canary} of the policy judges {percent} % of the runs, version {base} the others."
            ),
            _ => say!(
                "{percent} % of the new runs take version {canary} of `{of}`, the others version {base}."
            ),
        }
        say!("Next: {}", command(config, "canary"));
    })
    .await
}

pub(crate) async fn promote(config: &Config, of: String, json: bool) -> Result<(), Failure> {
    asked(config, Request::Promote { of }, json, |answer| match text(answer, "/of").as_str() {
        "policy" => say!("The newest version of the policy judges every run."),
        of => say!("Every new run takes the newest version of `{of}`."),
    })
    .await
}

/// Has the newest version of `of` be played in the shadow of a share of the new runs; without a share, shows the shadows that did
/// not agree, and without `of` what all came to.
pub(crate) async fn shadow(
    config: &Config,
    of: Option<String>,
    percent: Option<f64>,
    run: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    match (of, percent) {
        (None, _) => asked(config, Request::Shadows, json, |answer| show_shadows(config, answer)).await,
        (Some(of), None) => asked(config, Request::Shadowed { of, run }, json, show_shadowed).await,
        (Some(of), Some(percent)) => {
            asked(config, Request::Shadow { of, percent }, json, |answer| {
                let (of, percent) = (text(answer, "/of"), text(answer, "/percent"));
                let (base, shadow) = (text(answer, "/base"), text(answer, "/shadow"));
                say!("Every new run takes version {base} of `{of}`.");
                say!("Version {shadow} is played in the shadow of {percent} % of them, when they have ended, and commits nothing.");
                say!("Next: {}", command(config, "shadow"));
            })
            .await
        }
    }
}

/// What came of the versions and the arms of `of`, or of everything.
pub(crate) async fn compare(
    config: &Config,
    of: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    asked(config, Request::Compare { of }, json, show).await
}

fn show(answer: &Value) {
    let rollouts = entries(answer);
    if rollouts.is_empty() {
        say!("No versions are side by side.");
    }
    for rollout in rollouts {
        let of = text(rollout, "/of");
        let percent = text(rollout, "/percent");
        let (canary, since) = (text(rollout, "/canary"), text(rollout, "/since"));
        match (of.as_str(), percent.is_empty()) {
            (_, true) => say!("{of}: each arm is as likely as the others"),
            ("policy", _) => say!("{of}: version {canary} judges {percent} %, since {since}"),
            _ => say!("{of}: {percent} % take version {canary}, since {since}"),
        }
        let rows: Vec<Vec<String>> = entries(&rollout["arms"]).iter().map(arm).collect();
        let first = if percent.is_empty() { "ARM" } else { "VERSION" };
        let columns = [
            first,
            "RUNS",
            "COMPLETED",
            "FAILED",
            "ENDED",
            "OPEN",
            "TOOK",
            "LANDED",
            "ASKED",
            "CHANGED",
            "TURNED DOWN",
        ];
        table(&columns, &rows);
    }
}

/// What came of a version or an arm.
fn arm(arm: &Value) -> Vec<String> {
    let took = match arm["took_ms_p50"].as_u64() {
        Some(ms) => format!("{:.1} s", ms as f64 / 1_000.0),
        None => String::new(),
    };
    let named = if arm["arm"].is_null() { "/version" } else { "/arm" };
    let mut row: Vec<String> = [named, "/runs", "/completed", "/failed", "/ended", "/open"]
        .map(|pointer| text(arm, pointer))
        .to_vec();
    row.push(took);
    let counts = ["/landed", "/asked", "/changed", "/turned_down"];
    row.extend(counts.map(|pointer| text(arm, pointer)));
    row
}

fn show_shadows(config: &Config, answer: &Value) {
    let shadows = entries(answer);
    if shadows.is_empty() {
        say!("Nothing is in the shadow.");
        return;
    }
    let row = |row: &Value| {
        let mut cells = ["/of", "/shadow", "/percent", "/due", "/played"]
            .map(|pointer| text(row, pointer))
            .to_vec();
        let percent = text(row, "/agreed_percent");
        cells.push(if percent.is_empty() { percent } else { format!("{percent} %") });
        cells.extend(["/diverged", "/failed", "/passed_over"].map(|pointer| text(row, pointer)));
        cells.push(kinds(&row["kinds"]));
        cells
    };
    let rows: Vec<Vec<String>> = shadows.iter().map(row).collect();
    let columns = [
        "OF",
        "VERSION",
        "PERCENT",
        "DUE",
        "PLAYED",
        "AGREED",
        "DIVERGED",
        "FAILED",
        "PASSED OVER",
        "BY KIND",
    ];
    table(&columns, &rows);
    if let Some(diverged) = shadows.iter().find(|row| row["diverged"] != 0) {
        say!("Next: {}", command(config, &format!("shadow {}", text(diverged, "/of"))));
    }
}

/// How much of each kind: `arguments 2, end 1`.
fn kinds(kinds: &Value) -> String {
    let each = kinds.as_object().into_iter().flatten();
    let each: Vec<String> =
        each.map(|(kind, count)| format!("{} {count}", kind.replace('_', " "))).collect();
    each.join(", ")
}

fn show_shadowed(answer: &Value) {
    let (of, shadows) = (text(answer, "/of"), entries(&answer["shadows"]));
    if shadows.is_empty() {
        say!("Every shadow of `{of}` that was played has agreed.");
    }
    for shadow in shadows {
        let (run, outcome) = (text(shadow, "/run"), text(shadow, "/outcome").replace('_', " "));
        let why = match text(shadow, "/reason") {
            reason if reason.is_empty() => kinds(&shadow["kinds"]),
            reason => reason,
        };
        let (base, version) = (text(shadow, "/base"), text(shadow, "/shadow"));
        let colon = if why.is_empty() { "" } else { ": " };
        say!("Run {run}, version {base}, in the shadow version {version}: {outcome}{colon}{why}");
        let difference = &shadow["difference"];
        if !difference.is_null() {
            show_difference(difference);
        }
    }
    if answer["left_off"] != 0 {
        say!("{} more are not shown; name one with `--run`.", text(answer, "/left_off"));
    }
}

fn show_difference(difference: &Value) {
    let end = |side: &str| {
        let (status, reason) = (format!("/{side}/status"), format!("/{side}/reason"));
        let reason = text(difference, &reason);
        let status = text(difference, &status);
        if reason.is_empty() { status } else { format!("{status}: {reason}") }
    };
    say!("live    {}", end("original"));
    say!("shadow  {}\n", end("fork"));
    show_changes(difference, ["LIVE", "SHADOW"]);
    for write in entries(&difference["writes"]) {
        let (live, shadow) = (&write["original"]["arguments"], &write["fork"]["arguments"]);
        if live != shadow {
            say!("{}, {}:", text(write, "/step"), text(write, "/effect"));
            say!("  live    {}", text(live, ""));
            say!("  shadow  {}", text(shadow, ""));
        }
    }
    for wait in entries(&difference["waits"]) {
        say!("Not recorded, so the shadow waits: {}", text(wait, ""));
    }
    for stand_in in entries(&difference["stand_ins"]) {
        say!("Not recorded, so stood in for: {}", text(stand_in, ""));
    }
}
