//! A segment file: a header, then blocks.
//!
//! ```text
//!  header   magic, version, number, first and last record, how many records and blobs, length and hash of the body,
//!           hash of the segment before; all numbers little-endian
//!  block    kind, length in memory, length in the file, check; then that many bytes of zstd
//! ```
//!
//! A block of records holds the stored form of some records, those of one stream side by side; a block of a blob holds its
//! hash and its bytes. The check is over all of the block, so a flipped byte is found in the block that it is in. A segment's
//! hash is that of its header, and each names the one before: the segments are a chain of their own.

use thiserror::Error;

use super::SegmentId;
use crate::{journal::Seq, payload::Digest};

/// The newest version of the file that this program writes, and the newest it reads.
const SEGMENT_VERSION: u32 = 1;

/// What every segment file begins with.
const MAGIC: [u8; 8] = *b"SOLOSEG\n";

/// The length of a header.
pub(super) const HEADER_LEN: usize = 124;

/// The length of what stands before the contents of a block.
pub(super) const BLOCK_HEAD_LEN: usize = 17;

/// Most bytes of a block in memory: a record, or a blob, with room to spare. A length that a disk error made huge must not
/// allocate.
const BLOCK_BYTES_MAX: u32 = 64 << 20;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: SegmentId,
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) records: u64,
    pub(super) blobs: u64,
    pub(super) body_len: u64,
    pub(super) body_hash: Digest,
    pub(super) previous: Digest,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend(MAGIC);
        bytes.extend(SEGMENT_VERSION.to_le_bytes());
        for number in
            [self.id.0, self.first.0, self.last.0, self.records, self.blobs, self.body_len]
        {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.body_hash.0);
        bytes.extend(self.previous.0);
        bytes.try_into().expect("the fields are as long as a header")
    }

    pub(super) fn hash(self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The first field of `bytes`, which should be this header, that is another.
    pub(super) fn differs(self, bytes: &[u8]) -> Option<&'static str> {
        let expected = self.to_bytes();
        let mut at = 0;
        for (field, len) in FIELDS {
            if bytes.get(at..at + len) != Some(&expected[at..at + len]) {
                return Some(field);
            }
            at += len;
        }
        None
    }
}

/// The fields of a header with their lengths, in order.
const FIELDS: [(&str, usize); 10] = [
    ("magic", 8),
    ("version", 4),
    ("number", 8),
    ("first record", 8),
    ("last record", 8),
    ("number of records", 8),
    ("number of blobs", 8),
    ("length of the body", 8),
    ("hash of the body", 32),
    ("hash of the segment before", 32),
];

/// The version that `bytes`, the beginning of a file, say they have.
pub(super) fn newer_version(bytes: &[u8]) -> Option<u32> {
    let version = bytes.strip_prefix(&MAGIC)?.first_chunk().copied().map(u32::from_le_bytes);
    version.filter(|version| *version > SEGMENT_VERSION)
}

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Records,
    Blob,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Blob => 2,
        }
    }
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum BadBlock {
    #[error("it ends early")]
    Short,
    #[error("its kind or its length is none")]
    Head,
    #[error("its checksum does not fit")]
    Check,
    #[error("it does not decompress")]
    Compression,
}

/// The head of a block: what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHead {
    pub(super) kind: Kind,
    raw_len: u32,
    /// How many bytes follow.
    pub(super) len: u32,
    check: [u8; 8],
}

impl BlockHead {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadBlock> {
        let bytes = bytes.first_chunk::<BLOCK_HEAD_LEN>().ok_or(BadBlock::Short)?;
        let number =
            |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("the head is longer"));
        let kind = match bytes[0] {
            1 => Kind::Records,
            2 => Kind::Blob,
            _ => return Err(BadBlock::Head),
        };
        let (raw_len, len) = (number(1), number(5));
        if raw_len > BLOCK_BYTES_MAX || len > BLOCK_BYTES_MAX {
            return Err(BadBlock::Head);
        }
        let check = *bytes[9..].first_chunk().expect("the head is longer");
        Ok(Self { kind, raw_len, len, check })
    }

    /// The contents of the block, of which `bytes` follow the head.
    pub(super) fn contents(self, bytes: &[u8]) -> Result<Vec<u8>, BadBlock> {
        let bytes = bytes.get(..self.len as usize).ok_or(BadBlock::Short)?;
        if check(self.kind, self.raw_len, bytes) != self.check {
            return Err(BadBlock::Check);
        }
        let raw = zstd::bulk::decompress(bytes, self.raw_len as usize);
        let raw = raw.map_err(|_| BadBlock::Compression)?;
        if raw.len() == self.raw_len as usize { Ok(raw) } else { Err(BadBlock::Compression) }
    }
}

