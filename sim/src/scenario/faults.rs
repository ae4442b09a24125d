//! Which faults a scenario is put through.

use std::ops::RangeInclusive;

use crate::plan::{Class, Kind};

/// What may go wrong in a sweep.
#[derive(Clone, Debug)]
pub struct Faults {
    classes: Vec<Class>,
    without: Vec<String>,
    pub(crate) crashes: RangeInclusive<u32>,
}

impl Faults {
    /// Everything but an operator who says what steps come to: what is made of it is no longer what the workflow says. See
    /// [`overriding`](Self::overriding).
    #[must_use]
    pub fn all() -> Self {
        use Class::{Actor, Api, Call, Clock, Disk, Model, Operator, Process, Webhook};
        let classes = vec![Call, Model, Api, Webhook, Actor, Process, Disk, Clock, Operator];
        Self { classes, without: vec!["overrides".into()], crashes: 0..=3 }
    }

    /// Nothing: only interleavings, latencies and the operator vary.
    #[must_use]
    pub fn none() -> Self {
        Self { classes: vec![], without: vec![], crashes: 0..=0 }
    }

    /// Only faults of these classes.
    #[must_use]
    pub fn only(classes: &[Class]) -> Self {
        Self { classes: classes.to_vec(), ..Self::all() }
    }

    /// And an operator who says what steps come to.
    #[must_use]
    pub fn overriding(mut self) -> Self {
        self.without.retain(|kind| kind != "overrides");
        self
    }

    /// But not the kinds with these names: `declined`, `clock_jump`.
    #[must_use]
    pub fn except(mut self, kinds: &[&str]) -> Self {
        self.without.extend(kinds.iter().map(|kind| (*kind).to_owned()));
        self
    }

    /// So many ends of the process in each simulation.
    #[must_use]
    pub fn crashes(self, crashes: RangeInclusive<u32>) -> Self {
        Self { crashes, ..self }
    }

    /// Whether `kind` may happen.
    #[must_use]
    pub fn allows(&self, kind: &Kind) -> bool {
        self.classes.contains(&kind.class()) && !self.without.contains(&kind.name())
    }
}
