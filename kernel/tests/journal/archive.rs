//! Archiving: what leaves the live journal stays readable and checkable, whatever happens on the way.

use std::{
    fs,
    path::{Path, PathBuf},
};

use soloist_kernel::{
    id::{Actor, StreamId},
    journal::{
        Append, AppendError, Journal, ReadError, Record, Seq, StreamSeq,
        archive::{
            ArchiveError, Audit, SealError, Segment, Selection, Slot, append_of, audit, segments,
            stream,
        },
        fjall::FjallJournal,
        verify::verify,
    },
    payload::Digest,
    time::Timestamp,
};

use crate::{
    faults::{Fault, inject},
    support::{Image, all, dir, durable, entry, open, sealed, sync},
};

/// A blob that two streams use, one that only `run:a` does, and one of `run:b`.
const SHARED: &[u8] = b"a blob that two streams use";
const ALONE: &[u8] = b"a blob of run:a";
const OTHER: &[u8] = b"a blob of run:b";

/// Records 1 to 9 in three streams, entangled, each with a blob and a snapshot.
fn fill(journal: &dyn Journal) {
    let using = |stream: &str, seq, blobs: &[&[u8]]| {
        let payload = blobs.iter().flat_map(|blob| Digest::of(blob).0);
        let payload: Vec<u8> = [1, 2, 3].into_iter().chain(payload).chain([seq as u8]).collect();
        Append {
            entries: vec![entry(stream, seq, payload)],
            blobs: blobs.iter().map(|blob| (Digest::of(blob), (*blob).into())).collect(),
            snapshots: vec![(StreamId::new(stream).unwrap(), vec![seq as u8])],
            ..Append::default()
        }
    };
    for append in [
        using("run:a", 1, &[SHARED]),
        using("run:b", 1, &[OTHER]),
        using("s", 1, &[SHARED]),
        using("run:a", 2, &[ALONE]),
        using("s", 2, &[]),
        using("run:a", 3, &[]),
        using("run:b", 2, &[]),
        using("s", 3, &[]),
        using("run:b", 3, &[]),
    ] {
        durable(journal, append);
    }
}

