//! A small company in a box: customer records, invoices, payments, a website and a model, kept in a directory or in memory.
//!
//! Its rule: **the systems are toys and their promises are real**. Each has the write semantics of a system one meets
//! outside (see [`world`]), a write is there whole or not at all when the process is killed, and every write that was
//! accepted is on a list, so that a test can say that none was made twice. Workflows run end to end against it with nothing
//! outside; [`SandboxWorld::fail_next`] makes a call fail the way networks do.
//!
//! [`world`] is the way in, and `store.rs` its records. `connector.rs` is what the systems have in common; each has a file
//! that holds its records and what may be done to them: `crm.rs`, `billing.rs`, `payments.rs`, `cms.rs`, `model.rs`.

pub mod world;

mod connector;
mod faults;
mod sample;
mod store;
mod system;

mod billing;
mod cms;
mod crm;
mod model;
mod payments;

pub use connector::SandboxConnector;
pub use faults::How;
pub use store::AppliedWrite;
pub use world::SandboxWorld;

#[cfg(test)]
mod killed;
#[cfg(test)]
mod tests;
