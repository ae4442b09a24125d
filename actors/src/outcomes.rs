//! What came of the runs of one version, or of one arm of an experiment: what is compared.

use std::collections::BTreeMap;

use serde::Serialize;
use soloist_kernel::{
    effect::{Write, WriteState},
    experiment::{self, Drawn},
    id::{ArmName, ExperimentName, RunId},
    journal::{Journal, ReadError},
    policy::Verdict,
    rollout::{Mode, Rollout, Subject},
    run::{Run, Status, archived::ARCHIVED, project},
    time::Timestamp,
};

use crate::views;

/// What became of some runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// Runs begun.
    pub runs: u64,
    /// Those that ended well.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that someone ended.
    pub ended: u64,
    /// Those that are under way, or wait.
    pub open: u64,
    /// The median of how long those took that ended well, in milliseconds.
    pub took_ms_p50: Option<u64>,
    /// Writes that landed.
    pub landed: u64,
    /// Writes that the operator was asked about.
    pub asked: u64,
    /// Of these, those that were changed before they were let happen.
    pub changed: u64,
    /// Of these, those that were turned down.
    pub turned_down: u64,
}

/// What became of the runs of one version since a rollout is as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Arm {
    /// The version.
    pub version: u32,
    /// What became of its runs.
    #[serde(flatten)]
    pub measures: Measures,
}

/// A rollout, and what came of its versions so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// The version that most runs take, and the canary.
    pub arms: [Arm; 2],
}

/// An experiment, and what came of its arms so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// The experiment.
    pub experiment: ExperimentName,
    /// Each arm that has been drawn, by name.
    pub arms: Vec<TriedArm>,
}

/// What became of the runs that drew an arm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TriedArm {
    /// The arm.
    pub arm: ArmName,
    /// What became of the topmost runs; the writes are also those of the runs beneath them.
    #[serde(flatten)]
    pub measures: Measures,
}

/// Measures that are being counted.
#[derive(Default)]
struct Tally {
    measures: Measures,
    times: Vec<u64>,
}

/// Every canary, with what came of its versions since it is as it is. For the policy, the runs of a version are those in which it
/// has judged something.
///
/// # Errors
///
/// [`ReadError`].
pub fn compare(journal: &dyn Journal) -> Result<Vec<Comparison>, ReadError> {
    let rollouts = views::rollouts(journal)?;
    let mut compared: Vec<(&Rollout, [Tally; 2])> = rollouts
        .iter()
        .filter(|rollout| rollout.mode == Mode::Canary)
        .map(|rollout| (rollout, Default::default()))
        .collect();
    let Some(first) = compared.iter().map(|(rollout, _)| rollout.since).min() else {
        return Ok(vec![]);
    };
    for run in begun_since(journal, first)? {
        let Some(run) = views::folded(journal, &run)? else { continue };
        for (rollout, tallies) in &mut compared {
            let version = version(&run, &rollout.of);
            let versions = [rollout.base, rollout.canary];
            let arm = versions.iter().position(|arm| version == Some(*arm));
            if let Some(arm) = arm.filter(|_| run.started_at >= rollout.since) {
                tallies[arm].count(&run);
            }
        }
    }
    let comparison = |(rollout, [base, canary]): (&Rollout, [Tally; 2])| {
        let arm = |version, tally: Tally| Arm { version, measures: tally.done() };
        let arms = [arm(rollout.base, base), arm(rollout.canary, canary)];
        Comparison { rollout: rollout.clone(), arms }
    };
    Ok(compared.into_iter().map(comparison).collect())
}

/// The version of `of` that `run` has.
fn version(run: &Run, of: &Subject) -> Option<u32> {
    match of {
        Subject::Workflow(name) => (*name == run.workflow.name).then_some(run.workflow.version),
        Subject::Agent(name) => run.agents.get(name).copied(),
        Subject::Policy => run.writes().map(|(_, _, write)| write.judgement.policy).max(),
    }
}

