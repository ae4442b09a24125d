//! Writes a segment: the records of some streams, block by block, and the blobs that only they use.
//!
//! It reads what is committed and changes nothing. Whether a blob is used elsewhere is asked of the bytes of every other live
//! record: an owner that keeps a payload as a blob has the 32 bytes of its hash in the record, so no owner need be asked.

use std::{
    collections::BTreeSet,
    io::{self, SeekFrom},
};

use super::{
    Files, Place, SealError, Sealed, SealedSegment, Segment, SegmentId, Selection, Sink, Stub,
    segment::{HEADER_LEN, Header, Kind, block, put_record},
};
use crate::{
    id::StreamId,
    journal::{Head, ReadError, Seq, format, sequencer::StreamHead},
    payload::Digest,
};

/// Bytes of records in a block before they are compressed. Enough that records of a kind help each other, few enough that
/// one run is read quickly.
const BLOCK_BYTES: usize = 64 << 10;

/// The live journal, to be copied from.
pub(in crate::journal) trait Source {
    /// The head of a stream.
    fn head(&self, stream: &StreamId) -> Result<Option<StreamHead>, ReadError>;
    /// The stored form of a live record.
    fn stored(&self, seq: Seq) -> Result<Option<Vec<u8>>, ReadError>;
    /// A blob that is live.
    fn live_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError>;
    /// Shows the stored form of every live record.
    fn each_stored(&self, see: &mut dyn FnMut(Seq, &[u8])) -> Result<(), ReadError>;
}

/// A segment that is asked for.
pub(in crate::journal) struct Work {
    pub(in crate::journal) of: Selection,
    pub(in crate::journal) ticket: u64,
    pub(in crate::journal) done: Sealed,
}

