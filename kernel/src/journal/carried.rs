//! A record on its own, away from its journal: what it takes to check it goes with it.
//!
//! The hash of a record is over the hash of the record before and its own bytes. So a record that travels takes the former with
//! it, and whoever receives the two can tell that not a bit of the record has changed; that it was in a journal at all, only
//! that journal can tell. Bundles of runs are made of these.

use thiserror::Error;

use super::{Journal, ReadError, Record, Seq, Unreadable, format};
use crate::payload::Digest;

/// Bytes of the hash before, and of the record's place, in front of its stored form.
const STORED_AT: usize = 32 + 8;

/// Why bytes are not a record that has travelled.
#[derive(Debug, Error)]
pub enum Uncarried {
    /// It is shorter than what stands before a record.
    #[error("it has only {bytes} bytes")]
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is not what was in the journal.
    #[error("its bytes or the hash of the record before it have changed since it was written")]
    Changed,
}

/// Whether `record` is exactly what was appended behind the record with the hash `before`.
#[must_use]
pub fn follows(record: &Record, before: &Digest) -> bool {
    let mut bytes = Vec::new();
    format::encode(record.seq, record.previous, &record.entry, before, &mut bytes) == record.hash
}

/// The hash of the record before record `seq` of `journal`; `None` if that record is not there.
///
/// # Errors
///
/// [`ReadError`].
pub fn before(journal: &dyn Journal, seq: Seq) -> Result<Option<Digest>, ReadError> {
    match seq.0.checked_sub(1) {
        None => Ok(None),
        Some(0) => Ok(Some(format::GENESIS)),
        Some(before) => Ok(journal.record(Seq(before))?.map(|record| record.hash)),
    }
}

/// `record`, which follows the one with the hash `before`, as bytes that can be checked anywhere.
#[must_use]
pub fn pack(record: &Record, before: &Digest) -> Vec<u8> {
    let mut stored = Vec::new();
    format::encode(record.seq, record.previous, &record.entry, before, &mut stored);
    let mut bytes = Vec::with_capacity(STORED_AT + stored.len());
    bytes.extend_from_slice(&before.0);
    bytes.extend_from_slice(&record.seq.0.to_be_bytes());
    bytes.extend_from_slice(&stored);
    bytes
}

/// The record in `bytes`, and the hash of the one before it, checked.
///
/// # Errors
///
/// [`Uncarried`].
pub fn unpack(bytes: &[u8]) -> Result<(Record, Digest), Uncarried> {
    let too_short = || Uncarried::TooShort { bytes: bytes.len() };
    let (before, rest) = bytes.split_first_chunk::<32>().ok_or_else(too_short)?;
    let (seq, stored) = rest.split_first_chunk::<8>().ok_or_else(too_short)?;
    let before = Digest(*before);
    let record = format::decode(Seq(u64::from_be_bytes(*seq)), stored)?;
    if follows(&record, &before) { Ok((record, before)) } else { Err(Uncarried::Changed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{Actor, StreamId},
        journal::{Append, Entry, StreamSeq, memory::MemoryJournal},
        time::Timestamp,
    };

    fn journal() -> MemoryJournal {
        let journal = MemoryJournal::default();
        for stream_seq in 1..=2 {
            let entry = Entry {
                stream: StreamId::new("run:a").unwrap(),
                stream_seq: StreamSeq(stream_seq),
                at: Timestamp(7),
                actor: Actor::kernel(),
                causation: None,
                correlation: None,
                kind: "run.started".into(),
                version: 2,
                payload: vec![1, 2, 3],
            };
            journal.append(Append { entries: vec![entry], ..Append::default() }).unwrap();
        }
        journal
    }

    #[test]
    fn a_record_that_travels_is_the_one_that_was_appended() {
        let journal = journal();
        for seq in [Seq(1), Seq(2)] {
            let record = journal.record(seq).unwrap().unwrap();
            let before = before(&journal, seq).unwrap().unwrap();
            assert!(follows(&record, &before));
            assert_eq!(unpack(&pack(&record, &before)).unwrap(), (record, before));
        }
        assert_eq!(before(&journal, Seq(9)).unwrap(), None);
    }

    #[test]
    fn every_byte_that_changes_on_the_way_is_noticed() {
        let journal = journal();
        let record = journal.record(Seq(2)).unwrap().unwrap();
        let bytes = pack(&record, &before(&journal, Seq(2)).unwrap().unwrap());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(unpack(&flipped).is_err(), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(unpack(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
