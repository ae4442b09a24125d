//! A list of plans, simulated on every core.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    outcome::Outcome,
    plan::Plan,
    run::{Options, run},
    scenario::Scenario,
    sweep::threads,
};

#[derive(Default)]
struct Found {
    /// Sometimes-assertions that were met.
    met: BTreeSet<String>,
    /// What did not hold, by its place in the list.
    failed: BTreeMap<usize, Outcome>,
}

/// Simulates `plans`, and returns which sometimes-assertions were met.
///
/// # Errors
///
/// The outcome of the first plan in the list that does not hold, whichever thread was faster.
pub(super) fn all(scenario: &Scenario, plans: &[Plan]) -> Result<BTreeSet<String>, Box<Outcome>> {
    let (next, first_failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // Places are given out in order, so that all before the first failure are simulated.
                    if index >= plans.len() || index > first_failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let outcome = run(scenario, &plans[index], Options::default());
                    let met = outcome.sometimes.iter().filter(|(_, met)| **met);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.met.extend(met.map(|(name, _)| name.clone()));
                    if !outcome.is_well() {
                        first_failed.fetch_min(index, Ordering::Relaxed);
                        found.failed.insert(index, outcome);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    match found.failed.pop_first() {
        Some((_, outcome)) => Err(Box::new(outcome)),
        None => Ok(found.met),
    }
}
