//! Replay: a run is rebuilt from its records alone, and whatever else is kept of it is held against that.
//!
//! It decides nothing. Each record is checked by its own hash and the one of the record before, and folded; what the fold
//! would have written beside the records is compared with what is there, and the newest snapshot with the state.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use soloist_kernel::{
    budget::{GOALS, SPENT, SPENT_RUNS, UNFUNDED},
    id::RunId,
    inbox::{self, Item},
    journal::{Journal, ProjectionKey, ReadError, Record, Seq, StreamSeq, carried},
    payload::Digest,
    run::{
        self, Event, Parent, Run, RunSummary,
        archived::ARCHIVED,
        project::{
            ACTIVE, AWAITING, ENDED, FINISHED, PARKED, REACHED, REACHED_DAYS, TIMERS, project,
            standing,
        },
    },
};

use super::{
    TravelError,
    history::{OfJournal, Source, Told, events, family, walk},
};
use crate::views;

/// How often a replay begins anew because something happened in the run meanwhile.
const AGAIN_MAX: usize = 5;

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The run.
    pub run: RunId,
    /// The workflow version it ends on.
    pub workflow: String,
    /// Where it stands: as in [`RunSummary`].
    pub status: String,
    /// How many records it has.
    pub records: u64,
    /// Its first record.
    pub first: Seq,
    /// Its last record.
    pub last: Seq,
    /// The hash of the state that they lead to, in hex digits.
    pub state: String,
    /// What does not agree with that. Nothing: the run is what its records say.
    pub differences: Vec<Difference>,
}

/// Something that is not as the records say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `hash`, `history`, `snapshot`, `summary`, `inbox`, `timers`, `awaiting`, `parked`, `ended`, `costs`,
    /// `budgets` or `reached`.
    pub what: &'static str,
    /// What is there, and what the records say.
    pub says: String,
}

impl Difference {
    pub(super) fn new(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, says: says.into() }
    }
}

/// The hash of a state: the same for the same state, whatever way led to it.
#[must_use]
pub(super) fn state_digest(run: &Run) -> Digest {
    Digest::of(&run::state(run))
}

/// Replays the run `id` and every run beneath it, those above first.
///
/// # Errors
///
/// [`TravelError`], if there is no such run or the journal cannot be read. What does not agree is no error: see
/// [`Replayed::differences`].
pub fn replay(journal: &dyn Journal, id: &RunId) -> Result<Vec<Replayed>, TravelError> {
    all(&OfJournal::new(journal), id)
}

/// [`replay`], whatever has been read of it already.
pub(super) fn all(source: &OfJournal<'_>, id: &RunId) -> Result<Vec<Replayed>, TravelError> {
    match family(source, id) {
        Ok(family) => family.iter().map(|(run, _)| steadily(source, run)).collect(),
        // What is beneath it cannot be told.
        Err(TravelError::Unfit { .. }) => Ok(vec![steadily(source, id)?]),
        Err(error) => Err(error),
    }
}

/// Replays the run `id` alone.
///
/// # Errors
///
/// As [`replay`].
pub fn replay_run(journal: &dyn Journal, id: &RunId) -> Result<Replayed, TravelError> {
    steadily(&OfJournal::new(journal), id)
}

/// What is beside the records is read after them: if the run has gone on meanwhile, it begins anew.
pub(super) fn steadily(source: &OfJournal<'_>, id: &RunId) -> Result<Replayed, TravelError> {
    let mut replayed = once(source, id)?;
    for _ in 1..AGAIN_MAX {
        let newest = source.journal.stream(&id.stream(), StreamSeq(replayed.records))?;
        if newest.is_empty() || replayed.differences.is_empty() {
            break;
        }
        replayed = once(source, id)?;
    }
    Ok(replayed)
}

fn once(source: &OfJournal<'_>, id: &RunId) -> Result<Replayed, TravelError> {
    let journal = source.journal;
    let records = source.records(id)?;
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(TravelError::NoRun { run: id.clone() });
    };
    let mut differences = hashes(journal, &records)?;
    let mut rows = Rows::default();
    let replayed = match walk(source, id, &records, |told| rows.told(&told)) {
        Ok(run) => {
            snapshot(source, &run, &mut differences)?;
            rows.compare(source, &run, &mut differences)?;
            of(&run, differences)
        }
        Err(error @ (TravelError::Unfit { .. } | TravelError::NoDefinition { .. })) => {
            differences.push(Difference::new("history", error.to_string()));
            let (workflow, status, state) = (String::new(), String::new(), String::new());
            let (run, first, last) = (id.clone(), first.seq, last.seq);
            Replayed { run, workflow, status, records: 0, first, last, state, differences }
        }
        Err(error) => return Err(error),
    };
    Ok(Replayed { records: records.len() as u64, first: first.seq, last: last.seq, ..replayed })
}

