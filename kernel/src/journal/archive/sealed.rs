//! What the journal says of its segments: a stream of its own, with a record for each.
//!
//! The record is in the batch that takes what was archived out of the live journal, so a segment counts exactly if there is
//! a record of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Segment, SegmentId};
use crate::{
    codec,
    id::{Actor, StreamId},
    journal::{Append, Entry, Journal, ReadError, Record, Seq, StreamSeq},
    payload::Digest,
    time::Timestamp,
};

/// Version of the stored events of this stream.
pub const ARCHIVE_VERSION: u16 = 1;

/// A segment that the journal speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its number.
    pub id: SegmentId,
    /// Its hash.
    pub hash: Digest,
    /// The hash of the one before; zeros if it is the first.
    pub previous: Digest,
    /// The first record in it.
    pub first: Seq,
    /// The last record in it.
    pub last: Seq,
    /// How many records are in it.
    pub records: u64,
    /// How many blobs are in it.
    pub blobs: u64,
    /// The length of its file.
    pub bytes: u64,
    /// The streams in it.
    pub streams: Vec<StreamId>,
    /// When it was archived.
    pub at: Timestamp,
    /// Who had it archived.
    pub by: Actor,
}

/// Version 1. Frozen: its bytes are in journals.
#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Sealed {
        number: u64,
        hash: Digest,
        previous: Digest,
        first: u64,
        last: u64,
        records: u64,
        blobs: u64,
        bytes: u64,
        streams: Vec<StreamId>,
    },
}

/// The stream of segments.
///
/// # Panics
///
/// Never: `archive` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("archive").expect("`archive` is a name")
}

/// The append that archives what is in `segment`, by `by`, after the record `after` of [`stream`].
#[must_use]
pub fn append_of(segment: Segment, after: StreamSeq, at: Timestamp, by: Actor) -> Append {
    let event = StoredEvent::Sealed {
        number: segment.id.0,
        hash: segment.hash,
        previous: segment.previous,
        first: segment.first.0,
        last: segment.last.0,
        records: segment.stubs.len() as u64,
        blobs: segment.blobs.len() as u64,
        bytes: segment.bytes,
        streams: segment.of.streams.clone(),
    };
    let entry = Entry {
        stream: stream(),
        stream_seq: StreamSeq(after.0 + 1),
        at,
        actor: by,
        causation: None,
        correlation: None,
        kind: "archive.sealed".into(),
        version: ARCHIVE_VERSION,
        payload: codec::encode(&event),
    };
    Append { entries: vec![entry], archive: Some(Arc::new(segment)), ..Append::default() }
}

/// The segments that the journal speaks of, oldest first.
///
/// # Errors
///
/// [`ReadError`].
pub fn segments(journal: &dyn Journal) -> Result<Vec<SealedSegment>, ReadError> {
    journal.stream(&stream(), StreamSeq(0))?.iter().map(read).collect()
}

/// Reads a record of [`stream`].
pub(in crate::journal) fn read(record: &Record) -> Result<SealedSegment, ReadError> {
    let damaged = |problem: String| ReadError::Damaged { seq: record.seq, problem };
    let entry = &record.entry;
    if entry.version != ARCHIVE_VERSION {
        let found = entry.version;
        return Err(damaged(format!(
            "what it says of a segment has version {found} and this program reads up to {ARCHIVE_VERSION}; use the newer one"
        )));
    }
    let StoredEvent::Sealed { number, hash, previous, first, last, records, blobs, bytes, streams } =
        codec::decode(&entry.payload).map_err(|error| damaged(error.to_string()))?;
    Ok(SealedSegment {
        id: SegmentId(number),
        hash,
        previous,
        first: Seq(first),
        last: Seq(last),
        records,
        blobs,
        bytes,
        streams,
        at: entry.at,
        by: entry.actor.clone(),
    })
}
