//! The journal: the only truth.
//!
//! One journal per kernel, one global order. A [`Record`] is what one decision caused: one or more events of one stream,
//! encoded by the stream's owner, with who caused it and why, chained by hash to the record before it. Everything else
//! (run states, inbox, facts) is a projection of it and is written in the same atomic batch.
//!
//! The rule that makes it fast and safe is that order and durability are two calls. [`Journal::append`] fixes the place
//! in the order and returns at once: that is an *ordered* append, and it rides on the next fsync, a few milliseconds away
//! at most. [`Journal::sync`] asks to be told when everything up to a record is fsynced: the two together are a *durable*
//! append. No external write happens before its intent is synced, no acknowledgement before what it acknowledges is.
//!
//! ```text
//!  append ──► sequenced under a lock ──► pending ──► writer thread ──► one fjall batch ──► one fsync ──► sync callbacks
//!                                                        ▲                                    │
//!                                                        └──── the next batch gathers ◄───────┘──► HEAD anchor, behind
//! ```
//!
//! An error from a commit or an fsync means *unknown*, never *no*: the journal stops for good, and only a new process
//! that recovers by replay may go on.
//!
//! Implementations: [`fjall`] on disk, [`memory`] for tests and the simulator. [`record`] is the envelope, `format.rs`
//! answers "can I read this?", `head.rs` is the anchor, `doctor.rs` repairs or refuses what a power loss left behind,
//! [`archive`] is where what is over goes, [`carried`] has records on their own, away from their journal.

pub mod archive;
pub mod carried;
mod doctor;
pub mod fjall;
mod format;
mod head;
pub mod memory;
pub mod record;
mod sequencer;
pub mod verify;

use std::sync::Arc;

use thiserror::Error;

pub use doctor::{Examination, Finding, Problem, Unhealthy, examine, inspect};
pub use format::{FORMAT_VERSION, Unreadable};
pub use head::Head;
pub use record::{Entry, Record, Seq, StreamSeq};

use self::archive::{ArchiveError, Files, Sealed, SegmentId, Selection, Slot};
use crate::{id::StreamId, payload::Digest};

/// Most bytes that may wait to be written. Over it, [`Journal::append`] refuses with [`AppendError::Busy`], which hands it back: the disk is
/// slower than the work, and a queue without an end would only hide it. 64 MiB is several seconds of a busy journal.
pub const PENDING_BYTES_MAX: usize = 64 << 20;

/// Largest encoded payload of one record. Payloads spill to blobs long before; this bounds a decision with very many
/// events.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Longest key of a projection. The store writes the length of a key in 16 bits and would cut what is longer without a
/// word; 4 KiB fits every name and id several times.
pub const PROJECTION_KEY_BYTES_MAX: usize = 4 << 10;

/// Longest text from outside that is part of a key as it is.
const KEY_TEXT_BYTES_MAX: usize = 1 << 10;

/// One atomic append: all of it is in the journal, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// The records, in order. At least one.
    pub entries: Vec<Entry>,
    /// Projections to write (`Some`) or remove (`None`).
    pub projections: Vec<(ProjectionKey, Option<Vec<u8>>)>,
    /// Large payloads that the records refer to by hash.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// Snapshots of streams as of their last record in this append.
    pub snapshots: Vec<(StreamId, Vec<u8>)>,
    /// A segment whose records leave the live journal with this append: see [`archive`].
    pub archive: Option<Arc<archive::Segment>>,
}

/// The place of a projection: a table, and a key within it. Tables and keys sort as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectionKey {
    /// Which projection: `inbox`, `runs`, `facts`.
    pub table: &'static str,
    /// The key within the table.
    pub key: String,
}

impl ProjectionKey {
    /// Key `prefix/text` of `table`, where `text` comes from outside and may be of any length: a long one is there by its
    /// hash.
    #[must_use]
    pub fn of_text(table: &'static str, prefix: &str, text: &str) -> Self {
        if text.len() <= KEY_TEXT_BYTES_MAX {
            return Self::new(table, format!("{prefix}/{text}"));
        }
        Self::new(table, format!("{prefix}/#{}", Digest::of(text.as_bytes())))
    }

    /// Key `key` of `table`.
    #[must_use]
    pub fn new(table: &'static str, key: impl Into<String>) -> Self {
        Self { table, key: key.into() }
    }
}

/// A snapshot: the state of a stream after its record `stream_seq`, in its owner's encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last record that the state includes.
    pub stream_seq: StreamSeq,
    /// The state.
    pub state: Vec<u8>,
}

/// What the journal did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records in the journal, from its first.
    pub records: u64,
    /// Group commits since it was opened: batches written.
    pub commits: u64,
    /// Fsyncs of the journal since it was opened. Those of the `HEAD` anchor, which happen behind, are not among them.
    pub fsyncs: u64,
    /// Bytes of records and projections written since it was opened.
    pub bytes: u64,
}

