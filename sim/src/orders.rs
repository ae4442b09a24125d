//! The proving ground: a small shop with every kind of wait and of write in it.
//!
//! The invariants are the same for every scenario, but a scenario can only break those that it has the ingredients for. This
//! one has most of them: the five kinds of write semantics, a saga, runs beneath runs, sleeps, events from inside and outside,
//! questions with a deadline, facts, reads, limits that are reached, a shadowed write, a new version and a new policy
//! in mid-run. It is what
//! regressions of the kernel and planted bugs are simulated in, beside the companies of the binary.

mod shop;

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::{Agent, Failure, ReadOnly, Transactional, Turn};
use soloist_kernel::{effect::Outcome, policy::Policy, workflow::Workflow};

use crate::{
    operator::{APPROVED_LATER, Operator},
    scenario::{Faults, Scenario, Webhook},
};

const ORDER: &str = include_str!("orders/order.toml");
const PART: &str = include_str!("orders/part.toml");
const PAID: &str = include_str!("orders/paid.toml");
const POLICY: &str = include_str!("orders/policy.toml");

/// The scenario.
///
/// # Panics
///
/// If its own definitions are not well, which its tests would show.
#[must_use]
pub fn scenario() -> Scenario {
    let mut scenario = Scenario::new("orders");
    scenario.faults(Faults::all().overriding());
    scenario.api("shop", shop::shop);
    let workflows = [("part", PART), ("paid", PAID), ("order", ORDER)].map(|(name, text)| {
        Workflow::parse(name, text).unwrap_or_else(|problems| panic!("{}", problems[0]))
    });
    let later =
        ORDER.replace("An order, from its invoice", "An order as it is now, from its invoice");
    let later =
        Workflow::parse("order", &later).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let policy =
        Policy::parse("policy", POLICY).unwrap_or_else(|problems| panic!("{}", problems[0]));
    // Under the new policy no more mails are sent.
    let new_policy = POLICY.replacen("verdict = \"approve\"", "verdict = \"shadow\"", 1);
    let new_policy =
        Policy::parse("policy", &new_policy).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let new_workflows = workflows.clone();
    scenario.kernel(move |builder, _| {
        let builder = builder.agent(Pack).agent(Listen).subscribe("listen", "order.done");
        workflows.iter().cloned().fold(builder.policy(policy.clone()), |all, one| all.workflow(one))
    });
    scenario.deploys(move |builder, _| {
        let builder = builder.agent(Pack).agent(Listen).subscribe("listen", "order.done");
        let builder =
            new_workflows.iter().take(2).cloned().fold(builder, |all, one| all.workflow(one));
        builder.policy(new_policy.clone()).workflow(later.clone())
    });
    scenario.operator(Operator::default());
    scenario.size_max(3);
    scenario.webhooks(|world| {
        let paid = |number: u32| Webhook {
            source: "bank".into(),
            id: format!("transfer-{number}"),
            event: "order.paid".into(),
            data: json!({ "order": format!("o{number}") }),
            at_ms: 10_000 * u64::from(number + 1),
        };
        (0..world.size()).map(paid).collect()
    });
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let order = json!({ "id": format!("o{number}"), "parts": [format!("a{number}"), format!("b{number}")] });
            client.start("order", &format!("r{number}"), &order).await;
        }
    });
    scenario.always("a tip is never given", |world| {
        let tips = world.effects_of("shop.tip").len();
        if tips == 0 {
            Ok(())
        } else {
            Err(format!("{tips} tips were given, which policy shadows"))
        }
    });
    scenario.always("under the new policy no mail is approved", |world| {
        match world.seen(APPROVED_LATER) {
            0 => Ok(()),
            mails => Err(format!("{mails} were")),
        }
    });
    scenario.finally(
        "what is invoiced is charged, or the invoice is taken back",
        |world, soloist| {
            let open = shop::charged_or_taken_back(world, soloist);
            // What the inbox still holds is the operator's.
            let asked = soloist.inbox().map_or(0, |items| items.len());
            if asked > 0 { Ok(()) } else { open }
        },
    );
    scenario.finally("the bank's word is heard", shop::heard);
    scenario
        .sometimes("a saga was taken back", |world| !world.effects_of("shop.uninvoice").is_empty());
    scenario
        .sometimes("a probe found the write", |world| world.seen("a probe found the write") > 0);
    scenario.sometimes("a probe proved the write absent", |world| {
        world.seen("a probe proved the write absent") > 0
    });
    scenario.sometimes("the operator said what became of a write", |world| {
        world.seen("the operator said resolve") > 0
    });
    scenario
}

/// Packs an order: an effect of each kind, and a write.
struct Pack;

impl Agent for Pack {
    const NAME: &'static str = "pack";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["shop.stock", "shop.ship"];
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<Transactional>, order: Value) -> Result<Value, Failure> {
        let id = order["id"].as_str().unwrap_or_default().to_owned();
        let (at, chance) = (turn.now().await?, turn.random().await?);
        let stock: Value = turn.call("shop.stock", &json!({})).await?;
        turn.remember("orders", &id, &json!(chance)).await?;
        turn.sleep(Duration::from_secs(20)).await?;
        turn.remember("orders", "last", &json!(at)).await?;
        turn.remember("orders", "last", &json!(chance)).await?;
        let shipped = turn.propose("shop.ship", &json!({ "order": id })).await?;
        let said: String =
            turn.step("say", || async { Ok::<_, Failure>(format!("{at} {chance}")) }).await?;
        let number = match &shipped {
            Outcome::Landed { receipt, .. } => receipt.value()["number"].clone(),
            _ => Value::Null,
        };
        Ok(json!({ "shipped": shipped.word(), "number": number, "said": said, "stock": stock }))
    }
}

/// Hears of orders that are done.
struct Listen;

impl Agent for Listen {
    const NAME: &'static str = "listen";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, event: Value) -> Result<u32, Failure> {
        let id = event["id"].as_str().unwrap_or("none");
        Ok(turn.remember("heard", id, &json!(1)).await?)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Options, Plan, Report,
        plan::{Fault, Kind, Moment, Trigger},
        run,
        swarm::Profile,
    };

    /// Its end is recorded and nobody knows of it, or its beginning, or anything between.
    #[test]
    fn a_run_that_dies_after_any_append_goes_on_or_is_known_to_have_ended() {
        let scenario = super::scenario();
        let profile = Profile::of(&scenario, 1).unwrap_or_else(|_| panic!("it holds by itself"));
        for number in 0..profile.appends {
            let when = Trigger::Journal { number, moment: Moment::After };
            let what = Kind::Kill { actor: "run".into() };
            let plan = Plan::calm("orders", 0, 1).with(vec![Fault { when, what }]);
            let plan = Plan { perturbed: false, ..plan };
            let outcome = run(&scenario, &plan, Options::default());
            let report = Report { outcome: &outcome, faults_before: 1, simulations: 1 };
            assert!(outcome.is_well(), "{report}");
        }
    }
}
