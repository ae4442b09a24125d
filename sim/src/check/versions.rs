//! What is side by side: each run takes the version, and is judged by the policy, that its id draws; what was due in the shadow was
//! played, and once.
//!
//! It is told from the journal alone. A change is on record a moment before it is in force, so that what begins about then may go by
//! either; that is not looked at.

use std::collections::BTreeMap;

use soloist_actors::views;
use soloist_kernel::{
    effect::WriteEvent,
    id::{RunId, WorkflowName},
    journal::{Journal, ProjectionKey, ReadError, Record, Seq},
    policy,
    rollout::{self, Mode, Rollouts, Subject},
    run::{self, Event, RunSummary, project::is_over},
    shadow::{self, DUE, Due},
    time::Timestamp,
};

/// How long after a change what begins may still go by what was before, in milliseconds of the clock.
const MOMENT_MS: u64 = 120_000;

/// And within how many records, since the clock may jump.
const MOMENT_RECORDS: u64 = 20;

/// Records that are read at a time.
const PAGE: usize = 1_000;

/// An invariant, and how it was broken.
type Problems = Vec<(&'static str, String)>;

/// What does not hold, of `runs`.
pub(super) fn check(journal: &dyn Journal, runs: &[RunSummary]) -> Result<Problems, ReadError> {
    let mut walk = Walk::default();
    let mut from = Seq(1);
    loop {
        let page = journal.records(from, PAGE)?;
        let Some(last) = page.last() else { break };
        from = Seq(last.seq.0 + 1);
        for record in &page {
            walk.take(journal, record);
        }
    }
    let mut problems = walk.problems;
    for (played, count) in walk.played.iter().filter(|(_, count)| **count > 1) {
        problems.push(("shadow-once", format!("{played} is recorded {count} times")));
    }
    unplayed(journal, runs, &mut problems)?;
    Ok(problems)
}

/// What is in force at a record.
#[derive(Default)]
struct Walk {
    rollouts: Rollouts,
    newest: BTreeMap<Subject, u32>,
    /// The last change of these, and its time.
    changed: (Seq, Timestamp),
    parents: BTreeMap<RunId, RunId>,
    /// How often what came of each shadow is on record.
    played: BTreeMap<String, u32>,
    problems: Problems,
}

impl Walk {
    fn take(&mut self, journal: &dyn Journal, record: &Record) {
        let entry = &record.entry;
        let version = u32::try_from(entry.stream_seq.0).unwrap_or(u32::MAX);
        let (stream, at) = (entry.stream.as_str(), entry.at);
        if entry.stream == rollout::stream() {
            if let Ok(event) = rollout::decode(entry.version, &entry.payload) {
                self.rollouts.apply(&event, at);
                self.changed = (record.seq, at);
            }
        } else if entry.stream == shadow::stream() {
            if let Ok(shadow::Event::Played { due, .. }) =
                shadow::decode(entry.version, &entry.payload)
            {
                let played = due.played_key(shadow::TABLE).key;
                *self.played.entry(played).or_default() += 1;
            }
        } else if stream == policy::STREAM {
            self.newest.insert(Subject::Policy, version);
            self.changed = (record.seq, at);
        } else if let Some(name) = stream.strip_prefix("workflow:") {
            let name = WorkflowName::new(name).map(Subject::Workflow);
            self.newest.extend(name.map(|name| (name, version)));
            self.changed = (record.seq, at);
        } else if let Some(Ok(run)) = stream.strip_prefix("run:").map(RunId::new) {
            let blob = |digest: &_| journal.blob(digest);
            let Ok(events) = run::decode(entry.version, &entry.payload, &blob) else { return };
            for event in events {
                self.event(record, &run, event);
            }
        }
    }

    fn event(&mut self, record: &Record, run: &RunId, event: Event) {
        let (of, drawn_by, took) = match event {
            Event::Started(beginning) => {
                let parent = beginning.parent.map(|parent| (run.clone(), parent.run));
                self.parents.extend(parent);
                if beginning.body.is_some() {
                    return;
                }
                let of = Subject::Workflow(beginning.workflow.name);
                (of, run.clone(), beginning.workflow.version)
            }
            Event::Write {
                event:
                    WriteEvent::Proposed { judgement, .. }
                    | WriteEvent::Modified { judgement, .. }
                    | WriteEvent::Reproposed { judgement, .. },
                ..
            } => (Subject::Policy, self.topmost(run), judgement.policy),
            _ => return,
        };
        let Some(newest) = self.newest.get(&of) else { return };
        let (seq, at) = self.changed;
        let settled = record.seq.0 > seq.0 + MOMENT_RECORDS && record.entry.at.0 > at.0 + MOMENT_MS;
        let draws = self.rollouts.version(&of, *newest, &drawn_by);
        if settled && took != draws {
            let what =
                format!("run {run} has version {took} of {of}, and {drawn_by} draws {draws}");
            self.problems.push(("version-by-hash", what));
        }
    }

    fn topmost(&self, run: &RunId) -> RunId {
        let mut topmost = run;
        while let Some(parent) = self.parents.get(topmost) {
            topmost = parent;
        }
        topmost.clone()
    }
}

/// Shadows that are due although their runs are over, and runs that are over of which none has become due.
fn unplayed(
    journal: &dyn Journal,
    runs: &[RunSummary],
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let rollouts = views::rollouts(journal)?;
    let shadowing: Vec<_> =
        rollouts.iter().filter(|rollout| rollout.mode == Mode::Shadow).collect();
    for (key, bytes) in journal.projections(DUE, "", "", PAGE)? {
        let due = serde_json::from_slice::<Due>(&bytes).ok();
        let Some(run) = due.and_then(|due| views::folded(journal, &due.run).transpose()) else {
            continue;
        };
        if is_over(&run?) {
            problems.push(("shadow-once", format!("{key} is due, and its run is over")));
        }
    }
    for summary in runs {
        for rollout in &shadowing {
            // What began before may have ended before.
            if summary.started_at.0 <= rollout.since.0 + MOMENT_MS {
                continue;
            }
            let Some(run) = views::folded(journal, &summary.run)? else { continue };
            let Some(due) = shadow::due(rollout, None, &run) else { continue };
            let key: ProjectionKey = due.played_key(shadow::TABLE);
            if journal.projection(&key)?.is_none() {
                let what = format!("run {} is over, and {} was not played", run.id, key.key);
                problems.push(("shadow-once", what));
            }
        }
    }
    Ok(())
}
