//! Opening: what is checked, in which order, and what is refused.
//!
//! The order matters. The lock comes first, since two doctors would be worse than none. `HEAD` is read before anything is
//! changed, because it says whether an empty store is a new one or a lost one. The doctor sees the write-ahead files
//! before the store does, because the store cuts them. Only then is the store opened, and believed only after its chain
//! has been recomputed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ::fjall::PersistMode;
use thiserror::Error;

use super::{
    Options,
    lock::{self, Lock, LockError},
    recover::{Recovered, recover},
    store::{KEYSPACES, Store},
};
use crate::journal::{
    Head, Seq,
    doctor::{Cut, Healed, Unhealthy, examine, heal, write_ahead_files},
    format::Unreadable,
    head::{self, BadHead},
};

/// The store's folder within the journal's.
pub(in crate::journal) const STORE: &str = "store";

/// What opening found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last record. Its number is the number of records.
    pub head: Head,
    /// Records whose hashes were recomputed: those since the last checkpoint.
    pub verified: u64,
    /// Bytes of an incomplete last batch that were cut. They were never synced, and are kept in the file `TORN`.
    pub cut_bytes: u64,
}

/// Why a journal was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The operating system refused something.
    #[error("failed to {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else has it open.
    #[error("the journal in {} is open in {}; stop it first, or use another folder", dir.display(), owner(*pid))]
    InUse {
        /// The journal's folder.
        dir: PathBuf,
        /// The process that has it open, if that is known.
        pid: Option<u32>,
    },
    /// Written by a newer program.
    #[error("{what} is too new: {problem}")]
    Newer {
        /// What has a newer format.
        what: String,
        /// Which version it has and which is supported.
        problem: Unreadable,
    },
    /// There is a store and no anchor that says how far it must reach.
    #[error(
        "{} is missing, and a store is there; put it back from a backup, or look at the journal with `soloist doctor` and accept what is there with `soloist doctor --accept-loss`",
        dir.join("HEAD").display()
    )]
    HeadMissing {
        /// The journal's folder.
        dir: PathBuf,
    },
    /// The anchor is damaged.
    #[error(
        "{} says nothing: {problem}; put it back from a backup, or accept what is in the store with `soloist doctor --accept-loss`",
        dir.join("HEAD").display()
    )]
    HeadDamaged {
        /// The journal's folder.
        dir: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The anchor says that there are records, and parts of the store are gone.
    #[error("{} is missing, and the last good record was {}; restore the journal from a backup", path.display(), last.seq)]
    StoreMissing {
        /// What is missing.
        path: PathBuf,
        /// The last record that was synced.
        last: Head,
    },
    /// A write-ahead file is damaged in a way that no power loss explains.
    #[error("{0}; {advice}", advice = remedy(.0))]
    Unhealthy(#[from] Unhealthy),
    /// The journal ends before the last record that was synced.
    #[error(
        "the journal was synced up to record {expected} and now ends at record {found}; restore it from a backup, or give up what is missing with `soloist doctor --accept-loss`"
    )]
    Lost {
        /// The last record that was synced.
        expected: Head,
        /// The last one that is there.
        found: Head,
    },
    /// A record is not what was written.
    #[error("record {seq} is damaged: {problem}; restore the journal from a backup")]
    Damaged {
        /// The first record that is not good.
        seq: Seq,
        /// What is wrong with it.
        problem: String,
    },
    /// A keyspace does not go as far as the records do.
    #[error(
        "the keyspace of {keyspace} goes up to record {found} and the journal up to {last}; restore the journal from a backup"
    )]
    Diverged {
        /// Which.
        keyspace: &'static str,
        /// How far it goes.
        found: Seq,
        /// How far the records go.
        last: Seq,
    },
    /// The store could not be opened.
    #[error("failed to open the store: {0}; restore the journal from a backup")]
    Store(#[from] ::fjall::Error),
}

fn remedy(unhealthy: &Unhealthy) -> &'static str {
    match unhealthy {
        Unhealthy::Io { .. } => {
            "nothing was changed; make room on the disk or mend the file's permissions, and start again"
        }
        Unhealthy::Damaged { .. } => {
            "restore the journal from a backup, or give up what follows the damage with `soloist doctor --accept-loss`"
        }
        Unhealthy::Missing { .. } => "restore the journal from a backup",
    }
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// What a person has decided about a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Nothing: refuse it.
    Refused,
    /// Go on with what is left.
    Accepted,
}

/// An open store that is known to be good.
pub(super) struct Ready {
    pub(super) store: Store,
    pub(super) lock: Lock,
    pub(super) checkpoint: Head,
    pub(super) opened: Opened,
}

/// Opens the journal in `dir`, which is created if it is not there.
pub(super) fn open(dir: &Path, options: &Options) -> Result<Ready, OpenError> {
    open_with(dir, options, Loss::Refused)
}

/// Accepts that the journal in `dir` has lost records: makes its last good record its head.
///
/// Batches go to disk as a whole, so what is left is a state the journal once had. Should the parts of the store disagree
/// about which, nothing is accepted. What is cut from a damaged file is kept in the file `LOST`.
///
/// # Errors
///
/// [`OpenError`], if what is left is not a whole journal either, or if it is too new or in use.
pub fn accept_loss(dir: &Path) -> Result<Opened, OpenError> {
    let ready = open_with(dir, &Options::default(), Loss::Accepted)?;
    Ok(ready.opened)
}

