//! `soloist inbox …`: what waits, and what the operator says to it.

use serde_json::Value;
use soloist::{
    effect::{Choice, Decision},
    inbox::{Item, Kind},
    operator::Request,
};

use super::{
    ask::{ask, asked},
    definitions::json_argument,
    run::show_rest,
};
use crate::{
    cli::InboxCommand,
    config::Config,
    report::{Exit, Failure, command, entries, printable, table, text},
};

/// Longest value of an argument in a list; the preview shows it whole.
const VALUE_CHARS_MAX: usize = 60;

pub(crate) async fn inbox(config: &Config, what: InboxCommand, json: bool) -> Result<(), Failure> {
    let (which, decision) = match what {
        InboxCommand::List => {
            return asked(config, Request::Inbox, json, |answer| show_inbox(config, answer)).await;
        }
        InboxCommand::Show { id } => return show(config, id, json).await,
        InboxCommand::Modify { which, set } => {
            let arguments = arguments(&set)?;
            let request = Request::Modify { item: which.id, arguments, by: which.by };
            return asked(config, request, json, |answer| show_outcome(config, answer)).await;
        }
        InboxCommand::Approve { which } => (which, Decision::Approve),
        InboxCommand::Abort { which, reason } => (which, Decision::Abort { reason }),
        InboxCommand::Resolve { which, happened, .. } => (which, Decision::Resolve { happened }),
        InboxCommand::Answer { which, value, text } => {
            (which, Decision::Answer { value: answer(value, text) })
        }
        InboxCommand::Delegate { which, to } => (which, Decision::Delegate { to }),
        InboxCommand::Retry { which } => (which, Decision::Retry),
        InboxCommand::GoOn { which, output } => {
            (which, Decision::GoOn { output: json_argument("--output", &output)? })
        }
        InboxCommand::Fail { which } => (which, Decision::Fail),
        InboxCommand::Compensate { which } => (which, Decision::Compensate),
    };
    let request = Request::Decide { item: which.id, decision, by: which.by };
    asked(config, request, json, |answer| show_outcome(config, answer)).await
}

