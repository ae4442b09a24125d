//! Journals to break, and images of them that are quick to lay out again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use soloist_kernel::{
    id::{Actor, StreamId},
    journal::{
        Append, Entry, Journal, ProjectionKey, Record, Seq, Stopped, StreamSeq,
        archive::{SealError, Segment, Selection},
        examine,
        fjall::{FjallJournal, OpenError, Opened, Options},
        verify::verify,
    },
    payload::Digest,
    time::Timestamp,
};
use tempfile::TempDir;

/// Longer than anything takes that is not stuck.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder that goes away, in memory if the system has a place for it.
pub(crate) fn dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

pub(crate) fn open(dir: &Path) -> Result<(FjallJournal, Opened), OpenError> {
    FjallJournal::open(dir, Options { cache_bytes: 1 << 20, ..Options::default() })
}

pub(crate) fn entry(stream: &str, stream_seq: u64, payload: impl Into<Vec<u8>>) -> Entry {
    Entry {
        stream: StreamId::new(stream).unwrap(),
        stream_seq: StreamSeq(stream_seq),
        at: Timestamp(1_795_219_506_789),
        actor: Actor::kernel(),
        causation: None,
        correlation: None,
        kind: "test.happened".to_owned(),
        version: 1,
        payload: payload.into(),
    }
}

/// One record of stream `s`, with a projection, a blob and a snapshot that say the same.
pub(crate) fn append(stream_seq: u64, payload: &[u8]) -> Append {
    Append {
        entries: vec![entry("s", stream_seq, payload)],
        projections: vec![(ProjectionKey::new("last", "s"), Some(payload.to_vec()))],
        blobs: vec![(Digest::of(payload), Arc::from(payload))],
        snapshots: vec![(StreamId::new("s").unwrap(), payload.to_vec())],
        archive: None,
    }
}

/// The result of a sync, to be waited for.
pub(crate) struct Answer(mpsc::Receiver<Result<(), Stopped>>);

impl Answer {
    pub(crate) fn wait(&self) -> Result<(), Stopped> {
        self.0.recv_timeout(DEADLINE).expect("every sync is answered")
    }
}

pub(crate) fn sync(journal: &dyn Journal, seq: Seq) -> Answer {
    let (told, heard) = mpsc::channel();
    journal.sync(seq, Box::new(move |answer| drop(told.send(answer))));
    Answer(heard)
}

pub(crate) fn durable(journal: &dyn Journal, append: Append) -> Seq {
    let seq = journal.append(append).unwrap();
    sync(journal, seq).wait().unwrap();
    seq
}

pub(crate) fn sealed(journal: &dyn Journal, of: Selection) -> Result<Segment, SealError> {
    let (told, heard) = mpsc::channel();
    journal.seal(of, Box::new(move |answer| drop(told.send(answer))));
    heard.recv_timeout(DEADLINE).expect("every sealing is answered")
}

pub(crate) fn all(journal: &dyn Journal) -> Vec<Record> {
    journal.records(Seq(1), usize::MAX).unwrap()
}

/// Appends `payloads` to stream `s` after its `after` records, each in a batch of its own, and closes the journal.
pub(crate) fn fill(dir: &Path, after: u64, payloads: &[&[u8]]) {
    let (journal, _) = open(dir).unwrap();
    for (index, payload) in payloads.iter().enumerate() {
        durable(&journal, append(after + index as u64 + 1, payload));
    }
    journal.close().unwrap();
}

/// The files of a journal, held in memory, so that they can be changed and laid out many times.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
    dirs: Vec<PathBuf>,
}

impl Image {
    /// Reads the journal in `dir`. The zeros at the end of write-ahead files are left out: they take long to copy.
    pub(crate) fn of(dir: &Path) -> Self {
        let mut image = Self { files: Vec::new(), dirs: vec![PathBuf::new()] };
        image.read(dir, Path::new(""));
        image
    }

