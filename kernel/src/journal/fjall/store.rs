//! The keyspaces, and what a group of appends writes into them.
//!
//! A group is one atomic batch over all keyspaces. Each keyspace also gets a *mark*: the last record of the batch that was
//! written to it. The keyspaces go to disk separately later on, so when one is damaged or gone its mark tells, even if
//! the records themselves are all there.

use std::{collections::BTreeMap, path::Path};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::Options;
use crate::{
    id::StreamId,
    journal::{
        Append, Head, ProjectionKey, Seq, StreamSeq, format,
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
}

/// What is written as one batch, last word first: a key that is written twice in a group is stored once.
#[derive(Default)]
struct Latest<'a> {
    streams: BTreeMap<&'a StreamId, StreamHead>,
    snapshots: BTreeMap<&'a StreamId, (StreamSeq, &'a [u8])>,
    projections: BTreeMap<&'a ProjectionKey, Option<&'a [u8]>>,
    blobs: BTreeMap<&'a Digest, &'a [u8]>,
}

impl Store {
    pub(super) fn open(path: &Path, options: &Options) -> ::fjall::Result<Self> {
        let db = Database::builder(path)
            .manual_journal_persist(true)
            .worker_threads(1)
            .cache_size(options.cache_bytes)
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
                let at = StreamHead { seq: *seq, stream_seq: entry.stream_seq };
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
        for (stream, (at, state)) in &latest.snapshots {
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
            written += blob.len();
            batch.insert(&self.blobs, digest.0, *blob);
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
        self.snapshots.extend(snapshots.map(|((stream, state), at)| (stream, (*at, &state[..]))));
        self.projections
            .extend(append.projections.iter().map(|(key, value)| (key, value.as_deref())));
        self.blobs.extend(append.blobs.iter().map(|(digest, blob)| (digest, &blob[..])));
    }
}

/// A projection's key in its keyspace. The zero keeps one table from being the prefix of another.
pub(super) fn projection_key(table: &str, key: &str) -> Vec<u8> {
    [table.as_bytes(), &[0], key.as_bytes()].concat()
}

fn encode_head(head: &StreamHead) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&head.seq.0.to_be_bytes());
    bytes[8..].copy_from_slice(&head.stream_seq.0.to_be_bytes());
    bytes
}

/// Reads a stored stream head.
pub(super) fn decode_head(bytes: &[u8]) -> Option<StreamHead> {
    let (seq, stream_seq) = bytes.split_first_chunk::<8>()?;
    let stream_seq = StreamSeq(u64::from_be_bytes(*stream_seq.as_array()?));
    Some(StreamHead { seq: Seq(u64::from_be_bytes(*seq)), stream_seq })
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
