//! What a simulation came to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{plan::Plan, trace::Line};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Its name, as `soloist sim explain` knows it: `effect-once`.
    pub invariant: String,
    /// What was seen instead.
    pub what: String,
    /// When, in milliseconds of virtual time.
    pub at_ms: u64,
    /// In which process.
    pub epoch: u32,
}

/// What happened in a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The plan that was simulated.
    pub plan: Plan,
    /// What did not hold; nothing, if all is well.
    pub violations: Vec<Violation>,
    /// How many of the plan's faults happened. A plan that was made for other code may no longer meet all its triggers.
    pub fired: usize,
    /// How often a fault met a state: `lost_after × execute`.
    pub coverage: BTreeMap<String, u64>,
    /// Which of the scenario's sometimes-assertions held.
    pub sometimes: BTreeMap<String, bool>,
    /// Processes that it took.
    pub epochs: u32,
    /// Virtual time that passed.
    pub virtual_ms: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// The hash of the trace.
    #[serde(serialize_with = "hex")]
    pub hash: u64,
    /// The hash of the order in which messages were handled.
    #[serde(serialize_with = "hex")]
    pub interleaving: u64,
    /// Runs that there were.
    pub runs: usize,
    /// Runs that wait for the operator at the end, because he does not know either.
    pub parked: usize,
    /// Calls that left.
    pub calls: BTreeMap<String, u32>,
    /// Appends to the journal.
    pub appends: u32,
    /// Points where others could run first.
    pub points: u64,
    /// Effects in the world.
    pub effects: u32,
    /// Decisions of the operator.
    pub decisions: u32,
    /// Deliveries of webhooks.
    pub webhooks: u32,
    /// The actors that there were at rest, by their paths beneath the root, and whether each comes back when it is stopped.
    pub actors: Vec<(String, bool)>,
    /// How often what sometimes-assertions ask for was seen.
    pub seen: BTreeMap<String, u64>,
    /// The trace, if it was kept.
    #[serde(skip)]
    pub trace: Vec<Line>,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.violations.is_empty()
    }

    /// The first invariant that did not hold.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.violations.first().map(|violation| &*violation.invariant)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn hex<S: serde::Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}
