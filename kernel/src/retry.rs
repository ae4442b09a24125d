//! When to try again.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::mutant::{Mutant, planted};

/// How often and how soon a failed attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts_max: NonZeroU32,
    /// Upper bound of the wait after the first attempt; it doubles after each.
    pub base: Duration,
    /// Upper bound of every wait.
    pub cap: Duration,
}

impl RetryPolicy {
    /// One attempt.
    pub const NEVER: Self = Self {
        attempts_max: NonZeroU32::MIN,
        base: Duration::from_millis(250),
        cap: Duration::from_secs(30),
    };

    /// For steps: three attempts in line, as the Google SRE book advises ("Handling Overload"); what needs more patience
    /// says so.
    pub const STEP: Self = Self {
        attempts_max: NonZeroU32::new(3).expect("3 is not 0"),
        base: Duration::from_millis(250),
        cap: Duration::from_secs(30),
    };

    /// For writes behind the façade. More than three, because what is granted should land, and a repeat that the semantics
    /// allow costs the operator nothing.
    pub const WRITE: Self = Self {
        attempts_max: NonZeroU32::new(6).expect("6 is not 0"),
        base: Duration::from_millis(250),
        cap: Duration::from_secs(60),
    };

    /// Whether another attempt may follow attempt number `attempt`.
    #[must_use]
    pub fn allows_after(&self, attempt: u32) -> bool {
        attempt < self.attempts_max.get() || planted(Mutant::RetriesWithoutEnd)
    }

    /// The wait after attempt number `attempt` (counted from one): "full jitter" of the AWS Architecture Blog's
    /// "Exponential Backoff And Jitter", `chance / 2^64 · min(cap, base · 2^(attempt - 1))`. `chance` is handed in, so that
    /// the same attempt waits the same time in every replay.
    #[must_use]
    pub fn delay(&self, attempt: u32, chance: u64) -> Duration {
        let doubled =
            self.base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1).min(20)));
        let bound = u64::try_from(doubled.min(self.cap).as_millis()).unwrap_or(u64::MAX);
        let share = (u128::from(chance) * u128::from(bound)) >> 64;
        Duration::from_millis(u64::try_from(share).expect("a share of a u64 is a u64"))
    }
}

/// A number that looks like chance and is always the same for the same `what` and `attempt`.
#[must_use]
pub fn jitter(what: &str, attempt: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("soloist 2026-11 retry jitter");
    hasher.update(what.as_bytes()).update(&attempt.to_le_bytes());
    let bytes = hasher.finalize();
    u64::from_le_bytes(*bytes.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_chance_spreads_them() {
        let policy = RetryPolicy::STEP;
        assert_eq!(policy.delay(1, u64::MAX).as_millis(), 249);
        assert_eq!(policy.delay(2, u64::MAX).as_millis(), 499);
        assert_eq!(policy.delay(40, u64::MAX).as_millis(), 29_999);
        assert_eq!(policy.delay(40, 0), Duration::ZERO);
    }

    #[test]
    fn the_same_attempt_draws_the_same_jitter() {
        assert_eq!(jitter("run/step", 1), jitter("run/step", 1));
        assert_ne!(jitter("run/step", 1), jitter("run/step", 2));
    }
}
