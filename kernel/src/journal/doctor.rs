//! Reads the store's own write-ahead files before the store does, and repairs or refuses what a power loss left there.
//!
//! fjall 3.1 writes batches one after the other into a file of zeros: a start (tag 1, count, sequence number), the items
//! (tag 2 or 4), an end (tag 3, the xxh3 of the items, a trailer). Left to itself it treats some damage in the middle as
//! the end of the file, which silently drops what was synced after it, and it refuses some torn tails, which are what a
//! power loss is allowed to leave. The doctor tells the two apart by one rule: **a tail after which no whole batch follows
//! was never synced and may be cut; damage with a whole batch after it is corruption, and only a person may decide.**
//!
//! [`examine`] is that rule as a pure function. It also checks what the store's checksum leaves out: the count and the
//! sequence number of a start. What is cut is kept in a file beside the store.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::journal::head::sync_dir;

/// What a write-ahead file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// Up to here it is whole, valid batches.
    pub valid_end: usize,
    /// How many there are.
    pub batches: u64,
    /// The store's sequence number of the last one.
    pub last_seqno: Option<u64>,
    /// What is wrong after `valid_end`. Nothing is, if only zeros follow.
    pub findings: Vec<Finding>,
}

/// Something wrong with a write-ahead file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Finding {
    /// The last batch is incomplete and nothing whole follows: a power loss before its fsync.
    #[error(
        "{bytes} bytes at offset {at} are an incomplete last batch, which was never synced ({problem})"
    )]
    TornTail {
        /// Where it begins.
        at: usize,
        /// How long it is, without the zeros at the end.
        bytes: usize,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A batch is damaged and was followed by others: not what a power loss does.
    #[error("the batch at offset {at} is damaged ({problem}), and what follows it was synced")]
    Corrupt {
        /// Where it begins.
        at: usize,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// No start where a batch should begin.
    #[error("it has no start")]
    Start,
    /// Something other than an item where the count says that there is one.
    #[error("an item is malformed")]
    Item,
    /// No end where the count says that the items end.
    #[error("it has no end")]
    End,
    /// The items are not those that were written.
    #[error("its checksum does not fit")]
    Checksum,
    /// The sequence number does not follow the one before.
    #[error("its sequence number does not follow")]
    Seqno,
}

/// Most that a sequence number may grow from one batch to the next. The store takes a few for itself; this much more can
/// only be a flipped bit.
const SEQNO_STEP_MAX: u64 = 1 << 32;

const START_LEN: usize = 13;
const ITEM_LEN: usize = 21;
const CLEAR_LEN: usize = 9;
const END_LEN: usize = 13;
const TRAILER: &[u8] = b"FJL\x03";

/// Reads a write-ahead file from its first byte.
#[must_use]
pub fn examine(bytes: &[u8]) -> Examination {
    examine_after(bytes, None)
}

/// As [`examine`], for a file that continues one whose last sequence number was `last_seqno`.
fn examine_after(bytes: &[u8], last_seqno: Option<u64>) -> Examination {
    let mut found = Examination { last_seqno, ..Examination::default() };
    let used = used(bytes);
    let problem = loop {
        if found.valid_end >= used {
            return found;
        }
        match batch(&bytes[found.valid_end..]) {
            Ok(batch) if follows(found.last_seqno, batch.seqno) => {
                found.valid_end += batch.len;
                found.batches += 1;
                found.last_seqno = Some(batch.seqno);
            }
            Ok(_) => break Problem::Seqno,
            Err(problem) => break problem,
        }
    };
    let at = found.valid_end;
    // A batch that is whole but for its number did reach the disk, so it counts as one that follows.
    let corrupt = problem == Problem::Seqno || whole_batch_within(&bytes[at + 1..used]);
    found.findings.push(match corrupt {
        true => Finding::Corrupt { at, problem },
        false => Finding::TornTail { at, bytes: used - at, problem },
    });
    found
}

/// The length of `bytes` without the zeros at the end. The store sizes its files in advance.
fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let Some(last) = bytes.chunks(ZEROS.len()).rposition(|chunk| chunk != &ZEROS[..chunk.len()])
    else {
        return 0;
    };
    let chunk = &bytes[last * ZEROS.len()..bytes.len().min((last + 1) * ZEROS.len())];
    let within = chunk.iter().rposition(|byte| *byte != 0).expect("the chunk is not all zeros");
    last * ZEROS.len() + within + 1
}

fn follows(last: Option<u64>, seqno: u64) -> bool {
    match last {
        Some(last) => seqno > last && seqno - last < SEQNO_STEP_MAX,
        // The store counts in 63 bits and panics beyond.
        None => seqno < u64::MAX >> 2,
    }
}

fn whole_batch_within(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| bytes[at] == 1 && batch(&bytes[at..]).is_ok())
}

