//! The journal in memory, for tests and the simulator.
//!
//! It promises what the journal on disk promises and forgets what that one may forget: [`MemoryJournal::crash`] keeps all
//! that was synced and, after a power loss, only a prefix of the rest. What an append changed is remembered until it is
//! synced, so that a crash can undo it (`memory/contents.rs`).

mod contents;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::contents::{Contents, Undo};
use crate::{
    id::StreamId,
    journal::{
        Append, AppendError, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot, Stats,
        Stopped, StreamSeq, Synced,
        archive::{
            self, Files, SealError, Sealed, Segment, Selection, Shelf, Slot, read_blob,
            read_record, unpack,
        },
        sequencer::{Sealing, Sequencer},
    },
    payload::Digest,
};

/// When a journal in memory counts as synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syncing {
    /// As soon as somebody asks: [`Journal::sync`] answers before it returns.
    #[default]
    Auto,
    /// When the test says so, with [`MemoryJournal::sync_now`].
    Manual,
}

/// How a process ends without a farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed and the machine goes on: all that was appended is there.
    Process,
    /// The machine loses power: what was synced is there, and a prefix of the rest.
    PowerLoss {
        /// How many of the appends that were not synced survive. An append survives whole or not at all.
        keep_unsynced: usize,
    },
}

/// A journal in memory.
pub struct MemoryJournal {
    syncing: Syncing,
    archive: Arc<Shelf>,
    state: Mutex<State>,
}

struct State {
    sequencer: Sequencer,
    contents: Contents,
    /// How to take back each append that is not synced, oldest first.
    undo: Vec<Undo>,
    synced: Head,
    waiters: Vec<(Seq, Synced)>,
    stats: Stats,
    stopped: Option<Stopped>,
    sealing: Sealing,
    /// It crashed, and its contents are another's now.
    fenced: bool,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(Syncing::Auto)
    }
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new(syncing: Syncing) -> Self {
        Self::holding(syncing, Contents::default(), Arc::default())
    }

    /// A journal that has just been opened and holds `contents`, all of it synced.
    fn holding(syncing: Syncing, contents: Contents, archive: Arc<Shelf>) -> Self {
        let synced = contents.head();
        let state = State {
            sequencer: Sequencer::new(synced.seq),
            contents,
            undo: Vec::new(),
            synced,
            waiters: Vec::new(),
            stats: Stats { records: synced.seq.0, ..Stats::default() },
            stopped: None,
            sealing: Sealing::default(),
            fenced: false,
        };
        Self { syncing, archive, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs everything that was appended and tells those who wait.
    pub fn sync_now(&self) {
        let mut state = self.lock();
        if state.stopped.is_some() {
            return;
        }
        let answered = state.sync();
        drop(state);
        for done in answered {
            done(Ok(()));
        }
    }

    /// How many appends a power loss could take now.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().undo.len()
    }

    /// Ends this journal without a farewell, as `crash` says, and opens what it leaves behind. This handle is stopped: a
    /// process that is dead writes nothing.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.lock();
        let stopped = Stopped { reason: "it crashed".into() };
        state.stopped = Some(stopped.clone());
        state.fenced = true;
        let kept = match crash {
            Crash::Process => usize::MAX,
            Crash::PowerLoss { keep_unsynced } => keep_unsynced,
        };
        while state.undo.len() > kept {
            let undo = state.undo.pop().expect("it is longer than what is kept");
            state.contents.take_back(undo);
        }
        let contents = std::mem::take(&mut state.contents);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        for (_, done) in waiters {
            done(Err(stopped.clone()));
        }
        Self::holding(self.syncing, contents, self.archive.clone())
    }

    fn read<T>(&self, read: impl FnOnce(&Contents) -> T) -> Result<T, ReadError> {
        let state = self.lock();
        match state.fenced {
            true => {
                Err(ReadError::Store("the journal in memory crashed; read its survivor".into()))
            }
            false => Ok(read(&state.contents)),
        }
    }
}

