//! `soloist demo --scenario`: takes a worked example as far as it goes without the operator, once.

use std::time::Instant;

use serde::Serialize;
use soloist::{
    Soloist, journal::ReadError, labels::Labeled, operator::Server, payload::Payload, views,
};

use crate::{
    company::{self, MAIL, scenario::Scenario},
    config::{Config, Remembered},
    report::{Exit, Failure, table},
};

/// What a scenario did and what there is now. The keys are stable.
#[derive(Serialize)]
struct Summary {
    scenario: &'static str,
    /// Runs so far, those beneath others included.
    runs: usize,
    /// Runs so far that ended well.
    completed: usize,
    /// Runs so far that failed; what they did was taken back or waits in the inbox.
    failed: usize,
    /// Runs so far that somebody ended.
    aborted: usize,
    /// Items that wait in the inbox.
    waiting: usize,
    /// Mails that this demo sent.
    sent: usize,
    /// Writes of this demo that landed, those that take others back included.
    writes_landed: u64,
    /// Writes so far that were taken back.
    compensated: usize,
    /// Records in the journal.
    records: u64,
    /// Fsyncs of this demo.
    fsyncs: u64,
    /// Wall time of this demo.
    elapsed_ms: u128,
}

/// Writes so far.
#[derive(Clone, Copy)]
struct Tally {
    sent: usize,
    compensated: usize,
}

/// Runs `scenario`.
pub(crate) async fn scenario(
    config: &Config,
    scenario: Scenario,
    json: bool,
) -> Result<(), Failure> {
    let start = Instant::now();
    let soloist = company::builder(config, None)?.open().await?;
    config.remember(&Remembered { scenario: Some(scenario), mail: None, workflow: None })?;
    let server = Server::start(&config.data, soloist.clone()).ok();
    let worked = work(&soloist, scenario, start).await;
    drop(server);
    let stopped = soloist.shutdown().await;
    let summary = worked?;
    stopped?;
    if json {
        say!("{}", serde_json::to_string(&summary).expect("a summary is plain data"));
    } else {
        show(&summary, config);
    }
    Ok(())
}

/// Starts the scenario's run, unless it was started before, and lets everything come to rest.
async fn work(soloist: &Soloist, scenario: Scenario, start: Instant) -> Result<Summary, Failure> {
    let read = |error: ReadError| Failure::new(Exit::Refused, error.to_string());
    let before = tally(soloist).map_err(read)?;
    let name = scenario.name();
    let input = Payload::of(&scenario.input()).expect("what comes with soloist is plain data");
    let input = Labeled::new(input, scenario.labels());
    let started = soloist.start_labeled(name, name, input).await;
    started.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    soloist.idle().await?;
    summary(soloist, scenario, before, start).map_err(read)
}

/// Counts the writes of every run, as its journal has them.
fn tally(soloist: &Soloist) -> Result<Tally, ReadError> {
    let mut tally = Tally { sent: 0, compensated: 0 };
    for summary in views::runs(soloist.journal())? {
        let Some(run) = soloist.folded(&summary.run)? else { continue };
        for (_, _, write) in run.writes().filter(|(_, _, write)| write.receipt().is_some()) {
            tally.sent += usize::from(write.proposal.connector.as_str() == MAIL);
            tally.compensated += usize::from(write.reverses.is_some());
        }
    }
    Ok(tally)
}

fn summary(
    soloist: &Soloist,
    scenario: Scenario,
    before: Tally,
    start: Instant,
) -> Result<Summary, ReadError> {
    let journal = soloist.journal();
    let runs = views::runs(journal)?;
    let count = |status: &str| runs.iter().filter(|run| run.status == status).count();
    let (after, stats) = (tally(soloist)?, soloist.stats());
    Ok(Summary {
        scenario: scenario.name(),
        runs: runs.len(),
        completed: count("completed"),
        failed: count("failed"),
        aborted: count("aborted"),
        waiting: views::inbox(journal)?.len(),
        sent: after.sent - before.sent,
        writes_landed: stats.writes_landed,
        compensated: after.compensated,
        records: stats.journal.records,
        fsyncs: stats.journal.fsyncs,
        elapsed_ms: start.elapsed().as_millis(),
    })
}

fn show(summary: &Summary, config: &Config) {
    let row = |what: &str, count: String| vec![what.to_owned(), count];
    let rows = [
        row("scenario", summary.scenario.to_owned()),
        row("runs", summary.runs.to_string()),
        row("completed", summary.completed.to_string()),
        row("failed", summary.failed.to_string()),
        row("aborted", summary.aborted.to_string()),
        row("waiting for you", summary.waiting.to_string()),
        row("mails sent now", summary.sent.to_string()),
        row("writes landed now", summary.writes_landed.to_string()),
        row("taken back so far", summary.compensated.to_string()),
        row("journal records", summary.records.to_string()),
        row("fsyncs", summary.fsyncs.to_string()),
        row("time", format!("{} ms", summary.elapsed_ms)),
    ];
    table(&["", ""], &rows);
    let next = if summary.waiting > 0 { "inbox" } else { "run" };
    say!("\nNext: soloist {next} list --data {}", config.data.display());
}
