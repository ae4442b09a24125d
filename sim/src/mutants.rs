//! Planted bugs, hunted: what tells whether the invariants would notice.
//!
//! A mutant is a bug that is planted behind the feature `mutants`, which never ships (`soloist_kernel::mutant`). Each is
//! hunted through every scenario: where nothing goes wrong, then seed by seed, with one single fault beside each seed. It is
//! killed when an invariant does not hold. One that survives shows a blind spot, and fails the build.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;
use soloist_kernel::mutant::Mutant;

use crate::{
    chance::Chance,
    exhaust,
    outcome::Outcome,
    plan::Plan,
    run::{Options, run},
    scenario::Scenario,
    swarm::Profile,
    sweep::{plan_of, profiles, threads},
};

/// What a hunt came to. The keys are stable.
#[derive(Debug, Default, Serialize)]
pub struct Hunted {
    /// Mutants that were planted.
    pub planted: usize,
    /// Those that were killed.
    pub killed: usize,
    /// Those that were not.
    pub survivors: Vec<String>,
    /// How each was killed.
    pub kills: Vec<Kill>,
}

/// How a mutant was killed.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// The mutant.
    pub mutant: String,
    /// In which scenario.
    pub scenario: String,
    /// By which invariant.
    pub invariant: String,
    /// Simulations until then, in that scenario.
    pub simulations: usize,
    /// The plan that did it.
    pub plan: Plan,
}

/// Seeds of each scenario before the next one is tried; each round has four times as many.
const FIRST_ROUND: u64 = 4;

/// A scenario made ready for the hunt.
struct Ground<'a> {
    scenario: &'a Scenario,
    profiles: BTreeMap<u32, Profile>,
    singles: Vec<Plan>,
}

/// Hunts `mutants` through `scenarios`, with so many seeds and as many single faults in each.
///
/// # Errors
///
/// The outcome of a plan without faults and without a mutant, if even that does not hold.
pub fn hunt(
    scenarios: &[Scenario],
    mutants: &[Mutant],
    seeds: u64,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Hunted, Box<Outcome>> {
    let grounds: Vec<Ground<'_>> = scenarios.iter().map(ground).collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let kill = hunted(&grounds, *mutant, seeds);
                    progress(mutant.name());
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(mutant.name(), kill);
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut hunted = Hunted { planted: mutants.len(), ..Hunted::default() };
    for (mutant, kill) in found {
        match kill {
            Some(kill) => hunted.kills.push(kill),
            None => hunted.survivors.push(mutant.to_owned()),
        }
    }
    hunted.killed = hunted.kills.len();
    Ok(hunted)
}

fn ground(scenario: &Scenario) -> Result<Ground<'_>, Box<Outcome>> {
    let profiles = profiles(scenario, None)?;
    let singles =
        profiles.iter().next().map(|(size, profile)| exhaust::singles(scenario, profile, *size));
    Ok(Ground { scenario, profiles, singles: singles.unwrap_or_default() })
}

fn hunted(grounds: &[Ground<'_>], mutant: Mutant, seeds: u64) -> Option<Kill> {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    let mut simulations = vec![0; grounds.len()];
    let (mut from, mut to) = (0, FIRST_ROUND.min(seeds));
    // Every scenario a little first: most die at once in one that has what they need.
    while from < to {
        for (ground, simulations) in grounds.iter().zip(&mut simulations) {
            for plan in ground.plans(from..to) {
                *simulations += 1;
                let outcome = run(ground.scenario, &plan, options);
                // What breaks without it, it does not break.
                let innocent =
                    || run(ground.scenario, &plan, Options::default()).broken().is_some();
                if let Some(invariant) = outcome.broken().filter(|_| !innocent()) {
                    return Some(Kill {
                        mutant: mutant.name().to_owned(),
                        scenario: ground.scenario.name().to_owned(),
                        invariant: invariant.to_owned(),
                        simulations: *simulations,
                        plan,
                    });
                }
            }
        }
        (from, to) = (to, (to * 4).min(seeds));
    }
    None
}

impl Ground<'_> {
    /// The plans of these seeds: of each its own and one single fault, and before the first those without a fault.
    fn plans(&self, seeds: Range<u64>) -> impl Iterator<Item = Plan> {
        let first = seeds.start == 0;
        let calm = self.profiles.keys().filter(move |_| first);
        let calm = calm.map(|size| Plan::calm(self.scenario.name(), 0, *size));
        calm.chain(seeds.flat_map(|seed| {
            let single = (!self.singles.is_empty())
                .then(|| Chance::of(seed, "single", 0).pick(&self.singles).clone());
            std::iter::once(plan_of(self.scenario, &self.profiles, seed)).chain(single)
        }))
    }
}
