//! Whether the other side is well enough to be called.
//!
//! Its rule: **only what was asked since the last turn counts**. A call is admitted with a [`Permit`] of the current epoch;
//! each probe begins a new one, and the end of a permit of an old epoch changes nothing. So a call that was slow to fail
//! cannot open a breaker that has just closed, and the answer to a probe that was given up cannot be taken for the answer to
//! the next.
//!
//! ```text
//!            too many failed or slow
//!   closed ───────────────────────────► open, for 5 s · 2ⁿ
//!      ▲                                 │        ▲
//!      │ the probe succeeded      time   ▼        │ the probe failed: n + 1
//!      └────────────────────────── half-open ─────┘
//! ```
//!
//! Half-open lets one probe through, on a lease: a probe whose caller vanished is given up when the lease is over, and the
//! next caller probes.

mod policy;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Refused, recent::Recent};
use crate::{
    codec,
    fault::{self, Fault, FaultClass},
    mutant::{Mutant, planted},
    time::Timestamp,
};

pub use policy::BreakerPolicy;

/// The version of the stored breaker.
const BREAKER_VERSION: u16 = 1;

/// How a call ended, as far as the breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The other side works, whatever it said.
    Succeeded,
    /// The other side is not well, or cannot be reached.
    Failed,
    /// It says nothing about how well the other side is.
    Neutral,
    /// The caller gave up or died before there was an end.
    Cancelled,
}

impl CallEnd {
    /// What `result` says about the other side. A refusal is a sign of health if the other side made it; a request that was
    /// refused before it left says nothing.
    #[must_use]
    pub fn of<T>(result: Result<T, &Fault>) -> Self {
        let Err(fault) = result else { return Self::Succeeded };
        match fault.class {
            FaultClass::Transient | FaultClass::Deadline | FaultClass::Crash | FaultClass::Bug => {
                Self::Failed
            }
            // The limiter, whoever keeps the credential and whoever pays act on these.
            FaultClass::Throttled | FaultClass::Auth | FaultClass::OverBudget => Self::Neutral,
            FaultClass::Declined | FaultClass::Invalid => match fault.phase {
                fault::Phase::Answered => Self::Succeeded,
                fault::Phase::NotSent | fault::Phase::MaybeSent => Self::Neutral,
            },
        }
    }
}

/// The right to make one call. It goes back with [`Breaker::ended`], however the call ended.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq, Eq))]
#[must_use = "a probe that is dropped holds everyone up until its lease is over"]
pub struct Permit {
    epoch: u64,
    admitted_at: Timestamp,
    is_probe: bool,
}

impl Permit {
    /// Whether this call finds out if the other side is well again: nobody else is admitted meanwhile.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }
}

/// What a breaker does with calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It admits them.
    Closed,
    /// It refuses them.
    Open {
        /// Until then.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// It admits one at a time, to find out.
    HalfOpen,
}

/// A turn of the breaker, which is worth a record and a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It refuses calls now.
    Opened {
        /// Until then.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// It admits calls again.
    Closed,
}

/// The breaker of one connector, operation class and credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// What it stands before. Two breakers that open at the same time do not probe at the same time.
    name: String,
    /// Probes so far. Who was admitted before the newest of them has nothing to say any more.
    epoch: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed(Tally),
    Open(Opening),
}

/// What the calls since it closed came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    consecutive: u32,
    /// Calls that ended with a verdict, how many of them failed, how many were slow; dated by their admission.
    recent: Option<Recent<3>>,
}

/// Open or half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Opening {
    at: Timestamp,
    wait: Duration,
    /// What it opened for in the first place.
    reason: String,
    /// Probes that failed since.
    probes_failed: u32,
    /// When the probe was admitted that is under way. Its caller does not survive the process.
    #[serde(skip)]
    probe: Option<Timestamp>,
}

