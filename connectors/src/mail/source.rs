//! The mails that have arrived: which files there are, and which of them are new.
//!
//! The rule: **a source only reads**. It moves, marks and deletes nothing, keeps no cursor, and tells a mail from another by
//! an identity that survives restarts; the kernel remembers which it has taken. What cannot be read is a quarantined change,
//! so that one bad file never holds up the others. [`Layout`] says what the folder is: `maildir.rs` and `eml.rs` list it.

use std::{
    fs::File,
    io::{self, Read},
    iter,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    labels::{LABEL_ENTRIES_MAX, Labeled, Labels, Pii},
    payload::Payload,
    time::Timestamp,
};

use super::{parse::parse, record::Mail};
use crate::contract::{Change, Observed, Page, Seen};

mod eml;
mod maildir;

/// Largest mail that is read, unless configured otherwise: what large providers accept.
pub const MAIL_BYTES_MAX: u64 = 25 << 20;

/// Where what is read comes from, as its labels say it.
const ORIGIN: &str = "mail";

/// Where mail arrives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSourceConfig {
    /// The Maildir, or the folder of `.eml` files. Whoever writes `.eml` files into it writes them under another name first
    /// and renames them, or half a mail may be read.
    pub path: PathBuf,
    /// What the folder is.
    #[serde(default)]
    pub layout: Layout,
    /// Largest mail that is read. A larger one is quarantined.
    #[serde(default = "mail_bytes_max")]
    pub bytes_max: u64,
}

impl MailSourceConfig {
    /// The source at `path`, with the defaults.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), layout: Layout::default(), bytes_max: MAIL_BYTES_MAX }
    }
}

fn mail_bytes_max() -> u64 {
    MAIL_BYTES_MAX
}

/// How mails lie in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A Maildir if it holds the folders `new` and `cur`, else `.eml` files.
    #[default]
    Auto,
    /// `new` and `cur` hold a file per mail; `tmp` is not read.
    Maildir,
    /// The `.eml` files directly in the folder.
    Eml,
}

/// A folder where mail arrives.
///
/// Its files are read inline rather than on a blocking thread: they are small and local, and threads would make the order
/// of things differ from run to run under simulation.
#[derive(Debug)]
pub struct MailSource {
    config: MailSourceConfig,
    known: eml::Known,
}

/// A file that may hold a mail.
struct Found {
    path: PathBuf,
    /// Its name as text, unique in the folder even where the name is not UTF-8.
    name: String,
}

/// Why a file was not read.
enum Obstacle {
    /// It is no longer there: it was moved or removed since it was listed. Not worth a word.
    Gone,
    /// It is there. `mark` tells this state of the file from others, so that the mail is read once it is mended.
    Quarantined { mark: String, reason: String },
}

impl MailSource {
    /// A source as configured. Nothing is touched until [`pull`](Self::pull).
    #[must_use]
    pub fn new(config: MailSourceConfig) -> Self {
        Self { config, known: eml::Known::default() }
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &MailSourceConfig {
        &self.config
    }

    /// Up to `limit` mails that are not yet `seen`, in the order of their names.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the folder, if it cannot be listed.
    pub fn pull(&self, now: Timestamp, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        let path = &self.config.path;
        let changes: Box<dyn Iterator<Item = Change> + '_> = if self.is_maildir() {
            let found = maildir::list(path).map_err(|problem| unlistable(path, &problem))?;
            Box::new(found.into_iter().filter_map(|found| self.maildir_change(&found, seen)))
        } else {
            let found = eml::list(path).map_err(|problem| unlistable(path, &problem))?;
            self.known.retain(&found);
            Box::new(found.into_iter().filter_map(move |found| self.eml_change(&found, now, seen)))
        };
        // One more than the limit is looked at, to know whether there is more.
        let mut changes: Vec<Change> = changes.take(limit.saturating_add(1)).collect();
        let more = changes.len() > limit;
        changes.truncate(limit);
        Ok(Page { changes, more })
    }

    fn is_maildir(&self) -> bool {
        match self.config.layout {
            Layout::Auto => ["new", "cur"].iter().all(|name| self.config.path.join(name).is_dir()),
            Layout::Maildir => true,
            Layout::Eml => false,
        }
    }

    fn maildir_change(&self, found: &Found, seen: Seen<'_>) -> Option<Change> {
        if seen(&found.name) {
            return None;
        }
        match self.read(&found.path) {
            Ok(raw) => Some(observed(found.name.clone(), &raw)),
            Err(obstacle) => quarantined(&found.name, obstacle, seen),
        }
    }

