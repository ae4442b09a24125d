//! Runs that wait: what they cost a process that serves them, how long one takes to wake, and how long a restart takes.
//!
//! They are begun as any run is, and come to rest waiting for an approval, a far time or an event, a third each. A fresh
//! process then opens the data directory, and measures itself.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use soloist::{Builder, Soloist, Workflow};

use super::{
    fresh::{self, Measured, failed, rss_mb},
    steps::median,
};
use crate::report::{Failure, table};

/// What they wait for.
const WORKFLOWS: [&str; 3] = [
    "name = 'approval'\n[[step]]\nname = 'go'\napprove = 'Go on?'",
    "name = 'time'\n[[step]]\nname = 'go'\nwait = { for = '520w' }",
    "name = 'event'\n[[step]]\nname = 'go'\nwait = { event = 'bench.go' }",
];

/// Runs that are woken one after the other.
const WOKEN: usize = 300;

/// What a fresh process measured.
#[derive(Serialize, Deserialize)]
struct Fresh {
    /// From the first call until the kernel is ready.
    restart_ms: f64,
    /// In memory then, with all of them waiting.
    rss_mb: f64,
    /// From a decision until it is on disk, with the run that it woke.
    wake_ms_p50: f64,
    woken: usize,
    /// In memory after that.
    rss_after_mb: f64,
}

pub(super) async fn waiting(runs: usize, at: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let workflow =
        move |number, _| (number < runs).then(|| ["approval", "time", "event"][number % 3]);
    let fill = async |dir: &Path| fresh::begin(kernel(dir), workflow).await;
    fresh::bench("waiting", at, json, fill, measure, show).await
}

fn kernel(dir: &Path) -> Builder {
    let parsed = WORKFLOWS
        .iter()
        .map(|text| Workflow::parse("bench.toml", text).expect("the text is a workflow"));
    parsed.fold(Soloist::builder().data_dir(dir), Builder::workflow)
}

async fn measure(dir: &Path) -> Result<Fresh, Failure> {
    let begun = Instant::now();
    let soloist = kernel(dir).open().await?;
    soloist.idle().await?;
    if !soloist.readiness().ready {
        return Err(failed("the kernel is not ready"));
    }
    let restart_ms = begun.elapsed().as_secs_f64() * 1e3;
    let rss = rss_mb();
    let items = soloist.inbox().map_err(failed)?;
    let approvals: Vec<_> = items.into_iter().map(|item| item.id).collect();
    let mut waits = vec![];
    for item in approvals.iter().step_by((approvals.len() / WOKEN).max(1)).take(WOKEN) {
        let asked = Instant::now();
        soloist.approve(item.as_str()).await.map_err(failed)?;
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    let (woken, rss_after_mb) = (waits.len(), rss_mb());
    let wake_ms_p50 = median(&mut waits);
    let fresh = Fresh { restart_ms, rss_mb: rss, wake_ms_p50, woken, rss_after_mb };
    soloist.shutdown().await?;
    Ok(fresh)
}

fn show(measured: &Measured<Fresh>) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let fresh = &measured.fresh;
    let rows = [
        row("runs that wait", measured.runs.to_string()),
        row("begun in", format!("{:.1} s", measured.fill_s)),
        row("restart", format!("{:.0} ms", fresh.restart_ms)),
        row("in memory", format!("{:.0} MiB", fresh.rss_mb)),
        row("to wake one, median", format!("{:.2} ms", fresh.wake_ms_p50)),
        row("in memory after that", format!("{:.0} MiB", fresh.rss_after_mb)),
    ];
    table(&["", ""], &rows);
}