/// What the fold of a run came to, whose places in the journal the caller knows.
pub(super) fn of(run: &Run, differences: Vec<Difference>) -> Replayed {
    Replayed {
        run: run.id.clone(),
        workflow: run.workflow.to_string(),
        status: RunSummary::of(run).status,
        records: run.stream_seq.0,
        first: Seq(0),
        last: Seq(0),
        state: state_digest(run).to_hex(),
        differences,
    }
}

/// Each record against its own hash and that of the record before it.
fn hashes(journal: &dyn Journal, records: &[Record]) -> Result<Vec<Difference>, ReadError> {
    let mut differences = vec![];
    let mut previous = None;
    for record in records {
        let seq = record.seq;
        match carried::before(journal, seq)? {
            Some(before) if carried::follows(record, &before) => {}
            Some(_) => {
                let says =
                    format!("record {seq} is not what was appended behind record {}", seq.0 - 1);
                differences.push(Difference::new("hash", says));
            }
            None => {
                let says = format!("the record before record {seq} is missing");
                differences.push(Difference::new("hash", says));
            }
        }
        if record.previous != previous {
            let says = format!("record {seq} names another record as the run's last before it");
            differences.push(Difference::new("hash", says));
        }
        previous = Some(seq);
    }
    Ok(differences)
}

