//! Plans from seeds: which faults, how many, and where.
//!
//! Each seed enables some kinds and not others, so that every sweep holds plans in which one kind is alone and plans in which
//! many meet (Groce et al., "Swarm Testing", ISSTA 2012). Where a fault falls is drawn over what the scenario does when nothing
//! goes wrong: its [`Profile`]. Ends of the process are drawn most often where they hurt, at the instant the other side has
//! acted and around appends.

use std::collections::BTreeMap;

use crate::{
    chance::Chance,
    outcome::Outcome,
    plan::{Class, Drift, Fault, Kind, ModelFault, Moment, Plan, RetryAfter, Trigger},
    run::{Options, run},
    scenario::Scenario,
};

/// What a scenario does when nothing goes wrong: how often each of the things happens that a fault can meet.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Calls, by connector.
    pub calls: BTreeMap<String, u32>,
    /// Appends to the journal.
    pub appends: u32,
    /// Effects in the world.
    pub effects: u32,
    /// Decisions of the operator.
    pub decisions: u32,
    /// Deliveries of webhooks.
    pub webhooks: u32,
    /// Points where others may run first.
    pub points: u64,
    /// Virtual time that it takes.
    pub virtual_ms: u64,
    /// The actors that there are, by their paths beneath the root, and whether each comes back when it is stopped.
    pub actors: Vec<(String, bool)>,
}

/// The seed of profiles.
const PROFILE_SEED: u64 = 0;

impl Profile {
    /// The profile of `scenario` at `size`.
    ///
    /// # Errors
    ///
    /// The outcome, if something does not hold although nothing goes wrong.
    pub fn of(scenario: &Scenario, size: u32) -> Result<Self, Box<Outcome>> {
        let mut plan = Plan::calm(scenario.name(), PROFILE_SEED, size);
        plan.perturbed = false;
        let outcome = run(scenario, &plan, Options::default());
        if !outcome.is_well() {
            return Err(Box::new(outcome));
        }
        let Outcome { calls, appends, effects, points, virtual_ms, .. } = outcome;
        let (decisions, webhooks, actors) = (outcome.decisions, outcome.webhooks, outcome.actors);
        Ok(Self { calls, appends, effects, decisions, webhooks, points, virtual_ms, actors })
    }
}

/// The plan of `seed` at `size`.
#[must_use]
pub fn plan(scenario: &Scenario, profile: &Profile, seed: u64, size: u32) -> Plan {
    let mut draw = Draw { scenario, profile, chance: Chance::of(seed, "plan", 0), faults: vec![] };
    draw.calls();
    draw.apis();
    draw.webhooks();
    draw.actors();
    draw.process();
    draw.others();
    draw.versions(seed);
    draw.faults.sort();
    draw.faults.dedup();
    let mut plan = Plan::calm(scenario.name(), seed, size).with(draw.faults);
    plan.perturbed = draw.chance.percent(90);
    plan
}

struct Draw<'a> {
    scenario: &'a Scenario,
    profile: &'a Profile,
    chance: Chance,
    faults: Vec<Fault>,
}

