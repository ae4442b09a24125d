//! Durable runs of five trivial steps.
//!
//! A run is begun durably, takes five agent turns, and is over when its end is fsynced: what a caller waits for. The limit
//! is bare fjall with the same bytes in the same number of records and the same two fsyncs that each run waits for, shared
//! by group commit as the journal shares them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use soloist::{Agent, Failure as AgentFailure, ReadOnly, Soloist, Turn, Workflow};
use tokio::task::JoinSet;

use super::bare::Bare;
use crate::report::{Exit, Failure, table};

/// Rounds in which the kernel and its limit take turns, so that a machine that drifts drifts under both.
const ROUNDS: usize = 5;

/// Steps of one run.
const STEPS: usize = 5;

/// What was measured. The keys are stable.
#[derive(Serialize)]
struct Measured {
    concurrency: usize,
    runs: usize,
    /// Medians over the rounds.
    runs_per_s: f64,
    steps_per_s: f64,
    /// Over all runs: from the call that starts one to the moment its end is known to be on disk.
    p50_ms: f64,
    p99_ms: f64,
    fsyncs_per_run: f64,
    records_per_run: f64,
    bytes_per_run: f64,
    /// Bare fjall, the median over the rounds.
    limit_steps_per_s: f64,
    /// The median of the rounds' own ratios.
    ratio: f64,
    /// Bare fjall if every record is fsynced before the next one is sent, as engines do that acknowledge every step.
    every_record_synced_steps_per_s: f64,
}

pub(super) struct Noop;

impl Agent for Noop {
    const NAME: &'static str = "noop";
    type Kind = ReadOnly;
    type Input = u64;
    type Output = u64;

    async fn run(&self, _turn: Turn<ReadOnly>, input: u64) -> Result<u64, AgentFailure> {
        Ok(input)
    }
}

fn chain() -> Workflow {
    let mut text = "name = 'bench'\n".to_owned();
    for step in 0..STEPS {
        let needs = if step == 0 { String::new() } else { format!("needs = ['s{}']\n", step - 1) };
        text.push_str(&format!("[[step]]\nname = 's{step}'\nagent = 'noop'\n{needs}"));
    }
    Workflow::parse("bench.toml", &text).expect("the chain is a workflow")
}

pub(super) async fn steps(concurrency: usize, runs: usize, json: bool) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("soloist-bench-{}", std::process::id()));
    let measured = measure(&folder, concurrency, runs).await;
    let _ = std::fs::remove_dir_all(&folder);
    let measured = measured?;
    if json {
        say!("{}", serde_json::to_string(&measured).expect("numbers are plain data"));
    } else {
        show(&measured);
    }
    Ok(())
}

async fn measure(
    folder: &std::path::Path,
    concurrency: usize,
    runs: usize,
) -> Result<Measured, Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    let builder = Soloist::builder().data_dir(folder.join("kernel")).agent(Noop).workflow(chain());
    let soloist = builder.open().await?;
    let per_round = runs.div_ceil(ROUNDS);
    let (mut latencies, mut rates, mut limits, mut ratios, mut synced) =
        (vec![], vec![], vec![], vec![], vec![]);
    // A round that is not counted warms both up and says how many bytes a run has.
    round(&soloist, concurrency, per_round, usize::MAX).await?;
    let before = soloist.stats().journal;
    let bytes_of =
        |stats: soloist::journal::Stats| stats.bytes as f64 / (stats.records.max(1)) as f64;
    let warm = Shape { records: 6, record_bytes: bytes_of(before) as usize, waits: Waits::Two };
    let bare = Bare::open(&folder.join("bare")).map_err(failed)?;
    bare_round(&bare, concurrency, per_round, warm).await.map_err(failed)?;
    for index in 0..ROUNDS {
        let start = soloist.stats().journal;
        let (took, mut each) = round(&soloist, concurrency, per_round, index).await?;
        let end = soloist.stats().journal;
        latencies.append(&mut each);
        let records = (end.records - start.records) as usize / per_round;
        let record_bytes =
            (end.bytes - start.bytes) as usize / (end.records - start.records).max(1) as usize;
        let shape = |waits| Shape { records, record_bytes, waits };
        let limit = bare_round(&bare, concurrency, per_round, shape(Waits::Two)).await;
        let every = bare_round(&bare, concurrency, per_round, shape(Waits::EveryRecord)).await;
        let (limit, every) = (limit.map_err(failed)?, every.map_err(failed)?);
        let per_second = |took: Duration| per_round as f64 / took.as_secs_f64();
        rates.push(per_second(took));
        limits.push(per_second(limit));
        synced.push(per_second(every));
        ratios.push(per_second(took) / per_second(limit));
    }
    let after = soloist.stats().journal;
    soloist.shutdown().await?;
    let counted = (per_round * ROUNDS) as f64;
    let runs_per_s = median(&mut rates);
    Ok(Measured {
        concurrency,
        runs: per_round * ROUNDS,
        runs_per_s,
        steps_per_s: runs_per_s * STEPS as f64,
        p50_ms: percentile(&mut latencies, 0.50),
        p99_ms: percentile(&mut latencies, 0.99),
        fsyncs_per_run: (after.fsyncs - before.fsyncs) as f64 / counted,
        records_per_run: (after.records - before.records) as f64 / counted,
        bytes_per_run: (after.bytes - before.bytes) as f64 / counted,
        limit_steps_per_s: median(&mut limits) * STEPS as f64,
        ratio: median(&mut ratios),
        every_record_synced_steps_per_s: median(&mut synced) * STEPS as f64,
    })
}