impl State {
    fn append(&mut self, mut append: Append) -> Result<Seq, AppendError> {
        if let Some(why) = &self.stopped {
            return Err(why.clone().into());
        }
        let kept = match &append.archive {
            Some(segment) => self.sealing.take(segment)?,
            None => BTreeSet::new(),
        };
        let contents = &mut self.contents;
        let placed = self
            .sequencer
            .place(&mut append, |stream| Ok(contents.streams.get(stream).copied()))?;
        let mut undo = Undo::of(placed.len());
        let mut bytes = Vec::new();
        for record in placed {
            self.stats.bytes += contents.push(record, &mut undo, &mut bytes);
        }
        self.sealing.appended(&append);
        contents.write(append, &kept, &mut undo);
        self.undo.push(undo);
        let last = self.sequencer.last();
        self.sequencer.committed(last);
        self.stats.records = last.0;
        Ok(last)
    }

    fn seal(&mut self, of: Selection, archive: &Shelf) -> Result<Segment, SealError> {
        if let Some(why) = &self.stopped {
            return Err(why.clone().into());
        }
        let ticket = self.sealing.begin();
        let stream = archive::stream();
        let records = self.contents.stream(archive, &stream, StreamSeq(0))?;
        let last = records.last().map(archive::read_sealed).transpose()?;
        archive::seal(&self.contents, archive, of, last.as_ref(), ticket)
    }

    /// Everything is synced; returns whom to tell.
    fn sync(&mut self) -> Vec<Synced> {
        if !self.undo.is_empty() {
            self.undo.clear();
            self.stats.commits += 1;
            self.stats.fsyncs += 1;
        }
        self.synced = self.contents.head();
        let synced = self.synced.seq;
        self.waiters.extract_if(.., |(seq, _)| *seq <= synced).map(|(_, done)| done).collect()
    }
}

impl Journal for MemoryJournal {
    fn append(&self, append: Append) -> Result<Seq, AppendError> {
        self.lock().append(append)
    }

