//! Writes that wait long: their run leaves memory, and they land when their time has come, once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use soloist_connectors::{
    Argument, Compensation, Connector, Done, Intent, Manifest, Operation, OperationKind, Plan,
    Probe, Rate,
};
use soloist_kernel::{
    effect::{Outcome, WriteState},
    fault::{Fault, FaultClass, Phase},
    payload::Payload,
    policy::Policy,
    run::project,
    semantics::{Reversal, WriteSemantics},
};
use tokio::time::sleep;

use super::*;
use crate::{Agent, Failure, Transactional, Turn, run::Asked};

const HOUR: Duration = Duration::from_secs(3_600);

/// A shop that is called too often: it takes nothing for the first hour after the first order, and says so.
struct Shop {
    manifest: Manifest,
    calls: Arc<AtomicU32>,
    orders: Arc<AtomicU32>,
}

impl Shop {
    fn new() -> Self {
        let order = Operation {
            summary: "orders".into(),
            kind: OperationKind::Write,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::from([(
                "what".to_owned(),
                Argument::content(true.into()).optional(),
            )]),
            result: true.into(),
        };
        let manifest = Manifest {
            system: "a shop of tests".into(),
            operations: BTreeMap::from([("order".parse().unwrap(), order)]),
            credential: "a throttled system".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 4,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest, calls: Arc::default(), orders: Arc::default() }
    }
}

#[async_trait]
impl Connector for Shop {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        Ok(crate::tests::planned(intent))
    }

    async fn execute(&self, env: &Env, _plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut fault = Fault::new(FaultClass::Transient, Phase::Answered, "come back later");
            fault.retry_at = Some(env.now().after(HOUR));
            return Err(fault);
        }
        self.orders.fetch_add(1, Ordering::SeqCst);
        Ok(Payload::null())
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        Ok(Probe::Absent)
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        Ok(Compensation::Irreversible)
    }
}

/// Orders, and says what came of it.
struct Buyer;

impl Agent for Buyer {
    const NAME: &'static str = "buyer";
    const TOOLS: &'static [&'static str] = &["shop.order"];
    type Kind = Transactional;
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, what: String) -> Result<String, Failure> {
        let outcome = turn.propose("shop.order", &serde_json::json!({ "what": what })).await?;
        match outcome {
            Outcome::Landed { .. } => Ok(format!("{what} is on its way")),
            outcome => Err(Failure::fatal(outcome.word())),
        }
    }
}

const BUY: &str = "name='buy'\n[[step]]\nname='order'\nagent='buyer'";

async fn open(house: &House, shop: &Shop) -> Soloist {
    let rules = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";
    let again = Shop {
        manifest: shop.manifest.clone(),
        calls: shop.calls.clone(),
        orders: shop.orders.clone(),
    };
    let builder = house.kernel(&[BUY]).policy(Policy::parse("p", rules).unwrap());
    builder.agent(Buyer).connector("shop", again).open().await.unwrap()
}

/// The run `one`, which has been put off until an hour after the beginning and has left memory.
async fn put_off() -> (House, Shop, Soloist) {
    let (house, shop) = (House::new(), Shop::new());
    let soloist = open(&house, &shop).await;
    soloist.start("buy", "one", &"tea").await.unwrap();
    waits(&soloist, "one").await;
    soloist.idle().await.unwrap();
    assert!(house.env.now().0 < BEGIN + 1_000, "it is put off, and nobody has waited for it");
    assert!(soloist.inbox().unwrap().is_empty(), "nobody is asked");
    assert_eq!(soloist.runs().unwrap()[0].status, "waiting");
    assert_eq!(parked(&soloist), ["shop/one"]);
    let run = soloist.folded(&"one".parse().unwrap()).unwrap().unwrap();
    let (_, _, write) = run.writes().next().unwrap();
    let WriteState::Parked { until, reason, probes: None, .. } = &write.state else {
        panic!("it is {}", write.state.word())
    };
    assert_eq!(reason, &format!("it is tried again at {until}, as after its last fault"));
    (house, shop, soloist)
}

fn parked(soloist: &Soloist) -> Vec<String> {
    let rows = soloist.journal().projections(project::PARKED, "shop/", "", 10).unwrap();
    rows.into_iter().map(|(key, _)| key).collect()
}

async fn lands(soloist: &Soloist, shop: &Shop) {
    assert_eq!(completed(soloist, "one").await, serde_json::json!("tea is on its way"));
    let counts = (shop.calls.load(Ordering::SeqCst), shop.orders.load(Ordering::SeqCst));
    assert_eq!(counts, (2, 1), "it was tried twice, and landed once");
    assert!(parked(soloist).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_put_off_costs_no_memory_and_lands_at_its_time() {
    let (_house, shop, soloist) = put_off().await;
    sleep(HOUR - Duration::from_secs(60)).await;
    assert_eq!(shop.calls.load(Ordering::SeqCst), 1, "it is not tried before its time");
    sleep(Duration::from_secs(62)).await;
    lands(&soloist, &shop).await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_put_off_lands_after_a_restart() {
    let (house, shop, soloist) = put_off().await;
    let house = house.after(soloist).await;
    sleep(HOUR + HOUR).await;
    let soloist = open(&house, &shop).await;
    sleep(Duration::from_secs(1)).await;
    lands(&soloist, &shop).await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_put_off_goes_on_when_its_connector_calls() {
    let (house, shop, soloist) = put_off().await;
    let connector = "shop".parse().unwrap();
    soloist.deliver(&"one".parse().unwrap(), Asked::Unpark { connector });
    lands(&soloist, &shop).await;
    assert!(house.env.now().0 < BEGIN + 2_000, "before its time");
    soloist.shutdown().await.unwrap();
}
