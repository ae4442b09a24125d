//! Every single fault: each write of the journal and each call of a scenario, with everything that can go wrong there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde::Serialize;

use crate::{
    chance::Chance,
    outcome::Outcome,
    plan::{Fault, Kind, Moment, Plan, RetryAfter, Trigger},
    run::{Options, run},
    scenario::Scenario,
    swarm::{DRIFTS, MODEL_FAULTS, Profile, of_calls, of_webhooks},
    sweep::threads,
};

/// How long an API is down, closed or short of calls, in milliseconds.
const SPELL_MS: u64 = 90_000;

/// Failures that are kept; the rest is counted.
const KEPT_MAX: usize = 20;

/// What to put a scenario through.
#[derive(Clone, Copy, Debug)]
pub struct Exhaust {
    /// Whether every two faults happen together as well.
    pub pairs: bool,
    /// Threads; none: as many as there are cores.
    pub threads: Option<usize>,
    /// How much work there is.
    pub size: u32,
}

/// What that came to. The keys are stable.
#[derive(Debug, Default, Serialize)]
pub struct Exhausted {
    /// The scenario.
    pub scenario: String,
    /// Plans simulated.
    pub plans: u64,
    /// Those in which something does not hold.
    pub violations: u64,
    /// Simulations in a second of real time, on all threads.
    pub plans_per_s: f64,
    /// Violations by their invariant.
    pub by_invariant: BTreeMap<String, u64>,
    /// The first failures, in no particular order.
    #[serde(skip)]
    pub failures: Vec<Outcome>,
}

