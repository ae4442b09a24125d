//! `soloist sim`: the scenarios of `company/simulated.rs` in the simulator, and what came of it.
//!
//! Standard output has what was asked for, standard error what is good to know beside it: progress and failures. A reader who
//! goes away early, as `head` does, is no error.

mod exhaust;
mod mutants;
mod plan;
mod run;
mod sweep;

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use soloist::workflow::nearest;
use soloist_sim::{
    DiskKind, INVARIANTS, Options, Outcome, Report, Scenario, run as simulate, shrink::Shrunk,
};

use crate::{
    cli::SimCommand,
    company::simulated::{SCENARIOS, scenarios},
    report::{Exit, Failure},
};

/// Does what is asked.
pub(crate) fn sim(what: SimCommand, json: bool) -> Result<(), Failure> {
    match what {
        SimCommand::List { invariants } => {
            list(if invariants { INVARIANTS } else { &SCENARIOS }, json);
            Ok(())
        }
        SimCommand::Run(arguments) => run::run(&arguments, json),
        SimCommand::Sweep(arguments) => sweep::sweep(&arguments, json),
        SimCommand::Exhaust(arguments) => exhaust::exhaust(&arguments, json),
        SimCommand::Shrink(arguments) => plan::shrink(&arguments),
        SimCommand::Explain(arguments) => plan::explain(&arguments),
        SimCommand::Replay { plan, html, trace } => {
            plan::replay(&plan, html.as_deref(), trace, json)
        }
        SimCommand::Mutants(arguments) => mutants::mutants(&arguments, json),
    }
}

fn list(named: &[(&str, &str)], json: bool) {
    if json {
        let named: Vec<_> =
            named.iter().map(|(name, what)| json!({ "name": name, "what": what })).collect();
        return say_json(&named);
    }
    let width = named.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, what) in named {
        say!("{name:<width$}  {what}");
    }
}

/// The scenario `name`.
fn scenario(name: &str) -> Result<Scenario, Failure> {
    match scenarios()?.into_iter().find(|scenario| scenario.name() == name) {
        Some(scenario) => Ok(scenario),
        None => Err(unknown(name)),
    }
}

/// The scenario `name`, or every one if that is `all`.
fn chosen(name: &str) -> Result<Vec<Scenario>, Failure> {
    if name == "all" { scenarios() } else { Ok(vec![scenario(name)?]) }
}

fn unknown(name: &str) -> Failure {
    let known = SCENARIOS.map(|(name, _)| name);
    let near = nearest(name, known.into_iter());
    let near = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"));
    let known = known.join(", ");
    Failure::new(Exit::Usage, format!("there is no scenario {name:?}{near} There are {known}"))
}

fn options(real_disk: bool, keep_trace: bool) -> Options {
    let disk = if real_disk { DiskKind::Real } else { DiskKind::Model };
    Options { disk, keep_trace, ..Options::default() }
}

/// Something does not hold although nothing goes wrong, so that there is nothing to learn from what does.
fn never_holds(scenario: &Scenario, outcome: &Outcome) -> Failure {
    let again = simulate(scenario, &outcome.plan, options(false, true));
    warn(format_args!("{}\n", Report { outcome: &again, faults_before: 0, simulations: 1 }));
    let message = format!("{} does not hold even if nothing goes wrong", scenario.name());
    Failure::new(Exit::Failed, message)
}

fn report(shrunk: &Shrunk) -> Report<'_> {
    let Shrunk { outcome, faults_before, simulations } = shrunk;
    Report { outcome, faults_before: *faults_before, simulations: *simulations }
}

/// Every line of what happened.
fn trace(outcome: &Outcome) {
    for line in &outcome.trace {
        say!("{line}");
    }
}

/// Writes `text` to `path`.
fn write(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to write {}: {error}", path.display()))
    })
}

/// Says it on standard output, in a line.
fn say_json(value: &impl Serialize) {
    let text = serde_json::to_string(value).expect("what is said is plain data");
    say!("{text}");
}

/// Says it on standard error.
fn warn(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// A bar for `length` simulations of `what`, where somebody sees it.
fn progress(what: &str, length: u64, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} ({per_sec})");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(what.to_owned())
}
