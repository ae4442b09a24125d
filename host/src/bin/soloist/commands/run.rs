//! `soloist run …` and `soloist event …`.

use serde_json::{Value, json};
use soloist::operator::{PolicyText, Request};

use super::{
    ask::{ask, asked},
    control,
    definitions::{file, json_argument},
    travel,
};
use crate::{
    cli::{EventCommand, RunCommand},
    config::Config,
    report::{self, Failure, command, entries, printable, table, text},
};

/// Longest detail of an event in a run's history.
const DETAIL_CHARS_MAX: usize = 300;

pub(crate) async fn run(config: &Config, what: RunCommand, json: bool) -> Result<(), Failure> {
    let request = match what {
        RunCommand::List => return asked(config, Request::Runs, json, show_runs).await,
        RunCommand::Show { id, at, bundle: Some(bundle) } => {
            return travel::show_bundle(config, &bundle, id.as_deref(), at, json);
        }
        RunCommand::Show { id, at, bundle: None } => {
            let request = Request::Run { run: id.unwrap_or_default(), at };
            return asked(config, request, json, |run| show_run(config, run)).await;
        }
        RunCommand::Replay { id, bundle } => return travel::replay(config, id, bundle, json).await,
        RunCommand::Fork { id: run, from, policy, input, agents } => {
            let policy = policy.as_deref().map(file).transpose()?;
            let policy = policy.map(|source| PolicyText { file: source.name, text: source.text });
            let input = input.map(|input| json_argument("--input", &input)).transpose()?;
            let request = Request::Fork { run, from, policy, input, agents };
            return asked(config, request, json, travel::show_forked).await;
        }
        RunCommand::Export { id, to } => return travel::export(config, id, &to, json).await,
        RunCommand::Migrate { id, to, yes, .. } => return migrate(config, id, to, yes, json).await,
        RunCommand::Start { workflow, with } => {
            let input = json_argument("--input", &with.input)?;
            Request::Start { workflow, run: with.id, input }
        }
        RunCommand::Pursue { goal, with } => {
            let input = json_argument("--input", &with.input)?;
            Request::Pursue { goal, run: with.id, input }
        }
        RunCommand::Abort { id, reason } => Request::AbortRun { run: id, reason },
        RunCommand::Cancel { id, reason } => Request::CancelRun { run: id, reason },
        RunCommand::Pause { id, reason } => {
            return control::pause(config, Some(format!("run:{id}")), reason, json).await;
        }
        RunCommand::Resume { id } => {
            return control::resume(config, format!("run:{id}"), json).await;
        }
        RunCommand::Retry { id, step, reason } => Request::RetryStep { run: id, step, reason },
        RunCommand::Override { id, step, output, reason } => {
            let output = json_argument("--output", &output)?;
            Request::OverrideStep { run: id, step, output, reason }
        }
    };
    asked(config, request, json, |answer| show_rest(config, answer)).await
}

/// Shows what a migration would change; with `yes`, makes it and shows where the run came to rest.
async fn migrate(
    config: &Config,
    run: String,
    to: Option<u32>,
    yes: bool,
    json: bool,
) -> Result<(), Failure> {
    let migration = ask(config, Request::Migration { run: run.clone(), to }).await?;
    if !json {
        show_migration(&migration);
    }
    if !yes {
        if json {
            say!("{}", json!({ "applied": false, "migration": migration }));
        } else if migration["refused"].is_null() {
            say!("Nothing was changed; with --yes it is.");
        }
        return match migration["refused"].is_null() {
            true => Ok(()),
            false => Err(Failure::said()),
        };
    }
    // The version that was shown, whatever was added since.
    let version = text(&migration, "/to").rsplit_once('@').and_then(|(_, to)| to.parse().ok());
    let mut rest = ask(config, Request::Migrate { run, to: version.or(to) }).await?;
    rest["applied"] = Value::Bool(true);
    rest["migration"] = migration;
    report::answer(&rest, json, |rest| show_rest(config, rest));
    Ok(())
}

fn show_migration(migration: &Value) {
    say!(
        "run {}: {} → {}",
        text(migration, "/run"),
        text(migration, "/from"),
        text(migration, "/to")
    );
    for change in entries(&migration["said"]) {
        say!("  {}", text(change, ""));
    }
    for agent in entries(&migration["agents"]) {
        let (name, from, to) = (text(agent, "/0"), text(agent, "/1"), text(agent, "/2"));
        say!("  agent `{name}` takes its next turns in version {to}, not {from}");
    }
    let kept: Vec<String> = entries(&migration["kept"]).iter().map(|step| text(step, "")).collect();
    if !kept.is_empty() {
        say!("  these steps have begun and stay as they are: {}", kept.join(", "));
    }
    if !migration["refused"].is_null() {
        say!("It cannot be: {}", text(migration, "/refused"));
    }
}

