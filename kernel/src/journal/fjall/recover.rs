//! Verifies what the store holds against itself and against the anchor.
//!
//! The whole chain is recomputed from the newest checkpoint on, which is at most some hundred thousand records back, so
//! opening stays fast as the journal grows. A journal that is younger than its first checkpoint is verified whole.

use std::collections::BTreeMap;

use super::{
    open::OpenError,
    store::{KEYSPACES, Store, decode_seq},
};
use crate::{
    id::StreamId,
    journal::{
        Head, Record, Seq, StreamSeq, archive::Slot, format, format::Unreadable,
        sequencer::StreamHead,
    },
};

/// What was found to be good.
pub(super) struct Recovered {
    /// The last record.
    pub(super) head: Head,
    /// The newest checkpoint.
    pub(super) checkpoint: Head,
    /// Records verified: those after the checkpoint.
    pub(super) verified: u64,
}

/// Verifies `store`. With an `anchor`, its record must be there.
pub(super) fn recover(store: &Store, anchor: Option<&Head>) -> Result<Recovered, OpenError> {
    let last = end(store, anchor)?;
    let checkpoint =
        store.checkpoint()?.ok_or_else(|| damaged(Seq(0), "the checkpoint is malformed"))?;
    if checkpoint.seq > last {
        return Err(damaged(checkpoint.seq, "a checkpoint names it and it is missing"));
    }
    check_hash(store, &checkpoint, |found| match found {
        Some(_) => damaged(checkpoint.seq, "its hash is not that of the checkpoint"),
        None => damaged(checkpoint.seq, "a checkpoint names it and it is missing"),
    })?;
    let mut tail = Tail { head: checkpoint, streams: BTreeMap::new(), bytes: Vec::new() };
    for guard in store.events.range(format::key(Seq(checkpoint.seq.0 + 1))..) {
        let (key, value) = guard.into_inner()?;
        tail.add(decode_seq(&key), &value)?;
    }
    if let Some(anchor) = anchor {
        check_hash(store, anchor, |_| OpenError::Lost { expected: *anchor, found: tail.head })?;
    }
    check_streams(store, &tail.streams)?;
    check_marks(store, tail.head.seq)?;
    let verified = tail.head.seq.0 - checkpoint.seq.0;
    Ok(Recovered { head: tail.head, checkpoint, verified })
}

/// The last record's place, after checking that the first is the first and that the anchor is not beyond the last.
fn end(store: &Store, anchor: Option<&Head>) -> Result<Seq, OpenError> {
    let edge = |guard: Option<::fjall::Guard>| match guard {
        None => Ok(Seq(0)),
        Some(guard) => {
            decode_seq(&guard.key()?).ok_or_else(|| damaged(Seq(0), "a key is malformed"))
        }
    };
    let (first, last) =
        (edge(store.events.first_key_value())?, edge(store.events.last_key_value())?);
    if let Some(anchor) = anchor.filter(|anchor| anchor.seq > last) {
        let found = match store.slot(last) {
            Ok(Some(slot)) => Head { seq: last, hash: slot.hash() },
            Ok(None) | Err(_) => Head::EMPTY,
        };
        return Err(OpenError::Lost { expected: *anchor, found });
    }
    match first.0 > 1 {
        true => Err(damaged(Seq(1), "it and others at the beginning are missing")),
        false => Ok(last),
    }
}

fn check_hash(
    store: &Store,
    head: &Head,
    error: impl FnOnce(Option<Slot>) -> OpenError,
) -> Result<(), OpenError> {
    if *head == Head::EMPTY {
        return Ok(());
    }
    let slot = store.slot(head.seq).map_err(|problem| damaged(head.seq, problem.to_string()))?;
    match &slot {
        Some(found) if found.hash() == head.hash => Ok(()),
        Some(_) | None => Err(error(slot)),
    }
}

/// The chain as far as it is verified.
struct Tail {
    head: Head,
    streams: BTreeMap<StreamId, StreamHead>,
    bytes: Vec<u8>,
}

impl Tail {
    fn add(&mut self, seq: Option<Seq>, value: &[u8]) -> Result<(), OpenError> {
        let expected = Seq(self.head.seq.0 + 1);
        let seq = seq.ok_or_else(|| damaged(expected, "its key is malformed"))?;
        if seq != expected {
            return Err(damaged(expected, "it is missing"));
        }
        let slot = format::decode_slot(seq, value).map_err(|error| match error {
            Unreadable::Newer { .. } => {
                OpenError::Newer { what: format!("record {seq}"), problem: error }
            }
            _ => damaged(seq, error.to_string()),
        })?;
        let record = match slot {
            Slot::Live(record) => record,
            // Its stream has ended; that the record after it fits shows its hash to be right.
            Slot::Archived(stub) => {
                self.head = Head { seq, hash: stub.hash };
                return Ok(());
            }
        };
        let hash =
            format::encode(seq, record.previous, &record.entry, &self.head.hash, &mut self.bytes);
        if hash != record.hash || self.bytes != value {
            return Err(damaged(seq, "it does not fit the hash chain"));
        }
        self.follow(&record)?;
        self.head = Head { seq, hash };
        Ok(())
    }

    /// The record must continue its stream, as far as the stream was seen.
    fn follow(&mut self, record: &Record) -> Result<(), OpenError> {
        let entry = &record.entry;
        let head = StreamHead { seq: record.seq, stream_seq: entry.stream_seq, place: None };
        let Some(before) = self.streams.insert(entry.stream.clone(), head) else { return Ok(()) };
        let follows = StreamSeq(before.stream_seq.0 + 1) == entry.stream_seq;
        match follows && record.previous == Some(before.seq) {
            true => Ok(()),
            false => {
                Err(damaged(record.seq, format!("it does not continue stream {}", entry.stream)))
            }
        }
    }
}

fn check_streams(store: &Store, streams: &BTreeMap<StreamId, StreamHead>) -> Result<(), OpenError> {
    for (stream, head) in streams {
        let stored = store.head(stream).map_err(|error| damaged(head.seq, error.to_string()))?;
        if stored != Some(*head) {
            return Err(damaged(
                head.seq,
                format!("stream {stream} ends with it and is stored with another end"),
            ));
        }
    }
    Ok(())
}

fn check_marks(store: &Store, last: Seq) -> Result<(), OpenError> {
    let keyspaces = [&store.streams, &store.snapshots, &store.projections, &store.blobs];
    for (keyspace, name) in keyspaces.into_iter().zip(&KEYSPACES[1..]) {
        let mark = store.mark(keyspace)?;
        if mark != Some(last) {
            return Err(OpenError::Diverged {
                keyspace: name,
                found: mark.unwrap_or_default(),
                last,
            });
        }
    }
    Ok(())
}

fn damaged(seq: Seq, problem: impl Into<String>) -> OpenError {
    OpenError::Damaged { seq, problem: problem.into() }
}
