//! The other side: it outlives every kernel, dates what arrives and answers as it is told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use soloist_connectors::{
    Argument, Compensation, Connector, Done, Env, Hints, Intent, Manifest, Operation,
    OperationKind, Page, Plan, Probe, Rate, Seen,
};
use soloist_kernel::{
    fault::Fault,
    id::OperationName,
    labels::{Labeled, Labels},
    payload::Payload,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

/// A call that has arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// The operation, `pull` or `probe`.
    pub(super) what: String,
    /// How many calls were there with it.
    pub(super) under_way: usize,
}

/// What is said of a call: hints if it succeeds.
pub(super) type Said = Result<Hints, Fault>;
type Mood = Box<dyn FnMut(&str, Timestamp) -> Said + Send>;

/// The other side.
#[derive(Clone)]
pub(super) struct Provider(Arc<Mutex<Inner>>);

struct Inner {
    arrivals: Vec<Arrival>,
    under_way: usize,
    /// How often each write has landed.
    landed: BTreeMap<String, u64>,
    mood: Mood,
    takes: Duration,
    /// How long calls are on their way, in turn.
    latencies: Vec<Duration>,
}

impl Default for Provider {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            arrivals: vec![],
            under_way: 0,
            landed: BTreeMap::new(),
            mood: Box::new(|_, _| Ok(Hints::default())),
            takes: Duration::from_millis(100),
            latencies: vec![Duration::ZERO],
        })))
    }
}

impl Provider {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Answers as `mood` says from now on: it is told the operation and the time.
    pub(super) fn says(&self, mood: impl FnMut(&str, Timestamp) -> Said + Send + 'static) {
        self.inner().mood = Box::new(mood);
    }

    pub(super) fn is_well(&self) {
        self.says(|_, _| Ok(Hints::default()));
    }

    pub(super) fn takes(&self, time: Duration) {
        self.inner().takes = time;
    }

    pub(super) fn is_away(&self, latencies: Vec<Duration>) {
        self.inner().latencies = latencies;
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.inner().arrivals.clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.inner().arrivals.len()
    }

    pub(super) fn landed(&self) -> BTreeMap<String, u64> {
        self.inner().landed.clone()
    }

    /// No stretch of `per` holds more than `calls_max` arrivals of what `is_meant`.
    #[track_caller]
    pub(super) fn check(&self, calls_max: usize, per: Duration, is_meant: impl Fn(&str) -> bool) {
        let arrivals = self.arrivals();
        let meant: Vec<_> = arrivals.iter().filter(|arrival| is_meant(&arrival.what)).collect();
        for stretch in meant.windows(calls_max + 1) {
            let length = stretch[calls_max].at - stretch[0].at;
            let whats: Vec<_> = stretch.iter().map(|arrival| (arrival.at, &arrival.what)).collect();
            assert!(length >= per, "{} calls in {length:?}: {whats:#?}", stretch.len());
        }
    }

    /// A request is on its way: it arrives, and is answered, whatever becomes of who sent it.
    async fn call(&self, what: &str, write: Option<String>, env: &Env) -> Result<(), Fault> {
        let (answer, answered) = oneshot::channel();
        let (provider, what, env) = (self.clone(), what.to_owned(), env.clone());
        let told = env.clone();
        tokio::spawn(async move {
            let latency = {
                let inner = provider.inner();
                inner.latencies[inner.arrivals.len() % inner.latencies.len()]
            };
            sleep(latency).await;
            let takes = provider.arrives(&what);
            sleep(takes).await;
            let _ = answer.send(provider.answers(&what, write, env.now()));
        });
        let said = answered.await.unwrap();
        said.map(|hints| told.limits(hints))
    }

    fn arrives(&self, what: &str) -> Duration {
        let mut inner = self.inner();
        inner.under_way += 1;
        let under_way = inner.under_way;
        inner.arrivals.push(Arrival { at: Instant::now(), what: what.to_owned(), under_way });
        inner.takes
    }

    fn answers(&self, what: &str, write: Option<String>, now: Timestamp) -> Said {
        let mut inner = self.inner();
        inner.under_way -= 1;
        let said = (inner.mood)(what, now)?;
        if let Some(write) = write {
            *inner.landed.entry(write).or_default() += 1;
        }
        Ok(said)
    }
}

/// What connects a process to the world. Dead processes send nothing.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<AtomicBool>);

impl Wire {
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    async fn is_there(&self) {
        if self.0.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// A manifest with a write, a rarer write and a read.
pub(super) fn manifest(rate: Rate) -> Manifest {
    let operation = |kind| Operation {
        summary: "does".into(),
        kind,
        semantics: WriteSemantics::NaturalKey,
        reversal: Reversal::Irreversible,
        arguments: BTreeMap::from([("text".to_owned(), Argument::content(true.into()).optional())]),
        result: true.into(),
    };
    Manifest {
        system: "a provider of tests".into(),
        operations: BTreeMap::from([
            ("write".parse().unwrap(), operation(OperationKind::Write)),
            ("rare".parse().unwrap(), operation(OperationKind::Write)),
            ("look".parse().unwrap(), operation(OperationKind::Read)),
        ]),
        credential: "a provider of tests".into(),
        rate,
        operation_rates: BTreeMap::new(),
        pulls_call: true,
        concurrency_max: 4,
        call_timeout: Duration::from_secs(10),
    }
}

/// The connector to the provider.
pub(super) struct Adapter {
    manifest: Manifest,
    provider: Provider,
    wire: Wire,
}

impl Adapter {
    pub(super) fn new(manifest: Manifest, provider: Provider, wire: Wire) -> Self {
        Self { manifest, provider, wire }
    }
}

#[async_trait]
impl Connector for Adapter {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn pull(&self, env: &Env, _seen: Seen<'_>, _limit: usize) -> Result<Page, Fault> {
        self.wire.is_there().await;
        self.provider.call("pull", None, env).await?;
        Ok(Page::default())
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        _arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.wire.is_there().await;
        self.provider.call(operation.as_str(), None, env).await?;
        Ok(Labeled::new(Payload::of(&7).unwrap(), Labels::untrusted("provider")))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        Ok(crate::tests::planned(intent))
    }

    async fn execute(&self, env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        self.wire.is_there().await;
        let write = Some(plan.key.to_string());
        self.provider.call(plan.operation.as_str(), write, env).await?;
        Ok(Payload::null())
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        self.wire.is_there().await;
        self.provider.call("probe", None, env).await?;
        Ok(match self.provider.landed().get(plan.key.as_str()) {
            Some(_) => Probe::Landed { receipt: Payload::null() },
            None => Probe::Absent,
        })
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        Ok(Compensation::Irreversible)
    }
}
