//! How long it takes to open a large journal.
//!
//! Runs of one step are taken to their end until there are enough records; a fresh process then opens the journal, and after
//! that a kernel over it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};
use soloist::{
    Builder, Soloist, StartError, Workflow,
    journal::{
        Journal,
        fjall::{FjallJournal, Options},
    },
};
use tokio::task::JoinSet;

use super::{
    fresh::{Scratch, measured, rss_mb},
    steps::Noop,
};
use crate::report::{Exit, Failure, table};

const WORKFLOW: &str = "name = 'bench'\n[[step]]\nname = 'one'\nagent = 'noop'";

/// Runs under way at once.
const RUNS: usize = 256;

/// What was measured. The keys are stable.
#[derive(Serialize)]
struct Measured {
    /// How long it took to write them.
    write_s: f64,
    #[serde(flatten)]
    fresh: Fresh,
}

/// What a fresh process measured.
#[derive(Serialize, Deserialize)]
struct Fresh {
    records: u64,
    /// Records whose hashes were recomputed: those since the last checkpoint.
    verified: u64,
    /// To open the journal: doctor, store, chain, anchor.
    open_ms: f64,
    /// To open it once more and have a kernel over it that is ready.
    recover_ms: f64,
    rss_mb: f64,
}

pub(super) async fn recovery(events: u64, at: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    if let Some(at) = at {
        let fresh = fresh(&at).await?;
        say!("{}", serde_json::to_string(&fresh).expect("numbers are plain data"));
        return Ok(());
    }
    let scratch = Scratch::new();
    let started = Instant::now();
    write(scratch.path(), events).await?;
    let write_s = started.elapsed().as_secs_f64();
    let measured = Measured { write_s, fresh: measured("recovery", scratch.path())? };
    if json {
        say!("{}", serde_json::to_string(&measured).expect("numbers are plain data"));
    } else {
        show(&measured);
    }
    Ok(())
}

fn kernel(dir: &Path) -> Builder {
    let workflow = Workflow::parse("bench.toml", WORKFLOW).expect("the text is a workflow");
    Soloist::builder().data_dir(dir).agent(Noop).workflow(workflow)
}

async fn write(dir: &Path, events: u64) -> Result<(), Failure> {
    let soloist = kernel(dir).open().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..RUNS {
        let (soloist, next) = (soloist.clone(), next.clone());
        workers.spawn(async move {
            while soloist.stats().journal.records < events {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let run = soloist.start("bench", &format!("r{number}"), &number).await?;
                let _ = run.rest().await;
            }
            Ok::<_, StartError>(())
        });
    }
    let failed = |error: String| Failure::new(Exit::Failed, error);
    while let Some(ended) = workers.join_next().await {
        ended
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
    }
    soloist.shutdown().await?;
    Ok(())
}

async fn fresh(dir: &Path) -> Result<Fresh, Failure> {
    let begun = Instant::now();
    let (journal, opened) = FjallJournal::open(dir, Options::default())?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
    drop(journal);
    let begun = Instant::now();
    let soloist = kernel(dir).open().await?;
    soloist.idle().await?;
    let recover_ms = begun.elapsed().as_secs_f64() * 1e3;
    let rss_mb = rss_mb();
    soloist.shutdown().await?;
    let (records, verified) = (opened.head.seq.0, opened.verified);
    Ok(Fresh { records, verified, open_ms, recover_ms, rss_mb })
}

fn show(measured: &Measured) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let fresh = &measured.fresh;
    let rows = [
        row("records", fresh.records.to_string()),
        row("written in", format!("{:.1} s", measured.write_s)),
        row("verified at the start", fresh.verified.to_string()),
        row("journal open after", format!("{:.0} ms", fresh.open_ms)),
        row("kernel ready after", format!("{:.0} ms", fresh.recover_ms)),
        row("in memory", format!("{:.0} MiB", fresh.rss_mb)),
    ];
    table(&["", ""], &rows);
}
