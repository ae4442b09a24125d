//! Forks: what would have been otherwise, without a call to anybody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use soloist_connectors::{
    Argument, Compensation, Connector, Done, Intent, Manifest, Operation, OperationKind, Page,
    Plan, Probe, Rate, Seen,
};
use soloist_kernel::{
    effect::Outcome,
    fault::Fault,
    id::{OperationName, RunId},
    journal::{Journal, Seq, StreamSeq},
    labels::{Labeled, Labels},
    payload::Payload,
    policy::Policy,
    semantics::{Reversal, WriteSemantics},
};

use super::*;
use crate::{
    Agent, Failure, Question, Transactional, Turn,
    travel::{Fork, ForkError, Forked, StepChange, TravelError, WriteChange, WriteSide},
};

const DAY: Duration = Duration::from_secs(86_400);

/// The world: a trading desk. Once it is closed, whoever calls it fails the test.
#[derive(Clone, Default)]
struct World {
    closed: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
    thoughts: Arc<AtomicU32>,
}

impl World {
    fn called(&self, what: &str) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!self.closed.load(Ordering::SeqCst), "a fork called the world: {what}");
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// From now on nobody may call.
    fn close(&self) -> u32 {
        self.closed.store(true, Ordering::SeqCst);
        self.calls()
    }
}

struct Desk {
    manifest: Manifest,
    world: World,
}

impl Desk {
    fn new(world: &World) -> Self {
        let operation = |kind, arguments: &[&str]| Operation {
            summary: "trades".into(),
            kind,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: arguments
                .iter()
                .map(|name| ((*name).to_owned(), Argument::content(true.into()).optional()))
                .collect(),
            result: true.into(),
        };
        let operations = BTreeMap::from([
            ("quote".parse().unwrap(), operation(OperationKind::Read, &["what"])),
            (
                "order".parse().unwrap(),
                operation(OperationKind::Write, &["what", "amount", "color"]),
            ),
            ("ship".parse().unwrap(), operation(OperationKind::Write, &["order"])),
        ]);
        let manifest = Manifest {
            system: "a trading desk".into(),
            operations,
            credential: "desk".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 4,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest, world: world.clone() }
    }
}

#[async_trait]
impl Connector for Desk {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn pull(&self, _env: &Env, _seen: Seen<'_>, _limit: usize) -> Result<Page, Fault> {
        self.world.called("pull");
        Ok(Page::default())
    }

    async fn read(
        &self,
        _env: &Env,
        _operation: &OperationName,
        _arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.world.called("read");
        let price = Payload::of(&json!({ "price": 10 + self.world.calls() })).unwrap();
        Ok(Labeled::new(price, Labels::untrusted("desk")))
    }

    /// The time is in its bytes, as it is in a mail's.
    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let text = format!("{} {} {}", intent.operation, intent.arguments, intent.at);
        Ok(Plan { bytes: text.into_bytes().into(), ..planned(intent) })
    }

    async fn execute(&self, _env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        self.world.called("execute");
        Ok(Payload::of(&json!({ "number": self.world.calls(), "of": plan.operation })).unwrap())
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        self.world.called("probe");
        Ok(Probe::Absent)
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        Ok(Compensation::Irreversible)
    }
}

/// Uses every effect that there is. The second version orders one more.
struct Trader<const VERSION: u32>(World);

impl<const VERSION: u32> Agent for Trader<VERSION> {
    const NAME: &'static str = "trader";
    const VERSION: u32 = VERSION;
    const TOOLS: &'static [&'static str] = &["desk.quote", "desk.order"];
    type Kind = Transactional;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn, input: Value) -> Result<Value, Failure> {
        let what = input["what"].as_str().unwrap_or("nothing").to_owned();
        let before = turn.now().await?;
        let luck = turn.random().await?;
        let thought = turn
            .step("think", || async {
                self.0.called("think");
                self.0.thoughts.fetch_add(1, Ordering::SeqCst);
                Ok::<_, String>(Some(format!("about {what}")))
            })
            .await?;
        let quote: Value = turn.call("desk.quote", &json!({ "what": what })).await?;
        let known =
            turn.fact("desk", "orders").await?.and_then(|known| known.as_u64()).unwrap_or(0);
        turn.remember("desk", "orders", &(known + 1)).await?;
        let color: String = turn.ask(Question::new(format!("Which color of {what}?"))).await?;
        turn.sleep(DAY).await?;
        let amount = input["amount"].as_u64().unwrap_or(1) + u64::from(VERSION - 1);
        let order = json!({ "what": what, "amount": amount, "color": color });
        let number = match turn.propose("desk.order", &order).await? {
            Outcome::Landed { receipt, .. } => receipt.value()["number"].clone(),
            outcome => return Err(Failure::fatal(format!("the order was {}", outcome.word()))),
        };
        let days = before.until(turn.now().await?).as_secs() / DAY.as_secs();
        Ok(
            json!({ "number": number, "quote": quote, "luck": luck, "thought": thought, "days": days }),
        )
    }
}

