//! Shadows: the newest version is played on what live runs were given, may read and commits nothing, and what it would have done
//! otherwise is on record once.

use serde_json::{Value, json};
use soloist_kernel::{
    control::Scope,
    effect::Outcome,
    journal::{Journal, StreamSeq, memory::Crash},
    policy::Policy,
    rollout::Subject,
    shadow::{self, DUE, Kind},
};

use super::{
    shop::{Calls, Shop},
    *,
};
use crate::{Agent, Failure, Transactional, Turn, views};

/// Looks whether there is some, and orders. What each version does otherwise, `VERSION` says.
struct Buyer<const VERSION: u32>;

impl<const VERSION: u32> Agent for Buyer<VERSION> {
    const NAME: &'static str = "buyer";
    const VERSION: u32 = VERSION;
    const TOOLS: &'static [&'static str] = &["shop.stock", "shop.order"];
    type Kind = Transactional;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn, input: Value) -> Result<Value, Failure> {
        let stock: Value = turn.call("shop.stock", &json!({ "what": "tea" })).await?;
        let mut amount = json!(1);
        if VERSION == 2 && input == json!({ "much": true }) {
            let more: Value = turn.call("shop.stock", &json!({ "what": "coffee" })).await?;
            amount = more["left"].clone();
        }
        if VERSION == 3 {
            panic!("it is not ready");
        }
        let order = json!({ "what": "tea", "amount": amount });
        match turn.propose("shop.order", &order).await? {
            Outcome::Landed { receipt, .. } => Ok(json!([stock, receipt.value()])),
            outcome => Err(Failure::fatal(outcome.word())),
        }
    }
}

const BUY: &str = "
    name = 'buy'
    [[step]]
    name = 'it'
    agent = 'buyer'
    retry = { attempts = 1 }
";
const SLOW: &str = "
    name = 'buy'
    [[step]]
    name = 'it'
    agent = 'buyer'
    retry = { attempts = 1 }
    [[step]]
    name = 'later'
    wait = { for = '30d' }
    needs = ['it']
";
const ALLOWS: &str = "[[rule]]\nname='trust'\nverdict='allow'\nreason='a test'";

fn kernel(house: &House, calls: &Calls, workflow: &str) -> Builder {
    let policy = Policy::parse("p", ALLOWS).unwrap();
    house.kernel(&[workflow]).policy(policy).connector("shop", Shop::new(calls))
}

fn agent() -> Subject {
    "agent:buyer".parse().unwrap()
}

