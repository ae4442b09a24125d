//! The archive: what is over leaves the live journal for segment files, and the chain stays checkable from end to end.
//!
//! Its rule: **nothing leaves before its copy is safe, and what leaves keeps its place.** [`Journal::seal`] copies whole
//! streams into a segment file and fsyncs it; only then is it handed to [`Journal::append`] as [`Append::archive`], which
//! replaces each record by a stub with its hash, the stream's head by a tombstone, and takes the snapshots and the blobs that
//! nobody else uses, all in one batch with the record that says so. A crash leaves both copies, or the segment alone. A
//! segment that no record speaks of is what such a crash left; the next one is written in its place.
//!
//! ```text
//!  streams ──seal──► NNNNNNNN.segment.part ──fsync──► rename ──fsync of the folder──► Segment
//!                                                                                      │
//!        live journal: stubs, tombstones, `archive.sealed`   ◄──one batch──   append ◄─┘
//! ```
//!
//! Reading does not notice: [`Journal::record`], [`Journal::stream`] and [`Journal::blob`] read on in the segment. Nothing is
//! ever appended to an archived stream again.
//!
//! `archive/segment.rs` is the file, `archive/seal.rs` writes one, `archive/read.rs` reads from one, `archive/files.rs` is where
//! they lie, `archive/sealed.rs` what the journal says of them, `archive/audit.rs` checks all of it.

mod audit;
mod files;
mod read;
mod seal;
mod sealed;
mod segment;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    audit::{Audit, Fault, audit},
    files::{Files, Fill, Sink},
    sealed::{ARCHIVE_VERSION, SealedSegment, append_of, segments, stream},
};
pub(super) use self::{
    files::{Folder, Shelf},
    read::{blob as read_blob, record as read_record, stream as read_stream, unpack},
    seal::{Source, Work, seal},
    sealed::read as read_sealed,
};
use super::sequencer::StreamHead;
#[cfg(doc)]
use super::{Append, Journal};
use crate::{
    id::StreamId,
    journal::{ReadError, Record, Seq, Stopped},
    payload::Digest,
};

/// A segment's number, counted from one without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The name of its file.
    #[must_use]
    pub fn file(self) -> String {
        format!("{:08}.{ENDING}", self.0)
    }

    /// The segment whose file is called `name`.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let number = name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok().map(Self)?;
        (number.0 > 0 && number.file() == name).then_some(number)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file())
    }
}

/// What the names of segment files end with.
const ENDING: &str = "segment";

/// Where something lies in the archive: a block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// Where in its file the block begins.
    pub at: u64,
}

/// What is left in the live journal of a record that was archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    /// The record's place in the journal.
    pub seq: Seq,
    /// Its hash, which the record after it is chained to.
    pub hash: Digest,
    /// Where it is.
    pub place: Place,
}

/// What is at a place of the live journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The record.
    Live(Record),
    /// What is left of it.
    Archived(Stub),
}

impl Slot {
    /// The place.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Live(record) => record.seq,
            Self::Archived(stub) => stub.seq,
        }
    }

    /// The hash of the record.
    #[must_use]
    pub fn hash(&self) -> Digest {
        match self {
            Self::Live(record) => record.hash,
            Self::Archived(stub) => stub.hash,
        }
    }
}

/// What is to be archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Streams, whole.
    pub streams: Vec<StreamId>,
    /// The blobs that their records use. Those that no other record uses leave the live journal with them.
    pub blobs: Vec<Digest>,
}

/// A segment that is on disk and that the journal does not speak of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// Its hash: that of its header, which holds the hash of the rest.
    pub hash: Digest,
    /// The hash of the segment before; zeros if it is the first.
    pub previous: Digest,
    /// The first record in it.
    pub first: Seq,
    /// The last record in it.
    pub last: Seq,
    /// The length of its file.
    pub bytes: u64,
    /// What was to be archived.
    pub of: Selection,
    /// What is left of each record, in the order of the file.
    pub stubs: Vec<Stub>,
    pub(super) heads: Vec<(StreamId, StreamHead)>,
    pub(super) blobs: Vec<(Digest, Place)>,
    /// Which sealing of this journal made it.
    pub(super) ticket: u64,
}

impl Segment {
    /// A segment that says what is to be archived and that no journal has sealed: to be kept in a history and sealed there
    /// where that is gone through again.
    #[must_use]
    pub fn unsealed(of: Selection) -> Self {
        let (zero, none) = (Digest([0; 32]), Seq(0));
        Self {
            id: SegmentId(0),
            hash: zero,
            previous: zero,
            first: none,
            last: none,
            bytes: 0,
            of,
            stubs: vec![],
            heads: vec![],
            blobs: vec![],
            ticket: 0,
        }
    }
}

/// Why nothing was sealed. Nothing has left the journal.
#[derive(Debug, Error)]
pub enum SealError {
    /// A stream is not there, or is archived already.
    #[error("stream {stream} {problem}")]
    Stream {
        /// Which.
        stream: StreamId,
        /// Why not.
        problem: &'static str,
    },
    /// The file could not be written. What was written of it is written anew the next time.
    #[error(
        "failed to write segment file {file}: {problem}; make room on the disk or mend the folder's permissions, and archive again"
    )]
    Write {
        /// Its name.
        file: String,
        /// Why.
        problem: String,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Called once, when a segment is on disk or cannot be.
pub type Sealed = Box<dyn FnOnce(Result<Segment, SealError>) + Send>;

/// Why something that was archived could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArchiveError {
    /// Its segment is not there.
    #[error(
        "segment file {file} is missing; put it back into the folder `archive` of the data directory"
    )]
    Missing {
        /// Its name.
        file: String,
    },
    /// Its segment could not be read.
    #[error("failed to read segment file {file}: {problem}")]
    Io {
        /// Its name.
        file: String,
        /// Why.
        problem: String,
    },
    /// Its segment is not what was written.
    #[error(
        "segment file {file} is damaged: {problem}; see `soloist archive verify`, and put it back from a backup"
    )]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}
