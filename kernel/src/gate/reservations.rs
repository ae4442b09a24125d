//! What lets a strict limit survive a crash: permits are reserved in the journal, a block at a time, before they are used.
//!
//! Its rule: **no permit is used that is not on disk**. A process that comes back knows what was used of every block but the
//! last, and takes the last for used; so a crash costs at most a block of the limit, and never exceeds it. A record for each
//! call would be exact, and cost an fsync each; a tenth of the limit in one record costs ten fsyncs a period.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{codec, time::Timestamp};

/// The version of the stored reservations.
const RESERVATIONS_VERSION: u16 = 1;

/// The part of the limit that is a block, and the part of the period for which a block is good, if that is longer than
/// [`GRACE`].
const BLOCKS: u32 = 10;

/// How long after it was taken a permit may be used. What waits for longer takes another.
pub const GRACE: Duration = Duration::from_secs(5);

/// Permits that are reserved together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// How many. Of a block that is over: how many of it were used.
    pub count: u32,
    /// When they were reserved; of what [`Reservations::restore`] gives, when the last of them may have been used.
    pub at: Timestamp,
}

/// What [`Reservations::take`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Take {
    /// A permit, to be used within five seconds.
    Taken,
    /// This block must be on disk first: store [`Reservations::to_bytes`] with it, and when that is durable call
    /// [`Reservations::granted`] and take again. Who takes meanwhile is told to store the same block.
    Needs(Block),
}

/// The blocks of one limit.
#[derive(Clone, Debug)]
pub struct Reservations {
    calls_max: u32,
    per: Duration,
    /// The block in use, and how many of it are used.
    current: Option<(Block, u32)>,
    /// The block that is on its way to disk.
    asked: Option<Block>,
    /// Blocks that are over and still matter.
    past: Vec<Block>,
}

impl Reservations {
    /// No blocks yet, for a limit of `calls_max` in `per`.
    #[must_use]
    pub fn new(calls_max: u32, per: Duration) -> Self {
        Self { calls_max: calls_max.max(1), per, current: None, asked: None, past: vec![] }
    }

    /// The reservations as an earlier process stored them, and what it may have sent: for
    /// [`Window::assume_sent`](super::Window::assume_sent). If they cannot be read, it may have sent all that the limit
    /// allows.
    #[must_use]
    pub fn restore(
        calls_max: u32,
        per: Duration,
        bytes: &[u8],
        now: Timestamp,
    ) -> (Self, Vec<Block>) {
        let fresh = Self::new(calls_max, per);
        let past = match codec::decode::<(u16, Vec<Block>)>(bytes) {
            Ok((RESERVATIONS_VERSION, blocks)) => blocks,
            Ok(_) | Err(_) => vec![Block { count: fresh.calls_max, at: now }],
        };
        let mut restored = Self { past, ..fresh };
        restored.forget(now);
        let sent = |block: &Block| {
            let last = block.at.after(restored.lifetime()).after(GRACE);
            Block { count: block.count, at: last.min(now) }
        };
        let assumed = restored.past.iter().map(sent).collect();
        (restored, assumed)
    }

    /// Takes a permit, right before it is used.
    pub fn take(&mut self, now: Timestamp) -> Take {
        let lifetime = self.lifetime();
        if let Some((block, used)) = &mut self.current {
            block.at = block.at.min(now);
            if *used < block.count && now < block.at.after(lifetime) {
                *used += 1;
                return Take::Taken;
            }
        }
        // Nothing more may be taken of it: what is stored next says how much of it was used.
        self.past.extend(self.current.take().and_then(used));
        let asked = self.asked.filter(|block| now < block.at.after(lifetime) && block.at <= now);
        let count = (self.calls_max / BLOCKS).max(1);
        Take::Needs(*self.asked.insert(asked.unwrap_or(Block { count, at: now })))
    }

    /// Whether `block` is the one that is to be stored next.
    #[must_use]
    pub fn is_asked(&self, block: Block) -> bool {
        self.asked == Some(block)
    }

    /// What to store before `block` is granted: it and all blocks that still matter.
    #[must_use]
    pub fn to_bytes(&self, block: Block) -> Vec<u8> {
        let mut blocks = self.past.clone();
        blocks.push(block);
        codec::encode(&(RESERVATIONS_VERSION, blocks))
    }

    /// `block` is on disk: its permits may be used. A block that is no longer the one that was asked for is not.
    pub fn granted(&mut self, block: Block) {
        if self.asked == Some(block) {
            self.asked = None;
            self.current = Some((block, 0));
            self.forget(block.at);
        }
    }

    /// Drops the blocks whose last use is more than a period ago.
    fn forget(&mut self, now: Timestamp) {
        let matters_for = self.per.saturating_add(self.lifetime()).saturating_add(GRACE);
        for block in &mut self.past {
            block.at = block.at.min(now);
        }
        self.past.retain(|block| now < block.at.after(matters_for));
    }