    fn sync(&self, seq: Seq, done: Synced) {
        let mut state = self.lock();
        if seq <= state.synced.seq {
            drop(state);
            return done(Ok(()));
        }
        if let Some(why) = state.stopped.clone() {
            drop(state);
            return done(Err(why));
        }
        state.waiters.push((seq, done));
        drop(state);
        match self.syncing {
            Syncing::Auto => self.sync_now(),
            Syncing::Manual => {}
        }
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        match self.read(|contents| contents.slot(seq).cloned())? {
            None => Ok(None),
            Some(Slot::Live(record)) => Ok(Some(record)),
            Some(Slot::Archived(stub)) => read_record(&*self.archive, &stub).map(Some),
        }
    }

    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
        unpack(&*self.archive, self.slots(from, limit)?)
    }

    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
        self.read(|contents| contents.slots.iter().skip(skip).take(limit).cloned().collect())
    }

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
        self.read(|contents| contents.stream(&self.archive, stream, after))?
    }

    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError> {
        self.read(|contents| {
            contents.streams.get(stream).map_or(StreamSeq(0), |head| head.stream_seq)
        })
    }

    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.read(|contents| contents.snapshots.get(stream).cloned())
    }

    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        let key = (key.table.to_owned(), key.key.clone());
        self.read(|contents| contents.projections.get(&key).cloned())
    }

    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.read(|contents| contents.projections(table, prefix, after, limit))
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let (blob, place) = self.read(|contents| {
            let blob = contents.blobs.get(digest).map(|blob| blob.to_vec());
            (blob, contents.places.get(digest).copied())
        })?;
        match (blob, place) {
            (Some(blob), _) => Ok(Some(blob)),
            (None, Some(place)) => read_blob(&*self.archive, digest, place).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn seal(&self, of: Selection, done: Sealed) {
        let sealed = self.lock().seal(of, &self.archive);
        done(sealed);
    }

    fn archive(&self) -> &dyn Files {
        &*self.archive
    }

    fn head(&self) -> Head {
        self.lock().synced
    }

    fn stats(&self) -> Stats {
        self.lock().stats
    }

    fn close(&self) -> Result<(), Stopped> {
        self.sync_now();
        let mut state = self.lock();
        let stopped = Stopped { reason: "it was closed".into() };
        let waiters = match &state.stopped {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut state.waiters),
        };
        state.stopped.get_or_insert(stopped.clone());
        drop(state);
        for (_, done) in waiters {
            done(Err(stopped.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Actor, journal::Entry, time::Timestamp};

    fn append(stream_seq: u64, value: &str) -> Append {
        let stream = StreamId::new("s").unwrap();
        let entry = Entry {
            stream: stream.clone(),
            stream_seq: StreamSeq(stream_seq),
            at: Timestamp(0),
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: "k".to_owned(),
            version: 1,
            payload: value.into(),
        };
        Append {
            entries: vec![entry],
            projections: vec![
                (ProjectionKey::new("t", "last"), Some(value.into())),
                (ProjectionKey::new("t", value), Some(vec![])),
            ],
            blobs: vec![(Digest::of(value.as_bytes()), value.as_bytes().into())],
            snapshots: vec![(stream, value.into())],
            archive: None,
        }
    }

    #[track_caller]
    fn check(journal: &MemoryJournal, values: &[&str]) {
        let stream = StreamId::new("s").unwrap();
        let payloads = journal.stream(&stream, StreamSeq(0)).unwrap();
        let payloads: Vec<_> = payloads.into_iter().map(|record| record.entry.payload).collect();
        assert_eq!(payloads, values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>());
        let last = values.last().map(|value| value.as_bytes().to_vec());
        assert_eq!(journal.projection(&ProjectionKey::new("t", "last")).unwrap(), last);
        assert_eq!(journal.snapshot(&stream).unwrap().map(|snapshot| snapshot.state), last);
        for value in ["a", "b", "c"] {
            let there = values.contains(&value);
            assert_eq!(journal.blob(&Digest::of(value.as_bytes())).unwrap().is_some(), there);
            assert_eq!(journal.projections("t", value, "", 9).unwrap().len(), usize::from(there));
        }
    }

    fn three_of_which_one_is_synced() -> MemoryJournal {
        let journal = MemoryJournal::new(Syncing::Manual);
        journal.append(append(1, "a")).unwrap();
        journal.sync_now();
        journal.append(append(2, "b")).unwrap();
        journal.append(append(3, "c")).unwrap();
        assert_eq!((journal.head().seq, journal.unsynced()), (Seq(1), 2));
        journal
    }

    #[test]
    fn a_process_crash_keeps_everything() {
        check(&three_of_which_one_is_synced().crash(Crash::Process), &["a", "b", "c"]);
    }

    #[test]
    fn a_power_loss_keeps_what_was_synced_and_a_prefix_of_the_rest() {
        for (keep_unsynced, values) in
            [(0, &["a"][..]), (1, &["a", "b"]), (2, &["a", "b", "c"]), (9, &["a", "b", "c"])]
        {
            let journal = three_of_which_one_is_synced().crash(Crash::PowerLoss { keep_unsynced });
            check(&journal, values);
            // The survivor goes on where the prefix ends.
            journal.append(append(values.len() as u64 + 1, "d")).unwrap();
            assert!(crate::journal::verify::verify(&journal, None).is_ok());
        }
    }

    #[test]
    fn a_crashed_handle_is_fenced() {
        let journal = three_of_which_one_is_synced();
        let (told, heard) = std::sync::mpsc::channel();
        journal.sync(Seq(3), Box::new(move |answer| told.send(answer).unwrap()));
        let _survivor = journal.crash(Crash::Process);
        assert!(heard.recv().unwrap().is_err());
        assert!(matches!(journal.append(append(4, "d")), Err(AppendError::Stopped(_))));
        assert!(journal.record(Seq(1)).is_err());
    }

    #[test]
    fn a_synced_record_is_answered_at_once() {
        let journal = MemoryJournal::default();
        let seq = journal.append(append(1, "a")).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        journal.sync(seq, Box::new(move |answer| told.send(answer).unwrap()));
        assert_eq!(heard.try_recv().unwrap(), Ok(()));
    }
}
