//! Scenarios as tests: what [`#[soloist_sim::test]`](macro@crate::test) calls, and the same for those who build their
//! scenarios themselves.
//!
//! [`check`] goes from the certain to the unlikely: plans that failed once (`regressions.rs`), then every single fault, then
//! seeds. What fails is made small, drawn as a page and told in a report, with which the test panics (`failure.rs`).

mod failure;
mod many;
mod regressions;

use std::collections::BTreeSet;

use crate::{
    determinism, exhaust,
    outcome::Outcome,
    plan::{Fault, Kind, Moment, Plan, Trigger},
    run::{self, run},
    scenario::Scenario,
    swarm::Profile,
    sweep::{self, Sweep},
};
use failure::Told;

/// The environment variable that names the one plan to simulate: its line, or a file that holds it.
pub const PLAN: &str = "SOLOIST_SIM";

/// Seeds that are simulated if nothing else is said.
const SEEDS: u64 = 300;

/// How many of a hundred seeds are simulated twice if nothing else is said.
const DOUBLE: u32 = 5;

/// Times that [`determinism()`] simulates a plan. What differs by the order of a hash map of two differs in one of two.
const TIMES: u32 = 8;

/// The smallest size.
const SMALLEST: u32 = 1;

/// What a test asks for. What it does not say is as the fields describe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many seeds are simulated: 300.
    pub seeds: Option<u64>,
    /// Whether every single fault is tried before, at the smallest size: yes.
    pub exhaust: Option<bool>,
    /// How much work there is at most: what the scenario says.
    pub size: Option<u32>,
    /// How many of a hundred seeds are simulated twice, to compare their traces: 5.
    pub double: Option<u32>,
}

/// Simulates the scenario that `setup` describes: the plans in `tests/sim/regressions` that are named after it, every single
/// fault, and seeds. If the variable [`PLAN`] is set, only that plan is simulated, and its trace is printed.
///
/// `name` is the path of the test, as `module_path!()` begins it.
///
/// # Panics
///
/// With the report of the smallest plan that breaks an invariant; with the first difference between two simulations of one
/// plan; with the sometimes-assertions that were never met; if a plan cannot be read.
pub fn check(name: &str, options: Options, setup: impl Fn(&mut Scenario)) {
    let mut scenario = Scenario::new(name);
    setup(&mut scenario);
    if let Some(size) = options.size {
        scenario.size_max(size);
    }
    let told = Told::of_test(&scenario, name);
    if let Ok(text) = std::env::var(PLAN) {
        return only(told, &text);
    }
    for (file, plan) in regressions::of(name).unwrap_or_else(|problem| panic!("{problem}")) {
        let outcome = run(&scenario, &plan, run::Options::default());
        if outcome.fired < plan.faults.len() {
            let (fired, all) = (outcome.fired, plan.faults.len());
            println!("{}: {fired} of its {all} faults happened", file.display());
        }
        told.holds(outcome);
    }
    let mut met = BTreeSet::new();
    if options.exhaust.unwrap_or(true) {
        met.extend(each(told, &singles(told)));
    }
    seeds(told, options, met);
}

/// Simulates every single fault of `scenario` at the smallest size.
///
/// # Panics
///
/// With the report of the first one that breaks an invariant.
pub fn exhaust(scenario: &Scenario) {
    let told = Told::of(scenario);
    each(told, &singles(told));
}

/// Simulates `plan` once.
///
/// # Panics
///
/// With its report, as small as it gets, if it breaks an invariant.
pub fn replay(scenario: &Scenario, plan: &Plan) -> Outcome {
    let kept = run::Options { keep_trace: true, ..run::Options::default() };
    Told::of(scenario).holds(run(scenario, plan, kept))
}