/// JSON if it is, else text: a person who answers `yes` need not write `"yes"`.
fn answer(value: String, is_text: bool) -> Value {
    let read = if is_text { None } else { serde_json::from_str(&value).ok() };
    read.unwrap_or(Value::String(value))
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

fn show_inbox(config: &Config, answer: &Value) {
    let items: Vec<Item> = entries(answer)
        .iter()
        .filter_map(|item| serde_json::from_value(item.clone()).ok())
        .collect();
    let row = |item: &Item| {
        let deadline = item.deadline.map(|deadline| deadline.to_string()).unwrap_or_default();
        let assigned = item.assigned.clone().unwrap_or_default();
        let cells = [
            item.id.to_string(),
            kind(item.kind).into(),
            item.title.clone(),
            item.reason.clone(),
            deadline,
            assigned,
        ];
        cells.iter().map(|cell| printable(cell)).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let mut header = vec!["ID", "KIND", "WHAT", "WHY", "UNTIL", "WHO"];
    // Columns that say nothing of any item are left out.
    while header.len() > 4 && rows.iter().all(|row| row[header.len() - 1].is_empty()) {
        header.pop();
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    match items.first() {
        None => say!("Nothing waits for you."),
        Some(first) => {
            table(&header, &rows);
            say!("\nNext: {}", command(config, &format!("inbox show {}", first.id)));
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Approval => "approval",
        Kind::Ambiguous => "ambiguous",
        Kind::Question => "question",
        Kind::Escalation => "escalation",
        Kind::Incident => "incident",
    }
}

async fn show(config: &Config, id: String, json: bool) -> Result<(), Failure> {
    let answer = ask(config, Request::InboxItem { item: id }).await?;
    if json {
        say!("{answer}");
        return Ok(());
    }
    let item: Item = serde_json::from_value(answer).map_err(|error| {
        Failure::new(Exit::Failed, format!("the running soloist is of another version: {error}"))
    })?;
    show_item(config, &item);
    Ok(())
}

/// Everything that is known of an item, what matters most for the decision first and what one can say last.
fn show_item(config: &Config, item: &Item) {
    head(item);
    if let Some(preview) = &item.preview {
        say!("\n{}", printable(preview));
    }
    if let (Some(Value::Object(arguments)), true) = (&item.arguments, item.digest.is_some()) {
        say!("\nIts arguments, and where they come from:");
        let rows: Vec<Vec<String>> =
            arguments.iter().map(|(name, value)| argument(item, name, value)).collect();
        table(&["", "", "", "", ""], &rows);
    } else if let Some(input) = &item.arguments {
        say!("\nIts input:\n{}", printable(&format!("{input:#}")));
    }
    if !item.stands.is_empty() {
        say!("\nWhere its run stands:");
        let row = |stand: &soloist::inbox::Stand| {
            vec![format!("  {}", stand.step), printable(&stand.status)]
        };
        table(&["", ""], &item.stands.iter().map(row).collect::<Vec<_>>());
    }
    if !item.left.is_empty() {
        say!("\nWhat it did, and has not taken back:");
        item.left.iter().for_each(|left| say!("  {}", printable(left)));
    }
    say!("\nYou can say:");
    let row = |choice: &Choice| {
        vec![format!("  {}", command(config, &words(item, choice))), printable(&choice.effect)]
    };
    table(&["", ""], &item.choices.iter().map(row).collect::<Vec<_>>());
}

fn head(item: &Item) {
    let at_deadline = item.at_deadline.as_ref().map(|at| format!(", then it counts as: {at}"));
    let deadline =
        item.deadline.map(|deadline| format!("{deadline}{}", at_deadline.unwrap_or_default()));
    let lines = [
        ("id", Some(item.id.to_string())),
        ("kind", Some(kind(item.kind).to_owned())),
        ("what", Some(item.title.clone())),
        ("run", item.run.as_ref().map(ToString::to_string)),
        ("workflow", Some(item.workflow.clone()).filter(|workflow| !workflow.is_empty())),
        ("step", item.step.as_ref().map(ToString::to_string)),
        ("since", Some(item.since.to_string())),
        ("until", deadline),
        ("who", item.assigned.clone()),
        ("rule", item.rule.clone()),
        ("why", Some(item.reason.clone()).filter(|reason| !reason.is_empty())),
        ("remedy", item.remedy.clone()),
        ("undone", item.reversal.clone()),
        ("digest", item.digest.clone()),
    ];
    for (label, value) in lines {
        if let Some(value) = value {
            say!("{label:<9} {}", printable(&value));
        }
    }
}

/// An argument in a row: its name, its value, whether it says where the write goes, who vouches for it, and where it is from.
fn argument(item: &Item, name: &str, value: &Value) -> Vec<String> {
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut short: String = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if short.chars().count() > VALUE_CHARS_MAX {
        short = short.chars().take(VALUE_CHARS_MAX).chain(['…']).collect();
    }
    let role = if item.routing.contains_key(name) { "says where to" } else { "" };
    let from = item.provenance.get(name);
    let integrity = from.map_or("untrusted", |from| from.integrity.as_str());
    let mut origin = from.map(|from| from.origin.join(", ")).unwrap_or_default();
    if let Some(from) = from.filter(|from| !from.pii.is_empty()) {
        let pii = serde_json::to_value(&from.pii).map(|pii| text(&pii, "")).unwrap_or_default();
        origin = format!("{origin} holds {pii}");
    }
    let cells = [format!("  {name}"), short, role.into(), integrity.into(), origin];
    cells.iter().map(|cell| printable(cell)).collect()
}

/// What one types to make `choice`, with what it needs in capitals.
fn words(item: &Item, choice: &Choice) -> String {
    let (verb, rest) = choice.word.split_once(' ').unwrap_or((&choice.word, ""));
    let more = match verb {
        "modify" => "--set NAME=VALUE",
        "delegate" => "--to NAME",
        "answer" => "VALUE",
        "go-on" => "--output JSON",
        "abort" => "--reason WHY",
        _ => rest,
    };
    format!("inbox {verb} {} {more}", item.id).trim_end().to_owned()
}

fn show_outcome(config: &Config, answer: &Value) {
    say_part!("Decided. ");
    if answer["status"] == "dismissed" {
        say!("Incident {} is dismissed.", text(answer, "/item"));
        if !answer["run"].is_null() {
            let words = format!("inbox retry {}", text(answer, "/item"));
            say!("Run {} stays set aside.", text(answer, "/run"));
            say!("To let it go on: {}", command(config, &words));
        }
        return;
    }
    show_rest(config, answer);
}
