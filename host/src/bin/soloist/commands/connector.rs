//! `soloist connector …`.

use serde_json::Value;
use soloist::operator::Request;

use super::ask::{ask, asked};
use crate::{
    cli::ConnectorCommand,
    config::Config,
    report::{Exit, Failure, answer, entries, table, text},
};

pub(crate) async fn connector(
    config: &Config,
    what: ConnectorCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        ConnectorCommand::List => asked(config, Request::Connectors, json, show_list).await,
        ConnectorCommand::Show { name } => show(config, &name, json).await,
        ConnectorCommand::Check { name } => check(config, name, json).await,
    }
}

async fn show(config: &Config, name: &str, json: bool) -> Result<(), Failure> {
    let all = ask(config, Request::Connectors).await?;
    let all = entries(&all);
    let Some(found) = all.iter().find(|connector| connector["name"] == *name) else {
        let names: Vec<String> = all.iter().map(|connector| text(connector, "/name")).collect();
        let there = names.join(", ");
        let problem = format!("no connector `{name}` is mounted; there is {there}");
        return Err(Failure::new(Exit::Failed, problem));
    };
    answer(found, json, show_one);
    Ok(())
}

/// Looks at one or at all. Fails if one is not well.
async fn check(config: &Config, name: Option<String>, json: bool) -> Result<(), Failure> {
    let names = match name {
        Some(name) => vec![name],
        None => {
            let all = ask(config, Request::Connectors).await?;
            entries(&all).iter().map(|connector| text(connector, "/name")).collect()
        }
    };
    let mut found = vec![];
    for name in names {
        found.push(ask(config, Request::CheckConnector { name }).await?);
    }
    let well = found.iter().all(|checked| checked["ok"] == true);
    answer(&Value::Array(found), json, show_checked);
    if well { Ok(()) } else { Err(Failure::said()) }
}

fn show_list(connectors: &Value) {
    let rows: Vec<Vec<String>> = entries(connectors).iter().map(row).collect();
    if rows.is_empty() {
        return say!("No connector is mounted.");
    }
    table(&["NAME", "SYSTEM", "OPERATIONS", "STARTS", "STATUS"], &rows);
}

fn row(connector: &Value) -> Vec<String> {
    let operations = fields(&connector["operations"]).map(|(name, _)| name.clone());
    let status = fields(&connector["status"]).filter(|(_, said)| *said != "0");
    let status = status.map(|(what, said)| format!("{what}: {}", text(said, "")));
    vec![
        text(connector, "/name"),
        text(connector, "/system"),
        operations.collect::<Vec<_>>().join(" "),
        text(connector, "/starts"),
        status.collect::<Vec<_>>().join("; "),
    ]
}

fn show_one(connector: &Value) {
    say!("{}: {}", text(connector, "/name"), text(connector, "/system"));
    say!("Credential: {}", text(connector, "/credential"));
    let rows = fields(&connector["operations"]).map(|(name, operation)| {
        let arguments = fields(&operation["arguments"]).map(|(argument, declared)| {
            let mark = if declared["role"] == "routing" { "*" } else { "" };
            format!("{argument}{mark}")
        });
        let is_read = operation["kind"] == "read";
        let of_write = |field: &str| if is_read { String::new() } else { word(&operation[field]) };
        vec![
            name.clone(),
            text(operation, "/kind"),
            of_write("semantics"),
            of_write("reversal"),
            arguments.collect::<Vec<_>>().join(" "),
            text(operation, "/summary"),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table(&["OPERATION", "KIND", "SEMANTICS", "REVERSAL", "ARGUMENTS", "DOES"], &rows);
    say!("Arguments with a * say where a write goes.");
}

fn fields(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// `opaque`, or `undo delete_draft`: the name of a declaration and, if that is a word, what is in it.
fn word(declared: &Value) -> String {
    match fields(declared).next() {
        Some((name, value)) if value.is_string() => format!("{name} {}", text(value, "")),
        Some((name, _)) => name.clone(),
        None => text(declared, ""),
    }
}

fn show_checked(found: &Value) {
    for checked in entries(found) {
        let name = text(checked, "/name");
        match checked["health"].as_str() {
            Some("usable") => say!("{name}: usable"),
            Some("untold") => say!("{name}: nothing can be asked of it without changing something"),
            _ => say!("{name}: {}", text(checked, "/problem")),
        }
    }
}
