//! A Maildir as the way out: the embedded default, which needs no server and can be looked at.
//!
//! The rule is Maildir's own: a mail is written and synced in `tmp`, then renamed into `new`, so that it is there whole or
//! not at all. The file is named after the effect's key, so a second delivery finds the first. Whoever sends the mails on
//! **moves them to `cur`, and does not delete them** before their runs are settled: a deleted mail looks like one that was
//! never delivered. Its sibling is `smtp.rs`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::IdempotencyKey,
};

/// A Maildir that mails are delivered into. Its folders are made at the first delivery.
#[derive(Clone, Debug)]
pub struct MaildirOutbox {
    path: PathBuf,
}

impl MaildirOutbox {
    /// The outbox at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether mail can be delivered: there is a folder that may be written to, or where it can be made.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the folder.
    pub fn check(&self) -> Result<(), Fault> {
        let there = self.path.ancestors().find(|folder| folder.exists());
        let there = there.unwrap_or(Path::new("."));
        let found = fs::metadata(there).map_err(|problem| not_sent(there, &problem))?;
        let problem = if !found.is_dir() {
            io::ErrorKind::NotADirectory
        } else if found.permissions().readonly() {
            io::ErrorKind::PermissionDenied
        } else {
            return Ok(());
        };
        Err(not_sent(there, &problem.into()))
    }

    /// Delivers `bytes` as the mail of `key`, unless it is there, and returns the file relative to the outbox. When it
    /// returns, the mail is on disk.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the path. It may have been sent only if the mail is in `new` and the folder could not be
    /// synced.
    pub fn deliver(&self, key: &IdempotencyKey, bytes: &[u8]) -> Result<String, Fault> {
        let name = file_name(key)?;
        if let Some(file) = self.find(key)? {
            // The earlier attempt may have died between its rename and its sync.
            self.sync_folders(&file)?;
            return Ok(file);
        }
        let (draft, mail) = (self.path.join("tmp").join(name), self.path.join("new").join(name));
        self.make_folders().map_err(|problem| not_sent(&self.path, &problem))?;
        write_synced(&draft, bytes).map_err(|problem| not_sent(&draft, &problem))?;
        fs::rename(&draft, &mail).map_err(|problem| not_sent(&mail, &problem))?;
        let file = format!("new/{name}");
        self.sync_folders(&file)?;
        Ok(file)
    }

    /// The file of the mail of `key`, relative to the outbox, if it was delivered.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the folder, if it cannot be listed.
    pub fn find(&self, key: &IdempotencyKey) -> Result<Option<String>, Fault> {
        let name = file_name(key)?;
        // `new` first: a mail that is moved to `cur` meanwhile is then still found.
        if self.path.join("new").join(name).exists() {
            return Ok(Some(format!("new/{name}")));
        }
        let folder = self.path.join("cur");
        let flagged = format!("{name}:2,");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(not_sent(&folder, &problem)),
        };
        for entry in entries {
            let entry = entry.map_err(|problem| not_sent(&folder, &problem))?.file_name();
            let entry = entry.to_string_lossy();
            if *entry == *name || entry.starts_with(&flagged) {
                return Ok(Some(format!("cur/{entry}")));
            }
        }
        Ok(None)
    }

    fn make_folders(&self) -> io::Result<()> {
        if ["tmp", "new", "cur"].iter().all(|folder| self.path.join(folder).is_dir()) {
            return Ok(());
        }
        for folder in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.path.join(folder))?;
        }
        // The names of the new folders must survive a power loss as well, or the mails in them do not.
        sync(&self.path)?;
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
    }

    fn sync_folders(&self, file: &str) -> Result<(), Fault> {
        let folder = if file.starts_with("cur/") { "cur" } else { "new" };
        let folder = self.path.join(folder);
        sync(&folder).map_err(|problem| {
            let message = format!(
                "the mail is in {} and may not survive a power loss: {problem}",
                folder.display()
            );
            Fault::new(FaultClass::Transient, Phase::MaybeSent, message)
        })
    }
}

/// The key as a file name. Keys are hex, but one that was read from elsewhere could hold anything.
fn file_name(key: &IdempotencyKey) -> Result<&str, Fault> {
    let name = key.as_str();
    let safe = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if safe {
        return Ok(name);
    }
    let message = format!("the key {name:?} cannot be a file name; keys are 32 hex digits");
    Err(Fault::new(FaultClass::Invalid, Phase::NotSent, message))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn not_sent(path: &Path, problem: &io::Error) -> Fault {
    let class = match problem.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultClass::Auth,
        io::ErrorKind::NotADirectory => FaultClass::Invalid,
        _ => FaultClass::Transient,
    };
    let message = format!(
        "cannot write the outbox at {}: {problem}; check space, permissions and `mail.outbox`",
        path.display()
    );
    Fault::new(class, Phase::NotSent, message)
}

#[cfg(test)]
mod tests;
