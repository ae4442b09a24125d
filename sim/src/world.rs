//! The world that outlives the kernel's processes: its clock, its faults, what happened in it, and who is watching.
//!
//! One [`World`] is one simulation. Processes come and go in it, an *epoch* each. What a process does reaches the world
//! through an [`Access`], which is fenced: once its epoch is over, nothing that it does is heard any more, so that a crash is
//! instantaneous for everyone outside.

mod api;
mod faults;
mod paid;
mod told;
mod under_way;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use soloist_kernel::{journal::Seq, time::Timestamp};
use tokio::{sync::Notify, time::Instant};

pub(crate) use self::{
    api::{Api, Refused, millis},
    faults::Strike,
    paid::Paid,
    told::Told,
    under_way::UnderWay,
};
use crate::{
    chance::Chance,
    check::journal::Watch,
    outcome::Violation,
    plan::{Kind, Plan},
    trace::{Rolling, Trace, What},
};

/// When every simulation begins: a Monday, 06:13:20 UTC.
pub const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// Longest detail of an effect that a trace repeats, in characters: a mail has many more.
const DETAIL_CHARS_MAX: usize = 120;

/// The world of one simulation. Cloning it is cheap.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// A process' way into the world, until its epoch is over.
#[derive(Clone)]
pub struct Access {
    world: World,
    epoch: u32,
}

/// Something that happened in the world, as the other side counts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// What happened: `payments.charge`.
    pub operation: String,
    /// The identity it came with.
    pub key: String,
    /// What it was: a receipt, a message.
    pub detail: Value,
    /// When, in milliseconds of virtual time.
    pub at_ms: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) by: Kind,
}

pub(crate) struct State {
    pub(crate) plan: Plan,
    fired: Vec<bool>,
    pub(crate) epoch: u32,
    /// Virtual time before this epoch.
    base_ms: u64,
    begun: Option<Instant>,
    /// How far the clock on the wall is off.
    skew_ms: i64,
    /// How far it has jumped ahead, in all.
    ahead_ms: u64,
    pub(crate) dead: Option<Death>,
    died: Arc<Notify>,
    ordered: Arc<Notify>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) trace: Trace,
    pub(crate) apis: BTreeMap<String, Api>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) watch: Watch,
    pub(crate) appends: u32,
    pub(crate) syncs: u64,
    points: u64,
    /// Points at one moment of virtual time, and when.
    at_once: (u64, u64),
    /// The order in which records were appended, as a hash.
    pub(crate) interleaving: Rolling,
    pub(crate) decisions: u32,
    pub(crate) webhooks: u32,
    pub(crate) coverage: BTreeMap<String, u64>,
    pub(crate) violations: Vec<Violation>,
    /// How long whoever comes next to a point waits there.
    pause_ms: u64,
    /// Actors to be killed or stopped.
    orders: Vec<Kind>,
    /// What the operator is to do wrong at the next opportunity.
    pub(crate) moods: Vec<Kind>,
    /// Runs whose start was acknowledged.
    pub(crate) acknowledged_runs: BTreeSet<String>,
    /// Webhooks that were acknowledged.
    pub(crate) delivered: BTreeSet<String>,
    /// Writes that are being attempted.
    pub(crate) writes_under_way: UnderWay,
    /// What was said of writes and changes.
    pub(crate) told: Told,
    /// What was called for.
    pub(crate) paid: Paid,
    /// Calls past the kernel.
    pub(crate) sdk_calls: u64,
    /// Whether it is of no use to go on.
    pub(crate) stuck: bool,
    /// Whether the disk takes nothing more.
    failed_disk: bool,
    /// How often something of this name was seen: what sometimes-assertions ask for.
    pub(crate) seen: BTreeMap<String, u64>,
    /// What was said of what: see [`World::said_otherwise`].
    said: BTreeMap<String, String>,
    /// Whether a new version was deployed.
    pub(crate) deployed: bool,
}

