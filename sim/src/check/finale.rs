//! What must hold after a recovery, and when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use soloist_actors::{
    Soloist, TreeNode,
    travel::{Bundle, Difference},
    views::{self, CostBy, costs},
};
use soloist_kernel::{
    effect::Write,
    id::{InboxId, RunId, StepName, StreamId},
    inbox,
    journal::{Journal, ReadError, StreamSeq, verify::verify},
    run::{Run, RunSummary, Status, project},
    semantics::Reversal,
    time::Timestamp,
};

use super::{judged, outcome, versions};
use crate::{operator::is_set_aside, plan::Class, scenario::Scenario, world::World};

/// One in so many seeds is told from its records once more: what a run is, and what policy said. Single faults all have seed
/// zero, and so each of them is.
const LOOKS_BACK: u64 = 3;

/// What there was at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    /// Runs.
    pub(crate) runs: usize,
    /// Doubtful writes that were put to the operator.
    pub(crate) asked: usize,
    /// The actors of the tree, by their paths beneath the root, and whether each comes back when it is stopped.
    pub(crate) actors: Vec<(String, bool)>,
}

/// A process has started over what the last one left.
pub(crate) fn after_recovery(world: &World, soloist: &Soloist) {
    if world.state().epoch == 1 {
        return;
    }
    let acknowledged = world.state().acknowledged_runs.clone();
    for run in acknowledged {
        let id = RunId::new(&*run).ok();
        let there = id.is_some_and(|id| {
            soloist.journal().stream_head(&id.stream()).is_ok_and(|head| head > StreamSeq(0))
        });
        if !there {
            world.violated(
                "acknowledged-kept",
                format_args!("run {run} was acknowledged and is gone"),
            );
        }
    }
    if let Err(problem) = verify(soloist.journal(), None) {
        world.violated("chain", problem);
    }
}

/// Whether nothing will happen by itself: nothing is due, nothing is put aside.
pub(crate) fn is_quiet(soloist: &Soloist) -> bool {
    let journal = soloist.journal();
    let empty = |table| journal.projections(table, "", "", 1).is_ok_and(|rows| rows.is_empty());
    empty(project::TIMERS) && empty(project::PARKED)
}

/// What has not come to rest, in words.
pub(crate) async fn open(soloist: &Soloist) -> String {
    let runs = soloist.runs().unwrap_or_default();
    let open = runs.iter().filter(|run| !is_over(run));
    let mut lines: Vec<String> =
        open.map(|run| format!("run {} of {} is {}", run.run, run.workflow, run.status)).collect();
    let items = soloist.inbox().unwrap_or_default();
    lines.extend(items.iter().map(|item| format!("the inbox holds {} ({})", item.id, item.title)));
    let journal = soloist.journal();
    for table in [project::TIMERS, project::PARKED] {
        let rows = journal.projections(table, "", "", 5).unwrap_or_default();
        lines.extend(rows.iter().map(|(key, _)| format!("{table} holds {key}")));
    }
    let busy = soloist.living().into_iter().filter(|path| path.starts_with("soloist/runs/"));
    lines.extend(busy.map(|path| format!("{path} is active")));
    if lines.is_empty() {
        "nothing is open, and yet it is not at rest".into()
    } else {
        lines.join("; ")
    }
}

fn is_over(run: &RunSummary) -> bool {
    matches!(run.status.as_str(), "completed" | "failed" | "aborted" | "cancelled")
}

/// Everything that must hold at rest.
pub(crate) async fn check(scenario: &Scenario, world: &World, soloist: &Soloist) -> Count {
    let runs = soloist.runs().unwrap_or_default();
    let mut found = Found { world, problems: vec![] };
    found.check(scenario, soloist, &runs);
    for (invariant, what) in found.problems {
        world.violated(invariant, what);
    }
    for (name, check) in &scenario.finally {
        if let Err(what) = check(world, soloist) {
            world.violated(name, what);
        }
    }
    let asked = usize::try_from(world.seen("the operator said resolve")).unwrap_or(usize::MAX);
    let mut actors = vec![];
    for child in soloist.tree().children {
        beneath("", &child, &mut actors);
    }
    Count { runs: runs.len(), asked, actors }
}

/// The actors from `node` on, without those that come and go.
fn beneath(above: &str, node: &TreeNode, actors: &mut Vec<(String, bool)>) {
    let path = format!("{above}{}", node.name);
    actors.push((path.clone(), node.restart == "permanent"));
    if node.members.is_none() {
        for child in &node.children {
            beneath(&format!("{path}/"), child, actors);
        }
    }
}

struct Found<'a> {
    world: &'a World,
    problems: Vec<(&'static str, String)>,
}

