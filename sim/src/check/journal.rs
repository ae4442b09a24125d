//! The protocol at the journal: what may follow what, and what must be durable before what.

use std::collections::{BTreeMap, BTreeSet};

use soloist_actors::views;
use soloist_kernel::{
    control::{self, Lineage, Pauses, Scope},
    effect::WriteEvent,
    id::{ConnectorName, EffectId, RunId, StepName, WorkflowName},
    incident,
    journal::{Append, Entry, Journal, ProjectionKey, ReadError, Record, Seq},
    payload::Digest,
    run::{self, Awaits, EffectRef, Event, Fetch},
    time::Timestamp,
};

use super::write::{Known, Moment};
use crate::world::State;

/// What the journal has said so far of writes, results and waits.
#[derive(Default)]
pub(crate) struct Watch {
    writes: BTreeMap<String, Known>,
    /// The output that a run is recorded to have had.
    results: BTreeMap<RunId, (Seq, Digest)>,
    /// Those that were durable once, over every process.
    reported: BTreeMap<RunId, Digest>,
    /// When something was last put on record of a run.
    times: BTreeMap<RunId, Timestamp>,
    /// What waits until when.
    waits: BTreeMap<(RunId, StepName, EffectRef), Timestamp>,
    /// Until when what can be answered.
    questions: BTreeMap<(RunId, StepName, EffectRef), Timestamp>,
    /// The last decision about each write and each question: by key and by place.
    decided: BTreeMap<String, Seq>,
    /// How often the operator has had a step tried again.
    generations: BTreeMap<(RunId, StepName), u32>,
    /// The keys of the writes that there are now.
    keys: BTreeMap<(RunId, StepName, EffectRef), String>,
    /// Where this process has taken which event.
    events: BTreeMap<String, Seq>,
    /// What is paused.
    pauses: Pauses,
    /// The run above each run, and its workflow.
    above: BTreeMap<RunId, (Option<RunId>, WorkflowName)>,
    /// Runs that are set aside.
    aside: BTreeSet<String>,
    /// The last record that is fsynced.
    pub(crate) synced: Seq,
}

