//! Every actor of the tree is killed at random, for minutes, under load.
//!
//! The clock is virtual, and chance is a seed. The world outlives the actors and counts what happens to it. When the killing
//! ends, everything that was accepted must have been done once or wait in the inbox, and nothing may be left over.

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use soloist_connectors::Env;
use soloist_kernel::{
    inbox::Kind,
    journal::{
        memory::{MemoryJournal, Syncing},
        verify::verify,
    },
    policy::Policy,
    time::Timestamp,
    workflow::Workflow,
};
use tokio::time::{Instant, sleep};

use self::world::{Clerk, Listener, Shop, World};
use crate::{RunEnd, Soloist, TreeNode};

/// How long actors are killed.
const MINUTES: u64 = 5;
/// Kills beneath one supervisor within ten seconds. It bears five deaths, and a death can bring another about.
const KILLS_MAX: usize = 4;
/// Longest pause between two kills.
const PAUSE_MS_MAX: u64 = 3_000;

const ORDER: &str = "
    name = 'order'
    [[step]]
    name = 'prepare'
    agent = 'clerk'
    retry = { attempts = 20 }
    [[step]]
    name = 'ship'
    call = 'shop.ship'
    retry = { attempts = 20 }
    needs = ['prepare']
    input = { order = 'prepare' }
    [[step]]
    name = 'tell'
    emit = 'order.shipped'
    needs = ['ship']
    [[step]]
    name = 'settle'
    workflow = 'settle'
    needs = ['tell', 'prepare']
    input = { order = 'prepare' }
";

const SETTLE: &str = "
    name = 'settle'
    [[step]]
    name = 'later'
    wait = { for = '20s' }
    [[step]]
    name = 'charge'
    call = 'shop.charge'
    retry = { attempts = 20 }
    needs = ['later']
    input = { order = 'input.order' }
";

const POLICY: &str = "
    [[rule]]
    name = 'sevens are looked at'
    operation = 'shop.charge'
    when = '\"7\" in arguments.order'
    verdict = 'approve'
    reason = 'it ends with a seven'
    [[rule]]
    name = 'the rest'
    verdict = 'allow'
    reason = 'a test'
";

struct Chaos {
    soloist: Soloist,
    world: World,
    chance: ChaCha8Rng,
    accepted: BTreeSet<String>,
    kills: usize,
    /// When someone was killed beneath a supervisor.
    lately: BTreeMap<String, Vec<Instant>>,
}