fn id(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn selection(streams: &[&str]) -> Selection {
    let blobs = [SHARED, ALONE, OTHER].map(Digest::of).to_vec();
    Selection { streams: streams.iter().map(|name| id(name)).collect(), blobs }
}

fn taken_out(journal: &dyn Journal, segment: Segment) -> Append {
    let after = journal.stream_head(&stream()).unwrap();
    append_of(segment, after, Timestamp(1_795_219_600_000), Actor::operator())
}

fn archive(journal: &dyn Journal, streams: &[&str]) -> Seq {
    let segment = sealed(journal, selection(streams)).unwrap();
    durable(journal, taken_out(journal, segment))
}

/// The audit finds nothing, and the chain has so many records, of which so many are archived.
#[track_caller]
fn check_whole(journal: &dyn Journal, records: u64, archived: u64) -> Audit {
    let verified = verify(journal, None).unwrap();
    assert_eq!((verified.records, verified.archived), (records, archived));
    let audit = audit(journal).unwrap();
    assert!(audit.faults.is_empty(), "{:?}", audit.faults);
    assert_eq!((audit.live + audit.archived, audit.archived), (records, archived));
    audit
}

/// A journal of which `run:a` is archived, and what was in it before.
fn archived() -> (tempfile::TempDir, FjallJournal, Vec<Record>) {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    fill(&journal);
    let before = all(&journal);
    assert_eq!(archive(&journal, &["run:a"]), Seq(10));
    (dir, journal, before)
}

#[track_caller]
fn check_archived(journal: &dyn Journal, before: &[Record]) {
    assert_eq!(all(journal)[..9], *before, "every record reads as before");
    assert_eq!(journal.record(Seq(4)).unwrap().as_ref(), Some(&before[3]));
    let of_a: Vec<_> =
        before.iter().filter(|record| record.entry.stream == id("run:a")).cloned().collect();
    for after in 0..4 {
        let found = journal.stream(&id("run:a"), StreamSeq(after)).unwrap();
        assert_eq!(found, of_a[after as usize..]);
    }
    assert_eq!(journal.stream_head(&id("run:a")).unwrap(), StreamSeq(3));
    assert!(journal.snapshot(&id("run:a")).unwrap().is_none());
    assert!(journal.snapshot(&id("s")).unwrap().is_some());
    for blob in [SHARED, ALONE, OTHER] {
        assert_eq!(journal.blob(&Digest::of(blob)).unwrap().as_deref(), Some(blob));
    }
    let live = journal.slots(Seq(1), 9).unwrap();
    let live = live.iter().map(|slot| matches!(slot, Slot::Live(_)));
    assert!(live.eq([false, true, true, false, true, false, true, true, true]));
    let segments = segments(journal).unwrap();
    assert_eq!((segments[0].records, segments[0].blobs), (3, 1));
    assert_eq!((segments[0].first, segments[0].last), (Seq(1), Seq(6)));
    assert_eq!(segments[0].streams, [id("run:a")]);
    assert_eq!(segments[0].by, Actor::operator());
}

#[test]
fn what_is_archived_reads_as_before_and_the_chain_is_whole() {
    let (dir, journal, before) = archived();
    check_archived(&journal, &before);
    check_whole(&journal, 10, 3);
    journal.close().unwrap();
    drop(journal);
    let (journal, opened) = open(dir.path()).unwrap();
    assert_eq!(opened.head.seq, Seq(10));
    check_archived(&journal, &before);
    check_whole(&journal, 10, 3);
}

#[test]
fn nothing_is_added_to_what_is_archived() {
    let (dir, journal, _) = archived();
    let refused = |journal: &dyn Journal| {
        let again = Append { entries: vec![entry("run:a", 1, b"new")], ..Append::default() };
        let refused = journal.append(again).unwrap_err();
        assert!(matches!(refused, AppendError::Conflict { actual: StreamSeq(3), .. }), "{refused}");
        let more = Append { entries: vec![entry("run:a", 4, b"more")], ..Append::default() };
        let refused = journal.append(more).unwrap_err();
        assert!(matches!(refused, AppendError::Archived { .. }), "{refused}");
        assert!(refused.to_string().contains("00000001.segment"), "{refused}");
        let sealed_again = sealed(journal, selection(&["run:a"])).unwrap_err();
        assert!(matches!(sealed_again, SealError::Stream { .. }), "{sealed_again}");
        let missing = sealed(journal, selection(&["run:none"])).unwrap_err();
        assert!(missing.to_string().contains("run:none is not there"), "{missing}");
    };
    refused(&journal);
    drop(journal);
    let (journal, _) = open(dir.path()).unwrap();
    refused(&journal);
    check_whole(&journal, 10, 3);
}

#[test]
fn segments_are_a_chain_and_blobs_follow_who_uses_them_last() {
    let (_dir, journal, before) = archived();
    archive(&journal, &["run:b"]);
    archive(&journal, &["s"]);
    let segments = segments(&journal).unwrap();
    let links: Vec<_> = segments.iter().map(|segment| (segment.previous, segment.hash)).collect();
    assert_eq!(links[0].0, Digest([0; 32]));
    assert!(links.windows(2).all(|pair| pair[1].0 == pair[0].1));
    assert_eq!(segments.iter().map(|segment| segment.blobs).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(all(&journal)[..9], before);
    for blob in [SHARED, ALONE, OTHER] {
        assert_eq!(journal.blob(&Digest::of(blob)).unwrap().as_deref(), Some(blob));
    }
    check_whole(&journal, 12, 9);
}

#[test]
fn a_stream_that_went_on_is_not_archived() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    fill(&journal);
    let segment = sealed(&journal, selection(&["run:a"])).unwrap();
    durable(&journal, Append { entries: vec![entry("run:a", 4, b"on")], ..Append::default() });
    let refused = journal.append(taken_out(&journal, segment)).unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { .. }), "{refused}");
    assert_eq!(check_whole(&journal, 10, 0).leftovers, ["00000001.segment"]);
    // The file of what was refused is written anew.
    archive(&journal, &["run:a"]);
    assert!(check_whole(&journal, 11, 4).leftovers.is_empty());
}

#[test]
fn a_sealing_makes_the_one_before_void() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    fill(&journal);
    let first = sealed(&journal, selection(&["run:a"])).unwrap();
    let second = sealed(&journal, selection(&["run:b"])).unwrap();
    let refused = journal.append(taken_out(&journal, first)).unwrap_err();
    assert!(matches!(refused, AppendError::Resealed { .. }), "{refused}");
    durable(&journal, taken_out(&journal, second));
    check_whole(&journal, 10, 3);
}

