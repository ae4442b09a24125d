//! Whether a call may be made again.
//!
//! Its rule: **retries are paid for by successes**. When the other side is down, nothing succeeds, the budget runs out, and
//! what would have been a storm of retries becomes a trickle; a connector that is rarely called still gets a token with
//! time. One budget for each connector and credential, because that is what the other side counts.

use std::time::Duration;

use super::{Refused, recent::Recent};
use crate::{
    fault::{Fault, Phase},
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// Tokens of a full budget: ten retries in a row.
const TOKENS_MAX: u64 = 50;

/// How long it takes for a token to come by itself: twenty calls a day may still be retried.
const TOKEN_MS: u64 = 6_000;

/// How far back the share of retries is counted.
const SHARE_SPAN: Duration = Duration::from_secs(5 * 60);

/// Retries per hundred calls of the span.
const SHARE_PERCENT: u64 = 10;

/// Up to so many calls in the span, a share says nothing.
const SHARE_CALLS_MIN: u64 = 50;

/// What a retry costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCost {
    /// After a fault that left no doubt: 5 tokens.
    Certain,
    /// After an attempt that may have happened: 10 tokens, because a repeat of it is work for the other side either way.
    Ambiguous,
}

impl RetryCost {
    /// What it costs to try again after `fault`.
    #[must_use]
    pub fn after(fault: &Fault) -> Self {
        match fault.phase {
            Phase::NotSent | Phase::Answered => Self::Certain,
            Phase::MaybeSent => Self::Ambiguous,
        }
    }

    fn tokens(self) -> u64 {
        match self {
            Self::Certain => 5,
            Self::Ambiguous => 10,
        }
    }
}

/// What a connector and credential may spend on retries.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// What is there, as the milliseconds in which it comes by itself: whole numbers, so that `until` is exact.
    level_ms: u64,
    /// When `level_ms` was true.
    at: Timestamp,
    /// Calls, and the retries among them.
    recent: Recent<2>,
}

impl RetryBudget {
    /// A full budget.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { level_ms: TOKENS_MAX * TOKEN_MS, at: now, recent: Recent::new(SHARE_SPAN) }
    }

    /// Counts a call that is made, be it a first attempt or a retry.
    pub fn call(&mut self, now: Timestamp) {
        self.recent.add(now, [1, 0], now);
    }

    /// Pays for a success.
    pub fn succeeded(&mut self, now: Timestamp) {
        self.refill(now);
        self.earn(TOKEN_MS);
    }

    /// Takes what a retry costs. The retry is then also a [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is not enough left, or if too many of the last calls were retries.
    pub fn retry(&mut self, cost: RetryCost, now: Timestamp) -> Result<(), Refused> {
        self.refill(now);
        let cost_ms = cost.tokens() * TOKEN_MS;
        let [calls, retries] = self.recent.sums(now);
        let paid = now.after(Duration::from_millis(cost_ms.saturating_sub(self.level_ms)));
        if may_retry(calls, retries) && paid == now {
            self.level_ms -= cost_ms;
            self.recent.add(now, [0, 1], now);
            return Ok(());
        }
        let reason = if may_retry(calls, retries) {
            let left = self.level_ms / TOKEN_MS;
            format!(
                "a retry costs {} of its {TOKENS_MAX} tokens, and {left} are left",
                cost.tokens()
            )
        } else {
            format!("{retries} of {calls} calls in 5 minutes were retries")
        };
        Err(Refused { until: self.room(paid, [calls, retries]), reason })
    }

    /// The first time from `paid` on at which the share of retries allows one more.
    fn room(&self, paid: Timestamp, sums: [u64; 2]) -> Timestamp {
        let mut until = paid;
        let mut left = sums;
        for (at, sums) in self.recent.fading() {
            if at > until && may_retry(left[0], left[1]) {
                break;
            }
            (until, left) = (until.max(at), sums);
        }
        until
    }

    fn refill(&mut self, now: Timestamp) {
        // A clock that was set back gives nothing, and goes on giving from where it is.
        self.earn(u64::try_from(self.at.until(now).as_millis()).unwrap_or(u64::MAX));
        self.at = now;
    }

    fn earn(&mut self, ms: u64) {
        if planted(Mutant::RetryBudgetNeverRefills) {
            return;
        }
        self.level_ms = self.level_ms.saturating_add(ms).min(TOKENS_MAX * TOKEN_MS);
    }
}

