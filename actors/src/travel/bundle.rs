//! Bundles: a run and those beneath it in one file that explains itself.
//!
//! A bundle holds every record of its runs with what it takes to check it, the payloads that left them, the texts of the workflow
//! versions that they were pinned to and of the policy versions that judged, the versions of the agents, where the journal ended,
//! and the hash of the state that each history leads to. Whoever opens it needs no journal: each byte is checked, each history is
//! folded, and the state is the same to the bit, or it is said that it is not. `parts.rs` is the file's form.

mod parts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    effect::WriteEvent,
    id::{RunId, WorkflowName, WorkflowRef},
    journal::{Journal, ReadError, Record, Seq, carried},
    payload::Digest,
    run::{Event, Run, StoredError, decode},
    workflow::{Library, Workflow},
};
use thiserror::Error;

use self::parts::{Kind, Part, Writer};
use super::{
    TravelError,
    history::{self, Moment, OfJournal, Source, events, family, folded, pinned_by},
    replay::{self, Difference, Replayed, state_digest},
};
use crate::{policies, workflows::Workflows};

/// Why a file is not a bundle that can be trusted.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It does not begin as a bundle does.
    #[error("it is no bundle of a run: it does not begin as one; `soloist run export` makes them")]
    NotOne,
    /// Another version's.
    #[error(
        "it is a bundle of version {found}, and this Soloist reads version {}; use the one that wrote it, or a newer one, unless \
         the file is damaged",
        parts::VERSION
    )]
    Version {
        /// Its version.
        found: u16,
    },
    /// A part is not as it was written.
    #[error(
        "part {place}, at byte {at}: {what}; the file has changed since it was written, take another copy"
    )]
    Changed {
        /// Which part, counted from one.
        place: usize,
        /// Where it begins.
        at: usize,
        /// What is wrong.
        what: String,
    },
    /// More follows the end.
    #[error(
        "{bytes} bytes follow its end; the file has changed since it was written, take another copy"
    )]
    Behind {
        /// How many.
        bytes: usize,
    },
    /// A part is whole, and is not what it should be: whoever wrote it did not write what Soloist does.
    #[error("part {place}, a {kind}: {what}")]
    Part {
        /// Which part, counted from one.
        place: usize,
        /// What it is.
        kind: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// It does not say what it is of.
    #[error("its first part should be its manifest, and is not")]
    NoManifest,
}

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// The version of Soloist that wrote it.
    soloist: String,
    /// Its run.
    run: RunId,
    /// The last record of the journal that it is from.
    head: Place,
    /// Its runs, those above first.
    runs: Vec<Held>,
    /// The versions of the agents that the runs were pinned to: `triage@2`.
    agents: Vec<String>,
    /// The versions of the policy that judged.
    policies: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    seq: Seq,
    hash: String,
}

/// A run of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    run: RunId,
    records: u64,
    /// The hash of the state that they lead to; empty if another version of Soloist folds them.
    state: String,
}

/// A run, and those beneath it, away from their journal.
pub struct Bundle {
    manifest: Manifest,
    workflows: BTreeMap<WorkflowRef, Arc<Workflow>>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    records: BTreeMap<RunId, Vec<Record>>,
}

/// A bundle of the run `id` and of every run beneath it.
///
/// # Errors
///
/// [`TravelError`], if there is no such run, or its history cannot be read.
pub fn export(journal: &dyn Journal, id: &RunId) -> Result<Vec<u8>, TravelError> {
    let source = OfJournal::new(journal);
    let head = journal.head();
    let family = family(&source, id)?;
    let (mut named, mut runs) = (Named::default(), vec![]);
    for (run, records) in &family {
        let state = folded(&source, run, records)?;
        named.take(&source, run, records)?;
        let state = state_digest(&state).to_hex();
        runs.push(Held { run: run.clone(), records: records.len() as u64, state });
    }
    let manifest = Manifest {
        soloist: env!("CARGO_PKG_VERSION").into(),
        run: id.clone(),
        head: Place { seq: head.seq, hash: head.hash.to_hex() },
        runs,
        agents: named.agents.into_iter().collect(),
        policies: named.policies.iter().copied().collect(),
    };
    let mut writer = Writer::new();
    writer.part(Kind::Manifest, &serde_json::to_vec(&manifest).expect("plain data is JSON"));
    for pinned in &named.workflows {
        // What stands for one turn of an agent has no text.
        if let Some((pinned, text)) = Workflows::text(journal, &pinned.name, Some(pinned.version))?
        {
            writer.part(Kind::Workflow, format!("{pinned}\n{text}").as_bytes());
        }
    }
    for version in &named.policies {
        if let Some((version, text)) = policies::text(journal, Some(*version))? {
            writer.part(Kind::Policy, format!("{version}\n{text}").as_bytes());
        }
    }
    for digest in &named.blobs {
        if let Some(bytes) = journal.blob(digest)? {
            writer.part(Kind::Blob, &bytes);
        }
    }
    for record in family.iter().flat_map(|(_, records)| records) {
        let missing = || ReadError::Damaged {
            seq: record.seq,
            problem: "the record before it is missing".into(),
        };
        let before = carried::before(journal, record.seq)?.ok_or_else(missing)?;
        writer.part(Kind::Record, &carried::pack(record, &before));
    }
    Ok(writer.end())
}

