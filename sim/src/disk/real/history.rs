//! What was appended, where each append ends in the write-ahead file, and which records were synced.

use soloist_kernel::journal::{
    Append, Head, Journal, Seq,
    memory::{MemoryJournal, Syncing},
};

use crate::disk::resealed;

/// All that was appended and has survived so far, over all processes.
#[derive(Default)]
pub(super) struct History {
    appends: Vec<Written>,
    /// The heads that the model has synced, oldest first. The first is that of the empty journal.
    synced: Vec<Head>,
    /// Which of them this process began with. `HEAD` was exact then.
    opened: usize,
}

/// An append in the write-ahead file.
struct Written {
    append: Append,
    /// Its last record.
    last: Seq,
    /// Where its batch ends.
    end: usize,
}

impl History {
    /// The history of a journal that ends at `head` and has none yet.
    pub(super) fn new(head: Head) -> Self {
        Self { synced: vec![head], ..Self::default() }
    }

    pub(super) fn appended(&mut self, append: Append, last: Seq, end: usize) {
        self.appends.push(Written { append, last, end });
    }

    pub(super) fn synced(&mut self, head: Head) {
        if self.synced.last() != Some(&head) {
            self.synced.push(head);
        }
    }

    /// The next process goes on after the first `count` appends, the last record of which is `head`.
    pub(super) fn continue_with(&mut self, count: usize, head: Head) {
        self.appends.truncate(count);
        self.synced(head);
        self.opened = self.synced.len() - 1;
    }

    pub(super) fn appends(&self) -> impl Iterator<Item = &Append> {
        self.appends.iter().map(|written| &written.append)
    }

    /// How many appends there are.
    pub(super) fn count(&self) -> usize {
        self.appends.len()
    }

    /// The last record.
    pub(super) fn last(&self) -> Seq {
        self.last_of(self.count())
    }

    /// Where the last batch ends.
    pub(super) fn end(&self) -> usize {
        self.end_of(self.count())
    }

    /// The last record of the first `count` appends.
    pub(super) fn last_of(&self, count: usize) -> Seq {
        count.checked_sub(1).map_or(Seq(0), |index| self.appends[index].last)
    }

    /// Where the first `count` appends end.
    pub(super) fn end_of(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |index| self.appends[index].end)
    }

    /// How many appends it takes to record `seq`, if one of them ends with it.
    pub(super) fn count_to(&self, seq: Seq) -> Option<usize> {
        (0..=self.count()).rev().find(|count| self.last_of(*count) == seq)
    }

    /// How many whole appends there are in the first `bytes` of the write-ahead file.
    pub(super) fn count_within(&self, bytes: usize) -> usize {
        self.appends.iter().take_while(|written| written.end <= bytes).count()
    }

    /// What `HEAD` may say: that with which the process began, or any that it has synced since.
    pub(super) fn heads(&self) -> &[Head] {
        &self.synced[self.opened..]
    }

    /// All heads that were ever synced.
    pub(super) fn heads_ever(&self) -> &[Head] {
        &self.synced
    }

    /// What the journal held after its first `count` appends.
    pub(super) fn replayed(&self, count: usize) -> MemoryJournal {
        let journal = MemoryJournal::new(Syncing::Auto);
        for append in self.appends().take(count) {
            let append = resealed(&journal, append.clone());
            let again = append
                .and_then(|append| journal.append(append).map_err(|problem| problem.to_string()));
            again.expect("the same append was taken in the same place before");
        }
        journal.sync_now();
        journal
    }
}
