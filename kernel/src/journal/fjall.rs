//! The journal on disk, over the LSM store fjall.
//!
//! Its rule: **one writer, one batch, one fsync, and no second try**. See `fjall/writer.rs` for how appends become groups,
//! `fjall/open.rs` for what is checked before a journal is believed, `fjall/store.rs` for what lies where.
//!
//! ```no_run
//! use soloist_kernel::journal::{Journal, fjall::{FjallJournal, Options}};
//!
//! let (journal, opened) = FjallJournal::open("data/journal".as_ref(), Options::default())?;
//! println!("{} records", opened.head.seq);
//! journal.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anchor;
mod lock;
mod open;
mod read;
mod recover;
mod sealing;
mod store;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

pub(super) use self::open::STORE;
pub use self::open::{OpenError, Opened, accept_loss};
use self::{
    anchor::Anchor,
    lock::Lock,
    open::Ready,
    store::Store,
    writer::{CLOSED, Queue},
};
use crate::{
    id::StreamId,
    journal::{
        Append, AppendError, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot, Stats,
        Stopped, StreamSeq, Synced,
        archive::{Files, Folder, Sealed, Selection, Slot, Work},
    },
    payload::Digest,
};

/// How a journal on disk behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an append that nobody wants synced may wait for company.
    pub linger: Duration,
    /// The least time between two writes of `HEAD`. A loss of records younger than this is not noticed.
    pub anchor_interval: Duration,
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Memory of each keyspace before it goes to disk.
    pub memtable_bytes: u64,
    /// About how much of fjall's write-ahead log is kept, at least 64 MiB: all of it is read again when the journal is opened, and what
    /// is written less often than the records would keep all of theirs in it.
    pub wal_bytes: u64,
    /// Records between two checkpoints, and so about the most that opening verifies.
    pub checkpoint_every: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(5),
            anchor_interval: Duration::from_millis(50),
            cache_bytes: 32 << 20,
            memtable_bytes: 32 << 20,
            wal_bytes: 128 << 20,
            checkpoint_every: 100_000,
        }
    }
}

/// A journal on disk. It is open until it is dropped; [`Journal::close`] says whether all of it reached the disk.
pub struct FjallJournal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the journal shares with its threads. The store goes before the lock: the next opener finds it closed.
struct Shared {
    queue: Queue,
    anchor: Anchor,
    store: Store,
    archive: Folder,
    _lock: Lock,
}

impl FjallJournal {
    /// Opens the journal in `dir`, or begins one there.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong and what to do. A torn tail is not an error: it is cut, and [`Opened`] says so.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        let Ready { store, lock, checkpoint, opened } = open::open(dir, &options)?;
        let head = opened.head;
        let shared = Arc::new(Shared {
            queue: Queue::new(head, checkpoint.seq, &options),
            anchor: Anchor::new(head),
            store,
            archive: Folder::of(dir),
            _lock: lock,
        });
        let writer = start("soloist:journal", dir, {
            let shared = Arc::clone(&shared);
            move || shared.write()
        })?;
        let anchor = start("soloist:anchor", dir, {
            let (shared, dir) = (Arc::clone(&shared), dir.to_owned());
            move || shared.anchor(&dir, options.anchor_interval, head)
        });
        if anchor.is_err() {
            shared.queue.close();
        }
        let threads = Mutex::new(vec![writer, anchor?]);
        Ok((Self { shared, threads }, opened))
    }

    fn finish(&self) -> Result<(), Stopped> {
        self.shared.queue.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // The last handle may go in a callback, which one of the threads calls: it cannot wait for itself. They end alone.
        let within = threads.iter().any(|thread| thread.thread().id() == thread::current().id());
        for thread in threads.into_iter().filter(|_| !within) {
            // A panic has stopped the queue, and that is what is reported.
            drop(thread.join());
        }
        self.shared.queue.outcome()
    }
}

fn start(
    name: &str,
    dir: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let failed =
        |source| OpenError::Io { what: "start a thread for", path: dir.to_owned(), source };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(failed)
}

impl Shared {
    fn write(self: &Arc<Self>) {
        let _end = WriterEnd(Arc::clone(self));
        match self.queue.write_all(&self.store, |head| self.anchor.move_to(head)) {
            Ok(()) => self.queue.stop(CLOSED, false),
            Err(error) => self.fail(&format!("failed to write a batch: {error}")),
        }
    }

    fn anchor(self: &Arc<Self>, dir: &Path, interval: Duration, written: Head) {
        if let Err(error) = self.anchor.run(dir, interval, written) {
            self.fail(&format!("failed to write {}: {error}", dir.join("HEAD").display()));
        }
    }

    fn fail(self: &Arc<Self>, reason: &str) {
        // Dropping the store would flush it, and with it the batch that has just been reported as unknown. It stays open
        // and unused until the process ends, and so does the lock: only a new process may go on.
        std::mem::forget(Arc::clone(self));
        self.queue.stop(reason, true);
    }
}

/// Held by the writer. However it ends, nobody waits for it after that.
struct WriterEnd(Arc<Shared>);

impl Drop for WriterEnd {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("the writer panicked");
        }
        self.0.anchor.finish();
    }
}

impl Drop for FjallJournal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        drop(self.finish());
    }
}

impl Journal for FjallJournal {
    fn append(&self, append: Append) -> Result<Seq, AppendError> {
        self.shared.queue.append(&self.shared.store, append)
    }

    fn sync(&self, seq: Seq, done: Synced) {
        self.shared.queue.sync(seq, done);
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        self.shared.store.record(&self.shared.archive, seq)
    }

    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
        self.shared.store.records(&self.shared.archive, from, limit)
    }

    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        self.shared.store.slots(from, limit)
    }

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
        self.shared.store.stream(&self.shared.archive, stream, after)
    }

    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError> {
        self.shared.queue.stream_head(&self.shared.store, stream)
    }

    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.shared.store.snapshot(stream)
    }

    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        self.shared.store.projection(key)
    }

    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.shared.store.projections(table, prefix, after, limit)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.shared.store.blob(&self.shared.archive, digest)
    }

    fn seal(&self, of: Selection, done: Sealed) {
        let (ticket, last) = self.shared.queue.begin_sealing();
        self.sealing(Work { of, ticket, done }, last);
    }

    fn archive(&self) -> &dyn Files {
        &self.shared.archive
    }

    fn head(&self) -> Head {
        self.shared.queue.synced()
    }

    fn stats(&self) -> Stats {
        self.shared.queue.stats()
    }

    fn close(&self) -> Result<(), Stopped> {
        self.finish()
    }
}