    /// How long a block is good. For a short period longer than a part of it: a block is on disk only when it has been
    /// synced, and one that comes too late is not used.
    fn lifetime(&self) -> Duration {
        (self.per / BLOCKS).max(GRACE)
    }
}

/// What was used of a block that is over, if anything.
fn used((block, used): (Block, u32)) -> Option<Block> {
    (used > 0).then_some(Block { count: used, ..block })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    /// Takes a permit, and plays the disk.
    fn take(reservations: &mut Reservations, disk: &mut Vec<u8>, now: Timestamp) {
        if let Take::Needs(block) = reservations.take(now) {
            *disk = reservations.to_bytes(block);
            reservations.granted(block);
            assert_eq!(reservations.take(now), Take::Taken);
        }
    }

    #[test]
    fn a_block_is_a_tenth_of_the_limit_and_is_good_for_a_tenth_of_the_period() {
        let mut reservations = Reservations::new(50, MINUTE);
        let block = Block { count: 5, at: START };
        assert_eq!(reservations.take(START), Take::Needs(block));
        assert_eq!(reservations.take(at(1)), Take::Needs(block), "it is on its way");
        reservations.granted(block);
        for _ in 0..4 {
            assert_eq!(reservations.take(at(5)), Take::Taken);
        }
        assert_eq!(reservations.take(at(6)), Take::Needs(Block { count: 5, at: at(6) }));
    }

    #[test]
    fn a_block_that_comes_late_is_not_used() {
        let mut reservations = Reservations::new(50, MINUTE);
        let (old, new) = (Block { count: 5, at: START }, Block { count: 5, at: at(6) });
        assert_eq!(reservations.take(START), Take::Needs(old));
        assert_eq!(reservations.take(at(6)), Take::Needs(new));
        reservations.granted(old);
        assert_eq!(reservations.take(at(6)), Take::Needs(new));
    }

    #[test]
    fn a_slow_disk_is_no_reason_never_to_call() {
        let mut reservations = Reservations::new(14, Duration::from_secs(1));
        let Take::Needs(block) = reservations.take(START) else { panic!("there is no block") };
        reservations.granted(block);
        assert_eq!(reservations.take(at(4)), Take::Taken, "the sync has taken four seconds");
    }

    #[test]
    fn a_crash_costs_the_last_block_and_of_those_before_what_was_used() {
        let (mut reservations, mut disk) = (Reservations::new(50, MINUTE), vec![]);
        for _ in 0..2 {
            take(&mut reservations, &mut disk, START);
        }
        take(&mut reservations, &mut disk, at(10));
        let (_, assumed) = Reservations::restore(50, MINUTE, &disk, at(15));
        let expected = [Block { count: 2, at: at(11) }, Block { count: 5, at: at(15) }];
        assert_eq!(assumed, expected);
        let (_, assumed) = Reservations::restore(50, MINUTE, &disk, at(72));
        assert_eq!(assumed, [Block { count: 5, at: at(21) }], "the first is over");
    }

    #[test]
    fn what_an_earlier_process_used_outlasts_a_second_crash() {
        let (mut reservations, mut disk) = (Reservations::new(10, MINUTE), vec![]);
        take(&mut reservations, &mut disk, START);
        let (mut reservations, _) = Reservations::restore(10, MINUTE, &disk, at(2));
        take(&mut reservations, &mut disk, at(2));
        let (_, assumed) = Reservations::restore(10, MINUTE, &disk, at(4));
        assert_eq!(assumed, [Block { count: 1, at: at(4) }, Block { count: 1, at: at(4) }]);
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_whole_limit() {
        let newer = codec::encode(&(RESERVATIONS_VERSION + 1, Vec::<Block>::new()));
        for bytes in [&newer[..], b"", b"nonsense"] {
            let (_, assumed) = Reservations::restore(50, MINUTE, bytes, START);
            assert_eq!(assumed, [Block { count: 50, at: START }]);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_freezes_nothing() {
        let (mut reservations, mut disk) = (Reservations::new(50, MINUTE), vec![]);
        take(&mut reservations, &mut disk, at(1_000_000));
        let (_, assumed) = Reservations::restore(50, MINUTE, &disk, START);
        assert_eq!(assumed, [Block { count: 5, at: START }]);
        assert_eq!(reservations.take(START), Take::Taken);
        assert_eq!(reservations.take(at(6)), Take::Needs(Block { count: 5, at: at(6) }));
    }

    #[test]
    fn the_stored_bytes_are_these() {
        let (mut reservations, mut disk) = (Reservations::new(50, MINUTE), vec![]);
        take(&mut reservations, &mut disk, Timestamp(1));
        take(&mut reservations, &mut disk, Timestamp(6_001));
        assert_eq!(disk, [1, 2, 1, 1, 5, 251, 0x71, 0x17]);
    }
}
