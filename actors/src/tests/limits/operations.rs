//! Operations that may be called less often than the rest.

use super::*;

const RARE: &str = "name='rare'\n[[step]]\nname='it'\ncall='provider.rare'\ninput={ text='input' }";
const ELSEWHERE: &str =
    "name='elsewhere'\n[[step]]\nname='it'\ncall='other.rare'\ninput={ text='input' }";
const MINUTE: Duration = Duration::from_secs(60);

/// A provider that takes two rare calls in a minute.
fn town() -> Town {
    let mut town = Town::new(Rate::per_second(100, 100));
    let rate = Rate { calls: 2, per: MINUTE, burst: 2 };
    town.manifest.operation_rates = BTreeMap::from([("rare".parse().unwrap(), rate)]);
    town
}

async fn start(soloist: &Soloist, workflow: &str, names: &[String]) {
    for name in names {
        soloist.start(workflow, name, &name).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_with_a_stricter_rate_of_its_own_is_held_to_it() {
    let town = town();
    let soloist = town.builder(&[RARE]).open().await.unwrap();
    let (rare, others) = (names("rare", 6), names("write", 10));
    start(&soloist, "rare", &rare).await;
    town.write(&soloist, others.clone()).await;
    sleep(MINUTE / 2).await;
    for name in &others {
        completed(&soloist, name).await;
    }
    let reasons: Vec<_> = rare.iter().filter_map(|name| parked(&soloist, name)).collect();
    assert!(!reasons.is_empty(), "some wait for the limit of the operation");
    sleep(5 * MINUTE).await;
    town.all_landed(&soloist, rare.into_iter().chain(others)).await;
    town.provider.check(2, MINUTE, |what| what == "rare");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rare_operation_that_waits_holds_up_no_other() {
    let town = town();
    let soloist = town.builder(&[RARE]).open().await.unwrap();
    start(&soloist, "rare", &names("rare", 20)).await;
    sleep(Duration::from_secs(1)).await;
    town.write(&soloist, names("write", 10)).await;
    sleep(Duration::from_secs(5)).await;
    let landed = town.provider.landed().len();
    assert_eq!(landed, 12, "two rare ones, and all the others");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_connectors_with_one_credential_share_the_limits_of_operations() {
    let town = town();
    let builder = town.builder(&[RARE]).connector("other", town.adapter());
    let elsewhere = soloist_kernel::workflow::Workflow::parse("w", ELSEWHERE).unwrap();
    let soloist = builder.workflow(elsewhere).open().await.unwrap();
    start(&soloist, "rare", &names("rare", 3)).await;
    start(&soloist, "elsewhere", &names("elsewhere", 3)).await;
    sleep(6 * MINUTE).await;
    town.provider.check(2, MINUTE, |what| what == "rare");
    town.all_landed(&soloist, names("rare", 3).into_iter().chain(names("elsewhere", 3))).await;
    soloist.shutdown().await.unwrap();
}

/// The permit of the operation is taken first, and the wait for the other limit may be long.
#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_the_wider_limit_still_counts_after_a_kill() {
    let mut town = Town::new(Rate { calls: 1, per: Duration::from_secs(25), burst: 1 });
    let rate = Rate { calls: 1, per: MINUTE, burst: 1 };
    town.manifest.operation_rates = BTreeMap::from([("rare".parse().unwrap(), rate)]);
    let soloist = town.builder(&[RARE]).open().await.unwrap();
    town.write(&soloist, names("write", 1)).await;
    sleep(Duration::from_secs(1)).await;
    start(&soloist, "rare", &names("rare", 2)).await;
    let rare = |town: &Town| {
        let arrivals = town.provider.arrivals();
        arrivals.into_iter().filter(|arrival| arrival.what == "rare").count()
    };
    while rare(&town) == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    town.kill(soloist, Crash::Process);
    let soloist = town.builder(&[RARE]).open().await.unwrap();
    sleep(10 * MINUTE).await;
    town.provider.check(1, MINUTE, |what| what == "rare");
    let all = names("rare", 2).into_iter().chain(names("write", 1));
    town.all_landed(&soloist, all).await;
    soloist.shutdown().await.unwrap();
}

/// A journal that takes its time does not make a permit last longer than is known after a crash.
#[tokio::test(start_paused = true)]
async fn a_call_that_left_late_still_counts_after_a_kill() {
    let mut town = Town::new(Rate { calls: 1, per: MINUTE, burst: 1 });
    let calm = town.house.env.clone();
    town.house.env = calm.clone().with_perturbation(|| sleep(Duration::from_millis(5_500)));
    let soloist = town.open().await;
    let writes = names("write", 2);
    for name in &writes {
        // Each of its records takes five seconds and a half.
        let _ =
            tokio::time::timeout(Duration::from_secs(1), soloist.start("write", name, name)).await;
    }
    while town.provider.calls() == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    town.house.env = calm;
    town.kill(soloist, Crash::Process);
    let soloist = town.open().await;
    town.write(&soloist, writes.clone()).await;
    sleep(10 * MINUTE).await;
    town.provider.check(1, MINUTE, |_| true);
    town.all_landed(&soloist, writes).await;
    soloist.shutdown().await.unwrap();
}