    fn eml_change(&self, found: &Found, now: Timestamp, seen: Seen<'_>) -> Option<Change> {
        let stamp = eml::Stamp::of(&found.path);
        if stamp
            .and_then(|stamp| self.known.identity(&found.path, stamp))
            .is_some_and(|known| seen(&known))
        {
            return None;
        }
        let raw = match self.read(&found.path) {
            Ok(raw) => raw,
            Err(obstacle) => return quarantined(&found.name, obstacle, seen),
        };
        let identity = eml::identity(&found.name, &raw);
        if let Some(stamp) = stamp {
            self.known.learn(&found.path, stamp, now, &identity);
        }
        (!seen(&identity)).then(|| observed(identity, &raw))
    }

    /// The whole file, unless it is not a mail's or too large.
    fn read(&self, path: &Path) -> Result<Vec<u8>, Obstacle> {
        let metadata = std::fs::metadata(path).map_err(|problem| unopenable(path, &problem))?;
        if !metadata.is_file() {
            let reason = format!(
                "{} is not a file but a folder or a device; move it out of the mail folder",
                path.display()
            );
            return Err(Obstacle::Quarantined { mark: "not-a-file".to_owned(), reason });
        }
        if metadata.len() > self.config.bytes_max {
            return Err(self.too_large(path, metadata.len()));
        }
        let mut raw = Vec::new();
        // The file may have grown since; one byte over the limit is enough to know.
        File::open(path)
            .and_then(|file| {
                file.take(self.config.bytes_max.saturating_add(1)).read_to_end(&mut raw)
            })
            .map_err(|problem| unopenable(path, &problem))?;
        let length = raw.len() as u64;
        if length > self.config.bytes_max { Err(self.too_large(path, length)) } else { Ok(raw) }
    }

    fn too_large(&self, path: &Path, bytes: u64) -> Obstacle {
        let (limit, path) = (self.config.bytes_max, path.display());
        let reason = format!(
            "the mail has {bytes} bytes and the limit is {limit} (`mail.bytes_max`); raise it to read the mail, its file {path} is untouched"
        );
        Obstacle::Quarantined { mark: format!("size-{bytes}"), reason }
    }
}

fn observed(identity: String, raw: &[u8]) -> Change {
    let observed = match parse(&identity, raw) {
        Ok(mail) => Payload::of(&mail).map_or_else(
            |problem| Observed::Quarantined { reason: format!("{problem}; the file is untouched") },
            |payload| Observed::Record(Labeled::new(payload, labels_of(&mail))),
        ),
        Err(unreadable) => Observed::Quarantined { reason: unreadable.reason },
    };
    Change { identity, observed }
}

/// A mail may be read by those it went between. Not by whom it asks to be answered to: that would let a stranger add
/// readers.
fn labels_of(mail: &Mail) -> Labels {
    let parties = iter::once(&mail.from).chain(&mail.to).take(LABEL_ENTRIES_MAX);
    Labels::untrusted(ORIGIN)
        .readable_by(parties.map(|mailbox| mailbox.address.to_ascii_lowercase()))
        .with_pii([Pii::Name, Pii::Email])
}

fn quarantined(name: &str, obstacle: Obstacle, seen: Seen<'_>) -> Option<Change> {
    let Obstacle::Quarantined { mark, reason } = obstacle else { return None };
    let identity = format!("{name}@{mark}");
    (!seen(&identity)).then_some(Change { identity, observed: Observed::Quarantined { reason } })
}

fn unopenable(path: &Path, problem: &io::Error) -> Obstacle {
    // A dangling link is not a mail that vanished: it stays, and the operator should know.
    if problem.kind() == io::ErrorKind::NotFound && !path.is_symlink() {
        return Obstacle::Gone;
    }
    let reason = format!(
        "{} cannot be read: {problem}; check its permissions and links, and touch or rename it to have it read",
        path.display()
    );
    Obstacle::Quarantined { mark: "unreadable".to_owned(), reason }
}

fn unlistable(path: &Path, problem: &io::Error) -> Fault {
    let class = match problem.kind() {
        io::ErrorKind::PermissionDenied => FaultClass::Auth,
        io::ErrorKind::NotADirectory => FaultClass::Invalid,
        _ => FaultClass::Transient,
    };
    let message = format!(
        "cannot list the mail folder {}: {problem}; create it, or correct `mail.source`",
        path.display()
    );
    Fault::new(class, Phase::NotSent, message)
}

/// The name as text. One that is not UTF-8 gets the hash of its bytes, so that it stays unique.
fn text_of(name: &std::ffi::OsStr) -> String {
    name.to_str().map_or_else(
        || {
            let hash = blake3::hash(name.as_encoded_bytes()).to_hex();
            format!("{}~{}", name.to_string_lossy(), &hash[..16])
        },
        str::to_owned,
    )
}

#[cfg(test)]
mod tests;
