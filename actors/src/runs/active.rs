//! The runs that are active, as their supervisor keeps them and the tree shows them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use soloist_kernel::{
    id::RunId,
    mutant::{Mutant, planted},
};

use crate::{
    actor::Address,
    run::{self, Asked},
    tree::{Tells, TreeNode},
};

/// The runs that are active. Their supervisor alone changes it; whoever looks at the tree reads it.
#[derive(Default)]
pub(super) struct Actives(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    runs: BTreeMap<RunId, Address<run::Message>>,
    by_number: BTreeMap<u64, RunId>,
}

impl Actives {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("keeping the active runs does not panic")
    }

    pub(super) fn len(&self) -> usize {
        self.inner().runs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn ids(&self) -> Vec<RunId> {
        self.inner().runs.keys().cloned().collect()
    }

    pub(super) fn contains(&self, run: &RunId) -> bool {
        self.inner().runs.contains_key(run)
    }

    pub(super) fn insert(&self, run: RunId, actor: Address<run::Message>) {
        let mut inner = self.inner();
        inner.by_number.insert(actor.number(), run.clone());
        inner.runs.insert(run, actor);
    }

    /// Delivers to a run that is active. A dead actor's message is lost with its reply, which tells the caller; the restart
    /// follows.
    pub(super) fn deliver(&self, run: &RunId, asked: Asked) {
        if let Some(actor) = self.inner().runs.get(run) {
            let _ = actor.send(run::Message::Asked(asked));
        }
    }

    /// Lets the actor of `run` leave, unless anything was sent to it that it had not `seen` when it asked: from outside, or by
    /// its own timers, which may set it going again.
    pub(super) fn rest(&self, run: &RunId, seen: usize) {
        let mut inner = self.inner();
        let has_seen_all = |actor: &&Address<run::Message>| {
            actor.mailbox().sent() == seen || planted(Mutant::LeavesUnseen)
        };
        if let Some(actor) = inner.runs.get(run).filter(has_seen_all) {
            actor.stop();
            let number = actor.number();
            inner.by_number.remove(&number);
            inner.runs.remove(run);
        }
    }

    pub(super) fn kill(&self, run: &RunId) {
        if let Some(actor) = self.inner().runs.get(run) {
            actor.cell().kill();
        }
    }

    /// Forgets the run whose actor has ended, and tells what that was doing.
    pub(super) fn forget(&self, number: u64) -> Option<(RunId, Option<&'static str>)> {
        let mut inner = self.inner();
        let run = inner.by_number.remove(&number)?;
        let actor = inner.runs.remove(&run)?;
        Some((run, actor.mailbox().work()))
    }
}

impl Tells for Actives {
    fn members(&self, limit: usize) -> Option<(usize, Vec<TreeNode>)> {
        let inner = self.inner();
        let shown = inner.runs.iter().take(limit).map(|(run, actor)| {
            let mailbox = actor.mailbox();
            let work = mailbox.work().map(str::to_owned);
            TreeNode::member(run.to_string(), "running", mailbox.depth(), work)
        });
        Some((inner.runs.len(), shown.collect()))
    }
}