#[test]
fn a_blob_that_is_used_again_before_its_segment_counts_stays_live() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    fill(&journal);
    let segment = sealed(&journal, selection(&["run:a"])).unwrap();
    let mut using =
        Append { entries: vec![entry("s", 4, Digest::of(ALONE).0)], ..Append::default() };
    using.blobs = vec![(Digest::of(ALONE), ALONE.into())];
    durable(&journal, using);
    durable(&journal, taken_out(&journal, segment));
    fs::remove_dir_all(dir.path().join("archive")).unwrap();
    assert_eq!(journal.blob(&Digest::of(ALONE)).unwrap().as_deref(), Some(ALONE));
}

fn segment_file(dir: &Path) -> PathBuf {
    dir.join("archive/00000001.segment")
}

#[test]
fn every_flipped_byte_of_a_segment_is_found_and_named() {
    let (dir, journal, _) = archived();
    let path = segment_file(dir.path());
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        let found = audit(&journal).unwrap();
        let fault = found.faults.first().unwrap_or_else(|| panic!("byte {at} is not missed"));
        let text = fault.to_string();
        assert_eq!(fault.file.as_deref(), Some("00000001.segment"), "byte {at}: {text}");
        // The header, the block of the three records, and that of the blob.
        let named = match at {
            0..124 => fault.field.is_some() || text.contains("version"),
            _ => fault.seq == Some(Seq(1)) || text.contains("the block at byte"),
        };
        assert!(named, "byte {at}: {text}");
    }
    for len in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(!audit(&journal).unwrap().faults.is_empty(), "cut at {len}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(audit(&journal).unwrap().faults[0].to_string().contains("bytes"));
    fs::write(&path, &whole).unwrap();
    check_whole(&journal, 10, 3);
}

#[test]
fn a_large_segment_names_the_record_that_is_damaged() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let mut chance = 7u64;
    for seq in 1..=200 {
        // What does not compress, so that there are many blocks.
        let payload: Vec<u8> = (0..2000)
            .map(|_| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (chance >> 56) as u8
            })
            .collect();
        let stream = format!("run:{}", seq % 4);
        let append = Append {
            entries: vec![entry(&stream, (seq - 1) / 4 + 1, payload)],
            ..Append::default()
        };
        journal.append(append).unwrap();
    }
    let records = {
        let last = journal
            .append(Append { entries: vec![entry("s", 1, b"")], ..Append::default() })
            .unwrap();
        sync(&journal, last).wait().unwrap();
        all(&journal)
    };
    archive(&journal, &["run:0", "run:1", "run:2", "run:3"]);
    check_whole(&journal, 202, 200);
    assert_eq!(all(&journal)[..201], records);
    let path = segment_file(dir.path());
    let whole = fs::read(&path).unwrap();
    for at in (124..whole.len()).step_by(9_973) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let found = audit(&journal).unwrap();
        assert_eq!(found.faults.len(), 1, "byte {at}: {:?}", found.faults);
        let seq = found.faults[0].seq.unwrap_or_else(|| panic!("byte {at}: {:?}", found.faults));
        // The record that is named cannot be read, and those of other blocks can.
        assert!(matches!(
            journal.record(seq),
            Err(ReadError::Archive(ArchiveError::Damaged { .. }))
        ));
        let readable = (1..=200).filter(|seq| journal.record(Seq(*seq)).is_ok()).count();
        assert!((120..200).contains(&readable), "byte {at}: {readable}");
    }
}