impl Draw<'_> {
    fn add(&mut self, when: Trigger, what: Kind) {
        if self.scenario.faults.allows(&what) {
            self.faults.push(Fault { when, what });
        }
    }

    /// A connector that is called, and one of its calls or of those that retries will add.
    fn call(&mut self) -> Option<(String, Trigger)> {
        let called: Vec<(&String, &u32)> =
            self.profile.calls.iter().filter(|(_, calls)| **calls > 0).collect();
        if called.is_empty() {
            return None;
        }
        let (api, calls) = *self.chance.pick(&called);
        let number = below(&mut self.chance, calls + calls / 2 + 1);
        Some((api.clone(), Trigger::Call { api: api.clone(), number }))
    }

    fn calls(&mut self) {
        for kind in of_calls(&mut self.chance) {
            if !self.chance.percent(20) {
                continue;
            }
            for _ in 0..self.chance.between(1, 3) {
                let Some((_, when)) = self.call() else { return };
                self.add(when, kind.clone());
            }
        }
        for model in &self.scenario.models {
            let calls = self.profile.calls.get(model).copied().unwrap_or_default();
            for how in MODEL_FAULTS {
                if self.chance.percent(25) {
                    let number = below(&mut self.chance, calls + 2);
                    let when = Trigger::Call { api: model.clone(), number };
                    self.add(when, Kind::Model { how });
                }
            }
        }
    }

    fn moment(&mut self) -> Trigger {
        Trigger::At { ms: self.chance.below(self.profile.virtual_ms.max(1) + 5_000) }
    }

    fn apis(&mut self) {
        for which in 0..4 {
            if !self.chance.percent(20) {
                continue;
            }
            let Some((api, _)) = self.call() else { return };
            let ms = if self.chance.percent(70) {
                self.chance.between(1_000, 120_000)
            } else {
                self.chance.between(120_000, 1_800_000)
            };
            let calls = below(&mut self.chance, 4);
            let when = self.moment();
            let kind = match which {
                0 => Kind::Outage { api, ms },
                1 => Kind::Revoked { api, ms },
                2 => Kind::Quota { api, calls, ms },
                _ => Kind::Stale { api, ms },
            };
            self.add(when, kind);
        }
    }

    fn webhooks(&mut self) {
        if self.profile.webhooks == 0 {
            return;
        }
        for kind in of_webhooks(&mut self.chance) {
            if self.chance.percent(35) {
                let number = below(&mut self.chance, self.profile.webhooks + 1);
                self.add(Trigger::Webhook { number }, kind);
            }
        }
    }

    fn actors(&mut self) {
        if self.chance.percent(40) && !self.profile.actors.is_empty() {
            for _ in 0..self.chance.between(1, 3) {
                let (actor, comes_back) = match self.chance.percent(30) {
                    true => ("run".to_owned(), false),
                    false => self.chance.pick(&self.profile.actors).clone(),
                };
                let when = self.anywhere();
                let kind = match comes_back && self.chance.percent(20) {
                    true => Kind::Stop { actor },
                    false => Kind::Kill { actor },
                };
                self.add(when, kind);
            }
        }
        if self.chance.percent(10) {
            let when = self.anywhere();
            self.add(when, Kind::Poisoned);
        }
        if self.chance.percent(25) {
            let when = self.anywhere();
            let ms = self.chance.between(1, 20_000);
            self.add(when, Kind::Pause { ms });
        }
    }

    /// Any moment at which the kernel does something.
    fn anywhere(&mut self) -> Trigger {
        match self.chance.below(4) {
            0 => self.moment(),
            1 => self.append(),
            2 => Trigger::Point { number: self.chance.below(self.profile.points + 50) },
            _ => self.call().map_or_else(|| Trigger::At { ms: 0 }, |(_, when)| when),
        }
    }

    fn append(&mut self) -> Trigger {
        let number = below(&mut self.chance, self.profile.appends + self.profile.appends / 2 + 1);
        let moment = *self.chance.pick(&[Moment::Before, Moment::After]);
        Trigger::Journal { number, moment }
    }

    fn process(&mut self) {
        let (low, high) =
            (*self.scenario.faults.crashes.start(), *self.scenario.faults.crashes.end());
        for _ in 0..self.chance.between(low.into(), high.into()) {
            let when = match self.chance.below(10) {
                0..=3 if self.profile.effects > 0 => {
                    Trigger::Effect { number: below(&mut self.chance, self.profile.effects + 1) }
                }
                0..=7 => self.append(),
                _ => self.anywhere(),
            };
            let keep = below(&mut self.chance, 4);
            let kind = match self.chance.below(10) {
                0..=3 => Kind::Crash,
                4..=7 => Kind::PowerLoss { keep },
                8 => Kind::Torn,
                _ => self.chance.pick(&[Kind::Flipped, Kind::Truncated, Kind::Older]).clone(),
            };
            self.add(when, kind);
        }
        for (kind, moment) in [(Kind::SyncFails, Moment::Sync), (Kind::Full, Moment::Before)] {
            if self.chance.percent(8) {
                let number = below(&mut self.chance, self.profile.appends + 1);
                self.add(Trigger::Journal { number, moment }, kind);
            }
        }
    }

    fn others(&mut self) {
        if self.chance.percent(15) {
            let far = i64::try_from(self.chance.between(1_000, 7_200_000)).unwrap_or(0);
            let ms = if self.chance.percent(50) { far } else { -far };
            let when = self.anywhere();
            self.add(when, Kind::ClockJump { ms });
        }
        if !self.scenario.asks {
            return;
        }
        for kind in [Kind::Leaves, Kind::Retries, Kind::Overrides, Kind::Archives] {
            if self.chance.percent(8) {
                let when = self.anywhere();
                self.add(when, kind);
            }
        }
        if self.chance.percent(15) {
            let when = self.anywhere();
            let ms = self.chance.between(1_000, 120_000);
            let scope = match self.chance.below(3) {
                0 => "everything".to_owned(),
                1 => "run".to_owned(),
                _ => self
                    .call()
                    .map_or_else(|| "everything".to_owned(), |(api, _)| format!("connector:{api}")),
            };
            self.add(when, Kind::Holds { scope, ms });
        }
        for kind in [
            Kind::DecidesTwice,
            Kind::DecidesStale,
            Kind::DecidesLate,
            Kind::Cancels,
            Kind::Deploys,
        ] {
            let is_there = kind != Kind::Deploys || self.scenario.deploys.is_some();
            if is_there && self.profile.decisions > 0 && self.chance.percent(20) {
                let number = below(&mut self.chance, self.profile.decisions + 1);
                self.add(Trigger::Decision { number }, kind);
            }
        }
    }

    /// New versions are tried. This is drawn for itself, so that everything else in the plan of a seed is as it was without.
    fn versions(&mut self, seed: u64) {
        let others = std::mem::replace(&mut self.chance, Chance::of(seed, "versions", 0));
        for (kind, percent) in [(Kind::Shares, 20), (Kind::Shadows, 10)] {
            if self.scenario.asks && self.chance.percent(percent) {
                let when = self.anywhere();
                self.add(when, kind);
            }
        }
        self.chance = others;
    }
}

