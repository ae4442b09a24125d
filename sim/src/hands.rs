//! Who kills and stops the actors that the plan wants killed and stopped.

use soloist_actors::Soloist;

use crate::{
    plan::Kind,
    trace::What,
    world::{Access, millis},
};

/// How often a run is started again within [`WITHIN_MS`] before it is set aside.
const RESTARTS_MAX: u64 = 3;

/// How often a poisoned run is killed: often enough, although some kills meet one that is just leaving.
const DEATHS: u32 = 6;

/// The time in which a supervisor counts deaths, in milliseconds.
const WITHIN_MS: u64 = 60_000;

/// How long it is waited for a run that has died to be there again, in milliseconds: the wait before it starts again grows to
/// some seconds.
const BACK_MS_MAX: u64 = 10_000;

/// Does what it is told for as long as the process lives.
pub(crate) async fn hands(soloist: Soloist, access: Access) {
    loop {
        for order in access.orders().await {
            match &order {
                Kind::Poisoned => drop(tokio::spawn(poisons(soloist.clone(), access.clone()))),
                Kind::Kill { actor } | Kind::Stop { actor } => {
                    if let Some(path) = path_of(&soloist, actor) {
                        hits(&soloist, &access, &order, &path);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Where `actor` is; a `run` is the first that is active.
fn path_of(soloist: &Soloist, actor: &str) -> Option<String> {
    match actor {
        "run" => soloist.living().into_iter().find(|path| path.starts_with("soloist/runs/")),
        actor => Some(format!("soloist/{actor}")),
    }
}

/// Tells whether it was there.
fn hits(soloist: &Soloist, access: &Access, order: &Kind, path: &str) -> bool {
    let there = match order {
        Kind::Stop { .. } => soloist.stop(path),
        _ => soloist.kill(path),
    };
    access.with(|state| {
        let what = if there { "hit" } else { "not there" };
        state.line("process", What::Fault, format_args!("{order} ({path}): {what}"));
    });
    there
}

/// Kills a run whenever it is there.
async fn poisons(soloist: Soloist, access: Access) {
    let Some(path) = path_of(&soloist, "run") else { return };
    let world = access.world();
    let set_aside = || world.seen("a run was set aside");
    let restarted = || soloist.stats().actors_restarted;
    let (begun_ms, before, restarted_before) = (world.now_ms(), set_aside(), restarted());
    let mut deaths = 0;
    while deaths < DEATHS {
        let mut waited_ms = 0;
        while !soloist.living().contains(&path) {
            if waited_ms > BACK_MS_MAX || !access.is_alive() {
                return;
            }
            waited_ms += 1;
            tokio::time::sleep(millis(1)).await;
        }
        deaths += u32::from(hits(&soloist, &access, &Kind::Poisoned, &path));
        tokio::time::sleep(millis(1)).await;
    }
    // Whom a kill meets as he leaves has not died. Between two of these deaths it may have been set aside, and the operator has
    // let it go on; or its supervisor may have died, and with it the count.
    let times = restarted() - restarted_before;
    let others = world.state().plan.faults.iter().any(|fault| {
        matches!(fault.what, Kind::Kill { .. } | Kind::Stop { .. } | Kind::Pause { .. })
    });
    let again = access.is_alive() && set_aside() == before && !others;
    if again && times > RESTARTS_MAX && world.now_ms() - begun_ms < WITHIN_MS {
        let what = format!("{path} died within a minute, and was started again {times} times");
        world.violated("gives-up", what);
    }
}
