//! The disk that outlives the processes, and the journal that each of them has on it.
//!
//! The model is the kernel's own journal in memory, which most simulations use. `real.rs` is fjall on a file system in memory,
//! beside the model: after each crash it opens an image of what a dead process would have left. Both stand behind
//! [`SimJournal`], which counts appends, lets them be crashed, and watches the protocol.

mod real;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use soloist_kernel::{
    id::StreamId,
    incident,
    journal::{
        Append, AppendError, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot, Stats,
        Stopped, StreamSeq, Synced,
        archive::{Files, Sealed, Selection, Slot},
        memory::{Crash, MemoryJournal, Syncing},
    },
    payload::Digest,
};
use tokio::sync::Notify;

use self::real::Real;
use crate::{
    plan::{Kind, Moment},
    trace::{Rolling, What},
    world::{Access, State, Strike, World},
};

/// Longest that an fsync takes, in milliseconds of virtual time.
const FSYNC_MS_MAX: u64 = 3;

/// Longer than any segment takes that is not stuck, in real time.
const SEALING: Duration = Duration::from_secs(30);

/// What a simulation keeps its journal on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskKind {
    /// A model in memory, which forgets what a disk may forget.
    #[default]
    Model,
    /// The model and fjall, which is opened again from an image after each crash and must hold the same. The kernel reads
    /// from fjall. It takes about twice as long, and is the same story to the byte.
    Real,
}

/// The disk.
pub(crate) struct Disk {
    model: Arc<MemoryJournal>,
    /// The model again, on files.
    real: Option<Arc<Real>>,
    /// What was appended to the model, if that is kept.
    kept: Option<Kept>,
}

/// Every append that is on a disk, with the place of its last record.
type Kept = Arc<Mutex<Vec<(Seq, Append)>>>;

impl Disk {
    /// A disk that keeps what is appended, to be made into a history.
    pub(crate) fn keeping() -> Self {
        let model = Arc::new(MemoryJournal::new(Syncing::Manual));
        Self { model, real: None, kept: Some(Kept::default()) }
    }

    /// A disk on which `appends` are, all of them synced.
    pub(crate) fn holding(appends: &[Append]) -> Result<Self, AppendError> {
        let model = Arc::new(MemoryJournal::new(Syncing::Manual));
        for append in appends {
            let append = resealed(&*model, append.clone())
                .map_err(|reason| Stopped { reason: reason.into() })?;
            model.append(append)?;
        }
        model.sync_now();
        Ok(Self { model, real: None, kept: None })
    }

    /// Every append that is on it, in order, if they are kept.
    pub(crate) fn kept(&self) -> Vec<Append> {
        let Some(kept) = &self.kept else { return vec![] };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(_, append)| append.clone()).collect()
    }

    pub(crate) fn new(kind: DiskKind) -> Result<Self, String> {
        let model = Arc::new(MemoryJournal::new(Syncing::Manual));
        let real = match kind {
            DiskKind::Model => None,
            DiskKind::Real => Some(Arc::new(Real::new()?)),
        };
        Ok(Self { model, real, kept: None })
    }

    /// The journal of the process that begins.
    pub(crate) fn journal(&self, access: &Access) -> Arc<SimJournal> {
        Arc::new(SimJournal {
            model: self.model.clone(),
            real: self.real.clone(),
            kept: self.kept.clone(),
            access: access.clone(),
            asked: Notify::new(),
            waiting: Mutex::default(),
        })
    }

    /// What is on the disk, for looking at.
    pub(crate) fn contents(&self) -> &Arc<MemoryJournal> {
        &self.model
    }

    /// The process ended by `kind`: the next finds what that leaves.
    pub(crate) fn after(&mut self, kind: &Kind, world: &World) {
        let unsynced = self.model.unsynced() as u64;
        let number = u64::from(world.state().epoch);
        let mut chance = world.chance("survives", number);
        let crash = match kind {
            // A new version is deployed in the place of a process that is killed.
            Kind::Crash | Kind::Deploys => Crash::Process,
            Kind::PowerLoss { keep } => Crash::PowerLoss { keep_unsynced: *keep as usize },
            // Nobody knows what an fsync that failed has written.
            _ => Crash::PowerLoss {
                keep_unsynced: usize::try_from(chance.below(unsynced + 1)).unwrap_or(0),
            },
        };
        let before = self.model.head();
        self.model = Arc::new(self.model.crash(crash));
        let after = self.model.head();
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(seq, _)| *seq <= after.seq);
        }
        let mut state = world.state();
        if after.seq < before.seq {
            state.violated("durable-prefix", format_args!("{} was synced and is gone", before.seq));
        }
        state.line("journal", What::Process, format_args!("{} records survive", after.seq));
        drop(state);
        let Some(real) = self.real.take() else { return };
        match real.after(kind, &self.model, &mut chance) {
            Ok(next) => {
                world.saw(next.recovery().seen());
                self.real = Some(Arc::new(next));
            }
            // The rest goes on over the model: what would follow from this would only hide it.
            Err((invariant, problem)) => world.violated(invariant, problem),
        }
    }
}

