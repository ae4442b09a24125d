//! What stands between everyone and the calls of one connector: its breakers, its credential's limits and retries.
//!
//! A gate outlives the connector's actor, which may die at any time; what must outlive the process is in the journal. What it
//! decides is decided by the state machines of `soloist_kernel::gate`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use soloist_connectors::{Env, Hints, Manifest, Rate};
use soloist_kernel::{
    fault::{Fault, FaultClass},
    gate::{
        Breaker, BreakerPolicy, CallEnd, Permit, Phase, Refused, RetryBudget, RetryCost, Turned,
    },
    id::{ConnectorName, OperationName},
    journal::{Journal, ProjectionKey},
    mutant::{Mutant, planted},
    time::Timestamp,
};

use crate::{
    log::Log,
    meter::{Admitted, Held, Meter},
    run::WriteId,
    tree::Tells,
};

/// Table of the breakers that have turned, by connector and class of operation.
const BREAKERS: &str = "breakers";

/// What a call does: reading may be impossible while writing works, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Reads, pulls and probes.
    Read,
    /// Writes, and what takes them back.
    Write,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Read, Self::Write];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What connectors with the same credential share.
pub(crate) struct Credential {
    meter: Arc<Meter>,
    budget: Mutex<RetryBudget>,
}

/// The gate of one connector.
pub(crate) struct Gate {
    env: Env,
    connector: ConnectorName,
    policy: BreakerPolicy,
    breakers: Mutex<BTreeMap<Class, Breaker>>,
    credential: Arc<Credential>,
    operations: BTreeMap<OperationName, Arc<Meter>>,
    /// Writes with an attempt under way.
    in_flight: Mutex<BTreeSet<WriteId>>,
    waiting: AtomicUsize,
    under_way: AtomicUsize,
}

/// The gates of one kernel.
#[derive(Default)]
pub(crate) struct Gates {
    gates: Mutex<BTreeMap<ConnectorName, Arc<Gate>>>,
    credentials: Mutex<BTreeMap<String, Arc<Credential>>>,
    /// The limits of single operations, by the name of the meter: they are the credential's as well.
    operations: Mutex<BTreeMap<String, Arc<Meter>>>,
}

impl Gates {
    /// The gate of the connector mounted as `name`: the one that is there, or as the last process left it.
    pub(crate) fn of(
        &self,
        name: &ConnectorName,
        manifest: &Manifest,
        env: &Env,
        journal: &dyn Journal,
    ) -> Arc<Gate> {
        let mut gates = self.gates.lock().expect("opening a gate does not panic");
        let open = || Arc::new(Gate::open(name, manifest, env, journal, self));
        gates.entry(name.clone()).or_insert_with(open).clone()
    }

    /// Whether an attempt of this write through `name` is under way.
    pub(crate) fn is_in_flight(&self, name: &ConnectorName, write: &WriteId) -> bool {
        let gates = self.gates.lock().expect("looking at a gate does not panic");
        gates.get(name).is_some_and(|gate| gate.is_in_flight(write))
    }

    /// Forgets the gate of a connector that was taken away. Its credential stays: its limits go on.
    pub(crate) fn forget(&self, name: &ConnectorName) {
        self.gates.lock().expect("closing a gate does not panic").remove(name);
    }

    fn credential(&self, manifest: &Manifest, env: &Env, journal: &dyn Journal) -> Arc<Credential> {
        let mut credentials = self.credentials.lock().expect("sharing limits does not panic");
        let name = &manifest.credential;
        let open = || {
            let now = env.now();
            let meter = Arc::new(Meter::open(name.clone(), manifest.rate, journal, now));
            Arc::new(Credential { meter, budget: Mutex::new(RetryBudget::new(now)) })
        };
        credentials.entry(name.clone()).or_insert_with(open).clone()
    }

