//! `soloist sim run`: the plan of one seed.

use soloist_sim::{Outcome, Plan, Report, run as simulate, sweep::planned, timeline};

use super::{never_holds, options, say_json, scenario, trace, write};
use crate::{cli::RunArguments, report::Failure};

/// Simulates it.
pub(super) fn run(arguments: &RunArguments, json: bool) -> Result<(), Failure> {
    let scenario = scenario(&arguments.scenario)?;
    let plan = match arguments.calm {
        true => Plan::calm(scenario.name(), arguments.seed, arguments.size.unwrap_or(1)),
        false => planned(&scenario, arguments.size, arguments.seed)
            .map_err(|outcome| never_holds(&scenario, &outcome))?,
    };
    let outcome = simulate(&scenario, &plan, options(arguments.real_disk, true));
    if let Some(path) = &arguments.html {
        write(path, &timeline::html(&outcome))?;
    }
    match () {
        () if json => say_json(&outcome),
        () if arguments.trace => trace(&outcome),
        () if outcome.is_well() => summary(&outcome),
        () => {}
    }
    if outcome.is_well() {
        return Ok(());
    }
    if !json {
        let faults_before = plan.faults.len();
        say_part!("{}", Report { outcome: &outcome, faults_before, simulations: 1 });
    }
    Err(Failure::said())
}

fn summary(outcome: &Outcome) {
    let Outcome { plan, fired, virtual_ms, runs, effects, epochs, .. } = outcome;
    let (faults, calls) = (plan.faults.len(), outcome.calls.values().sum::<u32>());
    let seconds = *virtual_ms as f64 / 1000.0;
    say!("Everything held in {} of size {}, seed {}.\n", plan.scenario, plan.size, plan.seed);
    let rows: [(&str, String); 9] = [
        ("faults", format!("{fired} of {faults} happened")),
        ("processes", epochs.to_string()),
        ("virtual time", format!("{seconds:.3} s")),
        ("runs", runs.to_string()),
        ("calls", calls.to_string()),
        ("effects", effects.to_string()),
        ("decisions", outcome.decisions.to_string()),
        ("appends", outcome.appends.to_string()),
        ("trace", format!("{:016x} of {} lines", outcome.hash, outcome.lines)),
    ];
    for (what, how) in rows {
        say!("{what:<12}  {how}");
    }
    for fault in &plan.faults {
        say!("  {fault}");
    }
}
