//! The thread that copies what is to be archived: one for each segment, as long as that takes.
//!
//! It reads beside the writer, which goes on meanwhile. What it must not miss is what was appended before it began, so that
//! is waited for; what is appended later is told apart when the segment is (`writer.rs`).

use std::sync::{Arc, PoisonError, mpsc};

use super::{FjallJournal, Shared};
use crate::journal::{
    ReadError, Seq, Stopped, StreamSeq,
    archive::{self, SealError, Sealed, Segment, Selection, Work},
};

impl FjallJournal {
    /// Sets `work` going, which copies what is committed once everything up to `last` is.
    pub(super) fn sealing(&self, work: Work, last: Seq) {
        let Work { of, ticket, done } = work;
        // Held by both, so that whoever fails can tell.
        let (hand, taken) = mpsc::channel::<Sealed>();
        let shared = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new().name("soloist:archive".to_owned());
        let thread = builder.spawn(move || {
            let sealed = shared.sealed(of, ticket, last);
            drop(shared);
            if let Ok(done) = taken.recv() {
                done(sealed);
            }
        });
        match thread {
            Ok(thread) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                drop(threads);
                // It waits for this, and is gone only if it panicked.
                let _ = hand.send(done);
            }
            Err(error) => {
                let problem = format!("no thread could be started: {error}");
                done(Err(SealError::Write { file: "of the archive".to_owned(), problem }));
            }
        }
    }
}

impl Shared {
    fn sealed(&self, of: Selection, ticket: u64, last: Seq) -> Result<Segment, SealError> {
        let (told, heard) = mpsc::channel();
        self.queue.sync(last, Box::new(move |answer| drop(told.send(answer))));
        let lost = |_| Err(Stopped { reason: "the writer is gone".into() });
        heard.recv().unwrap_or_else(lost)?;
        let before = self.last_sealed()?;
        archive::seal(&self.store, &self.archive, of, before.as_ref(), ticket)
    }

    fn last_sealed(&self) -> Result<Option<archive::SealedSegment>, ReadError> {
        let stream = archive::stream();
        let Some(head) = self.store.head(&stream)? else { return Ok(None) };
        let after = StreamSeq(head.stream_seq.0.saturating_sub(1));
        let last = self.store.stream(&self.archive, &stream, after)?;
        last.last().map(archive::read_sealed).transpose()
    }
}