const TRADE: &str = "
    name = 'trade'
    [[step]]
    name = 'deal'
    agent = 'trader'
    retry = { attempts = 1 }
    [[step]]
    name = 'paid'
    wait = { event = 'invoice.paid' }
    needs = ['deal']
    [[step]]
    name = 'ok'
    approve = 'Ship number {{ deal.number }}?'
    needs = ['deal', 'paid']
    [[step]]
    name = 'ship'
    call = 'desk.ship'
    needs = ['deal', 'ok']
    input = { order = 'deal.number' }
";

const ASKS: &str = "[[rule]]\nname='ask'\nverdict='approve'\nreason='a test'";
const ALLOWS: &str = "[[rule]]\nname='trust'\nverdict='allow'\nreason='a test'";
const DENIES: &str = "[[rule]]\nname='never'\nverdict='deny'\nreason='a test'";

fn policy(text: &str) -> Policy {
    Policy::parse("p", text).unwrap()
}

fn trade() -> RunId {
    "trade-1".parse().unwrap()
}

/// A trade that went through, with everything that people said on its way; and the world, which is closed behind it.
async fn traded() -> (House, World, Soloist) {
    let (house, world) = (House::new(), World::default());
    let kernel = house.kernel(&[TRADE]).policy(policy(ASKS)).connector("desk", Desk::new(&world));
    let kernel = kernel.agent(Trader::<1>(world.clone())).agent(Trader::<2>(world.clone()));
    // The run is pinned to the first version: the second one comes later.
    let first = house.kernel(&[TRADE]).policy(policy(ASKS)).connector("desk", Desk::new(&world));
    let soloist = first.agent(Trader::<1>(world.clone())).open().await.unwrap();
    soloist.start("trade", "trade-1", &json!({ "what": "tea", "amount": 2 })).await.unwrap();
    waits(&soloist, "trade-1").await;
    soloist.answer(item(&soloist).as_str(), "green").await.unwrap();
    tokio::time::sleep(DAY + Duration::from_secs(1)).await;
    soloist.idle().await.unwrap();
    soloist.approve(&item(&soloist)).await.unwrap();
    waits(&soloist, "trade-1").await;
    soloist.emit("bank", "e1", "invoice.paid", &json!({ "cents": 100 })).await.unwrap();
    soloist.idle().await.unwrap();
    soloist
        .decide_as(&item(&soloist), soloist_kernel::effect::Decision::Approve, "ben")
        .await
        .unwrap();
    waits(&soloist, "trade-1").await;
    soloist.approve(&item(&soloist)).await.unwrap();
    completed(&soloist, "trade-1").await;
    assert_eq!(world.close(), 4, "a thought, a quote, an order, a shipment");
    let house = house.after(soloist).await;
    let soloist = kernel.journal(house.journal.clone()).open().await.unwrap();
    (house, world, soloist)
}

fn item(soloist: &Soloist) -> String {
    let items = soloist.inbox().unwrap();
    assert_eq!(items.len(), 1, "{items:?}");
    items[0].id.to_string()
}

/// Forks, and checks that nobody was called and nothing was written.
async fn fork(house: &House, world: &World, soloist: &Soloist, fork: Fork) -> Forked {
    let (head, calls) = (house.journal.head(), world.calls());
    let rows = || house.journal.projections("facts", "", "", 100).unwrap();
    let facts = rows();
    let forked = soloist.fork(fork).await.unwrap();
    assert_eq!(world.calls(), calls, "the world was called");
    assert_eq!(house.journal.head(), head, "the journal was written");
    assert_eq!(rows(), facts);
    assert!(soloist.inbox().unwrap().is_empty());
    forked
}