/// How a run looks to the disk.
#[derive(Clone, Copy)]
struct Shape {
    records: usize,
    record_bytes: usize,
    waits: Waits,
}

/// How often a run waits for an fsync.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For its first record and for its last, as ours do.
    Two,
    /// For every record.
    EveryRecord,
}

/// Runs `runs` runs, `concurrency` at once; gives the time for all, and for each.
async fn round(
    soloist: &Soloist,
    concurrency: usize,
    runs: usize,
    round: usize,
) -> Result<(Duration, Vec<f64>), Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (soloist, next) = (soloist.clone(), next.clone());
        workers.spawn(async move {
            let mut each = vec![];
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= runs {
                    return Ok::<_, String>(each);
                }
                let begun = Instant::now();
                let id = format!("bench-{round}-{index}");
                let run = soloist
                    .start("bench", &id, &(index as u64))
                    .await
                    .map_err(|error| error.to_string())?;
                run.rest().await.map_err(|error| error.to_string())?;
                each.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    let mut latencies = vec![];
    while let Some(worker) = workers.join_next().await {
        let each = worker.map_err(|error| error.to_string()).and_then(|each| each);
        latencies.extend(each.map_err(|error| Failure::new(Exit::Failed, error))?);
    }
    Ok((start.elapsed(), latencies))
}

/// The same to the disk, without the kernel.
async fn bare_round(
    bare: &Bare,
    concurrency: usize,
    runs: usize,
    shape: Shape,
) -> Result<Duration, String> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (bare, next) = (bare.clone(), next.clone());
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < runs {
                let rest = shape.records.saturating_sub(1);
                bare.append(1, shape.record_bytes).await?;
                match shape.waits {
                    Waits::Two => bare.append(rest, shape.record_bytes).await?,
                    Waits::EveryRecord => {
                        for _ in 0..rest {
                            bare.append(1, shape.record_bytes).await?;
                        }
                    }
                }
            }
            Ok::<_, String>(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.map_err(|error| error.to_string())??;
    }
    Ok(start.elapsed())
}

pub(super) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn show(measured: &Measured) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let rows = [
        row("concurrency", measured.concurrency.to_string()),
        row("runs", measured.runs.to_string()),
        row("runs per second", format!("{:.0}", measured.runs_per_s)),
        row("steps per second", format!("{:.0}", measured.steps_per_s)),
        row("a run, median", format!("{:.2} ms", measured.p50_ms)),
        row("a run, 99th percentile", format!("{:.2} ms", measured.p99_ms)),
        row("fsyncs per run", format!("{:.3}", measured.fsyncs_per_run)),
        row("records per run", format!("{:.1}", measured.records_per_run)),
        row("bytes per run", format!("{:.0}", measured.bytes_per_run)),
        row("bare fjall, steps per second", format!("{:.0}", measured.limit_steps_per_s)),
        row(
            "bare fjall, every record synced",
            format!("{:.0}", measured.every_record_synced_steps_per_s),
        ),
        row("share of bare fjall", format!("{:.2}", measured.ratio)),
    ];
    table(&["", ""], &rows);
}
