//! The tree as an embedder sees it: what comes and goes, what dies, what gives up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use soloist_kernel::{policy::Policy, semantics::WriteSemantics};
use tokio::time::sleep;

use super::{House, completed};
use crate::{
    Agent, AutoShutdown, Failure, ReadOnly, Restart, RunEnd, Services, Soloist, Strategy, Turn,
    crashes::world::{Mortal, Point, Post, Tripwire, World},
};

/// Says which version it is, after a night if it is told to.
struct Teller<const VERSION: u32>;

impl<const V: u32> Agent for Teller<V> {
    const NAME: &'static str = "teller";
    const VERSION: u32 = V;
    type Kind = ReadOnly;
    type Input = u64;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, seconds: u64) -> Result<u32, Failure> {
        turn.sleep(Duration::from_secs(seconds)).await?;
        Ok(V)
    }
}

const TELL: &str = "name = 'tell'\n[[step]]\nname = 'say'\nagent = 'teller'";
const SEND: &str =
    "name = 'send'\n[[step]]\nname = 'it'\ncall = 'post.send'\ninput = { text = 'input' }";
const ALLOW: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";

fn post() -> Post {
    Post::new(WriteSemantics::NaturalKey, World::default(), Tripwire::at(Point::Never))
}

fn names(soloist: &Soloist, of: &str) -> Vec<String> {
    let tree = soloist.tree();
    let node = tree.children.iter().find(|child| child.name == of).unwrap();
    node.children.iter().map(|child| child.name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_agents_version_leaves_when_no_run_is_pinned_to_it() {
    let house = House::new();
    let soloist = house.kernel(&[TELL]).agent(Teller::<1>).open().await.unwrap();
    let old = soloist.start("tell", "old", &3_600).await.unwrap();
    assert!(matches!(old.rest().await.unwrap(), RunEnd::Waiting { .. }));
    soloist.add_agent(Teller::<2>).await.unwrap();
    assert_eq!(names(&soloist, "agents"), ["teller@1", "teller@2"]);
    soloist.start("tell", "new", &0).await.unwrap();
    assert_eq!(completed(&soloist, "new").await, 2);

    let refused = soloist.remove_agent("teller", 1).await.unwrap_err().to_string();
    assert!(refused.starts_with("1 runs under way are pinned to it: old"), "{refused}");
    sleep(Duration::from_secs(3_601)).await;
    assert_eq!(completed(&soloist, "old").await, 1);
    soloist.remove_agent("teller", 1).await.unwrap();
    assert_eq!(names(&soloist, "agents"), ["teller@2"]);
    let refused = soloist.remove_agent("teller", 2).await.unwrap_err().to_string();
    assert!(refused.starts_with("workflows need it"), "{refused}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connector_comes_and_goes_while_the_kernel_runs() {
    let house = House::new();
    let soloist =
        house.kernel(&[]).policy(Policy::parse("p", ALLOW).unwrap()).open().await.unwrap();
    let send = || soloist_kernel::workflow::Workflow::parse("send", SEND).unwrap();
    assert!(soloist.add_workflow(send()).await.is_err(), "there is no `post` yet");
    soloist.add_connector("post", post()).await.unwrap();
    assert_eq!(names(&soloist, "connectors"), ["post"]);
    soloist.add_workflow(send()).await.unwrap();
    soloist.start("send", "one", &"hello").await.unwrap();
    completed(&soloist, "one").await;
    let refused = soloist.add_connector("post", post()).await.unwrap_err().to_string();
    assert!(refused.contains("mounted already"), "{refused}");
    let refused = soloist.remove_connector("post").await.unwrap_err().to_string();
    assert!(refused.starts_with("workflows need it"), "{refused}");
    soloist.add_connector("other", post()).await.unwrap();
    soloist.remove_connector("other").await.unwrap();
    assert_eq!(names(&soloist, "connectors"), ["post"]);
    soloist.shutdown().await.unwrap();
}

/// It waits for approval while its connector goes, is approved without it, and lands when it is back.
#[tokio::test(start_paused = true)]
async fn a_write_waits_for_a_connector_that_was_taken_away() {
    let house = House::new();
    let soloist = house.kernel(&[SEND]).connector("post", post()).open().await.unwrap();
    soloist.start("send", "one", &"hello").await.unwrap();
    super::waits(&soloist, "one").await;
    let item = soloist.inbox().unwrap().remove(0);
    soloist.approve(item.id.as_str()).await.unwrap();
    completed(&soloist, "one").await;
    soloist.start("send", "two", &"hello").await.unwrap();
    super::waits(&soloist, "two").await;
    let item = soloist.inbox().unwrap().remove(0);
    // The next kernel is opened without it.
    let house = house.after(soloist).await;
    let soloist = house.kernel(&[]).open().await.unwrap();
    soloist.approve(item.id.as_str()).await.unwrap();
    super::waits(&soloist, "two").await;
    assert_eq!(soloist.tree().active_runs(), 0, "it waits on disk");
    soloist.add_connector("post", post()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    completed(&soloist, "two").await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_gives_up_says_so_and_still_answers() {
    let house = House::new();
    let dies = Services::new("bad", Strategy::OneForOne)
        .intensity(0, Duration::from_secs(1))
        .service("dies", Restart::Permanent, || async {
            sleep(Duration::from_millis(10)).await;
            Err::<(), _>("it cannot work")
        });
    let soloist = house.kernel(&[TELL]).agent(Teller::<1>).services(dies).open().await.unwrap();
    assert!(soloist.readiness().ready);
    let halted = soloist.halted().await;
    assert!(halted.gave_up && halted.reason.contains("it cannot work"), "{halted:?}");
    let readiness = soloist.readiness();
    assert!(!readiness.ready && readiness.reasons[0].contains("services"), "{readiness:?}");
    assert_eq!(soloist.tree().state, "gave_up");
    assert!(soloist.runs().unwrap().is_empty(), "what is in the journal can be read");
    let [incident] = &soloist.inbox().unwrap()[..] else { panic!("one incident") };
    assert!(incident.title.contains("soloist") && incident.run.is_none(), "{incident:?}");
    assert!(incident.reason.contains("it cannot work"), "{incident:?}");
    soloist.abort(incident.id.as_str(), "seen").await.unwrap();
    assert!(soloist.inbox().unwrap().is_empty(), "it can be dismissed while the tree is down");
    assert!(soloist.start("tell", "late", &0).await.is_err());
    soloist.shutdown().await.unwrap();
}

/// A run that cannot even be loaded kills its actor each time something is delivered to it.
#[tokio::test(start_paused = true)]
async fn a_run_that_kills_its_actor_again_and_again_is_set_aside_and_its_neighbours_go_on() {
    let house = House::new();
    let wire = Tripwire::at(Point::Never);
    let journal = Arc::new(Mortal { inner: house.journal.clone(), wire: wire.clone() });
    let kernel = || house.kernel(&[TELL]).journal(journal.clone()).agent(Teller::<1>);
    let soloist = kernel().open().await.unwrap();
    for run in ["bad", "good"] {
        soloist.start("tell", run, &60).await.unwrap();
        super::waits(&soloist, run).await;
    }
    *wire.unreadable.lock().unwrap() = Some("run:bad".parse().unwrap());
    sleep(Duration::from_secs(61)).await;
    assert_eq!(completed(&soloist, "good").await, 1);
    sleep(Duration::from_secs(10)).await;
    let RunEnd::SetAside { .. } = soloist.run("bad").unwrap().rest().await.unwrap() else {
        panic!("it is set aside")
    };
    let [incident] = &soloist.inbox().unwrap()[..] else { panic!("one incident") };
    assert_eq!(incident.run.as_ref().unwrap().as_str(), "bad");
    assert!(incident.reason.contains("it is a test"), "{}", incident.reason);
    assert_eq!(soloist.stats().actors_restarted, 3, "as often as it may");
    let readiness = soloist.readiness();
    assert!(readiness.ready && readiness.reasons[0].contains("1 runs are set aside"));
    soloist.shutdown().await.unwrap();

    // It stays aside over a restart, until the operator lets it go on.
    *wire.unreadable.lock().unwrap() = None;
    let soloist = kernel().open().await.unwrap();
    let end = soloist.run("bad").unwrap().rest().await.unwrap();
    assert!(matches!(end, RunEnd::SetAside { .. }), "{end:?}");
    let decision = soloist_kernel::effect::Decision::Retry;
    soloist.decide(incident.id.as_str(), decision).await.unwrap();
    assert_eq!(completed(&soloist, "bad").await, 1);
    assert!(soloist.inbox().unwrap().is_empty());
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn services_of_the_host_are_supervised_like_everything_else() {
    let house = House::new();
    let (starts, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (started, ended) = (starts.clone(), ends.clone());
    let services = Services::new("pair", Strategy::OneForAll)
        .auto_shutdown(AutoShutdown::AllSignificant)
        .service("panics", Restart::Permanent, move || {
            let number = started.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(Duration::from_secs(1)).await;
                assert!(number > 0, "the first one panics");
                std::future::pending::<Result<(), String>>().await
            }
        })
        .service("ends", Restart::Transient, move || {
            let ended = ended.clone();
            async move {
                sleep(Duration::from_secs(5)).await;
                ended.fetch_add(1, Ordering::SeqCst);
                Ok::<_, String>(())
            }
        })
        .significant();
    let soloist = house.kernel(&[]).services(services).open().await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(starts.load(Ordering::SeqCst), 2, "it was restarted");
    assert_eq!(ends.load(Ordering::SeqCst), 0, "and took the other along");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(ends.load(Ordering::SeqCst), 1);
    soloist.shutdown().await.unwrap();
}
