//! What tests of scenarios say when they fail, and that they do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde_json::json;
use soloist_kernel::{policy::Policy, semantics::WriteSemantics, workflow::Workflow};

use super::*;
use crate::{Chance, Fake, scenario::Faults};

const POLICY: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";
const WORKFLOW: &str =
    "name = 'pay'\n[[step]]\nname = 'pay'\ncall = 'bank.pay'\ninput = { to = 'input.to' }";

/// Pays each of as many people as there is work.
fn paying(scenario: &mut Scenario) {
    scenario.api("bank", || {
        let semantics = WriteSemantics::Keyed { ttl: Duration::from_secs(86_400) };
        Fake::of(()).write("pay", semantics, &["to"], |(), _| Ok(json!({ "paid": true })))
    });
    let policy = Policy::parse("p", POLICY).unwrap();
    let workflow = Workflow::parse("w", WORKFLOW).unwrap();
    scenario.kernel(move |builder, _| builder.policy(policy.clone()).workflow(workflow.clone()));
    scenario.workload(|client| async move {
        for number in 0..client.size() {
            let to = json!({ "to": format!("person {number}") });
            client.start("pay", &format!("pay-{number}"), &to).await;
        }
    });
    // A call that is lost stays with the kernel; a process that ends is what this is about.
    scenario.faults(Faults::only(&[crate::plan::Class::Process]));
}

fn scenario() -> Scenario {
    let mut scenario = Scenario::new("paying");
    paying(&mut scenario);
    scenario
}

/// A scenario in which nobody is paid after a crash, as far as `always` can tell.
fn broken() -> Scenario {
    let mut scenario = scenario();
    scenario.always("no second process", |world| {
        let processes = world.state().epoch;
        if processes > 1 { Err(format!("there are {processes}")) } else { Ok(()) }
    });
    scenario
}

const FEW: Options = Options { seeds: Some(20), exhaust: None, size: Some(2), double: Some(50) };

#[track_caller]
fn panics(work: impl FnOnce(), parts: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it does not panic");
    let text = panic.downcast_ref::<String>().expect("a panic says why");
    for part in parts {
        assert!(text.contains(part), "it does not say {part:?}:\n{text}");
    }
}

#[test]
fn what_holds_passes() {
    check("soloist_sim::paying", FEW, paying);
    exhaust(&scenario());
    crash_everywhere(&scenario());
    determinism(&scenario(), 7);
    let outcome = replay(&scenario(), &Plan::calm("paying", 7, 2));
    assert_eq!((outcome.effects, outcome.trace.is_empty()), (2, false));
}

#[test]
fn what_fails_says_how_to_see_it_again() {
    let setup =
        |scenario: &mut Scenario| *scenario = Scenario { name: scenario.name.clone(), ..broken() };
    let parts = [
        "SIMULATION FAILED: no second process does not hold",
        "SOLOIST_SIM='{\"scenario\":\"soloist_sim::testing::broken\"",
        "cargo test testing::broken",
        "testing-broken.html",
        "What has to go wrong: 1 fault",
    ];
    panics(|| check("soloist_sim::testing::broken", FEW, setup), &parts);
    let seeds = Options { exhaust: Some(false), ..FEW };
    panics(|| check("soloist_sim::testing::broken", seeds, setup), &parts[..4]);
}

#[test]
fn what_a_helper_finds_is_told_as_code() {
    let again = "testing::replay(&scenario, &Plan::parse(r#\"{\"scenario\":\"paying\"";
    let parts = ["no second process does not hold", again, "paying.html"];
    panics(|| exhaust(&broken()), &parts);
    panics(|| crash_everywhere(&broken()), &parts);
    let crash = Fault { when: Trigger::At { ms: 1 }, what: Kind::Crash };
    let plan = Plan::calm("paying", 0, 2).with(vec![crash]);
    panics(|| drop(replay(&broken(), &plan)), &parts);
}

#[test]
fn what_must_happen_sometimes_and_never_does_fails() {
    let setup = |scenario: &mut Scenario| {
        paying(scenario);
        scenario.sometimes("somebody is paid", |world| !world.effects().is_empty());
        scenario.sometimes("somebody is paid twice", |world| world.effects().len() > 9);
    };
    panics(
        || check("soloist_sim::vacuous", FEW, setup),
        &["never", "[\"somebody is paid twice\"]"],
    );
}

#[test]
fn what_is_decided_by_more_than_the_plan_fails() {
    let drawn = std::sync::atomic::AtomicU64::new(0);
    let drawn = std::sync::Arc::new(drawn);
    let setup = move |scenario: &mut Scenario| {
        paying(scenario);
        let drawn = drawn.clone();
        scenario.workload(move |client| {
            let number = drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let wait = Chance::of(number, "wait", 0).below(1_000);
            async move {
                client.sleep(Duration::from_millis(wait)).await;
                client.start("pay", "pay-0", &json!({ "to": "person 0" })).await;
            }
        });
    };
    let parts = ["two simulations of one plan differ", "the first difference is line"];
    panics(|| check("soloist_sim::differs", FEW, setup), &parts);
}

#[test]
fn a_plan_of_another_scenario_is_left_alone() {
    let scenario = broken();
    let crash = Fault { when: Trigger::At { ms: 1 }, what: Kind::Crash };
    let other = Plan::calm("other::one", 0, 1).with(vec![crash]);
    only(Told::of(&scenario), &other.line());
    let own = Plan { scenario: "some::paying".into(), ..other };
    panics(|| only(Told::of(&scenario), &own.line()), &["no second process does not hold"]);
    panics(|| only(Told::of(&scenario), "{"), &["SOLOIST_SIM: this is not a plan"]);
}
