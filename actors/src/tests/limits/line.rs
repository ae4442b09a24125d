//! Who is served when many want the same.

use super::*;

const MANY: &str = "
    name = 'many'
    [[step]]
    name = 'each'
    map = 'range(200)'
    parallel_max = 200
    call = 'provider.write'
    input = { text = 'item' }
";

/// A workflow of one write with this priority.
fn important(priority: &str) -> String {
    let step = "[[step]]\nname='it'\ncall='provider.write'\ninput={ text='input' }";
    format!("name='{priority}'\n{step}\npriority='{priority}'")
}

/// A provider that is called one at a time.
fn slow_town() -> Town {
    let mut town = Town::new(Rate::per_second(1_000, 1_000));
    town.manifest.concurrency_max = 1;
    town
}

/// How long it takes until `run`, which begins now, is served.
async fn served(soloist: &Soloist, workflow: &str, run: &str) -> Duration {
    let begun = Instant::now();
    soloist.start(workflow, run, &run).await.unwrap();
    while !matches!(soloist.run(run).unwrap().rest().await.unwrap(), crate::RunEnd::Completed(_)) {
        sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_run_with_hundreds_of_calls_does_not_starve_another() {
    let town = slow_town();
    town.provider.takes(Duration::from_millis(500));
    let soloist = town.builder(&[MANY]).open().await.unwrap();
    soloist.start("many", "many", &()).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let took = served(&soloist, "write", "small").await;
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert!(town.provider.calls() < 20, "the other has most of its calls to come");
    sleep(Duration::from_secs(100)).await;
    assert_eq!(town.provider.calls(), 201, "whoever was put aside came back in time");
    completed(&soloist, "many").await;
    assert!(town.provider.landed().values().all(|times| *times == 1));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_high_priority_step_overtakes_and_a_low_one_is_served_in_the_end() {
    let town = slow_town();
    town.provider.takes(Duration::from_secs(1));
    let soloist = town.builder(&[&important("high"), &important("low")]).open().await.unwrap();
    town.write(&soloist, names("write", 3)).await;
    let low = tokio::spawn({
        let soloist = soloist.clone();
        async move { served(&soloist, "low", "low").await }
    });
    // As much as can be served, for longer than a low priority is behind.
    let flood = tokio::spawn({
        let soloist = soloist.clone();
        async move {
            for name in names("flood", 180) {
                soloist.start("write", &name, &name).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
    sleep(Duration::from_secs(10)).await;
    let high = served(&soloist, "high", "high").await;
    assert!(high <= Duration::from_millis(2_100), "after the one under way: {high:?}");
    let low = low.await.unwrap();
    assert!(low > Duration::from_secs(30), "others were served before it: {low:?}");
    assert!(low < Duration::from_secs(120), "{low:?}");
    flood.await.unwrap();
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_for_long_is_put_aside_and_comes_back() {
    let town = Town::new(Rate { calls: 1, per: Duration::from_secs(10), burst: 1 });
    let soloist = town.open().await;
    let all = names("write", 30);
    town.write(&soloist, all.clone()).await;
    sleep(Duration::from_secs(1)).await;
    let waiting: usize = status(&soloist)["waiting"].parse().unwrap();
    assert!(waiting <= 3, "what can be served in half a minute: {waiting}");
    assert!(soloist.tree().active_runs() <= 8, "{}", soloist.tree().active_runs());
    let aside: Vec<_> = all.iter().filter_map(|name| parked(&soloist, name)).collect();
    assert!(aside.len() >= 22, "{} are put aside", aside.len());
    let says_so = |reason: &String| reason.ends_with("wait for connector `provider`");
    assert!(aside.iter().all(says_so), "{aside:#?}");

    sleep(Duration::from_secs(400)).await;
    town.all_landed(&soloist, all.clone()).await;
    town.provider.check(1, Duration::from_secs(10), |_| true);
    let aside: usize = all
        .iter()
        .map(|name| kinds(&soloist, &format!("run:{name}")))
        .map(|kinds| kinds.iter().filter(|kind| *kind == "write.parked").count())
        .sum();
    assert!(aside <= 2 * 30, "each once or twice, and not {aside} times");
    soloist.shutdown().await.unwrap();
}
