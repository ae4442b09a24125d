//! Which version a new run takes while two are side by side, and what comes of each.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use soloist_kernel::{
    effect::{Write, WriteState},
    id::RunId,
    journal::{Append, Entry, Journal, ReadError, StreamSeq},
    policy::Verdict,
    rollout::{self, BadRollout, Event, Rollout, Rollouts, Share, Subject},
    run::{Run, Status, project},
    time::Timestamp,
};

use crate::{context::Context, control::SetError, handle::Soloist, run::by_whom, views};

/// The rollouts of a kernel.
#[derive(Default)]
pub(crate) struct Shares {
    current: Mutex<Arc<Rollouts>>,
    /// Held by whoever changes them.
    changing: tokio::sync::Mutex<()>,
}

impl Shares {
    pub(crate) fn load(journal: &dyn Journal) -> Result<Self, ReadError> {
        let current = Mutex::new(Arc::new(views::rollouts(journal)?));
        Ok(Self { current, ..Self::default() })
    }

    pub(crate) fn current(&self) -> Arc<Rollouts> {
        self.current.lock().expect("reading the rollouts does not panic").clone()
    }
}

/// What became of the runs of one version since a rollout began.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Arm {
    /// The version.
    pub version: u32,
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

/// A rollout, and what came of its versions so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// The version that most runs take, and the canary.
    pub arms: [Arm; 2],
}

impl Soloist {
    /// Has `percent` of the new runs take the newest version of a workflow or an agent, and the others the one that most took
    /// before; 0 takes it back, and [`promote`](Self::promote) ends it. Runs that have begun stay with theirs.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn canary(&self, of: &Subject, percent: f64) -> Result<Rollout, SetError> {
        let share = Share::percent(percent)?;
        let versions = self.versions(of);
        let decide =
            |rollouts: &Rollouts| rollout::begin(rollouts, of, &versions, share, "operator");
        let rollouts = change(self.context(), decide).await?;
        let found = rollouts.iter().find(|rollout| rollout.of == *of).cloned();
        Ok(found.expect("it has just been shared"))
    }

    /// Has every new run take the canary.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn promote(&self, of: &Subject) -> Result<(), SetError> {
        let decide = |rollouts: &Rollouts| rollout::promote(rollouts, of, "operator");
        change(self.context(), decide).await.map(drop)
    }

    /// The versions of `of` that a run could take.
    fn versions(&self, of: &Subject) -> Vec<u32> {
        let context = self.context();
        match of {
            Subject::Workflow(name) => {
                let newest = context.workflows.newest(name);
                newest.map_or_else(Vec::new, |(pinned, _)| (1..=pinned.version).collect())
            }
            Subject::Agent(name) => {
                let mounted = context.mounted();
                let versions = mounted.catalog.agents.get(name);
                versions.map_or_else(Vec::new, |versions| versions.keys().copied().collect())
            }
        }
    }
}

async fn change(
    context: &Context,
    decide: impl FnOnce(&Rollouts) -> Result<Event, BadRollout>,
) -> Result<Arc<Rollouts>, SetError> {
    let _changing = context.shares.changing.lock().await;
    let mut rollouts = Rollouts::clone(&context.shares.current());
    let event = decide(&rollouts)?;
    let at = context.env.now();
    rollouts.apply(&event, at);
    let stream = rollout::stream();
    let last = context.journal.stream_head(&stream)?;
    let entry = Entry {
        stream,
        stream_seq: StreamSeq(last.0 + 1),
        at,
        actor: by_whom(event.by()),
        causation: None,
        correlation: None,
        kind: event.kind().into(),
        version: rollout::EVENTS_VERSION,
        payload: rollout::encode(&event),
    };
    let projections = vec![rollout::project(&event, at)];
    context.log.durable(Append { entries: vec![entry], projections, ..Append::default() }).await?;
    let rollouts = Arc::new(rollouts);
    let current = &context.shares.current;
    *current.lock().expect("reading the rollouts does not panic") = rollouts.clone();
    Ok(rollouts)
}

/// Every rollout, with what came of its versions since it is as it is.
///
/// # Errors
///
/// [`ReadError`].
pub fn compare(journal: &dyn Journal) -> Result<Vec<Comparison>, ReadError> {
    let rollouts = views::rollouts(journal)?;
    let mut compared: Vec<(Rollout, [Arm; 2], [Vec<u64>; 2])> = rollouts
        .iter()
        .map(|rollout| {
            let arm = |version| Arm { version, ..Arm::default() };
            let arms = [arm(rollout.base), arm(rollout.canary)];
            (rollout.clone(), arms, [vec![], vec![]])
        })
        .collect();
    let Some(first) = compared.iter().map(|(rollout, ..)| rollout.since).min() else {
        return Ok(vec![]);
    };
    for run in begun_since(journal, first)? {
        let Some(run) = views::folded(journal, &run)? else { continue };
        for (rollout, arms, times) in &mut compared {
            let version = match &rollout.of {
                Subject::Workflow(name) if *name == run.workflow.name => run.workflow.version,
                Subject::Agent(name) => run.agents.get(name).copied().unwrap_or_default(),
                Subject::Workflow(_) => continue,
            };
            let arm = arms.iter().position(|arm| arm.version == version);
            if let Some(arm) = arm.filter(|_| run.started_at >= rollout.since) {
                arms[arm].count(&run, &mut times[arm]);
            }
        }
    }
    let comparison = |(rollout, mut arms, times): (Rollout, [Arm; 2], [Vec<u64>; 2])| {
        for (arm, mut times) in arms.iter_mut().zip(times) {
            times.sort_unstable();
            arm.took_ms_p50 = times.get(times.len() / 2).copied();
        }
        Comparison { rollout, arms }
    };
    Ok(compared.into_iter().map(comparison).collect())
}

fn begun_since(journal: &dyn Journal, since: Timestamp) -> Result<Vec<RunId>, ReadError> {
    let mut found = vec![];
    for table in [project::ACTIVE, project::FINISHED] {
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

impl Arm {
    fn count(&mut self, run: &Run, times: &mut Vec<u64>) {
        self.runs += 1;
        match &run.status {
            Status::Completed { .. } => {
                self.completed += 1;
                times.push(run.updated_at.0.saturating_sub(run.started_at.0));
            }
            Status::Running | Status::Unwinding { .. } => self.open += 1,
            status if status.word() == "failed" => self.failed += 1,
            Status::Failed { .. } => self.ended += 1,
        }
        for (_, _, write) in run.writes() {
            self.landed += u64::from(write.receipt().is_some());
            self.asked += u64::from(was_asked(write));
            self.changed += u64::from(write.original.is_some());
            let turned_down = write.decisions.iter().any(|said| said.starts_with("turned down by"));
            self.turned_down += u64::from(turned_down);
        }
    }
}

/// Whether the operator was, or is, asked about `write` before it may happen.
fn was_asked(write: &Write) -> bool {
    let by_verdict = matches!(write.judgement.verdict, Verdict::Approve | Verdict::Redact);
    by_verdict || matches!(write.state, WriteState::Asking { .. }) || write.original.is_some()
}
