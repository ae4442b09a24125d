//! The thread that keeps `HEAD` a few milliseconds behind the fsyncs.
//!
//! Writing the anchor costs two fsyncs, so it is not done for each group: only the newest head counts, and at most one is
//! written per interval. When nothing moves the thread sleeps without a timeout.

use std::{
    io,
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use crate::journal::{Head, head};

/// Where the head is, for the thread that writes it down.
pub(super) struct Anchor {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    head: Head,
    finish: bool,
    /// The thread waits for the head to move, rather than for the interval to pass. Waking it then would be for nothing.
    idle: bool,
}

impl Anchor {
    pub(super) fn new(head: Head) -> Self {
        Self {
            state: Mutex::new(State { head, finish: false, idle: false }),
            moved: Condvar::new(),
        }
    }

    /// The journal is synced up to `head`.
    pub(super) fn move_to(&self, head: Head) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.head = head;
        if state.idle {
            self.moved.notify_one();
        }
    }

    /// The head will not move again: write it down and end.
    pub(super) fn finish(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).finish = true;
        self.moved.notify_one();
    }

    /// Writes heads down until [`Anchor::finish`]. `written` is what the file says now.
    pub(super) fn run(&self, dir: &Path, interval: Duration, mut written: Head) -> io::Result<()> {
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.idle = true;
            let still = |state: &mut State| state.head == written && !state.finish;
            let mut state =
                self.moved.wait_while(state, still).unwrap_or_else(PoisonError::into_inner);
            state.idle = false;
            let (target, finish) = (state.head, state.finish);
            drop(state);
            if target != written {
                head::write(dir, &target)?;
                written = target;
            }
            if finish {
                return Ok(());
            }
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = self.moved.wait_timeout_while(state, interval, |state| !state.finish);
            drop(pause.unwrap_or_else(PoisonError::into_inner));
        }
    }
}
