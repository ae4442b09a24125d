//! Crashes, at every point, by loop.
//!
//! A scenario runs once to count its journal writes and its calls. Then it runs once for each of them and for each way to
//! die there: before the write, after it, or when the other side has acted and the kernel has not been told. Power or only
//! the process is lost, another kernel takes over what is left, and what must hold is checked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use soloist_connectors::{Connector, Env, Intent, Manifest, Operation, Plan, Probe, Rate};
use soloist_kernel::{
    effect::Outcome,
    fault::Fault,
    id::StreamId,
    inbox::Kind,
    journal::{
        Append, AppendError, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot, Stats,
        Stopped, StreamSeq, Synced,
        memory::{Crash, MemoryJournal, Syncing},
    },
    payload::{Digest, Payload},
    policy::Policy,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
    workflow::Workflow,
};

use crate::{Agent, Failure, RunEnd, Soloist, Turn};

/// Where to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Never,
    /// The append with this number does not happen.
    BeforeAppend(u64),
    /// The append with this number happens, and nothing after it.
    AfterAppend(u64),
    /// The call with this number has its effect, and nobody learns of it.
    InCall(u64),
}

/// Counts what happens, and cuts everything off at its point.
struct Tripwire {
    point: Point,
    appends: AtomicU64,
    calls: AtomicU64,
    tripped: AtomicBool,
}

impl Tripwire {
    fn at(point: Point) -> Arc<Self> {
        let (appends, calls, tripped) =
            (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { point, appends, calls, tripped })
    }

    fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::SeqCst)
    }

    fn trip(&self) {
        self.tripped.store(true, Ordering::SeqCst);
    }
}

fn stopped() -> Stopped {
    Stopped { reason: "the process died here".into() }
}

/// A journal that dies with its process.
struct Mortal {
    inner: Arc<MemoryJournal>,
    wire: Arc<Tripwire>,
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

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
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
struct World(Arc<Mutex<BTreeMap<String, u64>>>);

impl World {
    fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().expect("counting does not panic").clone()
    }
}

/// A connector to the world, with the semantics that a test wants.
struct Post {
    manifest: Manifest,
    world: World,
    wire: Arc<Tripwire>,
}

impl Post {
    fn new(semantics: WriteSemantics, world: World, wire: Arc<Tripwire>) -> Self {
        let send = Operation {
            summary: "sends".into(),
            semantics,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::new(),
        };
        let manifest = Manifest {
            system: "a world of tests".into(),
            operations: BTreeMap::from([("send".parse().unwrap(), send)]),
            rate: Rate { per_second: 1_000, burst: 1_000 },
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
        *self.world.0.lock().unwrap().entry(plan.key.to_string()).or_default() += 1;
        if self.wire.point == Point::InCall(number) {
            self.wire.trip();
        }
        Ok(Payload::null())
    }

    async fn probe(&self, _env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        Ok(match self.world.counts().get(plan.key.as_str()) {
            Some(_) => Probe::Landed { receipt: Payload::null() },
            None => Probe::Absent,
        })
    }
}

/// Asks for one of each kind of effect, and proposes a write.
struct Busy;

impl Agent for Busy {
    const NAME: &'static str = "busy";
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, name: String) -> Result<String, Failure> {
        let at = turn.now().await?;
        let chance = turn.random().await?;
        turn.remember("someone", &name, &chance).await?;
        let said: String =
            turn.step("say", || async { Ok::<_, Failure>(format!("{at} {chance}")) }).await?;
        match turn.propose("post.send", &said).await? {
            Outcome::Landed { .. } => Ok(said),
            outcome => Err(Failure::fatal(outcome.word())),
        }
    }
}

const WORKFLOW: &str = "
    name = 'two-writes'
    [[step]]
    name = 'first'
    agent = 'busy'
    [[step]]
    name = 'second'
    call = 'post.send'
    needs = ['first']
    input = { text = 'first' }
";

async fn open(
    journal: Arc<dyn Journal>,
    semantics: WriteSemantics,
    world: &World,
    wire: &Arc<Tripwire>,
) -> Option<Soloist> {
    let policy =
        Policy::parse("p", "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'").unwrap();
    let builder = Soloist::builder()
        .env(Env::with_clock(|| Timestamp(1_700_000_000_000), [7; 32]))
        .journal(journal)
        .agent(Busy)
        .connector("post", Post::new(semantics, world.clone(), wire.clone()))
        .policy(policy)
        .workflow(Workflow::parse("w", WORKFLOW).unwrap());
    builder.open().await.ok()
}

