//! fjall beneath a simulation: the same story as over the model, and a whole journal after every way to die.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use soloist_actors::{Agent, Failure, Transactional, Turn};
use soloist_kernel::{
    effect::Outcome, policy::Policy, semantics::WriteSemantics, workflow::Workflow,
};
use soloist_sim::{
    DiskKind, Fake, Options, Outcome as Simulated, Plan, Scenario, exhaust,
    plan::{Class, Trigger},
    run,
    swarm::{self, Profile},
};

struct Refund;

impl Agent for Refund {
    const NAME: &'static str = "refund";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["payments.refund"];
    type Input = Value;
    type Output = String;

    async fn run(&self, turn: Turn<Transactional>, order: Value) -> Result<String, Failure> {
        match turn.propose("payments.refund", &json!({ "order": order["order"] })).await? {
            Outcome::Landed { .. } => Ok("refunded".to_owned()),
            other => Err(Failure::fatal(other.word())),
        }
    }
}

const POLICY: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'it is a test'";

const WORKFLOW: &str = "name = 'refund'
[[step]]
name = 'refund'
agent = 'refund'
input = { order = 'input.order' }
";

/// As many refunds as the plan's size says, each of which happens once.
fn refunds() -> Scenario {
    let mut scenario = Scenario::new("refunds");
    scenario.api("payments", || {
        let semantics = WriteSemantics::Keyed { ttl: Duration::from_secs(86_400) };
        Fake::of(0u64).write("refund", semantics, &["order"], |count, _| {
            *count += 1;
            Ok(json!({ "number": *count }))
        })
    });
    let policy = Policy::parse("p", POLICY).expect("the policy is well formed");
    let workflow = Workflow::parse("w", WORKFLOW).expect("the workflow is well formed");
    scenario.kernel(move |builder, _| {
        builder.agent(Refund).policy(policy.clone()).workflow(workflow.clone())
    });
    scenario.workload(|client| async move {
        for index in 0..client.size() {
            let input = json!({ "order": format!("order-{index}") });
            client.start("refund", &format!("refund-{index}"), &input).await;
        }
    });
    scenario
}

/// Simulates `plan` over both disks, and returns what was seen over fjall.
#[track_caller]
fn check(scenario: &Scenario, plan: &Plan) -> Simulated {
    let [model, real] = [DiskKind::Model, DiskKind::Real]
        .map(|disk| run(scenario, plan, Options { disk, ..Options::default() }));
    assert_eq!(real.violations, model.violations, "{}", plan.line());
    assert_eq!(real.hash, model.hash, "{}", plan.line());
    assert!(real.is_well(), "{}: {:?}", plan.line(), real.violations);
    real
}

fn count(seen: &mut BTreeMap<String, u64>, outcome: Simulated) {
    for (what, times) in outcome.seen {
        *seen.entry(what).or_default() += times;
    }
}

/// What must have been seen, or nothing was proved of it.
#[track_caller]
fn check_seen(seen: &BTreeMap<String, u64>, whats: &[&str]) {
    for what in whats {
        assert!(seen.contains_key(*what), "never: {what}; seen: {seen:?}");
    }
}

#[test]
fn sixty_seeds_over_fjall_are_the_same_story_as_over_the_model() {
    let scenario = refunds();
    let profiles = [1, 2, 3].map(|size| Profile::of(&scenario, size).unwrap());
    let mut seen = BTreeMap::new();
    for seed in 0..60 {
        let which = usize::try_from(seed % 3).unwrap();
        let size = u32::try_from(which).unwrap() + 1;
        let plan = swarm::plan(&scenario, &profiles[which], seed, size);
        count(&mut seen, check(&scenario, &plan));
    }
    check_seen(&seen, &["the journal was whole", "a damaged journal was mended"]);
}

#[test]
fn after_every_single_fault_of_the_journal_fjall_holds_what_the_model_holds() {
    let scenario = refunds();
    let profile = Profile::of(&scenario, 1).unwrap();
    let of_journal = |plan: &Plan| {
        let fault = &plan.faults[0];
        let ends = matches!(fault.what.class(), Class::Process | Class::Disk);
        ends && matches!(fault.when, Trigger::Journal { .. })
    };
    let mut plans = exhaust::singles(&scenario, &profile, 1);
    plans.retain(of_journal);
    assert!(plans.len() >= 100, "only {} plans", plans.len());
    let mut seen = BTreeMap::new();
    for (seed, mut plan) in (0..).zip(plans) {
        // What a fault leaves is up to chance, which would be the same in all of them.
        plan.seed = seed;
        count(&mut seen, check(&scenario, &plan));
    }
    let recoveries = [
        "the journal was whole",
        "a damaged journal was mended",
        "a damaged journal was refused",
        "a shorter journal was taken for whole",
    ];
    check_seen(&seen, &recoveries);
}
