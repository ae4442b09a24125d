//! The queue before the disk, and the thread that empties it.
//!
//! Appends get their place under a short lock and wait here. The writer takes all that wait, writes them as one batch with
//! one fsync, and calls those who asked; meanwhile the next group gathers. If nobody asked, it lingers a few milliseconds,
//! since more may come. When nothing waits it sleeps without a timeout.
//!
//! ```text
//!  append ──► Queue ──► take_group ──► Store::commit (batch + fsync) ──► settle ──► callbacks, HEAD
//! ```
//!
//! A failed commit is never retried: what became of it is unknown, and everything after it is refused.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Options,
    store::{Sequenced, Store},
};
use crate::{
    id::StreamId,
    journal::{
        Append, AppendError, Head, PENDING_BYTES_MAX, ReadError, Seq, Stats, Stopped, StreamSeq,
        Synced,
        sequencer::{Placed, Sealing, Sequencer, StreamHead},
    },
};

/// Bytes that end a linger: a group this large gains nothing by growing.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// What an append costs in the queue besides its contents: the envelope, the key, the stream's head.
const APPEND_BYTES: usize = 256;

/// What a stub costs there.
const STUB_BYTES: usize = 128;

/// The appends that wait, and those who wait for them.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits on it.
    work: Condvar,
    linger: Duration,
    checkpoint_every: u64,
}

struct State {
    sequencer: Sequencer,
    pending: Vec<Sequenced>,
    /// Bytes of `pending` and of the group being written.
    pending_bytes: usize,
    writing_bytes: usize,
    waiters: Vec<(Seq, Synced)>,
    /// The furthest record that somebody wants synced.
    wanted: Seq,
    synced: Head,
    /// The next checkpoint is due here.
    checkpoint_at: u64,
    stats: Stats,
    stage: Stage,
    /// The writer sleeps, so waking it is worth a system call.
    asleep: bool,
    sealing: Sealing,
}

#[derive(Clone)]
enum Stage {
    Open,
    /// Write what waits, and end.
    Closing,
    Stopped {
        why: Stopped,
        failed: bool,
    },
}

