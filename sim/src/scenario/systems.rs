//! The systems of a simulation, and the connectors to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use soloist_connectors::Connector;

/// Something that a system did, as it counts it itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// What it did: `payments.charge`.
    pub operation: String,
    /// The identity that it came with.
    pub key: String,
    /// What it was.
    pub detail: Value,
}

/// What a system did since it was last asked.
pub type Ledger = Arc<dyn Fn() -> Vec<Happened> + Send + Sync>;

/// Makes the connector of a process.
pub(crate) type MakeConnector = Arc<dyn Fn() -> Arc<dyn Connector> + Send + Sync>;

/// What is odd about the answers of a system although nothing goes wrong. Operations by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// What is done at the first attempt, which is never answered.
    pub(crate) mute: BTreeSet<String>,
    /// What is done at once, and answered so much later.
    pub(crate) slow: BTreeMap<String, Duration>,
}

/// Connectors by the name they are mounted under. The systems that they lead to outlive the kernel's processes.
#[derive(Clone, Default)]
pub struct Systems {
    pub(crate) connectors: BTreeMap<String, MakeConnector>,
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    pub(crate) answers: BTreeMap<String, Answers>,
    pub(crate) servers: BTreeMap<String, crate::mail::Mailbox>,
}

impl Systems {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And a connector, made anew for each process.
    #[must_use]
    pub fn connector(
        mut self,
        name: &str,
        make: impl Fn() -> Arc<dyn Connector> + Send + Sync + 'static,
    ) -> Self {
        self.connectors.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// And what the system of connector `name` counts. Asked after each call to it.
    #[must_use]
    pub fn ledger(
        mut self,
        name: &str,
        ledger: impl Fn() -> Vec<Happened> + Send + Sync + 'static,
    ) -> Self {
        self.ledgers.insert(name.to_owned(), Arc::new(ledger));
        self
    }

    /// And what is odd about the answers of the system of connector `name`.
    #[must_use]
    pub(crate) fn answering(mut self, name: &str, answers: Answers) -> Self {
        self.answers.insert(name.to_owned(), answers);
        self
    }

    /// And a mail server at `host`, to which SMTP is spoken over a simulated wire.
    #[must_use]
    pub fn mail_server(mut self, host: &str, mailbox: crate::mail::Mailbox) -> Self {
        self.servers.insert(host.to_owned(), mailbox);
        self
    }

    /// All of these and all of those.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.connectors.extend(other.connectors);
        self.ledgers.extend(other.ledgers);
        self.answers.extend(other.answers);
        self.servers.extend(other.servers);
        self
    }
}
