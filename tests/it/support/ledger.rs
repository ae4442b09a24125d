//! The ledger: what the journal says of every effect, to be held against what the outside has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use soloist::id::{EffectId, RunId};

use super::{Company, company::text};

/// The idempotency key of the answer that `run` sends.
pub(crate) fn key(run: &str) -> String {
    let effect = EffectId {
        run: RunId::new(run).expect("the journal holds run ids"),
        step: "send".parse().expect("it is a name"),
        name: "call".parse().expect("it is a name"),
        occurrence: 0,
    };
    effect.key().to_string()
}

/// What the journal says. Each effect is in one place or nowhere.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) runs: usize,
    pub(crate) quarantined: usize,
    /// Effects that landed.
    pub(crate) landed: BTreeSet<String>,
    /// Effects that may have happened, with their inbox items.
    pub(crate) ambiguous: BTreeMap<String, String>,
}

impl Ledger {
    /// Reads the ledger, and checks that every run is over, or waits with an inbox item.
    #[track_caller]
    pub(crate) fn read(company: &Company) -> Self {
        let list = |what: [&str; 2]| company.ask(&what).as_array().expect("it is a list").clone();
        let (runs, inbox) = (list(["run", "list"]), list(["inbox", "list"]));
        let mut items: BTreeMap<String, Value> = BTreeMap::new();
        for item in inbox {
            let before = items.insert(text(&item["run"]), item);
            assert!(before.is_none(), "a run of this workflow waits for one thing: {before:?}");
        }
        let (mut landed, mut ambiguous) = (BTreeSet::new(), BTreeMap::new());
        for run in &runs {
            let (id, item) = (text(&run["run"]), items.remove(&text(&run["run"])));
            let key = key(&id);
            match (run["status"].as_str(), run["writes_landed"].as_u64(), item) {
                (Some("completed"), Some(0), None) => {}
                (Some("completed"), Some(1), None) => assert!(landed.insert(key)),
                (Some("waiting"), Some(0), Some(item)) if item["kind"] == "ambiguous" => {
                    assert!(ambiguous.insert(key, text(&item["id"])).is_none());
                }
                (Some("waiting"), Some(0), Some(item)) if item["kind"] == "approval" => {}
                (_, _, item) => panic!("this is no rest: {run}, with item {item:?}"),
            }
        }
        assert!(items.is_empty(), "items of no run: {items:?}");
        let quarantined = list(["quarantine", "list"]).len();
        Self { runs: runs.len(), quarantined, landed, ambiguous }
    }

    /// Holds the ledger against what arrived: what landed arrived once, what is ambiguous at most once, nothing else did.
    #[track_caller]
    pub(crate) fn check_against(&self, arrived: &BTreeMap<String, usize>) {
        for (key, times) in arrived {
            assert_eq!(*times, 1, "effect {key} arrived {times} times");
            let known = self.landed.contains(key) || self.ambiguous.contains_key(key);
            assert!(known, "effect {key} arrived, and the journal neither says nor doubts it");
        }
        for key in &self.landed {
            assert!(arrived.contains_key(key), "effect {key} landed, says the journal: it did not");
            assert!(!self.ambiguous.contains_key(key), "effect {key} landed and is in doubt");
        }
    }
}

/// Checks the journal's chain and the data directory.
#[track_caller]
pub(crate) fn check_journal(company: &Company) {
    assert_eq!(company.ask(&["audit", "verify"])["ok"], true);
    assert_eq!(company.ask(&["doctor"])["ok"], true);
}
