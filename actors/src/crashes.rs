//! Crashes, at every point, by loop.
//!
//! A scenario runs once to count its journal writes and its calls. Then it runs once for each of them and for each way to
//! die there: before the write, after it, or when the other side has acted and the kernel has not been told. Power or only
//! the process is lost, another kernel takes over what is left, and what must hold is checked.
//!
//! Here are writes; `crashes/family.rs` has runs beneath runs, events, and what is taken back.

mod family;
pub(crate) mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use soloist_connectors::Env;
use soloist_kernel::{
    effect::Outcome,
    inbox::Kind,
    journal::{
        Journal,
        memory::{Crash, MemoryJournal, Syncing},
    },
    policy::Policy,
    semantics::WriteSemantics,
    time::Timestamp,
    workflow::Workflow,
};

use self::world::{Mortal, Point, Post, Tripwire, World};
use crate::{Agent, Failure, RunEnd, Soloist, Transactional, Turn};

/// Asks for one of each kind of effect, and proposes a write.
struct Busy;

impl Agent for Busy {
    const NAME: &'static str = "busy";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["post.send"];
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, name: String) -> Result<String, Failure> {
        let at = turn.now().await?;
        let chance = turn.random().await?;
        turn.remember("someone", &name, &chance).await?;
        let said: String =
            turn.step("say", || async { Ok::<_, Failure>(format!("{at} {chance}")) }).await?;
        match turn.propose("post.send", &said).await? {
            Outcome::Landed { .. } => Ok(said),
            outcome => Err(Failure::fatal(outcome.word())),
        }
    }
}

const WORKFLOW: &str = "
    name = 'two-writes'
    [[step]]
    name = 'first'
    agent = 'busy'
    [[step]]
    name = 'second'
    call = 'post.send'
    needs = ['first']
    input = { text = 'first' }
";

async fn open(
    journal: Arc<dyn Journal>,
    semantics: WriteSemantics,
    world: &World,
    wire: &Arc<Tripwire>,
) -> Option<Soloist> {
    let policy =
        Policy::parse("p", "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'").unwrap();
    let builder = Soloist::builder()
        .env(Env::with_clock(|| Timestamp(1_700_000_000_000), [7; 32]))
        .journal(journal)
        .agent(Busy)
        .connector("post", Post::new(semantics, world.clone(), wire.clone()))
        .policy(policy)
        .workflow(Workflow::parse("w", WORKFLOW).unwrap());
    builder.open().await.ok()
}

/// Starts the runs, and lets them come to rest if nothing dies.
async fn work(soloist: &Soloist) -> Vec<&'static str> {
    let mut acknowledged = vec![];
    for id in RUNS {
        if soloist.start("two-writes", id, &id).await.is_ok() {
            acknowledged.push(id);
        }
    }
    let _ = soloist.idle().await;
    acknowledged
}

const RUNS: [&str; 2] = ["one", "two"];

/// Dies at `point`, loses what `crash` loses, takes over, and checks.
async fn check(semantics: WriteSemantics, point: Point, crash: Crash) -> Arc<Tripwire> {
    let (world, wire) = (World::default(), Tripwire::at(point));
    let inner = Arc::new(MemoryJournal::new(Syncing::Auto));
    let first = open(
        Arc::new(Mortal { inner: inner.clone(), wire: wire.clone() }),
        semantics,
        &world,
        &wire,
    )
    .await;
    let acknowledged = match &first {
        Some(soloist) => work(soloist).await,
        None => vec![],
    };
    let survivor = Arc::new(inner.crash(crash));
    if let Some(soloist) = first {
        let _ = soloist.shutdown().await;
    }

    let calm = Tripwire::at(Point::Never);
    let soloist =
        open(survivor, semantics, &world, &calm).await.expect("what is left can be opened");
    soloist.idle().await.expect("nothing dies any more");
    let runs = soloist.runs().unwrap();
    for id in &acknowledged {
        assert!(
            runs.iter().any(|run| run.run.as_str() == *id),
            "{point:?} {crash:?}: {id} was acknowledged and is gone"
        );
    }
    work(&soloist).await;
    verdict(&soloist, semantics, &world, &format!("{semantics:?} {point:?} {crash:?}")).await;
    soloist.shutdown().await.unwrap();
    wire
}

/// No write twice; none lost; what cannot be known is in the inbox and nowhere else.
async fn verdict(soloist: &Soloist, semantics: WriteSemantics, world: &World, case: &str) {
    let counts = world.counts();
    assert!(counts.values().all(|count| *count == 1), "{case}: {counts:?}");
    let items = soloist.inbox().unwrap();
    let mut ended = 0;
    for id in RUNS {
        match soloist.run(id).unwrap().rest().await.unwrap() {
            RunEnd::Completed(_) => ended += 1,
            RunEnd::Waiting { .. } => {
                assert_eq!(semantics, WriteSemantics::Opaque, "{case}: only the unknowable waits");
                let item = items
                    .iter()
                    .find(|item| item.run.as_ref().is_some_and(|run| run.as_str() == id))
                    .expect("what waits is in the inbox");
                assert_eq!(item.kind, Kind::Ambiguous, "{case}");
            }
            end => panic!("{case}: {id} came to {end:?}"),
        }
    }
    if semantics != WriteSemantics::Opaque {
        assert_eq!(
            (ended, counts.len()),
            (2, 4),
            "{case}: both runs complete with two writes each"
        );
    }
    soloist_kernel::journal::verify::verify(soloist.journal(), None).unwrap();
}

async fn every_point(semantics: WriteSemantics) {
    let counted = check(semantics, Point::Never, Crash::Process).await;
    let (appends, calls) =
        (counted.appends.load(Ordering::SeqCst), counted.calls.load(Ordering::SeqCst));
    assert!(
        appends > 15 && calls == 4,
        "the scenario does something: {appends} appends, {calls} calls"
    );
    let of_appends =
        (1..=appends).flat_map(|number| [Point::BeforeAppend(number), Point::AfterAppend(number)]);
    for point in of_appends.chain((1..=calls).map(Point::InCall)) {
        for crash in [
            Crash::Process,
            Crash::PowerLoss { keep_unsynced: 0 },
            Crash::PowerLoss { keep_unsynced: 1 },
        ] {
            check(semantics, point, crash).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_can_be_looked_up_happens_exactly_once_wherever_the_process_dies() {
    every_point(WriteSemantics::NaturalKey).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_can_be_searched_for_happens_exactly_once_wherever_the_process_dies() {
    every_point(WriteSemantics::Searchable { visibility_lag: Duration::from_secs(30) }).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nothing_can_tell_of_happens_at_most_once_and_the_doubt_is_in_the_inbox() {
    every_point(WriteSemantics::Opaque).await;
}
