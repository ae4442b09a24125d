//! Chance, keyed by what it is for.
//!
//! Every draw comes from the seed and a label, not from a generator that others draw from too: removing one fault from a plan
//! changes nothing that it has nothing to do with, so that a plan can be made smaller.

/// A short stream of draws.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of `label`, and its `number`, under `seed`.
    #[must_use]
    pub fn of(seed: u64, label: &str, number: u64) -> Self {
        let mut state = mixed(seed);
        for byte in label.bytes() {
            state = mixed(state ^ u64::from(byte));
        }
        Self(mixed(state ^ number))
    }

    /// The next draw.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    /// A number below `limit`; zero if there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.draw() % limit }
    }

    /// A number between these, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Whether something of this probability happens.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64);
        &all[usize::try_from(index).expect("it is below a length")]
    }
}

/// 2^64 divided by the golden ratio: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64, from the same paper.
fn mixed(mut z: u64) -> u64 {
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_numbers_have_streams_of_their_own() {
        let first = |seed, label, number| Chance::of(seed, label, number).draw();
        let all = [first(1, "a", 0), first(1, "a", 1), first(1, "b", 0), first(2, "a", 0)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
    }

    #[test]
    fn draws_spread() {
        let mut chance = Chance::of(7, "spread", 0);
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(chance.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
