//! What was said of each write across the border: by the other side to the kernel, and by the kernel to the operator.

use std::collections::{BTreeMap, BTreeSet};

use soloist_kernel::{
    id::InboxId,
    payload::{Digest, Payload},
};

/// See the module. Writes are named by their keys.
#[derive(Debug, Default)]
pub(crate) struct Told {
    receipts: BTreeMap<String, BTreeSet<Digest>>,
    absent: BTreeSet<String>,
    shown: BTreeMap<String, BTreeSet<Digest>>,
    items: BTreeMap<InboxId, String>,
    pulls: BTreeMap<String, Pulls>,
}

/// The changes of one source.
#[derive(Debug, Default)]
struct Pulls {
    /// Handed to the kernel.
    handed: BTreeSet<String>,
    /// Those of them whose pull it has acknowledged.
    taken: BTreeSet<String>,
}

impl Told {
    /// The other side has answered an attempt or a probe of `key` with this receipt.
    pub(crate) fn receipt(&mut self, key: &str, receipt: &Payload) {
        self.receipts.entry(key.to_owned()).or_default().insert(receipt.digest());
    }

    pub(crate) fn has_receipt(&self, key: &str, receipt: &Payload) -> bool {
        self.receipts.get(key).is_some_and(|given| given.contains(&receipt.digest()))
    }

    /// A probe has proved that `key` is not there.
    pub(crate) fn absent(&mut self, key: &str) {
        self.absent.insert(key.to_owned());
    }

    pub(crate) fn is_absent(&self, key: &str) -> bool {
        self.absent.contains(key)
    }

    /// The operator has seen `key` with content of this digest.
    pub(crate) fn shown(&mut self, key: &str, content: Digest) {
        self.shown.entry(key.to_owned()).or_default().insert(content);
    }

    pub(crate) fn is_shown(&self, key: &str, content: Digest) -> bool {
        self.shown.get(key).is_some_and(|shown| shown.contains(&content))
    }

    /// The item `id` shows what has this hash. Returns what it showed before, if that was something else.
    pub(crate) fn item(&mut self, id: &InboxId, shows: Option<&str>) -> Option<String> {
        let shows = shows?;
        let before = self.items.insert(id.clone(), shows.to_owned())?;
        (before != shows).then_some(before)
    }

    /// A pull from `api` has handed over these changes.
    pub(crate) fn handed<'a>(&mut self, api: &str, changes: impl Iterator<Item = &'a str>) {
        let pulls = self.pulls.entry(api.to_owned()).or_default();
        pulls.handed.extend(changes.map(str::to_owned));
    }

    /// A pull from `api` was acknowledged, and with it everything that was handed over.
    pub(crate) fn taken(&mut self, api: &str) {
        let pulls = self.pulls.entry(api.to_owned()).or_default();
        pulls.taken.append(&mut pulls.handed);
    }

    /// A change of `api` that was taken and that `seen` does not know.
    pub(crate) fn not_seen(&self, api: &str, seen: impl Fn(&str) -> bool) -> Option<&str> {
        let taken = self.pulls.get(api)?.taken.iter();
        taken.map(String::as_str).find(|change| !seen(change))
    }
}
