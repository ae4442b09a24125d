//! Who kills and stops the actors that the plan wants killed and stopped, and does to runs what the plan has an operator do.

use std::time::Duration;

use soloist_actors::{DecideError, Soloist};
use soloist_kernel::{control::Scope, policy::Policy, rollout::Subject, workflow::Workflow};

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

/// How long an operator looks before what was left paused goes on, in milliseconds.
const LOOKS_FIRST_MS: u64 = 20_000;

/// How long a run has been over when it is archived.
const OVER_FOR: Duration = Duration::from_secs(1);

/// Does what it is told for as long as the process lives.
pub(crate) async fn hands(soloist: Soloist, access: Access) {
    loop {
        for order in access.orders().await {
            match &order {
                Kind::Poisoned => drop(tokio::spawn(poisons(soloist.clone(), access.clone()))),
                Kind::Leaves | Kind::Retries | Kind::Overrides => {
                    drop(tokio::spawn(intervenes(soloist.clone(), access.clone(), order.clone())));
                }
                Kind::Shares | Kind::Shadows => {
                    drop(tokio::spawn(tries(soloist.clone(), access.clone(), order.clone())));
                }
                Kind::Archives => drop(tokio::spawn(archives(soloist.clone(), access.clone()))),
                Kind::Holds { scope, ms } => {
                    let held = holds(soloist.clone(), access.clone(), scope.clone(), *ms);
                    drop(tokio::spawn(held));
                }
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

/// The operator does something to a run: to one that is under way, or has failed.
async fn intervenes(soloist: Soloist, access: Access, order: Kind) {
    let runs = soloist.runs().unwrap_or_default();
    let wanted: Vec<_> = runs
        .into_iter()
        .filter(|run| run.parent.is_none())
        .filter(|run| match order {
            Kind::Retries => matches!(run.status.as_str(), "failed" | "running" | "waiting"),
            _ => matches!(run.status.as_str(), "running" | "waiting"),
        })
        .collect();
    if wanted.is_empty() {
        return;
    }
    let mut chance = access.world().chance("intervenes", access.world().now_ms());
    let run = chance.pick(&wanted).run.clone();
    let done = match order {
        Kind::Leaves => soloist.cancel_run(run.as_str(), "changed my mind").await,
        Kind::Retries => soloist.retry_step(run.as_str(), None, "it is mended").await,
        _ => match soloist.folded(&run).ok().flatten() {
            Some(folded) => {
                let steps = &folded.definition.steps;
                let step = chance.pick(steps).name.clone();
                let output = serde_json::json!({ "outcome": "done by hand" });
                soloist.override_step(run.as_str(), step.as_str(), &output, "by hand").await
            }
            None => return,
        },
    };
    access.with(|state| {
        let text = match &done {
            Ok(()) => "done".to_owned(),
            Err(DecideError::Refused(refusal)) => refusal.to_string(),
            Err(error) => error.to_string(),
        };
        state.line("operator", What::Operator, format_args!("{order} {run}: {text}"));
        if done.is_ok() {
            state.saw(&format!("the operator {}", order.name()));
        }
    });
}

/// The operator tries a new version of everything, which does the same in other words, on some of the runs or in their shadow.
async fn tries(soloist: Soloist, access: Access, order: Kind) {
    let shares = order == Kind::Shares;
    let mut of: Vec<Subject> = vec![];
    for (pinned, workflow) in soloist.workflows() {
        let text = format!("{}\n# Version {}.\n", workflow.source(), pinned.version + 1);
        let Ok(workflow) = Workflow::parse("tried.toml", &text) else { continue };
        if soloist.add_workflow(workflow).await.is_ok() {
            of.push(Subject::Workflow(pinned.name));
        }
    }
    let policy = soloist.policy();
    let text = format!("{}\n# Version {}.\n", policy.source(), policy.version() + 1);
    if let Ok(tried) = Policy::parse("tried.toml", &text).map(|tried| tried.with_lists_of(&policy))
        && shares
        && soloist.set_policy(tried).await.is_ok()
    {
        of.push(Subject::Policy);
    }
    for of in of {
        let tried = match shares {
            true => soloist.canary(&of, 50.0).await,
            false => soloist.shadow(&of, 100.0).await,
        };
        access.with(|state| {
            let text = tried.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
            state.line("operator", What::Operator, format_args!("{order} {of}: {text}"));
            if tried.is_ok() {
                state.saw(&format!("the operator {}", order.name()));
            }
        });
    }
}

/// The operator archives what has been over for a moment.
async fn archives(soloist: Soloist, access: Access) {
    let archived = soloist.archive(Some(OVER_FOR)).await;
    access.with(|state| {
        let text = match &archived {
            Ok(archived) => format!("{} runs", archived.runs),
            Err(error) => error.to_string(),
        };
        state.line("operator", What::Operator, format_args!("archives: {text}"));
        if archived.is_ok_and(|archived| archived.runs > 0) {
            state.saw("runs were archived");
        }
    });
}

/// The operator pauses something for a while. What a process that dies leaves paused is let go on by the next: see [`lets_go`].
async fn holds(soloist: Soloist, access: Access, scope: String, ms: u64) {
    let runs = || soloist.runs().unwrap_or_default();
    let scope = match scope.as_str() {
        "run" => match runs().into_iter().find(|run| run.status == "running") {
            Some(run) => Scope::Run(run.run),
            None => return,
        },
        scope => match scope.parse() {
            Ok(scope) => scope,
            Err(problem) => return access.world().violated("liveness", problem),
        },
    };
    let paused = soloist.pause(&scope, "look first").await.is_ok();
    access.with(|state| {
        state.line("operator", What::Operator, format_args!("pauses {scope}: {paused}"));
        state.saw("the operator paused something");
    });
    tokio::time::sleep(millis(ms)).await;
    resumes(&soloist, &access, &scope).await;
}

/// Lets go on what an earlier process left paused.
pub(crate) async fn lets_go(soloist: Soloist, access: Access) {
    let left = soloist.pauses();
    if left.is_empty() {
        return;
    }
    tokio::time::sleep(millis(LOOKS_FIRST_MS)).await;
    for pause in left {
        resumes(&soloist, &access, &pause.scope).await;
    }
}

async fn resumes(soloist: &Soloist, access: &Access, scope: &Scope) {
    let resumed = soloist.resume(scope).await;
    access.with(|state| {
        let text = resumed.map_or_else(|error| error.to_string(), |known| known.to_string());
        state.line("operator", What::Operator, format_args!("resumes {scope}: {text}"));
    });
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
        while !soloist.lives(&path) {
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
