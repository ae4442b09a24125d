//! Lists a folder of `.eml` files: a mail is known by its file name and its content, so an edited file is a new mail.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use soloist_kernel::time::Timestamp;

use super::{Found, text_of};

/// How long after its last change a file's time stamp is trusted. Two writes within one tick of the file system's clock
/// leave the same stamp.
const STAMP_SETTLES: Duration = Duration::from_secs(2);

/// The `.eml` files directly in `root`, in the order of their names. Hidden files are not mails yet.
pub(super) fn list(root: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let name = text_of(&entry.file_name());
        let path = entry.path();
        let is_eml =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("eml"));
        if is_eml && !name.starts_with('.') {
            found.push(Found { path, name });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The identity of the mail `raw` in the file `name`.
pub(super) fn identity(name: &str, raw: &[u8]) -> String {
    format!("{name}@{}", &blake3::hash(raw).to_hex()[..16])
}

/// What tells that a file has not changed, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: SystemTime,
}

impl Stamp {
    /// The stamp of the file at `path`, if it can be had.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { bytes: metadata.len(), modified: metadata.modified().ok()? })
    }

    fn has_settled(self, now: Timestamp) -> bool {
        let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now.0));
        now.is_some_and(|now| {
            now.duration_since(self.modified).is_ok_and(|age| age > STAMP_SETTLES)
        })
    }
}

/// The identities of files that have not changed since they were read. Only a cache: without it, every pull reads all.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<PathBuf, (Stamp, String)>>);

impl Known {
    pub(super) fn identity(&self, path: &Path, stamp: Stamp) -> Option<String> {
        let known = self.lock();
        known.get(path).filter(|(at, _)| *at == stamp).map(|(_, identity)| identity.clone())
    }

    /// Remembers what the file at `path` is, once its stamp is to be trusted.
    pub(super) fn learn(&self, path: &Path, stamp: Stamp, now: Timestamp, identity: &str) {
        if stamp.has_settled(now) {
            self.lock().insert(path.to_owned(), (stamp, identity.to_owned()));
        }
    }

    /// Forgets the files that are gone, so that the cache is never larger than the folder.
    pub(super) fn retain(&self, found: &[Found]) {
        let paths: BTreeSet<&Path> = found.iter().map(|found| found.path.as_path()).collect();
        self.lock().retain(|path, _| paths.contains(path.as_path()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (Stamp, String)>> {
        // A cache is right or absent at every moment, so one that a panic interrupted is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
