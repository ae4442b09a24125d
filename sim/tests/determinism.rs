//! The same plan is the same story wherever it is simulated; what is not is found; and another seed is another story.

mod determinism {
    pub(crate) mod scenarios;
}

use std::{collections::BTreeSet, process::Command};

use determinism::scenarios;
use soloist_sim::{
    Options, Plan, Scenario,
    determinism::compare,
    run,
    swarm::{self, Profile},
};

/// Set for a process of its own, in which [`child`] tells what plans come to.
const CHILD: &str = "SOLOIST_SIM_TEST_CHILD";

/// What the line begins with in which it tells so.
const TOLD: &str = "the hashes are ";

/// Plans whose hashes are compared.
const PLANS: u64 = 12;

/// Times that what is not the same twice may be the same by chance. Five keys of a hash map have 120 orders.
const TRIES: u32 = 5;

/// The hashes of some plans with faults, each simulated here and now.
fn hashes() -> String {
    let scenario = scenarios::errands();
    let profile = Profile::of(&scenario, 2).expect("all is well if nothing goes wrong");
    let hash = |seed| {
        let plan = swarm::plan(&scenario, &profile, seed, 2);
        let outcome = run(&scenario, &plan, Options::default());
        format!("{:016x}/{}", outcome.hash, outcome.lines)
    };
    (0..PLANS).map(hash).collect::<Vec<_>>().join(" ")
}

/// The hashes in a process of its own, which `prepare` may give another environment.
fn hashes_of_a_process(program: Option<&[&str]>, prepare: impl FnOnce(&mut Command)) -> String {
    let own = std::env::current_exe().expect("a test knows where it is");
    let mut command = match program {
        Some(words) => {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg(own);
            command
        }
        None => Command::new(own),
    };
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    prepare(&mut command);
    let output = command.output().expect("the test can start itself");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.split_once(TOLD));
    let errors = || String::from_utf8_lossy(&output.stderr).into_owned();
    told.unwrap_or_else(|| panic!("it told nothing: {text}{}", errors())).1.to_owned()
}

/// What a process of its own does. In the test run itself it does nothing.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink).init();
        assert!(tracing::enabled!(tracing::Level::TRACE), "everything is logged");
    }
    println!("\n{TOLD}{}", hashes());
}

#[test]
fn the_same_plan_has_one_hash_on_every_thread() {
    let here = hashes();
    let others: Vec<_> = (0..3).map(|_| std::thread::spawn(hashes)).collect();
    for other in others {
        assert_eq!(other.join().expect("it does not panic"), here);
    }
}

#[test]
fn the_same_plan_has_one_hash_in_every_process() {
    let here = hashes();
    assert_eq!(hashes_of_a_process(None, |_| {}), here, "in a process of its own");
    let logged = hashes_of_a_process(None, |command| {
        command.env("RUST_LOG", "trace");
    });
    assert_eq!(logged, here, "with everything logged");
    let large = "x".repeat(100_000);
    let large = hashes_of_a_process(None, |command| {
        command.env("LARGE", large);
    });
    assert_eq!(large, here, "in a large environment");
    // Not every machine lets a process be bound to one of its cores.
    let bound = Command::new("taskset").args(["-c", "0", "true"]).status();
    if bound.is_ok_and(|status| status.success()) {
        let bound = hashes_of_a_process(Some(&["taskset", "-c", "0"]), |_| {});
        assert_eq!(bound, here, "on one core");
    }
}

#[test]
fn the_order_of_a_hash_map_is_caught() {
    let scenario = scenarios::unordered();
    let plan = Plan::calm(scenario.name(), 0, 1);
    let first = run(&scenario, &plan, Options::default());
    assert!(first.is_well(), "nothing is wrong with it but its order: {:?}", first.violations);
    let caught = (0..TRIES).find_map(|_| compare(&scenario, &plan, Options::default(), &first));
    let caught = caught.expect("two simulations of it differ").to_string();
    assert!(caught.contains("  - ") && caught.contains("  + "), "it shows where: {caught}");
}

#[test]
fn each_seed_finds_another_order() {
    let scenario = scenarios::at_once();
    let counts = [50, 100, 200].map(|seeds| interleavings(&scenario, seeds, true));
    assert!(counts[0] > 25, "half of the first seeds are new at least: {counts:?}");
    assert!(counts[0] < counts[1] && counts[1] < counts[2], "more seeds find more: {counts:?}");
}

#[test]
fn without_perturbation_there_is_one_order() {
    assert_eq!(interleavings(&scenarios::at_once(), 50, false), 1);
}

/// In how many orders things are done under the first `seeds` seeds, if nothing goes wrong.
fn interleavings(scenario: &Scenario, seeds: u64, perturbed: bool) -> usize {
    let of = |seed| {
        let plan = Plan { perturbed, ..Plan::calm(scenario.name(), seed, 4) };
        let outcome = run(scenario, &plan, Options::default());
        assert!(outcome.is_well(), "seed {seed}: {:?}", outcome.violations);
        outcome.interleaving
    };
    (0..seeds).map(of).collect::<BTreeSet<_>>().len()
}
