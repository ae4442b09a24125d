//! One simulation: processes over one world, until everything has come to rest.
//!
//! In the first phase the plan's faults happen. When its last one has, or nothing is left that could meet one, the second
//! phase begins: everything is mended, and all that is open must come to an end.

use std::time::Duration;

use soloist_actors::Soloist;
use soloist_connectors::{Env, http::nobody};
use tokio::{runtime, time::timeout};

use crate::{
    chance::Chance,
    check::finale,
    client::Client,
    disk::{Disk, DiskKind},
    hands::{hands, lets_go},
    mail::Wire,
    outcome::Outcome,
    plan::{Kind, Plan},
    process::Process,
    quiet,
    scenario::{Scenario, Systems},
    trace::What,
    world::{Access, Strike, World, millis},
};

/// Processes that one simulation may take. A plan has a handful of crashes; more means that a process cannot start.
const EPOCHS_MAX: u32 = 40;

/// How long the faults may go on, at most, in virtual time.
const FAULTS_MS_MAX: u64 = 4 * 60 * 60 * 1000;

/// How long everything may take to come to rest once the faults are over. Keys are remembered for a day, and what waits for a
/// decision waits for days.
const REST_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// How long what is at rest is left alone before it is looked at: longer than any pause of a plan.
const SETTLES: Duration = Duration::from_secs(60);

/// Waits between looks at whether everything has come to rest: short at first, since most things take seconds.
const LOOKS_MS: [u64; 8] = [1_000, 5_000, 20_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000];

/// Fewest records between two snapshots of a run: a seed has one of these, so that short runs have snapshots too.
const SNAPSHOTS_EVERY: [u64; 4] = [1, 2, 4, 100];

/// How a simulation is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What the journal is on.
    pub disk: DiskKind,
    /// Whether the trace is kept to be read.
    pub keep_trace: bool,
    /// The bug that is planted.
    #[cfg(feature = "mutants")]
    pub mutant: Option<soloist_kernel::mutant::Mutant>,
}

/// How a process ended.
enum End {
    /// Everything has come to rest, and the faults are over.
    Rest,
    /// It died.
    Died(Kind),
    /// It could not go on, for a reason that is no fault of the plan.
    Stuck,
}

/// Simulates `plan` of `scenario`.
///
/// What goes wrong is in the outcome, also what went wrong with the simulation itself.
#[must_use]
pub fn run(scenario: &Scenario, plan: &Plan, options: Options) -> Outcome {
    over(scenario, plan, options, 0, &mut Disk::new(options.disk))
}

/// Simulates `plan` over what is on `disk`, as of `begun_ms` milliseconds of virtual time.
pub(crate) fn over(
    scenario: &Scenario,
    plan: &Plan,
    options: Options,
    begun_ms: u64,
    disk: &mut Result<Disk, String>,
) -> Outcome {
    quiet::wanted_panics();
    #[cfg(feature = "mutants")]
    let _planted = Planted::now(options.mutant);
    let world = World::new(plan.clone(), options.keep_trace);
    world.begins_at(begun_ms);
    let systems = scenario.systems.iter().fold(Systems::new(), |all, make| all.and(make(&world)));
    let runs = match disk {
        Ok(disk) => epochs(scenario, &world, &systems, disk),
        Err(problem) => {
            world.violated("opens", problem);
            finale::Count::default()
        }
    };
    outcome(scenario, world, runs)
}

/// A planted bug, for as long as this is held.
#[cfg(feature = "mutants")]
struct Planted;

#[cfg(feature = "mutants")]
impl Planted {
    fn now(mutant: Option<soloist_kernel::mutant::Mutant>) -> Self {
        soloist_kernel::mutant::plant(mutant);
        Self
    }
}

#[cfg(feature = "mutants")]
impl Drop for Planted {
    fn drop(&mut self) {
        soloist_kernel::mutant::plant(None);
    }
}

fn epochs(scenario: &Scenario, world: &World, systems: &Systems, disk: &mut Disk) -> finale::Count {
    let mut count = finale::Count::default();
    let mut deployed = false;
    for epoch in 1.. {
        let end = process(scenario, world, systems, disk, deployed, &mut count);
        always(scenario, world);
        match end {
            End::Rest | End::Stuck => break,
            End::Died(_) if world.state().stuck => break,
            End::Died(kind) => {
                deployed |= kind == Kind::Deploys;
                disk.after(&kind, world);
            }
        }
        if epoch == EPOCHS_MAX {
            world.violated("liveness", format_args!("{EPOCHS_MAX} processes were not enough"));
            break;
        }
    }
    count
}

