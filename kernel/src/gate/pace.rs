//! How fast to go within a limit, as the other side lets us: slower when it says so, and slowly back to full speed.
//!
//! Its rule: **what the other side says last counts**. "Not before" holds every call until then; "so many left until then"
//! spreads them; and each refusal takes three tenths of the speed away, which comes back along a cubic curve, as TCP's CUBIC
//! does (RFC 9438): carefully near where it went wrong, quickly after.

use std::time::Duration;

use crate::{
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// What is left of the speed after a refusal, in thousandths.
const DECREASE: u64 = 700;

/// Least speed, in thousandths: slower than this is for "not before" to say.
const FLOOR: u64 = 50;

/// Full speed, in thousandths.
const FULL: u64 = 1_000;

/// How long it takes to full speed again.
const RECOVERY: Duration = Duration::from_secs(60);

/// Longest "not before" that is believed, whoever says it: who means longer can say so again.
pub const HOLD_MAX: Duration = Duration::from_secs(60 * 60);

/// The speed of calls.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Between two calls at full speed.
    interval: Duration,
    /// The speed after the last refusal, in thousandths, and when that was.
    slowed: Option<(u64, Timestamp)>,
    /// No call before.
    hold: Option<Timestamp>,
    /// The other side's word: this long between two calls, until then.
    spread: Option<(Duration, Timestamp)>,
    /// When the next call may be made at a reduced speed.
    next: Timestamp,
}

