//! A provider that is down for a while.

use soloist_kernel::fault::{Fault, FaultClass, Phase};

use super::{provider::Arrival, *};

const MINUTE: Duration = Duration::from_secs(60);

fn down() -> Fault {
    Fault::new(FaultClass::Transient, Phase::NotSent, "nobody answers")
}

/// Ten runs that have met a provider that is down, so that the breaker is open.
async fn met_a_provider_that_is_down() -> (Town, Soloist) {
    let town = Town::new(Rate::per_second(100, 100));
    town.provider.says(|_, _| Err(down()));
    let soloist = town.open().await;
    town.write(&soloist, names("write", 10)).await;
    sleep(Duration::from_secs(2)).await;
    let calls = town.provider.calls();
    assert!((5..=8).contains(&calls), "{calls}: five, and those under way with the fifth");
    let said = &status(&soloist)["writes"];
    assert!(said.starts_with("breaker open until "), "{said}");
    assert!(said.ends_with(": 5 calls in a row have failed"), "{said}");
    for name in names("write", 10) {
        let reason = parked(&soloist, &name).unwrap();
        assert!(reason.starts_with("5 calls in a row have failed"), "{name}: {reason}");
    }
    soloist.idle().await.unwrap();
    (town, soloist)
}

/// One at a time, further and further apart.
#[track_caller]
fn are_probes(arrivals: &[Arrival]) {
    assert!(arrivals.iter().all(|arrival| arrival.under_way == 1), "{arrivals:#?}");
    for pair in arrivals.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_secs(4), "{pair:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_parks_work_with_its_reason_and_wakes_it() {
    let (town, soloist) = met_a_provider_that_is_down().await;
    let before = town.provider.calls();
    sleep(20 * MINUTE).await;
    let arrivals = town.provider.arrivals();
    are_probes(&arrivals[before..]);
    let probes = arrivals.len() - before;
    assert!((7..=12).contains(&probes), "{probes} probes, the last ones five minutes apart");
    assert!(town.provider.landed().is_empty());

    town.provider.is_well();
    let wait = Instant::now();
    while town.provider.landed().len() < 10 && wait.elapsed() < 10 * MINUTE {
        sleep(Duration::from_secs(1)).await;
    }
    let first = town.provider.arrivals()[before + probes].at;
    assert!(first.elapsed() < Duration::from_secs(3), "all land when the probe has: {wait:?}");
    town.all_landed(&soloist, names("write", 10)).await;
    assert_eq!(status(&soloist).get("writes"), None);
    let kinds = kinds(&soloist, "breakers:provider");
    assert_eq!(kinds.first().unwrap(), "breaker.opened");
    assert_eq!(kinds.last().unwrap(), "breaker.closed");
    assert_eq!(kinds.len(), 2 + probes, "a record for each turn");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_still_open_after_a_restart() {
    let (mut town, soloist) = met_a_provider_that_is_down().await;
    sleep(MINUTE).await;
    let (said, calls) = (status(&soloist)["writes"].clone(), town.provider.calls());
    assert!(said.starts_with("breaker open until "), "{said}");
    town.kill(soloist, Crash::Process);
    town.provider.is_well();
    let soloist = town.open().await;
    assert_eq!(status(&soloist)["writes"], said);
    town.write(&soloist, ["late".to_owned()]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(town.provider.calls(), calls, "{said}");
    assert!(parked(&soloist, "late").unwrap().starts_with("5 calls in a row have failed"));
    let wait = Instant::now();
    while status(&soloist).contains_key("writes") {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(wait.elapsed() > Duration::from_secs(10), "{:?}", wait.elapsed());
    sleep(Duration::from_secs(3)).await;
    let all = names("write", 10).into_iter().chain(["late".to_owned()]);
    town.all_landed(&soloist, all).await;
    soloist.shutdown().await.unwrap();
}
