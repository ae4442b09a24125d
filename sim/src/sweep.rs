//! Many simulations: a plan for each seed, on every core, some of them twice.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    determinism::{Difference, compare},
    disk::DiskKind,
    outcome::Outcome,
    plan::Plan,
    run::{Options, run},
    scenario::Scenario,
    swarm::{self, Profile},
};

/// Failures that are kept; the rest is counted.
const KEPT_MAX: usize = 20;

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The first seed.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How many of a hundred are simulated twice and compared.
    pub double_percent: u64,
    /// Threads; none: as many as there are cores.
    pub threads: Option<usize>,
    /// The size of every plan; none: all sizes of the scenario in turn.
    pub size: Option<u32>,
    /// What journals are on.
    pub disk: DiskKind,
}

impl Default for Sweep {
    fn default() -> Self {
        let disk = DiskKind::Model;
        Self { from: 0, seeds: 1_000, double_percent: 5, threads: None, size: None, disk }
    }
}

/// What a sweep came to. The keys are stable.
#[derive(Debug, Default, Serialize)]
pub struct Swept {
    /// The scenario.
    pub scenario: String,
    /// Seeds simulated.
    pub seeds: u64,
    /// Seeds with a violation.
    pub violations: u64,
    /// Violations by their invariant.
    pub by_invariant: BTreeMap<String, u64>,
    /// Seeds simulated twice.
    pub doubled: u64,
    /// Those of them that were not the same twice.
    pub nondeterministic: u64,
    /// Simulations in a second of real time, on all threads.
    pub seeds_per_s: f64,
    /// Virtual seconds in a second of real time, on all threads.
    pub virtual_per_real: f64,
    /// What was to be seen at least once and was not: sometimes-assertions, and kinds of faults that never happened.
    pub sometimes_missed: Vec<String>,
    /// Different orders in which things were done.
    pub interleavings: usize,
    /// Faults that happened.
    pub faults: u64,
    /// Processes that it took.
    pub epochs: u64,
    /// Runs that there were.
    pub runs: u64,
    /// Doubts that were put to the operator.
    pub parked: u64,
    /// How often which fault met which state.
    pub coverage: BTreeMap<String, u64>,
    /// The first failures.
    #[serde(skip)]
    pub failures: Vec<Outcome>,
    /// The first differences between two simulations of one plan.
    #[serde(skip)]
    pub differences: Vec<Difference>,
}

/// Sweeps `scenario`. `progress` is told of each simulation.
///
/// # Errors
///
/// The outcome of a plan without faults, if even that does not hold.
pub fn sweep(
    scenario: &Scenario,
    sweep: &Sweep,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Swept, Box<Outcome>> {
    let profiles = profiles(scenario, sweep.size)?;
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Tally::default());
    let threads = sweep.threads.unwrap_or_else(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= sweep.seeds {
                        break;
                    }
                    own.seed(scenario, &profiles, sweep, sweep.from + index);
                    progress(1);
                }
                all.lock().unwrap_or_else(PoisonError::into_inner).add(own);
            });
        }
    });
    let tally = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(tally.swept(scenario, sweep.seeds, begun.elapsed()))
}

/// The profiles of a scenario at each size that is simulated.
pub(crate) fn profiles(
    scenario: &Scenario,
    size: Option<u32>,
) -> Result<BTreeMap<u32, Profile>, Box<Outcome>> {
    let sizes = size.map_or(scenario.sizes(), |size| size..=size);
    sizes.map(|size| Ok((size, Profile::of(scenario, size)?))).collect()
}

/// The plan that a sweep simulates for `seed`; at `size` if it is given.
///
/// # Errors
///
/// The outcome of a plan without faults, if even that does not hold.
pub fn planned(scenario: &Scenario, size: Option<u32>, seed: u64) -> Result<Plan, Box<Outcome>> {
    Ok(plan_of(scenario, &profiles(scenario, size)?, seed))
}

/// As many threads as there are cores.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The plan of `seed`, at one of the sizes that there are profiles of.
pub(crate) fn plan_of(scenario: &Scenario, profiles: &BTreeMap<u32, Profile>, seed: u64) -> Plan {
    let index = usize::try_from(seed).unwrap_or(0) % profiles.len();
    let (size, profile) = profiles.iter().nth(index).expect("it is below the count");
    swarm::plan(scenario, profile, seed, *size)
}