struct Batch {
    len: usize,
    seqno: u64,
}

/// Reads the batch that `bytes` begin with.
fn batch(bytes: &[u8]) -> Result<Batch, Problem> {
    let start = bytes.first_chunk::<START_LEN>().ok_or(Problem::Start)?;
    if start[0] != 1 {
        return Err(Problem::Start);
    }
    let count = u32::from_le_bytes(take(start, 1));
    let seqno = u64::from_le_bytes(take(start, 5));
    let mut at = START_LEN;
    for _ in 0..count {
        at += item_len(&bytes[at..])?;
        if at > bytes.len() {
            return Err(Problem::Item);
        }
    }
    let end = bytes[at..].first_chunk::<END_LEN>().ok_or(Problem::End)?;
    if count == 0 || end[0] != 3 || &end[9..] != TRAILER {
        return Err(Problem::End);
    }
    match xxh3_64(&bytes[START_LEN..at]) == u64::from_le_bytes(take(end, 1)) {
        true => Ok(Batch { len: at + END_LEN, seqno }),
        false => Err(Problem::Checksum),
    }
}

/// The length that the item which `bytes` begin with says it has.
fn item_len(bytes: &[u8]) -> Result<usize, Problem> {
    match bytes.first() {
        Some(2) => {
            let head = bytes.first_chunk::<ITEM_LEN>().ok_or(Problem::Item)?;
            // Value, tombstone or weak tombstone; Soloist never compresses, so both lengths are the same.
            let (kind, compression) = (head[1], head[2]);
            let key = u16::from_le_bytes(take(head, 11));
            let value = u32::from_le_bytes(take(head, 13));
            let on_disk = u32::from_le_bytes(take(head, 17));
            if kind > 2 || compression != 0 || value != on_disk {
                return Err(Problem::Item);
            }
            Ok(ITEM_LEN + usize::from(key) + value as usize)
        }
        Some(4) => Ok(CLEAR_LEN),
        _ => Err(Problem::Item),
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the header is longer than its fields")
}

/// A store that may not be opened.
#[derive(Debug, Error)]
pub enum Unhealthy {
    /// A file could not be read or cut.
    #[error("failed to examine {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged where a power loss cannot damage it.
    #[error("{}: {finding}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        finding: Finding,
    },
    /// A file between two others is gone.
    #[error("{} is missing, though newer ones are there", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
}

/// What [`heal`] did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Healed {
    /// Whole batches found.
    pub(super) batches: u64,
    /// Bytes cut from the end.
    pub(super) cut_bytes: u64,
}

/// What may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Only what was never synced.
    TornTail,
    /// What follows damage too, because a person accepted the loss.
    AnyTail,
}

/// Examines the write-ahead files of `store` and cuts what may be cut, after copying it to the file `kept`.
pub(super) fn heal(store: &Path, cut: Cut, kept: &Path) -> Result<Healed, Unhealthy> {
    let mut healed = Healed::default();
    let mut last_seqno = None;
    let files = write_ahead_files(store)?;
    for (index, path) in files.iter().enumerate() {
        let io = |source| Unhealthy::Io { path: path.clone(), source };
        let bytes = fs::read(path).map_err(io)?;
        let found = examine_after(&bytes, last_seqno);
        healed.batches += found.batches;
        last_seqno = found.last_seqno;
        let Some(finding) = found.findings.into_iter().next() else { continue };
        // A file that is not the last was synced before the next was begun.
        let last = index + 1 == files.len();
        let allowed = cut == Cut::AnyTail || matches!(finding, Finding::TornTail { .. });
        if !last || !allowed {
            return Err(Unhealthy::Damaged { path: path.clone(), finding });
        }
        let tail = &bytes[found.valid_end..used(&bytes)];
        cut_tail(path, found.valid_end, tail, kept).map_err(io)?;
        healed.cut_bytes += tail.len() as u64;
    }
    Ok(healed)
}

/// Examines each write-ahead file of the journal in `dir` and changes nothing.
///
/// # Errors
///
/// [`Unhealthy`] if a file cannot be read or is missing between others.
pub fn inspect(dir: &Path) -> Result<Vec<(PathBuf, Examination)>, Unhealthy> {
    let mut last_seqno = None;
    let mut examined = Vec::new();
    for path in write_ahead_files(&dir.join(super::fjall::STORE))? {
        let bytes =
            fs::read(&path).map_err(|source| Unhealthy::Io { path: path.clone(), source })?;
        let found = examine_after(&bytes, last_seqno);
        last_seqno = found.last_seqno;
        examined.push((path, found));
    }
    Ok(examined)
}

