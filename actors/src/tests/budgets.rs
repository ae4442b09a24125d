//! What calls cost: 64 who want to call at once with room for ten, over restarts, and what waits for room.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use soloist_connectors::{
    Argument, Connector, Intent, Manifest, Operation, OperationKind, Plan, Probe, Rate,
};
use soloist_kernel::{
    budget::{Budgets, Cost, Usage},
    effect::Outcome,
    fault::Fault,
    id::OperationName,
    inbox::Kind,
    labels::Labeled,
    payload::Payload,
    policy::Policy,
    semantics::{Reversal, WriteSemantics},
};

use super::*;
use crate::{
    Agent, Failure, ReadOnly, Transactional, Turn,
    views::{CostBy, costs},
};

/// An oracle that counts what it is asked, read and write, and says what it used.
#[derive(Clone)]
struct Oracle {
    manifest: Arc<Manifest>,
    calls: Arc<AtomicU64>,
}

impl Oracle {
    fn new() -> Self {
        let operation = |kind| Operation {
            summary: "answers".into(),
            kind,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: BTreeMap::from([(
                "text".to_owned(),
                Argument::content(true.into()).optional(),
            )]),
            result: true.into(),
        };
        let operations = BTreeMap::from([
            ("ask".parse().unwrap(), operation(OperationKind::Read)),
            ("tell".parse().unwrap(), operation(OperationKind::Write)),
        ]);
        let manifest = Manifest {
            system: "an oracle of tests".into(),
            operations,
            credential: "an oracle".into(),
            rate: Rate::per_second(1_000, 1_000),
            operation_rates: BTreeMap::new(),
            pulls_call: true,
            concurrency_max: 64,
            call_timeout: Duration::from_secs(10),
        };
        Self { manifest: Arc::new(manifest), calls: Arc::default() }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Connector for Oracle {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        _env: &Env,
        _operation: &OperationName,
        _arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Labeled::owner(Payload::of(&json!({ "used": 10 })).unwrap()))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        Ok(planned(intent))
    }

    async fn execute(&self, _env: &Env, _plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Payload::of(&json!({ "used": 20 })).unwrap())
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        Ok(Probe::Absent)
    }

    fn usage_max(&self, _operation: &OperationName, _arguments: &Payload) -> Usage {
        Usage { input_tokens: 0, output_tokens: 100 }
    }

    fn usage(&self, _operation: &OperationName, answer: &Payload) -> Option<Usage> {
        let output_tokens = answer.value()["used"].as_u64()?;
        Some(Usage { input_tokens: 0, output_tokens })
    }
}

/// Asks the oracle.
struct Asker;

impl Agent for Asker {
    const NAME: &'static str = "asker";
    const TOOLS: &'static [&'static str] = &["oracle.ask"];
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<ReadOnly>, _input: Value) -> Result<Value, Failure> {
        Ok(turn.call("oracle.ask", &json!({})).await?)
    }
}

/// Tells the oracle.
struct Teller;

impl Agent for Teller {
    const NAME: &'static str = "teller";
    const TOOLS: &'static [&'static str] = &["oracle.tell"];
    type Kind = Transactional;
    type Input = Value;
    type Output = String;

    async fn run(&self, turn: Turn, _input: Value) -> Result<String, Failure> {
        match turn.propose("oracle.tell", &json!({})).await? {
            Outcome::Landed { .. } => Ok("told".into()),
            other => Err(Failure::fatal(other.word())),
        }
    }
}

const ASK: &str = "name='ask'\n[[step]]\nname='ask'\nagent='asker'";
const TELL: &str = "name='tell'\n[[step]]\nname='tell'\nagent='teller'";

const TEN: &str = "[[budget]]\nname='ten'\nof='connector:oracle'\nper='day'\ncalls=10";

async fn open(house: &House, oracle: &Oracle, workflows: &[&str], budgets: &str) -> Soloist {
    let rules = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";
    let builder = house.kernel(workflows).policy(Policy::parse("p", rules).unwrap());
    let builder = builder.agent(Asker).agent(Teller).connector("oracle", oracle.clone());
    let budgets = Budgets::parse("budgets.toml", budgets).unwrap();
    builder.budgets(budgets).open().await.unwrap()
}

