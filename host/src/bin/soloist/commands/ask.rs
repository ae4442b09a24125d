//! The commands that ask or decide: of the running soloist if there is one, else of the data directory itself.

use std::sync::Arc;

use serde_json::Value;
use soloist::{
    effect::Decision,
    journal::{Journal, fjall::FjallJournal, fjall::Options},
    operator::{Client, Request, act, read},
};

use crate::{
    cli::{AuditCommand, InboxCommand, QuarantineCommand, RunCommand},
    company,
    config::Config,
    report::{Exit, Failure, printable, table, text},
};

/// Asks the running soloist; if none runs, opens the data directory, answers, and closes it.
async fn ask(config: &Config, request: Request) -> Result<Value, Failure> {
    if let Some(client) = Client::connect(&config.data) {
        return Ok(client.ask(&request)?);
    }
    if !config.data.join("HEAD").exists() {
        let message = format!(
            "there is no journal in {}; `soloist demo --data DIR` makes one",
            config.data.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    if request.acts() {
        let soloist = company::builder(config, None)?.open().await?;
        let answer = act(&soloist, request).await;
        soloist.shutdown().await?;
        return Ok(answer?);
    }
    let (journal, _) = FjallJournal::open(&config.data, Options::default())?;
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let answer = read(&journal, &request);
    journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
    Ok(answer?)
}

/// Asks, and shows the answer: as it is to machines, by `show` to people.
async fn asked(
    config: &Config,
    request: Request,
    json: bool,
    show: impl FnOnce(&Value),
) -> Result<(), Failure> {
    let answer = ask(config, request).await?;
    if json {
        println!("{answer}");
    } else {
        show(&answer);
    }
    Ok(())
}

/// `soloist inbox …`.
pub(crate) async fn inbox(config: &Config, what: InboxCommand, json: bool) -> Result<(), Failure> {
    let decide = |item: String, decision| Request::Decide { item, decision };
    let request = match what {
        InboxCommand::List => return asked(config, Request::Inbox, json, show_inbox).await,
        InboxCommand::Show { id } => {
            return asked(config, Request::InboxItem { item: id }, json, show_item).await;
        }
        InboxCommand::Approve { id } => decide(id, Decision::Approve),
        InboxCommand::Abort { id, reason } => decide(id, Decision::Abort { reason }),
        InboxCommand::Resolve { id, happened, .. } => decide(id, Decision::Resolve { happened }),
        InboxCommand::Modify { id, set } => {
            Request::Modify { item: id, arguments: arguments(&set)? }
        }
    };
    asked(config, request, json, show_outcome).await
}

fn arguments(set: &[String]) -> Result<serde_json::Map<String, Value>, Failure> {
    let pair = |given: &String| {
        let wrong = || {
            Failure::new(
                Exit::Usage,
                format!("--set {given:?} is not NAME=VALUE, as in subject=\"Re: Hello\""),
            )
        };
        let (name, value) = given.split_once('=').ok_or_else(wrong)?;
        Ok((name.to_owned(), Value::String(value.to_owned())))
    };
    set.iter().map(pair).collect()
}

fn entries(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

fn show_inbox(answer: &Value) {
    let row = |item: &Value| {
        ["/id", "/kind", "/title", "/reason"].map(|pointer| text(item, pointer)).to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    match rows.first() {
        None => println!("Nothing waits for you."),
        Some(first) => {
            table(&["ID", "KIND", "WHAT", "WHY"], &rows);
            println!("\nNext: soloist inbox show {}", first[0]);
        }
    }
}

fn show_item(item: &Value) {
    for (label, pointer) in [
        ("id", "/id"),
        ("kind", "/kind"),
        ("what", "/title"),
        ("run", "/run"),
        ("workflow", "/workflow"),
        ("step", "/step"),
        ("rule", "/rule"),
        ("why", "/reason"),
    ] {
        println!("{label:<9} {}", text(item, pointer));
    }
    let preview = text(item, "/preview");
    if !preview.is_empty() {
        println!("\n{preview}");
    }
    let choices = item["choices"].as_array().cloned().unwrap_or_default();
    let id = text(item, "/id");
    println!("\nYou can say:");
    for choice in choices.iter().filter_map(Value::as_str) {
        let (verb, rest) = choice.split_once(' ').unwrap_or((choice, ""));
        println!("  {}", format!("soloist inbox {verb} {id} {rest}").trim_end());
    }
}

fn show_outcome(answer: &Value) {
    let (run, status) = (text(answer, "/run"), text(answer, "/status"));
    let sent = answer["writes_landed"].as_u64().unwrap_or_default();
    let what = if sent > 0 { ", and it has been sent" } else { "" };
    println!("Decided. Run {run} is {status}{what}.");
    let reason = text(answer, "/reason");
    if !reason.is_empty() {
        println!("{reason}");
    }
}

/// `soloist run …`.
pub(crate) async fn run(config: &Config, what: RunCommand, json: bool) -> Result<(), Failure> {
    match what {
        RunCommand::List => asked(config, Request::Runs, json, show_runs).await,
        RunCommand::Show { id } => asked(config, Request::Run { run: id }, json, show_run).await,
    }
}

fn show_runs(answer: &Value) {
    let row = |run: &Value| {
        ["/run", "/status", "/workflow", "/reason"].map(|pointer| text(run, pointer)).to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    if rows.is_empty() {
        println!("There are no runs yet. `soloist demo` makes some.");
    } else {
        table(&["RUN", "STATUS", "WORKFLOW", "REASON"], &rows);
    }
}

fn show_run(run: &Value) {
    println!("run {} of {}: {}", text(run, "/run"), text(run, "/workflow"), text(run, "/status"));
    for record in entries(&run["records"]) {
        println!(
            "\n#{} {} by {}",
            text(record, "/seq"),
            text(record, "/at"),
            text(record, "/actor")
        );
        for event in entries(&record["events"]) {
            let detail = text(event, "/detail");
            let short: String = detail.chars().take(300).collect();
            let cut = if short.len() < detail.len() { " …" } else { "" };
            println!("  {:<18} {}{cut}", text(event, "/kind"), printable(&short));
        }
    }
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
        println!("Everything could be read.");
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
        println!("{}", text(answer, "/subject"));
        for fact in entries(&answer["facts"]) {
            println!(
                "  {} (version {}): {}",
                text(fact, "/name"),
                text(fact, "/version"),
                text(fact, "/value")
            );
            println!("    from {}", text(fact, "/provenance"));
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
                println!(
                    "{} records, each chained to the one before it.",
                    text(answer, "/records")
                );
                println!("Head: {}", text(answer, "/head"));
            })
            .await
        }
    }
}
