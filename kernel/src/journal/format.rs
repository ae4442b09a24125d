//! What a record looks like on disk, and the one answer to "can I read this?".
//!
//! A stored record is `[version][hash: 32 bytes][envelope]` under its sequence number as eight big-endian bytes. The hash
//! is BLAKE3 over the hash of the record before and the envelope's bytes, so a record that is changed, moved or missing
//! breaks the chain there. The stored types are not the domain types: [`Record`] may change freely, [`StoredEnvelopeV1`]
//! never does, and a second version stands beside it.
//!
//! Version 1 is a record. Version 2 is the stub that is left of one that was archived, under the same key:
//! `[2][hash: 32 bytes][segment: 8][block: 8][check: 4]`.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{
    codec,
    id::{Actor, BadName, RunId, StreamId},
    journal::{
        Entry, Record, Seq, StreamSeq,
        archive::{Place, SegmentId, Slot, Stub},
    },
    payload::Digest,
    time::Timestamp,
};

/// The newest format this program writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 2;

/// What stands before a record.
const RECORD_VERSION: u8 = 1;

/// What stands before a stub.
const STUB_VERSION: u8 = 2;

/// The length of a stub without its check.
const STUB_LEN: usize = 1 + 32 + 8 + 8;

/// Bytes before the envelope: the version and the hash.
const ENVELOPE_AT: usize = 1 + 32;

/// What stands before the first record of the chain.
pub(super) const GENESIS: Digest = Digest([0; 32]);

/// Why stored bytes cannot be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Written by a newer program.
    #[error(
        "it has format {found} and this program reads up to {FORMAT_VERSION}; use the program that wrote it, or a newer one"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// A version that never was.
    #[error("it has format {found}, which no program has written")]
    NoSuchVersion {
        /// Its version.
        found: u32,
    },
    /// Shorter than what stands before an envelope.
    #[error("it has only {bytes} bytes")]
    TooShort {
        /// Its size.
        bytes: usize,
    },
    /// The envelope does not decode.
    #[error("its envelope does not decode: {0}")]
    Malformed(#[from] codec::DecodeError),
    /// The envelope holds a name that is none.
    #[error("its envelope holds a bad name: {0}")]
    Name(#[from] BadName),
    /// A stub that is not what was written.
    #[error("what is left of it here, which says where it is archived, is damaged")]
    Stub,
    /// The envelope says that it is another record.
    #[error("its envelope says that it is record {found}")]
    Misplaced {
        /// What it says.
        found: Seq,
    },
}

/// Can this program read what was written with `version`?
///
/// # Errors
///
/// [`Unreadable::Newer`] or [`Unreadable::NoSuchVersion`].
pub(super) fn readable(version: u32) -> Result<(), Unreadable> {
    match version {
        0 => Err(Unreadable::NoSuchVersion { found: 0 }),
        1..=FORMAT_VERSION => Ok(()),
        found => Err(Unreadable::Newer { found }),
    }
}

/// The key of record `seq`: big-endian, so that keys sort as numbers do.
pub(super) fn key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

/// The hash of a record whose envelope has these bytes and whose predecessor has the hash `before`.
pub(super) fn chain(before: &Digest, envelope: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0);
    hasher.update(envelope);
    Digest(*hasher.finalize().as_bytes())
}

/// Writes the stored form of a record into `bytes`, replacing what is there, and returns the record's hash.
pub(super) fn encode(
    seq: Seq,
    previous: Option<Seq>,
    entry: &Entry,
    before: &Digest,
    bytes: &mut Vec<u8>,
) -> Digest {
    bytes.clear();
    bytes.push(RECORD_VERSION);
    bytes.extend_from_slice(&[0; 32]);
    codec::encode_into(&StoredEnvelopeV1::from((seq, previous, entry)), bytes);
    let hash = chain(before, &bytes[ENVELOPE_AT..]);
    bytes[1..ENVELOPE_AT].copy_from_slice(&hash.0);
    hash
}

