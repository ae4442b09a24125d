//! Runs beneath runs, wherever the process dies: a `map` of writes, another workflow, a delegated task, an event that
//! triggers a run; and at the end either all of it stays, or all of it is taken back.

use std::sync::{Arc, atomic::Ordering};

use soloist_connectors::Env;
use soloist_kernel::{
    journal::{
        Journal,
        memory::{Crash, MemoryJournal, Syncing},
    },
    policy::Policy,
    semantics::WriteSemantics,
    time::Timestamp,
    workflow::Workflow,
};

use super::world::{Mortal, Point, Post, Tripwire, World};
use crate::{Agent, Failure, ReadOnly, RunEnd, Soloist, Transactional, Turn};

const FAMILY: &str = "
    name = 'family'
    [[step]]
    name = 'each'
    map = '[1, 2]'
    call = 'post.send'
    input = { text = 'item' }
    [[step]]
    name = 'below'
    workflow = 'small'
    needs = ['each']
    [[step]]
    name = 'hands_on'
    agent = 'hands_on'
    needs = ['below']
    input = { good = 'input.good' }
    on_failure = 'compensate'
    [[step]]
    name = 'tell'
    emit = 'family.done'
    needs = ['hands_on']
    input = { good = 'input.good' }
";

const SMALL: &str = "
    name = 'small'
    [[step]]
    name = 'send'
    call = 'post.send'
    input = { text = \"'small'\" }
";

const AFTER: &str = "
    name = 'after'
    [[trigger]]
    event = 'family.done'
    [[step]]
    name = 'send'
    call = 'post.send'
    input = { text = \"'after'\" }
";

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Task {
    good: bool,
}

/// Sends, hands on the rest, and fails if the task is no good.
struct HandsOn;

impl Agent for HandsOn {
    const NAME: &'static str = "hands_on";
    const TOOLS: &'static [&'static str] = &["post.send"];
    type Kind = Transactional;
    type Input = Task;
    type Output = u32;

    async fn run(&self, turn: Turn, task: Task) -> Result<u32, Failure> {
        turn.propose("post.send", &serde_json::json!({ "text": "mine" })).await?;
        let said: u32 = turn.delegate("helper", &task).await?;
        if task.good { Ok(said) } else { Err(Failure::fatal("it is no good")) }
    }
}

/// What is handed on.
struct Helper;

impl Agent for Helper {
    const NAME: &'static str = "helper";
    type Kind = ReadOnly;
    type Input = Task;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, _task: Task) -> Result<u32, Failure> {
        Ok(turn.step("think", || async { Ok::<_, String>(7) }).await?)
    }
}

async fn open(journal: Arc<dyn Journal>, world: &World, wire: &Arc<Tripwire>) -> Option<Soloist> {
    let policy =
        Policy::parse("p", "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'").unwrap();
    let mut builder = Soloist::builder()
        .env(Env::with_clock(|| Timestamp(1_700_000_000_000), [7; 32]))
        .journal(journal)
        .agent(HandsOn)
        .agent(Helper)
        .connector("post", Post::new(WriteSemantics::NaturalKey, world.clone(), wire.clone()))
        .policy(policy);
    for text in [FAMILY, SMALL, AFTER] {
        builder = builder.workflow(Workflow::parse("w", text).unwrap());
    }
    builder.open().await.ok()
}

/// Dies at `point` while a run with a good or a bad task is under way, takes over, and checks.
async fn check(good: bool, point: Point, crash: Crash) -> Arc<Tripwire> {
    let case = format!("{good} {point:?} {crash:?}");
    let (world, wire) = (World::default(), Tripwire::at(point));
    let inner = Arc::new(MemoryJournal::new(Syncing::Auto));
    let mortal = Arc::new(Mortal { inner: inner.clone(), wire: wire.clone() });
    let first = open(mortal, &world, &wire).await;
    if let Some(soloist) = &first {
        let _ = soloist.start("family", "one", &Task { good }).await;
        let _ = soloist.idle().await;
    }
    let survivor = Arc::new(inner.crash(crash));
    if let Some(soloist) = first {
        let _ = soloist.shutdown().await;
    }

    let calm = Tripwire::at(Point::Never);
    let soloist = open(survivor, &world, &calm).await.expect("what is left can be opened");
    soloist.start("family", "one", &Task { good }).await.expect("nothing dies any more");
    soloist.idle().await.unwrap();
    let runs = soloist.runs().unwrap();
    let over = |status: &str| matches!(status, "completed" | "failed" | "aborted");
    assert!(runs.iter().all(|run| over(&run.status)), "{case}: {runs:#?}");
    let end = soloist.run("one").unwrap().rest().await.unwrap();
    let counts = world.counts();
    assert!(counts.values().all(|count| *count == 1), "{case}: {counts:?}");
    let count = |what: &str| counts.keys().filter(|key| key.starts_with(what)).count();
    if good {
        assert!(matches!(end, RunEnd::Completed(_)), "{case}: {end:?}");
        assert_eq!((count("send"), count("unsend")), (5, 0), "{case}");
    } else {
        assert!(matches!(end, RunEnd::Failed { .. }), "{case}: {end:?}");
        assert_eq!((count("send"), count("unsend")), (4, 4), "{case}: all of it is taken back");
    }
    soloist_kernel::journal::verify::verify(soloist.journal(), None).unwrap();
    soloist.shutdown().await.unwrap();
    wire
}

async fn every_point(good: bool) {
    let counted = check(good, Point::Never, Crash::Process).await;
    let appends = counted.appends.load(Ordering::SeqCst);
    let calls = counted.calls.load(Ordering::SeqCst);
    assert!(appends > 30 && calls == if good { 5 } else { 8 }, "{appends} appends, {calls} calls");
    let of_appends =
        (1..=appends).flat_map(|number| [Point::BeforeAppend(number), Point::AfterAppend(number)]);
    for point in of_appends.chain((1..=calls).map(Point::InCall)) {
        for crash in [Crash::Process, Crash::PowerLoss { keep_unsynced: 0 }] {
            check(good, point, crash).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn runs_beneath_a_run_happen_once_wherever_the_process_dies() {
    every_point(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_over_runs_beneath_is_taken_back_whole_wherever_the_process_dies() {
    every_point(false).await;
}
