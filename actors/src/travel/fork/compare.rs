//! What is otherwise in a fork: its steps and writes beside those of the original.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use soloist_kernel::{
    effect::{Write, WriteState},
    id::{RunId, StepName},
    inbox,
    journal::Seq,
    run::{Run, RunSummary, Status},
};

use super::{ForkError, Stage};
use crate::{handle::Soloist, travel::TravelError, views};

/// What a fork came to, beside its original.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forked {
    /// The run.
    pub run: RunId,
    /// The last record that the two have in common; absent if the fork begins anew.
    pub from: Option<Seq>,
    /// Where the original stands.
    pub original: End,
    /// Where the fork ended.
    pub fork: End,
    /// Whether nothing is otherwise.
    pub same: bool,
    /// Every step of the run and of those beneath it.
    pub steps: Vec<StepChange>,
    /// Every write of the run and of those beneath it.
    pub writes: Vec<WriteChange>,
    /// What the fork waits for and the recording does not have.
    pub waits: Vec<String>,
    /// What was answered by a stand-in.
    pub stand_ins: Vec<String>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct End {
    /// As in [`RunSummary`].
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// Its output.
    pub output: Option<Value>,
}

/// A step in the original and in the fork.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepChange {
    /// Its run.
    pub run: RunId,
    /// The step.
    pub step: StepName,
    /// Whether it is the same in both.
    pub same: bool,
    /// In the original; absent if there is no such run or step.
    pub original: Option<Side>,
    /// In the fork.
    pub fork: Option<Side>,
}

/// A step in one of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Where it stands.
    pub status: String,
    /// What it returned.
    pub output: Option<Value>,
    /// Its last error.
    pub error: Option<String>,
}

/// A write in the original and in the fork.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WriteChange {
    /// Its run.
    pub run: RunId,
    /// Its step.
    pub step: StepName,
    /// Which effect of the step.
    pub effect: String,
    /// Whether it is the same in both.
    pub same: bool,
    /// In the original; absent if it was not proposed.
    pub original: Option<WriteSide>,
    /// In the fork.
    pub fork: Option<WriteSide>,
}

/// A write in one of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WriteSide {
    /// `mail.send`.
    pub what: String,
    /// Its arguments.
    pub arguments: Value,
    /// What policy said.
    pub verdict: String,
    /// The rule that said so.
    pub rule: String,
    /// What became of it.
    pub state: String,
    /// Whether it was attempted; in the fork, whether it would have been.
    pub sent: bool,
    /// In the fork, of one that would have been sent: whether its answer is the recorded one.
    pub recorded: Option<bool>,
}

/// Holds the fork of `root` that `soloist` has played against its original.
pub(super) fn compare(
    soloist: &Soloist,
    stage: &Stage,
    root: &RunId,
    from: Option<Seq>,
) -> Result<Forked, ForkError> {
    let originals = &stage.recording.runs;
    let mut forks: BTreeMap<RunId, Run> = BTreeMap::new();
    for run in views::runs(soloist.journal()).map_err(TravelError::from)? {
        let folded = soloist.folded(&run.run).map_err(TravelError::from)?;
        forks.extend(folded.map(|folded| (run.run, folded)));
    }
    let missing = || TravelError::NoRun { run: root.clone() };
    let original = originals.get(root).ok_or_else(missing)?;
    let fork = forks.get(root).ok_or_else(missing)?;
    // The run itself first, then those beneath it.
    let beneath = originals.keys().chain(forks.keys().filter(|run| !originals.contains_key(*run)));
    let runs = std::iter::once(root).chain(beneath.filter(|run| *run != root));
    let (mut steps, mut writes) = (vec![], vec![]);
    for run in runs {
        let (original, fork) = (originals.get(run), forks.get(run));
        steps.extend(of_steps(run, original, fork));
        writes.extend(of_writes(run, original, fork, stage));
    }
    let waits = forks.values().flat_map(waits).collect();
    let (original, fork) = (End::of(original), End::of(fork));
    let same = original == fork
        && steps.iter().all(|step| step.same)
        && writes.iter().all(|write| write.same);
    let (run, stand_ins) = (root.clone(), stage.stand_ins());
    Ok(Forked { run, from, original, fork, same, steps, writes, waits, stand_ins })
}

