//! What a fork begins with: a journal in memory that holds the run, and those beneath it, up to a record.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use soloist_kernel::{
    id::{Actor, RunId, StreamId, WorkflowRef},
    journal::{
        Append, Entry, Journal, ProjectionKey, Record, Seq, StreamSeq, memory::MemoryJournal,
    },
    labels::Labeled,
    payload::{Digest, Payload},
    run::{self, Beginning, Event, Run, project::project},
    time::Timestamp,
    workflow::Library,
};

use super::{Fork, ForkError, repinned};
use crate::{
    run::Which,
    travel::{
        TravelError,
        history::{OfJournal, Source, begun_by, events, pinned_by, walk},
    },
    workflows::{self, Workflows},
};

/// A run to be begun anew: of what, and with what.
pub(super) struct Anew {
    pub(super) which: Which,
    pub(super) input: Labeled<Payload>,
}

/// What a fork begins with.
pub(super) struct Seed {
    pub(super) journal: Arc<MemoryJournal>,
    /// The last record of the original that is in it; zero if there is none.
    pub(super) from: Seq,
    /// The time at which it goes on.
    pub(super) begins: Timestamp,
    /// What is to be begun, for a fork from the beginning.
    pub(super) anew: Option<Anew>,
}

impl Seed {
    /// What `fork` begins with, after record `from` or anew.
    pub(super) fn of(
        source: &OfJournal<'_>,
        fork: &Fork,
        family: &[(RunId, Vec<Record>)],
        from: Option<Seq>,
    ) -> Result<Self, ForkError> {
        let journal = Arc::new(MemoryJournal::default());
        let first = family.first().and_then(|(_, records)| records.first());
        let first = first.ok_or_else(|| TravelError::NoRun { run: fork.run.clone() })?;
        let beginning = beginning(source, &fork.run, first)?;
        let begun_at = first.entry.at;
        let Some(from) = from else {
            let had = &beginning.workflow;
            let version = fork.workflow.unwrap_or(had.version);
            let of = WorkflowRef { name: had.name.clone(), version };
            if fork.workflow.is_some() && source.get(&of).is_none() {
                return Err(ForkError::NoWorkflow { workflow: of });
            }
            let anew = Some(anew(fork, beginning)?);
            shelve(source, &journal, family, Some(&of), begun_at)?;
            return Ok(Self { journal, from: Seq(0), begins: begun_at, anew });
        };
        shelve(source, &journal, family, None, begun_at)?;
        let cut = Cut { source, fork, from };
        let begins = cut.copy(&journal, family)?.max(begun_at);
        Ok(Self { journal, from, begins, anew: None })
    }
}

fn beginning(
    source: &OfJournal<'_>,
    run: &RunId,
    first: &Record,
) -> Result<Beginning, TravelError> {
    let unfit = || TravelError::Unfit {
        run: run.clone(),
        seq: first.seq,
        problem: "a run begins with its beginning".into(),
    };
    match events(source, run, first)?.into_iter().next() {
        Some(Event::Started(beginning)) => Ok(*beginning),
        _ => Err(unfit()),
    }
}

fn anew(fork: &Fork, beginning: Beginning) -> Result<Anew, ForkError> {
    let Beginning { workflow, body, parent, input, .. } = beginning;
    if let (Some(_), Some(parent)) = (body, parent) {
        return Err(ForkError::Round { run: fork.run.clone(), above: parent.run });
    }
    let of_agent = workflow.name.as_str().parse().ok();
    let of_agent = of_agent.filter(|agent| WorkflowRef::of_agent(agent) == workflow);
    let which = of_agent.map_or(Which::Newest(workflow.name), Which::Agent);
    Ok(Anew { which, input: fork.input.clone().unwrap_or(input) })
}

/// Puts the definitions into `journal`: the newest of each workflow, and those that the runs were pinned to. The run that begins
/// anew does so in the version it began in.
fn shelve(
    source: &OfJournal<'_>,
    journal: &MemoryJournal,
    family: &[(RunId, Vec<Record>)],
    newest: Option<&WorkflowRef>,
    at: Timestamp,
) -> Result<(), ForkError> {
    let (all, mut rows) = (Workflows::default(), vec![]);
    all.load(source.journal).map_err(TravelError::from)?;
    let mut pinned = BTreeSet::new();
    for (run, records) in family {
        for record in records {
            pinned.extend(pinned_by(&events(source, run, record)?).cloned());
        }
    }
    for name in all.all().keys() {
        rows.extend(all.newest(name).map(|(of, workflow)| workflows::rows(&of, &workflow)));
    }
    for of in pinned {
        // Only the definition: it is not the newest.
        let found = source.get(&of);
        let found = found.map(|workflow| workflows::rows(&of, &workflow).into_iter().take(1));
        rows.extend(found.map(Iterator::collect));
    }
    if let Some(of) = newest {
        rows.extend(source.get(of).map(|workflow| workflows::rows(of, &workflow)));
    }
    let entry = Entry {
        stream: StreamId::new("fork").expect("`fork` is a name"),
        stream_seq: StreamSeq(1),
        at,
        actor: Actor::kernel(),
        causation: None,
        correlation: None,
        kind: "fork.begun".into(),
        version: 1,
        payload: vec![],
    };
    let projections = rows.into_iter().flatten().collect();
    journal.append(Append { entries: vec![entry], projections, ..Append::default() })?;
    Ok(())
}