/// What histories name, and cannot be read without.
#[derive(Default)]
struct Named {
    workflows: BTreeSet<WorkflowRef>,
    agents: BTreeSet<String>,
    policies: BTreeSet<u32>,
    blobs: BTreeSet<Digest>,
}

impl Named {
    fn take(
        &mut self,
        source: &OfJournal<'_>,
        run: &RunId,
        records: &[Record],
    ) -> Result<(), TravelError> {
        for record in records {
            let entry = &record.entry;
            // Whoever decodes a record asks for each payload that left it.
            let asked = std::cell::RefCell::new(BTreeSet::new());
            let fetch = |digest: &Digest| {
                asked.borrow_mut().insert(*digest);
                source.blob(digest)
            };
            let decoded = decode(entry.version, &entry.payload, &fetch);
            let events = decoded.map_err(|problem: StoredError| TravelError::Unfit {
                run: run.clone(),
                seq: record.seq,
                problem: problem.to_string(),
            })?;
            self.blobs.append(&mut asked.borrow_mut());
            self.workflows.extend(pinned_by(&events).cloned());
            for event in &events {
                self.event(event);
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        let agents = match event {
            Event::Started(beginning) => Some(&beginning.agents),
            Event::Migrated { agents, .. } => Some(agents),
            _ => None,
        };
        let agents = agents.into_iter().flatten();
        self.agents.extend(agents.map(|(agent, version)| format!("{agent}@{version}")));
        let Event::Write { event, .. } = event else { return };
        if let WriteEvent::Proposed { judgement, .. }
        | WriteEvent::Modified { judgement, .. }
        | WriteEvent::Reproposed { judgement, .. } = event
        {
            self.policies.insert(judgement.policy);
        }
    }
}

impl Bundle {
    /// Reads a bundle and checks every byte of it.
    ///
    /// # Errors
    ///
    /// [`BundleError`] names the part that is not as it was written.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let parts = parts::read(bytes)?;
        let Some((first, parts)) = parts.split_first() else { return Err(BundleError::NoManifest) };
        if first.kind != Kind::Manifest {
            return Err(BundleError::NoManifest);
        }
        let manifest = serde_json::from_slice(first.body).map_err(|error| wrong(first, error))?;
        let mut bundle = Self {
            manifest,
            workflows: BTreeMap::new(),
            blobs: BTreeMap::new(),
            records: BTreeMap::new(),
        };
        for part in parts {
            bundle.take(part)?;
        }
        Ok(bundle)
    }

    fn take(&mut self, part: &Part<'_>) -> Result<(), BundleError> {
        match part.kind {
            Kind::Manifest | Kind::End => return Err(wrong(part, "there is one already")),
            // It is there for people to read.
            Kind::Policy => drop(named(part)?),
            Kind::Workflow => {
                let (name, text) = named(part)?;
                let pinned = name.rsplit_once('@').and_then(|(name, version)| {
                    Some(WorkflowRef { name: name.parse().ok()?, version: version.parse().ok()? })
                });
                let pinned = pinned.ok_or_else(|| wrong(part, "it names no version"))?;
                let parsed = Workflow::parse(name, text).map_err(|problems| {
                    let first = problems.first().map(ToString::to_string);
                    wrong(part, first.unwrap_or_default())
                })?;
                self.workflows.insert(pinned, Arc::new(parsed));
            }
            Kind::Blob => {
                self.blobs.insert(Digest::of(part.body), part.body.to_vec());
            }
            Kind::Record => {
                let (record, _) = carried::unpack(part.body).map_err(|error| wrong(part, error))?;
                let run = record.entry.stream.as_str().strip_prefix("run:");
                let run = run.and_then(|run| RunId::new(run).ok());
                let run = run.ok_or_else(|| wrong(part, "it is the record of no run"))?;
                self.records.entry(run).or_default().push(record);
            }
        }
        Ok(())
    }

    /// The run that it is a bundle of.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.manifest.run
    }

