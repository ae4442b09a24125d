//! When a breaker opens, and for how long.

use std::time::Duration;

use crate::retry::jitter;

/// How much is too much for a [`Breaker`](super::Breaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub consecutive_max: u32,
    /// How far back the shares below look. Not shorter than a call may take, or the calls that end in a timeout are forgotten
    /// before they count.
    pub window: Duration,
    /// Calls that a share must be a share of.
    pub calls_min: u32,
    /// The share of failed calls that opens it.
    pub failed_percent: u32,
    /// What counts as slow.
    pub slow_after: Duration,
    /// The share of slow calls that opens it.
    pub slow_percent: u32,
    /// How long it is open the first time; each failed probe doubles it.
    pub open_base: Duration,
    /// The longest it is open before the next probe.
    pub open_max: Duration,
    /// How far the wait strays to either side, so that what failed together does not come back together.
    pub jitter_percent: u32,
    /// How long a probe may take before another caller probes. Longer than a call may take.
    pub lease: Duration,
}

impl BreakerPolicy {
    /// For calls that end within `call_timeout`.
    #[must_use]
    pub fn for_calls(call_timeout: Duration) -> Self {
        Self {
            consecutive_max: 5,
            window: call_timeout.saturating_mul(2).max(Duration::from_secs(60)),
            calls_min: 10,
            failed_percent: 50,
            slow_after: call_timeout.saturating_mul(3) / 4,
            slow_percent: 50,
            open_base: Duration::from_secs(5),
            open_max: Duration::from_secs(5 * 60),
            jitter_percent: 20,
            lease: call_timeout.saturating_add(Duration::from_secs(5)),
        }
    }

    /// The reason to open after these `calls` of the window, if there is one.
    pub(super) fn reason_to_open(
        &self,
        consecutive: u32,
        calls: u64,
        failed: u64,
        slow: u64,
    ) -> Option<String> {
        if consecutive >= self.consecutive_max {
            return Some(format!("{consecutive} calls in a row have failed"));
        }
        let is_share = |part: u64, percent: u32| {
            calls >= u64::from(self.calls_min) && part * 100 >= calls * u64::from(percent)
        };
        let window = self.window.as_secs();
        if is_share(failed, self.failed_percent) {
            return Some(format!("{failed} of {calls} calls in {window} s have failed"));
        }
        let slow_after = self.slow_after.as_secs_f64();
        is_share(slow, self.slow_percent).then(|| {
            format!("{slow} of {calls} calls in {window} s have taken over {slow_after:.1} s")
        })
    }

    /// How long the breaker before `name` is open after `probes_failed`.
    pub(super) fn wait(&self, name: &str, probes_failed: u32) -> Duration {
        let doubled = self.open_base.saturating_mul(2u32.saturating_pow(probes_failed.min(20)));
        let wait = doubled.min(self.open_max);
        let stray = wait.saturating_mul(self.jitter_percent) / 100;
        let chance = jitter(&format!("breaker {name}"), probes_failed);
        let share = (u128::from(chance) * stray.saturating_mul(2).as_millis()) >> 64;
        let share = Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX));
        wait.saturating_sub(stray).saturating_add(share)
    }

    /// The longest that [`wait`](Self::wait) can be.
    pub(super) fn wait_max(&self) -> Duration {
        self.open_max.saturating_add(self.open_max.saturating_mul(self.jitter_percent) / 100)
    }
}
