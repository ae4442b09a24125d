//! Where segment files lie: a folder of the journal's, or memory.
//!
//! A file appears whole or not at all: it is written under a name of its own, fsynced, renamed, and the folder is fsynced.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::journal::head::sync_dir;

/// The folder of segments within the journal's.
const FOLDER: &str = "archive";

/// What the name of a file ends with as long as it is being written.
const PART: &str = ".part";

/// What a file is written into.
pub trait Sink: Write + Seek {}

impl<T: Write + Seek> Sink for T {}

/// Writes the contents of a file.
pub type Fill<'a> = &'a mut dyn FnMut(&mut dyn Sink) -> io::Result<()>;

/// Segment files.
pub trait Files: Send + Sync {
    /// The name and the length of every file there is, by name.
    ///
    /// # Errors
    ///
    /// Why the folder cannot be listed.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Up to `len` bytes of the file `name`, from `at` on; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Option<Vec<u8>>>;

    /// Writes the file `name` by `fill`, in the place of one that is there. When this returns, it is whole and durable.
    ///
    /// # Errors
    ///
    /// Why it cannot be written. It is then as it was before, with what was written beside it.
    fn write(&self, name: &str, fill: Fill<'_>) -> io::Result<()>;
}

/// Segment files in a folder, which is made for the first of them.
pub(in crate::journal) struct Folder(PathBuf);

impl Folder {
    pub(in crate::journal) fn of(journal: &Path) -> Self {
        Self(journal.join(FOLDER))
    }
}

fn or_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let Some(folder) = or_none(fs::read_dir(&self.0))? else { return Ok(vec![]) };
        let mut files = vec![];
        for file in folder {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            files.push((name, file.metadata()?.len()));
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = or_none(File::open(self.0.join(name)))? else { return Ok(None) };
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, fill: Fill<'_>) -> io::Result<()> {
        if !self.0.is_dir() {
            fs::create_dir(&self.0)?;
            self.0.parent().map_or(Ok(()), sync_dir)?;
        }
        let part = self.0.join(format!("{name}{PART}"));
        let mut file = io::BufWriter::new(File::create(&part)?);
        fill(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, self.0.join(name))?;
        sync_dir(&self.0)
    }
}

/// Segment files in memory. They are durable at once, and outlive the journal that wrote them, as a disk does.
#[derive(Default)]
pub(in crate::journal) struct Shelf(Mutex<BTreeMap<String, Arc<[u8]>>>);

impl Shelf {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Shelf {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.files();
        Ok(files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(bytes) = self.files().get(name).cloned() else {
            return Ok(None);
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Some(bytes[at..at.saturating_add(len).min(bytes.len())].to_vec()))
    }

    fn write(&self, name: &str, fill: Fill<'_>) -> io::Result<()> {
        let mut bytes = io::Cursor::new(Vec::new());
        fill(&mut bytes)?;
        self.files().insert(name.to_owned(), bytes.into_inner().into());
        Ok(())
    }
}
