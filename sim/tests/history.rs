//! What one version of an agent has recorded, replayed by the next.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde_json::{Value, json};
use soloist_actors::{Agent, Builder, Failure, Transactional, Turn};
use soloist_kernel::{policy::Policy, semantics::WriteSemantics, workflow::Workflow};
use soloist_sim::{
    Fake, History, Plan, Scenario,
    history::{assert_replays, departures, record},
    plan::{Fault, Kind, Trigger},
};

/// What an agent does, in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Look,
    Rest,
    Buy,
    Remember,
}

/// An agent of some version that does these things.
struct Shopper<const VERSION: u32>(&'static [Does]);

impl<const VERSION: u32> Agent for Shopper<VERSION> {
    const NAME: &'static str = "shopper";
    const VERSION: u32 = VERSION;
    const TOOLS: &'static [&'static str] = &["shop.price", "shop.buy"];
    type Kind = Transactional;
    type Input = Value;
    type Output = ();

    async fn run(&self, turn: Turn, input: Value) -> Result<(), Failure> {
        let item = json!({ "item": input["item"] });
        for does in self.0 {
            match does {
                Does::Look => drop(turn.call::<Value>("shop.price", &item).await?),
                Does::Rest => turn.sleep(Duration::from_secs(60)).await?,
                Does::Buy => drop(turn.propose("shop.buy", &item).await?),
                Does::Remember => drop(turn.remember("shop", "visited", &true).await?),
            }
        }
        Ok(())
    }
}

const POLICY: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";

const WORKFLOW: &str = "
name = 'shop'
[[step]]
name = 'shop'
agent = 'shopper'
input = { item = 'input.item' }
";

const RECORDED: &[Does] = &[Does::Look, Does::Rest, Does::Buy];

/// A scenario whose kernel has this agent.
fn scenario<const VERSION: u32>(does: &'static [Does]) -> Scenario {
    let mut scenario = Scenario::new("shopping");
    scenario.api("shop", || {
        let keyed = WriteSemantics::Keyed { ttl: Duration::from_secs(86_400) };
        Fake::of(()).read("price", &["item"], |(), _| Ok(json!(7))).write(
            "buy",
            keyed,
            &["item"],
            |(), _| Ok(json!({ "bought": true })),
        )
    });
    scenario.kernel(move |builder, _| company(builder.agent(Shopper::<VERSION>(does))));
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let input = json!({ "item": format!("item {number}") });
            client.start("shop", &format!("shop-{number}"), &input).await;
        }
    });
    scenario
}

fn company(builder: Builder) -> Builder {
    let policy = Policy::parse("policy.toml", POLICY).expect("it is well written");
    builder
        .policy(policy)
        .workflow(Workflow::parse("shop.toml", WORKFLOW).expect("it is well written"))
}

fn recorded() -> History {
    record(&scenario::<1>(RECORDED), &Plan::calm("shopping", 3, 2))
}

#[track_caller]
fn refused(scenario: &Scenario, history: &History, parts: &[&str]) {
    let replayed = catch_unwind(AssertUnwindSafe(|| assert_replays(scenario, history)));
    let panic = replayed.expect_err("it does not replay");
    let text = panic.downcast_ref::<String>().expect("a panic says why");
    for part in parts {
        assert!(text.contains(part), "it does not say {part:?}:\n{text}");
    }
}

#[test]
fn the_code_that_recorded_a_history_replays_it() {
    let history = recorded();
    assert!(history.appends() > 15, "it holds {} appends", history.appends());
    assert_replays(&scenario::<1>(RECORDED), &history);
}

#[test]
fn effects_that_changed_places_under_the_same_version_diverge() {
    let reordered = scenario::<1>(&[Does::Rest, Does::Look, Does::Buy]);
    let parts = [
        "HISTORY NOT REPLAYED: shopping",
        "effect.recorded",
        "step `shop`: the turn diverged from its journal at effect 0: recorded shop.price#0, asked ",
        "Give what changed another VERSION",
    ];
    refused(&reordered, &recorded(), &parts);
}

#[test]
fn an_effect_that_is_no_longer_asked_for_diverges() {
    let shorter = scenario::<1>(&[Does::Look, Does::Buy]);
    refused(&shorter, &recorded(), &["recorded sleep#0, asked the end of the turn"]);
}

#[test]
fn an_unrelated_effect_that_was_added_replays() {
    assert_replays(
        &scenario::<1>(&[Does::Look, Does::Rest, Does::Buy, Does::Remember]),
        &recorded(),
    );
    assert_replays(
        &scenario::<1>(&[Does::Look, Does::Remember, Does::Rest, Does::Buy]),
        &recorded(),
    );
}

#[test]
fn a_version_that_is_gone_is_missed_by_its_runs() {
    refused(&scenario::<2>(RECORDED), &recorded(), &["agent `shopper@1` is not there"]);
    let mut both = scenario::<2>(RECORDED);
    let builder = |name: &str| {
        Workflow::parse(name, "name = 'shop'\n[[step]]\nname = 'shop'\nagent = 'shopper'\ninput = { item = 'input.item' }").unwrap()
    };
    both.kernel(move |kernel, _| {
        let kernel = kernel.workflow(builder("w"));
        kernel.agent(Shopper::<1>(RECORDED)).agent(Shopper::<2>(&[Does::Rest, Does::Buy]))
    });
    assert_replays(&both, &recorded());
}

#[test]
fn what_a_crash_took_is_in_no_history() {
    let crash = Fault { when: Trigger::Effect { number: 1 }, what: Kind::PowerLoss { keep: 0 } };
    let plan = Plan::calm("shopping", 3, 2).with(vec![crash]);
    let history = record(&scenario::<1>(RECORDED), &plan);
    assert_eq!(history.plan(), &plan);
    assert_eq!(departures(&scenario::<1>(RECORDED), &history), []);
}

#[test]
fn a_history_in_a_file_is_the_history() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shopping.jsonl");
    let history = recorded();
    history.save(&file).unwrap();
    let loaded = History::load(&file).unwrap();
    assert_eq!(loaded, history);
    assert_replays(&scenario::<1>(RECORDED), &loaded);
}
