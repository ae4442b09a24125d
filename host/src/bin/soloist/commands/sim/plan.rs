//! `soloist sim shrink`, `explain` and `replay`: one plan, from a file or as it was printed.

use std::path::Path;

use soloist_sim::{
    INVARIANTS, Outcome, Plan, Report, Scenario, run as simulate, shrink as small, timeline,
};

use super::{options, report, say_json, scenario, warn, write};
use crate::{
    cli::PlanArguments,
    report::{Exit, Failure},
};

/// Makes a failing plan small: prints that plan, and tells of it on standard error.
pub(super) fn shrink(arguments: &PlanArguments) -> Result<(), Failure> {
    let (scenario, plan) = read(&arguments.plan)?;
    let shrunk = small::shrink(&scenario, &plan, options(arguments.real_disk, false));
    if shrunk.outcome.is_well() {
        let message = "everything holds in this plan, so there is nothing to make small";
        return Err(Failure::new(Exit::Failed, message));
    }
    warn(format_args!("{}", report(&shrunk)));
    say!("{}", shrunk.outcome.plan.line());
    Ok(())
}

/// Tells what happens in a plan, and what the invariants mean that break.
pub(super) fn explain(arguments: &PlanArguments) -> Result<(), Failure> {
    let outcome = simulated(arguments)?;
    say_part!("{}", reported(&outcome));
    let mut broken: Vec<&str> =
        outcome.violations.iter().map(|violation| &*violation.invariant).collect();
    broken.dedup();
    if !broken.is_empty() {
        say!("\n  What was promised");
    }
    for name in broken {
        let known = INVARIANTS.iter().find(|(known, _)| *known == name);
        let says = known.map_or("a check of this scenario alone", |(_, says)| says);
        say!("    {name}: {says}");
    }
    Ok(())
}

/// Simulates a plan again.
pub(super) fn replay(
    arguments: &PlanArguments,
    html: Option<&Path>,
    trace: bool,
    json: bool,
) -> Result<(), Failure> {
    let outcome = simulated(arguments)?;
    if let Some(path) = html {
        write(path, &timeline::html(&outcome))?;
    }
    if trace && !json {
        super::trace(&outcome);
    }
    let (fired, faults) = (outcome.fired, outcome.plan.faults.len());
    match outcome.broken() {
        _ if json => say_json(&outcome),
        Some(_) => {
            say!("{}\n{fired} of {faults} faults happened.", reported(&outcome));
        }
        None => say!("Everything held. {fired} of {faults} faults happened."),
    }
    if outcome.is_well() { Ok(()) } else { Err(Failure::said()) }
}

fn simulated(arguments: &PlanArguments) -> Result<Outcome, Failure> {
    let (scenario, plan) = read(&arguments.plan)?;
    Ok(simulate(&scenario, &plan, options(arguments.real_disk, true)))
}

fn reported(outcome: &Outcome) -> Report<'_> {
    Report { outcome, faults_before: outcome.plan.faults.len(), simulations: 1 }
}

/// The plan in `given`, or in the file of that name, and its scenario.
fn read(given: &str) -> Result<(Scenario, Plan), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let plan = if given.trim_start().starts_with('{') {
        Plan::parse(given).map_err(usage)?
    } else {
        let text = std::fs::read_to_string(given)
            .map_err(|error| usage(format!("failed to read {given}: {error}")))?;
        Plan::parse(&text).map_err(|problem| usage(format!("{given}: {problem}")))?
    };
    let scenario = scenario(&plan.scenario)?;
    if !scenario.sizes().contains(&plan.size) {
        let (size, sizes) = (plan.size, scenario.sizes());
        let (least, most) = (sizes.start(), sizes.end());
        return Err(usage(format!(
            "the plan is of size {size}; {} comes in sizes {least} to {most}",
            plan.scenario
        )));
    }
    Ok((scenario, plan))
}