fn always(scenario: &Scenario, world: &World) {
    for (name, check) in &scenario.always {
        if let Err(what) = check(world) {
            world.violated(name, what);
        }
    }
}

/// A process, from its start to its end.
fn process(
    scenario: &Scenario,
    world: &World,
    systems: &Systems,
    disk: &Disk,
    deployed: bool,
    count: &mut finale::Count,
) -> End {
    // Nothing real is waited for: no sockets, no threads.
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(problem) => {
            world.violated("opens", problem);
            return End::Stuck;
        }
    };
    let end = runtime.block_on(async {
        let access = world.enter();
        let lives = live(scenario, systems, disk, deployed, &access, count);
        let end = tokio::select! {
            biased;
            death = access.death() => End::Died(death.by),
            end = lives => end,
        };
        // The moment it died in is the last one of its time.
        let mut chance = world.chance("downtime", access.epoch().into());
        let downtime = if chance.percent(80) {
            chance.between(100, 5_000)
        } else {
            chance.between(5_000, 900_000)
        };
        world.leave(downtime);
        end
    });
    drop(runtime);
    end
}

/// What a process does: it starts, works, and comes to rest.
async fn live(
    scenario: &Scenario,
    systems: &Systems,
    disk: &Disk,
    deployed: bool,
    access: &Access,
    count: &mut finale::Count,
) -> End {
    let world = access.world();
    let journal = disk.journal(access);
    if let Err(problem) = reopened(world, disk) {
        world.violated("opens", problem);
        return End::Stuck;
    }
    tokio::spawn(journal.clone().run());
    tokio::spawn(weather(access.clone()));
    let process = Process::new(access, systems, env(access, systems));
    let make = scenario.deploys.as_ref().filter(|_| deployed).unwrap_or(&scenario.kernel);
    let builder = Soloist::builder().journal(journal).env(process.env().clone());
    let every = *world.chance("snapshots", 0).pick(&SNAPSHOTS_EVERY);
    let builder = process.mounted(builder, systems).snapshot_every(every);
    world.state().paid.is_to_hold(scenario.budgets.clone());
    let builder = builder.budgets(scenario.budgets.clone());
    let soloist = match make(builder, &process).open().await {
        Ok(soloist) => soloist,
        Err(problem) => {
            // A fault that ends the process says so before this is looked at.
            tokio::task::yield_now().await;
            if access.is_alive() && !access.has_failed_disk() {
                world.violated("opens", problem);
                return End::Stuck;
            }
            return End::Died(Kind::SyncFails);
        }
    };
    finale::after_recovery(world, &soloist);
    let hands = tokio::spawn(hands(soloist.clone(), access.clone()));
    let lets_go = tokio::spawn(lets_go(soloist.clone(), access.clone()));
    let client = Client { soloist: soloist.clone(), access: access.clone() };
    let webhooks = (scenario.webhooks)(world);
    let expected = webhooks.len();
    for webhook in webhooks {
        let client = client.clone();
        tokio::spawn(async move { client.deliver(webhook).await });
    }
    let work = tokio::spawn((scenario.workload)(client));
    let end = tokio::select! {
        biased;
        halted = soloist.halted() => halts(access, &halted.reason),
        () = rests(scenario, &soloist, access, &work, expected) => End::Rest,
    };
    if matches!(end, End::Rest) {
        *count = finale::check(scenario, world, &soloist).await;
        // Its hold on the kernel would be waited for.
        hands.abort();
        lets_go.abort();
        match soloist.shutdown().await {
            Ok(()) => {}
            // The last fsync failed, and nobody waited for it.
            Err(_) if access.has_failed_disk() => return End::Died(Kind::SyncFails),
            Err(problem) => world.violated("nothing-held", problem),
        }
    }
    end
}

/// The kernel has halted: its process ends, and the next recovers.
fn halts(access: &Access, reason: &str) -> End {
    access.with(|state| state.line("process", What::Process, format_args!("halted: {reason}")));
    if access.has_failed_disk() {
        return End::Died(Kind::SyncFails);
    }
    // A tree that gave up would stay for the operator to look at. The simulated one restarts it.
    access.with(|state| state.saw("the tree gave up"));
    End::Died(Kind::Crash)
}

