//! Checks the chain from the first record to the head, through live records and segments, and names what is not as it was
//! written.
//!
//! A stub says which hash its record has and where the record is. The live journal alone shows that these hashes are chained;
//! each record in a segment is then hashed anew over the one before it, so nothing is believed that is not recomputed.

use std::{collections::BTreeMap, fmt};

use super::{
    ArchiveError, Files, Place, SealedSegment, SegmentId, Slot,
    read::{Met, met},
    segment::{HEADER_LEN, Header, newer_version},
    segments,
};
use crate::{
    journal::{Head, Journal, ReadError, Seq, format, verify::next},
    payload::Digest,
};

/// Slots read at a time.
const PAGE: usize = 256;

/// What the names of files end with that a crash left while they were written.
const LEFT: &str = ".part";

/// Read at a time to hash a body.
const CHUNK: usize = 1 << 20;

/// What a check of everything found.
#[derive(Debug)]
pub struct Audit {
    /// Where the chain ends.
    pub head: Head,
    /// Records in the live journal.
    pub live: u64,
    /// Records in segments.
    pub archived: u64,
    /// The segments, oldest first.
    pub segments: Vec<SealedSegment>,
    /// What is not as it was written.
    pub faults: Vec<Fault>,
    /// Files that a crash left and that mean nothing. The next archiving takes them over.
    pub leftovers: Vec<String>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The segment file, if it is in one.
    pub file: Option<String>,
    /// The record, if it is one.
    pub seq: Option<Seq>,
    /// The field of the file's header, if it is one.
    pub field: Option<&'static str>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "segment file {file}: ")?;
        }
        if let Some(seq) = self.seq {
            write!(f, "record {seq}: ")?;
        }
        if let Some(field) = self.field {
            write!(f, "{field} in the header: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// Checks all of `journal`: every record, live or archived, every segment, and that there is none too many.
///
/// # Errors
///
/// [`ReadError`] if the live journal cannot be read.
pub fn audit(journal: &dyn Journal) -> Result<Audit, ReadError> {
    let mut auditor = Auditor {
        journal,
        files: journal.archive(),
        stubs: BTreeMap::new(),
        audit: Audit {
            head: journal.head(),
            live: 0,
            archived: 0,
            segments: segments(journal)?,
            faults: vec![],
            leftovers: vec![],
        },
    };
    auditor.live()?;
    auditor.segments()?;
    Ok(auditor.audit)
}

/// The stubs of one block: the first record, and how many.
#[derive(Clone, Copy)]
struct InBlock {
    first: Seq,
    count: u64,
}

struct Auditor<'a> {
    journal: &'a dyn Journal,
    files: &'a dyn Files,
    stubs: BTreeMap<Place, InBlock>,
    audit: Audit,
}

impl Auditor<'_> {
    fn fault(&mut self, file: Option<&str>, seq: Option<Seq>, problem: impl fmt::Display) {
        let file = file.map(str::to_owned);
        self.audit.faults.push(Fault { file, seq, field: None, problem: problem.to_string() });
    }

    /// The chain as the live journal has it.
    fn live(&mut self) -> Result<(), ReadError> {
        let (head, mut at, mut bytes) = (self.audit.head, Head::EMPTY, Vec::new());
        while at.seq < head.seq {
            let page = self.journal.slots(Seq(at.seq.0 + 1), PAGE)?;
            if page.is_empty() {
                self.fault(None, Some(Seq(at.seq.0 + 1)), "it is missing");
                return Ok(());
            }
            for slot in page.iter().take_while(|slot| slot.seq() <= head.seq) {
                match next(&at, slot, &mut bytes) {
                    Ok(next) => at = next,
                    Err(error) => {
                        self.fault(None, None, error);
                        return Ok(());
                    }
                }
                match slot {
                    Slot::Live(_) => self.audit.live += 1,
                    Slot::Archived(stub) => {
                        self.audit.archived += 1;
                        let new = InBlock { first: stub.seq, count: 0 };
                        self.stubs.entry(stub.place).or_insert(new).count += 1;
                    }
                }
            }
        }
        if at != head {
            self.fault(None, Some(head.seq), "the journal's head has another hash");
        }
        Ok(())
    }

    fn segments(&mut self) -> Result<(), ReadError> {
        let segments = self.audit.segments.clone();
        let listed = match self.files.list() {
            Ok(listed) => listed,
            Err(error) => {
                self.fault(None, None, format_args!("the archive cannot be listed: {error}"));
                vec![]
            }
        };
        let mut before = Head::EMPTY.hash;
        for (index, segment) in segments.iter().enumerate() {
            let file = segment.id.file();
            if segment.id.0 != index as u64 + 1 || segment.previous != before {
                self.fault(Some(&file), None, "the journal's records of segments are not a chain");
            }
            before = segment.hash;
            match listed.iter().find(|(name, _)| *name == file) {
                None => self.fault(Some(&file), None, "it is missing"),
                Some((_, bytes)) => self.segment(segment, *bytes)?,
            }
        }
        let next = SegmentId(segments.len() as u64 + 1);
        for (name, _) in listed {
            match SegmentId::of_file(&name) {
                Some(id) if id < next => {}
                // What a crash leaves between the file and the record of it.
                Some(id) if id == next => self.audit.leftovers.push(name),
                None if name.ends_with(LEFT) => self.audit.leftovers.push(name),
                Some(_) | None => {
                    self.fault(Some(&name), None, "no record of the journal speaks of it");
                }
            }
        }
        let unknown = self.stubs.keys().find(|place| place.segment >= next).copied();
        if let Some(place) = unknown {
            let seq = self.stubs[&place].first;
            let what =
                format_args!("it is said to be in {}, which no record speaks of", place.segment);
            self.fault(None, Some(seq), what.to_string());
        }
        Ok(())
    }

    fn segment(&mut self, segment: &SealedSegment, bytes: u64) -> Result<(), ReadError> {
        let file = segment.id.file();
        let faults = self.audit.faults.len();
        let end = self.body(segment, bytes)?;
        if bytes != segment.bytes || end != segment.bytes {
            let expected = segment.bytes;
            self.fault(
                Some(&file),
                None,
                format_args!("it has {bytes} bytes, and {expected} were written"),
            );
        }
        let header = match self.files.read(&file, 0, HEADER_LEN) {
            Ok(Some(header)) => header,
            Ok(None) => vec![],
            Err(error) => {
                self.fault(Some(&file), None, error);
                return Ok(());
            }
        };
        let body_hash = self.body_hash(&file);
        let expected = Header {
            id: segment.id,
            first: segment.first,
            last: segment.last,
            records: segment.records,
            blobs: segment.blobs,
            body_len: segment.bytes - HEADER_LEN as u64,
            // Of a body that is damaged, which has been said, the header may be right.
            body_hash: match self.audit.faults.len() == faults {
                true => body_hash,
                false => hash_field(&header),
            },
            previous: segment.previous,
        };
        if let Some(version) = newer_version(&header) {
            let problem =
                format!("it has version {version}; use the program that wrote it, or a newer one");
            self.fault(Some(&file), None, problem);
        } else if let Some(field) = expected.differs(&header) {
            let problem = "it is not what was written".to_owned();
            let file = Some(file);
            self.audit.faults.push(Fault { file, seq: None, field: Some(field), problem });
        } else if self.audit.faults.len() == faults && expected.hash() != segment.hash {
            self.fault(Some(&file), None, "its hash is not the one that the journal has of it");
        }
        Ok(())
    }

    /// Every block of a segment; returns where they end.
    fn body(&mut self, segment: &SealedSegment, bytes: u64) -> Result<u64, ReadError> {
        let file = segment.id.file();
        let mut place = Place { segment: segment.id, at: HEADER_LEN as u64 };
        let (mut records, mut blobs, mut lost) = (0, 0, false);
        while place.at < bytes.min(segment.bytes) {
            match met(self.files, place) {
                Ok((found, next)) => {
                    match found {
                        Met::Records(found) => {
                            records += found.len() as u64;
                            for (seq, stored) in found {
                                self.record(&file, place, seq, &stored)?;
                            }
                        }
                        Met::Blob(digest, fits) => {
                            blobs += 1;
                            if !fits {
                                self.fault(
                                    Some(&file),
                                    None,
                                    format_args!("blob {digest} has another hash"),
                                );
                            }
                        }
                    }
                    place = next;
                }
                Err(error) => {
                    lost = true;
                    self.bad_block(&file, place, &error);
                    match self.next_known(place) {
                        Some(next) => place = next,
                        // Blocks of blobs, which nothing in the live journal lists in order.
                        None => return Ok(segment.bytes),
                    }
                }
            }
        }
        if !lost && (records, blobs) != (segment.records, segment.blobs) {
            let problem = format!(
                "it has {records} records and {blobs} blobs, and {} and {} were archived",
                segment.records, segment.blobs
            );
            self.fault(Some(&file), None, problem);
        }
        Ok(place.at)
    }

    /// A record of a segment: it must be what its stub says, and fit the chain.
    fn record(
        &mut self,
        file: &str,
        place: Place,
        seq: Seq,
        stored: &[u8],
    ) -> Result<(), ReadError> {
        let stub = match self.journal.slots(seq, 1)?.into_iter().next() {
            Some(Slot::Archived(stub)) if stub.seq == seq && stub.place == place => stub,
            _ => {
                self.fault(Some(file), Some(seq), "the live journal does not say that it is here");
                return Ok(());
            }
        };
        let before = match seq.0 {
            1 => Head::EMPTY.hash,
            _ => match self.journal.slots(Seq(seq.0 - 1), 1)?.first() {
                Some(slot) => slot.hash(),
                None => Head::EMPTY.hash,
            },
        };
        match format::rehash(&before, stored) {
            Some(hash) if hash == stub.hash => {}
            _ => self.fault(Some(file), Some(seq), "it does not fit the hash chain"),
        }
        Ok(())
    }

    fn bad_block(&mut self, file: &str, place: Place, error: &ArchiveError) {
        let problem = match error {
            ArchiveError::Damaged { problem, .. } | ArchiveError::Io { problem, .. } => problem,
            ArchiveError::Missing { .. } => "it is missing",
        };
        match self.stubs.get(&place).copied() {
            None => self.fault(Some(file), None, problem),
            Some(InBlock { first, count: 1 }) => self.fault(Some(file), Some(first), problem),
            Some(InBlock { first, count }) => {
                let problem = format!("{problem}; it and {} more are in that block", count - 1);
                self.fault(Some(file), Some(first), problem);
            }
        }
    }

    /// The next block of records that the live journal knows of.
    fn next_known(&self, after: Place) -> Option<Place> {
        let next = Place { at: after.at + 1, ..after };
        let found = self.stubs.range(next..).next().map(|(place, _)| *place);
        found.filter(|place| place.segment == after.segment)
    }

    fn body_hash(&self, file: &str) -> Digest {
        let (mut hasher, mut at) = (blake3::Hasher::new(), HEADER_LEN as u64);
        while let Ok(Some(bytes)) = self.files.read(file, at, CHUNK)
            && !bytes.is_empty()
        {
            hasher.update(&bytes);
            at += bytes.len() as u64;
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// The hash of the body as a header says it.
fn hash_field(header: &[u8]) -> Digest {
    let from = HEADER_LEN - 64;
    header
        .get(from..)
        .and_then(|rest| rest.first_chunk())
        .map_or(Head::EMPTY.hash, |hash| Digest(*hash))
}