/// The hash that the record with the stored form `stored` has after one with the hash `before`; `None` if it is too short.
pub(super) fn rehash(before: &Digest, stored: &[u8]) -> Option<Digest> {
    stored.get(ENVELOPE_AT..).map(|envelope| chain(before, envelope))
}

/// The stored form of a stub.
pub(super) fn encode_stub(stub: &Stub) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(STUB_LEN + 4);
    bytes.push(STUB_VERSION);
    bytes.extend(stub.hash.0);
    bytes.extend(stub.place.segment.0.to_le_bytes());
    bytes.extend(stub.place.at.to_le_bytes());
    bytes.extend(stub_check(stub.seq, &bytes));
    bytes
}

fn decode_stub(seq: Seq, bytes: &[u8]) -> Option<Stub> {
    let (body, check) = bytes.split_at_checked(STUB_LEN)?;
    if check != stub_check(seq, body) {
        return None;
    }
    let number = |at: usize| body[at..].first_chunk().copied().map(u64::from_le_bytes);
    let place = Place { segment: SegmentId(number(33)?), at: number(41)? };
    Some(Stub { seq, hash: Digest(*body[1..].first_chunk()?), place })
}

/// The store checks what it keeps in tables; this also holds the stub to its place.
fn stub_check(seq: Seq, body: &[u8]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.0.to_le_bytes());
    hasher.update(body);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Reads what is stored at `seq`: a record, or what is left of one. Whether it fits the chain is the caller's question.
///
/// # Errors
///
/// [`Unreadable`].
pub(super) fn decode_slot(seq: Seq, bytes: &[u8]) -> Result<Slot, Unreadable> {
    match bytes.first() {
        Some(&STUB_VERSION) => decode_stub(seq, bytes).map(Slot::Archived).ok_or(Unreadable::Stub),
        Some(_) | None => decode(seq, bytes).map(Slot::Live),
    }
}

/// Reads the stored form of record `seq`. Whether it fits the chain is the caller's question.
///
/// # Errors
///
/// [`Unreadable`], also for a stub.
pub(super) fn decode(seq: Seq, bytes: &[u8]) -> Result<Record, Unreadable> {
    let too_short = Unreadable::TooShort { bytes: bytes.len() };
    let Some((version, _)) = bytes.split_first() else { return Err(too_short) };
    if *version == STUB_VERSION {
        return Err(Unreadable::Stub);
    }
    readable(u32::from(*version))?;
    let Some((hash, envelope)) = bytes[1..].split_first_chunk::<32>() else {
        return Err(too_short);
    };
    let envelope: StoredEnvelopeV1<'static> = codec::decode(envelope)?;
    let record = envelope.into_record(Digest(*hash))?;
    match record.seq == seq {
        true => Ok(record),
        false => Err(Unreadable::Misplaced { found: record.seq }),
    }
}

/// The envelope of format 1. Frozen: its bytes are in journals.
#[derive(Serialize, Deserialize)]
struct StoredEnvelopeV1<'a> {
    seq: u64,
    previous: Option<u64>,
    stream: Cow<'a, str>,
    stream_seq: u64,
    at_ms: u64,
    actor: Cow<'a, str>,
    causation: Option<u64>,
    correlation: Option<Cow<'a, str>>,
    kind: Cow<'a, str>,
    version: u16,
    payload: Bytes<'a>,
}

impl<'a> From<(Seq, Option<Seq>, &'a Entry)> for StoredEnvelopeV1<'a> {
    fn from((seq, previous, entry): (Seq, Option<Seq>, &'a Entry)) -> Self {
        Self {
            seq: seq.0,
            previous: previous.map(|seq| seq.0),
            stream: entry.stream.as_str().into(),
            stream_seq: entry.stream_seq.0,
            at_ms: entry.at.0,
            actor: entry.actor.as_str().into(),
            causation: entry.causation.map(|seq| seq.0),
            correlation: entry.correlation.as_ref().map(|run| run.as_str().into()),
            kind: entry.kind.as_str().into(),
            version: entry.version,
            payload: Bytes(entry.payload.as_slice().into()),
        }
    }
}

