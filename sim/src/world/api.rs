//! The other side of a connector, for a while: down, closed to us, short of calls, behind with what it shows.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use soloist_connectors::Rate;
use soloist_kernel::{gate::HOLD_MAX, labels::Labeled, payload::Payload, time::Timestamp};

use super::{BEGIN, State};

/// How long after the other side has asked for peace a call may still leave that was let through before: it waits for the
/// answer to arrive, for other limits, and for its intent to be fsynced.
const HEARD_MS: u64 = 6_000;

/// What is the matter with an API.
#[derive(Debug, Default)]
pub(crate) struct Api {
    /// Calls so far.
    pub(crate) calls: u32,
    down_until_ms: u64,
    revoked_until_ms: u64,
    stale_until_ms: u64,
    /// Calls that are left, and until when that counts.
    quota: Option<(u32, u64)>,
    /// What it last answered to what, for when it shows no more than that.
    shown: BTreeMap<String, Labeled<Payload>>,
    /// When calls left lately, for its limit.
    left: VecDeque<u64>,
    /// Since when and until when it wants no calls, and which process it told so.
    held: Option<(u64, u64, u32)>,
}

/// Why the other side does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Down,
    Revoked,
    Exhausted { until_ms: u64 },
}

impl Api {
    pub(super) fn outage(&mut self, until_ms: u64) {
        self.down_until_ms = self.down_until_ms.max(until_ms);
    }

    pub(super) fn revoke(&mut self, until_ms: u64) {
        self.revoked_until_ms = self.revoked_until_ms.max(until_ms);
    }

    pub(super) fn stale(&mut self, until_ms: u64) {
        self.stale_until_ms = self.stale_until_ms.max(until_ms);
    }

    pub(super) fn quota(&mut self, calls: u32, until_ms: u64) {
        self.quota = Some((calls, until_ms));
    }

    /// It asks the process `epoch` to come back no sooner than at `retry_at`, of which the kernel believes an hour.
    pub(crate) fn hold(&mut self, retry_at: Timestamp, now_ms: u64, epoch: u32) {
        let believed_ms = now_ms + u64::try_from(HOLD_MAX.as_millis()).unwrap_or(u64::MAX);
        let until_ms = BEGIN.until(retry_at).as_millis();
        let until_ms = u64::try_from(until_ms).unwrap_or(u64::MAX).min(believed_ms);
        self.held = Some((now_ms, until_ms, epoch));
    }

    /// Until when it wants no calls, if that is long known to the process `epoch`: a call that was let through before is made.
    pub(crate) fn held(&self, now_ms: u64, epoch: u32) -> Option<u64> {
        let (since_ms, until_ms, told) = self.held?;
        let is_held = told == epoch && now_ms >= since_ms + HEARD_MS && now_ms < until_ms;
        is_held.then_some(until_ms)
    }

    /// Everything is well again.
    pub(super) fn mend(&mut self) {
        (self.down_until_ms, self.revoked_until_ms, self.stale_until_ms) = (0, 0, 0);
        self.quota = None;
    }

    /// What it shows to who asks `asked`: the `answer`, or what it answered before, if what was written lately is not shown yet.
    pub(crate) fn shows(
        &mut self,
        asked: String,
        answer: Labeled<Payload>,
        now_ms: u64,
    ) -> Labeled<Payload> {
        if now_ms < self.stale_until_ms
            && let Some(before) = self.shown.get(&asked)
        {
            return before.clone();
        }
        self.shown.insert(asked, answer.clone());
        answer
    }

    /// A request arrives.
    pub(crate) fn arrives(&mut self, now_ms: u64) -> Result<(), Refused> {
        if now_ms < self.down_until_ms {
            return Err(Refused::Down);
        }
        if now_ms < self.revoked_until_ms {
            return Err(Refused::Revoked);
        }
        match &mut self.quota {
            Some((_, until_ms)) if now_ms >= *until_ms => self.quota = None,
            Some((0, until_ms)) => return Err(Refused::Exhausted { until_ms: *until_ms }),
            Some((calls, _)) => *calls -= 1,
            None => {}
        }
        Ok(())
    }

    /// A call leaves. Returns how many have left within the limit's time, if that is too many.
    pub(crate) fn leaves(&mut self, now_ms: u64, rate: &Rate) -> Option<usize> {
        let per = u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX);
        while self.left.front().is_some_and(|at| at + per <= now_ms) {
            self.left.pop_front();
        }
        self.left.push_back(now_ms);
        (self.left.len() > rate.calls as usize).then_some(self.left.len())
    }
}

impl State {
    /// What is the matter with `api`.
    pub(crate) fn api(&mut self, api: &str) -> &mut Api {
        if !self.apis.contains_key(api) {
            self.apis.insert(api.to_owned(), Api::default());
        }
        self.apis.get_mut(api).expect("it was just put there")
    }
}

/// A wait of so many milliseconds.
pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