fn step<'a>(forked: &'a Forked, name: &str) -> &'a StepChange {
    forked.steps.iter().find(|step| step.step.as_str() == name).unwrap()
}

fn write<'a>(forked: &'a Forked, name: &str) -> &'a WriteChange {
    forked.writes.iter().find(|write| write.step.as_str() == name).unwrap()
}

/// What became of a write: what policy said, where it stands, whether it was sent, and whether that was recorded.
fn told(side: &Option<WriteSide>) -> (&str, &str, bool, Option<bool>) {
    let side = side.as_ref().unwrap();
    (&side.verdict, &side.state, side.sent, side.recorded)
}

#[tokio::test(start_paused = true)]
async fn a_fork_of_a_run_never_touches_the_world() {
    let (house, world, soloist) = traded().await;
    let forked = fork(&house, &world, &soloist, Fork::of(trade())).await;
    assert!(forked.same, "{forked:#?}");
    assert_eq!(
        (forked.original.status.as_str(), forked.fork.status.as_str()),
        ("completed", "completed")
    );
    assert_eq!(told(&write(&forked, "deal").fork), ("approve", "landed", true, Some(true)));
    assert_eq!(forked.stand_ins, Vec::<String>::new());
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fork_from_any_record_goes_on_as_the_run_did() {
    let (house, world, soloist) = traded().await;
    let records = house.journal.stream(&trade().stream(), StreamSeq(0)).unwrap();
    assert!(records.len() > 12, "{}", records.len());
    for record in &records {
        let forked = fork(&house, &world, &soloist, Fork::of(trade()).from(record.seq)).await;
        let kind = &record.entry.kind;
        assert_eq!(forked.fork, forked.original, "from {} ({kind}): {forked:#?}", record.seq);
        let states =
            forked.writes.iter().all(|write| told(&write.original).1 == told(&write.fork).1);
        assert!(states, "from {} ({kind}): {forked:#?}", record.seq);
    }
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_a_policy_that_allows_nobody_is_asked_and_the_recorded_receipts_are_there() {
    let (house, world, soloist) = traded().await;
    let allows = Fork::of(trade()).policy(policy(ALLOWS));
    let forked = fork(&house, &world, &soloist, allows).await;
    assert!(!forked.same);
    assert_eq!(forked.fork, forked.original, "it comes to the same");
    for name in ["deal", "ship"] {
        let write = write(&forked, name);
        assert_eq!(told(&write.original), ("approve", "landed", true, None));
        assert_eq!(told(&write.fork), ("allow", "landed", true, Some(true)));
        assert_eq!(write.fork.as_ref().unwrap().rule, "trust");
    }
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_a_policy_that_denies_nothing_would_have_been_sent() {
    let (house, world, soloist) = traded().await;
    let denies = Fork::of(trade()).policy(policy(DENIES));
    let forked = fork(&house, &world, &soloist, denies).await;
    assert_eq!(
        (forked.original.status.as_str(), forked.fork.status.as_str()),
        ("completed", "failed")
    );
    assert_eq!(forked.fork.reason.as_deref(), Some("the order was denied"));
    assert_eq!(told(&write(&forked, "deal").fork), ("deny", "denied", false, None));
    assert!(write(&forked, "ship").fork.is_none(), "it did not come to that");
    assert_eq!(step(&forked, "deal").fork.as_ref().unwrap().status, "failed");
    assert_eq!(step(&forked, "ship").fork.as_ref().unwrap().status, "pending");

    // From a record behind the order, only what comes after that is denied.
    let records = house.journal.stream(&trade().stream(), StreamSeq(0)).unwrap();
    let landed = records.iter().find(|record| record.entry.kind == "write.landed").unwrap();
    let later = Fork::of(trade()).from(landed.seq).policy(policy(DENIES));
    let forked = fork(&house, &world, &soloist, later).await;
    assert_eq!(told(&write(&forked, "deal").fork).1, "landed");
    assert_eq!(told(&write(&forked, "ship").fork), ("deny", "denied", false, None));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_another_input_what_is_not_recorded_is_waited_for_or_stood_in_for() {
    let (house, world, soloist) = traded().await;
    let coffee = Labeled::owner(Payload::of(&json!({ "what": "coffee", "amount": 2 })).unwrap());
    let forked = fork(&house, &world, &soloist, Fork::of(trade()).input(coffee.clone())).await;
    assert_eq!(forked.fork.status, "waiting", "{forked:#?}");
    assert_eq!(forked.waits, ["run trade-1, step `deal`: Which color of coffee?"]);
    assert_eq!(forked.stand_ins, ["`desk.quote` was answered with nothing"], "{forked:#?}");

    // More of the same: the question is the same, the order is another, and nobody has approved it.
    let more = Labeled::owner(Payload::of(&json!({ "what": "tea", "amount": 7 })).unwrap());
    let forked = fork(&house, &world, &soloist, Fork::of(trade()).input(more.clone())).await;
    assert_eq!(forked.fork.status, "waiting");
    assert_eq!(told(&write(&forked, "deal").fork), ("approve", "asking", false, None));
    let allowed = Fork::of(trade()).input(more).policy(policy(ALLOWS));
    let forked = fork(&house, &world, &soloist, allowed).await;
    let change = write(&forked, "deal");
    assert_eq!(change.fork.as_ref().unwrap().arguments["amount"], 7);
    assert_eq!(told(&change.fork), ("allow", "landed", true, Some(false)));
    assert_eq!(forked.stand_ins, ["desk.order was not sent, and given a receipt"]);

    let first = house.journal.stream(&trade().stream(), StreamSeq(0)).unwrap()[0].seq;
    let late = Fork::of(trade()).input(coffee).from(Seq(first.0 + 1));
    let refused = soloist.fork(late).await.unwrap_err();
    assert!(matches!(refused, ForkError::InputTooLate { .. }), "{refused}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_another_version_of_an_agent_its_turns_are_that_versions() {
    let (house, world, soloist) = traded().await;
    let trader = || "trader".parse().unwrap();
    let second = Fork::of(trade()).agent(trader(), 2).policy(policy(ALLOWS));
    let forked = fork(&house, &world, &soloist, second).await;
    let amount = |side: &Option<WriteSide>| side.as_ref().unwrap().arguments["amount"].clone();
    let change = write(&forked, "deal");
    assert_eq!((amount(&change.original), amount(&change.fork)), (json!(2), json!(3)));

    // In mid-turn as well: what is recorded of the turn until then is what it asks for, and then it orders one more.
    let records = house.journal.stream(&trade().stream(), StreamSeq(0)).unwrap();
    let asked = records.iter().find(|record| record.entry.kind == "question.asked").unwrap();
    let second = Fork::of(trade()).from(asked.seq).agent(trader(), 2).policy(policy(ALLOWS));
    let forked = fork(&house, &world, &soloist, second).await;
    assert_eq!(amount(&write(&forked, "deal").fork), json!(3), "{forked:#?}");

    let refused = soloist.fork(Fork::of(trade()).agent(trader(), 9)).await.unwrap_err();
    let said = "there is no agent `trader@9`; it is there in the versions [1, 2]";
    assert_eq!(refused.to_string(), said);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fork_needs_no_open_kernel_and_says_what_is_wrong_with_where_it_begins() {
    let (house, world, soloist) = traded().await;
    let house = house.after(soloist).await;
    let builder = || {
        let desk = Desk::new(&world);
        let builder = Soloist::builder().policy(policy(ASKS)).connector("desk", desk);
        builder.agent(Trader::<1>(world.clone()))
    };
    let head = house.journal.head();
    let forked = builder().fork(house.journal.clone(), Fork::of(trade())).await.unwrap();
    assert!(forked.same, "{forked:#?}");
    assert_eq!(house.journal.head(), head);

    let beyond = builder().fork(house.journal.clone(), Fork::of(trade()).from(Seq(9_999))).await;
    let beyond = beyond.unwrap_err();
    assert!(matches!(&beyond, ForkError::Travel(TravelError::Beyond { .. })), "{beyond}");
    let early = builder().fork(house.journal.clone(), Fork::of(trade()).from(Seq(0))).await;
    let early = early.unwrap_err();
    assert!(matches!(&early, ForkError::Travel(TravelError::NotBegun { .. })), "{early}");
}
