//! The directory of the world: a JSON file per record, and a list of the writes that were accepted.
//!
//! The rule: **a write is there whole or not at all, whoever is killed when**. Its line for the list and the records it
//! changes are first written into one file, `pending.json`, which a rename makes real; whoever takes the lock next completes
//! what it finds there. Completing it twice changes nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::IdempotencyKey,
    time::Timestamp,
};

use crate::arguments::invalid;

const LOCK: &str = "lock";
const PENDING: &str = "pending.json";
const WRITES: &str = "writes.jsonl";

/// Longest file name of a record without its ending: file systems end at 255 bytes.
const FILE_NAME_BYTES_MAX: usize = 240;

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

/// A record as it is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    collection: String,
    id: String,
    /// Nothing removes it.
    record: Option<Value>,
}

impl Change {
    /// Makes or replaces the record `id`.
    pub(super) fn put(collection: &str, id: &str, record: &impl Serialize) -> Self {
        let record = serde_json::to_value(record).expect("a record is plain data with text keys");
        Self { collection: collection.to_owned(), id: id.to_owned(), record: Some(record) }
    }

    /// Removes the record `id`.
    pub(super) fn remove(collection: &str, id: &str) -> Self {
        Self { collection: collection.to_owned(), id: id.to_owned(), record: None }
    }
}

/// What is to be completed.
#[derive(Serialize, Deserialize)]
struct Pending {
    /// How long the list was before.
    list_bytes: u64,
    /// What is to be added to it.
    lines: String,
    changes: Vec<Change>,
}

/// The directory. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<Path>);

/// The directory while no one else changes it.
pub(super) struct Records<'a> {
    root: &'a Path,
    /// Its lock ends when it is closed, even by a crash.
    _lock: File,
}

impl Store {
    pub(super) fn open(
        root: PathBuf,
        collections: impl Iterator<Item = &'static str>,
    ) -> Result<Self, Fault> {
        let mut made = collections.map(|collection| root.join(collection));
        made.try_for_each(fs::create_dir_all)
            .and_then(|()| sync(&root))
            .map_err(|problem| fault(&root, &problem, Phase::NotSent))?;
        Ok(Self(root.into()))
    }

    /// Waits until no one else changes the directory. A write holds it for some syncs of the disk.
    pub(super) fn lock(&self) -> Result<Records<'_>, Fault> {
        let root = &*self.0;
        let lock = || -> io::Result<File> {
            let file = File::options().create(true).append(true).open(root.join(LOCK))?;
            file.lock()?;
            Ok(file)
        };
        let records = lock().and_then(|lock| {
            let records = Records { root, _lock: lock };
            records.complete()?;
            Ok(records)
        });
        records.map_err(|problem| fault(root, &problem, Phase::NotSent))
    }
}

