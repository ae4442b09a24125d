//! fjall beneath a simulation: what the model holds, on files, and what a dead process leaves of them.
//!
//! The model stays the authority. Which appends a power loss takes is a matter of virtual time, and fjall's writer is a thread
//! in real time, which may write and fsync earlier than the model says. So each append to the model is also one to a
//! [`FjallJournal`], and its commit is waited for there and then. That makes three things true:
//!
//! - no thread's timing reaches virtual time, and the trace is the model's to the byte;
//! - what the kernel reads it reads from fjall, which holds what the model holds whenever somebody looks;
//! - each append is a batch of its own, so that where it ends in the write-ahead file is known (`real/history.rs`).
//!
//! What a process leaves is an image of its directory in which the write-ahead file ends where the model's survivors do, or is
//! what the fault makes of that, and `HEAD` names a record that was synced (`real/image.rs`, `real/aftermath.rs`). The next
//! process opens the image as any process would: doctor, chain and anchor. Then all that it holds must be what the model
//! holds (`real/contents.rs`).

mod aftermath;
mod contents;
mod history;
mod image;

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use soloist_kernel::journal::{
    Append, Head, Journal, Seq,
    fjall::{FjallJournal, OpenError, Opened, Options},
    memory::MemoryJournal,
};
use tempfile::TempDir;

pub(crate) use self::aftermath::Recovery;
use self::{
    aftermath::{Left, Oracle},
    contents::Places,
    history::History,
    image::{Image, WriteAhead},
};
use super::resealed;
use crate::{chance::Chance, plan::Kind};

/// Longer than any commit takes that is not stuck, in real time.
const DEADLINE: Duration = Duration::from_secs(30);

/// Blocks read from disk: a simulated journal is small, and many are open in one process.
const CACHE_BYTES: u64 = 1 << 20;

/// The writer of `HEAD` is a thread in real time too. It is kept from writing more than once; what `HEAD` says in an image is
/// decided there.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(3600);

