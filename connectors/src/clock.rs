//! A clock that never goes back.
//!
//! What lasts is counted on the wall, because it must be counted over restarts: how long a key is remembered, until when a run
//! sleeps. A wall clock that is put back would make a second last an hour, and a key that the other side has forgotten look
//! fresh. So a step back is caught up with instead: until the wall is there again, time passes at [`PACE`] of its speed. A step
//! of more than [`STEP_BACK_MAX`] is taken as it is: a clock that was that wrong is better mended at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use soloist_kernel::time::Timestamp;
use tokio::time::Instant;

use crate::env::Clock;

/// Tenths of its speed at which time passes while the wall is behind.
pub const PACE: u32 = 9;

/// The longest step back that is caught up with. At [`PACE`] that takes twenty hours.
pub const STEP_BACK_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// A step back that is worth a word in the log.
const NOTICED: Duration = Duration::from_secs(1);

/// The clock on the wall, made never to go back.
pub(crate) struct Steady {
    wall: Box<dyn Clock>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The latest time that was told.
    last: Timestamp,
    /// While the wall is behind: what was told when it was first seen to be, and when that was.
    behind: Option<(Timestamp, Instant)>,
}

impl Steady {
    pub(crate) fn new(wall: impl Clock) -> Self {
        Self { wall: Box::new(wall), told: Mutex::default() }
    }

    /// From here on it is not before `earliest`.
    pub(crate) fn not_before(&self, earliest: Timestamp) {
        let mut told = self.told();
        told.last = told.last.max(earliest);
    }

    pub(crate) fn now(&self) -> Timestamp {
        // The wall is read under the lock: of two readings, the later one is told later.
        let mut told = self.told();
        let wall = self.wall.now();
        let slowly = |(from, since): (Timestamp, Instant)| from.after(since.elapsed() * PACE / 10);
        let earliest = told.behind.map_or(told.last, slowly);
        let back = wall.until(earliest);
        if back.is_zero() || back > STEP_BACK_MAX {
            if !back.is_zero() {
                tracing::warn!(seconds = back.as_secs(), "the clock was put back, and is followed");
            }
            *told = Told { last: wall, behind: None };
            return wall;
        }
        if told.behind.is_none() {
            if back > NOTICED {
                let seconds = back.as_secs();
                tracing::warn!(seconds, "the clock was put back, and is caught up with");
            }
            told.behind = Some((earliest, Instant::now()));
        }
        told.last = earliest;
        earliest
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    use super::*;

    const HOUR: u64 = 3_600_000;

    /// A wall that is moved by hand, in milliseconds.
    fn wall(at: u64) -> (Arc<AtomicU64>, Steady) {
        let hand = Arc::new(AtomicU64::new(at));
        let wall = hand.clone();
        (hand, Steady::new(move || Timestamp(wall.load(Relaxed))))
    }

    async fn passes(hand: &AtomicU64, ms: u64) {
        hand.fetch_add(ms, Relaxed);
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_the_wall_and_follows_it_ahead() {
        let (hand, clock) = wall(10 * HOUR);
        assert_eq!(clock.now(), Timestamp(10 * HOUR));
        hand.store(99 * HOUR, Relaxed);
        assert_eq!(clock.now(), Timestamp(99 * HOUR));
        // Nothing moves by itself.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), Timestamp(99 * HOUR));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_back_is_caught_up_with_at_nine_tenths() {
        let (hand, clock) = wall(10 * HOUR);
        clock.now();
        hand.store(9 * HOUR, Relaxed);
        assert_eq!(clock.now(), Timestamp(10 * HOUR));
        passes(&hand, 1_000).await;
        assert_eq!(clock.now(), Timestamp(10 * HOUR + 900));
        passes(&hand, 5 * HOUR).await;
        assert_eq!(clock.now(), Timestamp(10 * HOUR + 900 + 5 * HOUR / 10 * 9));
        passes(&hand, 6 * HOUR).await;
        assert_eq!(clock.now(), Timestamp(hand.load(Relaxed)), "it has been caught up with");
        passes(&hand, 1_000).await;
        assert_eq!(clock.now(), Timestamp(hand.load(Relaxed)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_step_back_is_taken_as_it_is() {
        let (hand, clock) = wall(10 * HOUR);
        clock.now();
        hand.store(7 * HOUR, Relaxed);
        assert_eq!(clock.now(), Timestamp(7 * HOUR));
    }

    #[tokio::test(start_paused = true)]
    async fn it_begins_where_another_has_ended() {
        let (hand, clock) = wall(10 * HOUR);
        clock.not_before(Timestamp(11 * HOUR));
        assert_eq!(clock.now(), Timestamp(11 * HOUR));
        passes(&hand, 1_000).await;
        assert_eq!(clock.now(), Timestamp(11 * HOUR + 900));
    }
}
