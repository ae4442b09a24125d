//! The world in memory: what the directory would hold, without its files. It is gone with its last clone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use soloist_kernel::fault::Fault;

use super::{AppliedWrite, Change, FILE_ENDING, file_name, unreadable};

/// The records and the list. Cloning it is cheap, and a clone has the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    /// By collection, and by file name: an id sorts otherwise than its file, and lists are in the order of the files.
    records: BTreeMap<String, BTreeMap<String, Arc<Value>>>,
    writes: Vec<AppliedWrite>,
    /// How long the list would be in a directory, so that the systems number alike in both.
    list_bytes: u64,
}

/// The content while no one else changes it.
pub(super) struct Held<'a>(MutexGuard<'a, Content>);

impl Memory {
    pub(super) fn lock(&self) -> Held<'_> {
        Held(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held<'_> {
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<T>, Fault> {
        let file = file_name(id)?;
        let record = self.0.records.get(collection).and_then(|records| records.get(&file));
        record.map(|record| parsed(collection, &file, record)).transpose()
    }

    pub(super) fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<T>, Fault> {
        let records = self.0.records.get(collection).into_iter().flatten();
        records.map(|(file, record)| parsed(collection, file, record)).collect()
    }

    pub(super) fn all(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (collection, records) in &self.0.records {
            for (file, record) in records {
                let id = file.strip_suffix(FILE_ENDING).unwrap_or(file);
                all.insert(format!("{collection}/{id}"), Value::clone(record));
            }
        }
        all
    }

    pub(super) fn writes_after(&self, count: usize) -> Vec<AppliedWrite> {
        self.0.writes.iter().skip(count).cloned().collect()
    }

    pub(super) fn next_number(&self) -> u64 {
        self.0.list_bytes
    }

    pub(super) fn commit(
        &mut self,
        applied: Option<&AppliedWrite>,
        changes: Vec<Change>,
    ) -> Result<(), Fault> {
        // Every name is made first: one that cannot be must leave everything as it was.
        let files: Vec<String> =
            changes.iter().map(|change| file_name(&change.id)).collect::<Result<_, _>>()?;
        for (change, file) in changes.into_iter().zip(files) {
            let records = self.0.records.entry(change.collection).or_default();
            match change.record {
                Some(record) => records.insert(file, record),
                None => records.remove(&file),
            };
        }
        if let Some(applied) = applied {
            self.0.list_bytes += applied.line().len() as u64;
            self.0.writes.push(applied.clone());
        }
        Ok(())
    }
}

fn parsed<T: DeserializeOwned>(collection: &str, file: &str, record: &Value) -> Result<T, Fault> {
    let place = format_args!("{collection}/{file}");
    T::deserialize(record).map_err(|problem| unreadable(&place, &problem))
}
