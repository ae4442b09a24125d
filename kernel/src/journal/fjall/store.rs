//! The keyspaces, and what a group of appends writes into them.
//!
//! A group is one atomic batch over all keyspaces. Each keyspace also gets a *mark*: the last record of the batch that was
//! written to it. The keyspaces go to disk separately later on, so when one is damaged or gone its mark tells, even if
//! the records themselves are all there.
//!
//! What is archived leaves a stub in the place of each record, a tombstone in the place of the stream's head (the head with
//! the place of the first block behind it), and the place of a blob under its hash and a zero.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::Options;
use crate::{
    id::StreamId,
    journal::{
        Append, Head, ProjectionKey, Seq, StreamSeq,
        archive::{Place, Segment, SegmentId, Stub},
        format,
        sequencer::{Placed, StreamHead},
    },
    payload::Digest,
};

/// Names of the keyspaces, in the order in which they are created.
pub(super) const KEYSPACES: [&str; 5] = ["events", "streams", "snapshots", "projections", "blobs"];

/// Where a keyspace keeps its mark. No stream or table name starts like this, and no hash is so short.
const MARK: &[u8] = b"!mark";

/// Where the newest checkpoint is, in the keyspace of the streams.
const CHECKPOINT: &[u8] = b"!checkpoint";

/// The open keyspaces.
pub(super) struct Store {
    pub(super) db: Database,
    pub(super) events: Keyspace,
    pub(super) streams: Keyspace,
    pub(super) snapshots: Keyspace,
    pub(super) projections: Keyspace,
    pub(super) blobs: Keyspace,
}

/// An append whose records have their places.
pub(super) struct Sequenced {
    pub(super) records: Vec<Placed>,
    /// All but the records, which have moved to `records`.
    pub(super) append: Append,
    /// For each snapshot of the append, the last record it includes.
    pub(super) snapshots_at: Vec<StreamSeq>,
    /// Blobs of the append's segment that somebody else has come to use since it was sealed. They stay.
    pub(super) kept_blobs: BTreeSet<Digest>,
}

/// What is written as one batch, last word first: a key that is written twice in a group is stored once.
#[derive(Default)]
struct Latest<'a> {
    streams: BTreeMap<&'a StreamId, StreamHead>,
    snapshots: BTreeMap<&'a StreamId, Option<(StreamSeq, &'a [u8])>>,
    projections: BTreeMap<&'a ProjectionKey, Option<&'a [u8]>>,
    blobs: BTreeMap<&'a Digest, Option<&'a [u8]>>,
    stubs: Vec<&'a Stub>,
    places: Vec<&'a (Digest, Place)>,
}

impl Store {
    pub(super) fn open(path: &Path, options: &Options) -> ::fjall::Result<Self> {
        let db = Database::builder(path)
            .manual_journal_persist(true)
            .worker_threads(1)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.wal_bytes)
            .open()?;
        let keyspace = |index: usize| {
            db.keyspace(KEYSPACES[index], || {
                KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes)
            })
        };
        let [events, streams, snapshots, projections, blobs] =
            [keyspace(0)?, keyspace(1)?, keyspace(2)?, keyspace(3)?, keyspace(4)?];
        Ok(Self { events, streams, snapshots, projections, blobs, db })
    }

    /// Writes `group` after `head` as one batch, fsyncs it and returns the new head and the bytes written. A checkpoint
    /// goes with it if `checkpoint` is set.
    ///
    /// After an error it is unknown whether the batch is, or will be, on disk.
    pub(super) fn commit(
        &self,
        group: &[Sequenced],
        mut head: Head,
        checkpoint: bool,
    ) -> ::fjall::Result<(Head, u64)> {
        let records = group.iter().map(|append| append.records.len()).sum::<usize>();
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), records * 2 + 16)
            .durability(Some(PersistMode::SyncAll));
        let mut latest = Latest::default();
        let mut bytes = Vec::new();
        let mut written = 0;
        for sequenced in group {
            for Placed { seq, previous, entry } in &sequenced.records {
                let hash = format::encode(*seq, *previous, entry, &head.hash, &mut bytes);
                head = Head { seq: *seq, hash };
                written += bytes.len() as u64;
                batch.insert(&self.events, format::key(*seq), &bytes);
                let at = StreamHead { seq: *seq, stream_seq: entry.stream_seq, place: None };
                latest.streams.insert(&entry.stream, at);
            }
            latest.add(sequenced);
        }
        written += self.insert_latest(&latest, &mut batch);
        for keyspace in [&self.streams, &self.snapshots, &self.projections, &self.blobs] {
            batch.insert(keyspace, MARK, format::key(head.seq));
        }
        if checkpoint {
            let value = [&format::key(head.seq)[..], &head.hash.0].concat();
            batch.insert(&self.streams, CHECKPOINT, value);
        }
        batch.commit()?;
        Ok((head, written))
    }

    fn insert_latest(&self, latest: &Latest<'_>, batch: &mut OwnedWriteBatch) -> u64 {
        let mut written = 0;
        for (stream, head) in &latest.streams {
            batch.insert(&self.streams, stream.as_str(), encode_head(head));
        }
        for (stream, snapshot) in &latest.snapshots {
            let Some((at, state)) = snapshot else {
                batch.remove(&self.snapshots, stream.as_str());
                continue;
            };
            written += state.len();
            batch.insert(&self.snapshots, stream.as_str(), encode_snapshot(*at, state));
        }
        for (key, value) in &latest.projections {
            let key = projection_key(key.table, &key.key);
            match value {
                Some(value) => {
                    written += value.len();
                    batch.insert(&self.projections, key, *value);
                }
                None => batch.remove(&self.projections, key),
            }
        }
        for (digest, blob) in &latest.blobs {
            written += blob.map_or(0, <[u8]>::len);
            match blob {
                Some(blob) => batch.insert(&self.blobs, digest.0, *blob),
                None => batch.remove(&self.blobs, digest.0),
            }
        }
        for stub in &latest.stubs {
            let bytes = format::encode_stub(stub);
            written += bytes.len();
            batch.insert(&self.events, format::key(stub.seq), bytes);
        }
        for (digest, place) in &latest.places {
            batch.insert(&self.blobs, blob_place_key(digest), encode_place(place));
        }
        written as u64
    }

    /// The record up to which `keyspace` was written; `Seq(0)` if it never was.
    pub(super) fn mark(&self, keyspace: &Keyspace) -> ::fjall::Result<Option<Seq>> {
        match keyspace.get(MARK)? {
            None => Ok(Some(Seq(0))),
            Some(mark) => Ok(decode_seq(&mark)),
        }
    }

    /// The newest checkpoint: everything up to it was verified when it was written.
    pub(super) fn checkpoint(&self) -> ::fjall::Result<Option<Head>> {
        let Some(value) = self.streams.get(CHECKPOINT)? else { return Ok(Some(Head::EMPTY)) };
        let parts = value.split_first_chunk::<8>();
        let head = parts.and_then(|(seq, hash)| {
            let hash = Digest(*hash.as_array()?);
            Some(Head { seq: Seq(u64::from_be_bytes(*seq)), hash })
        });
        Ok(head)
    }
}

