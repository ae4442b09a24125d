//! The world in a directory: a JSON file per record, and a file with a line for each accepted write.
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
use soloist_kernel::fault::{Fault, FaultClass, Phase};

use super::{AppliedWrite, Change, file_name, unreadable};

const LOCK: &str = "lock";
const PENDING: &str = "pending.json";
const WRITES: &str = "writes.jsonl";

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
pub(super) struct Directory(Arc<Path>);

/// The directory while no one else changes it.
pub(super) struct Held<'a> {
    root: &'a Path,
    /// Its lock ends when it is closed, even by a crash.
    _lock: File,
}

impl Directory {
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

    pub(super) fn lock(&self) -> Result<Held<'_>, Fault> {
        let root = &*self.0;
        let lock = || -> io::Result<File> {
            let file = File::options().create(true).append(true).open(root.join(LOCK))?;
            file.lock()?;
            Ok(file)
        };
        let held = lock().and_then(|lock| {
            let held = Held { root, _lock: lock };
            held.complete()?;
            Ok(held)
        });
        held.map_err(|problem| fault(root, &problem, Phase::NotSent))
    }
}

impl Held<'_> {
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<T>, Fault> {
        self.read(&self.root.join(collection).join(file_name(id)?))
    }

    pub(super) fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<T>, Fault> {
        let mut records = Vec::new();
        for path in self.files(&self.root.join(collection))? {
            records.extend(self.read(&path)?);
        }
        Ok(records)
    }

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

    pub(super) fn writes_after(&self, count: usize) -> Result<Vec<AppliedWrite>, Fault> {
        let path = self.root.join(WRITES);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(problem) => return Err(fault(&path, &problem, Phase::NotSent)),
        };
        text.lines()
            .skip(count)
            .map(|line| {
                serde_json::from_str(line).map_err(|problem| unreadable(&path.display(), &problem))
            })
            .collect()
    }

    pub(super) fn next_number(&self) -> Result<u64, Fault> {
        self.list_bytes()
            .map_err(|problem| fault(&self.root.join(WRITES), &problem, Phase::NotSent))
    }

    pub(super) fn commit(
        &self,
        applied: Option<&AppliedWrite>,
        changes: Vec<Change>,
    ) -> Result<(), Fault> {
        for change in &changes {
            file_name(&change.id)?;
        }
        let lines = applied.map_or(String::new(), AppliedWrite::line);
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
                .map_err(|problem| unreadable(&path.display(), &problem)),
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

#[cfg(test)]
mod tests;
