//! Appending to the journal from async code.
//!
//! Many runs wait for the same fsync. The journal's thread tells one task, the notifier, and that wakes the others from
//! inside the runtime: waking each from a foreign thread would cost a lock and a system call apiece.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use soloist_connectors::Env;
use soloist_kernel::journal::{Append, AppendError, Journal, Seq, Stopped};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// Wait before an append that found the journal full is tried again. The journal drains at tens of megabytes a second, so a
/// full queue has room again within a fraction of a second.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// The journal, for those who append.
pub(crate) struct Log {
    env: Env,
    journal: Arc<dyn Journal>,
    shared: Arc<Shared>,
}

/// Wakes those who wait, for as long as it is held. There is one at a time.
pub(crate) struct Notifier(JoinHandle<()>);

#[derive(Default)]
struct Shared {
    /// Told by the journal's thread when something was synced.
    synced: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// In no order; a group has some hundreds.
    waiters: Vec<(Seq, oneshot::Sender<Result<(), Stopped>>)>,
    stopped: Option<Stopped>,
}

impl Log {
    pub(crate) fn new(env: Env, journal: Arc<dyn Journal>) -> Self {
        Self { env, journal, shared: Arc::default() }
    }

    /// Begins to wake those who wait, also those who began to wait before.
    pub(crate) fn notifier(&self) -> Notifier {
        self.shared.synced.notify_one();
        Notifier(tokio::spawn(notify(self.journal.clone(), self.shared.clone())))
    }

    /// Appends in order: the place is fixed, and the fsync follows within milliseconds. Waits while the journal is full.
    pub(crate) async fn ordered(&self, append: Append) -> Result<Seq, AppendError> {
        self.env.perturb().await;
        match self.journal.append(append) {
            Err(AppendError::Busy { append }) => self.when_there_is_room(*append).await,
            result => result,
        }
    }

    async fn when_there_is_room(&self, mut append: Append) -> Result<Seq, AppendError> {
        loop {
            tokio::time::sleep(BUSY_WAIT).await;
            match self.journal.append(append) {
                Err(AppendError::Busy { append: back }) => append = *back,
                result => return result,
            }
        }
    }

    /// Appends, and returns once it is fsynced.
    pub(crate) async fn durable(&self, append: Append) -> Result<Seq, AppendError> {
        let seq = self.ordered(append).await?;
        self.synced(seq).await?;
        Ok(seq)
    }

    /// Returns once everything up to `seq` is fsynced.
    pub(crate) async fn synced(&self, seq: Seq) -> Result<(), Stopped> {
        let (done, answer) = oneshot::channel();
        self.shared.waiting().waiters.push((seq, done));
        // Asked for after the waiter is in place, so that the notifier cannot look before it is.
        let shared = self.shared.clone();
        self.journal.sync(seq, Box::new(move |result| shared.told(result)));
        answer.await.unwrap_or_else(|_| Err(Stopped { reason: "the kernel was dropped".into() }))
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("waiting does not panic")
    }

    /// Something was synced, or never will be.
    fn told(&self, result: Result<(), Stopped>) {
        if let Err(stopped) = result {
            self.waiting().stopped.get_or_insert(stopped);
        }
        self.synced.notify_one();
    }
}

/// Wakes those whose records are synced, each time the journal tells.
async fn notify(journal: Arc<dyn Journal>, shared: Arc<Shared>) {
    loop {
        shared.synced.notified().await;
        let synced = journal.head().seq;
        let (stopped, told) = {
            let mut waiting = shared.waiting();
            let stopped = waiting.stopped.clone();
            let all = std::mem::take(&mut waiting.waiters);
            let (told, still): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(seq, _)| *seq <= synced || stopped.is_some());
            waiting.waiters = still;
            (stopped, told)
        };
        for (seq, waiter) in told {
            let answer = match &stopped {
                Some(stopped) if seq > synced => Err(stopped.clone()),
                _ => Ok(()),
            };
            let _ = waiter.send(answer);
        }
    }
}
