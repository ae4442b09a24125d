//! How long it takes to open a large journal.
//!
//! Runs of one step are taken to their end until there are enough records; a fresh process then opens the journal, and after
//! that a kernel over it.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use soloist::{
    Builder, Soloist, Workflow,
    journal::{
        Journal,
        fjall::{FjallJournal, Options},
    },
};

use super::{
    fresh::{self, Measured, failed, rss_mb},
    steps::Noop,
};
use crate::report::{Failure, table};

const WORKFLOW: &str = "name = 'bench'\n[[step]]\nname = 'one'\nagent = 'noop'";

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
    let workflow = move |_, records| (records < events).then_some("bench");
    let fill = async |dir: &Path| fresh::begin(kernel(dir), workflow).await;
    fresh::bench("recovery", at, json, fill, measure, show).await
}

fn kernel(dir: &Path) -> Builder {
    let workflow = Workflow::parse("bench.toml", WORKFLOW).expect("the text is a workflow");
    Soloist::builder().data_dir(dir).agent(Noop).workflow(workflow)
}

async fn measure(dir: &Path) -> Result<Fresh, Failure> {
    let begun = Instant::now();
    let (journal, opened) = FjallJournal::open(dir, Options::default())?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    journal.close().map_err(failed)?;
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

fn show(measured: &Measured<Fresh>) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let fresh = &measured.fresh;
    let rows = [
        row("records", fresh.records.to_string()),
        row("of so many runs", measured.runs.to_string()),
        row("written in", format!("{:.1} s", measured.fill_s)),
        row("verified at the start", fresh.verified.to_string()),
        row("journal open after", format!("{:.0} ms", fresh.open_ms)),
        row("kernel ready after", format!("{:.0} ms", fresh.recover_ms)),
        row("in memory", format!("{:.0} MiB", fresh.rss_mb)),
    ];
    table(&["", ""], &rows);
}