#[test]
fn missing_and_surplus_segments_are_named() {
    let (dir, journal, _) = archived();
    archive(&journal, &["run:b"]);
    let names = |journal: &dyn Journal| {
        let found = audit(journal).unwrap();
        let faults: Vec<_> = found.faults.iter().filter_map(|fault| fault.file.clone()).collect();
        (faults, found.leftovers)
    };
    let folder = dir.path().join("archive");
    for left in ["00000003.segment", "00000003.segment.part", "00000001.segment.part"] {
        fs::write(folder.join(left), b"half").unwrap();
    }
    for surplus in ["00000009.segment", "notes.txt"] {
        fs::write(folder.join(surplus), b"surplus").unwrap();
    }
    fs::remove_file(folder.join("00000001.segment")).unwrap();
    let (faults, leftovers) = names(&journal);
    assert_eq!(faults, ["00000001.segment", "00000009.segment", "notes.txt"]);
    assert_eq!(leftovers, ["00000001.segment.part", "00000003.segment", "00000003.segment.part"]);
    let missing = journal.stream(&id("run:a"), StreamSeq(0)).unwrap_err();
    assert!(missing.to_string().contains("segment file 00000001.segment is missing"), "{missing}");
    // What is left of it still verifies, and the journal still opens.
    assert_eq!(verify(&journal, None).unwrap().archived, 6);
    drop(journal);
    let (journal, _) = open(dir.path()).unwrap();
    assert_eq!(journal.stream_head(&id("run:a")).unwrap(), StreamSeq(3));
    // Two segments changed places.
    let (first, second) = (folder.join("00000001.segment"), folder.join("00000002.segment"));
    fs::copy(&second, &first).unwrap();
    assert_eq!(names(&journal).0[0], "00000001.segment");
}

/// Opens what `image` lays out: it holds all records, and what is not archived there can be.
#[track_caller]
fn check_recovers(image: &Image, before: &[Record], context: &str) -> bool {
    let dir = image.lay_out();
    let (journal, opened) = open(dir.path()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let done = opened.head.seq == Seq(10);
    if !done {
        assert_eq!(opened.head.seq, Seq(9), "{context}");
        assert_eq!(all(&journal), before, "{context}");
        check_whole(&journal, 9, 0);
        archive(&journal, &["run:a"]);
    }
    check_archived(&journal, before);
    assert!(check_whole(&journal, 10, 3).leftovers.is_empty(), "{context}");
    done
}

#[test]
fn a_crash_at_any_step_leaves_both_copies_or_the_segment() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    fill(&journal);
    journal.close().unwrap();
    drop(journal);
    let old_head = fs::read(dir.path().join("HEAD")).unwrap();
    let before_image = Image::of(dir.path());
    let (journal, _) = open(dir.path()).unwrap();
    let before = all(&journal);
    archive(&journal, &["run:a"]);
    journal.close().unwrap();
    drop(journal);
    let after_image = Image::of(dir.path());
    let segment = fs::read(segment_file(dir.path())).unwrap();

    // While the file is written, and once it has its name.
    let with = |name: &str, bytes: &[u8]| {
        let mut image = before_image.clone();
        image.add(&Path::new("archive").join(name), bytes);
        image
    };
    for len in (0..=segment.len()).step_by(41) {
        let image = with("00000001.segment.part", &segment[..len]);
        assert!(!check_recovers(&image, &before, &format!("{len} bytes of the file")));
    }
    assert!(!check_recovers(&with("00000001.segment", &segment), &before, "renamed"));

    // While the batch is written that takes the records out: whole, or not there.
    let mut ends = vec![];
    let from = before_image.clone().journal().len();
    let to = after_image.clone().journal().len();
    for cut in (from..=to).rev().step_by(13).chain([from + 1, from]) {
        let mut image = after_image.clone();
        image.file("HEAD").clone_from(&old_head);
        image.journal().truncate(cut);
        ends.push(check_recovers(&image, &before, &format!("cut at {cut} of {from} to {to}")));
    }
    assert!(ends[0] && ends[1..].iter().all(|done| !done));
}

#[test]
fn a_disk_that_fails_leaves_everything_where_it_was() {
    for fault in [Fault::Fsync, Fault::Write] {
        let dir = dir();
        let (journal, _) = open(dir.path()).unwrap();
        fill(&journal);
        let before = all(&journal);
        let faulty = inject(&dir.path().join("archive"), fault);
        let failed = sealed(&journal, selection(&["run:a"])).unwrap_err();
        assert!(failed.to_string().contains("00000001.segment"), "{failed}");
        assert_eq!(all(&journal), before);
        check_whole(&journal, 9, 0);
        drop(faulty);
        // The journal has not stopped for it, and the next try takes the place of what was written.
        archive(&journal, &["run:a"]);
        check_archived(&journal, &before);
        check_whole(&journal, 10, 3);
    }
}
