//! `soloist run replay`, `export`, what concerns bundles, and what `fork` shows: looking back.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;
use soloist::operator::{Request, travel};

use super::{ask::ask, run::show_run};
use crate::{
    config::Config,
    report::{self, Exit, Failure, command, entries, table, text},
};

/// How much of a hash is shown to people, in hex digits.
const HASH_CHARS: usize = 16;

/// How much of a step's output is shown beside another.
const OUTPUT_CHARS_MAX: usize = 60;

/// Replays a run of the data directory, or the runs of a bundle.
pub(super) async fn replay(
    config: &Config,
    id: Option<String>,
    bundle: Option<PathBuf>,
    json: bool,
) -> Result<(), Failure> {
    let answer = match bundle {
        Some(file) => named(&file, travel::replay_bundle(&read(&file)?))?,
        None => ask(config, Request::Replay { run: id.unwrap_or_default() }).await?,
    };
    report::answer(&answer, json, show_replayed);
    if answer["equal"] == true { Ok(()) } else { Err(Failure::said()) }
}

fn show_replayed(answer: &Value) {
    for run in entries(&answer["runs"]) {
        let (id, records) = (text(run, "/run"), text(run, "/records"));
        let (first, last) = (text(run, "/first"), text(run, "/last"));
        let state: String = text(run, "/state").chars().take(HASH_CHARS).collect();
        let differences = entries(&run["differences"]);
        let verdict = match differences.len() {
            0 => format!("equal; its state is {state}"),
            1 => "1 difference".into(),
            count => format!("{count} differences"),
        };
        say!("{id}: {records} records, from {first} to {last}: {verdict}");
        for difference in differences {
            say!("  {}: {}", text(difference, "/what"), text(difference, "/says"));
        }
    }
    if answer["equal"] == true {
        say!("Everything is as the records say.");
    }
}

/// Writes a bundle.
pub(super) async fn export(
    config: &Config,
    id: String,
    to: &Path,
    json: bool,
) -> Result<(), Failure> {
    let mut answer = ask(config, Request::Export { run: id }).await?;
    let bytes = travel::exported(&answer)?;
    let failed = |error: std::io::Error| {
        let message = format!("failed to write {}: {error}; name another file", to.display());
        Failure::new(Exit::Failed, message)
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(to).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("bundle");
        fields.insert("file".into(), Value::String(to.display().to_string()));
    }
    report::answer(&answer, json, |answer| {
        let runs = entries(&answer["runs"]);
        let records: u64 = runs.iter().filter_map(|run| run["records"].as_u64()).sum();
        let beneath = match runs.len() {
            0 | 1 => String::new(),
            2 => " and 1 run beneath it".into(),
            count => format!(" and {} runs beneath it", count - 1),
        };
        say!(
            "{}: run {}{beneath}, {records} records, {} bytes",
            text(answer, "/file"),
            text(answer, "/run"),
            text(answer, "/bytes")
        );
        let words = format!("run replay --bundle {}", text(answer, "/file"));
        say!("Next, anywhere: {}", command(&Config::default(), &words));
    });
    Ok(())
}

/// Shows a run of a bundle.
pub(super) fn show_bundle(
    config: &Config,
    file: &Path,
    run: Option<&str>,
    at: Option<u64>,
    json: bool,
) -> Result<(), Failure> {
    let answer = named(file, travel::show_bundle(&read(file)?, run, at))?;
    report::answer(&answer, json, |run| show_run(config, run));
    Ok(())
}

/// Shows what is otherwise in a fork.
pub(super) fn show_forked(answer: &Value) {
    let from = match answer["from"].as_u64() {
        Some(seq) => format!("from record {seq} on"),
        None => "from its beginning".into(),
    };
    say!("Fork of run {}, {from}. Nobody was called, and nothing is kept.\n", text(answer, "/run"));
    let end = |side: &str| {
        let reason = text(answer, &format!("/{side}/reason"));
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        format!("{}{reason}", text(answer, &format!("/{side}/status")))
    };
    say!("original  {}", end("original"));
    say!("fork      {}\n", end("fork"));
    let (same_steps, same_writes) = show_changes(answer, ["ORIGINAL", "FORK"]);
    say!("The same in both: steps {same_steps}, writes {same_writes}.");
    for wait in entries(&answer["waits"]) {
        say!("Not recorded, so the fork waits: {}", text(wait, ""));
    }
    for stand_in in entries(&answer["stand_ins"]) {
        say!("Not recorded, so stood in for: {}", text(stand_in, ""));
    }
}

/// Shows the steps and writes that differ, under the names of the two sides, and tells how many of each do not.
pub(super) fn show_changes(answer: &Value, [original, fork]: [&str; 2]) -> (usize, usize) {
    let (steps, same_steps) = otherwise(&answer["steps"]);
    let (writes, same_writes) = otherwise(&answer["writes"]);
    let rows: Vec<Vec<String>> = steps.iter().map(|step| step_row(step)).collect();
    if !rows.is_empty() {
        table(&["RUN", "STEP", original, fork], &rows);
        say!("");
    }
    let rows: Vec<Vec<String>> = writes.iter().map(|write| write_row(write)).collect();
    if !rows.is_empty() {
        table(&["RUN", "STEP", "WRITE", original, fork], &rows);
        say!("");
    }
    (same_steps, same_writes)
}

/// What differs, and how much does not.
fn otherwise(all: &Value) -> (Vec<&Value>, usize) {
    let all = entries(all);
    let differs: Vec<&Value> = all.iter().filter(|change| change["same"] == false).collect();
    let same = all.len() - differs.len();
    (differs, same)
}

fn step_row(step: &Value) -> Vec<String> {
    let (original, fork) = (&step["original"], &step["fork"]);
    let output = original["status"] == fork["status"] && original["output"] != fork["output"];
    let side = |side: &Value| {
        let status = if side.is_null() { "–".into() } else { text(side, "/status") };
        let short: String = text(side, "/output").chars().take(OUTPUT_CHARS_MAX).collect();
        if output { format!("{status} {short}") } else { status }
    };
    vec![text(step, "/run"), text(step, "/step"), side(original), side(fork)]
}

fn write_row(write: &Value) -> Vec<String> {
    let side = |side: &Value| {
        if side.is_null() {
            return "–".to_owned();
        }
        let (verdict, rule) = (text(side, "/verdict"), text(side, "/rule"));
        let recorded = match side["recorded"].as_bool() {
            Some(true) => " (as recorded)",
            Some(false) => " (stood in for)",
            None => "",
        };
        format!("{verdict} by `{rule}`, {}{recorded}", text(side, "/state"))
    };
    let (original, fork) = (&write["original"], &write["fork"]);
    let named = if fork.is_null() { original } else { fork };
    vec![
        text(write, "/run"),
        text(write, "/step"),
        text(named, "/what"),
        side(original),
        side(fork),
    ]
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to read {}: {error}", file.display()))
    })
}

/// A problem of a file names it.
fn named<T>(file: &Path, result: Result<T, soloist::operator::Problem>) -> Result<T, Failure> {
    result.map_err(|problem| {
        Failure::new(Exit::Failed, format!("{}: {}", file.display(), problem.message))
    })
}