impl Records<'_> {
    /// The record `id`, if there is one.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<T>, Fault> {
        self.read(&self.root.join(collection).join(file_name(id)?))
    }

    /// Every record of `collection`, in the order of their file names.
    pub(super) fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<T>, Fault> {
        let mut records = Vec::new();
        for path in self.files(&self.root.join(collection))? {
            records.extend(self.read(&path)?);
        }
        Ok(records)
    }

    /// Every record of every collection, by its file without the ending.
    pub(super) fn all(&self) -> Result<BTreeMap<String, Value>, Fault> {
        let mut all = BTreeMap::new();
        for system in self.folders(self.root)? {
            for collection in self.folders(&system)? {
                for path in self.files(&collection)? {
                    let name = path.strip_prefix(self.root).unwrap_or(&path).with_extension("");
                    if let Some(record) = self.read(&path)? {
                        all.insert(name.to_string_lossy().into_owned(), record);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Every accepted write, oldest first.
    pub(super) fn writes(&self) -> Result<Vec<AppliedWrite>, Fault> {
        let path = self.root.join(WRITES);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(problem) => return Err(fault(&path, &problem, Phase::NotSent)),
        };
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|problem| unreadable(&path, &problem)))
            .collect()
    }

    /// A number that no earlier write had: how long the list of writes is. Systems that number their records use it.
    pub(super) fn next_number(&self) -> Result<u64, Fault> {
        self.list_bytes()
            .map_err(|problem| fault(&self.root.join(WRITES), &problem, Phase::NotSent))
    }

    /// Makes `changes`, and `applied` one of the accepted writes, together and durably.
    pub(super) fn commit(
        &self,
        applied: Option<&AppliedWrite>,
        changes: Vec<Change>,
    ) -> Result<(), Fault> {
        for change in &changes {
            file_name(&change.id)?;
        }
        let lines = applied.map_or(String::new(), |applied| {
            serde_json::to_string(applied).expect("a write is plain data") + "\n"
        });
        let path = self.root.join(PENDING);
        let prepare = || -> io::Result<()> {
            let pending = Pending { list_bytes: self.list_bytes()?, lines, changes };
            replace(&path, &pending)
        };
        prepare().map_err(|problem| fault(&path, &problem, Phase::NotSent))?;
        // From here on it has happened: the next one to take the lock completes it if this one does not.
        sync(self.root)
            .and_then(|()| self.complete())
            .map_err(|problem| fault(self.root, &problem, Phase::MaybeSent))
    }

    /// Completes the write that was under way, if there is one.
    fn complete(&self) -> io::Result<()> {
        let path = self.root.join(PENDING);
        let pending: Pending = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(problem) => return Err(problem),
        };
        let mut list = File::options().create(true).append(true).open(self.root.join(WRITES))?;
        // What a killed process wrote of the lines is cut off, so that they are there once.
        list.set_len(pending.list_bytes)?;
        list.write_all(pending.lines.as_bytes())?;
        list.sync_all()?;
        for change in &pending.changes {
            self.make(change)?;
        }
        fs::remove_file(&path)
    }

    fn make(&self, change: &Change) -> io::Result<()> {
        let folder = self.root.join(&change.collection);
        let name = file_name(&change.id).map_err(|fault| io::Error::other(fault.message))?;
        let path = folder.join(name);
        match &change.record {
            Some(record) => replace(&path, record)?,
            None => match fs::remove_file(&path) {
                Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
                Ok(()) | Err(_) => {}
            },
        }
        sync(&folder)
    }

    fn list_bytes(&self) -> io::Result<u64> {
        match fs::metadata(self.root.join(WRITES)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(problem) => Err(problem),
        }
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, Fault> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|problem| unreadable(path, &problem)),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(problem) => Err(fault(path, &problem, Phase::NotSent)),
        }
    }

    fn folders(&self, folder: &Path) -> Result<Vec<PathBuf>, Fault> {
        Ok(self.entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
    }

    /// The files of the records in `folder`.
    fn files(&self, folder: &Path) -> Result<Vec<PathBuf>, Fault> {
        let mut paths = self.entries(folder)?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        Ok(paths)
    }

    /// What is in `folder`, in the order of the names.
    fn entries(&self, folder: &Path) -> Result<Vec<PathBuf>, Fault> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
        };
        let mut paths = list().map_err(|problem| fault(folder, &problem, Phase::NotSent))?;
        paths.sort();
        Ok(paths)
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
    Ok(name + ".json")
}

/// Replaces the file at `path` in one step.
fn replace(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    serde_json::to_writer_pretty(&file, content)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn fault(path: &Path, problem: &io::Error, phase: Phase) -> Fault {
    let message = format!("the sandbox cannot use {}: {problem}", path.display());
    Fault::new(FaultClass::Transient, phase, message)
}

fn unreadable(path: &Path, problem: &serde_json::Error) -> Fault {
    invalid(format!("{} is not a record of the sandbox: {problem}; mend it", path.display()))
}

#[cfg(test)]
mod tests;
