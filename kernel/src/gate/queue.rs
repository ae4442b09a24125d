//! Whose call is next.
//!
//! Its rule: **a place in line is fixed when it is taken, and it is a time**. Whoever comes later than that time stands
//! behind, whatever its priority, so everyone is served. A run that asks for much takes places further and further ahead, at
//! the pace at which the connector is called, so that between two of its calls there is room for another run's; a low
//! priority is a place a minute later.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use crate::{time::Timestamp, workflow::Priority};

/// Most calls that wait at one connector. At ten calls a second the last of them would wait a quarter of an hour, which is
/// longer than most callers do.
pub const QUEUE_MAX: usize = 10_000;

/// How far apart the places of one run are, unless the connector is slower: ten calls a second.
pub const SPACING: Duration = Duration::from_millis(100);

/// Calls in line, fair between the runs `K` that make them.
#[derive(Clone, Debug)]
pub struct FairQueue<K, T> {
    spacing: Duration,
    /// By rank, then in the order of their coming.
    line: BTreeMap<(Timestamp, u64), Waiting<K, T>>,
    runs: BTreeMap<K, Pace>,
    pushed: u64,
    /// The latest time that was seen.
    latest: Timestamp,
}

#[derive(Clone, Debug)]
struct Waiting<K, T> {
    key: K,
    /// When it came into line: it may have waited elsewhere before.
    came: Timestamp,
    item: T,
}

/// Where a run with calls in line stands.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The place of its last call, before what its priority adds.
    last: Timestamp,
    waiting: usize,
}

impl<K: Ord + Clone, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self::new(SPACING)
    }
}

impl<K: Ord + Clone, T> FairQueue<K, T> {
    /// An empty line whose runs take places `spacing` apart: [`SPACING`], or the time between two calls where the connector
    /// may be called less often than that. If it is shorter than that time, a long line of one run passes for an old one.
    #[must_use]
    pub fn new(spacing: Duration) -> Self {
        let (line, runs) = (BTreeMap::new(), BTreeMap::new());
        Self { spacing, line, runs, pushed: 0, latest: Timestamp::default() }
    }

    /// Puts `item` of run `key`, which waits `since` then, in line. If the line is full, gives back whoever is last in it,
    /// which may be `item`.
    #[must_use]
    pub fn push(
        &mut self,
        key: K,
        priority: Priority,
        since: Timestamp,
        now: Timestamp,
        item: T,
    ) -> Option<T> {
        self.see(now);
        let since = since.min(now);
        let pace = self.runs.get(&key);
        let place = pace.map_or(since, |pace| since.max(pace.last.after(self.spacing)));
        let rank = place.after(penalty(priority));
        let mut displaced = None;
        if self.line.len() >= QUEUE_MAX {
            if self.line.last_key_value().is_none_or(|((last, _), _)| rank >= *last) {
                return Some(item);
            }
            displaced = self.line.pop_last().map(|(_, waiting)| self.left(waiting));
        }
        let pace = self.runs.entry(key.clone()).or_insert(Pace { last: place, waiting: 0 });
        (pace.last, pace.waiting) = (place, pace.waiting + 1);
        self.pushed += 1;
        self.line.insert((rank, self.pushed), Waiting { key, came: now, item });
        displaced
    }

    /// Takes whoever is next.
    pub fn pop(&mut self) -> Option<T> {
        let (_, waiting) = self.line.pop_first()?;
        Some(self.left(waiting))
    }

    /// How many are in line.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether nobody is in line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Takes whoever is last.
    pub fn pop_last(&mut self) -> Option<T> {
        let (_, waiting) = self.line.pop_last()?;
        Some(self.left(waiting))
    }

    /// Takes out who has been in line for `wait_max`, in the order of the line.
    pub fn expired(&mut self, now: Timestamp, wait_max: Duration) -> Vec<T> {
        self.see(now);
        self.take_out(|waiting| waiting.came.until(now) >= wait_max)
    }

    /// Takes out whose item `is_gone`, in the order of the line.
    pub fn remove_if(&mut self, mut is_gone: impl FnMut(&T) -> bool) -> Vec<T> {
        self.take_out(|waiting| is_gone(&waiting.item))
    }