fn below(chance: &mut Chance, limit: u32) -> u32 {
    u32::try_from(chance.below(limit.into())).expect("it is below a limit of 32 bits")
}

/// One fault of each kind of a call.
pub(crate) fn of_calls(chance: &mut Chance) -> Vec<Kind> {
    let retry_after = *chance.pick(&[
        RetryAfter::Missing,
        RetryAfter::Seconds(chance.clone().between(1, 90)),
        RetryAfter::Date(chance.clone().between(1, 90)),
        RetryAfter::Absurd,
    ]);
    let how = *chance.pick(&DRIFTS);
    vec![
        Kind::Slow { ms: chance.between(500, 50_000) },
        Kind::Refused,
        Kind::Unresolved,
        Kind::Untrusted,
        Kind::LostBefore,
        Kind::LostAfter,
        Kind::ResetBefore,
        Kind::ResetAfter,
        Kind::Stalled,
        Kind::Throttled { retry_after },
        Kind::Unavailable,
        Kind::Declined,
        Kind::Unauthorised,
        Kind::ClockRefused,
        Kind::Garbled,
        Kind::WrongType,
        Kind::Drifted { how },
        Kind::Panic,
    ]
}

/// One fault of each kind of a webhook.
pub(crate) fn of_webhooks(chance: &mut Chance) -> Vec<Kind> {
    let ms = chance.between(1_000, 300_000);
    vec![Kind::Duplicate, Kind::Reordered, Kind::Late { ms }, Kind::Lost]
}

/// The ways in which a shape can differ.
pub(crate) const DRIFTS: [Drift; 5] =
    [Drift::Missing, Drift::Renamed, Drift::Null, Drift::Retyped, Drift::NewValue];

/// The ways in which a model can answer badly.
pub(crate) const MODEL_FAULTS: [ModelFault; 8] = [
    ModelFault::Refusal,
    ModelFault::Overlong,
    ModelFault::BadTool,
    ModelFault::WrongTool,
    ModelFault::Injected,
    ModelFault::Prose,
    ModelFault::NoUsage,
    ModelFault::Retired,
];

/// The names of the kinds that plans of `scenario` can hold.
pub(crate) fn kinds(scenario: &Scenario) -> Vec<String> {
    let is_there = |kind: &Kind| match kind.class() {
        Class::Model => !scenario.models.is_empty(),
        Class::Webhook => scenario.has_webhooks,
        Class::Operator if *kind == Kind::Deploys => scenario.asks && scenario.deploys.is_some(),
        Class::Operator => scenario.asks,
        Class::Call | Class::Api | Class::Actor | Class::Process | Class::Disk | Class::Clock => {
            true
        }
    };
    let each = Kind::each().into_iter();
    each.filter(|kind| is_there(kind) && scenario.faults.allows(kind))
        .map(|kind| kind.name())
        .collect()
}