    fn read(&mut self, root: &Path, below: &Path) {
        for file in fs::read_dir(root.join(below)).unwrap() {
            let file = file.unwrap();
            let path = below.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                self.dirs.push(path.clone());
                self.read(root, &path);
                continue;
            }
            let mut bytes = fs::read(file.path()).unwrap();
            if path.extension().is_some_and(|kind| kind == "jnl") {
                bytes.truncate(examine(&bytes).valid_end);
            }
            self.files.push((path, bytes));
        }
    }

    pub(crate) fn lay_out(&self) -> TempDir {
        let dir = dir();
        for below in &self.dirs {
            fs::create_dir_all(dir.path().join(below)).unwrap();
        }
        for (path, bytes) in &self.files {
            fs::write(dir.path().join(path), bytes).unwrap();
        }
        dir
    }

    pub(crate) fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let found = self.files.iter_mut().find(|(path, _)| path == Path::new(name));
        &mut found.unwrap_or_else(|| panic!("no file {name}")).1
    }

    pub(crate) fn add(&mut self, name: &Path, bytes: &[u8]) {
        self.dirs.extend(name.parent().map(Path::to_owned));
        self.files.push((name.to_owned(), bytes.to_owned()));
    }

    pub(crate) fn journal(&mut self) -> &mut Vec<u8> {
        self.file("store/0.jnl")
    }

    pub(crate) fn without(&self, name: &Path) -> Self {
        let mut image = self.clone();
        image.files.retain(|(path, _)| path != name);
        image
    }
}

/// A journal of which the first records are named by one `HEAD` and all by another.
pub(crate) struct Subject {
    /// As it was closed, with a `HEAD` that names the last record.
    pub(crate) image: Image,
    /// A `HEAD` that names record [`Subject::ANCHORED`].
    pub(crate) old_head: Vec<u8>,
    pub(crate) records: Vec<Record>,
}

impl Subject {
    pub(crate) const ANCHORED: usize = 2;

    pub(crate) fn new(payloads: &[&[u8]]) -> Self {
        let dir = dir();
        let (first, rest) = payloads.split_at(Self::ANCHORED);
        fill(dir.path(), 0, first);
        let old_head = fs::read(dir.path().join("HEAD")).unwrap();
        fill(dir.path(), first.len() as u64, rest);
        let image = Image::of(dir.path());
        let (journal, _) = open(dir.path()).unwrap();
        let records = all(&journal);
        assert_eq!(records.len(), payloads.len());
        Self { image, old_head, records }
    }

    pub(crate) fn small() -> Self {
        Self::new(&[b"one", b"two", b"three", b"four", b"five"])
    }

    pub(crate) fn with_old_head(&self) -> Image {
        let mut image = self.image.clone();
        image.file("HEAD").clone_from(&self.old_head);
        image
    }

    /// Where in the write-ahead file each batch ends.
    pub(crate) fn batch_ends(&self) -> Vec<usize> {
        let bytes = self.image.clone().journal().clone();
        let mut ends = vec![bytes.len()];
        // A file without its last byte ends with the batch before.
        while ends[0] > 0 {
            ends.insert(0, examine(&bytes[..ends[0] - 1]).valid_end);
        }
        ends.remove(0);
        assert_eq!(ends.len(), self.records.len(), "each record was its own batch");
        ends
    }

    /// Checks that `journal` holds the first `count` records, that all else agrees, and that it goes on from there.
    #[track_caller]
    pub(crate) fn check_prefix(&self, journal: &dyn Journal, count: usize) {
        self.check_contents(journal, count);
        durable(journal, append(count as u64 + 1, b"after"));
        assert_eq!(verify(journal, None).unwrap().records, count as u64 + 1);
    }

    #[track_caller]
    pub(crate) fn check_contents(&self, journal: &dyn Journal, count: usize) {
        assert_eq!(all(journal), self.records[..count]);
        let last = self.records[..count].last().map(|record| record.entry.payload.clone());
        let stream = StreamId::new("s").unwrap();
        assert_eq!(journal.projection(&ProjectionKey::new("last", "s")).unwrap(), last);
        assert_eq!(journal.snapshot(&stream).unwrap().map(|snapshot| snapshot.state), last);
        assert_eq!(journal.stream(&stream, StreamSeq(0)).unwrap(), self.records[..count]);
        for (index, record) in self.records.iter().enumerate() {
            let blob = journal.blob(&Digest::of(&record.entry.payload)).unwrap();
            assert_eq!(blob.is_some(), index < count);
        }
    }
}