/// What is wrong: the invariant that does not hold, and how.
pub(crate) type Problem = (&'static str, String);

/// The journal of one process on files. Its directory goes away with it.
pub(crate) struct Real {
    journal: FjallJournal,
    history: Mutex<History>,
    write_ahead: WriteAhead,
    recovery: Recovery,
    dir: TempDir,
}

impl Real {
    /// A new journal, without records.
    pub(crate) fn new() -> Result<Self, String> {
        let dir = image::dir().map_err(|problem| problem.to_string())?;
        let (journal, opened) = open(dir.path()).map_err(|problem| problem.to_string())?;
        Self::on(dir, journal, History::new(opened.head), Recovery::Whole)
    }

    fn on(
        dir: TempDir,
        journal: FjallJournal,
        history: History,
        recovery: Recovery,
    ) -> Result<Self, String> {
        let write_ahead = WriteAhead::open(dir.path()).map_err(|problem| problem.to_string())?;
        Ok(Self { journal, history: Mutex::new(history), write_ahead, recovery, dir })
    }

    /// Appends as the model did, and returns when it is committed.
    pub(crate) fn append(&self, append: Append) -> Result<(), String> {
        let mut history = self.history();
        let append = resealed(&self.journal, append)?;
        let last = self.journal.append(append.clone()).map_err(|problem| problem.to_string())?;
        self.wait(last)?;
        let end = self.write_ahead.end_of_batch(history.end())?;
        history.appended(append, last, end);
        Ok(())
    }

    /// The model is about to count everything that was appended as synced.
    pub(crate) fn sync(&self) -> Result<(), String> {
        let mut history = self.history();
        self.wait(history.last())?;
        history.synced(self.journal.head());
        Ok(())
    }

    /// The journal, to be read from. It must be written through [`append`](Self::append).
    pub(crate) fn journal(&self) -> &FjallJournal {
        &self.journal
    }

    /// How it was found when it was opened.
    pub(crate) fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The process ended by `kind`, and `model` is what survives. Opens what that leaves on files, and compares.
    ///
    /// This journal is flushed when it is dropped, into a directory that nobody looks at any more.
    pub(crate) fn after(
        &self,
        kind: &Kind,
        model: &MemoryJournal,
        chance: &mut Chance,
    ) -> Result<Self, Problem> {
        let mut history = std::mem::take(&mut *self.history());
        let survives = model.head();
        let kept = history.count_to(survives.seq).ok_or_else(|| {
            let what =
                format!("the model ends at record {}, in the middle of an append", survives.seq);
            ("durable-prefix", what)
        })?;
        let places = Places::of(&history);
        let image = Image::of(self.dir.path(), history.end()).map_err(unreadable)?;
        let left = Left::new(&history, image.write_ahead(), kept, kind, chance);
        let found = open_left(&image, &left, &history, model, &places)?;
        history.continue_with(kept, survives);
        let Found { dir, journal, recovery } = found;
        Self::on(dir, journal, history, recovery).map_err(|problem| ("opens", problem))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until everything up to `seq` is committed.
    fn wait(&self, seq: Seq) -> Result<(), String> {
        let (told, heard) = mpsc::channel();
        self.journal.sync(seq, Box::new(move |answer| drop(told.send(answer))));
        let answer = heard.recv_timeout(DEADLINE);
        answer.map_err(|problem| problem.to_string())?.map_err(|stopped| stopped.to_string())
    }
}

/// A journal that was opened from an image.
struct Found {
    dir: TempDir,
    journal: FjallJournal,
    recovery: Recovery,
}

/// Opens what was left. If it is damaged and that is noticed, or was bound to stay unnoticed, the operator puts the directory
/// back as it was before the damage.
fn open_left(
    image: &Image,
    left: &Left,
    history: &History,
    model: &MemoryJournal,
    places: &Places,
) -> Result<Found, Problem> {
    let Some(oracle) = &left.damaged else {
        return open_whole(image, &left.whole, left.head, model, places, Recovery::Whole);
    };
    let dir = image.lay_out(&oracle.write_ahead, oracle.head).map_err(unreadable)?;
    let recovery = match (open(dir.path()), oracle.may_refuse) {
        (Err(_), true) => Recovery::Refused,
        (Err(problem), false) => return Err(("opens", problem.to_string())),
        (Ok((journal, opened)), _) => {
            let count = found_count(oracle, history, opened.head)?;
            if count == left.kept {
                contents::compare(model, &journal, places)
                    .map_err(|what| (oracle.invariant, what))?;
                return Ok(Found { dir, journal, recovery: Recovery::Mended });
            }
            contents::compare(&history.replayed(count), &journal, places)
                .map_err(|what| (oracle.invariant, what))?;
            Recovery::Shorter
        }
    };
    open_whole(image, &left.whole, left.head, model, places, recovery)
}

/// How many appends were found, if that may be.
fn found_count(oracle: &Oracle, history: &History, found: Head) -> Result<usize, Problem> {
    let mut counts = oracle.may_find.iter().copied();
    counts.find(|count| history.last_of(*count) == found.seq).ok_or_else(|| {
        let what = format!(
            "a journal with {} and a HEAD that names record {} was opened with {} records",
            oracle.what, oracle.head.seq, found.seq
        );
        (oracle.invariant, what)
    })
}

fn open_whole(
    image: &Image,
    write_ahead: &[u8],
    head: Head,
    model: &MemoryJournal,
    places: &Places,
    recovery: Recovery,
) -> Result<Found, Problem> {
    let dir = image.lay_out(write_ahead, head).map_err(unreadable)?;
    let (journal, _) = open(dir.path()).map_err(|problem| ("opens", problem.to_string()))?;
    contents::compare(model, &journal, places).map_err(|what| ("durable-prefix", what))?;
    Ok(Found { dir, journal, recovery })
}

fn open(dir: &Path) -> Result<(FjallJournal, Opened), OpenError> {
    let options = Options {
        cache_bytes: CACHE_BYTES,
        anchor_interval: ANCHOR_INTERVAL,
        ..Options::default()
    };
    FjallJournal::open(dir, options)
}

fn unreadable(problem: std::io::Error) -> Problem {
    ("opens", format!("the image of the journal cannot be made: {problem}"))
}