    fn take_out(&mut self, mut is_out: impl FnMut(&Waiting<K, T>) -> bool) -> Vec<T> {
        let out: Vec<_> = self.line.extract_if(.., |_, waiting| is_out(waiting)).collect();
        out.into_iter().map(|(_, waiting)| self.left(waiting)).collect()
    }

    /// Counts one out of line. A run with nothing in line is forgotten: what it was served held nobody up.
    fn left(&mut self, waiting: Waiting<K, T>) -> T {
        if let Entry::Occupied(mut pace) = self.runs.entry(waiting.key) {
            pace.get_mut().waiting -= 1;
            if pace.get().waiting == 0 {
                pace.remove();
            }
        }
        waiting.item
    }

    /// Notes the time. If the clock was set back, the whole line goes back with it: everyone keeps the place and what was
    /// waited, and who comes now does not pass them all.
    fn see(&mut self, now: Timestamp) {
        let back = now.until(self.latest);
        self.latest = now;
        if back.is_zero() {
            return;
        }
        let earlier = |at: Timestamp| Timestamp(at.0.saturating_sub(millis(back)));
        let line = std::mem::take(&mut self.line).into_iter();
        self.line = line
            .map(|((rank, number), waiting)| {
                let came = earlier(waiting.came);
                ((earlier(rank), number), Waiting { came, ..waiting })
            })
            .collect();
        self.runs.values_mut().for_each(|pace| pace.last = earlier(pace.last));
    }
}

