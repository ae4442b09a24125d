//! A provider that says how fast it may be called.

use soloist_connectors::{Hints, Remaining};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    time::Timestamp,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn one_at_a_time(rate: Rate) -> Town {
    let mut town = Town::new(rate);
    town.manifest.concurrency_max = 1;
    town
}

fn throttled(retry_at: Option<Timestamp>) -> Fault {
    Fault { retry_at, ..Fault::new(FaultClass::Throttled, Phase::Answered, "too many requests") }
}

/// The time between the first call and the second.
fn pause(town: &Town) -> Duration {
    let arrivals = town.provider.arrivals();
    arrivals[1].at - arrivals[0].at
}

/// Says `hints` in answer to the first call.
fn hints_once(town: &Town, hints: impl FnOnce(Timestamp) -> Hints + Send + 'static) {
    let mut hints = Some(hints);
    town.provider.says(move |_, now| Ok(hints.take().map(|hints| hints(now)).unwrap_or_default()));
}

fn left(calls: u64, reset_at: Timestamp) -> Hints {
    Hints { retry_at: None, remaining: Some(Remaining { calls, reset_at }) }
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_down_and_retry_after_is_honoured() {
    let town = one_at_a_time(Rate::per_second(5, 1));
    let mut first = true;
    town.provider.says(move |_, now| {
        let is_first = std::mem::replace(&mut first, false);
        if is_first { Err(throttled(Some(now.after(20 * SECOND)))) } else { Ok(Hints::default()) }
    });
    let soloist = town.open().await;
    town.write(&soloist, names("write", 10)).await;
    sleep(SECOND).await;
    let said = &status(&soloist)["pace"];
    assert!(said.starts_with("held until "), "{said}");
    sleep(18 * SECOND).await;
    assert_eq!(town.provider.calls(), 1, "it is not called before it wants to be");
    sleep(3 * SECOND).await;
    assert!(town.provider.calls() > 1);
    let said = &status(&soloist)["pace"];
    assert!(said.ends_with(" % of its rate"), "{said}");
    assert!(pause(&town) >= 20 * SECOND);
    let arrivals = town.provider.arrivals();
    let slowed = arrivals[5].at - arrivals[1].at;
    assert!(
        slowed >= 4 * Duration::from_millis(260),
        "at seven tenths of five a second: {slowed:?}"
    );
    sleep(60 * SECOND).await;
    town.all_landed(&soloist, names("write", 10)).await;
    assert_eq!(status(&soloist).get("pace"), None);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_left_holds_calls_until_there_is_more() {
    let town = one_at_a_time(Rate::per_second(100, 100));
    hints_once(&town, |now| left(0, now.after(25 * SECOND)));
    let soloist = town.open().await;
    town.write(&soloist, names("write", 5)).await;
    sleep(24 * SECOND).await;
    assert_eq!(town.provider.calls(), 1);
    sleep(4 * SECOND).await;
    assert!(pause(&town) >= 25 * SECOND, "{:?}", pause(&town));
    town.all_landed(&soloist, names("write", 5)).await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pull_is_told_that_nothing_is_left_as_well() {
    let town = one_at_a_time(Rate::per_second(100, 100));
    hints_once(&town, |now| left(0, now.after(25 * SECOND)));
    let soloist = town.builder(&[]).intake("provider", "look", None).open().await.unwrap();
    soloist.pull("provider").await.unwrap();
    town.write(&soloist, names("write", 1)).await;
    sleep(28 * SECOND).await;
    assert!(pause(&town) >= 25 * SECOND, "{:?}", pause(&town));
    town.all_landed(&soloist, names("write", 1)).await;
    soloist.shutdown().await.unwrap();
}

/// Further apart than a block of reserved permits is good for.
#[tokio::test(start_paused = true)]
async fn a_few_left_are_spread_and_are_used() {
    let town = one_at_a_time(Rate { calls: 20, per: 60 * SECOND, burst: 5 });
    hints_once(&town, |now| left(5, now.after(600 * SECOND)));
    let soloist = town.open().await;
    town.write(&soloist, names("write", 20)).await;
    sleep(590 * SECOND).await;
    let calls = town.provider.calls();
    assert!((5..=6).contains(&calls), "one, and of those that were left most: {calls}");
    let arrivals = town.provider.arrivals();
    for pair in arrivals[1..].windows(2) {
        assert!(pair[1].at - pair[0].at >= 100 * SECOND, "{pair:#?}");
    }
    sleep(200 * SECOND).await;
    town.all_landed(&soloist, names("write", 20)).await;
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retries_have_a_budget() {
    for (fault, calls_max) in [
        // The breaker is quicker than the budget.
        (Fault::new(FaultClass::Transient, Phase::NotSent, "nobody answers"), 20),
        // A hundred first attempts, ten retries, and one each half minute.
        (throttled(None), 100 + 10 + 20),
    ] {
        let town = Town::new(Rate::per_second(100, 10));
        let said = fault.clone();
        town.provider.says(move |_, _| Err(said.clone()));
        let soloist = town.open().await;
        let all = names("write", 100);
        town.write(&soloist, all.clone()).await;
        sleep(595 * SECOND).await;
        let calls = town.provider.calls();
        assert!(calls <= calls_max, "{calls} calls for {fault}");
        assert!(calls > calls_max / 4, "{calls} calls for {fault}");
        let aside: Vec<_> = all.iter().filter_map(|name| parked(&soloist, name)).collect();
        assert!(aside.len() > 80, "{} are put aside for {fault}", aside.len());
        let says_so = |reason: &&String| {
            reason.contains("calls in a row have failed")
                || reason.contains("of its 50 tokens")
                || reason.contains("calls in 5 minutes were retries")
        };
        let others: Vec<_> = aside.iter().filter(|reason| !says_so(reason)).collect();
        assert!(others.is_empty(), "{others:#?}");
        soloist.shutdown().await.unwrap();
    }
}
