//! A process that dies where it is told to, and a world that outlives it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use soloist_connectors::{
    Argument, Compensation, Connector, Done, Env, Intent, Manifest, Operation, OperationKind, Plan,
    Probe, Rate,
};
use soloist_kernel::{
    fault::Fault,
    id::StreamId,
    journal::{
        Append, AppendError, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot, Stats,
        Stopped, StreamSeq, Synced,
        archive::{Files, Sealed, Selection, Slot},
        memory::MemoryJournal,
    },
    payload::{Digest, Payload},
    semantics::{Reversal, WriteSemantics},
};

/// Where to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Never,
    /// The append with this number does not happen.
    BeforeAppend(u64),
    /// The append with this number happens, and nothing after it.
    AfterAppend(u64),
    /// The call with this number has its effect, and nobody learns of it.
    InCall(u64),
}

/// Counts what happens, and cuts everything off at its point.
pub(crate) struct Tripwire {
    pub(crate) point: Point,
    pub(crate) appends: AtomicU64,
    pub(crate) calls: AtomicU64,
    tripped: AtomicBool,
    /// A stream that cannot be read.
    pub(crate) unreadable: Mutex<Option<StreamId>>,
}

impl Tripwire {
    pub(crate) fn at(point: Point) -> Arc<Self> {
        let (appends, calls, tripped) =
            (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { point, appends, calls, tripped, unreadable: Mutex::default() })
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::SeqCst)
    }

    pub(crate) fn trip(&self) {
        self.tripped.store(true, Ordering::SeqCst);
    }
}

fn stopped() -> Stopped {
    Stopped { reason: "the process died here".into() }
}

/// A journal that dies with its process.
pub(crate) struct Mortal {
    pub(crate) inner: Arc<MemoryJournal>,
    pub(crate) wire: Arc<Tripwire>,
}

impl Journal for Mortal {
    fn append(&self, append: Append) -> Result<Seq, AppendError> {
        let number = self.wire.appends.fetch_add(1, Ordering::SeqCst) + 1;
        if self.wire.point == Point::BeforeAppend(number) {
            self.wire.trip();
        }
        if self.wire.is_tripped() {
            return Err(stopped().into());
        }
        let seq = self.inner.append(append);
        if self.wire.point == Point::AfterAppend(number) {
            self.wire.trip();
        }
        seq
    }

    fn sync(&self, seq: Seq, done: Synced) {
        if self.wire.is_tripped() { done(Err(stopped())) } else { self.inner.sync(seq, done) }
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        self.inner.record(seq)
    }

    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
        self.inner.records(from, limit)
    }

    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        self.inner.slots(from, limit)
    }

    fn seal(&self, of: Selection, done: Sealed) {
        match self.wire.is_tripped() {
            true => done(Err(stopped().into())),
            false => self.inner.seal(of, done),
        }
    }

    fn archive(&self) -> &dyn Files {
        self.inner.archive()
    }

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
        if self.wire.unreadable.lock().unwrap().as_ref() == Some(stream) {
            return Err(ReadError::Damaged { seq: Seq(1), problem: "it is a test".into() });
        }
        self.inner.stream(stream, after)
    }

    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError> {
        self.inner.stream_head(stream)
    }

    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.inner.snapshot(stream)
    }

    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.projection(key)
    }

    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.inner.projections(table, prefix, after, limit)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.blob(digest)
    }

    fn head(&self) -> Head {
        self.inner.head()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn close(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

/// The world: how often each write has happened. It outlives every kernel.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<BTreeMap<String, u64>>>);

impl World {
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().expect("counting does not panic").clone()
    }
}

/// A connector to the world, with the semantics that a test wants.
pub(crate) struct Post {
    manifest: Manifest,
    world: World,
    wire: Arc<Tripwire>,
}

impl Post {
    pub(crate) fn new(semantics: WriteSemantics, world: World, wire: Arc<Tripwire>) -> Self {
        let operation = |kind, reversal| Operation {
            summary: "sends, or takes back".into(),
            kind,
            semantics,
            reversal,
            arguments: BTreeMap::from([(
                "text".to_owned(),
                Argument::content(true.into()).optional(),
            )]),
            result: true.into(),
        };
        let manifest = Manifest {
            system: "a world of tests".into(),
            operations: BTreeMap::from([
                (
                    "send".parse().unwrap(),
                    operation(OperationKind::Write, Reversal::Undo("unsend".parse().unwrap())),
                ),
                (
                    "unsend".parse().unwrap(),
                    operation(OperationKind::Compensate, Reversal::Irreversible),
                ),
            ]),
            credential: "a world of tests".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 4,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest, world, wire }
    }
}

#[async_trait]
impl Connector for Post {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let bytes = format!("{} {}", intent.key, intent.arguments).into_bytes().into();
        Ok(Plan {
            operation: intent.operation.clone(),
            key: intent.key.clone(),
            routing: BTreeMap::new(),
            preview: intent.arguments.to_string(),
            bytes,
        })
    }

    async fn execute(&self, _env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        let number = self.wire.calls.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(!self.wire.is_tripped(), "a dead process makes no calls");
        let what = format!("{} {}", plan.operation, plan.key);
        *self.world.0.lock().unwrap().entry(what).or_default() += 1;
        if self.wire.point == Point::InCall(number) {
            self.wire.trip();
        }
        Ok(Payload::null())
    }

    async fn probe(&self, _env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        Ok(match self.world.counts().get(&format!("{} {}", plan.operation, plan.key)) {
            Some(_) => Probe::Landed { receipt: Payload::null() },
            None => Probe::Absent,
        })
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        let (operation, arguments) = ("unsend".parse().unwrap(), Payload::from_json("{}").unwrap());
        Ok(Compensation::With { operation, arguments })
    }
}
