//! `soloist demo`: takes a folder of mail through the company, once.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use soloist::{Soloist, operator::Server, views};

use crate::{
    cli::DemoArguments,
    company::{self, MAIL, sample},
    config::{Config, Remembered, RememberedMail, RememberedSmtp},
    report::{Exit, Failure, table},
};

/// What a demo did and what there is now. The keys are stable.
#[derive(Serialize)]
struct Summary {
    /// Mails taken so far, over all demos of this data directory.
    mails: usize,
    /// Runs so far: one for each mail that could be read.
    runs: usize,
    /// Answers that this demo sent.
    sent: u64,
    /// Mails answered so far.
    answered: usize,
    /// Mails so far that nobody waits for an answer to, or whose answer the operator turned down.
    no_reply: usize,
    /// Items that wait in the inbox.
    waiting: usize,
    /// Mails so far that could not be read.
    quarantined: usize,
    /// Records in the journal.
    records: u64,
    /// Fsyncs of this demo.
    fsyncs: u64,
    /// Wall time of this demo.
    elapsed_ms: u128,
}

/// Runs the demo.
pub(crate) async fn demo(
    mut config: Config,
    arguments: DemoArguments,
    json: bool,
) -> Result<(), Failure> {
    if let Some(scenario) = config.scenario {
        return super::scenario::scenario(&config, scenario, json).await;
    }
    let start = Instant::now();
    if config.mail.source.is_none() {
        config.mail.source = Some(sample::folder(&config.data)?);
        config.mail.contacts.push(sample::CONTACT.into());
    }
    let soloist = company::builder(&config, None)?.open().await?;
    config.remember(&remembered(&config, &arguments)?)?;
    // Decisions may be made while it works. Where the path is too long for a socket, they are made afterwards.
    let server = Server::start(&config.data, soloist.clone()).ok();
    let bar = progress(arguments.headless || json);
    let watching = tokio::spawn(watch(soloist.clone(), bar.clone()));
    let worked = work(&soloist).await;
    watching.abort();
    bar.finish_and_clear();
    drop(server);
    let summary =
        summary(&soloist, start).map_err(|error| Failure::new(Exit::Refused, error.to_string()));
    let stopped = soloist.shutdown().await;
    worked?;
    stopped?;
    let summary = summary?;
    if json {
        say!("{}", serde_json::to_string(&summary).expect("a summary is plain data"));
    } else {
        show(&summary, &config);
    }
    Ok(())
}

async fn work(soloist: &Soloist) -> Result<(), Failure> {
    let pulled = soloist.pull(MAIL).await;
    // What was begun goes on even if the source could not be read to its end.
    soloist.idle().await?;
    pulled.map(drop).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn progress(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Draws what the kernel counts, ten times a second.
async fn watch(soloist: Soloist, bar: ProgressBar) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stats = soloist.stats();
        bar.set_length(stats.runs_started);
        bar.set_position(stats.runs_completed + stats.runs_failed);
        bar.set_message(format!(
            "{} sent, {} quarantined",
            stats.writes_landed, stats.changes_quarantined
        ));
    }
}

fn summary(soloist: &Soloist, start: Instant) -> Result<Summary, soloist::journal::ReadError> {
    let journal = soloist.journal();
    let runs = views::runs(journal)?;
    let quarantined = views::quarantined(journal)?.len();
    let answered = runs.iter().filter(|run| run.writes_landed > 0).count();
    let unanswered = |run: &&views::RunSummary| run.status == "completed" && run.writes_landed == 0;
    let stats = soloist.stats();
    Ok(Summary {
        mails: runs.len() + quarantined,
        runs: runs.len(),
        sent: stats.writes_landed,
        answered,
        no_reply: runs.iter().filter(unanswered).count(),
        waiting: views::inbox(journal)?.len(),
        quarantined,
        records: stats.journal.records,
        fsyncs: stats.journal.fsyncs,
        elapsed_ms: start.elapsed().as_millis(),
    })
}

fn show(summary: &Summary, config: &Config) {
    let row = |what: &str, count: String| vec![what.to_owned(), count];
    let rows = [
        row("mails", summary.mails.to_string()),
        row("runs", summary.runs.to_string()),
        row("sent now", summary.sent.to_string()),
        row("answered so far", summary.answered.to_string()),
        row("no reply needed", summary.no_reply.to_string()),
        row("waiting for you", summary.waiting.to_string()),
        row("quarantined", summary.quarantined.to_string()),
        row("journal records", summary.records.to_string()),
        row("fsyncs", summary.fsyncs.to_string()),
        row("time", format!("{} ms", summary.elapsed_ms)),
    ];
    table(&["", ""], &rows);
    let data = config.data.display();
    say!();
    if summary.waiting > 0 {
        say!("Next: soloist inbox list --data {data}");
    } else if summary.quarantined > 0 {
        say!("Next: soloist quarantine list --data {data}");
    } else {
        say!("Next: soloist run list --data {data}");
    }
}

/// What the flags said, and the sample. What a configuration file says is not copied: it may hold a password.
fn remembered(config: &Config, arguments: &DemoArguments) -> Result<Remembered, Failure> {
    let absolute = |path: &std::path::Path| {
        std::path::absolute(path).map_err(|error| {
            Failure::new(Exit::Usage, format!("{} is no path: {error}", path.display()))
        })
    };
    let source = absolute(config.mail.source.as_deref().expect("the demo has set it"))?;
    let flag = config.mail.smtp.as_ref().filter(|_| arguments.smtp.is_some());
    let smtp =
        flag.map(|smtp| RememberedSmtp { host: smtp.host.clone(), port: smtp.port, tls: "none" });
    let mail = RememberedMail { source, contacts: config.mail.contacts.clone(), smtp };
    let workflow = arguments.workflow.as_deref().map(absolute).transpose()?;
    Ok(Remembered { scenario: None, mail: Some(mail), workflow })
}
