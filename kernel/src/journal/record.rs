//! The envelope: what the journal knows of a record without knowing what is in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Actor, RunId, StreamId},
    payload::Digest,
    time::Timestamp,
};

/// A record's place in the journal, counted from one. 64 bits: a million records a second for half a million years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// A record's place in its stream, counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamSeq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StreamSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record before the journal has given it its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The place in the stream that it must get: one more than the stream's last record. Anything else is a conflict.
    pub stream_seq: StreamSeq,
    /// Wall time of the decision.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The record that caused it, if it came from another stream.
    pub causation: Option<Seq>,
    /// The run it belongs to, where its stream does not say so: what a change started, what an agent asserted.
    pub correlation: Option<RunId>,
    /// What it is, in a word: `step.completed`. For people and filters; the payload says it exactly.
    pub kind: String,
    /// Version of the payload's encoding, in the stream owner's counting.
    pub version: u16,
    /// The events, in the stream owner's encoding.
    pub payload: Vec<u8>,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal.
    pub seq: Seq,
    /// The previous record of the same stream, so that a stream can be walked without an index.
    pub previous: Option<Seq>,
    /// What was appended.
    pub entry: Entry,
    /// Hash of the previous record's hash and this record's bytes.
    pub hash: Digest,
}
