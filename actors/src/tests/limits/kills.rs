//! The limit of a provider, over kills at random.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use super::*;
use crate::RunEnd;

const MINUTE: Duration = Duration::from_secs(60);
const KILLS: u32 = 200;
/// Runs under way at most: what waits is put aside and taken up by every kernel again.
const UNDER_WAY_MAX: usize = 12;
/// How many minutes it may take until the last of them has landed.
const WAITS_MAX: u32 = 60;

fn below(chance: &mut ChaCha8Rng, limit: u64) -> u64 {
    chance.next_u64() % limit
}

/// Starts a run now and then, for ever.
async fn work(town: &Town, soloist: &Soloist, started: &mut Vec<String>, chance: &mut ChaCha8Rng) {
    loop {
        if started.len() < town.provider.landed().len() + UNDER_WAY_MAX {
            let name = format!("write-{}", started.len());
            // It may be there when this is given up midway, so it counts before.
            started.push(name.clone());
            soloist.start("write", &name, &name).await.unwrap();
        }
        if below(chance, 4) == 0 {
            let name = format!("look-{}", chance.next_u64());
            soloist.start("look", &name, &2).await.unwrap();
        }
        sleep(Duration::from_millis(below(chance, 2_000))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_providers_window_is_never_exceeded_across_two_hundred_kills() {
    let mut town = Town::new(Rate { calls: 20, per: MINUTE, burst: 5 });
    let mut chance = town.house.env.entropy("kills");
    // Less than the margin that a limit keeps for it.
    let latencies = (0..97).map(|_| Duration::from_millis(below(&mut chance, 1_500)));
    town.provider.is_away(latencies.collect());
    let others = std::sync::Mutex::new(town.house.env.entropy("others first"));
    town.house.env = town.house.env.clone().with_perturbation(move || {
        let wait = below(&mut others.lock().unwrap(), 30);
        sleep(Duration::from_millis(wait))
    });

    let (begun, mut started) = (Instant::now(), vec![]);
    for kill in 0..KILLS {
        let builder = town.builder(&[]).intake("provider", "look", Some(Duration::from_secs(20)));
        let soloist = builder.open().await.unwrap();
        let life = Duration::from_millis(500 + below(&mut chance, 30_000));
        let work = work(&town, &soloist, &mut started, &mut chance);
        assert!(tokio::time::timeout(life, work).await.is_err());
        let crash = match kill % 3 {
            0 => Crash::Process,
            kept => Crash::PowerLoss { keep_unsynced: kept as usize - 1 },
        };
        town.kill(soloist, crash);
    }
    town.provider.check(20, MINUTE, |_| true);
    let (calls, minutes) = (town.provider.calls(), begun.elapsed().as_secs_f64() / 60.0);
    assert!(calls as f64 > 20.0 * minutes / 2.0, "{calls} calls in {minutes} minutes");
    for what in ["write", "look", "pull", "probe"] {
        assert!(town.provider.arrivals().iter().any(|arrival| arrival.what == what), "{what}");
    }

    let soloist = town.open().await;
    let mut there = soloist.runs().unwrap();
    there.retain(|run| run.run.as_str().starts_with("write"));
    for run in &there {
        // Whatever is put aside may be so once more when its turn comes.
        for _ in 0..WAITS_MAX {
            let end = soloist.run(run.run.as_str()).unwrap().rest().await.unwrap();
            if !matches!(end, RunEnd::Waiting { .. }) {
                break;
            }
            sleep(MINUTE).await;
        }
    }
    let there = there.into_iter().map(|run| run.run.to_string());
    town.all_landed(&soloist, there).await;
    soloist.shutdown().await.unwrap();
}
