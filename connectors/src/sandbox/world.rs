//! The box as a whole: open it, take its connectors, break a call, count what was written.
//!
//! | system | write | semantics | taken back by |
//! |---|---|---|---|
//! | crm | `note` | `NaturalKey`: the note's id is made of the idempotency key | `delete_note` (undo) |
//! | crm | `update_stage` | `Conditional` on the contact's version | `restore_stage` (counter) |
//! | billing | `create_invoice` | `NaturalKey`: so is the invoice's number | `cancel_invoice` (counter) |
//! | payments | `charge` | `Keyed` for a day | `refund` (counter) |
//! | cms | `create_draft` | `NaturalKey` | `delete_draft` (undo) |
//! | cms | `publish` | `Searchable`, and the search lags behind | `unpublish` (undo) |
//! | model | none: it is asked, and answers | | |

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use soloist_kernel::{catalog::Operation, fault::Fault, id::OperationName};

use super::{
    billing::Billing,
    cms::Cms,
    connector::SandboxConnector,
    crm::Crm,
    faults::{Faults, How, Injected},
    model::Model,
    payments::Payments,
    sample,
    store::{AppliedWrite, Store},
    system::{System, name as name_of},
};

/// The systems of the box.
static SYSTEMS: [&dyn System; 5] = [&Crm, &Billing, &Payments, &Cms, &Model];

/// A company in a directory or in memory. Cloning it is cheap, and a clone is the same world with the same faults to come;
/// another process that opens the directory sees the same records.
#[derive(Clone, Debug)]
pub struct SandboxWorld {
    store: Store,
    faults: Faults,
}

impl SandboxWorld {
    /// The world in `folder`, which is made if it does not exist. It has no records until someone puts them there:
    /// [`seed_sample`](Self::seed_sample), a connector, or a person with an editor.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the folder, if it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Fault> {
        let collections = SYSTEMS.iter().flat_map(|system| system.collections());
        let store = Store::open(folder.into(), collections.copied())?;
        Ok(Self { store, faults: Faults::default() })
    }

    /// A world in memory, without records: for tests and simulations, which make many. It behaves as one in a directory does
    /// and is gone with its last clone and connector.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { store: Store::in_memory(), faults: Faults::default() }
    }

    /// What each of the systems declares, by its name: what workflows are checked against. Nothing is opened for it.
    #[must_use]
    pub fn operations() -> BTreeMap<&'static str, BTreeMap<OperationName, Operation>> {
        let declared = |system: &&'static dyn System| {
            let operations = system.operations().into_iter();
            (system.name(), operations.map(|(name, declared)| (name_of(name), declared)).collect())
        };
        SYSTEMS.iter().map(declared).collect()
    }

    /// The customer records: contacts, their stages and notes about them.
    #[must_use]
    pub fn crm(&self) -> SandboxConnector {
        self.connector(&Crm)
    }

    /// The invoices.
    #[must_use]
    pub fn billing(&self) -> SandboxConnector {
        self.connector(&Billing)
    }

    /// The payment provider. Its settled payments arrive as changes.
    #[must_use]
    pub fn payments(&self) -> SandboxConnector {
        self.connector(&Payments)
    }

    /// The website: drafts and published articles.
    #[must_use]
    pub fn cms(&self) -> SandboxConnector {
        self.connector(&Cms)
    }

    /// The model: a toy that scores by counting words. What it says is untrusted.
    #[must_use]
    pub fn model(&self) -> SandboxConnector {
        self.connector(&Model)
    }

    fn connector(&self, system: &'static dyn System) -> SandboxConnector {
        SandboxConnector::new(system, self.store.clone(), self.faults.clone())
    }

    /// Puts a sample company into a world without records: nine contacts, one of them with an overdue invoice, accounts
    /// that can be charged and one that declines, and an article. Returns whether it did.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the file that cannot be written. Nothing is there then, or everything.
    pub fn seed_sample(&self) -> Result<bool, Fault> {
        let mut records = self.store.lock()?;
        if !records.all()?.is_empty() {
            return Ok(false);
        }
        records.commit(None, sample::records())?;
        Ok(true)
    }

    /// Makes the next call of `operation`, such as `payments.charge`, end as `how` says. Each is used once, in the order in
    /// which they were asked for, and only by connectors of this world and its clones.
    ///
    /// # Panics
    ///
    /// If there is no such operation: the test that asks for it would prove nothing.
    pub fn fail_next(&self, operation: &str, how: How) {
        self.inject(operation, Injected::Fails(how));
    }

    /// Makes the next call of `operation` do its work and never answer.
    ///
    /// # Panics
    ///
    /// If there is no such operation.
    pub fn hang_next(&self, operation: &str) {
        self.inject(operation, Injected::Hangs);
    }

    fn inject(&self, operation: &str, injected: Injected) {
        let exists = operation.split_once('.').is_some_and(|(name, operation)| {
            SYSTEMS.iter().any(|system| {
                system.name() == name
                    && system.operations().iter().any(|(known, _)| *known == operation)
            })
        });
        assert!(
            exists,
            "the sandbox has no operation `{operation}`; write it as `payments.charge`"
        );
        self.faults.inject(operation, injected);
    }

    /// Every write that was accepted, oldest first. A repetition that had no effect is not among them.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the file that cannot be read.
    pub fn writes(&self) -> Result<Vec<AppliedWrite>, Fault> {
        self.writes_after(0)
    }

    /// The accepted writes from index `count` on, oldest first: what is new to someone who has seen `count` of them.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the file that cannot be read.
    pub fn writes_after(&self, count: usize) -> Result<Vec<AppliedWrite>, Fault> {
        self.store.lock()?.writes_after(count)
    }

    /// Every record by its file, such as `crm/contacts/mara@harbourbakery.example`.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that names the file that cannot be read.
    pub fn records(&self) -> Result<BTreeMap<String, Value>, Fault> {
        self.store.lock()?.all()
    }
}