impl Pace {
    /// Full speed is a call each `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, slowed: None, hold: None, spread: None, next: Timestamp(0) }
    }

    /// The other side asks to be called less often, and perhaps not before `retry_at`.
    pub fn throttled(&mut self, retry_at: Option<Timestamp>, now: Timestamp) {
        let speed = (self.speed(now) * DECREASE / FULL).max(FLOOR);
        self.slowed = Some((speed, now));
        self.next = now.after(self.between(now));
        if let Some(at) = retry_at {
            self.hold_until(at, now);
        }
    }

    /// No call is to be made before `at`.
    pub fn hold_until(&mut self, at: Timestamp, now: Timestamp) {
        if planted(Mutant::RetryAfterIgnored) {
            return;
        }
        let at = at.min(now.after(HOLD_MAX));
        self.hold = self.hold.into_iter().chain([at]).max();
    }

    /// So many `calls` are left until `reset_at`.
    pub fn remaining(&mut self, calls: u64, reset_at: Timestamp, now: Timestamp) {
        let left = now.until(reset_at).min(HOLD_MAX);
        match u32::try_from(calls) {
            Ok(0) => self.hold_until(reset_at, now),
            Ok(calls) if left / calls > self.interval => {
                self.spread = Some((left / calls, now.after(left)));
            }
            // There is room enough.
            Ok(_) | Err(_) => self.spread = None,
        }
    }

    /// Lets a call through, or says when to ask again.
    ///
    /// # Errors
    ///
    /// The time from which on it may be let through.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        // A clock that was set back holds nothing up for longer than a hold may last.
        self.hold = self.hold.map(|at| at.min(now.after(HOLD_MAX)));
        if let Some(at) = self.hold {
            if now < at {
                return Err(at);
            }
            self.hold = None;
        }
        let between = self.between(now);
        if between <= self.interval {
            return Ok(());
        }
        self.next = self.next.min(now.after(between));
        if now < self.next {
            return Err(self.next);
        }
        self.next = now.after(between);
        Ok(())
    }

    /// The speed now, in thousandths of the full one.
    #[must_use]
    pub fn speed(&self, now: Timestamp) -> u64 {
        let Some((speed, at)) = self.slowed else { return FULL };
        let since = u64::try_from(at.min(now).until(now).as_millis()).unwrap_or(u64::MAX);
        let whole = u64::try_from(RECOVERY.as_millis()).expect("a minute is a small number");
        if since >= whole {
            return FULL;
        }
        let share = since * FULL / whole;
        speed + (FULL - speed) * share / FULL * share / FULL * share / FULL
    }

    /// Until when no call is made, if the other side said so.
    #[must_use]
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.hold.filter(|at| now < *at)
    }

    fn between(&self, now: Timestamp) -> Duration {
        let speed = u32::try_from(self.speed(now)).expect("it is a thousand at most");
        let ours = self.interval.saturating_mul(1_000) / speed;
        let theirs = self.spread.filter(|(_, until)| now < *until).map(|(between, _)| between);
        theirs.map_or(ours, |theirs| theirs.max(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const TENTH: Duration = Duration::from_millis(100);

    fn after(millis: u64) -> Timestamp {
        Timestamp(NOW.0 + millis)
    }

    #[test]
    fn at_full_speed_nothing_is_held_up() {
        let mut pace = Pace::new(TENTH);
        assert!((0..50).all(|_| pace.admit(NOW).is_ok()), "the limit itself is for others to hold");
    }

    #[test]
    fn not_before_is_honoured_and_clamped_to_an_hour() {
        let mut pace = Pace::new(TENTH);
        pace.throttled(Some(after(5_000)), NOW);
        assert_eq!(pace.admit(after(4_999)), Err(after(5_000)));
        assert_eq!(pace.admit(after(5_000)), Ok(()));
        pace.hold_until(Timestamp(u64::MAX), NOW);
        assert_eq!(pace.admit(NOW), Err(NOW.after(HOLD_MAX)));
    }

    #[test]
    fn each_refusal_slows_down_and_a_minute_brings_it_back() {
        let mut pace = Pace::new(TENTH);
        pace.throttled(None, NOW);
        assert_eq!(pace.speed(NOW), 700);
        pace.throttled(None, NOW);
        assert_eq!(pace.speed(NOW), 490);
        assert!(pace.speed(after(20_000)) < 520, "carefully near where it went wrong");
        assert!(pace.speed(after(55_000)) > 850, "quickly after");
        assert_eq!(pace.speed(after(60_000)), 1_000);
        for _ in 0..50 {
            pace.throttled(None, NOW);
        }
        assert_eq!(pace.speed(NOW), FLOOR);
    }

    #[test]
    fn a_reduced_speed_spaces_calls_out() {
        let mut pace = Pace::new(TENTH);
        pace.throttled(None, NOW);
        assert_eq!(pace.admit(NOW), Err(after(142)));
        assert_eq!(pace.admit(after(142)), Ok(()));
        assert!(pace.admit(after(143)).is_err());
    }

    #[test]
    fn what_is_left_is_spread_over_the_time_it_has_to_last() {
        let mut pace = Pace::new(TENTH);
        pace.remaining(10, after(20_000), NOW);
        assert_eq!(pace.admit(NOW), Ok(()));
        assert_eq!(pace.admit(after(1_000)), Err(after(2_000)));
        pace.remaining(0, after(30_000), NOW);
        assert_eq!(pace.admit(after(2_000)), Err(after(30_000)));
        let mut pace = Pace::new(TENTH);
        pace.remaining(10_000, after(20_000), NOW);
        assert!((0..50).all(|_| pace.admit(NOW).is_ok()), "there is room enough");
    }

    #[test]
    fn a_clock_that_is_set_back_freezes_nothing() {
        let mut pace = Pace::new(TENTH);
        pace.throttled(None, NOW);
        assert!(pace.admit(Timestamp(0)).is_err());
        assert!(pace.admit(Timestamp(200)).is_ok());
        assert_eq!(pace.speed(Timestamp(0)), 700, "a time in the future counts as now");
    }

    #[test]
    fn a_clock_that_is_set_back_for_a_day_holds_nothing_for_longer_than_an_hour() {
        let mut pace = Pace::new(TENTH);
        let (day, hour) = (Timestamp(24 * 60 * 60_000), Timestamp(60 * 60_000));
        pace.hold_until(day.after(HOLD_MAX), day);
        assert_eq!(pace.admit(Timestamp(0)), Err(hour));
        assert_eq!(pace.admit(Timestamp(10)), Err(hour), "however often it is asked");
        assert_eq!(pace.admit(hour), Ok(()));
    }
}
