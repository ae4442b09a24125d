//! Any sequence of outcomes, over every kind of step.

use std::collections::BTreeSet;

use super::world::World;
use crate::payload::Digest;

const EVERYTHING: &str = r#"
    name = "everything"
    [intent]
    name = "all-of-it"
    deadline = "1m"
    [[step]]
    name = "look"
    agent = "worker"
    retry = { attempts = 2, base = "1s", cap = "1s" }
    on_failure = "escalate"
    [[step]]
    name = "each"
    map = "input.items"
    agent = "worker"
    parallel_max = 2
    failures_max = 1
    needs = ["look"]
    [[step]]
    name = "send"
    call = "mail.send"
    needs = ["look"]
    input = { to = "'x'" }
    on_failure = "compensate"
    [[step]]
    name = "below"
    workflow = "beneath"
    needs = ["each"]
    on_failure = "continue"
    [[step]]
    name = "again"
    loop = { until = "result.ok", rounds_max = 3 }
    agent = "worker"
    needs = ["send"]
    on_failure = { template = { ok = "no" } }
    [[step]]
    name = "consent"
    approve = "Go on?"
    deadline = "30s"
    needs = ["again"]
    [[step]]
    name = "pause"
    wait = { for = "10s", event = "go" }
    needs = ["consent"]
    [[step]]
    name = "tell"
    emit = "done"
    needs = ["pause"]
    [[step]]
    name = "last"
    agent = "worker"
    needs = ["tell", "below"]
    on_failure = { agent = "deputy" }
"#;

const BENEATH: &str = r#"
    name = "beneath"
    [[step]]
    name = "first"
    call = "mail.send"
    input = { to = "'x'" }
    [[step]]
    name = "second"
    agent = "worker"
    needs = ["first"]
    on_failure = "compensate"
"#;

fn fingerprint(world: &World) -> Digest {
    let text = format!("{:?}", world.journal);
    Digest::of(text.as_bytes())
}

/// Seeds that CI walks. More of them, and longer, is what the simulator is for.
const SEEDS: u64 = 300;

#[test]
fn whatever_happens_nothing_lands_twice_and_everything_ends() {
    let mut seen = BTreeSet::new();
    for seed in 1..=SEEDS {
        seen.extend(World::of(&[EVERYTHING, BENEATH], seed).run().seen);
    }
    // The walk is worth what it meets.
    let kinds = [
        "run.started",
        "step.started",
        "step.skipped",
        "step.completed",
        "step.failed",
        "effect.recorded",
        "question.asked",
        "timer.set",
        "event.awaited",
        "child.started",
        "effect.answered",
        "effect.delegated",
        "write.proposed",
        "write.approved",
        "write.aborted",
        "write.attempted",
        "write.landed",
        "write.faulted",
        "write.proven_absent",
        "write.resolved",
        "write.delegated",
        "write.expired",
        "write.stopped",
        "write.parked",
        "write.unparked",
        "write.uncompensated",
        "child.unwound",
        "run.completed",
        "run.failed",
        "run.unwinding",
        "run.unwound",
        "run.overdue",
        "run.dismissed",
        "run.cancelled",
        "step.retried",
        "step.overridden",
    ];
    let missed: Vec<_> = kinds.iter().filter(|kind| !seen.contains(*kind)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

#[test]
fn the_journals_of_two_identical_runs_are_the_same_bytes() {
    for seed in [3, 14, 159] {
        let (once, again) =
            (World::of(&[EVERYTHING, BENEATH], seed), World::of(&[EVERYTHING, BENEATH], seed));
        assert_eq!(fingerprint(&once.run()), fingerprint(&again.run()), "seed {seed}");
    }
}
