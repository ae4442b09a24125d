//! Writes that are being attempted, and what each identity has come with.

use std::collections::BTreeMap;

use soloist_kernel::payload::Digest;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    attempts: BTreeMap<String, u32>,
    payloads: BTreeMap<String, Digest>,
}

impl UnderWay {
    /// An attempt of `key` leaves with a plan of this digest, and may have `happened` before. Returns which invariant that
    /// breaks.
    pub(crate) fn leaves(
        &mut self,
        key: &str,
        digest: Digest,
        happened: bool,
    ) -> Option<(&'static str, String)> {
        let under_way = self.attempts.entry(key.to_owned()).or_default();
        *under_way += 1;
        if *under_way > 1 {
            return Some(("one-attempt", format!("{key} is attempted twice at once")));
        }
        let last = self.payloads.insert(key.to_owned(), digest);
        let changed = || ("key-one-payload", format!("{key} comes with other content than before"));
        // What certainly did not happen may be proposed anew.
        (happened && last != Some(digest)).then(changed)
    }

    pub(crate) fn ended(&mut self, key: &str) {
        if let Some(count) = self.attempts.get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }

    pub(crate) fn is_under_way(&self, key: &str) -> bool {
        self.attempts.get(key).is_some_and(|count| *count > 0)
    }

    /// The process is over, and with it what it had under way.
    pub(super) fn end_all(&mut self) {
        self.attempts.clear();
    }
}
