//! One opener at a time.
//!
//! The operating system holds the lock and drops it with the process, so a crash leaves none behind. The file also holds
//! the owner's process id, for the message that the second opener gets.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

/// Held while the journal is open.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another opener has it; its process id, if it is known.
    Held(Option<u32>),
    Io(io::Error),
}

/// Takes the lock of the journal in `dir`.
pub(super) fn acquire(dir: &Path) -> Result<Lock, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(dir.join("LOCK")).map_err(LockError::Io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid).ok();
            return Err(LockError::Held(read.and_then(|_| pid.trim().parse().ok())));
        }
        Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(LockError::Io)?;
    Ok(Lock(file))
}