    fn operation(
        &self,
        credential: &str,
        operation: &OperationName,
        rate: Rate,
        journal: &dyn Journal,
        now: Timestamp,
    ) -> Arc<Meter> {
        let mut operations = self.operations.lock().expect("sharing limits does not panic");
        let name = format!("{credential}#{operation}");
        let open = || Arc::new(Meter::open(name.clone(), rate, journal, now));
        operations.entry(name.clone()).or_insert_with(open).clone()
    }
}

impl Gate {
    fn open(
        connector: &ConnectorName,
        manifest: &Manifest,
        env: &Env,
        journal: &dyn Journal,
        gates: &Gates,
    ) -> Self {
        let credential = gates.credential(manifest, env, journal);
        let operations = manifest.operation_rates.iter().map(|(operation, rate)| {
            let credential = &manifest.credential;
            let meter = gates.operation(credential, operation, *rate, journal, env.now());
            (operation.clone(), meter)
        });
        let breaker = |class: Class| {
            let name = format!("{connector}/{}/{}", class.word(), manifest.credential);
            // What cannot be read is forgotten: a closed breaker learns within a few calls.
            let stored = journal.projection(&breaker_key(connector, class)).ok().flatten();
            let breaker = match stored {
                Some(bytes) => Breaker::from_bytes(name, &bytes),
                None => Breaker::new(name),
            };
            (class, breaker)
        };
        Self {
            env: env.clone(),
            connector: connector.clone(),
            policy: BreakerPolicy::for_calls(manifest.call_timeout),
            breakers: Mutex::new(Class::ALL.map(breaker).into()),
            credential,
            operations: operations.collect(),
            in_flight: Mutex::default(),
            waiting: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
        }
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeMap<Class, Breaker>> {
        self.breakers.lock().expect("a breaker does not panic")
    }

    fn budget(&self) -> MutexGuard<'_, RetryBudget> {
        self.credential.budget.lock().expect("a budget does not panic")
    }

    fn with<T>(&self, class: Class, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(self.breakers().get_mut(&class).expect("there is a breaker for each class"))
    }

    /// Whether nobody needs to ask, because the breaker is open.
    pub(crate) fn closed_to(&self, class: Class) -> Option<Refused> {
        let now = self.env.now();
        match self.with(class, |breaker| breaker.phase(now)) {
            Phase::Open { until, reason } => Some(Refused { until, reason }),
            Phase::Closed | Phase::HalfOpen => None,
        }
    }

    /// Waits for the limits that concern `operation`, but not beyond `limit`.
    pub(crate) async fn metered(
        &self,
        operation: Option<&OperationName>,
        limit: Timestamp,
        log: &Log,
    ) -> Result<Vec<Admitted>, Held> {
        let mut admitted = vec![];
        // The narrower limit first: who waits for it takes nothing of the wider one.
        let narrow = operation
            .and_then(|operation| self.operations.get(operation))
            .filter(|_| !planted(Mutant::OperationLimitIgnored));
        for meter in narrow.into_iter().chain([&self.credential.meter]) {
            admitted.push(meter.admit(limit, &self.env, log).await?);
        }
        Ok(admitted)
    }

    /// Lets a call of `class` pass, the last thing before it is made.
    pub(crate) fn pass(
        self: &Arc<Self>,
        class: Class,
        retry: Option<RetryCost>,
    ) -> Result<Pass, Refused> {
        let now = self.env.now();
        let permit = self.with(class, |breaker| breaker.admit(&self.policy, now))?;
        let pass = Pass { gate: self.clone(), class, permit: Some(permit) };
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let mut budget = self.budget();
        if let Some(cost) = retry {
            budget.retry(cost, now)?;
        }
        budget.call(now);
        drop(budget);
        Ok(pass)
    }

    /// The breaker of `class` as it is stored.
    pub(crate) fn stored(&self, class: Class) -> (ProjectionKey, Vec<u8>) {
        let bytes = self.with(class, |breaker| breaker.to_bytes());
        (breaker_key(&self.connector, class), bytes)
    }