fn used(soloist: &Soloist) -> Cost {
    let rows = costs(&*soloist.shared_journal(), CostBy::Connector, Timestamp(0)).unwrap();
    rows.first().map(|row| row.cost).unwrap_or_default()
}

async fn start_64(soloist: &Soloist) {
    for number in 0..64 {
        let workflow = if number % 2 == 0 { "ask" } else { "tell" };
        soloist.start(workflow, &format!("run-{number}"), &json!({})).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn of_64_who_call_at_once_exactly_as_many_are_let_through_as_there_is_room_for() {
    let (house, oracle) = (House::new(), Oracle::new());
    let soloist = open(&house, &oracle, &[ASK, TELL], TEN).await;
    start_64(&soloist).await;
    soloist.idle().await.unwrap();
    assert_eq!((oracle.calls(), used(&soloist).calls), (10, 10));
    let runs = soloist.runs().unwrap();
    let of = |status: &str| runs.iter().filter(|run| run.status == status).count();
    assert_eq!((of("completed"), of("waiting")), (10, 54));
    let [item] = &soloist.inbox().unwrap()[..] else { panic!("he is told once") };
    assert_eq!(item.kind, Kind::Incident);
    assert_eq!(item.title, "budget `ten` of 2023-11-14 is used up");

    // The next kernel knows what the last has used, and everyone waits on.
    let house = house.after(soloist).await;
    let soloist = open(&house, &oracle, &[ASK, TELL], TEN).await;
    soloist.idle().await.unwrap();
    assert_eq!(oracle.calls(), 10);
    let more = Cost { calls: 4, ..Cost::NOTHING };
    let ten = "ten".parse().unwrap();
    soloist.raise_budget(&ten, None, more, "a test").await.unwrap();
    soloist.idle().await.unwrap();
    assert_eq!((oracle.calls(), used(&soloist).calls), (14, 14));

    // A budget of the day is there again on the next, for all who wait.
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    soloist.idle().await.unwrap();
    assert_eq!(oracle.calls(), 24);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_process_leaves_under_way_is_spent_and_nothing_is_given_twice() {
    for die_at in [0, 1, 5, 20, 50, 101] {
        let (house, oracle) = (House::new(), Oracle::new());
        let soloist = open(&house, &oracle, &[ASK, TELL], TEN).await;
        start_64(&soloist).await;
        tokio::time::sleep(Duration::from_millis(die_at)).await;
        let journal =
            Arc::new(house.journal.crash(soloist_kernel::journal::memory::Crash::Process));
        let next = House { journal, env: house.env.clone() };
        let before = oracle.calls();
        drop(soloist);
        let again = Oracle::new();
        let soloist = open(&next, &again, &[ASK, TELL], TEN).await;
        soloist.idle().await.unwrap();
        let calls = before + again.calls();
        assert!(calls <= 10, "{calls} calls, dying after {die_at} ms");
        assert_eq!(used(&soloist).calls, 10, "dying after {die_at} ms");
        let open: u64 = costs(&*soloist.shared_journal(), CostBy::Day, Timestamp(0))
            .unwrap()
            .iter()
            .map(|row| row.open)
            .sum();
        assert_eq!(open, 0);
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_did_cost_takes_the_place_of_what_it_could_have() {
    let (house, oracle) = (House::new(), Oracle::new());
    let budgets = "[[price]]\nof='oracle.*'\noutput_usd=1\n[[budget]]\nname='b'\nof='everything'\nusd=0.00025";
    let soloist = open(&house, &oracle, &[ASK, TELL], budgets).await;
    // Each reserves a hundred tokens, and uses ten or twenty of them.
    for number in 0..8 {
        let workflow = if number % 2 == 0 { "ask" } else { "tell" };
        soloist.start(workflow, &format!("run-{number}"), &json!({})).await.unwrap();
        soloist.idle().await.unwrap();
    }
    let cost = used(&soloist);
    assert_eq!(cost, Cost { micro_usd: 120, tokens: 120, calls: 8 });
    let of = |by| {
        let rows = costs(&*soloist.shared_journal(), by, Timestamp(0)).unwrap();
        rows.into_iter().map(|row| (row.of, row.cost.micro_usd)).collect::<Vec<_>>()
    };
    assert_eq!(of(CostBy::Agent), [("teller".to_owned(), 80), ("asker".to_owned(), 40)]);
    assert_eq!(of(CostBy::Workflow), [("tell".to_owned(), 80), ("ask".to_owned(), 40)]);
    assert_eq!(of(CostBy::Day), [("2023-11-14".to_owned(), 120)]);
    assert_eq!(of(CostBy::Run).len(), 8);
    assert_eq!(soloist.runs().unwrap().iter().map(|run| run.spent.micro_usd).sum::<u64>(), 120);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_goal_limits_what_its_run_costs_and_a_missing_price_is_said() {
    let goal = "name='ask'\n[intent]\nname='know'\ncost_max_usd=0.00015\n[[step]]\nname='ask'\nagent='asker'\n[[step]]\nname='again'\nagent='asker'\nneeds=['ask']";
    let (house, oracle) = (House::new(), Oracle::new());
    let soloist = open(&house, &oracle, &[goal], "").await;
    soloist.start("ask", "one", &json!({})).await.unwrap();
    soloist.idle().await.unwrap();
    let run = &soloist.runs().unwrap()[0];
    assert_eq!(run.status, "failed");
    assert_eq!(
        run.reason.as_deref(),
        Some(
            "budget `goal` limits money, and what `oracle.ask` costs is not known; add a [[price]] for it to the budgets"
        )
    );
    let house = house.after(soloist).await;
    // A hundred tokens are room for one and not for two; ten of them are used by the first.
    let price = "[[price]]\nof='*'\noutput_usd=1";
    let soloist = open(&house, &oracle, &[goal], price).await;
    soloist.start("ask", "two", &json!({})).await.unwrap();
    soloist.idle().await.unwrap();
    assert_eq!((oracle.calls(), used(&soloist).tokens), (2, 20));
    let dear = "[[price]]\nof='*'\noutput_usd=1\ncall_usd=0.00004";
    let house = house.after(soloist).await;
    let soloist = open(&house, &oracle, &[goal], dear).await;
    soloist.start("ask", "three", &json!({})).await.unwrap();
    soloist.idle().await.unwrap();
    let three = "three".parse().unwrap();
    let waits = soloist.inbox().unwrap().pop().unwrap();
    assert_eq!(waits.title, "budget `goal` of run three is used up");
    let more = Cost { micro_usd: 100, ..Cost::NOTHING };
    soloist.raise_budget(&"goal".parse().unwrap(), Some(&three), more, "a test").await.unwrap();
    completed(&soloist, "three").await;
    assert!(soloist.inbox().unwrap().iter().all(|item| item.title != waits.title));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_workflow_may_have_something_stand_in_where_there_is_no_room() {
    let stands_in = "name='ask'\nover_budget='fail'\n[[step]]\nname='ask'\nagent='asker'\non_failure={ template={ used='none' } }";
    let (house, oracle) = (House::new(), Oracle::new());
    let one = "[[budget]]\nname='one'\nof='agent:asker'\ncalls=1";
    let soloist = open(&house, &oracle, &[stands_in], one).await;
    soloist.start("ask", "one", &json!({})).await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!({ "used": 10 }));
    soloist.start("ask", "two", &json!({})).await.unwrap();
    assert_eq!(completed(&soloist, "two").await, json!({ "used": "none" }));
    let unknown = soloist.raise_budget(&"none".parse().unwrap(), None, Cost::CALL, "").await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "there is no budget `none` of a period; there is `one` of agent:asker"
    );
    soloist.shutdown().await.unwrap();
}
