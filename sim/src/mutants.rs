//! Planted bugs, hunted: what tells whether the invariants would notice.
//!
//! A mutant is a bug that is planted behind the feature `mutants`, which never ships (`soloist_kernel::mutant`). Each is
//! hunted through every scenario: first where nothing goes wrong, then through every single fault, then seed by seed. It is
//! killed when an invariant does not hold. One that survives shows a blind spot, and fails the build.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;
use soloist_kernel::mutant::Mutant;

use crate::{
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

/// A scenario made ready for the hunt.
struct Ground<'a> {
    scenario: &'a Scenario,
    profiles: BTreeMap<u32, Profile>,
    singles: Vec<Plan>,
}

/// Hunts `mutants` through `scenarios`, with so many seeds in each after every single fault.
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
    // Every scenario a little first: most die at once in one that has what they need.
    for (from, to) in [(0, 60), (60, seeds)] {
        for ground in grounds {
            let Ground { scenario, profiles, singles } = ground;
            let calm = profiles.keys().map(|size| Plan::calm(scenario.name(), 0, *size));
            let calm = calm.filter(|_| from == 0);
            let singles = singles.iter().filter(|_| from > 0).cloned();
            let swarm = (from..to).map(|seed| plan_of(scenario, profiles, seed));
            for (index, plan) in calm.chain(singles).chain(swarm).enumerate() {
                let outcome = run(scenario, &plan, options);
                if let Some(invariant) = outcome.broken() {
                    return Some(Kill {
                        mutant: mutant.name().to_owned(),
                        scenario: scenario.name().to_owned(),
                        invariant: invariant.to_owned(),
                        simulations: index + 1,
                        plan,
                    });
                }
            }
        }
    }
    None
}