/// Why an append was not taken. Nothing of it is in the journal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// Another writer appended to the stream first. The state the decision was made on is stale: reload and decide again.
    #[error(
        "stream {stream} is at record {actual}, and the append expected it at {expected}; reload the state and decide again"
    )]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// Where the append believed the stream to be.
        expected: StreamSeq,
        /// Where it is.
        actual: StreamSeq,
    },
    /// Over [`RECORD_BYTES_MAX`].
    #[error(
        "a record of {bytes} bytes for {stream} is over the limit of {RECORD_BYTES_MAX}; keep large content in blobs"
    )]
    TooLarge {
        /// The stream.
        stream: StreamId,
        /// Its size.
        bytes: usize,
    },
    /// A projection's key is over [`PROJECTION_KEY_BYTES_MAX`].
    #[error(
        "a key of {bytes} bytes in table {table} is over the limit of {PROJECTION_KEY_BYTES_MAX}; use its hash as the key"
    )]
    KeyTooLong {
        /// The table.
        table: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// The stream is archived, and has ended for good.
    #[error("stream {stream} is archived in {segment}, and nothing is added to what is archived")]
    Archived {
        /// The stream.
        stream: StreamId,
        /// Where it is.
        segment: SegmentId,
    },
    /// The segment of the append is not the one that was sealed last.
    #[error("another segment was sealed since {segment} was; seal it again")]
    Resealed {
        /// The segment of the append.
        segment: SegmentId,
    },
    /// Over [`PENDING_BYTES_MAX`]. The caller may try again when some of it is written.
    #[error(
        "{PENDING_BYTES_MAX} bytes already wait to be written; the disk is slower than the work, try again later"
    )]
    Busy {
        /// The append, handed back.
        append: Box<Append>,
    },
    /// The journal has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The journal no longer writes: a commit or an fsync failed, or it was closed. What waited then may or may not be on
/// disk; only a new process that recovers can tell.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the journal has stopped: {reason}; restart to recover what was synced")]
pub struct Stopped {
    /// Why.
    pub reason: Arc<str>,
}

/// Why something could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The store failed.
    #[error("failed to read the journal's store: {0}")]
    Store(String),
    /// A stored value does not decode or does not fit the chain.
    #[error("record {seq} is damaged: {problem}; run `soloist doctor`")]
    Damaged {
        /// Which record.
        seq: Seq,
        /// What does not fit.
        problem: String,
    },
    /// It is archived and cannot be read there.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Called once, when everything up to a record is fsynced or the journal has stopped.
pub type Synced = Box<dyn FnOnce(Result<(), Stopped>) + Send>;

/// Where the kernel keeps what happened. See the [module](self) for what is promised.
///
/// Reads see what has been committed: an ordered append becomes visible to them within milliseconds, a synced one is.
pub trait Journal: Send + Sync + 'static {
    /// Takes `append` into the global order and returns the sequence number of its last record.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; nothing of the append is then in the journal.
    ///
    /// # Panics
    ///
    /// If the append holds no record: a projection without a record could not be rebuilt, so only a bug asks for it.
    fn append(&self, append: Append) -> Result<Seq, AppendError>;

    /// Calls `done` once everything up to and including `seq` is fsynced: from the thread that synced it, or at once from
    /// the caller's if that is already so. `done` must be quick, since the next fsync waits for it.
    fn sync(&self, seq: Seq, done: Synced);

    /// The record at `seq`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError>;

    /// Up to `limit` records with a sequence number of `from` and more, in order, live or archived.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError>;

    /// As [`records`](Self::records), without reading what is archived: of that, what is left here.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError>;

    /// The records of `stream` after its record `after`, in order. `StreamSeq(0)` is before the first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError>;

    /// The place of the last record that was appended to `stream`, committed or not; `StreamSeq(0)` if there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError>;

    /// The newest snapshot of `stream`, if one was taken.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError>;

    /// One projection.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError>;

    /// Up to `limit` projections of `table` whose key starts with `prefix` and sorts after `after`, in order. Pass the last
    /// key of a page as `after` for the next one; pass `""` for the first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError>;

    /// A blob by its hash.
    ///
    /// # Errors
    ///
    /// [`ReadError`], also if the stored bytes do not have that hash.
    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError>;

    /// Copies what is selected into the next segment and calls `done` when that is on disk; nothing has left the journal
    /// then. Appending the segment as [`Append::archive`] takes it out. Each sealing makes the one before it void.
    fn seal(&self, of: Selection, done: Sealed);

    /// Where segments lie.
    fn archive(&self) -> &dyn Files;

    /// The last record that is fsynced.
    fn head(&self) -> Head;

    /// What it did since it was opened.
    fn stats(&self) -> Stats;

    /// Writes and fsyncs what waits, and stops. Later appends are refused.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if that failed.
    fn close(&self) -> Result<(), Stopped>;
}