impl Chaos {
    async fn new(seed: u8) -> Self {
        let begun = Instant::now();
        let now = move || {
            Timestamp(1_700_000_000_000 + u64::try_from(begun.elapsed().as_millis()).unwrap())
        };
        let env = Env::with_clock(now, [seed; 32]);
        let world = World::default();
        let soloist = Soloist::builder()
            .journal(Arc::new(MemoryJournal::new(Syncing::Auto)))
            .env(env.clone())
            .agent(Clerk)
            .agent(Listener(world.clone()))
            .subscribe("listener", "order.shipped")
            .connector("shop", Shop::new(world.clone()))
            .intake("shop", "order", Some(Duration::from_secs(5)))
            .policy(Policy::parse("p", POLICY).unwrap())
            .workflow(Workflow::parse("order", ORDER).unwrap())
            .workflow(Workflow::parse("settle", SETTLE).unwrap())
            .open()
            .await
            .unwrap();
        let chance = env.entropy("chaos");
        Self {
            soloist,
            world,
            chance,
            accepted: BTreeSet::new(),
            kills: 0,
            lately: BTreeMap::new(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.chance.next_u64() % limit
    }

    /// Starts runs and kills actors in turn.
    async fn rage(&mut self, minutes: u64) {
        let end = Instant::now() + Duration::from_secs(60 * minutes);
        let mut order = 0;
        while Instant::now() < end {
            for _ in 0..self.below(4) {
                order += 1;
                let id = format!("order-{order}");
                if self.soloist.start("order", &id, &id).await.is_ok() {
                    self.accepted.insert(id);
                }
            }
            let pause = self.below(PAUSE_MS_MAX);
            sleep(Duration::from_millis(pause)).await;
            self.kill_someone();
        }
    }

    /// Any actor of the tree but its root, or one of the active runs.
    fn kill_someone(&mut self) {
        let of_runs = self.chance.next_u64().is_multiple_of(3);
        let living = self.soloist.living().into_iter().filter(|path| path != "soloist");
        let living: Vec<_> =
            living.filter(|path| path.starts_with("soloist/runs/") == of_runs).collect();
        // For a moment after the first of the tree has died, nobody is there.
        if living.is_empty() {
            return;
        }
        let index = usize::try_from(self.chance.next_u64() % living.len() as u64).unwrap();
        let path = &living[index];
        if of_runs {
            self.kills += usize::from(self.soloist.kill(path));
            return;
        }
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let now = Instant::now();
        let lately = self.lately.entry(above.to_owned()).or_default();
        lately.retain(|kill| now.duration_since(*kill) < Duration::from_secs(10));
        if lately.len() < KILLS_MAX {
            lately.push(now);
            self.kills += 1;
            self.soloist.kill(path);
        }
    }

    /// Everything accepted is done, once, or waits in the inbox.
    async fn check(&self) {
        self.soloist.drain(Duration::from_secs(60)).await;
        // What waits for a time goes on.
        sleep(Duration::from_secs(600)).await;
        self.soloist.idle().await.unwrap();
        let inbox = self.soloist.inbox().unwrap();
        let unasked: Vec<_> = inbox.iter().filter(|item| item.kind != Kind::Approval).collect();
        assert!(unasked.is_empty(), "only what policy asks about waits: {unasked:#?}");
        let mut waiting = 0;
        for run in &self.accepted {
            match self.soloist.run(run).unwrap().rest().await.unwrap() {
                RunEnd::Completed(_) => {}
                RunEnd::Waiting { on } => {
                    waiting += 1;
                    let beneath = |item: &soloist_kernel::inbox::Item| {
                        item.run.as_ref().is_some_and(|run| on.contains(run))
                    };
                    assert!(inbox.iter().any(beneath), "{run} waits for nothing");
                }
                end => panic!("{run} came to {end:?}"),
            }
        }
        assert!(
            waiting > 0 && waiting < self.accepted.len(),
            "{waiting} of {}",
            self.accepted.len()
        );
        self.world.check(&self.accepted, inbox.len());
        verify(self.soloist.journal(), None).unwrap();
    }
}

/// The supervisors and permanent actors of the tree, without their members.
fn shape(node: &TreeNode) -> Vec<String> {
    let mut names = vec![format!("{} {}", node.name, node.state)];
    if node.members.is_none() {
        names.extend(node.children.iter().flat_map(shape));
    } else {
        assert_eq!(node.members, Some(0), "{} has members left: {:?}", node.name, node.children);
    }
    names
}

#[tokio::test(start_paused = true)]
async fn every_actor_killed_at_random_under_load() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for seed in 0..3 {
        let mut chaos = Chaos::new(seed).await;
        let whole = shape(&chaos.soloist.tree());
        chaos.rage(MINUTES).await;
        chaos.check().await;
        let stats = chaos.soloist.stats();
        assert!(chaos.kills > 80 && stats.actors_restarted > 80, "{} {stats:?}", chaos.kills);
        assert_eq!(shape(&chaos.soloist.tree()), whole, "the tree is as it was");
        let gave_up =
            |event: &crate::TreeEvent| event.path == "soloist" && event.what.starts_with("gave");
        assert!(!chaos.soloist.tree_events().iter().any(gave_up));
        chaos.soloist.shutdown().await.unwrap();
        let after = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert_eq!(after, before, "no task is left: no actor, no timer, no call");
    }
}

/// The same seed is the same story, to the byte of the journal.
#[tokio::test(start_paused = true)]
async fn twenty_runs_of_one_seed_are_one_trace() {
    let mut traces = vec![];
    for _ in 0..20 {
        let mut chaos = Chaos::new(9).await;
        chaos.rage(1).await;
        chaos.soloist.drain(Duration::from_secs(60)).await;
        let head = chaos.soloist.journal().head();
        traces.push((format!("{head:?}"), chaos.soloist.tree_events()));
        chaos.soloist.shutdown().await.unwrap();
    }
    let first = &traces[0];
    assert!(first.1.len() > 100, "{} things happen", first.1.len());
    for (run, trace) in traces.iter().enumerate() {
        let differs = trace.1.iter().zip(&first.1).find(|(event, expected)| event != expected);
        assert_eq!(differs, None, "run {run}");
        assert_eq!(trace.0, first.0, "run {run}: the journal");
    }
}
