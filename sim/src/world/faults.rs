//! How the faults of the plan come into the world.

use soloist_connectors::clock::STEP_BACK_MAX;

use super::{Death, State};
use crate::{
    chance::Chance,
    plan::{Class, Kind, Moment, Trigger},
    trace::What,
};

/// An occasion for faults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Strike<'a> {
    /// Call `number` to `api`; for an attempt of a write, with its key.
    Call {
        api: &'a str,
        number: u32,
        attempt: Option<(&'a str, u32)>,
        state: &'a str,
    },
    Effect(u32),
    Journal {
        number: u32,
        moment: Moment,
        state: &'a str,
        /// The run whose record it is, if it is one's.
        run: Option<&'a str>,
    },
    Time,
    Point(u64),
    Decision(u32),
    Webhook(u32),
}

impl Strike<'_> {
    fn meets(&self, trigger: &Trigger, now_ms: u64) -> bool {
        match (self, trigger) {
            (Self::Call { api, number, .. }, Trigger::Call { api: wanted, number: at }) => {
                api == wanted && number == at
            }
            (
                Self::Call { attempt: Some((key, attempt)), .. },
                Trigger::Attempt { key: wanted, attempt: at },
            ) => key == wanted && attempt == at,
            (Self::Effect(number), Trigger::Effect { number: at })
            | (Self::Decision(number), Trigger::Decision { number: at })
            | (Self::Webhook(number), Trigger::Webhook { number: at }) => number == at,
            (
                Self::Journal { number, moment, .. },
                Trigger::Journal { number: at, moment: wanted },
            ) => number == at && moment == wanted,
            (Self::Time, Trigger::At { ms }) => *ms <= now_ms,
            (Self::Point(number), Trigger::Point { number: at }) => number == at,
            _ => false,
        }
    }

    /// Where a run's record is what strikes, that run is meant; else any is.
    fn aimed(&self, kind: Kind) -> Kind {
        let Self::Journal { run: Some(run), .. } = self else { return kind };
        let actor = || format!("runs/{run}");
        match kind {
            Kind::Kill { actor: any } if any == "run" => Kind::Kill { actor: actor() },
            Kind::Stop { actor: any } if any == "run" => Kind::Stop { actor: actor() },
            kind => kind,
        }
    }

    /// What the world was at when it was struck: one half of what coverage counts.
    fn state(&self) -> &str {
        match self {
            Self::Call { state, .. } | Self::Journal { state, .. } => state,
            Self::Effect(_) => "effect",
            Self::Time => "time",
            Self::Point(_) => "point",
            Self::Decision(_) => "decision",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl State {
    /// The faults that the plan has for this occasion happen: what concerns the world at once; what concerns a call or a
    /// delivery is returned.
    pub(crate) fn strike(&mut self, strike: &Strike<'_>) -> Vec<Kind> {
        let mut own = vec![];
        if self.calm || self.dead.is_some() {
            return own;
        }
        let now_ms = self.now_ms();
        for index in 0..self.plan.faults.len() {
            if self.fired[index] || !strike.meets(&self.plan.faults[index].when, now_ms) {
                continue;
            }
            self.fired[index] = true;
            let kind = self.plan.faults[index].what.clone();
            self.line("process", What::Fault, format_args!("{kind} ({})", strike.state()));
            let covered = format!("{} × {}", kind.name(), strike.state());
            *self.coverage.entry(covered).or_default() += 1;
            if let Some(kind) = self.happens(strike.aimed(kind), now_ms) {
                own.push(kind);
            }
        }
        own
    }

    /// A fault happens. Returns what is the business of whoever was struck.
    fn happens(&mut self, kind: Kind, now_ms: u64) -> Option<Kind> {
        match &kind {
            Kind::Outage { api, ms } => self.api(api).outage(now_ms + ms),
            Kind::Revoked { api, ms } => self.api(api).revoke(now_ms + ms),
            Kind::Quota { api, calls, ms } => self.api(api).quota(*calls, now_ms + ms),
            Kind::Stale { api, ms } => self.api(api).stale(now_ms + ms),
            Kind::ClockJump { ms } => self.jump(*ms),
            Kind::Pause { ms } => self.pause_ms += ms,
            Kind::Poisoned
            | Kind::Kill { .. }
            | Kind::Stop { .. }
            | Kind::Leaves
            | Kind::Retries
            | Kind::Overrides
            | Kind::Archives
            | Kind::Shares
            | Kind::Shadows
            | Kind::Holds { .. } => {
                self.orders.push(kind);
                self.ordered.notify_one();
            }
            _ => match kind.class() {
                Class::Process | Class::Disk if !matches!(kind, Kind::SyncFails | Kind::Full) => {
                    self.die(kind);
                }
                Class::Operator => self.moods.push(kind),
                _ => return Some(kind),
            },
        }
        None
    }

    /// The clock on the wall jumps. It never comes to be further behind than the kernel catches up with.
    pub(crate) fn jump(&mut self, ms: i64) {
        self.ahead_ms += u64::try_from(ms).unwrap_or(0);
        let ahead = i64::try_from(self.ahead_ms).unwrap_or(i64::MAX);
        let back_max = i64::try_from(STEP_BACK_MAX.as_millis()).unwrap_or(i64::MAX);
        self.skew_ms = (self.skew_ms + ms).max(ahead - back_max);
    }

    /// The process is dead from now on.
    pub(crate) fn die(&mut self, by: Kind) {
        if self.dead.is_none() {
            self.line("process", What::Process, format_args!("the process ends: {by}"));
            self.deployed |= by == Kind::Deploys;
            self.dead = Some(Death { by });
            self.died.notify_one();
        }
    }

    /// Faults that have happened.
    pub(crate) fn fired(&self) -> usize {
        self.fired.iter().filter(|fired| **fired).count()
    }

    /// When the next fault is due whose time is known.
    pub(crate) fn next_at_ms(&self) -> Option<u64> {
        if self.calm {
            return None;
        }
        let open = self.plan.faults.iter().zip(&self.fired).filter(|(_, fired)| !**fired);
        let at = |(fault, _): (&crate::plan::Fault, _)| match fault.when {
            Trigger::At { ms } => Some(ms),
            _ => None,
        };
        open.filter_map(at).min()
    }

    /// Somebody has come to a point where others may run first: how many do, and how long it waits before.
    pub(super) fn point(&mut self) -> (u64, u64) {
        let number = self.points;
        self.points += 1;
        self.spins();
        self.strike(&Strike::Point(number));
        let pause_ms = std::mem::take(&mut self.pause_ms);
        if !self.plan.perturbed {
            return (0, pause_ms);
        }
        let yields = Chance::of(self.plan.seed, "point", number).below(YIELDS_MAX);
        (yields, pause_ms)
    }

    /// Virtual time stands still while anybody has something to do, so whoever never stops stops it for good.
    fn spins(&mut self) {
        let now_ms = self.now_ms();
        let (at, count) = self.at_once;
        self.at_once = if at == now_ms { (at, count + 1) } else { (now_ms, 0) };
        if count == AT_ONCE_MAX || self.points == POINTS_MAX {
            self.goes_round("messages go round and round, and nothing comes of it");
        }
    }

    /// An append is about to be taken: its number.
    pub(crate) fn appends(&mut self) -> u32 {
        let number = self.appends;
        self.appends += 1;
        if number == APPENDS_MAX {
            self.goes_round("records are appended without end");
        }
        number
    }

    fn goes_round(&mut self, what: &str) {
        self.violated("liveness", what);
        self.stuck = true;
        self.die(Kind::Crash);
    }
}

/// Points in one simulation after which it is clear as well, for those who wait a little each time.
const POINTS_MAX: u64 = 400_000;

/// Appends in one simulation after which it is clear as well: most take some hundreds.
const APPENDS_MAX: u32 = 5_000;

/// Points at one moment after which it is clear that somebody goes round in circles. What a start sets going is some hundreds.
const AT_ONCE_MAX: u64 = 20_000;

/// Most turns that whoever comes to a point lets pass, plus one. With eight, all 120 orders of five senders are found.
const YIELDS_MAX: u64 = 8;