/// The cut bytes are made durable elsewhere first, so that a cut can be undone by hand.
fn cut_tail(path: &Path, end: usize, tail: &[u8], kept: &Path) -> io::Result<()> {
    let mut copy = File::create(kept)?;
    copy.write_all(tail)?;
    copy.sync_all()?;
    kept.parent().map_or(Ok(()), sync_dir)?;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(end as u64)?;
    file.sync_all()
}

/// The files in the order they were written, which is the order of their numbers.
pub(super) fn write_ahead_files(store: &Path) -> Result<Vec<PathBuf>, Unhealthy> {
    let io = |source| Unhealthy::Io { path: store.to_owned(), source };
    let mut files = Vec::new();
    for file in fs::read_dir(store).map_err(io)? {
        let path = file.map_err(io)?.path();
        let number = path.extension().filter(|kind| *kind == "jnl").and_then(|_| {
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse::<u64>().ok())
        });
        if let Some(number) = number {
            files.push((number, path));
        }
    }
    files.sort();
    for pair in files.windows(2) {
        // They are removed from the oldest on, so there is no gap.
        if pair[0].0 + 1 != pair[1].0 {
            return Err(Unhealthy::Missing { path: store.join(format!("{}.jnl", pair[0].0 + 1)) });
        }
    }
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_of(seqno: u64, values: &[&[u8]]) -> Vec<u8> {
        let mut items = Vec::new();
        for value in values {
            let len = u32::try_from(value.len()).unwrap().to_le_bytes();
            items.extend([2, 0, 0]);
            items.extend(7u64.to_le_bytes());
            items.extend(3u16.to_le_bytes());
            items.extend(len);
            items.extend(len);
            items.extend(b"key");
            items.extend(*value);
        }
        let mut bytes = vec![1];
        bytes.extend(u32::try_from(values.len()).unwrap().to_le_bytes());
        bytes.extend(seqno.to_le_bytes());
        bytes.extend(&items);
        bytes.push(3);
        bytes.extend(xxh3_64(&items).to_le_bytes());
        bytes.extend(TRAILER);
        bytes
    }

    /// Three batches, the offset at which each begins, and zeros after them.
    fn file() -> (Vec<u8>, [usize; 3], usize) {
        let batches =
            [batch_of(3, &[b"one"]), batch_of(4, &[b"two", b""]), batch_of(9, &[b"three"])];
        let starts = [0, batches[0].len(), batches[0].len() + batches[1].len()];
        let mut bytes = batches.concat();
        let end = bytes.len();
        bytes.resize(end + 5000, 0);
        (bytes, starts, end)
    }

    #[test]
    fn whole_batches_and_zeros_are_in_order() {
        let (bytes, _, end) = file();
        let expected =
            Examination { valid_end: end, batches: 3, last_seqno: Some(9), findings: vec![] };
        assert_eq!(examine(&bytes), expected);
        assert_eq!(examine(&bytes[..end]), expected);
        assert_eq!(examine(&[0; 9000]), Examination::default());
        assert_eq!(examine(&[]), Examination::default());
    }

    #[test]
    fn a_cut_at_any_byte_leaves_whole_batches_and_a_torn_tail() {
        let (bytes, starts, end) = file();
        for cut in 0..end {
            let found = examine(&bytes[..cut]);
            let whole = starts.iter().skip(1).chain([&end]).filter(|start| **start <= cut).count();
            assert_eq!(found.batches, whole as u64, "cut at {cut}");
            let torn = matches!(found.findings[..], [Finding::TornTail { .. }]);
            assert_eq!(torn, !starts.contains(&cut), "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn any_flipped_bit_before_the_last_batch_is_corruption() {
        let (mut bytes, starts, _) = file();
        for bit in 0..starts[2] * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = examine(&bytes);
            let corrupt = matches!(found.findings[..], [Finding::Corrupt { .. }]);
            // A sequence number that still lies between its neighbours changes nothing that was stored.
            let harmless = found.batches == 3 && bit / 8 % starts[1] < START_LEN;
            assert!(corrupt || harmless, "bit {bit}: {found:?}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn any_flipped_bit_in_the_last_batch_is_seen_except_a_harmless_one_in_its_number() {
        let (mut bytes, starts, end) = file();
        for bit in starts[2] * 8..end * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = examine(&bytes);
            let in_seqno = (5..START_LEN).contains(&(bit / 8 - starts[2]));
            assert!(
                found.batches == 2 || in_seqno && found.last_seqno > Some(4),
                "bit {bit}: {found:?}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_number_that_does_not_follow_is_corruption_even_in_the_last_batch() {
        for seqno in [3, 4, 4 + SEQNO_STEP_MAX, u64::MAX] {
            let bytes = [batch_of(4, &[b"a"]), batch_of(seqno, &[b"b"])].concat();
            let found = examine(&bytes);
            assert!(matches!(
                found.findings[..],
                [Finding::Corrupt { problem: Problem::Seqno, .. }]
            ));
        }
    }
}