/// Starts the runs, and lets them come to rest if nothing dies.
async fn work(soloist: &Soloist) -> Vec<&'static str> {
    let mut acknowledged = vec![];
    for id in RUNS {
        if soloist.start("two-writes", id, &id).await.is_ok() {
            acknowledged.push(id);
        }
    }
    let _ = soloist.idle().await;
    acknowledged
}

const RUNS: [&str; 2] = ["one", "two"];

/// Dies at `point`, loses what `crash` loses, takes over, and checks.
async fn check(semantics: WriteSemantics, point: Point, crash: Crash) -> Arc<Tripwire> {
    let (world, wire) = (World::default(), Tripwire::at(point));
    let inner = Arc::new(MemoryJournal::new(Syncing::Auto));
    let first = open(
        Arc::new(Mortal { inner: inner.clone(), wire: wire.clone() }),
        semantics,
        &world,
        &wire,
    )
    .await;
    let acknowledged = match &first {
        Some(soloist) => work(soloist).await,
        None => vec![],
    };
    let survivor = Arc::new(inner.crash(crash));
    if let Some(soloist) = first {
        let _ = soloist.shutdown().await;
    }

    let calm = Tripwire::at(Point::Never);
    let soloist =
        open(survivor, semantics, &world, &calm).await.expect("what is left can be opened");
    soloist.idle().await.expect("nothing dies any more");
    let runs = soloist.runs().unwrap();
    for id in &acknowledged {
        assert!(
            runs.iter().any(|run| run.run.as_str() == *id),
            "{point:?} {crash:?}: {id} was acknowledged and is gone"
        );
    }
    work(&soloist).await;
    verdict(&soloist, semantics, &world, &format!("{semantics:?} {point:?} {crash:?}")).await;
    soloist.shutdown().await.unwrap();
    wire
}

/// No write twice; none lost; what cannot be known is in the inbox and nowhere else.
async fn verdict(soloist: &Soloist, semantics: WriteSemantics, world: &World, case: &str) {
    let counts = world.counts();
    assert!(counts.values().all(|count| *count == 1), "{case}: {counts:?}");
    let items = soloist.inbox().unwrap();
    let mut ended = 0;
    for id in RUNS {
        match soloist.run(id).unwrap().rest().await.unwrap() {
            RunEnd::Completed(_) => ended += 1,
            RunEnd::Waiting => {
                assert_eq!(semantics, WriteSemantics::Opaque, "{case}: only the unknowable waits");
                let item = items
                    .iter()
                    .find(|item| item.run.as_str() == id)
                    .expect("what waits is in the inbox");
                assert_eq!(item.kind, Kind::Ambiguous, "{case}");
            }
            end => panic!("{case}: {id} came to {end:?}"),
        }
    }
    if semantics != WriteSemantics::Opaque {
        assert_eq!(
            (ended, counts.len()),
            (2, 4),
            "{case}: both runs complete with two writes each"
        );
    }
    soloist_kernel::journal::verify::verify(soloist.journal(), None).unwrap();
}

async fn every_point(semantics: WriteSemantics) {
    let counted = check(semantics, Point::Never, Crash::Process).await;
    let (appends, calls) =
        (counted.appends.load(Ordering::SeqCst), counted.calls.load(Ordering::SeqCst));
    assert!(
        appends > 15 && calls == 4,
        "the scenario does something: {appends} appends, {calls} calls"
    );
    let of_appends =
        (1..=appends).flat_map(|number| [Point::BeforeAppend(number), Point::AfterAppend(number)]);
    for point in of_appends.chain((1..=calls).map(Point::InCall)) {
        for crash in [
            Crash::Process,
            Crash::PowerLoss { keep_unsynced: 0 },
            Crash::PowerLoss { keep_unsynced: 1 },
        ] {
            check(semantics, point, crash).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_can_be_looked_up_happens_exactly_once_wherever_the_process_dies() {
    every_point(WriteSemantics::NaturalKey).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_can_be_searched_for_happens_exactly_once_wherever_the_process_dies() {
    every_point(WriteSemantics::Searchable { visibility_lag: Duration::from_secs(30) }).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nothing_can_tell_of_happens_at_most_once_and_the_doubt_is_in_the_inbox() {
    every_point(WriteSemantics::Opaque).await;
}
