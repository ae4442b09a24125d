//! The third proving ground: a household that must not spend more than it may.
//!
//! Every call costs something, and there is room for fewer than are wanted: for all together in money and in calls, and for each
//! run. The operator lets it be more, a little at a time. What has no price is wanted as well, and never called.

use serde_json::{Value, json};
use soloist_actors::{Agent, Failure, ReadOnly, Turn};
use soloist_kernel::{
    budget::{Budgets, Cost},
    policy::Policy,
    semantics::WriteSemantics,
    workflow::Workflow,
};

use crate::{
    fake::{Fake, Request},
    operator::Operator,
    scenario::Scenario,
};

const ORDER: &str = include_str!("thrift/order.toml");
const HINT: &str = include_str!("thrift/hint.toml");
const BUDGETS: &str = include_str!("thrift/budgets.toml");
const POLICY: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'it is a household'\n";

/// How long the shop knows a key.
const KEY_TTL: std::time::Duration = std::time::Duration::from_secs(48 * 3600);

/// What the operator lets a budget be exceeded by, each time that he is told that one is used up.
const MORE: Cost = Cost { micro_usd: 20_000, tokens: 0, calls: 2 };

/// The scenario.
///
/// # Panics
///
/// If its own definitions are not well, which its tests would show.
#[must_use]
pub fn scenario() -> Scenario {
    let mut scenario = Scenario::new("thrift");
    scenario.api("shop", shop);
    let workflows = [("order", ORDER), ("hint", HINT)].map(|(name, text)| {
        Workflow::parse(name, text).unwrap_or_else(|problems| panic!("{}", problems[0]))
    });
    let policy =
        Policy::parse("policy", POLICY).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let budgets =
        Budgets::parse("budgets.toml", BUDGETS).unwrap_or_else(|problem| panic!("{problem}"));
    scenario.budgets(budgets);
    scenario.kernel(move |builder, _| {
        let builder = builder.agent(Look).agent(Rare).policy(policy.clone());
        workflows.iter().cloned().fold(builder, |all, one| all.workflow(one))
    });
    scenario.operator(Operator::approving().raising(MORE));
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let order = json!({ "order": format!("o{number}") });
            client.start("order", &format!("order-{number}"), &order).await;
            client.start("hint", &format!("hint-{number}"), &order).await;
        }
    });
    for seen in ["the operator raised a budget", "something stood in for want of money"] {
        scenario.sometimes(seen, move |world| world.seen(seen) > 0);
    }
    scenario.finally("a hint comes from the shop or from the almanac", |world, soloist| {
        let runs = soloist.runs().map_err(|error| error.to_string())?;
        for run in runs.iter().filter(|run| run.workflow.starts_with("hint@")) {
            let folded = soloist.folded(&run.run).map_err(|error| error.to_string())?;
            let steps = folded.iter().flat_map(|folded| &folded.steps);
            let outputs: Vec<String> =
                steps.filter_map(|step| step.output()).map(|it| it.value.to_string()).collect();
            if outputs.iter().any(|output| output.contains("almanac")) {
                world.saw("something stood in for want of money");
            }
            if run.status == "waiting" {
                return Err(format!("{} waits, although it is to fail", run.run));
            }
        }
        Ok(())
    });
    scenario
}

fn shop() -> Fake<u64> {
    let order = &["order"];
    Fake::of(0)
        .read("ask", order, |_, request| Ok(json!({ "said": request.text("order") })))
        .read("rare", order, |_, _| Ok(json!({ "found": "it" })))
        .write("buy", WriteSemantics::Keyed { ttl: KEY_TTL }, order, done)
        .write("return", WriteSemantics::NaturalKey, order, done)
        .countered("buy", "return")
        .write("wrap", WriteSemantics::NaturalKey, order, |count, request| {
            match request.text("order") {
                "o0" => Err("there is no paper for this".into()),
                _ => done(count, request),
            }
        })
}

#[expect(clippy::unnecessary_wraps, reason = "it is a handler, and others refuse")]
fn done(count: &mut u64, request: &Request) -> Result<Value, String> {
    *count += 1;
    Ok(json!({ "number": *count, "order": request.text("order") }))
}

/// Asks the shop twice.
struct Look;

impl Agent for Look {
    const NAME: &'static str = "look";
    const TOOLS: &'static [&'static str] = &["shop.ask"];
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<ReadOnly>, input: Value) -> Result<Value, Failure> {
        let first: Value = turn.call("shop.ask", &json!({ "order": input["order"] })).await?;
        let again: Value = turn.call("shop.ask", &json!({ "order": first["said"] })).await?;
        Ok(json!({ "heard": again["said"] }))
    }
}

/// Asks for what has no price.
struct Rare;

impl Agent for Rare {
    const NAME: &'static str = "rare";
    const TOOLS: &'static [&'static str] = &["shop.rare"];
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<ReadOnly>, input: Value) -> Result<Value, Failure> {
        Ok(turn.call("shop.rare", &json!({ "order": input["order"] })).await?)
    }
}