impl<'a> Latest<'a> {
    fn add(&mut self, sequenced: &'a Sequenced) {
        let append = &sequenced.append;
        let snapshots = append.snapshots.iter().zip(&sequenced.snapshots_at);
        self.snapshots
            .extend(snapshots.map(|((stream, state), at)| (stream, Some((*at, &state[..])))));
        self.projections
            .extend(append.projections.iter().map(|(key, value)| (key, value.as_deref())));
        self.blobs.extend(append.blobs.iter().map(|(digest, blob)| (digest, Some(&blob[..]))));
        if let Some(segment) = &append.archive {
            self.archive(segment, &sequenced.kept_blobs);
        }
    }

    fn archive(&mut self, segment: &'a Segment, kept: &BTreeSet<Digest>) {
        self.stubs.extend(&segment.stubs);
        for (stream, head) in &segment.heads {
            self.streams.insert(stream, *head);
            self.snapshots.insert(stream, None);
        }
        for at in segment.blobs.iter().filter(|(digest, _)| !kept.contains(digest)) {
            self.blobs.insert(&at.0, None);
            self.places.push(at);
        }
    }
}

/// Where the place of an archived blob is kept. No hash is so long.
pub(super) fn blob_place_key(digest: &Digest) -> [u8; 33] {
    let mut key = [0; 33];
    key[..32].copy_from_slice(&digest.0);
    key
}

fn encode_place(place: &Place) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&place.segment.0.to_be_bytes());
    bytes[8..].copy_from_slice(&place.at.to_be_bytes());
    bytes
}

/// Reads the place of something that is archived.
pub(super) fn decode_place(bytes: &[u8]) -> Option<Place> {
    let (segment, at) = bytes.split_first_chunk::<8>()?;
    let at = u64::from_be_bytes(*at.as_array()?);
    Some(Place { segment: SegmentId(u64::from_be_bytes(*segment)), at })
}

/// A projection's key in its keyspace. The zero keeps one table from being the prefix of another.
pub(super) fn projection_key(table: &str, key: &str) -> Vec<u8> {
    [table.as_bytes(), &[0], key.as_bytes()].concat()
}

fn encode_head(head: &StreamHead) -> Vec<u8> {
    let mut bytes = [head.seq.0.to_be_bytes(), head.stream_seq.0.to_be_bytes()].concat();
    bytes.extend(head.place.iter().flat_map(encode_place));
    bytes
}

/// Reads a stored stream head.
pub(super) fn decode_head(bytes: &[u8]) -> Option<StreamHead> {
    let (seq, rest) = bytes.split_first_chunk::<8>()?;
    let (stream_seq, rest) = rest.split_first_chunk::<8>()?;
    let (seq, stream_seq) = (u64::from_be_bytes(*seq), u64::from_be_bytes(*stream_seq));
    let place = match rest {
        [] => None,
        rest => Some(decode_place(rest)?),
    };
    Some(StreamHead { seq: Seq(seq), stream_seq: StreamSeq(stream_seq), place })
}

/// Reads a record's key.
pub(super) fn decode_seq(bytes: &[u8]) -> Option<Seq> {
    bytes.as_array().map(|bytes| Seq(u64::from_be_bytes(*bytes)))
}

fn encode_snapshot(at: StreamSeq, state: &[u8]) -> Vec<u8> {
    [&[1], &at.0.to_be_bytes()[..], state].concat()
}

/// Reads a stored snapshot: its version, the last record it includes, the state.
pub(super) fn decode_snapshot(bytes: &[u8]) -> Option<(u8, StreamSeq, &[u8])> {
    let (version, rest) = bytes.split_first()?;
    let (at, state) = rest.split_first_chunk::<8>()?;
    Some((*version, StreamSeq(u64::from_be_bytes(*at)), state))
}
