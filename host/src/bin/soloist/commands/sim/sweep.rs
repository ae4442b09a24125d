//! `soloist sim sweep`: many seeds, and what they came to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use soloist_sim::{
    Outcome, Scenario,
    shrink::shrink,
    sweep::{Sweep, Swept, sweep as simulate},
};

use super::{chosen, never_holds, options, progress, report, say_json, warn, write};
use crate::{
    cli::SweepArguments,
    report::{Exit, Failure, table},
};

/// Failures that are made small and told; the others are counted.
const TOLD_MAX: usize = 3;

/// Sweeps each scenario that is asked for.
pub(super) fn sweep(arguments: &SweepArguments, json: bool) -> Result<(), Failure> {
    let scenarios = chosen(&arguments.scenario)?;
    let mut all = vec![];
    for scenario in &scenarios {
        let swept = swept(scenario, arguments, json)?;
        if json {
            say_json(&swept);
        }
        failures(scenario, &swept, arguments)?;
        all.push(swept);
    }
    if !json {
        show(&all);
    }
    let is_well = |swept: &Swept| {
        let missed = arguments.strict && !swept.sometimes_missed.is_empty();
        swept.violations == 0 && swept.nondeterministic == 0 && !missed
    };
    if all.iter().all(is_well) { Ok(()) } else { Err(Failure::said()) }
}

fn swept(scenario: &Scenario, arguments: &SweepArguments, json: bool) -> Result<Swept, Failure> {
    let SweepArguments { from, seeds, double, threads, size, real_disk, .. } = *arguments;
    let disk = options(real_disk, false).disk;
    let wanted = Sweep { from, seeds, double_percent: double, threads, size, disk };
    let bar = progress(scenario.name(), seeds, json || arguments.headless);
    let swept = simulate(scenario, &wanted, &|count| bar.inc(count));
    bar.finish_and_clear();
    swept.map_err(|outcome| never_holds(scenario, &outcome))
}

/// Tells of the failures, and keeps their plans.
fn failures(scenario: &Scenario, swept: &Swept, arguments: &SweepArguments) -> Result<(), Failure> {
    let shown = if arguments.keep.is_some() { usize::MAX } else { TOLD_MAX };
    for (index, failure) in swept.failures.iter().take(shown).enumerate() {
        let small = shrink(scenario, &failure.plan, options(arguments.real_disk, false));
        if index < TOLD_MAX {
            warn(format_args!("{}\n", report(&small)));
        }
        if let Some(folder) = &arguments.keep {
            keep(folder, &small.outcome)?;
        }
    }
    for difference in swept.differences.iter().take(TOLD_MAX) {
        warn(format_args!("{difference}\n"));
    }
    Ok(())
}

/// Writes the plan of `outcome` into `folder`.
fn keep(folder: &Path, outcome: &Outcome) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to make {}: {error}", folder.display()))
    })?;
    let plan = &outcome.plan;
    let broken = outcome.broken().unwrap_or("nothing");
    let name = format!("{}-{broken}-{}.json", plan.scenario, plan.seed);
    let text = serde_json::to_string_pretty(plan).expect("a plan is plain data");
    write(&folder.join(name), &(text + "\n"))
}

fn show(all: &[Swept]) {
    let header = [
        "SCENARIO",
        "SEEDS",
        "VIOLATIONS",
        "DIFFERENT",
        "SEEDS/S",
        "VIRTUAL/REAL",
        "RUNS",
        "FAULTS",
        "PROCESSES",
        "DOUBTS",
    ];
    let row = |swept: &Swept| {
        vec![
            swept.scenario.clone(),
            swept.seeds.to_string(),
            swept.violations.to_string(),
            format!("{} of {}", swept.nondeterministic, swept.doubled),
            format!("{:.0}", swept.seeds_per_s),
            format!("{:.0}", swept.virtual_per_real),
            swept.runs.to_string(),
            swept.faults.to_string(),
            swept.epochs.to_string(),
            swept.parked.to_string(),
        ]
    };
    table(&header, &all.iter().map(row).collect::<Vec<_>>());
    for swept in all {
        for (invariant, count) in &swept.by_invariant {
            say!("{}: {invariant} does not hold in {count} seeds", swept.scenario);
        }
        if !swept.sometimes_missed.is_empty() {
            let missed = swept.sometimes_missed.join(", ");
            say!("{}: never seen: {missed}", swept.scenario);
        }
    }
    say!();
    coverage(all);
}

/// What a fault meets in the journal has a point in its name, and there are too many of these for a table: `write.attempted`.
const RECORD: &str = "record";

/// How often which fault met which state, over all scenarios.
fn coverage(all: &[Swept]) {
    let mut met: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let pairs = all.iter().flat_map(|swept| &swept.coverage);
    for (pair, count) in pairs {
        let (kind, state) = pair.split_once(" × ").unwrap_or((pair, ""));
        let state = if state.contains('.') { RECORD } else { state };
        *met.entry(kind).or_default().entry(state).or_default() += count;
    }
    let states: BTreeSet<&str> = met.values().flat_map(BTreeMap::keys).copied().collect();
    let header: Vec<&str> = ["FAULT"].into_iter().chain(states.iter().copied()).collect();
    let cell = |count: Option<&u64>| count.map_or_else(|| "-".to_owned(), u64::to_string);
    let row = |(kind, counts): (&&str, &BTreeMap<&str, u64>)| {
        let counts = states.iter().map(|state| cell(counts.get(state)));
        [(*kind).to_owned()].into_iter().chain(counts).collect()
    };
    table(&header, &met.iter().map(row).collect::<Vec<Vec<String>>>());
}
