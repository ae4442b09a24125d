//! Reads what was archived: a record, a stream, a blob.

use std::collections::BTreeMap;

use super::{
    ArchiveError, Files, Place, Slot, Stub,
    segment::{BLOCK_HEAD_LEN, BlockHead, Kind, records},
};
use crate::{
    id::StreamId,
    journal::{ReadError, Record, Seq, StreamSeq, format, sequencer::StreamHead},
    payload::Digest,
};

/// Read at once of a block: most are whole in it.
const FIRST_READ: usize = 32 << 10;

/// Blocks that are held unpacked while records are read in the journal's order, in which those of a block are far apart.
const BLOCKS_MAX: usize = 64;

/// A block that was read.
struct Block {
    kind: Kind,
    raw: Vec<u8>,
    /// The block after it.
    next: Place,
}

fn damaged(place: Place, problem: impl std::fmt::Display) -> ArchiveError {
    let problem = format!("the block at byte {}: {problem}", place.at);
    ArchiveError::Damaged { file: place.segment.file(), problem }
}

fn block(files: &dyn Files, place: Place) -> Result<Block, ArchiveError> {
    let file = place.segment.file();
    let read = |len| match files.read(&file, place.at, len) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ArchiveError::Missing { file: file.clone() }),
        Err(error) => Err(ArchiveError::Io { file: file.clone(), problem: error.to_string() }),
    };
    let mut bytes = read(FIRST_READ)?;
    let head = BlockHead::read(&bytes).map_err(|problem| damaged(place, problem))?;
    let len = BLOCK_HEAD_LEN + head.len as usize;
    if bytes.len() < len && bytes.len() == FIRST_READ {
        bytes = read(len)?;
    }
    let contents = head.contents(&bytes[BLOCK_HEAD_LEN..]);
    let raw = contents.map_err(|problem| damaged(place, problem))?;
    let next = Place { at: place.at + len as u64, ..place };
    Ok(Block { kind: head.kind, raw, next })
}

/// The records of the block at `place`, and where the next block is.
fn block_of_records(files: &dyn Files, place: Place) -> Result<(Vec<Record>, Place), ReadError> {
    let block = block(files, place)?;
    if block.kind != Kind::Records {
        return Err(damaged(place, "it should hold records").into());
    }
    let decoded = records(&block.raw).map(|found| {
        let (seq, stored) =
            found.ok_or_else(|| damaged(place, "it ends in the middle of a record"))?;
        format::decode(seq, stored)
            .map_err(|error| ReadError::Damaged { seq, problem: error.to_string() })
    });
    Ok((decoded.collect::<Result<_, ReadError>>()?, block.next))
}

/// The record that `stub` is what is left of.
pub(in crate::journal) fn record(files: &dyn Files, stub: &Stub) -> Result<Record, ReadError> {
    let (records, _) = block_of_records(files, stub.place)?;
    find(records.iter(), stub).cloned()
}

fn find<'a>(
    mut records: impl Iterator<Item = &'a Record>,
    stub: &Stub,
) -> Result<&'a Record, ReadError> {
    let found = records.find(|record| record.seq == stub.seq && record.hash == stub.hash);
    let missing = || damaged(stub.place, format_args!("record {} is not in it", stub.seq)).into();
    found.ok_or_else(missing)
}

/// The records at `slots`, wherever they are.
pub(in crate::journal) fn unpack(
    files: &dyn Files,
    slots: Vec<Slot>,
) -> Result<Vec<Record>, ReadError> {
    let mut blocks: BTreeMap<Place, Vec<Record>> = BTreeMap::new();
    let mut found = Vec::with_capacity(slots.len());
    for slot in slots {
        let stub = match slot {
            Slot::Live(record) => {
                found.push(record);
                continue;
            }
            Slot::Archived(stub) => stub,
        };
        if !blocks.contains_key(&stub.place) {
            if blocks.len() == BLOCKS_MAX {
                blocks.pop_first();
            }
            blocks.insert(stub.place, block_of_records(files, stub.place)?.0);
        }
        found.push(find(blocks[&stub.place].iter(), &stub)?.clone());
    }
    Ok(found)
}

/// The records after `after` of the archived stream that ends with `head` and begins at `place`.
pub(in crate::journal) fn stream(
    files: &dyn Files,
    stream: &StreamId,
    head: &StreamHead,
    place: Place,
    after: StreamSeq,
) -> Result<Vec<Record>, ReadError> {
    let mut found: Vec<Record> = vec![];
    let mut next = place;
    while found.last().map(|record| record.seq) != Some(head.seq) {
        let (records, following) = block_of_records(files, next)?;
        let before = found.len();
        found.extend(records.into_iter().filter(|record| record.entry.stream == *stream));
        if found.len() == before {
            let problem =
                format!("the records of stream {stream} end in it before record {}", head.seq);
            return Err(damaged(next, problem).into());
        }
        next = following;
    }
    let linked = found.windows(2).all(|pair| pair[1].previous == Some(pair[0].seq));
    let whole = linked && found.first().is_some_and(|first| first.previous.is_none());
    if !whole || found.len() as u64 != head.stream_seq.0 {
        return Err(damaged(place, format_args!("stream {stream} has a gap")).into());
    }
    found.retain(|record| record.entry.stream_seq > after);
    Ok(found)
}

/// The blob `digest`, which is at `place`.
pub(in crate::journal) fn blob(
    files: &dyn Files,
    digest: &Digest,
    place: Place,
) -> Result<Vec<u8>, ReadError> {
    let block = block(files, place)?;
    match block.raw.split_first_chunk::<32>() {
        Some((of, bytes)) if block.kind == Kind::Blob && *of == digest.0 => Ok(bytes.to_vec()),
        _ => Err(damaged(place, format_args!("blob {digest} is not in it")).into()),
    }
}

/// What a walk through a segment meets.
pub(super) enum Met {
    /// A block of records.
    Records(Vec<(Seq, Vec<u8>)>),
    /// A blob, by its hash, and whether its bytes have that.
    Blob(Digest, bool),
}

/// The block at `place`, for the audit, and where the next one is.
pub(super) fn met(files: &dyn Files, place: Place) -> Result<(Met, Place), ArchiveError> {
    let block = block(files, place)?;
    let met = match block.kind {
        Kind::Records => {
            let owned = |(seq, stored): (Seq, &[u8])| (seq, stored.to_vec());
            let all: Option<Vec<_>> = records(&block.raw).map(|found| found.map(owned)).collect();
            Met::Records(all.ok_or_else(|| damaged(place, "it ends in the middle of a record"))?)
        }
        Kind::Blob => match block.raw.split_first_chunk::<32>() {
            Some((of, bytes)) => Met::Blob(Digest(*of), Digest::of(bytes) == Digest(*of)),
            None => return Err(damaged(place, "it is shorter than a hash")),
        },
    };
    Ok((met, block.next))
}