/// The state that a process which starts now would take up.
fn snapshot(
    source: &OfJournal<'_>,
    run: &Run,
    differences: &mut Vec<Difference>,
) -> Result<(), ReadError> {
    let resumed = match views::resumed(source.journal, &run.id, source) {
        Ok(resumed) => resumed,
        Err(ReadError::Damaged { seq, problem }) => {
            let says =
                format!("the records behind it do not follow from it, at record {seq}: {problem}");
            differences.push(Difference::new("snapshot", says));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let Some(resumed) = resumed.filter(|resumed| resumed != run) else { return Ok(()) };
    let says = format!("it leads to another state: {}", parts(&resumed, run).join(", "));
    differences.push(Difference::new("snapshot", says));
    Ok(())
}

/// In what two states of a run differ.
fn parts(one: &Run, other: &Run) -> Vec<String> {
    let mut parts = vec![];
    let mut part = |same: bool, name: &str| {
        if !same {
            parts.push(name.to_owned());
        }
    };
    part(one.workflow == other.workflow, "the workflow");
    part(one.agents == other.agents, "the agents' versions");
    part(one.input == other.input, "the input");
    part(one.status == other.status, "the status");
    part(one.done == other.done, "what is done");
    part(one.lateness == other.lateness, "the lateness");
    part(one.stream_seq == other.stream_seq, "the number of records");
    part((one.started_at, one.updated_at) == (other.started_at, other.updated_at), "the times");
    for ((definition, step), (_, same)) in one.graph().zip(other.graph()) {
        if step != same {
            parts.push(format!("step `{}`", definition.name));
        }
    }
    parts
}

/// What the records of a run wrote beside themselves, as their fold says.
#[derive(Default)]
struct Rows {
    /// Every row that was ever written, and what it last was.
    rows: BTreeMap<ProjectionKey, Option<Vec<u8>>>,
    /// The record that last told of its end.
    ended: Option<(Parent, Seq)>,
}

impl Rows {
    fn told(&mut self, told: &Told<'_>) {
        for (key, value) in project(told.before, told.after, told.events) {
            if key.table == ENDED {
                // The end of a run beneath is that one's own: it may end anew after this one has taken its end in.
                if value.is_none() {
                    continue;
                }
                self.ended = told.after.parent.clone().map(|parent| (parent, told.record.seq));
            }
            self.rows.insert(key, value);
        }
    }

    fn compare(
        mut self,
        source: &OfJournal<'_>,
        run: &Run,
        differences: &mut Vec<Difference>,
    ) -> Result<(), TravelError> {
        let journal = source.journal;
        self.taken_in(source)?;
        self.strays(journal, run)?;
        // The row of a run that is archived has taken the place of its summary.
        let archived = ProjectionKey::new(ARCHIVED, run.id.as_str());
        let is_archived = journal.projection(&archived)?.is_some();
        let replaced = |key: &ProjectionKey| is_archived && [ACTIVE, FINISHED].contains(&key.table);
        for (_, row) in self.rows.iter_mut().filter(|(key, _)| replaced(key)) {
            *row = None;
        }
        for key in standing(run).into_iter().filter(|key| !replaced(key)) {
            // What follows from the state alone is there, however it came to be so.
            if self.rows.get(&key).is_none_or(Option::is_none) {
                let says = format!("{} should be there, and no record wrote it", key.key);
                differences.push(Difference::new(name(key.table), says));
            }
        }
        for (key, expected) in &self.rows {
            let found = journal.projection(key)?;
            if let Some(says) = differs(key, expected.as_deref(), found.as_deref()) {
                differences.push(Difference::new(name(key.table), says));
            }
        }
        Ok(())
    }

    /// The run above has taken the end in, and with that removed it.
    fn taken_in(&mut self, source: &OfJournal<'_>) -> Result<(), TravelError> {
        let Some((parent, told)) = self.ended.take() else { return Ok(()) };
        let takes = |event: &Event| match event {
            Event::Answered { step, effect, .. } | Event::ChildUnwound { step, effect, .. } => {
                (step, effect) == (&parent.step, &parent.effect)
            }
            _ => false,
        };
        for record in source.records(&parent.run)?.iter().filter(|record| record.seq > told) {
            if events(source, &parent.run, record)?.iter().any(takes) {
                let ended = self.rows.iter_mut().filter(|(key, _)| key.table == ENDED);
                ended
                    .filter(|(key, _)| key.key.starts_with(parent.run.as_str()))
                    .for_each(|(_, row)| *row = None);
            }
        }
        Ok(())
    }

    /// Rows about the run that none of its records wrote.
    fn strays(&mut self, journal: &dyn Journal, run: &Run) -> Result<(), ReadError> {
        for table in [UNFUNDED, GOALS] {
            self.rows.entry(ProjectionKey::new(table, run.id.as_str())).or_insert(None);
        }
        let of_run = format!("/{}", run.id);
        for table in [TIMERS, AWAITING, PARKED] {
            views::each_row(journal, table, "", |key, _| {
                if key.ends_with(&of_run) {
                    self.rows.entry(ProjectionKey::new(table, key)).or_insert(None);
                }
                Ok::<_, ReadError>(())
            })?;
        }
        views::each_row(journal, inbox::TABLE, "", |key, bytes| {
            let item =
                Item::from_bytes(bytes).ok().filter(|item| item.run.as_ref() == Some(&run.id));
            // That it is set aside is not the run's own word.
            if let Some(item) = item
                && views::incident(journal, &item.id)?.is_none()
            {
                self.rows.entry(ProjectionKey::new(inbox::TABLE, key)).or_insert(None);
            }
            Ok(())
        })
    }
}

/// What an operator calls a table.
fn name(table: &str) -> &'static str {
    match table {
        ACTIVE | FINISHED => "summary",
        inbox::TABLE => "inbox",
        TIMERS => "timers",
        AWAITING => "awaiting",
        PARKED => "parked",
        ENDED => "ended",
        SPENT | SPENT_RUNS => "costs",
        UNFUNDED | GOALS => "budgets",
        _ => "reached",
    }
}

/// What is wrong with the row `key`, which should be `expected`.
fn differs(key: &ProjectionKey, expected: Option<&[u8]>, found: Option<&[u8]>) -> Option<String> {
    let (table, key) = (key.table, &key.key);
    match (expected, found) {
        (None, None) => None,
        // Places are written by many runs, whose clocks were looked at before their records had a place: what counts is that
        // it has been reached.
        (Some(_), Some(_)) if [REACHED, REACHED_DAYS].contains(&table) => None,
        (Some(expected), Some(found)) if expected == found => None,
        (Some(expected), Some(found)) => match fields(expected, found) {
            Ok(fields) if fields.is_empty() => None,
            Ok(fields) => Some(format!("{key}: {}", fields.join("; "))),
            Err(()) => Some(format!("{key} is there and says something else than the records")),
        },
        (Some(_), None) => Some(format!("{key} should be in `{table}`, and is not")),
        (None, Some(_)) => Some(format!("{key} is in `{table}`, and should not be")),
    }
}

/// The fields in which two JSON objects differ.
fn fields(expected: &[u8], found: &[u8]) -> Result<Vec<String>, ()> {
    let object = |bytes| match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(()),
    };
    let (expected, found) = (object(expected)?, object(found)?);
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let value = |fields: &serde_json::Map<String, Value>, name: &String| {
        fields.get(name).cloned().unwrap_or_default()
    };
    let differing = names.filter(|name| value(&expected, name) != value(&found, name));
    let says = |name: &String| {
        format!("`{name}` is {} and should be {}", value(&found, name), value(&expected, name))
    };
    Ok(differing.map(says).collect())
}
