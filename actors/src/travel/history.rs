//! The history of a run and of those beneath it, and the state that it leads to.

use std::{collections::BTreeSet, sync::Arc};

use soloist_kernel::{
    id::{RunId, WorkflowName, WorkflowRef},
    inbox::{self, Item},
    journal::{Journal, ReadError, Record, Seq, StreamSeq},
    payload::Digest,
    run::{self, Awaits, Event, Run, RunSummary},
    workflow::{Library, Workflow},
};

use super::TravelError;
use crate::{
    context::Context,
    workflows::{Shelf, Workflows},
};

/// Where histories are read from: a journal, or a bundle. It is the library of the definitions as well.
pub(super) trait Source: Library {
    /// The records of `run`, oldest first; none if there is no such run.
    fn records(&self, run: &RunId) -> Result<Vec<Record>, ReadError>;

    /// A payload that left its record.
    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError>;
}

/// A journal, with the definitions that it holds.
pub(super) struct OfJournal<'a> {
    pub(super) journal: &'a dyn Journal,
    definitions: Definitions<'a>,
}

/// Definitions that were read before need not be read again.
enum Definitions<'a> {
    Own(Box<Workflows>),
    OfKernel(&'a Workflows),
}

impl<'a> OfJournal<'a> {
    pub(super) fn new(journal: &'a dyn Journal) -> Self {
        Self { journal, definitions: Definitions::Own(Box::default()) }
    }

    /// The journal of a kernel, with the definitions that it has read.
    pub(super) fn of(context: &'a Context) -> Self {
        let definitions = Definitions::OfKernel(&context.workflows);
        Self { journal: &*context.journal, definitions }
    }

    fn shelf(&self) -> Shelf<'_> {
        match &self.definitions {
            Definitions::Own(workflows) => workflows.shelf(self.journal, Arc::default()),
            Definitions::OfKernel(workflows) => workflows.shelf(self.journal, Arc::default()),
        }
    }
}

impl Library for OfJournal<'_> {
    fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        self.shelf().newest(name)
    }

    fn get(&self, workflow: &WorkflowRef) -> Option<Arc<Workflow>> {
        self.shelf().get(workflow)
    }
}

impl Source for OfJournal<'_> {
    fn records(&self, run: &RunId) -> Result<Vec<Record>, ReadError> {
        self.journal.stream(&run.stream(), StreamSeq(0))
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.journal.blob(digest)
    }
}

/// A run as it was when a record had been written.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Its state.
    pub run: Run,
    /// The run in a line.
    pub summary: RunSummary,
    /// What of it waited for the operator.
    pub waits: Vec<Item>,
    /// Its records until then, oldest first.
    pub records: Vec<Record>,
}

/// The run `id` as it was when record `seq` had been written, or as it is now.
///
/// # Errors
///
/// [`TravelError`], also if the run had not begun by then, or there is no such record yet.
pub fn at(journal: &dyn Journal, id: &RunId, seq: Option<Seq>) -> Result<Moment, TravelError> {
    let head = journal.head().seq;
    if let Some(seq) = seq.filter(|seq| *seq > head) {
        return Err(TravelError::Beyond { seq, head });
    }
    moment(&OfJournal::new(journal), id, seq)
}

/// [`at`], whatever it is read from.
pub(super) fn moment(
    source: &dyn Source,
    id: &RunId,
    seq: Option<Seq>,
) -> Result<Moment, TravelError> {
    let mut records = source.records(id)?;
    let first = records.first().ok_or_else(|| TravelError::NoRun { run: id.clone() })?.seq;
    if let Some(seq) = seq {
        records.retain(|record| record.seq <= seq);
        if records.is_empty() {
            return Err(TravelError::NotBegun { run: id.clone(), seq, first });
        }
    }
    let run = folded(source, id, &records)?;
    let (summary, waits) = (RunSummary::of(&run), inbox::items(&run));
    Ok(Moment { run, summary, waits, records })
}

