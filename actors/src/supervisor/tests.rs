//! Supervisors as actors: what the strategy decides is carried out, in order, in time, and the same way each time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use soloist_connectors::Env;
use soloist_kernel::{
    journal::memory::{MemoryJournal, Syncing},
    time::Timestamp,
};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Soloist, TreeEvent, actor::spawn_root, tree::Place};

/// What the workers of one test did, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Clone)]
struct Job {
    name: &'static str,
    diary: Diary,
    /// How long it takes to stop.
    stops_in: Duration,
    /// How often it starts before it does not any more.
    starts: Arc<AtomicUsize>,
}

/// Workers are only killed and stopped.
enum Nothing {}

struct Worker {
    job: Job,
}

impl Behaviour for Worker {
    type Message = Nothing;
    type Arguments = Job;

    fn label(nothing: &Nothing) -> &'static str {
        match *nothing {}
    }

    async fn start(job: Job, _me: Address<Nothing>) -> Result<Self, Error> {
        if job.starts.fetch_sub(1, Ordering::SeqCst) == 0 {
            job.starts.store(0, Ordering::SeqCst);
            return Err("it will not".into());
        }
        job.diary.note(format!("+{}", job.name));
        Ok(Self { job })
    }

    async fn handle(&mut self, nothing: Nothing) -> Result<(), Error> {
        match nothing {}
    }

    async fn stop(&mut self) {
        sleep(self.job.stops_in).await;
        self.job.diary.note(format!("-{}", self.job.name));
    }
}

/// A supervisor of workers beside the tree of an empty kernel.
struct Bench {
    soloist: Soloist,
    diary: Diary,
    place: Place,
}

impl Bench {
    async fn new() -> Self {
        let begun = Instant::now();
        let now = move || Timestamp(u64::try_from(begun.elapsed().as_millis()).unwrap());
        let soloist = Soloist::builder()
            .journal(Arc::new(MemoryJournal::new(Syncing::Auto)))
            .env(Env::with_clock(now, [7; 32]))
            .open()
            .await
            .unwrap();
        let place = soloist.context().tree.root("test", Strategy::OneForOne);
        Self { soloist, diary: Diary::default(), place }
    }

    fn job(&self, name: &'static str) -> Job {
        let starts = Arc::new(AtomicUsize::new(usize::MAX));
        Job { name, diary: self.diary.clone(), stops_in: Duration::ZERO, starts }
    }

    fn worker(&self, name: &'static str) -> Spec {
        let job = self.job(name);
        Spec::actor::<Worker>(name, move || job.clone())
    }

    async fn supervise(&self, flags: Flags, children: Vec<Spec>) -> Address<Message> {
        let context = self.soloist.context().clone();
        let spot = self.place.spot().clone();
        let arguments = Arguments { flags, context, spot, children };
        spawn_root::<Supervisor>(arguments, &self.soloist.context().env).await.unwrap()
    }

    /// Kills the living actor at `path`, and lets what follows happen.
    async fn kill(&self, path: &str) {
        let tree = &self.soloist.context().tree;
        assert!(tree.kill(path));
        sleep(Duration::from_secs(2)).await;
    }

    fn events(&self) -> Vec<TreeEvent> {
        let mut events = self.soloist.tree_events();
        events.retain(|event| event.path.starts_with("test"));
        events
    }