impl Queue {
    pub(super) fn new(head: Head, checkpoint: Seq, options: &Options) -> Self {
        let state = State {
            sequencer: Sequencer::new(head.seq),
            pending: Vec::new(),
            pending_bytes: 0,
            writing_bytes: 0,
            waiters: Vec::new(),
            wanted: Seq(0),
            synced: head,
            checkpoint_at: checkpoint.0 + options.checkpoint_every,
            stats: Stats { records: head.seq.0, ..Stats::default() },
            stage: Stage::Open,
            asleep: false,
            sealing: Sealing::default(),
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            linger: options.linger,
            checkpoint_every: options.checkpoint_every,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `append` its place.
    pub(super) fn append(&self, store: &Store, mut append: Append) -> Result<Seq, AppendError> {
        let bytes = cost(&append);
        let mut state = self.lock();
        state.check_open()?;
        let waiting = state.pending_bytes + state.writing_bytes;
        // One append over the limit passes when nothing else waits: it would otherwise never pass.
        if waiting > 0 && waiting + bytes > PENDING_BYTES_MAX {
            return Err(AppendError::Busy { append: Box::new(append) });
        }
        let load = |stream: &_| store.head(stream).map_err(|error| unreadable(&error.to_string()));
        let head = |(stream, _): &(_, _)| state.sequencer.head(stream, load);
        // Before the records get their places: a failure after that would leave a hole in the order.
        let heads = append.snapshots.iter().map(head).collect::<Result<Vec<_>, _>>()?;
        let kept_blobs = match &append.archive {
            Some(segment) => state.sealing.take(segment)?,
            None => BTreeSet::new(),
        };
        let records = state.sequencer.place(&mut append, load)?;
        state.sealing.appended(&append);
        let snapshots_at = snapshots_at(&append, &records, &heads);
        let last = state.sequencer.last();
        state.stats.records = last.0;
        state.pending.push(Sequenced { records, append, snapshots_at, kept_blobs });
        state.pending_bytes += bytes;
        // A lingering writer is left asleep until the group is worth writing.
        if state.pending.len() == 1 || state.pending_bytes >= LINGER_BYTES_MAX {
            self.wake(&mut state);
        }
        Ok(last)
    }

    /// Begins a segment, which makes the one before void. What is appended up to the record that is given must be committed
    /// before it is copied.
    pub(super) fn begin_sealing(&self) -> (u64, Seq) {
        let mut state = self.lock();
        (state.sealing.begin(), state.sequencer.last())
    }

    /// The place of the last record of `stream` that was appended, committed or not.
    pub(super) fn stream_head(
        &self,
        store: &Store,
        stream: &StreamId,
    ) -> Result<StreamSeq, ReadError> {
        let load = |stream: &_| store.head(stream).map_err(|error| unreadable(&error.to_string()));
        let head = self.lock().sequencer.head(stream, load);
        let head = head.map_err(|error| ReadError::Store(error.to_string()))?;
        Ok(head.map_or(StreamSeq(0), |head| head.stream_seq))
    }

    /// Calls `done` when `seq` is synced.
    pub(super) fn sync(&self, seq: Seq, done: Synced) {
        let mut state = self.lock();
        let answer = match &state.stage {
            _ if seq <= state.synced.seq => Ok(()),
            Stage::Stopped { why, .. } => Err(why.clone()),
            Stage::Open | Stage::Closing => {
                state.waiters.push((seq, done));
                state.wanted = state.wanted.max(seq);
                self.wake(&mut state);
                return;
            }
        };
        drop(state);
        done(answer);
    }

    pub(super) fn synced(&self) -> Head {
        self.lock().synced
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Lets the writer finish and end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if let Stage::Open = state.stage {
            state.stage = Stage::Closing;
        }
        self.wake(&mut state);
    }

    /// How it ended: an error if it failed, rather than was closed.
    pub(super) fn outcome(&self) -> Result<(), Stopped> {
        match &self.lock().stage {
            Stage::Stopped { why, failed: true } => Err(why.clone()),
            Stage::Open | Stage::Closing | Stage::Stopped { .. } => Ok(()),
        }
    }

    /// Stops for good. Nobody learns that a record is synced who has not learned it yet.
    pub(super) fn stop(&self, reason: &str, failed: bool) {
        let mut state = self.lock();
        let why = match &state.stage {
            Stage::Stopped { why, .. } => why.clone(),
            Stage::Open | Stage::Closing => Stopped { reason: reason.into() },
        };
        if !matches!(state.stage, Stage::Stopped { .. }) {
            state.stage = Stage::Stopped { why: why.clone(), failed };
        }
        state.pending.clear();
        let waiters = std::mem::take(&mut state.waiters);
        self.wake(&mut state);
        drop(state);
        for (_, done) in waiters {
            done(Err(why.clone()));
        }
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            self.work.notify_one();
        }
    }

    /// The writer's loop: writes group after group until the queue is closed or stopped. `moved` learns of each new head.
    pub(super) fn write_all(&self, store: &Store, moved: impl Fn(Head)) -> ::fjall::Result<()> {
        let mut group = Vec::new();
        while let Some((head, checkpoint)) = self.take_group(&mut group) {
            let (head, bytes) = store.commit(&group, head, checkpoint)?;
            group.clear();
            moved(head);
            self.settle(head, checkpoint, bytes);
        }
        Ok(())
    }

    /// Waits for the next group and moves it into `group`; `None` if there will be none.
    fn take_group(&self, group: &mut Vec<Sequenced>) -> Option<(Head, bool)> {
        let mut state = self.lock();
        while state.pending.is_empty() && matches!(state.stage, Stage::Open) {
            state.asleep = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.may_linger() {
            state.asleep = true;
            let lingers = |state: &mut State| {
                let lingers = state.may_linger();
                state.asleep = lingers;
                lingers
            };
            let waited = self.work.wait_timeout_while(state, self.linger, lingers);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.asleep = false;
        if state.pending.is_empty() {
            return None;
        }
        std::mem::swap(&mut state.pending, group);
        state.writing_bytes = std::mem::take(&mut state.pending_bytes);
        let checkpoint = state.sequencer.last().0 >= state.checkpoint_at;
        Some((state.synced, checkpoint))
    }

    /// The group up to `head` is synced.
    fn settle(&self, head: Head, checkpoint: bool, bytes: u64) {
        let mut state = self.lock();
        state.synced = head;
        state.sequencer.committed(head.seq);
        state.writing_bytes = 0;
        state.stats.commits += 1;
        state.stats.fsyncs += 1;
        state.stats.bytes += bytes;
        if checkpoint {
            state.checkpoint_at = head.seq.0 + self.checkpoint_every;
        }
        let answered: Vec<_> = state.waiters.extract_if(.., |(seq, _)| *seq <= head.seq).collect();
        drop(state);
        for (_, done) in answered {
            done(Ok(()));
        }
    }
}

impl State {
    fn check_open(&self) -> Result<(), Stopped> {
        match &self.stage {
            Stage::Open => Ok(()),
            Stage::Closing => Err(Stopped { reason: CLOSED.into() }),
            Stage::Stopped { why, .. } => Err(why.clone()),
        }
    }

    fn may_linger(&self) -> bool {
        self.wanted <= self.synced.seq
            && self.pending_bytes < LINGER_BYTES_MAX
            && matches!(self.stage, Stage::Open)
    }
}

/// The reason of a journal that was closed.
pub(super) const CLOSED: &str = "it was closed";

/// The last record that each snapshot of `append` includes: one of the append's own, or else the stream's head before it.
fn snapshots_at(
    append: &Append,
    records: &[Placed],
    heads: &[Option<StreamHead>],
) -> Vec<StreamSeq> {
    let at = |((stream, _), head): (&(StreamId, _), &Option<StreamHead>)| {
        let own = records.iter().rev().find(|record| record.entry.stream == *stream);
        let own = own.map(|record| record.entry.stream_seq);
        own.or(head.map(|head| head.stream_seq)).unwrap_or_default()
    };
    append.snapshots.iter().zip(heads).map(at).collect()
}

/// A stream whose head cannot be read cannot be appended to. The store has failed, and only a restart can tell how.
fn unreadable(problem: &str) -> AppendError {
    AppendError::Stopped(Stopped { reason: problem.into() })
}

fn cost(append: &Append) -> usize {
    let records = append.entries.iter().map(|entry| APPEND_BYTES + entry.payload.len());
    let projections = append
        .projections
        .iter()
        .map(|(key, value)| APPEND_BYTES + key.key.len() + value.as_ref().map_or(0, Vec::len));
    let blobs = append.blobs.iter().map(|(_, blob)| blob.len());
    let snapshots = append.snapshots.iter().map(|(_, state)| state.len());
    let stubs = append.archive.iter().map(|segment| segment.stubs.len() * STUB_BYTES);
    records.chain(projections).chain(blobs).chain(snapshots).chain(stubs).sum()
}
