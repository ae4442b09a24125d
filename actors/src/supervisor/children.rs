//! The children of a supervisor, in the order they start, found by their place, their name or their actor.
//!
//! There may be very many of them, so finding one, adding one and forgetting one do not look at the others.

use std::collections::BTreeMap;

use super::{
    spec::{Living, Spec},
    strategy::Child as Seen,
};
use crate::tree::Place;

/// Children by the number of their place. Places are made in the order in which children start, and their numbers grow.
#[derive(Default)]
pub(super) struct Children {
    all: BTreeMap<u64, Child>,
    by_name: BTreeMap<String, u64>,
    by_actor: BTreeMap<u64, u64>,
}

pub(super) struct Child {
    pub(super) spec: Spec,
    pub(super) place: Place,
    living: Option<Living>,
}

impl Children {
    /// Takes in the last in order, which does not live yet.
    pub(super) fn adopt(&mut self, spec: Spec, place: Place) -> u64 {
        let id = place.id();
        self.by_name.insert(spec.name.clone(), id);
        self.all.insert(id, Child { spec, place, living: None });
        id
    }

    pub(super) fn get(&self, id: u64) -> Option<&Child> {
        self.all.get(&id)
    }

    /// All of them, in order.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    pub(super) fn named(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).copied()
    }

    /// The child whose living actor has this number. One that was stopped on purpose is no longer in its place.
    pub(super) fn of_actor(&self, number: u64) -> Option<u64> {
        self.by_actor.get(&number).copied()
    }

    /// A child has started.
    pub(super) fn lives(&mut self, id: u64, living: Living) {
        if let Some(child) = self.all.get_mut(&id) {
            child.place.started(living.cell.clone(), living.mailbox.clone());
            self.by_actor.insert(living.cell.get_id().pid(), id);
            child.living = Some(living);
        }
    }

    /// A child no longer lives, or will not in a moment. Gives what lived.
    pub(super) fn take_living(&mut self, id: u64) -> Option<Living> {
        let living = self.all.get_mut(&id)?.living.take()?;
        self.by_actor.remove(&living.cell.get_id().pid());
        Some(living)
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.take_living(id);
        let Some(child) = self.all.remove(&id) else { return };
        if self.named(&child.spec.name) == Some(id) {
            self.by_name.remove(&child.spec.name);
        }
    }
}

impl Child {
    pub(super) fn is_living(&self) -> bool {
        self.living.is_some()
    }

    /// As the strategy sees it.
    pub(super) fn seen(&self) -> Seen {
        let Spec { restart, significant, .. } = self.spec;
        Seen { restart, significant, living: self.is_living() }
    }
}
