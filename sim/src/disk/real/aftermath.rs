//! What each fault leaves of the write-ahead file, and what opening it may then find.
//!
//! The journal promises to mend what a power loss may leave, and to refuse what is damaged or shorter than `HEAD` says. `HEAD`
//! follows the fsyncs by up to 50 ms, so an end that vanishes whole is noticed only if `HEAD` names it: here `HEAD` is exact in
//! three images of four, and behind in the rest.

use soloist_kernel::journal::Head;

use super::history::History;
use crate::{chance::Chance, plan::Kind};

/// What a disk writes at once: of a write that was cut off, some of these are there and others are not.
const SECTOR: usize = 512;

/// Longest garbage after the last batch.
const GARBAGE_BYTES_MAX: u64 = 1_500;

/// How the journal was found when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// As it should be.
    Whole,
    /// Damaged, and nothing was lost by that.
    Mended,
    /// Damaged, which was noticed. The operator put it back as it was.
    Refused,
    /// Shorter or older, which nothing in it can tell. The operator put it back as it was.
    Shorter,
}

impl Recovery {
    /// What was seen, for sometimes-assertions.
    pub(crate) fn seen(self) -> &'static str {
        match self {
            Self::Whole => "the journal was whole",
            Self::Mended => "a damaged journal was mended",
            Self::Refused => "a damaged journal was refused",
            Self::Shorter => "a shorter journal was taken for whole",
        }
    }
}

/// What a process leaves.
pub(super) struct Left {
    /// The write-ahead file with what survives, and nothing else.
    pub(super) whole: Vec<u8>,
    /// What `HEAD` says.
    pub(super) head: Head,
    /// Appends that survive.
    pub(super) kept: usize,
    /// What the fault has made of it.
    pub(super) damaged: Option<Oracle>,
}

/// A damaged journal, and what may become of it.
pub(super) struct Oracle {
    pub(super) what: &'static str,
    pub(super) write_ahead: Vec<u8>,
    pub(super) head: Head,
    /// Whether it may be refused.
    pub(super) may_refuse: bool,
    /// How many appends may be found if it is opened.
    pub(super) may_find: Vec<usize>,
    /// What does not hold if others are found.
    pub(super) invariant: &'static str,
}

impl Left {
    /// What is left by `kind` of a write-ahead file with all of `history`, of which `kept` appends survive.
    pub(super) fn new(
        history: &History,
        write_ahead: &[u8],
        kept: usize,
        kind: &Kind,
        chance: &mut Chance,
    ) -> Self {
        let whole = write_ahead[..history.end_of(kept)].to_vec();
        let heads = history.heads();
        let exact = heads[heads.len() - 1];
        let head = if chance.percent(75) { exact } else { *chance.pick(heads) };
        let scene = Scene { history, write_ahead, whole: &whole, kept, head };
        let damaged = match kind {
            Kind::Torn => Some(scene.torn(chance)),
            Kind::Flipped => scene.flipped(chance),
            Kind::Truncated => scene.truncated(chance),
            Kind::Older => scene.older(chance),
            _ => None,
        };
        Self { whole, head, kept, damaged }
    }
}

struct Scene<'a> {
    history: &'a History,
    /// With what does not survive.
    write_ahead: &'a [u8],
    whole: &'a [u8],
    kept: usize,
    head: Head,
}

impl Scene<'_> {
    /// Power was lost in the middle of a write: what was written of it is cut.
    fn torn(&self, chance: &mut Chance) -> Oracle {
        let (from, history) = (self.whole.len(), self.history);
        let next = &self.write_ahead[from..history.end_of(history.count().min(self.kept + 1))];
        let tail = match chance.below(3) {
            0 if next.len() > 1 => next[..=index(chance, next.len() - 1)].to_vec(),
            1 if next.len() > 1 => with_lost_sectors(next, from, chance),
            _ => garbage(chance),
        };
        Oracle {
            what: "a torn end",
            write_ahead: [self.whole, &tail].concat(),
            head: self.head,
            may_refuse: false,
            may_find: vec![self.kept],
            invariant: "durable-prefix",
        }
    }

    /// A bit has turned. That is noticed or changes nothing, except that a damaged last batch looks like one that was never
    /// synced: only `HEAD` can tell.
    fn flipped(&self, chance: &mut Chance) -> Option<Oracle> {
        if self.whole.is_empty() {
            return None;
        }
        let mut write_ahead = self.whole.to_vec();
        let at = index(chance, write_ahead.len());
        write_ahead[at] ^= 1 << chance.below(8);
        let mut may_find = vec![self.kept];
        let before = self.kept - 1;
        if at >= self.history.end_of(before) && self.head.seq <= self.history.last_of(before) {
            may_find.push(before);
        }
        Some(Oracle {
            what: "a flipped bit",
            write_ahead,
            head: self.head,
            may_refuse: true,
            may_find,
            invariant: "damage-refused",
        })
    }

    /// What was synced is gone from some place on. That is noticed if `HEAD` names any of it.
    fn truncated(&self, chance: &mut Chance) -> Option<Oracle> {
        let history = self.history;
        let synced = history.heads().last().and_then(|head| history.count_to(head.seq))?;
        if synced == 0 {
            return None;
        }
        let end = index(chance, history.end_of(synced));
        let left = history.count_within(end);
        let noticed = self.head.seq > history.last_of(left);
        Some(Oracle {
            what: "its end gone",
            write_ahead: self.whole[..end].to_vec(),
            head: self.head,
            may_refuse: noticed,
            may_find: if noticed { vec![] } else { vec![left] },
            invariant: "damage-refused",
        })
    }

    /// The whole directory is what it once was. It agrees with itself, so nothing in it can tell.
    fn older(&self, chance: &mut Chance) -> Option<Oracle> {
        let last = self.history.last_of(self.kept);
        let ever = self.history.heads_ever().iter().copied();
        let older: Vec<Head> = ever.filter(|head| head.seq < last).collect();
        if older.is_empty() {
            return None;
        }
        let head = *chance.pick(&older);
        let count = self.history.count_to(head.seq)?;
        Some(Oracle {
            what: "an older directory",
            write_ahead: self.whole[..self.history.end_of(count)].to_vec(),
            head,
            may_refuse: false,
            may_find: vec![count],
            invariant: "durable-prefix",
        })
    }
}

/// `batch`, which is at `from` in its file, without some of its sectors.
fn with_lost_sectors(batch: &[u8], from: usize, chance: &mut Chance) -> Vec<u8> {
    let sectors = from / SECTOR..=(from + batch.len() - 1) / SECTOR;
    let count = sectors.end() - sectors.start() + 1;
    let sure = sectors.start() + index(chance, count);
    let mut torn = batch.to_vec();
    for sector in sectors {
        if sector == sure || chance.percent(30) {
            let begin = (sector * SECTOR).saturating_sub(from);
            let end = ((sector + 1) * SECTOR - from).min(torn.len());
            torn[begin..end].fill(0);
        }
    }
    // A sector of zeros is as good lost as not.
    if torn == batch {
        torn.truncate(index(chance, batch.len()));
    }
    torn
}

fn garbage(chance: &mut Chance) -> Vec<u8> {
    let len = chance.between(1, GARBAGE_BYTES_MAX);
    (0..len).map(|_| chance.draw().to_le_bytes()[0]).collect()
}

/// An index below `len`, which is not zero.
fn index(chance: &mut Chance, len: usize) -> usize {
    usize::try_from(chance.below(len as u64)).expect("it is below a length")
}
