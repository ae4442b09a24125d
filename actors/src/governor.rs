//! How fast a connector may be called: GCRA on tokio's clock.
//!
//! `governor`'s own `until_ready` sleeps on a thread of its own in real time, so the wait here is ours and virtualises with
//! the runtime. The bucket is not durable: after a restart it is full.

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
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst));
        Self(RateLimiter::direct_with_clock(quota, TokioClock))
    }

    /// Waits until another call may be made, and counts it.
    pub(crate) async fn admit(&self) {
        while let Err(not_until) = self.0.check() {
            tokio::time::sleep(not_until.wait_time_from(TokioClock.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_to_the_rate_after_the_burst() {
        let governor = Governor::new(Rate { per_second: 10, burst: 5 });
        let start = Instant::now();
        for _ in 0..25 {
            governor.admit().await;
        }
        assert_eq!(
            start.elapsed().as_millis() / 100,
            20,
            "20 calls beyond the burst at 10 a second"
        );
    }
}