/// Puts `scenario` through every single fault, or every two. `progress` is told of simulations done, and of how many there are.
///
/// # Errors
///
/// The outcome of a plan without faults, if even that does not hold.
pub fn all(
    scenario: &Scenario,
    wanted: &Exhaust,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Exhausted, Box<Outcome>> {
    let profile = Profile::of(scenario, wanted.size)?;
    let singles = singles(scenario, &profile, wanted.size);
    let count = singles.len() as u64;
    let count = if wanted.pairs { count + count * count.saturating_sub(1) / 2 } else { count };
    let paired = pairs(&singles).take(if wanted.pairs { usize::MAX } else { 0 });
    let plans = Mutex::new(singles.iter().cloned().chain(paired));
    let begun = Instant::now();
    let found = Mutex::new(Exhausted::default());
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads.unwrap_or_else(threads) {
            scope.spawn(|| {
                loop {
                    let next = plans.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(plan) = next else { break };
                    let outcome = run(scenario, &plan, Options::default());
                    found.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
                    progress(1, count);
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = begun.elapsed().as_secs_f64().max(f64::EPSILON);
    let plans_per_s = found.plans as f64 / seconds;
    Ok(Exhausted { scenario: scenario.name().to_owned(), plans_per_s, ..found })
}

impl Exhausted {
    fn add(&mut self, outcome: Outcome) {
        self.plans += 1;
        let Some(invariant) = outcome.broken() else { return };
        self.violations += 1;
        *self.by_invariant.entry(invariant.to_owned()).or_default() += 1;
        if self.failures.len() < KEPT_MAX {
            self.failures.push(outcome);
        }
    }
}

/// The plans with one fault each, at `size`.
#[must_use]
pub fn singles(scenario: &Scenario, profile: &Profile, size: u32) -> Vec<Plan> {
    let mut faults = vec![];
    journal(profile, &mut faults);
    calls(scenario, profile, &mut faults);
    rest(scenario, profile, &mut faults);
    faults.retain(|fault| scenario.faults.allows(&fault.what));
    let alone = |fault| {
        let mut plan = Plan::calm(scenario.name(), 0, size).with(vec![fault]);
        plan.perturbed = false;
        plan
    };
    faults.into_iter().map(alone).collect()
}

/// The plans with two faults each: every single fault with every other one.
pub fn pairs(singles: &[Plan]) -> impl Iterator<Item = Plan> + '_ {
    let pair = |first: &Plan, second: &Plan| {
        let faults = [first.faults.clone(), second.faults.clone()].concat();
        first.clone().with(faults)
    };
    singles.iter().enumerate().flat_map(move |(index, first)| {
        singles[index + 1..].iter().map(move |second| pair(first, second))
    })
}

/// Every append, with every way to die there.
fn journal(profile: &Profile, faults: &mut Vec<Fault>) {
    let ends = [
        Kind::Crash,
        Kind::PowerLoss { keep: 0 },
        Kind::PowerLoss { keep: 1 },
        Kind::Torn,
        Kind::Flipped,
        Kind::Truncated,
        Kind::Older,
    ];
    for number in 0..profile.appends {
        for moment in [Moment::Before, Moment::After, Moment::Sync] {
            let when = Trigger::Journal { number, moment };
            faults.extend(ends.iter().map(|end| Fault { when: when.clone(), what: end.clone() }));
        }
        let full = Trigger::Journal { number, moment: Moment::Before };
        faults.push(Fault { when: full, what: Kind::Full });
        let sync = Trigger::Journal { number, moment: Moment::Sync };
        faults.push(Fault { when: sync, what: Kind::SyncFails });
        let then = Trigger::Journal { number, moment: Moment::After };
        let held = Kind::Holds { scope: "everything".into(), ms: SPELL_MS };
        for what in [held, Kind::Leaves, Kind::Overrides, Kind::Archives] {
            faults.push(Fault { when: then.clone(), what });
        }
    }
    for number in 0..profile.effects {
        let when = Trigger::Effect { number };
        faults.extend(ends[..2].iter().map(|end| Fault { when: when.clone(), what: end.clone() }));
    }
}

/// Every call, with everything that can become of it.
fn calls(scenario: &Scenario, profile: &Profile, faults: &mut Vec<Fault>) {
    let mut kinds = of_calls(&mut Chance::of(0, "exhaust", 0));
    kinds.retain(|kind| !matches!(kind, Kind::Throttled { .. } | Kind::Drifted { .. }));
    let throttles =
        [RetryAfter::Missing, RetryAfter::Seconds(30), RetryAfter::Date(30), RetryAfter::Absurd];
    kinds.extend(throttles.map(|retry_after| Kind::Throttled { retry_after }));
    kinds.extend(DRIFTS.map(|how| Kind::Drifted { how }));
    kinds.extend([Kind::Crash, Kind::PowerLoss { keep: 0 }]);
    kinds.extend([Kind::Kill { actor: "run".into() }, Kind::Poisoned]);
    for (api, calls) in &profile.calls {
        let (name, ms) = (|| api.clone(), SPELL_MS);
        let mut kinds = kinds.clone();
        kinds.extend([
            Kind::Outage { api: name(), ms },
            Kind::Revoked { api: name(), ms },
            Kind::Quota { api: name(), calls: 0, ms },
            Kind::Stale { api: name(), ms },
        ]);
        let connector = format!("connectors/{api}");
        if profile.actors.iter().any(|(actor, _)| *actor == connector) {
            kinds.push(Kind::Kill { actor: connector });
        }
        if scenario.models.contains(api) {
            kinds.extend(MODEL_FAULTS.map(|how| Kind::Model { how }));
        }
        for number in 0..*calls {
            let when = Trigger::Call { api: api.clone(), number };
            faults
                .extend(kinds.iter().map(|kind| Fault { when: when.clone(), what: kind.clone() }));
        }
    }
}

/// Webhooks, decisions, actors and the clock.
fn rest(scenario: &Scenario, profile: &Profile, faults: &mut Vec<Fault>) {
    for number in 0..profile.webhooks {
        let kinds = of_webhooks(&mut Chance::of(0, "exhaust", 1)).into_iter();
        faults.extend(kinds.map(|what| Fault { when: Trigger::Webhook { number }, what }));
    }
    for number in 0..profile.decisions {
        let mut kinds =
            vec![Kind::DecidesTwice, Kind::DecidesStale, Kind::DecidesLate, Kind::Cancels];
        kinds.extend(scenario.deploys.is_some().then_some(Kind::Deploys));
        let kinds = kinds.into_iter();
        faults.extend(kinds.map(|what| Fault { when: Trigger::Decision { number }, what }));
    }
    let hour = 3_600_000;
    for number in (0..profile.appends).step_by(3) {
        let when = || Trigger::Journal { number, moment: Moment::After };
        for ms in [hour, -hour] {
            faults.push(Fault { when: when(), what: Kind::ClockJump { ms } });
        }
        faults.push(Fault { when: when(), what: Kind::Pause { ms: 5_000 } });
    }
    // Any actor may die at any moment; that of a run, after each of its records.
    for number in 0..profile.appends {
        let when = Trigger::Journal { number, moment: Moment::After };
        faults.push(Fault { when, what: Kind::Kill { actor: "run".into() } });
    }
    for (actor, comes_back) in &profile.actors {
        for number in (0..profile.appends).step_by(7) {
            let when = || Trigger::Journal { number, moment: Moment::After };
            faults.push(Fault { when: when(), what: Kind::Kill { actor: actor.clone() } });
            if *comes_back {
                faults.push(Fault { when: when(), what: Kind::Stop { actor: actor.clone() } });
            }
        }
    }
}