/// A block that holds `raw`.
pub(super) fn block(kind: Kind, raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let contents = zstd::bulk::compress(raw, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    let len = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len <= BLOCK_BYTES_MAX);
        len.ok_or_else(|| std::io::Error::other("a record or a blob is too large for a segment"))
    };
    let raw_len = len(raw)?;
    let mut bytes = Vec::with_capacity(BLOCK_HEAD_LEN + contents.len());
    bytes.push(kind.byte());
    bytes.extend(raw_len.to_le_bytes());
    bytes.extend(len(&contents)?.to_le_bytes());
    bytes.extend(check(kind, raw_len, &contents));
    bytes.extend(contents);
    Ok(bytes)
}

/// Over the length as well, which is that of `contents`.
fn check(kind: Kind, raw_len: u32, contents: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind.byte()]);
    hasher.update(&raw_len.to_le_bytes());
    hasher.update(&(contents.len() as u64).to_le_bytes());
    hasher.update(contents);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Adds the stored form of record `seq` to the contents of a block.
pub(super) fn put_record(seq: Seq, stored: &[u8], raw: &mut Vec<u8>) {
    raw.extend(seq.0.to_le_bytes());
    raw.extend((stored.len() as u64).to_le_bytes());
    raw.extend(stored);
}

/// The records in the contents of a block: the place and the stored form of each. `None` where they end in the middle of one.
pub(super) fn records(raw: &[u8]) -> impl Iterator<Item = Option<(Seq, &[u8])>> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = split_record(rest);
        rest = next.map_or(&[], |(_, _, after)| after);
        Some(next.map(|(seq, stored, _)| (seq, stored)))
    })
}

fn split_record(bytes: &[u8]) -> Option<(Seq, &[u8], &[u8])> {
    let (seq, after) = bytes.split_first_chunk::<8>()?;
    let (len, after) = after.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let (stored, after) = after.split_at_checked(len)?;
    Some((Seq(u64::from_le_bytes(*seq)), stored, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_long_as_its_fields_and_names_the_one_that_differs() {
        assert_eq!(FIELDS.iter().map(|(_, len)| len).sum::<usize>(), HEADER_LEN);
        let header = Header {
            id: SegmentId(3),
            first: Seq(1),
            last: Seq(9),
            records: 4,
            blobs: 1,
            body_len: 77,
            body_hash: Digest([5; 32]),
            previous: Digest([6; 32]),
        };
        let bytes = header.to_bytes();
        assert_eq!(header.differs(&bytes), None);
        let mut at = 0;
        for (field, len) in FIELDS {
            for byte in at..at + len {
                let mut flipped = bytes;
                flipped[byte] ^= 1;
                assert_eq!(header.differs(&flipped), Some(field));
            }
            at += len;
        }
        assert_eq!(header.differs(&bytes[..50]), Some("number of blobs"));
    }

    #[test]
    fn a_block_reads_as_it_was_written_and_any_flipped_bit_is_found() {
        let mut raw = vec![];
        put_record(Seq(7), b"seven", &mut raw);
        put_record(Seq(9), b"", &mut raw);
        let bytes = block(Kind::Records, &raw).unwrap();
        let read = |bytes: &[u8]| {
            let head = BlockHead::read(bytes)?;
            head.contents(&bytes[BLOCK_HEAD_LEN..]).map(|raw| (head.kind, raw))
        };
        assert_eq!(read(&bytes), Ok((Kind::Records, raw.clone())));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
        let all: Vec<_> = records(&raw).map(Option::unwrap).collect();
        assert_eq!(all, [(Seq(7), &b"seven"[..]), (Seq(9), b"")]);
        assert_eq!(records(&raw[..raw.len() - 1]).last(), Some(None));
    }

    #[test]
    fn a_file_is_called_by_its_number() {
        assert_eq!(SegmentId(12).file(), "00000012.segment");
        assert_eq!(SegmentId::of_file("00000012.segment"), Some(SegmentId(12)));
        assert_eq!(SegmentId::of_file("123456789.segment"), Some(SegmentId(123_456_789)));
        for wrong in ["12.segment", "00000000.segment", "00000012.segment.part", "HEAD", ""] {
            assert_eq!(SegmentId::of_file(wrong), None, "{wrong}");
        }
    }
}