    /// The last record of the journal that it is from, and that record's hash.
    #[must_use]
    pub fn head(&self) -> (Seq, &str) {
        (self.manifest.head.seq, &self.manifest.head.hash)
    }

    /// Folds each of its runs, those above first, and compares the state with what it was when the bundle was made.
    #[must_use]
    pub fn replay(&self) -> Vec<Replayed> {
        self.manifest.runs.iter().map(|held| self.replay_run(held)).collect()
    }

    fn replay_run(&self, held: &Held) -> Replayed {
        let none = vec![];
        let records = self.records.get(&held.run).unwrap_or(&none);
        let mut differences = vec![];
        if records.len() as u64 != held.records {
            let says =
                format!("it has {} records, and {} are said to be", records.len(), held.records);
            differences.push(Difference::new("history", says));
        }
        let replayed = match folded(self, &held.run, records) {
            Ok(run) => self.compared(held, &run, differences),
            Err(error) => {
                differences.push(Difference::new("history", error.to_string()));
                Replayed {
                    run: held.run.clone(),
                    workflow: String::new(),
                    status: String::new(),
                    records: 0,
                    first: Seq(0),
                    last: Seq(0),
                    state: String::new(),
                    differences,
                }
            }
        };
        let place = |record: Option<&Record>| record.map_or(Seq(0), |record| record.seq);
        let (first, last) = (place(records.first()), place(records.last()));
        Replayed { first, last, records: records.len() as u64, ..replayed }
    }

    fn compared(&self, held: &Held, run: &Run, mut differences: Vec<Difference>) -> Replayed {
        let state = state_digest(run).to_hex();
        if state != held.state {
            let (by, here) = (&self.manifest.soloist, env!("CARGO_PKG_VERSION"));
            let says = format!(
                "the state has the hash {state}, and had {} where the bundle was made, by Soloist {by}; this is {here}",
                held.state
            );
            differences.push(Difference::new("state", says));
        }
        replay::of(run, differences)
    }

    /// A run of the bundle as it was when record `seq` had been written, or as it was when the bundle was made.
    ///
    /// # Errors
    ///
    /// [`TravelError`], as [`at`](super::at) has them.
    pub fn at(&self, run: &RunId, seq: Option<Seq>) -> Result<Moment, TravelError> {
        let head = self.manifest.head.seq;
        match seq {
            Some(seq) if seq > head => Err(TravelError::Beyond { seq, head }),
            seq => history::moment(self, run, seq),
        }
    }

    /// The events of one of its records.
    ///
    /// # Errors
    ///
    /// [`TravelError`].
    pub fn events(&self, record: &Record) -> Result<Vec<Event>, TravelError> {
        events(self, &self.manifest.run, record)
    }
}

impl Library for Bundle {
    fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        let of_name = self.workflows.iter().rfind(|(pinned, _)| pinned.name == *name);
        of_name.map(|(pinned, workflow)| (pinned.clone(), workflow.clone()))
    }

    fn get(&self, workflow: &WorkflowRef) -> Option<Arc<Workflow>> {
        self.workflows.get(workflow).cloned()
    }
}

impl Source for Bundle {
    fn records(&self, run: &RunId) -> Result<Vec<Record>, ReadError> {
        Ok(self.records.get(run).cloned().unwrap_or_default())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.blobs.get(digest).cloned())
    }
}

/// What stands before the first line break of a part, and what behind it.
fn named<'a>(part: &Part<'a>) -> Result<(&'a str, &'a str), BundleError> {
    let text = std::str::from_utf8(part.body).map_err(|error| wrong(part, error))?;
    text.split_once('\n').ok_or_else(|| wrong(part, "it has no name"))
}

fn wrong(part: &Part<'_>, what: impl ToString) -> BundleError {
    BundleError::Part { place: part.place, kind: part.kind.word(), what: what.to_string() }
}