impl World {
    /// The world of `plan`, before its first process.
    pub(crate) fn new(plan: Plan, keep_trace: bool) -> Self {
        let fired = vec![false; plan.faults.len()];
        Self(Arc::new(Mutex::new(State {
            plan,
            fired,
            epoch: 0,
            base_ms: 0,
            begun: None,
            skew_ms: 0,
            ahead_ms: 0,
            dead: None,
            died: Arc::default(),
            ordered: Arc::default(),
            calm: false,
            trace: Trace::new(keep_trace),
            apis: BTreeMap::new(),
            effects: vec![],
            watch: Watch::default(),
            appends: 0,
            syncs: 0,
            points: 0,
            at_once: (0, 0),
            interleaving: Rolling::default(),
            decisions: 0,
            webhooks: 0,
            coverage: BTreeMap::new(),
            violations: vec![],
            pause_ms: 0,
            orders: vec![],
            moods: vec![],
            acknowledged_runs: BTreeSet::new(),
            delivered: BTreeSet::new(),
            writes_under_way: UnderWay::default(),
            told: Told::default(),
            paid: Paid::default(),
            sdk_calls: 0,
            stuck: false,
            failed_disk: false,
            seen: BTreeMap::new(),
            said: BTreeMap::new(),
            deployed: false,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a connector is part of the plan, and nothing is left half done by one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next process begins. To be called within its runtime.
    pub(crate) fn enter(&self) -> Access {
        let mut state = self.state();
        state.epoch += 1;
        state.begun = Some(Instant::now());
        state.dead = None;
        state.died = Arc::default();
        state.ordered = Arc::default();
        (state.pause_ms, state.orders, state.failed_disk) = (0, vec![], false);
        state.writes_under_way.end_all();
        let epoch = state.epoch;
        state.line("process", What::Process, format_args!("process {epoch} starts"));
        Access { world: self.clone(), epoch }
    }

    /// So much time has passed before the first process.
    pub(crate) fn begins_at(&self, ms: u64) {
        self.state().base_ms = ms;
    }

    /// The process is over, and so much time passes until the next. To be called within its runtime.
    pub(crate) fn leave(&self, downtime_ms: u64) {
        let mut state = self.state();
        state.base_ms = state.now_ms() + downtime_ms;
        state.begun = None;
    }

    /// Nothing goes wrong any more, and everything that was broken is mended.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        state.calm = true;
        state.moods.clear();
        state.pause_ms = 0;
        for api in state.apis.values_mut() {
            api.mend();
        }
        state.line("process", What::Process, format_args!("the faults are over"));
    }

    /// The seed of the simulation.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.state().plan.seed
    }

    /// How much work there is.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.state().plan.size
    }

    /// Chance for `label` and `number`.
    #[must_use]
    pub fn chance(&self, label: &str, number: u64) -> Chance {
        Chance::of(self.seed(), label, number)
    }

    /// Virtual time since the beginning, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.state().now_ms()
    }

    /// The time as it is, whatever the clock of a process says.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp(BEGIN.0 + self.now_ms())
    }

    /// The time, and as much as the clock of a process has jumped ahead.
    pub(crate) fn time_ahead(&self) -> Timestamp {
        let state = self.state();
        Timestamp(BEGIN.0 + state.now_ms() + state.ahead_ms)
    }

    /// What happened in the world, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// What happened of `operation`, oldest first.
    #[must_use]
    pub fn effects_of(&self, operation: &str) -> Vec<Effect> {
        let state = self.state();
        state.effects.iter().filter(|effect| effect.operation == operation).cloned().collect()
    }

    /// What was said of `what` before in this process, if that was not `value`: for what has to stay as it is.
    #[must_use]
    pub fn said_otherwise(&self, what: &str, value: &str) -> Option<String> {
        let mut state = self.state();
        let place = format!("{}: {what}", state.epoch);
        let before = state.said.entry(place).or_insert_with(|| value.to_owned());
        (before != value).then(|| before.clone())
    }

    /// Which process it is, counted from one.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.state().epoch
    }

    /// Notes that something worth a sometimes-assertion was seen.
    pub fn saw(&self, what: &str) {
        *self.state().seen.entry(what.to_owned()).or_default() += 1;
    }

    /// How often something was seen: by [`saw`](Self::saw), or one of the names in the guide.
    #[must_use]
    pub fn seen(&self, what: &str) -> u64 {
        self.state().seen.get(what).copied().unwrap_or_default()
    }

    /// Notes that `invariant` does not hold.
    pub fn violated(&self, invariant: &str, what: impl fmt::Display) {
        self.state().violated(invariant, what);
    }
}

