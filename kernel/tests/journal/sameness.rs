//! The journal in memory and the one on disk behave the same.

use proptest::prelude::*;
use soloist_kernel::{
    id::{Actor, StreamId},
    journal::{
        Append, Journal, ProjectionKey, Seq, StreamSeq,
        archive::{self, Selection, append_of, audit},
        fjall::FjallJournal,
        memory::{MemoryJournal, Syncing},
    },
    payload::Digest,
    time::Timestamp,
};

use crate::support::{all, dir, durable, entry, open, sealed};

const STREAMS: [&str; 3] = ["run:a", "run:b", "memory"];
const KEYS: [&str; 4] = ["", "a", "ab", "b"];

#[derive(Clone, Debug)]
enum Step {
    /// Appends one record to each of `streams` in turn, as if each had as many records as it has plus `ahead`.
    Append {
        streams: Vec<usize>,
        ahead: u64,
        value: u8,
        key: usize,
        keep: bool,
    },
    /// Archives a stream.
    Archive(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        prop::collection::vec(0..STREAMS.len(), 1..4),
        prop_oneof![9 => Just(0), 1 => Just(1u64)],
        any::<u8>(),
        0..KEYS.len(),
        prop::bool::weighted(0.7),
    )
        .prop_map(|(streams, ahead, value, key, keep)| Step::Append {
            streams,
            ahead,
            value,
            key,
            keep,
        });
    prop_oneof![
        12 => append,
        1 => (0..STREAMS.len()).prop_map(Step::Archive),
        1 => Just(Step::Reopen),
    ]
}

fn build(lengths: &mut [u64; 3], step: &Step) -> Option<Append> {
    let Step::Append { streams, ahead, value, key, keep } = step else { return None };
    let mut append = Append::default();
    for stream in streams {
        lengths[*stream] += 1;
        append.entries.push(entry(STREAMS[*stream], lengths[*stream] + ahead, [*value]));
    }
    let projection = |table| (ProjectionKey::new(table, KEYS[*key]), keep.then(|| vec![*value]));
    append.projections = vec![projection("runs"), projection("run")];
    append.blobs = vec![(Digest::of(&[*value]), vec![*value].into())];
    if *keep {
        append.snapshots = vec![(StreamId::new(STREAMS[*key % 3]).unwrap(), vec![*value])];
    }
    Some(append)
}

/// Archives `stream`, which has so many records, with all blobs there are; both say the same to that.
fn archive(disk: &FjallJournal, memory: &MemoryJournal, stream: &str, records: u64) {
    let blobs = (0..=u8::MAX).map(|value| Digest::of(&[value])).collect();
    let of = Selection { streams: vec![StreamId::new(stream).unwrap()], blobs };
    let (first, second) = (sealed(disk, of.clone()), sealed(memory, of));
    assert_eq!(first.is_ok(), second.is_ok());
    let (Ok(first), Ok(second)) = (first, second) else { return };
    assert!(records > 0);
    assert_eq!((first.hash, first.bytes), (second.hash, second.bytes));
    let after = disk.stream_head(&archive::stream()).unwrap();
    let append = |segment| append_of(segment, after, Timestamp(1), Actor::kernel());
    assert_eq!(durable(disk, append(first)), durable(memory, append(second)));
}

#[track_caller]
fn check_same(disk: &FjallJournal, memory: &MemoryJournal) {
    assert_eq!(disk.head(), memory.head());
    assert_eq!(disk.stats().records, memory.stats().records);
    assert_eq!(all(disk), all(memory));
    assert_eq!(disk.slots(Seq(1), usize::MAX).unwrap(), memory.slots(Seq(1), usize::MAX).unwrap());
    for journal in [disk as &dyn Journal, memory] {
        let audit = audit(journal).unwrap();
        assert!(audit.faults.is_empty(), "{:?}", audit.faults);
    }
    for seq in 0..4 {
        assert_eq!(disk.record(Seq(seq)).unwrap(), memory.record(Seq(seq)).unwrap());
        assert_eq!(disk.records(Seq(seq), 2).unwrap(), memory.records(Seq(seq), 2).unwrap());
    }
    for stream in STREAMS {
        let stream = StreamId::new(stream).unwrap();
        assert_eq!(disk.snapshot(&stream).unwrap(), memory.snapshot(&stream).unwrap());
        for after in 0..3 {
            let after = StreamSeq(after);
            assert_eq!(
                disk.stream(&stream, after).unwrap(),
                memory.stream(&stream, after).unwrap()
            );
        }
    }
    for table in ["run", "runs", "none"] {
        for (prefix, after, limit) in
            [("", "", 9), ("a", "", 9), ("", "a", 9), ("a", "a", 1), ("b", "a", 9), ("", "", 1)]
        {
            let page =
                |journal: &dyn Journal| journal.projections(table, prefix, after, limit).unwrap();
            assert_eq!(page(disk), page(memory), "{table} {prefix:?} {after:?}");
        }
        for key in KEYS {
            let key = ProjectionKey::new(table, key);
            assert_eq!(disk.projection(&key).unwrap(), memory.projection(&key).unwrap());
        }
    }
    for value in 0..=u8::MAX {
        let digest = Digest::of(&[value]);
        assert_eq!(disk.blob(&digest).unwrap(), memory.blob(&digest).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_disk_answer_the_same(steps in prop::collection::vec(step(), 1..40)) {
        let dir = dir();
        let (mut disk, _) = open(dir.path()).unwrap();
        let memory = MemoryJournal::new(Syncing::Auto);
        let mut lengths = [0; 3];
        for step in &steps {
            let before = lengths;
            match build(&mut lengths, step) {
                None if matches!(step, Step::Archive(_)) => {
                    let Step::Archive(stream) = step else { unreachable!("it was matched") };
                    archive(&disk, &memory, STREAMS[*stream], before[*stream]);
                }
                None => {
                    disk.close().unwrap();
                    drop(disk);
                    disk = open(dir.path()).unwrap().0;
                }
                Some(append) => {
                    let (first, second) = (disk.append(append.clone()), memory.append(append));
                    assert_eq!(first, second);
                    if first.is_err() {
                        lengths = before;
                    }
                }
            }
        }
        if disk.stats().records > 0 {
            let mut closing = Append::default();
            closing.entries.push(entry("end", 1, [1]));
            durable(&disk, closing.clone());
            durable(&memory, closing);
        }
        check_same(&disk, &memory);
    }
}
