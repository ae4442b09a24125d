//! What is paused takes in what comes and does nothing, also after a crash, until someone lets it go on.

use soloist_kernel::control::Scope;

use super::*;
use crate::{Ending, RunEnd};

const TEN: &str = "
    name = 'ten'
    [[step]]
    name = 'each'
    map = 'range(10)'
    parallel_max = 1
    call = 'provider.write'
    input = { text = 'item' }
";

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn town() -> Town {
    let town = Town::new(Rate::per_second(1_000, 1_000));
    town.provider.takes(Duration::from_secs(1));
    town
}

async fn is_held(soloist: &Soloist, run: &str) -> bool {
    matches!(soloist.run(run).unwrap().rest().await.unwrap(), RunEnd::Waiting { .. })
}

#[tokio::test(start_paused = true)]
async fn what_a_pause_names_is_held_over_a_crash_and_goes_on_when_it_is_over() {
    for what in ["everything", "workflow:write", "connector:provider", "run:one"] {
        let mut town = town();
        let soloist = town.open().await;
        assert!(soloist.pause(&scope(what), "look first").await.unwrap());
        assert!(!soloist.pause(&scope(what), "again").await.unwrap(), "it is paused already");
        // It is taken in, and nothing leaves.
        town.write(&soloist, ["one".to_owned()]).await;
        sleep(Duration::from_secs(60)).await;
        assert!(is_held(&soloist, "one").await, "{what}");
        assert_eq!(town.provider.calls(), 0, "{what}");
        town.kill(soloist, Crash::Process);
        let soloist = town.open().await;
        sleep(Duration::from_secs(60)).await;
        assert!(is_held(&soloist, "one").await, "{what}");
        assert_eq!(town.provider.calls(), 0, "{what}");
        assert_eq!(soloist.pauses()[0].reason, "look first");
        soloist.idle().await.expect("a run that is held costs no memory");
        assert!(soloist.resume(&scope(what)).await.unwrap());
        town.all_landed(&soloist, ["one".to_owned()]).await;
        assert!(!soloist.resume(&scope(what)).await.unwrap(), "it is not paused");
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_comes_to_its_end_and_nothing_more_leaves() {
    let mut town = town();
    town.manifest.concurrency_max = 1;
    let soloist = town.open().await;
    town.write(&soloist, names("w", 5)).await;
    sleep(Duration::from_millis(1_500)).await;
    soloist.pause(&Scope::Everything, "stop").await.unwrap();
    let left = town.provider.calls();
    sleep(Duration::from_secs(100)).await;
    assert_eq!(town.provider.calls(), left, "those in line had not left");
    assert_eq!(town.provider.landed().len(), left, "those that had have landed");
    soloist.resume(&Scope::Everything).await.unwrap();
    town.all_landed(&soloist, names("w", 5)).await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_beneath_one_that_is_paused_are_held_with_it() {
    let town = town();
    let soloist = town.builder(&[TEN]).open().await.unwrap();
    soloist.start("ten", "acme.ten", &()).await.unwrap();
    sleep(Duration::from_millis(2_500)).await;
    soloist.pause(&scope("run:acme.ten"), "too many").await.unwrap();
    let left = town.provider.calls();
    assert!((1..10).contains(&left), "{left}");
    // A run whose name begins so is not beneath it.
    town.write(&soloist, ["acme.ten.other".to_owned()]).await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(town.provider.calls(), left + 1);
    soloist.resume(&scope("run:acme.ten")).await.unwrap();
    completed(&soloist, "acme.ten").await;
    assert_eq!(town.provider.landed().len(), 11);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_paused_takes_no_turn_and_its_reads_wait_while_a_connector_is() {
    let town = town();
    let soloist = town.open().await;
    soloist.pause(&scope("agent:looker"), "it misreads").await.unwrap();
    soloist.start("look", "one", &1).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(town.provider.calls(), 0);
    soloist.pause(&scope("connector:provider"), "it is down").await.unwrap();
    soloist.resume(&scope("agent:looker")).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(town.provider.calls(), 0, "the turn has begun, and its read waits");
    soloist.resume(&scope("connector:provider")).await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!(1));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_is_opened_paused_does_nothing_before_it_is_let_go_on() {
    let mut town = town();
    let soloist = town.open().await;
    town.write(&soloist, names("w", 3)).await;
    town.kill(soloist, Crash::Process);
    let before = town.provider.calls();
    let soloist = town.builder(&[]).paused("after the incident").open().await.unwrap();
    sleep(Duration::from_secs(100)).await;
    assert_eq!(town.provider.calls(), before);
    // Released one by one: what is left is ended.
    soloist.pause(&scope("workflow:write"), "not yet").await.unwrap();
    soloist.resume(&Scope::Everything).await.unwrap();
    sleep(Duration::from_secs(100)).await;
    assert_eq!(town.provider.calls(), before);
    let ended = soloist.end_runs(&scope("workflow:write"), Ending::Cancel, "stale").await.unwrap();
    assert_eq!(ended.len(), 3);
    for run in names("w", 3) {
        let end = soloist.run(&run).unwrap().rest().await.unwrap();
        assert_eq!(end, RunEnd::Cancelled { reason: "stale".into() });
    }
    soloist.shutdown().await.unwrap();
}