    fn diary(&self) -> String {
        self.diary.take().join(" ")
    }
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_stop_in_reverse() {
    let bench = Bench::new().await;
    let children = ["a", "b", "c"].map(|name| bench.worker(name)).into();
    let supervisor = bench.supervise(Flags::new(Strategy::OneForOne), children).await;
    supervisor.cell().stop_and_wait(None, None).await.unwrap();
    assert_eq!(bench.diary(), "+a +b +c -c -b -a");
}

#[tokio::test(start_paused = true)]
async fn a_death_takes_along_whom_the_strategy_says() {
    for (strategy, expected) in [
        (Strategy::OneForOne, "+b"),
        (Strategy::OneForAll, "-c -a +a +b +c"),
        (Strategy::RestForOne, "-c +b +c"),
    ] {
        let bench = Bench::new().await;
        let children = ["a", "b", "c"].map(|name| bench.worker(name)).into();
        let _supervisor = bench.supervise(Flags::new(strategy), children).await;
        bench.diary();
        bench.kill("test/b").await;
        assert_eq!(bench.diary(), expected, "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_in_time_is_killed() {
    let bench = Bench::new().await;
    let slow = |name| {
        let job = Job { stops_in: Duration::from_secs(60), ..bench.job(name) };
        Spec::actor::<Worker>(name, move || job.clone())
    };
    let children = vec![
        slow("patient").shutdown(Shutdown::Infinity),
        slow("late").shutdown(Shutdown::After(Duration::from_secs(1))),
        slow("doomed").shutdown(Shutdown::BrutalKill),
    ];
    let supervisor = bench.supervise(Flags::new(Strategy::OneForOne), children).await;
    bench.diary();
    let asked = Instant::now();
    supervisor.cell().stop_and_wait(None, None).await.unwrap();
    assert_eq!(bench.diary(), "-patient");
    assert_eq!(asked.elapsed().as_secs(), 61);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_start_again_is_tried_until_the_intensity_is_spent() {
    let bench = Bench::new().await;
    let job = Job { starts: Arc::new(AtomicUsize::new(1)), ..bench.job("once") };
    let children = vec![bench.worker("a"), Spec::actor::<Worker>("once", move || job.clone())];
    let supervisor = bench.supervise(Flags::new(Strategy::OneForOne), children).await;
    bench.kill("test/once").await;
    assert!(!supervisor.is_alive(), "it gave up");
    assert_eq!(bench.diary(), "+a +once -a", "and took its other children down in order");
    let tries = bench.events().iter().filter(|event| event.what.starts_with("restarts")).count();
    assert_eq!(tries, Flags::new(Strategy::OneForOne).intensity);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_leaves_with_its_significant_child() {
    let bench = Bench::new().await;
    let flags =
        Flags { auto_shutdown: AutoShutdown::AnySignificant, ..Flags::new(Strategy::OneForOne) };
    let main = bench.worker("main").restart(Restart::Transient).significant();
    let supervisor = bench.supervise(flags, vec![main, bench.worker("helper")]).await;
    bench.kill("test/main").await;
    assert!(supervisor.is_alive(), "a death is no end");
    let tree = &bench.soloist.context().tree;
    assert!(tree.stop("test/main"));
    sleep(Duration::from_secs(1)).await;
    assert!(!supervisor.is_alive());
    assert_eq!(bench.diary(), "+main +helper +main -main -helper");
}

#[tokio::test(start_paused = true)]
async fn children_come_and_go_while_their_supervisor_runs() {
    let bench = Bench::new().await;
    let supervisor =
        bench.supervise(Flags::new(Strategy::OneForOne), vec![bench.worker("a")]).await;
    let add = |spec| {
        let (reply, answer) = oneshot::channel();
        supervisor.send(Message::Add { spec, reply }).unwrap();
        answer
    };
    add(bench.worker("b")).await.unwrap().unwrap();
    let refused = add(bench.worker("b")).await.unwrap().unwrap_err();
    assert_eq!(refused, "there is a child `b` already");
    let temporary = bench.worker("t").restart(Restart::Temporary);
    add(temporary).await.unwrap().unwrap();
    bench.kill("test/t").await;
    add(bench.worker("t")).await.unwrap().expect("a temporary child is forgotten when it ends");
    let (reply, removed) = oneshot::channel();
    supervisor.send(Message::Remove { name: "a".into(), reply }).unwrap();
    assert!(removed.await.unwrap());
    supervisor.cell().stop_and_wait(None, None).await.unwrap();
    assert_eq!(bench.diary(), "+a +b +t +t -a -t -b");
}

/// One scenario of deaths in a tree three deep. Gives everything that happened, with its time.
async fn scenario() -> Vec<TreeEvent> {
    let bench = Bench::new().await;
    let context = bench.soloist.context().clone();
    let inner = |name: &'static str, strategy| {
        let jobs = ["x", "y", "z"].map(|job| bench.job(job));
        Spec::supervisor(name, Flags::new(strategy), &context, move || {
            let spec = |job: &Job| {
                let job = job.clone();
                Spec::actor::<Worker>(job.name, move || job.clone())
            };
            jobs.iter().map(spec).collect()
        })
    };
    let children = vec![
        inner("alone", Strategy::OneForOne),
        inner("together", Strategy::OneForAll),
        inner("after", Strategy::RestForOne),
    ];
    let supervisor = bench.supervise(Flags::new(Strategy::RestForOne), children).await;
    let mut chance = bench.soloist.context().env.entropy("scenario");
    for _ in 0..60 {
        use rand_chacha::rand_core::Rng;
        let tree = &bench.soloist.context().tree;
        let mut living = tree.living();
        living.retain(|path| path.starts_with("test/"));
        if !living.is_empty() {
            let index = usize::try_from(chance.next_u64() % living.len() as u64).unwrap();
            tree.kill(&living[index]);
        }
        sleep(Duration::from_millis(chance.next_u64() % 3_000)).await;
    }
    supervisor.cell().stop_and_wait(None, None).await.ok();
    bench.events()
}

#[tokio::test(start_paused = true)]
async fn twenty_runs_of_one_scenario_are_one_trace() {
    let first = scenario().await;
    assert!(first.len() > 200, "{} things happen", first.len());
    for run in 1..20 {
        assert_eq!(scenario().await, first, "run {run}");
    }
}
