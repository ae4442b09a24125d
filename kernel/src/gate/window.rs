//! A strict limit: no more than so many calls in any stretch of time of a given length.
//!
//! Its rule: **an admission counts until it is a dated send or is given back**, so that what is under way takes room as well.
//! A rate limit of the token kind lets twice its number through where two of its periods meet; this one does not, in any
//! period, wherever it begins. It is for limits that the other side enforces by locking the account.

use std::{collections::VecDeque, time::Duration};

use crate::{
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// A send counts this part of the period longer than the period: the other side dates a call by its arrival, and the next
/// one may arrive sooner after it than it left.
const MARGIN: u32 = 20;

/// Sends within this part of the period are kept as one, dated by the last, so that memory has a limit.
const GRAIN: u32 = 1_000;

/// The calls of the last period.
#[derive(Clone, Debug)]
pub struct Window {
    calls_max: u32,
    per: Duration,
    /// Admitted, and neither sent nor given back.
    outstanding: u32,
    /// By time.
    sends: VecDeque<Sends>,
}

/// Calls that left at about the same time.
#[derive(Clone, Copy, Debug)]
struct Sends {
    first: Timestamp,
    last: Timestamp,
    count: u32,
}

impl Window {
    /// A window that admits `calls_max` calls in any stretch of time as long as `per`. A limit of nothing is a limit of one:
    /// what may never be called is for policy to say.
    #[must_use]
    pub fn new(calls_max: u32, per: Duration) -> Self {
        let sends = VecDeque::new();
        Self { calls_max: calls_max.max(1), per, outstanding: 0, sends }
    }

    /// Admits a call. It ends with [`sent`](Self::sent) or [`cancelled`](Self::cancelled).
    ///
    /// # Errors
    ///
    /// The time at which there is room if nothing is given back before.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.forget(now);
        let sent: u64 = self.sends.iter().map(|sends| u64::from(sends.count)).sum();
        let live = sent + u64::from(self.outstanding);
        let live = if planted(Mutant::WindowNotStrict) { 0 } else { live };
        let Some(mut over) = live.checked_sub(u64::from(self.calls_max)) else {
            self.outstanding += 1;
            return Ok(());
        };
        for sends in &self.sends {
            match over.checked_sub(u64::from(sends.count)) {
                Some(still_over) => over = still_over,
                None => return Err(self.end(sends)),
            }
        }
        // What is under way fills it alone. If all of it leaves now, there is room a period later.
        Err(now.after(self.counts_for()))
    }

    /// The call that was admitted leaves now. Said before the first byte of it leaves.
    pub fn sent(&mut self, now: Timestamp) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.forget(now);
        self.insert(1, now);
    }

    /// The call that was admitted does not leave.
    pub fn cancelled(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Counts what an earlier process may have sent, the last of it at `at`.
    pub fn assume_sent(&mut self, count: u32, at: Timestamp) {
        self.insert(count, at);
    }

    fn insert(&mut self, count: u32, at: Timestamp) {
        let place = self.sends.partition_point(|sends| sends.last <= at);
        if let Some(before) = place.checked_sub(1).and_then(|index| self.sends.get_mut(index))
            && before.first.until(at) <= self.per / GRAIN
        {
            before.last = at;
            before.count = before.count.saturating_add(count);
        } else {
            self.sends.insert(place, Sends { first: at, last: at, count });
        }
    }

    /// Drops what no longer counts. What lies in the future was sent before the clock was set back, and counts from now.
    fn forget(&mut self, now: Timestamp) {
        for sends in self.sends.iter_mut().rev().take_while(|sends| sends.last > now) {
            (sends.first, sends.last) = (sends.first.min(now), now);
        }
        while self.sends.front().is_some_and(|oldest| now >= self.end(oldest)) {
            self.sends.pop_front();
        }
    }

    fn end(&self, sends: &Sends) -> Timestamp {
        sends.last.after(self.counts_for())
    }

    fn counts_for(&self) -> Duration {
        self.per.saturating_add(self.per / MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::reservations::{Reservations, Take},
        *,
    };

    const START: Timestamp = Timestamp(10_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_under_way_takes_room_until_it_is_given_back() {
        let mut window = Window::new(2, MINUTE);
        window.admit(START).unwrap();
        window.admit(START).unwrap();
        assert_eq!(window.admit(START), Err(at(63)), "if both leave now");
        window.cancelled();
        window.admit(START).unwrap();
    }

    #[test]
    fn there_is_room_when_enough_sends_are_a_period_and_a_margin_old() {
        let mut window = Window::new(3, MINUTE);
        for second in [0, 10, 20] {
            window.admit(at(second)).unwrap();
            window.sent(at(second));
        }
        assert_eq!(window.admit(at(30)), Err(at(63)));
        window.admit(at(63)).unwrap();
        window.sent(at(63));
        assert_eq!(window.admit(at(63)), Err(at(73)));
    }

    #[test]
    fn sends_that_are_kept_as_one_count_as_long_as_the_last_of_them() {
        let mut window = Window::new(2, MINUTE);
        for ms in [0, 50] {
            window.admit(START).unwrap();
            window.sent(START.after(Duration::from_millis(ms)));
        }
        assert_eq!(window.sends.len(), 1);
        assert_eq!(window.admit(at(1)), Err(at(63).after(Duration::from_millis(50))));
    }

    #[test]
    fn what_an_earlier_process_may_have_sent_takes_room() {
        let mut window = Window::new(3, MINUTE);
        window.assume_sent(4, at(2));
        window.assume_sent(1, at(1));
        assert_eq!(window.admit(at(5)), Err(at(65)));
        window.admit(at(65)).unwrap();
    }

    #[test]
    fn a_clock_that_was_set_back_freezes_nothing() {
        let mut window = Window::new(1, MINUTE);
        window.admit(at(1_000_000)).unwrap();
        window.sent(at(1_000_000));
        assert_eq!(window.admit(START), Err(at(63)));
        window.admit(at(63)).unwrap();
    }

    #[test]
    fn a_window_of_a_million_calls_is_small() {
        let mut window = Window::new(1_000_000, MINUTE);
        for ms in 0..60_000 {
            let now = START.after(Duration::from_millis(ms));
            window.admit(now).unwrap();
            window.sent(now);
        }
        assert!(window.sends.len() <= 1_050, "{}", window.sends.len());
    }

    /// A process with a strict limit, in a world whose true time is not what its clock says.
    struct Process {
        window: Window,
        reservations: Reservations,
        /// Permits in hand, by the true time at which they were taken.
        taken: Vec<Timestamp>,
        admitted: usize,
    }

    /// If nothing is given back, there is room at `until` and not a millisecond earlier.
    fn is_exact(window: &Window, until: Timestamp) {
        assert!(window.clone().admit(Timestamp(until.0 - 1)).is_err());
        assert!(window.clone().admit(until).is_ok() || window.outstanding >= window.calls_max);
    }

    /// The true times of all sends after these steps.
    fn sends(calls_max: u32, per: Duration, steps: &[(u8, u64)]) -> Vec<Timestamp> {
        let mut process = Process {
            window: Window::new(calls_max, per),
            reservations: Reservations::new(calls_max, per),
            taken: vec![],
            admitted: 0,
        };
        let (mut disk, mut truth, mut lost, mut sends) = (None, START, 0, vec![]);
        for &(step, amount) in steps {
            let now = Timestamp(truth.0 - lost);
            match step {
                0..4 => match process.window.admit(now) {
                    Ok(()) => process.admitted += 1,
                    Err(until) => is_exact(&process.window, until),
                },
                4..6 if process.admitted > 0 => {
                    while let Take::Needs(block) = process.reservations.take(now) {
                        disk = Some(process.reservations.to_bytes(block));
                        process.reservations.granted(block);
                    }
                    process.admitted -= 1;
                    process.taken.push(truth);
                }
                6..9 => {
                    if let Some(taken) = process.taken.pop() {
                        // A permit that was held for too long is given back, as its user promises.
                        if taken.until(truth) <= Duration::from_secs(5) {
                            process.window.sent(now);
                            sends.push(truth);
                        } else {
                            process.window.cancelled();
                        }
                    }
                }
                9 if process.admitted > 0 => {
                    process.admitted -= 1;
                    process.window.cancelled();
                }
                10..13 => truth = truth.after(Duration::from_millis(amount)),
                13 if amount < 500 => lost += amount * 10,
                14 if amount < 1_000 => {
                    let mut window = Window::new(calls_max, per);
                    let mut reservations = Reservations::new(calls_max, per);
                    if let Some(bytes) = &disk {
                        let (restored, assumed) = Reservations::restore(calls_max, per, bytes, now);
                        reservations = restored;
                        assumed.iter().for_each(|block| window.assume_sent(block.count, block.at));
                    }
                    process = Process { window, reservations, taken: vec![], admitted: 0 };
                }
                _ => {}
            }
        }
        sends
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// For any interleaving of admissions, sends, cancellations, crashes and clocks that are set back.
        #[test]
        fn no_stretch_of_a_period_holds_more_sends_than_the_limit(
            calls_max in 1..25u32,
            per_ms in 1_000..30_000u64,
            steps in prop::collection::vec((0..15u8, 0..4_000u64), 0..400),
        ) {
            let per = Duration::from_millis(per_ms);
            let sends = sends(calls_max, per, &steps);
            for stretch in sends.windows(calls_max as usize + 1) {
                let length = stretch[0].until(stretch[calls_max as usize]);
                prop_assert!(length >= per, "{} calls in {length:?}", stretch.len());
            }
        }
    }
}
