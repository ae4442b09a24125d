//! The records of the world, and a list of the writes that were accepted.
//!
//! The rule: **a write is there whole or not at all**, its line on the list and the records it changes together. The records
//! are in a directory (`directory.rs`), which is durable and shared with other processes, or in memory (`memory.rs`), which
//! is neither and fast. A system cannot tell which: the same writes leave the same records under the same names.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use soloist_kernel::{fault::Fault, id::IdempotencyKey, time::Timestamp};

use self::{directory::Directory, memory::Memory};
use crate::arguments::invalid;

mod directory;
mod memory;

/// Longest file name of a record without its ending: file systems end at 255 bytes.
const FILE_NAME_BYTES_MAX: usize = 240;

/// The ending of a record's file name.
const FILE_ENDING: &str = ".json";

/// A write that a system of the box accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppliedWrite {
    /// When.
    pub at: Timestamp,
    /// What was done, with its system: `payments.charge`.
    pub operation: String,
    /// The identity of the write.
    pub key: IdempotencyKey,
    /// What was answered, or would have been.
    pub receipt: Value,
}

impl AppliedWrite {
    /// Its line on the list.
    fn line(&self) -> String {
        serde_json::to_string(self).expect("a write is plain data") + "\n"
    }
}

/// A record as it is to be. Cloning it does not clone the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    collection: String,
    id: String,
    /// Nothing removes it.
    record: Option<Arc<Value>>,
}

impl Change {
    /// Makes or replaces the record `id`.
    pub(super) fn put(collection: &str, id: &str, record: &impl Serialize) -> Self {
        let record = serde_json::to_value(record).expect("a record is plain data with text keys");
        Self { collection: collection.to_owned(), id: id.to_owned(), record: Some(record.into()) }
    }

    /// Removes the record `id`.
    pub(super) fn remove(collection: &str, id: &str) -> Self {
        Self { collection: collection.to_owned(), id: id.to_owned(), record: None }
    }
}

/// Where the records are. Cloning it is cheap, and a clone has the same records.
#[derive(Clone, Debug)]
pub(super) struct Store(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Directory(Directory),
    Memory(Memory),
}

/// The records while no one else changes them.
pub(super) struct Records<'a>(Held<'a>);

enum Held<'a> {
    Directory(directory::Held<'a>),
    Memory(memory::Held<'a>),
}

impl Store {
    /// The records in the directory `root`, which is made if it does not exist.
    pub(super) fn open(
        root: PathBuf,
        collections: impl Iterator<Item = &'static str>,
    ) -> Result<Self, Fault> {
        Directory::open(root, collections).map(|directory| Self(Backend::Directory(directory)))
    }

    /// No records yet, in memory.
    pub(super) fn in_memory() -> Self {
        Self(Backend::Memory(Memory::default()))
    }

    /// Waits until no one else changes the records. A write to a directory holds it for some syncs of the disk.
    pub(super) fn lock(&self) -> Result<Records<'_>, Fault> {
        Ok(Records(match &self.0 {
            Backend::Directory(directory) => Held::Directory(directory.lock()?),
            Backend::Memory(memory) => Held::Memory(memory.lock()),
        }))
    }
}

impl Records<'_> {
    /// The record `id`, if there is one.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<T>, Fault> {
        match &self.0 {
            Held::Directory(directory) => directory.get(collection, id),
            Held::Memory(memory) => memory.get(collection, id),
        }
    }

    /// Every record of `collection`, in the order of their file names.
    pub(super) fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<T>, Fault> {
        match &self.0 {
            Held::Directory(directory) => directory.list(collection),
            Held::Memory(memory) => memory.list(collection),
        }
    }

    /// Every record of every collection, by its file without the ending.
    pub(super) fn all(&self) -> Result<BTreeMap<String, Value>, Fault> {
        match &self.0 {
            Held::Directory(directory) => directory.all(),
            Held::Memory(memory) => Ok(memory.all()),
        }
    }

    /// The accepted writes but for the first `count`, oldest first.
    pub(super) fn writes_after(&self, count: usize) -> Result<Vec<AppliedWrite>, Fault> {
        match &self.0 {
            Held::Directory(directory) => directory.writes_after(count),
            Held::Memory(memory) => Ok(memory.writes_after(count)),
        }
    }

    /// A number that no earlier write had: how long the list of writes is, in bytes. Systems that number their records use
    /// it.
    pub(super) fn next_number(&self) -> Result<u64, Fault> {
        match &self.0 {
            Held::Directory(directory) => directory.next_number(),
            Held::Memory(memory) => Ok(memory.next_number()),
        }
    }

    /// Makes `changes`, and `applied` one of the accepted writes, together; in a directory durably.
    pub(super) fn commit(
        &mut self,
        applied: Option<&AppliedWrite>,
        changes: Vec<Change>,
    ) -> Result<(), Fault> {
        match &mut self.0 {
            Held::Directory(directory) => directory.commit(applied, changes),
            Held::Memory(memory) => memory.commit(applied, changes),
        }
    }
}

/// The file of the record `id`: what is not plain in a file name is written as `%2F`.
fn file_name(id: &str) -> Result<String, Fault> {
    let mut name = String::new();
    for byte in id.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"@_-+".contains(&byte);
        if plain || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.is_empty() || name.len() > FILE_NAME_BYTES_MAX {
        return Err(invalid(format!("the id {id:?} is empty or too long for the sandbox")));
    }
    Ok(name + FILE_ENDING)
}

fn unreadable(place: &dyn fmt::Display, problem: &serde_json::Error) -> Fault {
    invalid(format!("{place} is not a record of the sandbox: {problem}; mend it"))
}

#[cfg(test)]
mod tests;