async fn buy(soloist: &Soloist, run: &str, input: Value) {
    soloist.start("buy", run, &input).await.unwrap();
    completed(soloist, run).await;
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reads_and_orders_nothing_and_what_differs_is_on_record() {
    let (house, calls) = (House::new(), Calls::default());
    let kernel = kernel(&house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<2>);
    let soloist = kernel.open().await.unwrap();
    soloist.shadow(&agent(), 100.0).await.unwrap();
    buy(&soloist, "little", json!({})).await;
    buy(&soloist, "much", json!({ "much": true })).await;
    soloist.shadowed().await.unwrap();

    let run = soloist.folded(&"much".parse().unwrap()).unwrap().unwrap();
    assert_eq!(run.agents[&"buyer".parse().unwrap()], 1, "the live run takes the base");
    assert_eq!(calls.of("order").len(), 2, "each live run ordered, and no shadow");
    assert_eq!(
        calls.of("stock").len(),
        3,
        "what was not recorded was read: {calls:?}",
        calls = calls.of("stock")
    );
    assert!(calls.of("stock")[2].contains("coffee"));

    let all = views::shadows(soloist.journal()).unwrap();
    assert_eq!((all[0].played, all[0].agreed, all[0].diverged, all[0].due), (2, 1, 1, 0));
    assert_eq!((all[0].percent, all[0].agreed_percent), (Some(100.0), Some(50.0)));
    let (shown, more) = views::shadowed(soloist.journal(), &agent(), None, 10).unwrap();
    assert_eq!((shown.len(), more), (1, 0));
    assert_eq!(shown[0].played.run.as_str(), "much");
    assert_eq!(shown[0].played.kinds.get(&Kind::Arguments), Some(&1), "{shown:?}");
    let write = &shown[0].difference.as_ref().unwrap()["writes"][0];
    assert_eq!(write["original"]["arguments"]["amount"], 1);
    assert_eq!(write["fork"]["arguments"]["amount"], 7);

    // Promoted, it is what runs take, and nothing is in the shadow.
    soloist.promote(&agent()).await.unwrap();
    buy(&soloist, "after", json!({})).await;
    soloist.shadowed().await.unwrap();
    let run = soloist.folded(&"after".parse().unwrap()).unwrap().unwrap();
    assert_eq!(run.agents[&"buyer".parse().unwrap()], 2);
    let all = views::shadows(soloist.journal()).unwrap();
    assert_eq!((all[0].played, all[0].percent), (2, None));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_played_in_the_shadow_of_a_share_and_time_passes_at_once() {
    let (house, calls) = (House::new(), Calls::default());
    let soloist = kernel(&house, &calls, BUY).agent(Buyer::<1>).open().await.unwrap();
    let house = house.after(soloist).await;
    let soloist = kernel(&house, &calls, SLOW).agent(Buyer::<1>).open().await.unwrap();
    let of: Subject = "workflow:buy".parse().unwrap();
    soloist.shadow(&of, 50.0).await.unwrap();
    let begun = house.env.now();
    for number in 0..20 {
        buy(&soloist, &format!("b-{number}"), json!({})).await;
    }
    soloist.shadowed().await.unwrap();
    assert!(
        begun.until(house.env.now()).as_secs() < 3_600,
        "a month is a month in the shadow alone"
    );
    let all = views::shadows(soloist.journal()).unwrap();
    assert!((4..17).contains(&all[0].played), "{all:?}");
    assert_eq!(all[0].diverged, all[0].played, "each has a step more, which it ends with");
    assert_eq!(all[0].kinds.keys().copied().collect::<Vec<_>>(), [Kind::Output, Kind::Step]);
    assert_eq!(calls.of("order").len(), 20);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_panics_is_a_divergence_and_harms_nobody() {
    let (house, calls) = (House::new(), Calls::default());
    let kernel = kernel(&house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<3>);
    let soloist = kernel.open().await.unwrap();
    soloist.shadow(&agent(), 100.0).await.unwrap();
    buy(&soloist, "one", json!({})).await;
    soloist.shadowed().await.unwrap();
    let (shown, _) = views::shadowed(soloist.journal(), &agent(), None, 10).unwrap();
    let difference = shown[0].difference.as_ref().unwrap().to_string();
    assert!(difference.contains("it is not ready"), "{difference}");
    assert!(shown[0].played.kinds.contains_key(&Kind::End));
    assert!(soloist.readiness().ready);
    buy(&soloist, "two", json!({})).await;
    soloist.shutdown().await.unwrap();
}

/// The events about shadows on record.
fn recorded(journal: &dyn Journal) -> Vec<shadow::Event> {
    let records = journal.stream(&shadow::stream(), StreamSeq(0)).unwrap();
    let decoded = records
        .iter()
        .map(|record| shadow::decode(record.entry.version, &record.entry.payload).unwrap());
    decoded.collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_due_outlives_the_process_and_is_recorded_once() {
    let (mut house, calls) = (House::new(), Calls::default());
    let open = async |house: &House| {
        let kernel = kernel(house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<2>);
        kernel.open().await.unwrap()
    };
    let soloist = open(&house).await;
    soloist.shadow(&agent(), 100.0).await.unwrap();
    // While anything is paused nothing is played.
    soloist.pause(&"connector:other".parse::<Scope>().unwrap(), "a test").await.unwrap();
    buy(&soloist, "one", json!({})).await;
    buy(&soloist, "two", json!({})).await;
    soloist.shadowed().await.unwrap();
    assert_eq!(recorded(soloist.journal()), []);
    house = house.after(soloist).await;
    let soloist = open(&house).await;
    soloist.resume(&"connector:other".parse::<Scope>().unwrap()).await.unwrap();
    soloist.shadowed().await.unwrap();
    assert_eq!(played(soloist.journal()), 2);
    assert_eq!(soloist.journal().projections(DUE, "", "", 10).unwrap(), []);
    assert_eq!(calls.of("order").len(), 2);
    soloist.shutdown().await.unwrap();
}

/// How many shadows have come to something.
fn played(journal: &dyn Journal) -> usize {
    let all = recorded(journal).into_iter();
    all.filter(|event| matches!(event, shadow::Event::Played { .. })).count()
}

/// The process ends a moment later each time, until it ends behind all of it.
#[tokio::test(start_paused = true)]
async fn wherever_the_process_ends_a_shadow_is_recorded_once() {
    let mut seen = std::collections::BTreeSet::new();
    for moments in 0..160 {
        let (mut house, calls) = (House::new(), Calls::default());
        // Whoever appends lets others run first, so that the end can come between two records.
        house.env = house.env.with_perturbation(tokio::task::yield_now);
        let open = async |house: &House| {
            let kernel = kernel(house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<2>);
            kernel.open().await.unwrap()
        };
        let soloist = open(&house).await;
        soloist.shadow(&agent(), 100.0).await.unwrap();
        // As one task among the others: what a test awaits itself looks on at every sixty-first of their moments alone.
        let (living, handle) = (house.journal.clone(), soloist.clone());
        let killed = tokio::spawn(async move {
            handle.start("buy", "one", &json!({ "much": true })).await.unwrap();
            for _ in 0..moments {
                tokio::task::yield_now().await;
            }
            Arc::new(living.crash(Crash::Process))
        });
        let journal = killed.await.unwrap();
        let _ = soloist.shutdown().await;
        let after = House { journal, env: house.env.clone() };
        seen.insert(recorded(&*after.journal).len());
        let soloist = open(&after).await;
        let _ = soloist.run("one").unwrap().rest().await.unwrap();
        soloist.shadowed().await.unwrap();
        let over = views::summary(soloist.journal(), &"one".parse().unwrap()).unwrap().unwrap();
        // An order that was on its way may have landed: that waits for the operator.
        let expected = usize::from(over.status == "completed");
        assert_eq!(played(soloist.journal()), expected, "after {moments} moments");
        assert!(calls.of("order").len() <= 1);
        soloist.shutdown().await.unwrap();
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2], "before, in the midst, and behind");
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_process_each_time_is_given_up() {
    let (house, calls) = (House::new(), Calls::default());
    let due = shadow::Due {
        run: "one".parse().unwrap(),
        of: agent(),
        base: 1,
        shadow: 2,
        tries: shadow::TRIES_MAX,
    };
    let soloist =
        kernel(&house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<2>).open().await.unwrap();
    buy(&soloist, "one", json!({})).await;
    let head = soloist.journal().head();
    assert!(head.seq.0 > 0);
    let house = house.after(soloist).await;
    // As the last process left it, which ended in the midst of it for the second time.
    let entry = soloist_kernel::journal::Entry {
        stream: shadow::stream(),
        stream_seq: StreamSeq(1),
        at: Timestamp(BEGIN),
        actor: soloist_kernel::id::Actor::kernel(),
        causation: None,
        correlation: None,
        kind: "shadow.begun".into(),
        version: shadow::EVENTS_VERSION,
        payload: shadow::encode(&shadow::Event::Begun(due.clone())),
    };
    let append = soloist_kernel::journal::Append {
        entries: vec![entry],
        projections: vec![due.row()],
        ..Default::default()
    };
    house.journal.append(append).unwrap();
    let soloist =
        kernel(&house, &calls, BUY).agent(Buyer::<1>).agent(Buyer::<2>).open().await.unwrap();
    soloist.shadowed().await.unwrap();
    let (shown, _) = views::shadowed(soloist.journal(), &agent(), None, 10).unwrap();
    let reason = shown[0].played.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("ended 2 times in the midst of it"), "{shown:?}");
    soloist.shutdown().await.unwrap();
}
