//! Sums over the last minutes, kept in slices, so that they need the same memory for ten calls and for a million.

use std::{collections::BTreeMap, time::Duration};

use crate::time::Timestamp;

/// Slices in a span. With thirty, a sum reaches back up to a thirtieth further than its span.
const SLICES: u64 = 30;

/// `N` sums over the last `span`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recent<const N: usize> {
    span_ms: u64,
    /// The sums of each slice, by the time at which it begins.
    slices: BTreeMap<u64, [u64; N]>,
}

impl<const N: usize> Recent<N> {
    pub(super) fn new(span: Duration) -> Self {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { span_ms, slices: BTreeMap::new() }
    }

    /// Adds `what` to the slice of `at`.
    pub(super) fn add(&mut self, at: Timestamp, what: [u64; N], now: Timestamp) {
        let slice = self.slices.entry(self.start(at.min(now))).or_insert([0; N]);
        add(slice, &what);
        self.forget(now);
    }

    /// The sums of what is not yet forgotten.
    pub(super) fn sums(&mut self, now: Timestamp) -> [u64; N] {
        self.forget(now);
        total(self.slices.values())
    }

    /// When the next slices are forgotten, in order, and the sums that are then left.
    pub(super) fn fading(&self) -> impl Iterator<Item = (Timestamp, [u64; N])> {
        let left = |start| total(self.slices.range(start + 1..).map(|(_, slice)| slice));
        self.slices.keys().map(move |start| (self.end(*start), left(*start)))
    }

    /// Drops what is too old. What lies in the future belongs to now: the clock was set back.
    fn forget(&mut self, now: Timestamp) {
        let future = self.slices.split_off(&now.0.saturating_add(1));
        if !future.is_empty() {
            add(self.slices.entry(self.start(now)).or_insert([0; N]), &total(future.values()));
        }
        while let Some(oldest) = self.slices.first_entry()
            && now.0 >= oldest.key().saturating_add(self.span_ms + width(self.span_ms))
        {
            oldest.remove();
        }
    }

    fn start(&self, at: Timestamp) -> u64 {
        at.0 - at.0 % width(self.span_ms)
    }

    /// When the slice that begins at `start` is forgotten: when its last moment is a span ago.
    fn end(&self, start: u64) -> Timestamp {
        Timestamp(start.saturating_add(self.span_ms + width(self.span_ms)))
    }

    #[cfg(test)]
    pub(super) fn slices(&self) -> &BTreeMap<u64, [u64; N]> {
        &self.slices
    }
}

fn width(span_ms: u64) -> u64 {
    (span_ms / SLICES).max(1)
}

fn add<const N: usize>(sums: &mut [u64; N], more: &[u64; N]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn total<'a, const N: usize>(slices: impl Iterator<Item = &'a [u64; N]>) -> [u64; N] {
    slices.fold([0; N], |mut sums, slice| {
        add(&mut sums, slice);
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    #[test]
    fn what_is_older_than_the_span_is_forgotten_and_nothing_younger() {
        let mut recent = Recent::<1>::new(Duration::from_secs(3));
        recent.add(at(0), [1], at(0));
        recent.add(at(1_000), [2], at(1_000));
        assert_eq!(recent.sums(at(3_000)), [3]);
        assert_eq!(recent.fading().next(), Some((at(3_100), [2])));
        assert_eq!(recent.sums(at(3_100)), [2]);
        assert_eq!(recent.sums(at(4_100)), [0]);
    }

    #[test]
    fn a_million_calls_need_as_many_slices_as_the_span_has() {
        let mut recent = Recent::<1>::new(Duration::from_secs(3));
        for ms in 0..100_000 {
            recent.add(at(ms), [10], at(ms));
        }
        assert!(recent.slices().len() <= 32, "{}", recent.slices().len());
    }

    #[test]
    fn what_a_clock_left_in_the_future_counts_as_now() {
        let mut recent = Recent::<1>::new(Duration::from_secs(3));
        recent.add(at(500_000), [7], at(500_000));
        assert_eq!(recent.sums(at(0)), [7]);
        assert_eq!(recent.sums(at(3_200)), [0]);
    }
}