/// Lets the process end before and after every append that `scenario` makes at the smallest size: once killed, and once with
/// the power that the machine had.
///
/// # Panics
///
/// With the report of the first end that breaks an invariant.
pub fn crash_everywhere(scenario: &Scenario) {
    let told = Told::of(scenario);
    let profile = told.profile(SMALLEST);
    let mut plans = vec![];
    for number in 0..profile.appends {
        for moment in [Moment::Before, Moment::After] {
            for what in [Kind::Crash, Kind::PowerLoss { keep: 0 }] {
                let fault = Fault { when: Trigger::Journal { number, moment }, what };
                let plan = Plan::calm(scenario.name(), 0, SMALLEST).with(vec![fault]);
                plans.push(Plan { perturbed: false, ..plan });
            }
        }
    }
    each(told, &plans);
}

/// Simulates the plan of `seed` several times: it must be the same story each time.
///
/// # Panics
///
/// With the first difference; with the report of the scenario, if something does not hold where nothing goes wrong.
pub fn determinism(scenario: &Scenario, seed: u64) {
    let told = Told::of(scenario);
    let profiles = sweep::profiles(scenario, None).unwrap_or_else(|outcome| told.fails(&outcome));
    let plan = sweep::plan_of(scenario, &profiles, seed);
    let first = run(scenario, &plan, run::Options::default());
    for _ in 1..TIMES {
        let difference = determinism::compare(scenario, &plan, run::Options::default(), &first);
        if let Some(difference) = difference {
            panic!("{difference}");
        }
    }
}

/// The one plan that is asked for.
fn only(told: Told<'_>, text: &str) {
    let plan = regressions::named(text).unwrap_or_else(|problem| panic!("{PLAN}: {problem}"));
    if regressions::last(&plan.scenario) != regressions::last(told.scenario().name()) {
        println!("{PLAN} is a plan of {}, and this is another scenario", plan.scenario);
        return;
    }
    let kept = run::Options { keep_trace: true, ..run::Options::default() };
    let outcome = run(told.scenario(), &plan, kept);
    for line in &outcome.trace {
        println!("{line}");
    }
    told.holds(outcome);
}

/// Every single fault.
fn singles(told: Told<'_>) -> Vec<Plan> {
    exhaust::singles(told.scenario(), &told.profile(SMALLEST), SMALLEST)
}

/// Simulates `plans`, and returns which sometimes-assertions were met.
fn each(told: Told<'_>, plans: &[Plan]) -> BTreeSet<String> {
    many::all(told.scenario(), plans).unwrap_or_else(|outcome| told.fails(&outcome))
}

/// The sweep.
fn seeds(told: Told<'_>, options: Options, met: BTreeSet<String>) {
    let sweep = Sweep {
        seeds: options.seeds.unwrap_or(SEEDS),
        double_percent: options.double.unwrap_or(DOUBLE).into(),
        ..Sweep::default()
    };
    let swept = sweep::sweep(told.scenario(), &sweep, &|_| {});
    let swept = swept.unwrap_or_else(|outcome| told.fails(&outcome));
    if let Some(difference) = swept.differences.first() {
        panic!("{difference}");
    }
    if let Some(outcome) = swept.failures.first() {
        told.fails(outcome);
    }
    let own = told.scenario().sometimes.iter().map(|(name, _)| name);
    let missed: Vec<&String> = own
        .filter(|name| swept.sometimes_missed.contains(name) || sweep.seeds == 0)
        .filter(|name| !met.contains(*name))
        .collect();
    assert!(
        missed.is_empty(),
        "in {} seeds and every single fault it never came to this, so that nothing is proved of it: {missed:?}; simulate \
         more seeds, or look whether it can happen at all",
        sweep.seeds
    );
}

impl Told<'_> {
    /// What the scenario does when nothing goes wrong.
    fn profile(self, size: u32) -> Profile {
        Profile::of(self.scenario(), size).unwrap_or_else(|outcome| self.fails(&outcome))
    }

    /// Panics unless `outcome` is well.
    fn holds(self, outcome: Outcome) -> Outcome {
        match outcome.is_well() {
            true => outcome,
            false => self.fails(&outcome),
        }
    }
}

#[cfg(test)]
mod tests;