impl Breaker {
    /// A closed breaker before `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), epoch: 0, state: State::Closed(Tally::default()) }
    }

    /// Admits a call, or says why not.
    ///
    /// # Errors
    ///
    /// [`Refused`] while it is open, and while another call is its probe.
    pub fn admit(&mut self, policy: &BreakerPolicy, now: Timestamp) -> Result<Permit, Refused> {
        let is_probe = match &mut self.state {
            State::Closed(_) => false,
            State::Open(opening) => {
                opening.hold(policy, now);
                if planted(Mutant::BreakerNeverCloses) {
                    return Err(Refused {
                        until: now.after(opening.wait),
                        reason: opening.reason(),
                    });
                }
                opening.refusal(policy, now).map_or(Ok(()), Err)?;
                opening.probe = Some(now);
                self.epoch += 1;
                true
            }
        };
        Ok(Permit { epoch: self.epoch, admitted_at: now, is_probe })
    }

    /// Takes back the permit of a call that has ended, and says if that turned the breaker.
    pub fn ended(
        &mut self,
        permit: Permit,
        end: CallEnd,
        policy: &BreakerPolicy,
        now: Timestamp,
    ) -> Option<Turned> {
        if permit.epoch != self.epoch {
            return None;
        }
        match &mut self.state {
            State::Closed(tally) => {
                let reason = tally.count(&permit, end, policy, now)?;
                Some(self.open(reason, 0, policy, now))
            }
            State::Open(opening) => {
                opening.hold(policy, now);
                if opening.lease_end(policy).is_none_or(|end| now >= end) {
                    return None;
                }
                opening.probe = None;
                match end {
                    CallEnd::Succeeded => Some(self.close()),
                    CallEnd::Failed => {
                        let failed = opening.probes_failed.saturating_add(1);
                        let reason = std::mem::take(&mut opening.reason);
                        Some(self.open(reason, failed, policy, now))
                    }
                    CallEnd::Neutral | CallEnd::Cancelled => None,
                }
            }
        }
    }

    /// What it does with calls now.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        match &self.state {
            State::Closed(_) => Phase::Closed,
            State::Open(opening) => {
                let until = opening.at.min(now).after(opening.wait);
                if now < until {
                    Phase::Open { until, reason: opening.reason() }
                } else {
                    Phase::HalfOpen
                }
            }
        }
    }

    /// What a restart must not forget: that it is open, until when and why. Worth storing when it has [`Turned`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let opening = match &self.state {
            State::Closed(_) => None,
            State::Open(opening) => Some(opening),
        };
        codec::encode(&(BREAKER_VERSION, opening))
    }

    /// The breaker before `name`, as an earlier process stored it. What this version cannot read is forgotten: a closed
    /// breaker learns within a few calls what the stored one knew.
    #[must_use]
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        let fresh = Self::new(name);
        match codec::decode::<(u16, Option<Opening>)>(bytes) {
            Ok((BREAKER_VERSION, Some(opening))) => Self { state: State::Open(opening), ..fresh },
            Ok(_) | Err(_) => fresh,
        }
    }

    fn open(
        &mut self,
        reason: String,
        probes_failed: u32,
        policy: &BreakerPolicy,
        now: Timestamp,
    ) -> Turned {
        let wait = policy.wait(&self.name, probes_failed);
        let opening = Opening { at: now, wait, reason, probes_failed, probe: None };
        let turned = Turned::Opened { until: now.after(wait), reason: opening.reason() };
        self.state = State::Open(opening);
        turned
    }

    fn close(&mut self) -> Turned {
        self.state = State::Closed(Tally::default());
        Turned::Closed
    }
}

impl Tally {
    /// Counts a call; gives the reason to open, if there is one now.
    fn count(
        &mut self,
        permit: &Permit,
        end: CallEnd,
        policy: &BreakerPolicy,
        now: Timestamp,
    ) -> Option<String> {
        let failed = match end {
            CallEnd::Succeeded => false,
            CallEnd::Failed => true,
            CallEnd::Neutral | CallEnd::Cancelled => return None,
        };
        let slow = permit.admitted_at.until(now) > policy.slow_after;
        self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
        let recent = self.recent.get_or_insert_with(|| Recent::new(policy.window));
        recent.add(permit.admitted_at, [1, failed.into(), slow.into()], now);
        let [calls, failed, slow] = recent.sums(now);
        policy.reason_to_open(self.consecutive, calls, failed, slow)
    }
}

impl Opening {
    /// Holds the times to what they can be: none in the future, for the clock may have been set back, and no wait longer
    /// than the policy knows, for an earlier process may have had another.
    fn hold(&mut self, policy: &BreakerPolicy, now: Timestamp) {
        self.at = self.at.min(now);
        self.wait = self.wait.min(policy.wait_max());
        self.probe = self.probe.map(|at| at.min(now));
    }

    fn refusal(&self, policy: &BreakerPolicy, now: Timestamp) -> Option<Refused> {
        let open_until = self.at.after(self.wait);
        if now < open_until {
            return Some(Refused { until: open_until, reason: self.reason() });
        }
        let until = self.lease_end(policy).filter(|end| now < *end)?;
        let reason = format!("{}; another call is finding out if that is over", self.reason());
        Some(Refused { until, reason })
    }

    fn lease_end(&self, policy: &BreakerPolicy) -> Option<Timestamp> {
        Some(self.probe?.after(policy.lease))
    }

    fn reason(&self) -> String {
        match self.probes_failed {
            0 => self.reason.clone(),
            1 => format!("{}; a probe has failed since", self.reason),
            more => format!("{}; {more} probes have failed since", self.reason),
        }
    }
}