impl Found<'_> {
    fn add(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.problems.push((invariant, what.into()));
    }

    fn read<T>(&mut self, read: Result<T, ReadError>) -> Option<T> {
        read.map_err(|problem| self.add("history-is-state", problem.to_string())).ok()
    }

    fn check(&mut self, scenario: &Scenario, soloist: &Soloist, runs: &[RunSummary]) {
        let journal = soloist.journal();
        if let Err(problem) = verify(journal, None) {
            self.add("chain", problem.to_string());
        }
        let looks_back = self.world.state().plan.seed.is_multiple_of(LOOKS_BACK);
        let items = soloist.inbox().unwrap_or_default();
        let mut waiting: BTreeSet<InboxId> = BTreeSet::new();
        for summary in runs {
            let Some(Some(run)) = self.read(soloist.folded(&summary.run)) else { continue };
            waiting.extend(inbox::waiting(&run).into_iter().map(|(id, _)| id));
            if looks_back {
                self.replayed(soloist, &run.id);
            }
            // One that is set aside does nothing, and so settles nothing.
            let set_aside = self.read(views::set_aside(journal, &run.id)).flatten().is_some();
            for open in run.spent.open.iter().filter(|_| !set_aside) {
                let what = &open.reservation.operation;
                self.add(
                    "accounted",
                    format!("call {} of {}, {what}, is not settled", open.call, run.id),
                );
            }
            self.unwound(&run);
            self.problems.extend(outcome::check(self.world, &run));
        }
        self.settled(runs, &items, &waiting);
        if looks_back {
            self.carried(soloist, runs);
            let otherwise = self.read(judged::check(journal)).unwrap_or_default();
            self.problems.extend(otherwise.into_iter().map(|what| ("judged-again", what)));
        }
        let versions = self.read(versions::check(journal, runs)).unwrap_or_default();
        self.problems.extend(versions);
        self.facts(journal, soloist);
        self.accounted(journal);
        self.nothing_held(soloist);
        self.parked();
        self.secrets(scenario, journal);
    }

    /// The history of a run is its state, and whatever else is kept of it, however it is read.
    fn replayed(&mut self, soloist: &Soloist, run: &RunId) {
        match soloist.replay_run(run) {
            Ok(replayed) => {
                for Difference { what, says } in replayed.differences {
                    self.add("history-is-state", format!("{what} of {run}: {says}"));
                }
            }
            Err(problem) => self.add("history-is-state", problem.to_string()),
        }
    }

    /// What the other sides were called for is on record, with what it cost.
    fn accounted(&mut self, journal: &dyn Journal) {
        if !self.world.state().paid.is_limited() {
            return;
        }
        let rows = self.read(costs(journal, CostBy::Operation, Timestamp(0))).unwrap_or_default();
        let arrived: Vec<(String, u64)> = self.world.state().paid.calls().collect();
        for (operation, arrived) in arrived {
            let known = rows.iter().find(|row| row.of == operation);
            let known = known.map_or(0, |row| row.cost.calls);
            if known < arrived {
                let what =
                    format!("{arrived} calls of {operation} arrived, and {known} are on record");
                self.add("accounted", what);
            }
        }
    }

    /// A run that is carried elsewhere, and those beneath it, lead to the same states. One run of a simulation is.
    fn carried(&mut self, soloist: &Soloist, runs: &[RunSummary]) {
        let seed = self.world.state().plan.seed / LOOKS_BACK;
        let place = usize::try_from(seed % (runs.len().max(1) as u64)).unwrap_or_default();
        let Some(RunSummary { run, .. }) = runs.get(place) else { return };
        let carried =
            soloist.export(run).map_err(|problem| problem.to_string()).and_then(|bytes| {
                let bundle = Bundle::read(&bytes).map_err(|problem| problem.to_string())?;
                Ok(bundle.replay())
            });
        let here = soloist.replay(run).map_err(|problem| problem.to_string());
        if carried != here {
            let what = format!("{run} came to {carried:?} in its bundle, and is {here:?} here");
            self.add("carried", what);
        }
    }

    /// What was taken back was taken back in reverse, and what was not is named.
    fn unwound(&mut self, run: &Run) {
        // Effects are counted within their step.
        let of = |step: &StepName, write: &Write| {
            let original = run.write(step, write.reverses.as_ref()?)?;
            Some((write.order, original.order))
        };
        let mut backs: Vec<(u64, u64)> = run
            .writes()
            .filter(|(_, _, write)| write.order > 0)
            .filter_map(|(step, _, write)| of(step, write))
            .collect();
        backs.sort_unstable();
        if backs.windows(2).any(|pair| pair[0].1 < pair[1].1) {
            self.add(
                "taken-back-in-reverse",
                format!("{} was taken back in the order {backs:?}", run.id),
            );
        }
        let Status::Failed { unwound: true, .. } = &run.status else { return };
        let named = run.left().count();
        let reversed: BTreeSet<_> = run
            .writes()
            .filter(|(_, _, write)| write.receipt().is_some() || write.uncompensated.is_some())
            .filter_map(|(step, _, write)| Some((step, write.reverses.as_ref()?)))
            .collect();
        let stays = run.writes().filter(|(step, effect, write)| {
            write.order > 0
                && write.reverses.is_none()
                && run.reversal(step, write) != Reversal::Irreversible
                && !reversed.contains(&(*step, *effect))
        });
        let stays = stays.count();
        if stays > named {
            self.add(
                "taken-back-in-reverse",
                format!("{stays} writes of {} stay, and {named} are named", run.id),
            );
        }
    }

    /// Every run is over, or somebody is asked about it, and nobody is asked about anything else.
    fn settled(&mut self, runs: &[RunSummary], items: &[inbox::Item], waiting: &BTreeSet<InboxId>) {
        let asked: BTreeSet<_> = items.iter().filter_map(|item| item.run.clone()).collect();
        let beneath = |run: &RunSummary| {
            let mut above = BTreeSet::from([run.run.clone()]);
            loop {
                let more: Vec<_> = runs
                    .iter()
                    .filter(|child| {
                        child.parent.as_ref().is_some_and(|parent| above.contains(parent))
                    })
                    .filter(|child| !above.contains(&child.run))
                    .map(|child| child.run.clone())
                    .collect();
                if more.is_empty() {
                    return above;
                }
                above.extend(more);
            }
        };
        for run in runs.iter().filter(|run| !is_over(run)) {
            if beneath(run).is_disjoint(&asked) {
                let what = format!(
                    "run {} of {} is {} and nobody is asked",
                    run.run, run.workflow, run.status
                );
                self.add("settled", what);
            }
        }
        let shown: BTreeSet<InboxId> =
            items.iter().filter(|item| item.run.is_some()).map(|item| item.id.clone()).collect();
        for id in waiting.difference(&shown) {
            self.add("settled", format!("{id} waits for the operator and is not in the inbox"));
        }
        let aside = |id: &InboxId| items.iter().any(|item| &item.id == id && is_set_aside(item));
        for id in shown.difference(waiting).filter(|id| !aside(id)) {
            self.add("inbox-genuine", format!("the inbox holds {id}, which does not wait"));
        }
    }

    /// What memory holds is what was asserted.
    fn facts(&mut self, journal: &dyn Journal, soloist: &Soloist) {
        let Ok(stream) = StreamId::new(soloist_memory::STREAM) else { return };
        let Some(records) = self.read(journal.stream(&stream, StreamSeq(0))) else { return };
        let mut versions: BTreeMap<(String, String), u32> = BTreeMap::new();
        for record in &records {
            let Some(asserted) = soloist_memory::asserted(&record.entry) else { continue };
            let version = versions.entry((asserted.subject, asserted.name)).or_default();
            *version = (*version).max(asserted.version);
        }
        for ((subject, name), version) in versions {
            let Some(known) = self.read(soloist.memory().fact(&subject, &name)) else { continue };
            let held = known.map_or(0, |fact| fact.version);
            let Some(history) = self.read(soloist.memory().history(&subject, &name)) else {
                continue;
            };
            if held != version || history.len() != version as usize {
                let kept = history.len();
                self.add("facts-are-history", format!("{name} of {subject} was asserted {version} times; memory holds version {held} of {kept}"));
            }
        }
    }

    /// Nothing is held any more.
    fn nothing_held(&mut self, soloist: &Soloist) {
        for path in soloist.living().into_iter().filter(|path| path.starts_with("soloist/runs/")) {
            self.add("nothing-held", format!("{path} is active at rest"));
        }
        let mut open = vec![soloist.tree()];
        while let Some(node) = open.pop() {
            if node.members.is_some_and(|members| members > 0) {
                self.add("nothing-held", format!("{} holds {:?} at rest", node.name, node.members));
            }
            if node.mailbox > 0 {
                self.add(
                    "nothing-held",
                    format!("{} messages wait for {}", node.mailbox, node.name),
                );
            }
            open.extend(node.children);
        }
    }

    /// The operator is asked only about what the faults have put in doubt.
    fn parked(&mut self) {
        let state = self.world.state();
        let asked = state.seen.get("the operator said resolve").copied().unwrap_or_default();
        let deaths = u64::from(state.epoch - 1);
        let doubts = state.seen.get(DOUBT).copied().unwrap_or_default();
        let kills =
            state.plan.faults.iter().filter(|fault| fault.what.class() == Class::Actor).count()
                as u64;
        let bound = doubts + (deaths + kills) * UNDER_WAY_MAX;
        drop(state);
        if asked > bound {
            self.add(
                "park-rate",
                format!("{asked} doubts were put to the operator; the faults explain {bound}"),
            );
        }
    }

    /// No record says what is secret.
    fn secrets(&mut self, scenario: &Scenario, journal: &dyn Journal) {
        if scenario.secrets.is_empty() {
            return;
        }
        let Some(records) = self.read(journal.records(soloist_kernel::journal::Seq(1), usize::MAX))
        else {
            return;
        };
        for secret in &scenario.secrets {
            let says = |bytes: &[u8]| {
                bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
            };
            if let Some(record) = records.iter().find(|record| says(&record.entry.payload)) {
                self.add("secrets", format!("record {} holds a secret", record.seq));
            }
        }
    }
}

/// What the wire notes when an attempt ends without the kernel being told how.
pub(crate) const DOUBT: &str = "an attempt was left in doubt";

/// Attempts that one death can leave in doubt: what one connector has under way, in two connectors.
const UNDER_WAY_MAX: u64 = 16;
