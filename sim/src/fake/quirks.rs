//! What is odd about an API: what it does beside what it promises, so that a kernel can be seen to bear it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use soloist_connectors::Connector;

use super::Fake;
use crate::scenario::{Answers, Systems};

/// What an API sends along with a write, from its state and the arguments.
type Along<S> = Arc<dyn Fn(&mut S, &Value) -> Value + Send + Sync>;

/// What is new at an API: the identity of each change, and what it says.
type Changes<S> = Arc<dyn Fn(&S) -> Vec<(String, Value)> + Send + Sync>;

/// See the module. Operations by their names.
pub(super) struct Quirks<S> {
    /// How many attempts of a write are answered with an error before one is heard.
    pub(super) flaky: BTreeMap<String, u32>,
    /// Cannot tell at the first probe.
    pub(super) vague: BTreeSet<String>,
    /// What is odd about its answers.
    answers: Answers,
    pub(super) along: BTreeMap<String, Along<S>>,
    pub(super) changes: Option<Changes<S>>,
}

impl<S> Default for Quirks<S> {
    fn default() -> Self {
        Self {
            flaky: BTreeMap::new(),
            vague: BTreeSet::new(),
            answers: Answers::default(),
            along: BTreeMap::new(),
            changes: None,
        }
    }
}

impl<S> Clone for Quirks<S> {
    fn clone(&self) -> Self {
        let Self { flaky, vague, answers, along, changes } = self;
        Self {
            flaky: flaky.clone(),
            vague: vague.clone(),
            answers: answers.clone(),
            along: along.clone(),
            changes: changes.clone(),
        }
    }
}

impl<S: Send + 'static> Fake<S> {
    /// Mounts it as connector `name`: with [`Scenario::systems`](crate::Scenario::systems), where one that looks at the world is
    /// made.
    #[must_use]
    pub fn mounted(self, systems: Systems, name: &str) -> Systems {
        let fake = self.named(name);
        let (ledger, answers) = (fake.clone(), fake.quirks.answers.clone());
        systems
            .answering(name, answers)
            .connector(name, move || Arc::new(fake.clone()) as Arc<dyn Connector>)
            .ledger(name, move || ledger.drained())
    }

    /// It takes so many calls at once.
    #[must_use]
    pub fn at_once(mut self, calls: usize) -> Self {
        self.manifest.concurrency_max = calls;
        self
    }

    /// It answers the first `attempts` of each `operation` with an error of its own, and does nothing.
    #[must_use]
    pub fn flaky(mut self, operation: &str, attempts: u32) -> Self {
        self.quirks.flaky.insert(operation.to_owned(), attempts);
        self
    }

    /// It does `operation` at the first attempt, and never answers that.
    #[must_use]
    pub fn mute(mut self, operation: &str) -> Self {
        self.quirks.answers.mute.insert(operation.to_owned());
        self
    }

    /// Asked for the first time what became of an `operation`, it cannot tell.
    #[must_use]
    pub fn vague(mut self, operation: &str) -> Self {
        self.quirks.vague.insert(operation.to_owned());
        self
    }

    /// It does `operation` at once, and takes so long to say so.
    #[must_use]
    pub fn slow(mut self, operation: &str, time: Duration) -> Self {
        self.quirks.answers.slow.insert(operation.to_owned(), time);
        self
    }

    /// Beside its arguments, `operation` sends what `along` says when it is planned: as a connector does that fills in a
    /// template. It may panic, as a connector may that has a bug.
    #[must_use]
    pub fn sends_along(
        mut self,
        operation: &str,
        along: impl Fn(&mut S, &Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.quirks.along.insert(operation.to_owned(), Arc::new(along));
        self
    }

    /// What is new there: the identity of each change, and what it says.
    #[must_use]
    pub fn changes(
        mut self,
        changes: impl Fn(&S) -> Vec<(String, Value)> + Send + Sync + 'static,
    ) -> Self {
        self.quirks.changes = Some(Arc::new(changes));
        self
    }
}