/// What is wrong with what was appended.
pub(crate) type Problem = (&'static str, String);

impl Watch {
    /// What a journal says that another process has left behind. What was reported stays reported.
    pub(crate) fn reopened(&mut self, journal: &dyn Journal) -> Result<(), ReadError> {
        let reported = std::mem::take(&mut self.reported);
        *self = Self { reported, synced: journal.head().seq, ..Self::default() };
        let aside = journal.projections(incident::QUARANTINED, "", "", usize::MAX)?;
        self.aside = aside.into_iter().map(|(run, _)| run).collect();
        let mut from = Seq(1);
        loop {
            let page = journal.records(from, 256)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = Seq(last.seq.0 + 1);
            for Record { seq, entry, .. } in &page {
                self.appended(*seq, entry, None, &|digest| journal.blob(digest));
            }
        }
    }

    /// What the journal knows of the write with `key`.
    pub(crate) fn write(&self, key: &str) -> Option<&Known> {
        self.writes.get(key)
    }

    /// The last decision about what waits at `place` that is in the journal and not fsynced.
    pub(crate) fn decided_unsynced(&self, place: &str) -> Option<Seq> {
        self.decided.get(place).copied().filter(|seq| *seq > self.synced)
    }

    /// Where the event `id` of `source` is in the journal, if that is not fsynced.
    pub(crate) fn event_unsynced(&self, source: &str, id: &str) -> Option<Seq> {
        let place = ProjectionKey::of_text(views::EVENTS_SEEN, source, id);
        self.events.get(&place.key).copied().filter(|seq| *seq > self.synced)
    }

    /// Everything up to `seq` is durable: results that it holds are reported.
    pub(crate) fn is_synced(&mut self, seq: Seq) -> Vec<Problem> {
        self.synced = seq;
        let mut problems = vec![];
        for (run, (at, result)) in &self.results {
            if *at > seq {
                continue;
            }
            let reported = self.reported.entry(run.clone()).or_insert(*result);
            if reported != result {
                let what = format!("the result of {run} was reported, and is another now");
                problems.push(("result-stays", what));
            }
        }
        problems
    }

    /// A batch is appended, its last record `seq`. Returns what is wrong with what it holds together.
    pub(crate) fn batch(&mut self, seq: Seq, append: &Append) -> Vec<Problem> {
        let mut problems = vec![];
        let runs = || append.entries.iter().filter_map(|entry| run_name(entry));
        for run in runs().filter(|run| self.aside.contains(*run)) {
            let what = format!("run {run} is set aside, and something is recorded of it");
            problems.push(("aside-rests", what));
        }
        for (place, row) in &append.projections {
            let key = &place.key;
            match place.table {
                incident::QUARANTINED if row.is_some() => drop(self.aside.insert(key.clone())),
                incident::QUARANTINED => drop(self.aside.remove(key)),
                views::EVENTS_SEEN => drop(self.events.insert(key.clone(), seq)),
                views::CHANGES_SEEN => {
                    let is_kept = |entry: &Entry| entry.kind == "change.quarantined";
                    if runs().next().is_none() && !append.entries.iter().any(is_kept) {
                        let what = format!("{key} is marked as seen, and its run is not begun");
                        problems.push(("mark-with-run", what));
                    }
                }
                _ => {}
            }
        }
        problems
    }

    /// Record `seq` is appended. Returns what is wrong with it, as far as `state`, if it can be asked, shows that.
    pub(crate) fn appended(
        &mut self,
        seq: Seq,
        entry: &Entry,
        state: Option<&State>,
        blobs: Fetch<'_>,
    ) -> Vec<Problem> {
        let mut problems = vec![];
        if entry.stream == control::stream()
            && let Ok(event) = control::decode(entry.version, &entry.payload)
        {
            self.pauses.apply(&event, entry.at);
        }
        let Some(run) = run_name(entry).and_then(|run| RunId::new(run).ok()) else {
            return problems;
        };
        let Ok(events) = run::decode(entry.version, &entry.payload, blobs) else {
            return vec![("history-is-state", format!("record {seq} does not decode"))];
        };
        let last = self.times.insert(run.clone(), entry.at);
        if last.is_some_and(|last| last > entry.at) {
            problems.push((
                "time-goes-on",
                format!("record {seq} of {run} is older than the last one"),
            ));
        }
        for event in events {
            let moment = Moment { seq, at: entry.at, state };
            self.event(&run, moment, event, &mut problems);
        }
        problems
    }

    fn event(
        &mut self,
        run: &RunId,
        moment: Moment<'_>,
        event: Event,
        problems: &mut Vec<Problem>,
    ) {
        let Moment { seq, at, .. } = moment;
        match event {
            Event::Started(beginning) => {
                let above = beginning.parent.map(|parent| parent.run);
                self.above.insert(run.clone(), (above, beginning.workflow.name));
            }
            Event::Write { step, effect, event, .. } => {
                let EffectRef { name, occurrence } = effect.clone();
                let id = EffectId { run: run.clone(), step: step.clone(), name, occurrence };
                let place = (run.clone(), step, effect);
                if let WriteEvent::Proposed { .. } = &event {
                    let step = (place.0.clone(), place.1.clone());
                    let generation = self.generations.get(&step).copied().unwrap_or_default();
                    self.keys.insert(place.clone(), id.key_of(generation).to_string());
                }
                let key = self.keys.get(&place).cloned().unwrap_or_else(|| id.key().to_string());
                self.write_event(&id, key, moment, &event, problems);
            }
            Event::Retried { step, .. } => {
                *self.generations.entry((run.clone(), step)).or_default() += 1;
            }
            Event::Completed { output } => {
                self.results.insert(run.clone(), (seq, output.value.digest()));
            }
            Event::Awaited { step, effect, what, .. } => {
                let place = (run.clone(), step, effect);
                match *what {
                    Awaits::Until { at: until } => drop(self.waits.insert(place, until)),
                    Awaits::Question(question) => {
                        let deadline = question.deadline.map(|deadline| (place, deadline));
                        self.questions.extend(deadline);
                    }
                    _ => {}
                }
            }
            Event::Answered { step, effect, answer } => {
                let place = (run.clone(), step.clone(), effect.clone());
                let until = self.waits.remove(&place).filter(|_| answer.by == "time");
                if let Some(until) = until.filter(|until| at < *until) {
                    let what =
                        format!("{run}/{step}/{effect} waits until {until} and went on at {at}");
                    problems.push(("not-early", what));
                }
                let by_operator = answer.by == "operator";
                let deadline = self.questions.remove(&place).filter(|_| by_operator);
                if let Some(deadline) = deadline.filter(|deadline| *deadline <= at) {
                    let what = format!(
                        "{run}/{step}/{effect} could be answered until {deadline}, and was at {at}"
                    );
                    problems.push(("decided-in-time", what));
                }
                if by_operator {
                    self.decided.insert(question_place(run, &step, &effect), seq);
                }
            }
            Event::Unwound => {
                let doubtful = |known: &&Known| known.run == *run && known.is_in_doubt();
                if self.writes.values().find(doubtful).is_some() {
                    let what = format!("{run} is taken back, and a write of it is in doubt");
                    problems.push(("taken-back-in-clear", what));
                }
            }
            _ => {}
        }
    }

    fn write_event(
        &mut self,
        id: &EffectId,
        key: String,
        moment: Moment<'_>,
        event: &WriteEvent,
        problems: &mut Vec<Problem>,
    ) {
        if let WriteEvent::Proposed { proposal, judgement } = event {
            self.writes.insert(key, Known::proposed(&id.run, moment.at, proposal, judgement));
            return;
        }
        match event {
            WriteEvent::Approved { by }
            | WriteEvent::Modified { by, .. }
            | WriteEvent::Aborted { by, .. }
            | WriteEvent::Resolved { by, .. }
                if by == "operator" =>
            {
                self.decided.insert(key.clone(), moment.seq);
            }
            _ => {}
        }
        if let (WriteEvent::Attempted { .. }, Some(known)) = (event, self.writes.get(&key))
            && let Some(pause) = self.held(&id.run, &known.connector)
        {
            let what = format!("{id} is attempted in record {}, and {pause} is paused", moment.seq);
            problems.push(("paused-rests", what));
        }
        if let Some(known) = self.writes.get_mut(&key) {
            known.follows(id, &key, moment, event, problems);
        }
    }
}

impl Watch {
    /// What is paused of a write of `run` to `connector`.
    fn held(&self, run: &RunId, connector: &ConnectorName) -> Option<&Scope> {
        if self.pauses.is_empty() {
            return None;
        }
        let mut lineage = Lineage::default();
        let mut next = Some(run);
        while let Some(run) = next {
            lineage.runs.push(run.clone());
            let Some((above, workflow)) = self.above.get(run) else { break };
            lineage.workflows.push(workflow.clone());
            next = above.as_ref();
        }
        let held = self.pauses.of_run(&lineage).or_else(|| self.pauses.of_connector(connector));
        held.map(|pause| &pause.scope)
    }
}

/// Where a decision about a question shows in the journal.
pub(crate) fn question_place(run: &RunId, step: &StepName, effect: &EffectRef) -> String {
    format!("{run}/{step}/{effect}")
}

/// The run whose history `entry` belongs to.
fn run_name(entry: &Entry) -> Option<&str> {
    entry.stream.as_str().strip_prefix("run:")
}
