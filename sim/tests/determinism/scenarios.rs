//! What is simulated: errands that ask for all that differs from run to run outside of a simulation, an agent that keeps them
//! in no order, and runs that all begin at once.

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::{Agent, Builder, Failure, ReadOnly, Transactional, Turn};
use soloist_kernel::{policy::Policy, semantics::WriteSemantics, workflow::Workflow};
use soloist_sim::{Fake, Faults, Scenario};

const POLICY: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";

/// Runs errands: the time, chance, a rest, a read, a write.
struct Errand;

impl Agent for Errand {
    const NAME: &'static str = "errand";
    const TOOLS: &'static [&'static str] = &["shop.price", "shop.buy"];
    type Kind = Transactional;
    type Input = Value;
    type Output = u64;

    async fn run(&self, turn: Turn, input: Value) -> Result<u64, Failure> {
        let begun = turn.now().await?;
        let wait = turn.random().await? % 90;
        turn.sleep(Duration::from_secs(wait)).await?;
        let price: Value = turn.call("shop.price", &json!({ "item": input["item"] })).await?;
        turn.propose("shop.buy", &json!({ "item": input["item"], "price": price })).await?;
        Ok(begun.until(turn.now().await?).as_secs())
    }
}

/// Looks at prices in the order of a hash map.
struct Unordered;

impl Agent for Unordered {
    const NAME: &'static str = "errand";
    const TOOLS: &'static [&'static str] = &["shop.price"];
    type Kind = ReadOnly;
    type Input = Value;
    type Output = ();

    #[expect(clippy::disallowed_types, reason = "this is the mistake that is to be caught")]
    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<(), Failure> {
        let items = ["bread", "milk", "eggs", "salt", "soap"];
        let items: std::collections::HashMap<&str, ()> =
            items.into_iter().map(|item| (item, ())).collect();
        for item in items.keys() {
            let _: Value = turn.call("shop.price", &json!({ "item": item })).await?;
        }
        Ok(())
    }
}

/// Looks at the clock a few times, which nobody has to answer.
struct Watch;

impl Agent for Watch {
    const NAME: &'static str = "errand";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = ();

    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<(), Failure> {
        for _ in 0..3 {
            turn.now().await?;
        }
        Ok(())
    }
}

/// Errands, with everything that can go wrong.
pub(crate) fn errands() -> Scenario {
    let mut scenario = shop("errands");
    scenario.kernel(|builder, _| company(builder.agent(Errand)));
    scenario
}

/// Errands in no order.
pub(crate) fn unordered() -> Scenario {
    let mut scenario = shop("unordered");
    scenario.kernel(|builder, _| company(builder.agent(Unordered)));
    scenario.faults(Faults::none());
    scenario
}

/// As many runs as there is work, all started at one moment, none of which waits for anything outside.
pub(crate) fn at_once() -> Scenario {
    let mut scenario = Scenario::new("at-once");
    scenario.kernel(|builder, _| company(builder.agent(Watch)));
    scenario.workload(|client| async move {
        let start = |number: u32| {
            let client = client.clone();
            tokio::spawn(async move {
                client
                    .start("errand", &format!("errand-{number}"), &json!({ "item": number }))
                    .await;
            })
        };
        let started: Vec<_> = (0..client.size()).map(start).collect();
        for started in started {
            started.await.expect("a client does not panic");
        }
    });
    scenario.faults(Faults::none());
    scenario
}

fn shop(name: &str) -> Scenario {
    let mut scenario = Scenario::new(name);
    scenario.api("shop", || {
        let keyed = WriteSemantics::Keyed { ttl: Duration::from_secs(86_400) };
        Fake::of(0_u64)
            .read("price", &["item"], |_, request| Ok(json!(request.text("item").len())))
            .write("buy", keyed, &["item", "price"], |sold, _| {
                *sold += 1;
                Ok(json!({ "number": *sold }))
            })
    });
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let input = json!({ "item": format!("item {number}") });
            client.start("errand", &format!("errand-{number}"), &input).await;
        }
    });
    scenario
}

fn company(builder: Builder) -> Builder {
    let workflow = "name = 'errand'\n[[step]]\nname = 'errand'\nagent = 'errand'\ninput = { item = 'input.item' }";
    let workflow = Workflow::parse("errand.toml", workflow).expect("it is well written");
    let policy = Policy::parse("policy.toml", POLICY).expect("it is well written");
    builder.policy(policy).workflow(workflow)
}