/// `append` with its segment, if it has one, sealed by `journal`: a segment is taken only by the journal that sealed it.
fn resealed(journal: &dyn Journal, mut append: Append) -> Result<Append, String> {
    if let Some(segment) = append.archive.take() {
        let (told, heard) = mpsc::channel();
        journal.seal(segment.of.clone(), Box::new(move |sealed| drop(told.send(sealed))));
        let sealed = heard.recv_timeout(SEALING).map_err(|problem| problem.to_string())?;
        append.archive = Some(Arc::new(sealed.map_err(|problem| problem.to_string())?));
    }
    Ok(append)
}

/// The journal as a process of the simulation has it.
pub(crate) struct SimJournal {
    model: Arc<MemoryJournal>,
    real: Option<Arc<Real>>,
    kept: Option<Kept>,
    access: Access,
    /// Told when somebody wants something to be synced.
    asked: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    waiters: Vec<(Seq, Synced)>,
    stopped: Option<Stopped>,
    closed: bool,
    /// Appends with the number of each, whose fsync has not come.
    open: Vec<(Seq, u32)>,
}

impl SimJournal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs what is to be synced, for as long as the process lives and the journal is open.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.asked.notified().await;
            if self.waiting().closed {
                return;
            }
            let wait = self.access.with(|state| {
                state.syncs += 1;
                state.chance("fsync", state.syncs).below(FSYNC_MS_MAX + 1)
            });
            let Some(wait) = wait else { return };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.sync_now();
        }
    }

    fn sync_now(&self) {
        let open = std::mem::take(&mut self.waiting().open);
        let fails = self.access.with(|state| {
            let strikes = open.iter().flat_map(|(_, number)| {
                state.strike(&Strike::Journal {
                    number: *number,
                    moment: Moment::Sync,
                    state: "fsync",
                    run: None,
                })
            });
            strikes.collect::<Vec<_>>()
        });
        // Dead, by one of these or before.
        if !self.access.is_alive() {
            return self.stop("the process is gone");
        }
        if fails.is_some_and(|kinds| kinds.contains(&Kind::SyncFails)) {
            self.access.disk_fails();
            return self.stop("fsync failed: input/output error");
        }
        if let Some(Err(problem)) = self.real.as_ref().map(|real| real.sync()) {
            return self.stop(&self.refused(&problem).reason);
        }
        self.model.sync_now();
        let synced = self.model.head().seq;
        self.access.with(|state| {
            state.line("journal", What::Sync, format_args!("synced to {synced}"));
            for (invariant, what) in state.watch.is_synced(synced) {
                state.violated(invariant, what);
            }
        });
        let told: Vec<_> = {
            let mut waiting = self.waiting();
            waiting.waiters.extract_if(.., |(seq, _)| *seq <= synced).collect()
        };
        for (_, done) in told {
            done(Ok(()));
        }
    }

    /// Nothing more is written.
    fn stop(&self, reason: &str) {
        let stopped = Stopped { reason: reason.into() };
        let told = {
            let mut waiting = self.waiting();
            waiting.stopped.get_or_insert_with(|| stopped.clone());
            std::mem::take(&mut waiting.waiters)
        };
        for (_, done) in told {
            done(Err(stopped.clone()));
        }
    }

    /// The journal on files did not do what the model did.
    fn refused(&self, problem: &str) -> Stopped {
        self.access.world().violated("durable-prefix", format_args!("fjall differs: {problem}"));
        Stopped { reason: problem.into() }
    }

    /// Where reads go: to the files, if there are any.
    fn contents(&self) -> &dyn Journal {
        match &self.real {
            Some(real) => real.journal(),
            None => &*self.model,
        }
    }

    /// A fault before an append is taken, if there is one.
    fn before(&self, run: Option<&str>) -> Result<u32, Stopped> {
        let gone = || Stopped { reason: "the process is gone".into() };
        let (number, kinds) = self
            .access
            .with(|state| {
                let number = state.appends();
                let moment = Moment::Before;
                let kinds = state.strike(&Strike::Journal { number, moment, state: "append", run });
                (number, kinds)
            })
            .ok_or_else(gone)?;
        if kinds.contains(&Kind::Full) {
            self.access.disk_fails();
            self.stop("no space left on device");
            return Err(Stopped { reason: "no space left on device".into() });
        }
        if self.access.is_alive() { Ok(number) } else { Err(gone()) }
    }
}