impl End {
    fn of(run: &Run) -> Self {
        let output = match &run.status {
            Status::Completed { output } => Some(output.value.value()),
            Status::Running | Status::Unwinding { .. } | Status::Failed { .. } => None,
        };
        let RunSummary { status, reason, .. } = RunSummary::of(run);
        Self { status, reason, output }
    }
}

fn of_steps<'a>(
    run: &'a RunId,
    original: Option<&'a Run>,
    fork: Option<&'a Run>,
) -> impl Iterator<Item = StepChange> + 'a {
    let names = |run: Option<&'a Run>| {
        run.into_iter().flat_map(|run| run.graph().map(|(definition, _)| &definition.name))
    };
    let has = move |name: &StepName| original.is_some_and(|run| run.step(name).is_some());
    let all = names(original).chain(names(fork).filter(move |name| !has(name)));
    all.map(move |step| {
        let side = |run: &Run| Some(Side::of(run.step(step)?.1));
        let (original, fork) = (original.and_then(side), fork.and_then(side));
        let same = original == fork;
        StepChange { run: run.clone(), step: step.clone(), same, original, fork }
    })
}

impl Side {
    fn of(step: &soloist_kernel::run::Step) -> Self {
        Self {
            status: step.status.word().into(),
            output: step.output().map(|output| output.value.value()),
            error: step.error.as_ref().map(ToString::to_string),
        }
    }
}

fn of_writes(
    run: &RunId,
    original: Option<&Run>,
    fork: Option<&Run>,
    stage: &Stage,
) -> Vec<WriteChange> {
    let mut found: BTreeMap<(StepName, String), (Option<WriteSide>, Option<WriteSide>)> =
        BTreeMap::new();
    for (step, effect, write) in original.iter().flat_map(|run| run.writes()) {
        let place = (step.clone(), effect.to_string());
        found.entry(place).or_default().0 = Some(WriteSide::of(write, None));
    }
    if let Some(run) = fork {
        for (step, effect, write) in run.writes() {
            let recorded = stage.sent(&run.key(step, effect));
            let place = (step.clone(), effect.to_string());
            found.entry(place).or_default().1 = Some(WriteSide::of(write, recorded));
        }
    }
    let change =
        |((step, effect), (original, fork)): (_, (Option<WriteSide>, Option<WriteSide>))| {
            let plain = |side: &Option<WriteSide>| {
                side.clone().map(|side| WriteSide { recorded: None, ..side })
            };
            let same = plain(&original) == plain(&fork);
            WriteChange { run: run.clone(), step, effect, same, original, fork }
        };
    found.into_iter().map(change).collect()
}

impl WriteSide {
    fn of(write: &Write, recorded: Option<bool>) -> Self {
        let state = match &write.state {
            WriteState::Settled(outcome) => outcome.word(),
            state => state.word(),
        };
        Self {
            what: format!("{}.{}", write.proposal.connector, write.proposal.operation),
            arguments: write.proposal.arguments.value(),
            verdict: write.judgement.verdict.to_string(),
            rule: write.judgement.rule.clone(),
            state: state.into(),
            sent: write.attempts > 0,
            recorded,
        }
    }
}

/// What `run` waits for, in words.
fn waits(run: &Run) -> Vec<String> {
    // A run that has failed waits to be seen, and for nothing that could be said.
    let open = |item: &inbox::Item| item.kind != inbox::Kind::Incident;
    let for_people = inbox::items(run).into_iter().filter(open).map(|item| {
        let step = item.step.map(|step| format!(", step `{step}`")).unwrap_or_default();
        format!("run {}{step}: {}", run.id, item.title)
    });
    let open = run.awaited().filter(|(_, _, awaited)| awaited.is_open());
    let running = matches!(run.status, Status::Running);
    let for_others = open.filter(|_| running).filter_map(|(step, _, awaited)| {
        let what = match &awaited.what {
            soloist_kernel::run::Awaits::Event { event } => format!("an event `{event}`"),
            soloist_kernel::run::Awaits::Until { at } => format!("the time {at}"),
            // A question is among the items, and a run beneath says itself what it waits for.
            _ => return None,
        };
        Some(format!("run {}, step `{step}`: {what}", run.id))
    });
    for_people.chain(for_others).collect()
}