    /// The other side says how much it will still take.
    pub(crate) fn hinted(&self, hints: &Hints) {
        self.credential.meter.hinted(hints, self.env.now());
    }

    /// How many wait in line, for those who look.
    pub(crate) fn set_waiting(&self, count: usize) {
        self.waiting.store(count, Ordering::Relaxed);
    }

    fn writes(&self) -> MutexGuard<'_, BTreeSet<WriteId>> {
        self.in_flight.lock().expect("noting a call does not panic")
    }

    /// Whether an attempt of this write is under way.
    pub(crate) fn is_in_flight(&self, write: &WriteId) -> bool {
        self.writes().contains(write) && !planted(Mutant::InFlightForgotten)
    }

    /// Notes that an attempt is under way. As long as it is, its write is neither attempted again nor probed, whatever becomes
    /// of its run's actor: what has not landed yet would be taken for absent.
    fn in_flight(self: &Arc<Self>, write: WriteId) -> InFlight {
        self.writes().insert(write.clone());
        InFlight { gate: self.clone(), write }
    }
}

/// An attempt under way.
pub(crate) struct InFlight {
    gate: Arc<Gate>,
    write: WriteId,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gate.writes().remove(&self.write);
    }
}

/// The right to make one call. Dropped without an end, it was given up.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    class: Class,
    permit: Option<Permit>,
}

impl Pass {
    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// Notes that an attempt of `write` is under way: it is made with this right.
    pub(crate) fn in_flight(&self, write: WriteId) -> InFlight {
        self.gate.in_flight(write)
    }

    /// The call has ended; tells if that turned the breaker.
    pub(crate) fn ended(&mut self, result: Result<(), &Fault>) -> Option<Turned> {
        let now = self.gate.env.now();
        match result {
            Ok(()) => self.gate.budget().succeeded(now),
            Err(fault) if fault.class == FaultClass::Throttled => {
                self.gate.credential.meter.throttled(fault.retry_at, now);
            }
            Err(_) => {}
        }
        self.give_back(CallEnd::of(result))
    }

    /// The call was given up; tells if that turned the breaker.
    pub(crate) fn given_up(&mut self) -> Option<Turned> {
        self.give_back(CallEnd::Cancelled)
    }

    fn give_back(&mut self, end: CallEnd) -> Option<Turned> {
        let permit = self.permit.take()?;
        let Self { gate, class, .. } = self;
        gate.under_way.fetch_sub(1, Ordering::Relaxed);
        let now = gate.env.now();
        gate.with(*class, |breaker| breaker.ended(permit, end, &gate.policy, now))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // A call that was given up never turns a breaker, so there is nobody to tell.
        self.given_up();
    }
}

impl Tells for Gate {
    fn status(&self) -> BTreeMap<&'static str, String> {
        let now = self.env.now();
        let mut status = BTreeMap::new();
        for (class, breaker) in &*self.breakers() {
            let calls = match class {
                Class::Read => "reads",
                Class::Write => "writes",
            };
            let said = match breaker.phase(now) {
                Phase::Closed => continue,
                Phase::Open { until, reason } => format!("breaker open until {until}: {reason}"),
                Phase::HalfOpen => format!("breaker half-open: one of the {calls} finds out"),
            };
            status.insert(calls, said);
        }
        let (speed, held) = self.credential.meter.pace(now);
        if let Some(until) = held {
            status.insert("pace", format!("held until {until}"));
        } else if speed < 1_000 {
            status.insert("pace", format!("{} % of its rate", speed / 10));
        }
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        status.insert("waiting", count(&self.waiting).to_string());
        status.insert("calls", count(&self.under_way).to_string());
        status
    }
}

fn breaker_key(connector: &ConnectorName, class: Class) -> ProjectionKey {
    ProjectionKey::new(BREAKERS, format!("{connector}/{}", class.word()))
}