fn open_with(dir: &Path, options: &Options, loss: Loss) -> Result<Ready, OpenError> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { what, path, source }
    };
    fs::create_dir_all(dir).map_err(io("create", dir))?;
    let lock = lock::acquire(dir).map_err(|error| match error {
        LockError::Held(pid) => OpenError::InUse { dir: dir.to_owned(), pid },
        LockError::Io(error) => io("lock", dir)(error),
    })?;
    let path = dir.join(STORE);
    let anchor = match (read_anchor(dir, &path), loss) {
        (Err(OpenError::HeadMissing { .. } | OpenError::HeadDamaged { .. }), Loss::Accepted) => {
            None
        }
        (anchor, _) => Some(anchor?),
    };
    let healed = prepare(dir, &path, anchor.as_ref(), loss)?;
    let store = Store::open(&path, options)?;
    let required = anchor.as_ref().filter(|_| loss == Loss::Refused);
    let Recovered { head, checkpoint, verified } = recover(&store, required)?;
    // What a killed process had written and not synced is read from memory, not from the disk: sync it before believing.
    store.db.persist(PersistMode::SyncAll)?;
    if anchor != Some(head) {
        head::write(dir, &head).map_err(io("write", &dir.join("HEAD")))?;
    }
    let opened = Opened { head, verified, cut_bytes: healed.cut_bytes };
    Ok(Ready { store, lock, checkpoint, opened })
}

/// The anchor. A journal that is about to begin gets its first one, before the store is created.
fn read_anchor(dir: &Path, store: &Path) -> Result<Head, OpenError> {
    match head::read(dir) {
        Ok(Some(anchor)) => Ok(anchor),
        Ok(None) if store.exists() => Err(OpenError::HeadMissing { dir: dir.to_owned() }),
        Ok(None) => {
            let write = |source| OpenError::Io { what: "write", path: dir.join("HEAD"), source };
            head::write(dir, &Head::EMPTY).map_err(write)?;
            dir.parent()
                .filter(|parent| parent.is_dir())
                .map_or(Ok(()), head::sync_dir)
                .map_err(write)?;
            Ok(Head::EMPTY)
        }
        Err(BadHead::Io(source)) => {
            Err(OpenError::Io { what: "read", path: dir.join("HEAD"), source })
        }
        Err(BadHead::Version(problem)) => {
            Err(OpenError::Newer { what: dir.join("HEAD").display().to_string(), problem })
        }
        Err(BadHead::Damaged(problem)) => {
            Err(OpenError::HeadDamaged { dir: dir.to_owned(), problem: problem.to_owned() })
        }
    }
}

/// Looks at the store's files before the store does.
fn prepare(
    dir: &Path,
    store: &Path,
    anchor: Option<&Head>,
    loss: Loss,
) -> Result<Healed, OpenError> {
    match anchor {
        Some(anchor) if anchor.seq == Seq(0) => remove_unfinished(store)?,
        Some(_) | None => check_complete(store, anchor.unwrap_or(&Head::EMPTY))?,
    }
    if !store.exists() {
        return Ok(Healed::default());
    }
    let (cut, kept) = match loss {
        Loss::Refused => (Cut::TornTail, "TORN"),
        Loss::Accepted => (Cut::AnyTail, "LOST"),
    };
    Ok(heal(store, cut, &dir.join(kept))?)
}

/// A store that has held records has all of these. The store itself takes the lack of some for an empty database.
fn check_complete(store: &Path, last: &Head) -> Result<(), OpenError> {
    let missing = |path: PathBuf| OpenError::StoreMissing { path, last: *last };
    if let Some(path) = first_missing(store) {
        return Err(missing(path));
    }
    match write_ahead_files(store)?.is_empty() {
        true => Err(missing(store.join("*.jnl"))),
        false => Ok(()),
    }
}

/// The first of the files that every store has from its creation on, and that this one does not.
fn first_missing(store: &Path) -> Option<PathBuf> {
    // The keyspaces are numbered from one; zero is the store's own.
    let keyspaces = (0..=KEYSPACES.len()).map(|id| format!("keyspaces/{id}/current"));
    let files = ["version", "lock"].into_iter().map(str::to_owned).chain(keyspaces);
    files.map(|file| store.join(file)).find(|file| !file.exists())
}

/// The very first boot may have been cut short. The store would stumble over its own half-made files, so it begins again,
/// which is safe as long as nothing was ever written to it.
fn remove_unfinished(store: &Path) -> Result<(), OpenError> {
    let io =
        |source| OpenError::Io { what: "remove the unfinished", path: store.to_owned(), source };
    let Some(missing) = first_missing(store).filter(|_| store.exists()) else { return Ok(()) };
    for file in write_ahead_files(store)? {
        let first = file.file_name().is_some_and(|name| name == "0.jnl");
        let found = examine(&fs::read(&file).map_err(io)?);
        if !first || found.batches > 0 {
            return Err(OpenError::StoreMissing { path: missing, last: Head::EMPTY });
        }
    }
    fs::remove_dir_all(store).map_err(io)
}
