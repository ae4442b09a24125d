//! `soloist sim exhaust`: every single fault of a scenario, or every two.

use soloist_sim::{
    Scenario,
    exhaust::{Exhaust, Exhausted, all},
    shrink::shrink,
};

use super::{chosen, never_holds, options, progress, report, say_json, warn};
use crate::{
    cli::ExhaustArguments,
    report::{Failure, table},
};

/// Failures that are made small and told; the others are counted.
const TOLD_MAX: usize = 3;

/// Puts each scenario that is asked for through everything.
pub(super) fn exhaust(arguments: &ExhaustArguments, json: bool) -> Result<(), Failure> {
    let scenarios = chosen(&arguments.scenario)?;
    let mut done = vec![];
    for scenario in &scenarios {
        let exhausted = exhausted(scenario, arguments, json)?;
        if json {
            say_json(&exhausted);
        }
        for failure in exhausted.failures.iter().take(TOLD_MAX) {
            warn(format_args!(
                "{}\n",
                report(&shrink(scenario, &failure.plan, options(false, false)))
            ));
        }
        done.push(exhausted);
    }
    if !json {
        show(&done);
    }
    let is_well = done.iter().all(|exhausted| exhausted.violations == 0);
    if is_well { Ok(()) } else { Err(Failure::said()) }
}

fn exhausted(
    scenario: &Scenario,
    arguments: &ExhaustArguments,
    json: bool,
) -> Result<Exhausted, Failure> {
    let ExhaustArguments { pairs, threads, size, .. } = *arguments;
    let bar = progress(scenario.name(), 0, json || arguments.headless);
    let exhausted = all(scenario, &Exhaust { pairs, threads, size }, &|count, plans| {
        bar.set_length(plans);
        bar.inc(count);
    });
    bar.finish_and_clear();
    exhausted.map_err(|outcome| never_holds(scenario, &outcome))
}

fn show(done: &[Exhausted]) {
    let row = |exhausted: &Exhausted| {
        vec![
            exhausted.scenario.clone(),
            exhausted.plans.to_string(),
            exhausted.violations.to_string(),
            format!("{:.0}", exhausted.plans_per_s),
        ]
    };
    table(
        &["SCENARIO", "PLANS", "VIOLATIONS", "PLANS/S"],
        &done.iter().map(row).collect::<Vec<_>>(),
    );
    for exhausted in done {
        for (invariant, count) in &exhausted.by_invariant {
            say!("{}: {invariant} does not hold in {count} plans", exhausted.scenario);
        }
    }
}