/// Writes `of` to the segment after `last`, durably.
pub(in crate::journal) fn seal(
    source: &dyn Source,
    files: &dyn Files,
    of: Selection,
    last: Option<&SealedSegment>,
    ticket: u64,
) -> Result<Segment, SealError> {
    let id = SegmentId(last.map_or(0, |last| last.id.0) + 1);
    let mut failed = None;
    let mut made = None;
    let previous = last.map_or(Head::EMPTY.hash, |last| last.hash);
    let written = files.write(&id.file(), &mut |sink| {
        let mut body = Body::new(id, sink)?;
        match body.fill(source, &of) {
            Ok(()) => made = Some(body.finish(previous)?),
            Err(Failure::Seal(error)) => {
                failed = Some(error);
                return Err(io::Error::other("the journal could not be read"));
            }
            Err(Failure::Io(error)) => return Err(error),
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let unwritten =
        |problem: io::Error| SealError::Write { file: id.file(), problem: problem.to_string() };
    written.map_err(unwritten)?;
    let (header, parts) = made.expect("what was written was filled");
    Ok(Segment {
        id,
        hash: header.hash(),
        previous,
        first: header.first,
        last: header.last,
        bytes: HEADER_LEN as u64 + header.body_len,
        of,
        stubs: parts.stubs,
        heads: parts.heads,
        blobs: parts.blobs,
        ticket,
    })
}

enum Failure {
    Seal(SealError),
    Io(io::Error),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Seal(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Default)]
struct Parts {
    stubs: Vec<Stub>,
    heads: Vec<(StreamId, StreamHead)>,
    blobs: Vec<(Digest, Place)>,
}

/// A body that is being written.
struct Body<'a> {
    id: SegmentId,
    sink: &'a mut dyn Sink,
    /// Where the next block begins.
    at: u64,
    hasher: blake3::Hasher,
    raw: Vec<u8>,
    parts: Parts,
}

impl<'a> Body<'a> {
    /// Leaves room for the header, which is known in the end.
    fn new(id: SegmentId, sink: &'a mut dyn Sink) -> io::Result<Self> {
        sink.write_all(&[0; HEADER_LEN])?;
        let (hasher, raw, parts) = (blake3::Hasher::new(), Vec::new(), Parts::default());
        Ok(Self { id, sink, at: HEADER_LEN as u64, hasher, raw, parts })
    }

    fn fill(&mut self, source: &dyn Source, of: &Selection) -> Result<(), Failure> {
        for stream in &of.streams {
            self.stream(source, stream)?;
        }
        self.flush(Kind::Records)?;
        let own: BTreeSet<Seq> = self.parts.stubs.iter().map(|stub| stub.seq).collect();
        for digest in used_by(source, &of.blobs, &own)? {
            let Some(blob) = source.live_blob(&digest)? else { continue };
            self.parts.blobs.push((digest, self.place()));
            self.raw.extend(digest.0);
            self.raw.extend(blob);
            self.flush(Kind::Blob)?;
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place { segment: self.id, at: self.at }
    }

    fn stream(&mut self, source: &dyn Source, stream: &StreamId) -> Result<(), Failure> {
        let refused =
            |problem| Failure::Seal(SealError::Stream { stream: stream.clone(), problem });
        let head = source.head(stream)?.ok_or_else(|| refused("is not there"))?;
        if head.place.is_some() {
            return Err(refused("is archived already"));
        }
        let records = of_stream(source, stream, head.seq)?;
        self.parts.heads.push((stream.clone(), StreamHead { place: Some(self.place()), ..head }));
        for (seq, hash, stored) in records {
            let place = self.place();
            self.parts.stubs.push(Stub { seq, hash, place });
            put_record(seq, &stored, &mut self.raw);
            if self.raw.len() >= BLOCK_BYTES {
                self.flush(Kind::Records)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, kind: Kind) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let bytes = block(kind, &self.raw)?;
        self.raw.clear();
        self.hasher.update(&bytes);
        self.at += bytes.len() as u64;
        self.sink.write_all(&bytes)
    }

    fn finish(self, previous: Digest) -> io::Result<(Header, Parts)> {
        let seqs = || self.parts.stubs.iter().map(|stub| stub.seq);
        let header = Header {
            id: self.id,
            first: seqs().min().unwrap_or_default(),
            last: seqs().max().unwrap_or_default(),
            records: self.parts.stubs.len() as u64,
            blobs: self.parts.blobs.len() as u64,
            body_len: self.at - HEADER_LEN as u64,
            body_hash: Digest(*self.hasher.finalize().as_bytes()),
            previous,
        };
        self.sink.seek(SeekFrom::Start(0))?;
        self.sink.write_all(&header.to_bytes())?;
        Ok((header, self.parts))
    }
}

/// The records of a stream that ends with record `last`, in order: place, hash and stored form.
fn of_stream(
    source: &dyn Source,
    stream: &StreamId,
    last: Seq,
) -> Result<Vec<(Seq, Digest, Vec<u8>)>, ReadError> {
    let mut records = vec![];
    let mut next = Some(last);
    while let Some(seq) = next {
        let damaged = |problem: String| ReadError::Damaged { seq, problem };
        let stored = source.stored(seq)?;
        let stored = stored
            .ok_or_else(|| damaged(format!("stream {stream} links to it and it is missing")))?;
        let record = format::decode(seq, &stored).map_err(|error| damaged(error.to_string()))?;
        if record.entry.stream != *stream || record.previous >= Some(seq) {
            return Err(damaged(format!("stream {stream} links to it and it is another stream's")));
        }
        next = record.previous;
        records.push((seq, record.hash, stored));
    }
    records.reverse();
    Ok(records)
}

/// Those of `candidates` that no live record outside of `own` uses.
fn used_by(
    source: &dyn Source,
    candidates: &[Digest],
    own: &BTreeSet<Seq>,
) -> Result<BTreeSet<Digest>, ReadError> {
    let mut alone: BTreeSet<Digest> = candidates.iter().copied().collect();
    if alone.is_empty() {
        return Ok(alone);
    }
    // Nearly every place of a record is told apart by its first two bytes.
    let mut begins = vec![false; 1 << 16];
    let first = |bytes: &[u8]| usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    for digest in &alone {
        begins[first(&digest.0)] = true;
    }
    source.each_stored(&mut |seq, stored| {
        if own.contains(&seq) {
            return;
        }
        for window in stored.windows(32).filter(|window| begins[first(window)]) {
            let digest = Digest(*window.first_chunk().expect("a window has 32 bytes"));
            alone.remove(&digest);
        }
    })?;
    Ok(alone)
}