fn may_retry(calls: u64, retries: u64) -> bool {
    calls <= SHARE_CALLS_MIN || (retries + 1) * 100 <= calls * SHARE_PERCENT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_full_budget_holds_ten_retries_and_time_brings_the_next() {
        let mut budget = RetryBudget::new(START);
        for _ in 0..10 {
            budget.retry(RetryCost::Certain, START).unwrap();
        }
        let refused = budget.retry(RetryCost::Certain, START).unwrap_err();
        assert_eq!(refused.until, at(30));
        assert_eq!(refused.reason, "a retry costs 5 of its 50 tokens, and 0 are left");
        assert!(budget.retry(RetryCost::Certain, at(29)).is_err());
        budget.retry(RetryCost::Certain, at(30)).unwrap();
    }

    #[test]
    fn an_ambiguous_retry_costs_twice_as_much() {
        let mut budget = RetryBudget::new(START);
        for _ in 0..5 {
            budget.retry(RetryCost::Ambiguous, START).unwrap();
        }
        assert!(budget.retry(RetryCost::Certain, START).is_err());
    }

    #[test]
    fn successes_pay_for_retries() {
        let mut budget = RetryBudget::new(START);
        for _ in 0..10 {
            budget.retry(RetryCost::Certain, START).unwrap();
        }
        for _ in 0..5 {
            budget.succeeded(START);
        }
        budget.retry(RetryCost::Certain, START).unwrap();
        assert!(budget.retry(RetryCost::Certain, START).is_err());
    }

    #[test]
    fn among_many_calls_a_tenth_are_retries() {
        let mut budget = RetryBudget::new(START);
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.call(START);
            budget.succeeded(START);
            retries += u32::from(budget.retry(RetryCost::Certain, START).is_ok());
        }
        assert!((90..=100).contains(&retries), "{retries}");
        let refused = budget.retry(RetryCost::Certain, at(0)).unwrap_err();
        assert_eq!(refused.reason, format!("{retries} of 1000 calls in 5 minutes were retries"));
        assert!(at(300) <= refused.until && refused.until <= at(311), "{}", refused.until);
    }

    #[test]
    fn a_clock_that_was_set_back_freezes_nothing() {
        let mut budget = RetryBudget::new(at(1_000_000));
        for _ in 0..10 {
            budget.retry(RetryCost::Certain, at(1_000_000)).unwrap();
        }
        assert_eq!(budget.retry(RetryCost::Certain, START).unwrap_err().until, at(30));
        budget.retry(RetryCost::Certain, at(30)).unwrap();
    }

    proptest! {
        /// Nothing but time passes until `until`: then the retry is granted, and a millisecond earlier it was not.
        #[test]
        fn until_is_exact(steps in prop::collection::vec((0..4u8, 0..20_000u64), 1..300)) {
            let (mut budget, mut now) = (RetryBudget::new(START), START);
            for (what, wait) in steps {
                now = now.after(Duration::from_millis(wait / 10));
                match what {
                    0 => (0..wait / 1_000).for_each(|_| budget.call(now)),
                    1 => budget.succeeded(now),
                    _ => {
                        let Err(refused) = budget.retry(RetryCost::Ambiguous, now) else { continue };
                        prop_assert!(refused.until > now);
                        prop_assert!(now.until(refused.until) <= Duration::from_secs(311));
                        let before = Timestamp(refused.until.0 - 1);
                        prop_assert!(budget.clone().retry(RetryCost::Ambiguous, before).is_err());
                        prop_assert!(budget.clone().retry(RetryCost::Ambiguous, refused.until).is_ok());
                    }
                }
            }
        }
    }
}
