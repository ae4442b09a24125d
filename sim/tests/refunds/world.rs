//! What both agents live in: a payments API, orders to be refunded, somebody who looks into the inbox, and what must hold.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use soloist_actors::{Builder, Soloist};
use soloist_kernel::{
    effect::Decision, inbox::Kind, policy::Policy, semantics::WriteSemantics, workflow::Workflow,
};
use soloist_sim::{Fake, Operator, Scenario, World};

/// What a refund is asked for.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Order {
    /// The order's number.
    pub(crate) order: String,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Refunded {
    /// The number of the receipt.
    pub(crate) receipt: u64,
}

/// The payments API remembers idempotency keys for a day, as those of this world do.
const KEYS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

const WORKFLOW: &str = "
name = 'refund'
[[step]]
name = 'refund'
agent = 'refund'
input = { order = 'input.order' }
";

const POLICY: &str = "
[[rule]]
name = 'refunds'
verdict = 'allow'
reason = 'refunds of this company are small'
";

/// The world: everything but the agent.
pub(crate) fn payments(scenario: &mut Scenario) {
    scenario.api("payments", || {
        let refund = |refunded: &mut u64, _: &soloist_sim::Request| {
            *refunded += 1;
            Ok(json!({ "number": *refunded }))
        };
        Fake::of(0).write("refund", WriteSemantics::Keyed { ttl: KEYS_KEPT }, &["order"], refund)
    });
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let order = json!({ "order": order(number) });
            client.start("refund", &run(number), &order).await;
        }
    });
    // Failed runs stay in the inbox, so that it can be asked about them at the end.
    scenario.operator(Operator::deciding(|item, _| match item.kind {
        Kind::Approval => Some(Decision::Approve),
        Kind::Escalation => Some(Decision::Fail),
        Kind::Question | Kind::Ambiguous | Kind::Incident => None,
    }));
    scenario.always("one refund per order", one_each);
    scenario.finally("every order is refunded or the inbox says why", explained);
}

/// The kernel: everything but the agent, and but what a simulation adds by itself.
pub(crate) fn company(builder: Builder) -> Builder {
    let policy = Policy::parse("policy.toml", POLICY).expect("the policy is well written");
    let workflow = Workflow::parse("refund.toml", WORKFLOW).expect("the workflow is well written");
    builder.policy(policy).workflow(workflow)
}

fn order(number: u32) -> String {
    format!("order-{number}")
}

fn run(number: u32) -> String {
    format!("refund-{number}")
}

/// How often each order was refunded, as the payments API counts.
fn refunds(world: &World) -> BTreeMap<String, u32> {
    let mut refunds = BTreeMap::new();
    for effect in world.effects_of("payments.refund") {
        let order = effect.detail["arguments"]["order"].as_str().unwrap_or_default().to_owned();
        *refunds.entry(order).or_default() += 1;
    }
    refunds
}

fn one_each(world: &World) -> Result<(), String> {
    match refunds(world).into_iter().find(|(_, times)| *times > 1) {
        Some((order, times)) => Err(format!("{order} was refunded {times} times")),
        None => Ok(()),
    }
}

fn explained(world: &World, soloist: &Soloist) -> Result<(), String> {
    let refunded = refunds(world);
    let inbox = soloist.inbox().map_err(|error| error.to_string())?;
    let runs = soloist.runs().map_err(|error| error.to_string())?;
    for number in 0..world.size() {
        let (order, run) = (order(number), run(number));
        let asked = inbox.iter().any(|item| item.run.as_ref().is_some_and(|of| of.as_str() == run));
        // Whoever ends a run himself knows why.
        let by_hand = |status: &str| matches!(status, "aborted" | "cancelled");
        let ended = runs.iter().any(|of| of.run.as_str() == run && by_hand(&of.status));
        if !refunded.contains_key(&order) && !asked && !ended {
            return Err(format!("{order} is not refunded, and nobody is told"));
        }
    }
    Ok(())
}