/// Where a run came to rest, and what one can do next.
pub(super) fn show_rest(config: &Config, rest: &Value) {
    let (run, status) = (text(rest, "/run"), text(rest, "/status").replace('_', " "));
    let landed = match rest["writes_landed"].as_u64().unwrap_or_default() {
        0 => String::new(),
        1 => ", and 1 write of it has landed".into(),
        count => format!(", and {count} writes of it have landed"),
    };
    let old = if rest["new"] == false { "; it was there already" } else { "" };
    say!("Run {run} is {status}{landed}{old}.");
    let reason = text(rest, "/reason");
    if !reason.is_empty() {
        say!("{reason}");
    }
    if !rest["output"].is_null() {
        say!("{}", printable(&format!("{:#}", rest["output"])));
    }
    for item in entries(&rest["waits"]) {
        say!("Next: {}", command(config, &format!("inbox show {}", text(item, ""))));
    }
}

fn show_runs(answer: &Value) {
    let row = |run: &Value| {
        ["/run", "/status", "/workflow", "/reason"].map(|pointer| text(run, pointer)).to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    if rows.is_empty() {
        say!("There are no runs yet. `soloist demo` makes some.");
    } else {
        table(&["RUN", "STATUS", "WORKFLOW", "REASON"], &rows);
    }
}

pub(super) fn show_run(config: &Config, run: &Value) {
    let then = match run["at"].as_u64() {
        Some(seq) => format!(", when record {seq} had been written"),
        None => String::new(),
    };
    say!("run {} of {}: {}{then}", text(run, "/run"), text(run, "/workflow"), text(run, "/status"));
    let row = |step: &Value| {
        let tries = match step["attempt"].as_u64().unwrap_or_default() {
            0 | 1 => String::new(),
            attempt => format!("attempt {attempt}"),
        };
        vec![
            format!("  {}", text(step, "/step")),
            text(step, "/status"),
            tries,
            text(step, "/error"),
        ]
    };
    table(&["", "", "", ""], &entries(&run["steps"]).iter().map(row).collect::<Vec<_>>());
    if !run["set_aside"].is_null() {
        let words = format!("inbox show {}", text(run, "/set_aside"));
        say!("It is set aside, because it died again and again. Next: {}", command(config, &words));
    }
    if !run["paused"].is_null() {
        let (scope, by) = (text(run, "/paused/scope"), text(run, "/paused/by"));
        let next = command(config, &format!("resume {scope}"));
        say!("It is held: {by} paused {scope}: {}. Next: {next}", text(run, "/paused/reason"));
    }
    for write in entries(&run["parked"]) {
        let (what, step) = (text(write, "/what"), text(write, "/step"));
        let (until, reason) = (text(write, "/until"), text(write, "/reason"));
        say!("{what} of step `{step}` is put aside until {until}: {reason}");
    }
    for write in entries(&run["writes"]) {
        let (what, step, state) =
            (text(write, "/what"), text(write, "/step"), text(write, "/state"));
        let (verdict, rule) = (text(write, "/verdict"), text(write, "/rule"));
        say!("{what} of step `{step}` is {state}; rule `{rule}` said {verdict}");
    }
    for item in entries(&run["waited"]) {
        say!(
            "Then waited: {} {} ({})",
            text(item, "/kind"),
            text(item, "/title"),
            text(item, "/item")
        );
    }
    let waits = if then.is_empty() { entries(&run["waits"]) } else { &[] };
    for item in waits {
        say!("Next: {}", command(config, &format!("inbox show {}", text(item, ""))));
    }
    for record in entries(&run["records"]) {
        say!("\n#{} {} by {}", text(record, "/seq"), text(record, "/at"), text(record, "/actor"));
        for event in entries(&record["events"]) {
            let detail = text(event, "/detail");
            let short: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
            let cut = if short.len() < detail.len() { " …" } else { "" };
            say!("  {:<18} {}{cut}", text(event, "/kind"), printable(&short));
        }
    }
}

pub(crate) async fn event(config: &Config, what: EventCommand, json: bool) -> Result<(), Failure> {
    let EventCommand::Emit { event, id, source, payload } = what;
    let data = json_argument("--payload", &payload)?;
    let request = Request::Emit { event, id, source, data };
    asked(config, request, json, |answer| show_emitted(config, answer)).await
}

fn show_emitted(config: &Config, answer: &Value) {
    let (event, id) = (text(answer, "/event"), text(answer, "/id"));
    match answer["new"].as_bool() {
        Some(false) => {
            say!("Event {event} {id} was taken before; nothing follows from it again.")
        }
        _ => say!("Event {event} {id} is taken."),
    }
    if answer["delivered"] == false {
        say!("It is still being delivered; see `soloist run list`.");
    }
    entries(&answer["runs"]).iter().for_each(|run| show_rest(config, run));
}
