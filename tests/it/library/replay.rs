//! Turns over two lives of a kernel: what was answered stays answered, and a turn that takes another path is stopped.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use soloist::{
    Agent, Failure, RunEnd, Soloist, Transactional, Turn, inbox::Kind, payload::Payload,
};

use super::{
    builder, failed, only,
    press::{self, Press},
};
use crate::support::PATIENCE;

/// Looks at the clock, draws a number, counts a step, and proposes to print.
#[derive(Clone, Default)]
struct Careful {
    steps: Arc<AtomicU32>,
    /// The time and the number of each life.
    seen: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Agent for Careful {
    const NAME: &'static str = "worker";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["press.print"];
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, input: String) -> Result<String, Failure> {
        let seen = (turn.now().await?.0, turn.random().await?);
        self.seen.lock().expect("pushing does not panic").push(seen);
        let steps = self.steps.clone();
        let counted: u32 = turn
            .step("count", || async move { Ok::<_, String>(steps.fetch_add(1, Ordering::SeqCst)) })
            .await?;
        let outcome = turn.propose("press.print", &press::arguments(&input)).await?;
        Ok(format!("{} after step {counted}", outcome.word()))
    }
}

/// Does two steps in this order. If it is `patient` it then never ends, else it proposes to print.
#[derive(Clone)]
struct Ordered {
    steps: [&'static str; 2],
    patient: bool,
    done: Arc<AtomicU32>,
}

impl Agent for Ordered {
    const NAME: &'static str = "worker";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["press.print"];
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, input: String) -> Result<String, Failure> {
        for name in self.steps {
            let _: u32 = turn.step(name, || async { Ok::<_, String>(0) }).await?;
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        if self.patient {
            std::future::pending::<()>().await;
        }
        let outcome = turn.propose("press.print", &press::arguments(&input)).await?;
        Ok(outcome.word().to_owned())
    }
}

/// A shutdown has let go of the directory when it returns, so the next life can open it at once.
async fn open(data: &Path, agent: impl Agent, press: &Press) -> Soloist {
    let builder = builder(data).agent(agent).connector("press", press.clone());
    builder.workflow(only("worker", "")).open().await.expect("the kernel opens")
}

/// A life in which the run starts and comes to wait for the operator.
async fn leave_waiting(data: &Path, agent: impl Agent, press: &Press) {
    let soloist = open(data, agent, press).await;
    let run = soloist.start("only", "one", &"poster").await.expect("it starts");
    assert_eq!(run.rest().await.expect("it rests"), RunEnd::Waiting { on: vec![] });
    // The directory is free once every handle is gone.
    drop(run);
    soloist.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_turn_that_waited_over_a_restart_goes_on_with_what_it_was_told_before() {
    let dir = tempfile::tempdir().unwrap();
    let (careful, press) = (Careful::default(), Press::default());
    let soloist = open(dir.path(), careful.clone(), &press).await;
    let run = soloist.start("only", "one", &"poster").await.unwrap();
    assert_eq!(run.rest().await.unwrap(), RunEnd::Waiting { on: vec![] });
    // The directory is free once every handle is gone.
    drop(run);
    soloist.shutdown().await.unwrap();
    assert!(press.printed().is_empty());

    let soloist = open(dir.path(), careful.clone(), &press).await;
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!((item.kind, item.preview.as_deref()), (Kind::Approval, Some("poster")));
    soloist.approve(item.id.as_str()).await.unwrap();
    let end = soloist.run("one").unwrap().rest().await.unwrap();
    assert_eq!(end, RunEnd::Completed(Payload::of(&"landed after step 0").unwrap()));
    soloist.shutdown().await.unwrap();

    assert_eq!(press.printed(), ["poster"]);
    assert_eq!(careful.steps.load(Ordering::SeqCst), 1, "the step ran once over both lives");
    let seen = careful.seen.lock().unwrap();
    assert!(seen.len() >= 2, "the turn was taken again");
    assert!(seen.iter().all(|life| *life == seen[0]), "time and chance are the same: {seen:?}");
}

#[tokio::test]
async fn a_turn_whose_effects_changed_places_is_stopped_before_it_does_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (done, press) = (Arc::new(AtomicU32::new(0)), Press::default());
    let agent = Ordered { steps: ["first", "second"], patient: true, done: done.clone() };
    let soloist = open(dir.path(), agent, &press).await;
    soloist.start("only", "one", &"poster").await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while done.load(Ordering::SeqCst) < 2 {
        assert!(tokio::time::Instant::now() < deadline, "both steps are done");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    soloist.shutdown().await.unwrap();

    let agent = Ordered { steps: ["second", "first"], patient: false, done };
    let soloist = open(dir.path(), agent, &press).await;
    let reason = failed(soloist.run("one").unwrap().rest().await.unwrap());
    assert_eq!(
        reason,
        "the turn diverged from its journal at effect 0: recorded first#0, asked second#0; nothing was executed. Recorded order: first#0, second#0. Asked order: second#0. Run it with the agent version that recorded it"
    );
    let [incident] = &soloist.inbox().unwrap()[..] else { panic!("one incident") };
    assert_eq!((incident.kind, &incident.reason), (Kind::Incident, &reason));
    assert!(press.printed().is_empty(), "nothing left");
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_gained_an_effect_still_finds_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (done, press) = (Arc::new(AtomicU32::new(0)), Press::default());
    let agent = Ordered { steps: ["first", "second"], patient: false, done: done.clone() };
    leave_waiting(dir.path(), agent, &press).await;

    #[derive(Clone)]
    struct Longer(Ordered);
    impl Agent for Longer {
        const NAME: &'static str = "worker";
        type Kind = Transactional;
        const TOOLS: &'static [&'static str] = &["press.print"];
        type Input = String;
        type Output = String;
        async fn run(&self, turn: Turn, input: String) -> Result<String, Failure> {
            let _: u32 = turn.step("added", || async { Ok::<_, String>(0) }).await?;
            self.0.run(turn, input).await
        }
    }
    let agent = Longer(Ordered { steps: ["first", "second"], patient: false, done });
    let soloist = open(dir.path(), agent, &press).await;
    let item = soloist.inbox().unwrap().remove(0).id;
    soloist.approve(item.as_str()).await.unwrap();
    let end = soloist.run("one").unwrap().rest().await.unwrap();
    assert_eq!(end, RunEnd::Completed(Payload::of(&"landed").unwrap()));
    assert_eq!(press.printed(), ["poster"]);
    soloist.shutdown().await.unwrap();
}

/// An approval is of the write, exactly as it was shown. If the agent has changed since, its turn is stopped; whether the
/// write that the operator let happen was on its way by then is a race.
#[tokio::test]
async fn an_agent_that_changed_while_its_write_waited_never_sends_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (done, press) = (Arc::new(AtomicU32::new(0)), Press::default());
    let agent = Ordered { steps: ["first", "second"], patient: false, done: done.clone() };
    leave_waiting(dir.path(), agent, &press).await;

    let agent = Ordered { steps: ["second", "first"], patient: false, done };
    let soloist = open(dir.path(), agent, &press).await;
    let item = soloist.inbox().unwrap().remove(0).id;
    soloist.approve(item.as_str()).await.unwrap();
    let run = soloist.run("one").unwrap();
    let reason = failed(run.rest().await.unwrap());
    assert!(reason.contains("recorded first#0, asked second#0"), "{reason}");
    soloist.idle().await.unwrap();
    soloist.shutdown().await.unwrap();
    assert!(press.printed().len() <= 1, "{:?}", press.printed());
}
