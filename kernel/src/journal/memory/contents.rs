//! What a journal in memory holds, and how to take back what an append changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    id::StreamId,
    journal::{
        Append, Head, ReadError, Record, Seq, Snapshot, StreamSeq,
        archive::{Place, Segment, Shelf, Slot, Source, read_stream},
        format,
        sequencer::{Placed, StreamHead},
    },
    payload::Digest,
};

/// A projection's table and key.
type Row = (String, String);

/// What is in the journal.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) slots: Vec<Slot>,
    pub(super) streams: BTreeMap<StreamId, StreamHead>,
    pub(super) snapshots: BTreeMap<StreamId, Snapshot>,
    pub(super) projections: BTreeMap<Row, Vec<u8>>,
    pub(super) blobs: BTreeMap<Digest, Arc<[u8]>>,
    /// Where blobs are that were archived.
    pub(super) places: BTreeMap<Digest, Place>,
}

/// What an append replaced, in the order in which it did.
#[derive(Default)]
pub(super) struct Undo {
    records: usize,
    archived: Vec<Slot>,
    streams: Vec<(StreamId, Option<StreamHead>)>,
    snapshots: Vec<(StreamId, Option<Snapshot>)>,
    projections: Vec<(Row, Option<Vec<u8>>)>,
    blobs: Vec<(Digest, Option<Arc<[u8]>>)>,
    places: Vec<(Digest, Option<Place>)>,
}

impl Undo {
    /// Of an append of so many records.
    pub(super) fn of(records: usize) -> Self {
        Self { records, ..Self::default() }
    }
}

impl Contents {
    pub(super) fn head(&self) -> Head {
        self.slots.last().map_or(Head::EMPTY, |last| Head { seq: last.seq(), hash: last.hash() })
    }

    /// Adds a record and returns its size.
    pub(super) fn push(&mut self, placed: Placed, undo: &mut Undo, bytes: &mut Vec<u8>) -> u64 {
        let Placed { seq, previous, entry } = placed;
        let hash = format::encode(seq, previous, &entry, &self.head().hash, bytes);
        let head = StreamHead { seq, stream_seq: entry.stream_seq, place: None };
        let before = self.streams.insert(entry.stream.clone(), head);
        undo.streams.push((entry.stream.clone(), before));
        self.slots.push(Slot::Live(Record { seq, previous, entry, hash }));
        bytes.len() as u64
    }

    /// Writes all of `append` but its records, which are written.
    pub(super) fn write(&mut self, append: Append, kept: &BTreeSet<Digest>, undo: &mut Undo) {
        for (stream, state) in append.snapshots {
            let stream_seq = self.streams.get(&stream).map_or(StreamSeq(0), |head| head.stream_seq);
            let before = self.snapshots.insert(stream.clone(), Snapshot { stream_seq, state });
            undo.snapshots.push((stream, before));
        }
        for (key, value) in append.projections {
            let key = (key.table.to_owned(), key.key);
            let before = match value {
                Some(value) => self.projections.insert(key.clone(), value),
                None => self.projections.remove(&key),
            };
            undo.projections.push((key, before));
        }
        for (digest, blob) in append.blobs {
            undo.blobs.push((digest, self.blobs.insert(digest, blob)));
        }
        if let Some(segment) = append.archive {
            self.archive(&segment, kept, undo);
        }
    }

    /// Takes out what is in `segment`, but for the blobs `kept`, which others use by now.
    fn archive(&mut self, segment: &Segment, kept: &BTreeSet<Digest>, undo: &mut Undo) {
        for stub in &segment.stubs {
            let index = index(stub.seq).expect("a stub is that of a record");
            undo.archived.push(std::mem::replace(&mut self.slots[index], Slot::Archived(*stub)));
        }
        for (stream, head) in &segment.heads {
            undo.streams.push((stream.clone(), self.streams.insert(stream.clone(), *head)));
            undo.snapshots.push((stream.clone(), self.snapshots.remove(stream)));
        }
        for (digest, place) in segment.blobs.iter().filter(|(digest, _)| !kept.contains(digest)) {
            undo.blobs.push((*digest, self.blobs.remove(digest)));
            undo.places.push((*digest, self.places.insert(*digest, *place)));
        }
    }

    pub(super) fn take_back(&mut self, undo: Undo) {
        for slot in undo.archived {
            let index = index(slot.seq()).expect("a record has a place");
            self.slots[index] = slot;
        }
        self.slots.truncate(self.slots.len() - undo.records);
        restore(&mut self.streams, undo.streams);
        restore(&mut self.snapshots, undo.snapshots);
        restore(&mut self.projections, undo.projections);
        restore(&mut self.blobs, undo.blobs);
        restore(&mut self.places, undo.places);
    }

    pub(super) fn slot(&self, seq: Seq) -> Option<&Slot> {
        self.slots.get(index(seq)?)
    }

    pub(super) fn stream(
        &self,
        archive: &Shelf,
        stream: &StreamId,
        after: StreamSeq,
    ) -> Result<Vec<Record>, ReadError> {
        let head = self.streams.get(stream);
        if let Some((head, place)) = head.and_then(|head| Some((head, head.place?))) {
            return read_stream(archive, stream, head, place, after);
        }
        let mut next = head.map(|head| head.seq);
        let mut records = Vec::new();
        while let Some(Slot::Live(record)) = next.and_then(|seq| self.slot(seq)) {
            if record.entry.stream_seq <= after {
                break;
            }
            next = record.previous;
            records.push(record.clone());
        }
        records.reverse();
        Ok(records)
    }

    pub(super) fn projections(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Vec<(String, Vec<u8>)> {
        let from = (table.to_owned(), prefix.max(after).to_owned());
        let wanted = |key: &Row| key.0 == table && key.1.starts_with(prefix);
        self.projections
            .range(from..)
            .skip_while(|(key, _)| !after.is_empty() && key.1 == after)
            .take_while(|(key, _)| wanted(key))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect()
    }
}

fn index(seq: Seq) -> Option<usize> {
    usize::try_from(seq.0.checked_sub(1)?).ok()
}

impl Source for Contents {
    fn head(&self, stream: &StreamId) -> Result<Option<StreamHead>, ReadError> {
        Ok(self.streams.get(stream).copied())
    }

    fn stored(&self, seq: Seq) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(Slot::Live(record)) = self.slot(seq) else { return Ok(None) };
        let before = Seq(seq.0 - 1);
        let before = self.slot(before).map_or(Head::EMPTY.hash, Slot::hash);
        let mut bytes = Vec::new();
        format::encode(seq, record.previous, &record.entry, &before, &mut bytes);
        Ok(Some(bytes))
    }

    fn live_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.blobs.get(digest).map(|blob| blob.to_vec()))
    }

    fn each_stored(&self, see: &mut dyn FnMut(Seq, &[u8])) -> Result<(), ReadError> {
        for slot in &self.slots {
            if let Some(stored) = self.stored(slot.seq())? {
                see(slot.seq(), &stored);
            }
        }
        Ok(())
    }
}

/// Puts back what was replaced, the last replacement first.
fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, replaced: Vec<(K, Option<V>)>) {
    for (key, before) in replaced.into_iter().rev() {
        match before {
            Some(before) => map.insert(key, before),
            None => map.remove(&key),
        };
    }
}
