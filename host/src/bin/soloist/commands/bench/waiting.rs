//! Runs that wait: what they cost a process that serves them, how long one takes to wake, and how long a restart takes.
//!
//! They are begun as any run is, and come to rest waiting for an approval, a far time or an event, a third each. A fresh
//! process then opens the data directory, and measures itself.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};
use soloist::{Builder, Soloist, StartError, Workflow};
use tokio::task::JoinSet;

use super::{
    fresh::{Scratch, measured, rss_mb},
    steps::median,
};
use crate::report::{Exit, Failure, table};

/// What they wait for.
const WORKFLOWS: [&str; 3] = [
    "name = 'approval'\n[[step]]\nname = 'go'\napprove = 'Go on?'",
    "name = 'time'\n[[step]]\nname = 'go'\nwait = { for = '520w' }",
    "name = 'event'\n[[step]]\nname = 'go'\nwait = { event = 'bench.go' }",
];

/// Runs begun at once.
const STARTS: usize = 256;

/// Runs that are woken one after the other.
const WOKEN: usize = 300;

/// What was measured. The keys are stable.
#[derive(Serialize)]
struct Measured {
    runs: usize,
    /// How long it took to begin them all.
    begin_s: f64,
    #[serde(flatten)]
    fresh: Fresh,
}

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
    if let Some(at) = at {
        let fresh = fresh(&at).await?;
        say!("{}", serde_json::to_string(&fresh).expect("numbers are plain data"));
        return Ok(());
    }
    let scratch = Scratch::new();
    let started = Instant::now();
    begin(scratch.path(), runs).await?;
    let begin_s = started.elapsed().as_secs_f64();
    let measured = Measured { runs, begin_s, fresh: measured("waiting", scratch.path())? };
    if json {
        say!("{}", serde_json::to_string(&measured).expect("numbers are plain data"));
    } else {
        show(&measured);
    }
    Ok(())
}

fn kernel(dir: &Path) -> Builder {
    let parsed = WORKFLOWS
        .iter()
        .map(|text| Workflow::parse("bench.toml", text).expect("the text is a workflow"));
    parsed.fold(Soloist::builder().data_dir(dir), Builder::workflow)
}

async fn begin(dir: &Path, runs: usize) -> Result<(), Failure> {
    let soloist = kernel(dir).open().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut starts = JoinSet::new();
    for _ in 0..STARTS {
        let (soloist, next) = (soloist.clone(), next.clone());
        starts.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= runs {
                    return Ok::<_, StartError>(());
                }
                let workflow = ["approval", "time", "event"][number % 3];
                let run = soloist.start(workflow, &format!("w{number}"), &number).await?;
                let _ = run.rest().await;
            }
        });
    }
    while let Some(ended) = starts.join_next().await {
        let failed = |error: String| Failure::new(Exit::Failed, error);
        ended
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
    }
    soloist.idle().await?;
    soloist.shutdown().await?;
    Ok(())
}

async fn fresh(dir: &Path) -> Result<Fresh, Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    let begun = Instant::now();
    let soloist = kernel(dir).open().await?;
    soloist.idle().await?;
    if !soloist.readiness().ready {
        return Err(failed("the kernel is not ready".into()));
    }
    let restart_ms = begun.elapsed().as_secs_f64() * 1e3;
    let rss = rss_mb();
    let items = soloist.inbox().map_err(|error| failed(error.to_string()))?;
    let approvals: Vec<_> = items.into_iter().map(|item| item.id).collect();
    let mut waits = vec![];
    for item in approvals.iter().step_by((approvals.len() / WOKEN).max(1)).take(WOKEN) {
        let asked = Instant::now();
        soloist.approve(item.as_str()).await.map_err(|error| failed(error.to_string()))?;
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    let woken = waits.len();
    let fresh = Fresh {
        restart_ms,
        rss_mb: rss,
        wake_ms_p50: median(&mut waits),
        woken,
        rss_after_mb: rss_mb(),
    };
    soloist.shutdown().await?;
    Ok(fresh)
}

fn show(measured: &Measured) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let fresh = &measured.fresh;
    let rows = [
        row("runs that wait", measured.runs.to_string()),
        row("begun in", format!("{:.1} s", measured.begin_s)),
        row("restart", format!("{:.0} ms", fresh.restart_ms)),
        row("in memory", format!("{:.0} MiB", fresh.rss_mb)),
        row("to wake one, median", format!("{:.2} ms", fresh.wake_ms_p50)),
        row("in memory after that", format!("{:.0} MiB", fresh.rss_after_mb)),
    ];
    table(&["", ""], &rows);
}