fn reopened(world: &World, disk: &Disk) -> Result<(), String> {
    let contents = disk.contents();
    let mut state = world.state();
    let mut watch = std::mem::take(&mut state.watch);
    drop(state);
    let read = watch.reopened(&**contents);
    world.state().watch = watch;
    read.map_err(|problem| problem.to_string())
}

/// The world as the process sees it.
fn env(access: &Access, systems: &Systems) -> Env {
    let (clock, points) = (access.clone(), access.clone());
    let mut seed = [0; 32];
    let epoch = u64::from(access.epoch());
    let mut chance = Chance::of(access.world().seed(), "entropy", epoch);
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&chance.draw().to_le_bytes());
    }
    Env::with_clock(move || clock.wall(), seed)
        .with_perturbation(move || {
            let points = points.clone();
            async move { points.perturb().await }
        })
        .with_network(Wire::new(access.clone(), systems.servers.clone()))
        .with_http(nobody("a simulation has no system that is spoken to by HTTP"))
}

/// The faults whose time is known happen at it.
async fn weather(access: Access) {
    while let Some(Some(at_ms)) = access.with(|state| state.next_at_ms()) {
        let wait = at_ms.saturating_sub(access.world().now_ms());
        tokio::time::sleep(millis(wait)).await;
        access.with(|state| state.strike(&Strike::Time));
    }
}

/// Returns when everything has come to rest after the faults, or when that takes too long.
async fn rests(
    scenario: &Scenario,
    soloist: &Soloist,
    access: &Access,
    work: &tokio::task::JoinHandle<()>,
    webhooks: usize,
) {
    let world = access.world();
    let mut look = 0;
    let calm = world.state().calm;
    let mut calm_since = calm.then(|| world.now_ms());
    loop {
        // Looked at before the kernel is: what is asked for while it is idle has only just begun.
        let asked = work.is_finished() && world.state().delivered.len() >= webhooks;
        // Those who ask learn why it has halted elsewhere.
        let rests = async {
            let _ = soloist.idle().await;
            let _ = soloist.shadowed().await;
        };
        let idle = timeout(Duration::from_secs(60), rests).await.is_ok();
        let mut decided = scenario.operator.look(soloist, access).await;
        if calm_since.is_some() {
            for pause in soloist.pauses() {
                decided |= soloist.resume(&pause.scope).await.is_ok();
            }
        }
        if decided {
            look = 0;
        } else if idle && asked && finale::is_quiet(soloist) {
            if calm_since.is_some() {
                // What was just sent arrives, and whoever was told to pause goes on.
                tokio::time::sleep(SETTLES).await;
                return;
            }
            world.calm();
            (calm_since, look) = (Some(world.now_ms()), 0);
            continue;
        }
        let now_ms = world.now_ms();
        if calm_since.is_none() && now_ms > FAULTS_MS_MAX {
            world.calm();
            calm_since = Some(now_ms);
        }
        if calm_since.is_some_and(|since| now_ms - since > REST_MS_MAX) {
            let what = finale::open(soloist).await;
            world.violated(
                "liveness",
                format_args!("after {} days: {what}", REST_MS_MAX / 86_400_000),
            );
            return;
        }
        let wait = LOOKS_MS[look.min(LOOKS_MS.len() - 1)];
        look += 1;
        tokio::time::sleep(millis(wait)).await;
    }
}

fn outcome(scenario: &Scenario, world: World, count: finale::Count) -> Outcome {
    let sometimes = scenario.sometimes.iter().map(|(name, check)| (name.clone(), check(&world)));
    let sometimes = sometimes.collect();
    let mut state = world.state();
    let trace = std::mem::replace(&mut state.trace, crate::trace::Trace::new(false));
    let (lines, hash) = (trace.count(), trace.hash());
    Outcome {
        plan: state.plan.clone(),
        violations: std::mem::take(&mut state.violations),
        fired: state.fired(),
        coverage: std::mem::take(&mut state.coverage),
        sometimes,
        epochs: state.epoch,
        virtual_ms: state.now_ms(),
        lines,
        hash,
        interleaving: state.interleaving.get(),
        runs: count.runs,
        parked: count.asked,
        calls: state.apis.iter().map(|(api, at)| (api.clone(), at.calls)).collect(),
        appends: state.appends,
        points: state.points(),
        effects: u32::try_from(state.effects.len()).unwrap_or(u32::MAX),
        decisions: state.decisions,
        webhooks: state.webhooks,
        actors: count.actors,
        seen: std::mem::take(&mut state.seen),
        trace: trace.into_lines(),
    }
}