#[derive(Default)]
struct Tally {
    swept: Swept,
    virtual_ms: u64,
    sometimes: BTreeMap<String, bool>,
    interleavings: std::collections::BTreeSet<u64>,
}

impl Tally {
    fn seed(
        &mut self,
        scenario: &Scenario,
        profiles: &BTreeMap<u32, Profile>,
        sweep: &Sweep,
        seed: u64,
    ) {
        let plan = plan_of(scenario, profiles, seed);
        let options = Options { disk: sweep.disk, ..Options::default() };
        let outcome = run(scenario, &plan, options);
        if crate::chance::Chance::of(seed, "double", 0).percent(sweep.double_percent) {
            self.swept.doubled += 1;
            if let Some(difference) = compare(scenario, &plan, options, &outcome) {
                self.swept.nondeterministic += 1;
                self.swept.differences.push(difference);
            }
        }
        self.outcome(outcome);
    }

    fn outcome(&mut self, outcome: Outcome) {
        let swept = &mut self.swept;
        swept.faults += outcome.fired as u64;
        swept.epochs += u64::from(outcome.epochs);
        swept.runs += outcome.runs as u64;
        swept.parked += outcome.parked as u64;
        self.virtual_ms += outcome.virtual_ms;
        self.interleavings.insert(outcome.interleaving);
        for (what, count) in &outcome.coverage {
            *swept.coverage.entry(what.clone()).or_default() += count;
        }
        for (what, held) in &outcome.sometimes {
            *self.sometimes.entry(what.clone()).or_default() |= held;
        }
        if let Some(invariant) = outcome.broken() {
            swept.violations += 1;
            *swept.by_invariant.entry(invariant.to_owned()).or_default() += 1;
            keep(&mut swept.failures, [outcome]);
        }
    }

    fn add(&mut self, other: Self) {
        let Self { swept, virtual_ms, sometimes, interleavings } = other;
        self.virtual_ms += virtual_ms;
        self.interleavings.extend(interleavings);
        for (what, held) in sometimes {
            *self.sometimes.entry(what).or_default() |= held;
        }
        let own = &mut self.swept;
        own.violations += swept.violations;
        own.doubled += swept.doubled;
        own.nondeterministic += swept.nondeterministic;
        own.faults += swept.faults;
        own.epochs += swept.epochs;
        own.runs += swept.runs;
        own.parked += swept.parked;
        add(&mut own.by_invariant, swept.by_invariant);
        add(&mut own.coverage, swept.coverage);
        keep(&mut own.failures, swept.failures);
        own.differences.extend(swept.differences);
        own.differences.truncate(KEPT_MAX);
    }

    fn swept(self, scenario: &Scenario, seeds: u64, took: Duration) -> Swept {
        let Self { mut swept, virtual_ms, sometimes, interleavings } = self;
        let seconds = took.as_secs_f64().max(f64::EPSILON);
        swept.scenario = scenario.name().to_owned();
        swept.seeds = seeds;
        swept.seeds_per_s = seeds as f64 / seconds;
        swept.virtual_per_real = virtual_ms as f64 / 1000.0 / seconds;
        swept.interleavings = interleavings.len();
        let missed = sometimes.into_iter().filter(|(_, held)| !held).map(|(what, _)| what);
        swept.sometimes_missed = missed.collect();
        let met = |kind: &String| {
            swept.coverage.keys().any(|pair| pair.split(" × ").next() == Some(kind))
        };
        let missed: Vec<String> =
            swarm::kinds(scenario).into_iter().filter(|kind| !met(kind)).collect();
        swept.sometimes_missed.extend(missed.into_iter().map(|kind| format!("the fault {kind}")));
        swept
    }
}

/// Keeps the failures with the fewest faults.
fn keep(kept: &mut Vec<Outcome>, more: impl IntoIterator<Item = Outcome>) {
    kept.extend(more);
    kept.sort_by_key(|outcome| (outcome.plan.faults.len(), outcome.plan.seed));
    kept.truncate(KEPT_MAX);
}

fn add(all: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (what, count) in more {
        *all.entry(what).or_default() += count;
    }
}
