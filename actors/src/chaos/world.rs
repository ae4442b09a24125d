//! A shop that outlives the kernels' actors and counts what happens to it, and those who work in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rand_chacha::rand_core::Rng;
use serde_json::json;
use soloist_connectors::{
    Argument, Change, Connector, Env, Intent, Manifest, Observed, Operation, OperationKind, Page,
    Plan, Probe, Rate, Seen,
};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    labels::{Labeled, Labels},
    payload::Payload,
    semantics::{Reversal, WriteSemantics},
};

use crate::{Agent, Failure, ReadOnly, Turn};

/// What has happened.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// How often each write has happened, by its key.
    writes: BTreeMap<String, u64>,
    /// Events that were heard.
    heard: BTreeSet<String>,
    pulls: u64,
}

impl World {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Nothing happened twice; what was accepted has been shipped, and charged unless the operator is asked.
    pub(super) fn check(&self, accepted: &BTreeSet<String>, asked: usize) {
        let inner = self.inner();
        let twice: Vec<_> = inner.writes.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let of =
            |operation: &str| inner.writes.keys().filter(|key| key.starts_with(operation)).count();
        let (shipped, charged) = (of("ship"), of("charge"));
        assert!(shipped >= accepted.len() && shipped > 100, "{shipped} of {}", accepted.len());
        assert_eq!(charged + asked, shipped, "what is shipped is charged or asked about");
        assert_eq!(inner.heard.len(), shipped, "and heard of");
    }
}

/// Prepares orders, with an effect of each kind.
pub(super) struct Clerk;

impl Agent for Clerk {
    const NAME: &'static str = "clerk";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["shop.stock"];
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn<ReadOnly>, order: String) -> Result<String, Failure> {
        let chance = turn.random().await?;
        tokio::time::sleep(Duration::from_millis(chance % 500)).await;
        turn.remember("orders", &order, &turn.now().await?).await?;
        let stock: u64 = turn.call("shop.stock", &json!({})).await?;
        if chance.is_multiple_of(7) {
            turn.sleep(Duration::from_secs(stock)).await?;
        }
        Ok(order)
    }
}

/// Hears of what was shipped.
pub(super) struct Listener(pub(super) World);

impl Agent for Listener {
    const NAME: &'static str = "listener";
    type Kind = ReadOnly;
    type Input = serde_json::Value;
    type Output = ();

    async fn run(&self, _turn: Turn<ReadOnly>, event: serde_json::Value) -> Result<(), Failure> {
        self.0.inner().heard.insert(event["id"].to_string());
        Ok(())
    }
}

/// The connector to the shop: slow, and sometimes out of order.
pub(super) struct Shop {
    manifest: Manifest,
    world: World,
}

impl Shop {
    pub(super) fn new(world: World) -> Self {
        let operation = |kind| Operation {
            summary: "does".into(),
            kind,
            semantics: WriteSemantics::NaturalKey,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::from([(
                "order".to_owned(),
                Argument::content(true.into()).optional(),
            )]),
            result: true.into(),
        };
        let manifest = Manifest {
            system: "a shop of tests".into(),
            operations: BTreeMap::from([
                ("ship".parse().unwrap(), operation(OperationKind::Write)),
                ("charge".parse().unwrap(), operation(OperationKind::Write)),
                ("stock".parse().unwrap(), operation(OperationKind::Read)),
            ]),
            credential: "the shop".into(),
            rate: Rate::per_second(50, 20),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 8,
            call_timeout: Duration::from_secs(5),
        };
        Self { manifest, world }
    }

    async fn takes_time(&self, env: &Env, what: &str) {
        let wait = env.entropy(what).next_u64() % 300;
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

#[async_trait]
impl Connector for Shop {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, _limit: usize) -> Result<Page, Fault> {
        self.takes_time(env, "pull").await;
        let number = {
            let mut inner = self.world.inner();
            inner.pulls += 1;
            inner.pulls
        };
        let identities = [format!("pulled-{number}"), format!("pulled-{}", number / 2)];
        let new = identities.into_iter().filter(|identity| !seen(identity));
        let change = |identity: String| {
            let input = Payload::of(&identity).unwrap();
            let record = Observed::Record(Labeled::new(input, Labels::untrusted("shop")));
            Change { identity, observed: record }
        };
        Ok(Page { changes: new.map(change).collect(), more: false })
    }

    async fn read(
        &self,
        env: &Env,
        _operation: &soloist_kernel::id::OperationName,
        _arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.takes_time(env, "stock").await;
        Ok(Labeled::new(Payload::of(&12).unwrap(), Labels::untrusted("shop")))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        Ok(crate::tests::planned(intent))
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        let what = format!("{} {}", plan.operation, plan.key);
        self.takes_time(env, &format!("before {what} {attempt}")).await;
        if env.entropy(&format!("{what} {attempt}")).next_u64().is_multiple_of(10) {
            return Err(Fault::new(FaultClass::Transient, Phase::NotSent, "out of order"));
        }
        *self.world.inner().writes.entry(what.clone()).or_default() += 1;
        self.takes_time(env, &format!("after {what} {attempt}")).await;
        Ok(Payload::null())
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        let what = format!("{} {}", plan.operation, plan.key);
        self.takes_time(env, &what).await;
        Ok(match self.world.inner().writes.get(&what) {
            Some(_) => Probe::Landed { receipt: Payload::null() },
            None => Probe::Absent,
        })
    }
}