impl StoredEnvelopeV1<'_> {
    fn into_record(self, hash: Digest) -> Result<Record, BadName> {
        let entry = Entry {
            stream: StreamId::new(self.stream)?,
            stream_seq: StreamSeq(self.stream_seq),
            at: Timestamp(self.at_ms),
            actor: Actor::new(self.actor)?,
            causation: self.causation.map(Seq),
            correlation: self.correlation.map(RunId::new).transpose()?,
            kind: self.kind.into_owned(),
            version: self.version,
            payload: self.payload.0.into_owned(),
        };
        Ok(Record { seq: Seq(self.seq), previous: self.previous.map(Seq), entry, hash })
    }
}

/// Bytes that are encoded in one piece; serde's own way for slices goes byte by byte.
struct Bytes<'a>(Cow<'a, [u8]>);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Visitor).map(|bytes| Self(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            stream: StreamId::new("run:mail-1").unwrap(),
            stream_seq: StreamSeq(2),
            at: Timestamp(1_795_219_506_789),
            actor: Actor::agent(&"triage".parse().unwrap()),
            causation: Some(Seq(6)),
            correlation: Some(RunId::new("mail-1").unwrap()),
            kind: "step.completed".to_owned(),
            version: 3,
            payload: vec![0xde, 0xad],
        }
    }

    fn stored() -> (Vec<u8>, Digest) {
        let mut bytes = vec![9; 9];
        let hash = encode(Seq(300), Some(Seq(5)), &entry(), &Digest([7; 32]), &mut bytes);
        (bytes, hash)
    }

    #[test]
    fn the_bytes_of_format_1_never_change() {
        let (bytes, _) = stored();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect_test::expect!["017a4f32222f425aabbcd1ec238425d2c9425a064f4c10d9a9467f44c4fded03b2fb2c0101050a72756e3a6d61696c2d3102fd65c66bfba10100000c6167656e743a747269616765010601066d61696c2d310e737465702e636f6d706c657465640302dead"].assert_eq(&hex);
    }

    #[test]
    fn a_stored_record_reads_as_it_was_written() {
        let (bytes, hash) = stored();
        let record = decode(Seq(300), &bytes).unwrap();
        assert_eq!(record, Record { seq: Seq(300), previous: Some(Seq(5)), entry: entry(), hash });
        assert_eq!(hash, chain(&Digest([7; 32]), &bytes[ENVELOPE_AT..]));
    }

    #[test]
    fn each_reason_for_not_reading_a_record_has_its_own_error() {
        let (bytes, _) = stored();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            decode(Seq(300), &bytes).unwrap_err()
        };
        assert!(matches!(with(0, 3), Unreadable::Newer { found: 3 }));
        assert!(matches!(with(0, 2), Unreadable::Stub));
        assert!(matches!(with(0, 0), Unreadable::NoSuchVersion { found: 0 }));
        assert!(matches!(decode(Seq(300), &[]), Err(Unreadable::TooShort { bytes: 0 })));
        assert!(matches!(decode(Seq(300), &bytes[..30]), Err(Unreadable::TooShort { bytes: 30 })));
        assert!(matches!(decode(Seq(300), &bytes[..50]), Err(Unreadable::Malformed(_))));
        assert!(matches!(decode(Seq(4), &bytes), Err(Unreadable::Misplaced { found: Seq(300) })));
        let name_at = bytes.windows(4).position(|window| window == b"run:").unwrap();
        assert!(matches!(with(name_at, b'!'), Unreadable::Name(_)));
    }

    #[test]
    fn a_stub_reads_as_it_was_written_and_any_flipped_bit_is_found() {
        let place = Place { segment: SegmentId(3), at: 124 };
        let stub = Stub { seq: Seq(7), hash: Digest([0xab; 32]), place };
        let bytes = encode_stub(&stub);
        assert_eq!(bytes.len(), STUB_LEN + 4);
        assert_eq!(decode_slot(Seq(7), &bytes).unwrap(), Slot::Archived(stub));
        assert!(decode_slot(Seq(8), &bytes).is_err(), "it is that of another record");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_slot(Seq(7), &flipped).is_err(), "bit {bit}");
        }
    }
}