/// What one record did: the state before it and after it, and its events.
pub(super) struct Told<'a> {
    pub(super) before: Option<&'a Run>,
    pub(super) after: &'a Run,
    pub(super) events: &'a [Event],
    pub(super) record: &'a Record,
}

/// Folds `records` of the run `id`, from its first one on, and shows `see` what each of them did.
pub(super) fn walk(
    source: &dyn Source,
    id: &RunId,
    records: &[Record],
    mut see: impl FnMut(Told<'_>),
) -> Result<Run, TravelError> {
    let mut state: Option<Run> = None;
    for (place, record) in (1..).zip(records) {
        let unfit =
            |problem: String| TravelError::Unfit { run: id.clone(), seq: record.seq, problem };
        if record.entry.stream_seq != StreamSeq(place) {
            let found = record.entry.stream_seq;
            return Err(unfit(format!("it is record {found} of the run, and {place} is missing")));
        }
        let events = events(source, id, record)?;
        if let Some(workflow) =
            pinned_by(&events).find(|pinned| source.resolve(pinned, None).is_none())
        {
            let workflow = workflow.clone();
            return Err(TravelError::NoDefinition { run: id.clone(), workflow });
        }
        let before = state.clone();
        let after = Run::fold(state, id, events.clone(), record.entry.at, source).map_err(unfit)?;
        let mut after = after.ok_or_else(|| unfit("it has no events".into()))?;
        after.stream_seq = record.entry.stream_seq;
        see(Told { before: before.as_ref(), after: &after, events: &events, record });
        state = Some(after);
    }
    state.ok_or_else(|| TravelError::NoRun { run: id.clone() })
}

/// The state that `records` lead to.
pub(super) fn folded(
    source: &dyn Source,
    id: &RunId,
    records: &[Record],
) -> Result<Run, TravelError> {
    walk(source, id, records, |_| {})
}

/// The events of `record`.
pub(super) fn events(
    source: &dyn Source,
    id: &RunId,
    record: &Record,
) -> Result<Vec<Event>, TravelError> {
    let entry = &record.entry;
    let decoded = run::decode(entry.version, &entry.payload, &|digest| source.blob(digest));
    decoded.map_err(|problem| TravelError::Unfit {
        run: id.clone(),
        seq: record.seq,
        problem: problem.to_string(),
    })
}

/// The versions that `events` pin their run to.
pub(super) fn pinned_by(events: &[Event]) -> impl Iterator<Item = &WorkflowRef> {
    events.iter().filter_map(|event| match event {
        Event::Started(beginning) => Some(&beginning.workflow),
        Event::Migrated { workflow, .. } => Some(workflow),
        _ => None,
    })
}

/// The runs that `events` begin beneath their own.
pub(super) fn begun_by(events: &[Event]) -> impl Iterator<Item = &RunId> {
    events.iter().filter_map(|event| match event {
        Event::Awaited { what, .. } => match &**what {
            Awaits::Child(child) => Some(&child.run),
            Awaits::Question(_) | Awaits::Until { .. } | Awaits::Event { .. } => None,
        },
        _ => None,
    })
}

/// The run `id` and every run beneath it, each with its records; those above come first.
pub(super) fn family(
    source: &dyn Source,
    id: &RunId,
) -> Result<Vec<(RunId, Vec<Record>)>, TravelError> {
    let (mut found, mut seen) = (vec![], BTreeSet::from([id.clone()]));
    let mut open = std::collections::VecDeque::from([id.clone()]);
    while let Some(run) = open.pop_front() {
        let records = source.records(&run)?;
        if records.is_empty() {
            continue;
        }
        for record in &records {
            let events = events(source, &run, record)?;
            open.extend(begun_by(&events).filter(|run| seen.insert((*run).clone())).cloned());
        }
        found.push((run, records));
    }
    match found.first() {
        Some((first, _)) if first == id => Ok(found),
        _ => Err(TravelError::NoRun { run: id.clone() }),
    }
}
