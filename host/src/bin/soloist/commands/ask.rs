//! Asking: the running soloist if there is one, else the data directory itself; and the commands that only ask.

use std::sync::Arc;

use serde_json::Value;
use soloist::{
    journal::{Journal, fjall::FjallJournal, fjall::Options},
    operator::{Client, Request, act, hold, read, travel},
};

use crate::{
    cli::{AuditCommand, QuarantineCommand},
    company,
    config::Config,
    report::{self, Exit, Failure, command, entries, table, text},
};

/// Asks the running soloist; if none runs, opens the data directory, answers, and closes it.
pub(super) async fn ask(config: &Config, request: Request) -> Result<Value, Failure> {
    if let Some(client) = Client::connect(&config.data) {
        return Ok(client.ask(&request)?);
    }
    if request.needs_server() {
        let serve = command(config, "serve");
        let place = config.data.display();
        let message = format!("nobody serves {place}; start it with `{serve}`, and ask again");
        return Err(Failure::new(Exit::Failed, message));
    }
    if !config.data.join("HEAD").exists() && !begins(&request) {
        let message = format!(
            "there is no journal in {}; `soloist demo --data DIR` makes one",
            config.data.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    if request.holds() {
        let (journal, _) = FjallJournal::open(&config.data, Options::default())?;
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let answer = hold(&journal, &request).await;
        journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
        return Ok(answer?);
    }
    if matches!(request, Request::Fork { .. }) {
        // Over the journal as it is: a kernel that is opened goes on with what it finds.
        let builder = company::builder(config, None)?;
        let (journal, _) = FjallJournal::open(&config.data, Options::default())?;
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let answer = travel::fork_over(builder, journal.clone(), &request).await;
        journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
        return Ok(answer?);
    }
    if request.needs_kernel() {
        let soloist = company::builder(config, None)?.open().await?;
        let answer = act(&soloist, request).await;
        // What follows from it in other runs is let come to rest as well: those above, those that an event starts.
        if answer.is_ok() {
            soloist.idle().await?;
            // Nobody else would play what became due by it.
            soloist.shadowed().await?;
        }
        soloist.shutdown().await?;
        return Ok(answer?);
    }
    let (journal, _) = FjallJournal::open(&config.data, Options::default())?;
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let answer = read(&journal, &request);
    journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
    Ok(answer?)
}

/// Whether something begins with it, so that there need be no journal yet.
fn begins(request: &Request) -> bool {
    matches!(
        request,
        Request::Start { .. }
            | Request::Pursue { .. }
            | Request::Emit { .. }
            | Request::AddWorkflow { .. }
    )
}

/// Asks, and shows the answer: as it is to machines, by `show` to people.
pub(super) async fn asked(
    config: &Config,
    request: Request,
    json: bool,
    show: impl FnOnce(&Value),
) -> Result<(), Failure> {
    report::answer(&ask(config, request).await?, json, show);
    Ok(())
}

/// `soloist quarantine …`.
pub(crate) async fn quarantine(
    config: &Config,
    what: QuarantineCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        QuarantineCommand::List => {
            asked(config, Request::Quarantined, json, show_quarantined).await
        }
    }
}

fn show_quarantined(answer: &Value) {
    let row = |change: &Value| {
        ["/connector", "/identity", "/reason"].map(|pointer| text(change, pointer)).to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    if rows.is_empty() {
        say!("Everything could be read.");
    } else {
        table(&["FROM", "WHAT", "WHY"], &rows);
    }
}

/// `soloist facts …`.
pub(crate) async fn facts(
    config: &Config,
    system: String,
    external: String,
    json: bool,
) -> Result<(), Failure> {
    asked(config, Request::Facts { system, external }, json, |answer| {
        say!("{}", text(answer, "/subject"));
        for fact in entries(&answer["facts"]) {
            say!(
                "  {} (version {}): {}",
                text(fact, "/name"),
                text(fact, "/version"),
                text(fact, "/value")
            );
            say!("    from {}", text(fact, "/provenance"));
        }
    })
    .await
}

/// `soloist contacts …`.
pub(crate) async fn contacts(config: &Config, like: String, json: bool) -> Result<(), Failure> {
    asked(config, Request::Contacts { like }, json, |answer| {
        let row = |found: &Value| {
            ["/contact", "/name", "/likeness"].map(|pointer| text(found, pointer)).to_vec()
        };
        let rows: Vec<Vec<String>> = entries(&answer["contacts"]).iter().map(row).collect();
        table(&["CONTACT", "NAME", "LIKENESS"], &rows);
    })
    .await
}

/// `soloist audit …`.
pub(crate) async fn audit(config: &Config, what: AuditCommand, json: bool) -> Result<(), Failure> {
    match what {
        AuditCommand::Verify => {
            asked(config, Request::Verify, json, |answer| {
                say!("{} records, each chained to the one before it.", text(answer, "/records"));
                if answer["archived"] != 0 {
                    let archived = text(answer, "/archived");
                    say!("{archived} of them are archived; `soloist archive verify` checks these as well.");
                }
                say!("Head: {}", text(answer, "/head"));
            })
            .await
        }
    }
}
