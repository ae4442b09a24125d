//! How fast calls may follow each other: GCRA on tokio's clock.
//!
//! `governor`'s own `until_ready` sleeps on a thread of its own in real time, so whoever waits, waits elsewhere, on the
//! runtime's clock. It spreads calls; that no window is ever exceeded, also across a restart, is for `meter.rs` to see to.

use std::{num::NonZeroU32, ops::Add, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use soloist_connectors::Rate;
use tokio::time::Instant;

/// Tokio's clock for governor: monotonic in production, virtual on a paused runtime.
#[derive(Clone, Debug, Default)]
struct TokioClock;

/// A point on tokio's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point(Instant);

impl Add<Nanos> for Point {
    type Output = Self;
    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Point {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Clock for TokioClock {
    type Instant = Point;
    fn now(&self) -> Point {
        Point(Instant::now())
    }
}

/// A limit on calls.
pub(crate) struct Governor(RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Point>>);

impl Governor {
    pub(crate) fn new(rate: Rate) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        // A rate without a time is no limit that could be held: it is taken for the fastest there is.
        let interval = rate.interval().max(Duration::from_nanos(1));
        let quota =
            Quota::with_period(interval).expect("the interval is not zero").allow_burst(burst);
        Self(RateLimiter::direct_with_clock(quota, TokioClock))
    }

    /// Lets a call through and counts it, or says how long to wait before asking again.
    pub(crate) fn check(&self) -> Result<(), Duration> {
        self.0.check().map_err(|not_until| not_until.wait_time_from(TokioClock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_to_the_rate_after_the_burst() {
        let governor = Governor::new(Rate::per_second(14, 5));
        let start = Instant::now();
        for _ in 0..25 {
            while let Err(wait) = governor.check() {
                tokio::time::sleep(wait).await;
            }
        }
        assert_eq!(
            start.elapsed().as_millis() / 100,
            20,
            "20 calls beyond the burst, a tenth of a second apart"
        );
    }
}