impl Journal for SimJournal {
    fn append(&self, append: Append) -> Result<Seq, AppendError> {
        if let Some(stopped) = self.waiting().stopped.clone() {
            return Err(stopped.into());
        }
        let number = self.before(run_of(&append))?;
        let copy = append.clone();
        let seq = self.model.append(append)?;
        if let Some(Err(problem)) = self.real.as_ref().map(|real| real.append(copy.clone())) {
            return Err(self.refused(&problem).into());
        }
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((seq, copy.clone()));
        }
        self.waiting().open.push((seq, number));
        let alive = self.access.with(|state| {
            noted(state, number, seq, &copy);
            state.dead.is_none()
        });
        if alive == Some(true) {
            return Ok(seq);
        }
        Err(Stopped { reason: "the process is gone".into() }.into())
    }

    fn sync(&self, seq: Seq, done: Synced) {
        if seq <= self.model.head().seq {
            return done(Ok(()));
        }
        let stopped = {
            let mut waiting = self.waiting();
            match waiting.stopped.clone() {
                Some(stopped) => stopped,
                None => {
                    waiting.waiters.push((seq, done));
                    self.asked.notify_one();
                    return;
                }
            }
        };
        done(Err(stopped));
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        self.contents().record(seq)
    }

    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
        self.contents().records(from, limit)
    }

    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        self.contents().slots(from, limit)
    }

    fn seal(&self, of: Selection, done: Sealed) {
        if let Some(stopped) = self.waiting().stopped.clone() {
            return done(Err(stopped.into()));
        }
        // The files are sealed with the append, by what is on them.
        self.model.seal(of, done);
    }

    fn archive(&self) -> &dyn Files {
        self.contents().archive()
    }

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
        self.contents().stream(stream, after)
    }

    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError> {
        self.contents().stream_head(stream)
    }

    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.contents().snapshot(stream)
    }

    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        self.contents().projection(key)
    }

    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.contents().projections(table, prefix, after, limit)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.contents().blob(digest)
    }

    fn head(&self) -> Head {
        self.model.head()
    }

    fn stats(&self) -> Stats {
        self.model.stats()
    }

    fn close(&self) -> Result<(), Stopped> {
        if self.waiting().stopped.is_none() {
            self.sync_now();
        }
        self.waiting().closed = true;
        self.asked.notify_one();
        let stopped = self.waiting().stopped.clone();
        stopped.map_or(Ok(()), Err)
    }
}

/// An append was taken: it is traced and checked, and what the plan has for the moment after it happens.
fn noted(state: &mut State, number: u32, seq: Seq, append: &Append) {
    let first = seq.0 + 1 - append.entries.len() as u64;
    let mut kinds = String::new();
    for (index, entry) in append.entries.iter().enumerate() {
        let at = Seq(first + index as u64);
        state.interleaving.feed(&at.0.to_le_bytes());
        state.interleaving.feed(entry.stream.as_str().as_bytes());
        state.line(
            lane(entry.stream.as_str()),
            What::Append,
            format_args!(
                "append {number}: {} (record {at}, {} bytes, {:08x})",
                entry.kind,
                entry.payload.len(),
                // Two traces differ when their records do.
                Rolling::of(&entry.payload) >> 32
            ),
        );
        let mut watch = std::mem::take(&mut state.watch);
        let blobs = |digest: &Digest| {
            let found = append.blobs.iter().find(|(of, _)| of == digest);
            Ok(found.map(|(_, bytes)| bytes.to_vec()))
        };
        let problems = watch.appended(at, entry, Some(state), &blobs);
        state.watch = watch;
        for (invariant, what) in problems {
            state.violated(invariant, what);
        }
        if !kinds.is_empty() {
            kinds.push('+');
        }
        kinds.push_str(&entry.kind);
    }
    for (invariant, what) in state.watch.batch(seq, append) {
        state.violated(invariant, what);
    }
    if append.projections.iter().any(sets_aside) {
        state.saw("a run was set aside");
    }
    let moment = Moment::After;
    state.strike(&Strike::Journal { number, moment, state: &kinds, run: run_of(append) });
}

/// Whether a row says that a run is set aside.
fn sets_aside((place, row): &(ProjectionKey, Option<Vec<u8>>)) -> bool {
    place.table == incident::QUARANTINED && row.is_some()
}

/// A run has a lane of its own; the rest of the journal is one.
fn lane(stream: &str) -> &str {
    run(stream).unwrap_or("journal")
}

fn run(stream: &str) -> Option<&str> {
    stream.strip_prefix("run:")
}

/// The run that appends: the first one that has a record in it.
fn run_of(append: &Append) -> Option<&str> {
    append.entries.iter().find_map(|entry| run(entry.stream.as_str()))
}