fn penalty(priority: Priority) -> Duration {
    match priority {
        Priority::High => Duration::ZERO,
        Priority::Normal => Duration::from_secs(10),
        Priority::Low => Duration::from_secs(60),
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp(10_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    /// A line with these runs' calls in it, each with the time since it waits.
    fn line(calls: &[(&'static str, Priority, u64)]) -> FairQueue<&'static str, usize> {
        let mut queue = FairQueue::default();
        for (index, (run, priority, second)) in calls.iter().enumerate() {
            assert_eq!(queue.push(*run, *priority, at(*second), at(*second), index), None);
        }
        queue
    }

    #[track_caller]
    fn check(mut queue: FairQueue<&'static str, usize>, expected: &[usize]) {
        let served: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, expected);
        assert!(queue.is_empty() && queue.runs.is_empty());
    }

    #[test]
    fn calls_of_a_run_keep_their_order_and_runs_take_turns() {
        use Priority::Normal;
        check(
            line(&[("a", Normal, 0), ("a", Normal, 0), ("a", Normal, 0), ("b", Normal, 0)]),
            &[0, 3, 1, 2],
        );
    }

    #[test]
    fn priority_goes_first_until_the_others_have_waited_for_a_minute() {
        use Priority::{High, Low, Normal};
        check(
            line(&[("a", Low, 0), ("b", Normal, 0), ("c", High, 0), ("d", High, 9)]),
            &[2, 3, 1, 0],
        );
        check(line(&[("a", Low, 0), ("b", High, 59), ("c", High, 61)]), &[1, 0, 2]);
    }

    #[test]
    fn a_run_with_a_thousand_calls_lets_one_with_one_pass() {
        let mut queue = FairQueue::default();
        for index in 0..1_000 {
            assert_eq!(queue.push("bulk", Priority::Normal, START, START, index), None);
        }
        assert_eq!(queue.push("single", Priority::Normal, at(5), at(5), 5_000), None);
        let before = std::iter::from_fn(|| queue.pop()).position(|index| index == 5_000);
        assert_eq!(before, Some(51), "the bulk run has had 5 s of its own, at 10 calls a second");
    }

    #[test]
    fn over_the_limit_the_last_in_line_is_given_back() {
        let mut queue = FairQueue::default();
        for index in 0..QUEUE_MAX {
            assert_eq!(queue.push("bulk", Priority::Normal, START, START, index), None);
        }
        assert_eq!(queue.push("bulk", Priority::Normal, START, START, 77_777), Some(77_777));
        assert_eq!(queue.push("single", Priority::Low, START, START, 88_888), Some(QUEUE_MAX - 1));
        assert_eq!(queue.len(), QUEUE_MAX);
    }

    #[test]
    fn who_waited_too_long_and_who_is_gone_leave_the_line() {
        use Priority::{High, Normal};
        let mut queue = line(&[("a", Normal, 0), ("b", High, 1), ("c", Normal, 2), ("d", High, 3)]);
        assert_eq!(queue.expired(at(11), Duration::from_secs(10)), [1, 0]);
        assert_eq!(queue.remove_if(|index| *index == 2), [2]);
        check(queue, &[3]);
    }

    #[test]
    fn a_clock_that_was_set_back_moves_the_line_with_it() {
        use Priority::Normal;
        let mut queue = line(&[("a", Normal, 1_000_000), ("a", Normal, 1_000_005)]);
        assert_eq!(queue.push("b", Normal, at(0), at(0), 2), None);
        assert_eq!(queue.push("a", Normal, at(1), at(1), 3), None);
        assert_eq!(queue.expired(at(5), Duration::from_secs(10)), [0]);
        check(queue, &[1, 2, 3]);
    }

    /// A call, as the test remembers it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Call {
        run: u8,
        priority: Priority,
        since: Timestamp,
        /// Which call of its run it is since that run last had none in line, counted from nought.
        ahead: u32,
        number: usize,
    }

    /// Pushes and pops at random, with the time running; gives each call that was served with those that it left behind.
    fn served(steps: &[(u8, u8, u64)]) -> Vec<(Call, Vec<Call>)> {
        let (mut queue, mut now, mut served) = (FairQueue::default(), START, vec![]);
        let (mut line, mut pushed) = (Vec::<Call>::new(), [0; 4]);
        for (number, &(run, what, wait)) in steps.iter().enumerate() {
            let priority = match what % 3 {
                0 => Priority::High,
                1 => Priority::Normal,
                _ => Priority::Low,
            };
            if what < 9 {
                let ahead = &mut pushed[usize::from(run)];
                if line.iter().all(|call| call.run != run) {
                    *ahead = 0;
                }
                let call = Call { run, priority, since: now, ahead: *ahead, number };
                *ahead += 1;
                assert_eq!(queue.push(run, priority, now, now, call), None);
                line.push(call);
            } else if let Some(call) = queue.pop() {
                line.retain(|waiting| *waiting != call);
                served.push((call, line.clone()));
            }
            now = now.after(Duration::from_millis(wait));
        }
        served
    }

    proptest! {
        /// So the number of calls that pass another is limited by what can arrive in that time, and nobody starves.
        #[test]
        fn nobody_is_passed_by_who_came_a_minute_and_his_own_line_later(
            steps in prop::collection::vec((0..4u8, 0..14u8, 0..5_000u64), 0..300),
        ) {
            for (call, left) in served(&steps) {
                for other in left {
                    let bound = other.since.after(Duration::from_secs(60) + SPACING * other.ahead);
                    prop_assert!(call.since <= bound, "{call:?} passed {other:?}");
                }
            }
        }

        #[test]
        fn calls_of_a_run_with_one_priority_are_served_in_their_order(
            steps in prop::collection::vec((0..4u8, 0..14u8, 0..1_000u64), 0..300),
        ) {
            for (call, left) in served(&steps) {
                let same = |other: &&Call| other.run == call.run && other.priority == call.priority;
                prop_assert!(left.iter().filter(same).all(|other| other.number > call.number));
            }
        }

        /// Of two runs with much to do, neither is ever served more than one call ahead of the other.
        #[test]
        fn runs_that_ask_for_much_share_evenly(calls in 1..200usize) {
            let mut queue = FairQueue::default();
            for run in 0..3u8 {
                for _ in 0..calls {
                    prop_assert_eq!(queue.push(run, Priority::Normal, START, START, run), None);
                }
            }
            let mut counts = [0usize; 3];
            while let Some(run) = queue.pop() {
                counts[usize::from(run)] += 1;
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
        }
    }
}