fn begun_since(journal: &dyn Journal, since: Timestamp) -> Result<Vec<RunId>, ReadError> {
    let mut found = vec![];
    for table in [project::ACTIVE, project::FINISHED, ARCHIVED] {
        views::each_row(journal, table, "", |_, bytes| {
            if let Ok(summary) = serde_json::from_slice::<project::RunSummary>(bytes)
                && summary.started_at >= since
            {
                found.push(summary.run);
            }
            Ok::<_, ReadError>(())
        })?;
    }
    Ok(found)
}

/// The experiment `only`, or every one there is, with what came of the runs that drew each arm.
///
/// # Errors
///
/// [`ReadError`].
pub fn tried(
    journal: &dyn Journal,
    only: Option<&ExperimentName>,
) -> Result<Vec<Tried>, ReadError> {
    let prefix = only.map_or_else(String::new, |only| format!("{only}/"));
    let mut drawn = vec![];
    views::each_row(journal, experiment::TABLE, &prefix, |key, _| {
        drawn.extend(Drawn::of_key(key));
        Ok::<_, ReadError>(())
    })?;
    let mut tallies: BTreeMap<ExperimentName, BTreeMap<ArmName, Tally>> = BTreeMap::new();
    for Drawn { experiment, run, arm } in drawn {
        let Some(run) = views::folded(journal, &run)? else { continue };
        let tally = tallies.entry(experiment).or_default().entry(arm).or_default();
        tally.count(&run);
        for beneath in beneath(journal, &run)? {
            tally.writes(&beneath);
        }
    }
    let arm = |(arm, tally): (ArmName, Tally)| TriedArm { arm, measures: tally.done() };
    let tried = |(experiment, arms): (ExperimentName, BTreeMap<ArmName, Tally>)| Tried {
        experiment,
        arms: arms.into_iter().map(arm).collect(),
    };
    Ok(tallies.into_iter().map(tried).collect())
}

/// The runs beneath `run`, at any depth.
fn beneath(journal: &dyn Journal, run: &Run) -> Result<Vec<Run>, ReadError> {
    let (mut found, mut open) = (vec![], children(run));
    while let Some(child) = open.pop() {
        if let Some(child) = views::folded(journal, &child)? {
            open.extend(children(&child));
            found.push(child);
        }
    }
    Ok(found)
}

fn children(run: &Run) -> Vec<RunId> {
    run.awaited().filter_map(|(_, _, awaited)| Some(awaited.child()?.run.clone())).collect()
}

impl Tally {
    fn count(&mut self, run: &Run) {
        let measures = &mut self.measures;
        measures.runs += 1;
        match &run.status {
            Status::Completed { .. } => {
                measures.completed += 1;
                self.times.push(run.updated_at.0.saturating_sub(run.started_at.0));
            }
            Status::Running | Status::Unwinding { .. } => measures.open += 1,
            status if status.word() == "failed" => measures.failed += 1,
            Status::Failed { .. } => measures.ended += 1,
        }
        self.writes(run);
    }

    fn writes(&mut self, run: &Run) {
        let measures = &mut self.measures;
        for (_, _, write) in run.writes() {
            measures.landed += u64::from(write.receipt().is_some());
            measures.asked += u64::from(was_asked(write));
            measures.changed += u64::from(write.original.is_some());
            let turned_down = write.decisions.iter().any(|said| said.starts_with("turned down by"));
            measures.turned_down += u64::from(turned_down);
        }
    }

    fn done(mut self) -> Measures {
        self.times.sort_unstable();
        let took_ms_p50 = self.times.get(self.times.len() / 2).copied();
        Measures { took_ms_p50, ..self.measures }
    }
}

/// Whether the operator was, or is, asked about `write` before it may happen.
fn was_asked(write: &Write) -> bool {
    let by_verdict = matches!(write.judgement.verdict, Verdict::Approve | Verdict::Redact);
    by_verdict || matches!(write.state, WriteState::Asking { .. }) || write.original.is_some()
}