impl State {
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.begun.map_or(0, |begun| begun.elapsed().as_millis());
        self.base_ms + u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// The time on the wall, which may be off.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp((BEGIN.0 + self.now_ms()).saturating_add_signed(self.skew_ms))
    }

    pub(crate) fn line(&mut self, lane: &str, what: What, text: fmt::Arguments<'_>) {
        let (at, epoch) = (self.now_ms(), self.epoch);
        self.trace.line(at, epoch, lane, what, text);
    }

    pub(crate) fn violated(&mut self, invariant: &str, what: impl fmt::Display) {
        let what = what.to_string();
        self.line("process", What::Violation, format_args!("{invariant}: {what}"));
        let (at_ms, epoch) = (self.now_ms(), self.epoch);
        self.violations.push(Violation { invariant: invariant.to_owned(), what, at_ms, epoch });
    }

    /// `what` is acknowledged, and rests on a record that is `unsynced`, if on one.
    pub(crate) fn acknowledged(&mut self, what: impl fmt::Display, unsynced: Option<Seq>) {
        if let Some(seq) = unsynced {
            let what = format!("{what} was acknowledged before record {seq} was fsynced");
            self.violated("acknowledged-durable", what);
        }
    }

    pub(crate) fn saw(&mut self, what: &str) {
        match self.seen.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.seen.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn chance(&self, label: &str, number: u64) -> Chance {
        Chance::of(self.plan.seed, label, number)
    }

    pub(crate) fn points(&self) -> u64 {
        self.points
    }

    /// Whether the clock on the wall has jumped.
    pub(crate) fn has_jumped(&self) -> bool {
        self.skew_ms != 0
    }

    /// Something happened in the world.
    pub(crate) fn happened(&mut self, operation: String, key: String, detail: Value) {
        let number = self.effects.len();
        let lane = operation.split('.').next().unwrap_or_default().to_owned();
        let shown: String = detail.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        self.line(&lane, What::Effect, format_args!("effect {number}: {operation} {key} {shown}"));
        let of_key = |effect: &Effect| effect.operation == operation && effect.key == key;
        if self.effects.iter().any(of_key) {
            self.violated("effect-once", format_args!("{operation} {key} happened again"));
        }
        let at_ms = self.now_ms();
        self.effects.push(Effect { operation, key, detail, at_ms });
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.strike(&Strike::Effect(number));
    }

    /// Whether something happened under `key`.
    pub(crate) fn has_happened(&self, key: &str) -> bool {
        self.effects.iter().any(|effect| effect.key == key)
    }
}

impl Access {
    /// The world, however its processes are.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Does something in the world, unless the epoch is over.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.world.state();
        let lives = state.epoch == self.epoch && state.dead.is_none() && state.begun.is_some();
        lives.then(|| work(&mut state))
    }

    /// Which process it is.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The disk takes nothing more of this process.
    pub(crate) fn disk_fails(&self) {
        self.with(|state| state.failed_disk = true);
    }

    /// Whether the disk took nothing more of this process.
    pub(crate) fn has_failed_disk(&self) -> bool {
        self.world.state().failed_disk
    }

    /// Whether the process lives.
    pub(crate) fn is_alive(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    /// The time on the wall. For a process that is dead it stands still.
    pub(crate) fn wall(&self) -> Timestamp {
        self.world.state().wall()
    }

    /// Returns when the process dies.
    pub(crate) async fn death(&self) -> Death {
        loop {
            let (dead, died) = {
                let state = self.world.state();
                (state.dead.clone(), state.died.clone())
            };
            if let Some(death) = dead {
                return death;
            }
            died.notified().await;
        }
    }

    /// Returns with the next actors that are to be killed or stopped.
    pub(crate) async fn orders(&self) -> Vec<Kind> {
        loop {
            let (orders, ordered) = {
                let mut state = self.world.state();
                (std::mem::take(&mut state.orders), state.ordered.clone())
            };
            if !orders.is_empty() {
                return orders;
            }
            ordered.notified().await;
        }
    }

    /// A point where others may run first. What the seed says decides how many do.
    pub(crate) async fn perturb(&self) {
        let Some((yields, pause_ms)) = self.with(State::point) else {
            return std::future::pending().await;
        };
        if pause_ms > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if !self.is_alive() {
            std::future::pending().await
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