/// Copies what happened up to a record.
struct Cut<'a> {
    source: &'a OfJournal<'a>,
    fork: &'a Fork,
    from: Seq,
}

/// The rows that a record wrote.
type Rows = Vec<(ProjectionKey, Option<Vec<u8>>)>;

impl Cut<'_> {
    /// Copies the records, with everything that was written beside them; tells when the last of them was written.
    fn copy(
        &self,
        journal: &MemoryJournal,
        family: &[(RunId, Vec<Record>)],
    ) -> Result<Timestamp, ForkError> {
        let (mut copied, mut ends, mut begun) = (vec![], vec![], BTreeSet::new());
        // Those above come first, so that it is known of each which of it were begun.
        for (run, records) in family {
            let mut kept: Vec<Record> =
                records.iter().filter(|record| record.seq <= self.from).cloned().collect();
            // A run beneath begins in the batch of the record that asks for it, whose records are all in one place.
            if kept.is_empty() && begun.contains(run) {
                kept.extend(records.first().cloned());
            }
            if kept.is_empty() {
                continue;
            }
            let mut appends: Vec<(Seq, Append)> = vec![];
            let end = walk(self.source, run, &kept, |told| {
                begun.extend(begun_by(told.events).cloned());
                let projections: Rows = project(told.before, told.after, told.events);
                let entries = vec![told.record.entry.clone()];
                appends
                    .push((told.record.seq, Append { entries, projections, ..Append::default() }));
            })?;
            for ((_, append), record) in appends.iter_mut().zip(&kept) {
                append.blobs = self.blobs(record)?;
            }
            copied.extend(appends);
            ends.push(end);
        }
        copied.sort_by_key(|(seq, _)| *seq);
        let mut last = Timestamp(0);
        for (_, append) in copied {
            last =
                append.entries.iter().map(|entry| entry.at).max().max(Some(last)).unwrap_or(last);
            journal.append(append)?;
        }
        for run in ends {
            self.repin(journal, run, last)?;
        }
        Ok(last)
    }

    /// The payloads that left a record.
    fn blobs(&self, record: &Record) -> Result<run::Blobs, TravelError> {
        let found = RefCell::new(vec![]);
        let fetch = |digest: &Digest| {
            let blob = self.source.blob(digest)?;
            found
                .borrow_mut()
                .extend(blob.iter().map(|blob| (*digest, Arc::from(blob.as_slice()))));
            Ok(blob)
        };
        // That it can be decoded was seen when it was folded.
        let _ = run::decode(record.entry.version, &record.entry.payload, &fetch);
        Ok(found.into_inner())
    }

    /// Puts a run on the versions of agents that were asked for, by a record of the fork's own.
    fn repin(&self, journal: &MemoryJournal, run: Run, at: Timestamp) -> Result<(), ForkError> {
        let agents = repinned(&run, &self.fork.agents);
        if agents == run.agents || run.status.is_over() {
            return Ok(());
        }
        let workflow = run.workflow.clone();
        let events = vec![Event::Migrated { workflow, agents, by: "fork".into() }];
        let unfit =
            |problem: String| TravelError::Unfit { run: run.id.clone(), seq: self.from, problem };
        let id = run.id.clone();
        let moved = Run::fold(Some(run.clone()), &id, events.clone(), at, self.source);
        let moved = moved.map_err(unfit)?.ok_or_else(|| unfit("it is gone".into()))?;
        let (payload, blobs) = run::encode(&events);
        let entry = Entry {
            stream: id.stream(),
            stream_seq: StreamSeq(run.stream_seq.0 + 1),
            at,
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: run::kind(&events).into(),
            version: run::EVENTS_VERSION,
            payload,
        };
        let projections = project(Some(&run), &moved, &events);
        journal.append(Append { entries: vec![entry], projections, blobs, ..Append::default() })?;
        Ok(())
    }
}
