//! Bare fjall with group commit: the limit of what any journal over it can do.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::sync::oneshot;

/// Appends that may wait for the writer.
const QUEUE_MAX: usize = 4096;

struct Append {
    records: usize,
    record_bytes: usize,
    done: oneshot::Sender<()>,
}

/// A writer thread over a keyspace. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Bare {
    queue: Arc<SyncSender<Append>>,
}

impl Bare {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let database =
            Database::builder(path).worker_threads(1).open().map_err(|error| error.to_string())?;
        let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
        let keyspace = database.keyspace("records", options).map_err(|error| error.to_string())?;
        let (queue, appends) = sync_channel(QUEUE_MAX);
        std::thread::spawn(move || write(&database, &keyspace, &appends));
        Ok(Self { queue: Arc::new(queue) })
    }

    /// Appends `records` records of `record_bytes` bytes, and returns once they are fsynced.
    pub(super) async fn append(&self, records: usize, record_bytes: usize) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        self.queue
            .send(Append { records, record_bytes, done })
            .map_err(|error| error.to_string())?;
        answer.await.map_err(|_| "the writer failed".into())
    }
}

fn write(database: &Database, keyspace: &Keyspace, appends: &Receiver<Append>) {
    let mut seq = 0u64;
    let mut bytes = vec![0u8; 64 << 10];
    // Bytes that do not compress, as a journal's hashes do not.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for part in bytes.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        part.copy_from_slice(&state.to_le_bytes());
    }
    while let Ok(first) = appends.recv() {
        let group: Vec<Append> = std::iter::once(first).chain(appends.try_iter()).collect();
        let mut batch = database.batch();
        for append in &group {
            for _ in 0..append.records {
                seq += 1;
                let from = (seq as usize * 61) % 1024;
                let end = (from + append.record_bytes).min(bytes.len());
                batch.insert(keyspace, seq.to_be_bytes(), &bytes[from..end]);
            }
        }
        let written = batch.durability(Some(PersistMode::SyncAll)).commit();
        if written.is_err() {
            return;
        }
        for append in group {
            let _ = append.done.send(());
        }
    }
}
