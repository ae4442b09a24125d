//! The deterministic simulator: the whole kernel in one seeded world, with the faults of its APIs, its disk and its
//! power supply as data.
//!
//! Its rule is that production and simulation differ in nothing but the `Env` of `soloist-connectors` and the journal that the
//! kernel is given. Everything runs on one thread in virtual time, so that a simulated day takes a millisecond and the same
//! [`Plan`] is the same story, to the byte.
//!
//! A [`Scenario`] says what is simulated: systems, a kernel, work, an operator, and what must hold beyond the [`INVARIANTS`].
//! A [`Plan`] says what goes wrong. [`run()`] makes an [`Outcome`] of the two.

mod check;
mod client;
mod disk;
mod hands;
mod mail;
mod operator;
mod process;
mod quiet;
mod remote;
mod report;
mod run;
mod scenario;
mod trace;
mod world;

pub mod chance;
pub mod determinism;
pub mod errands;
pub mod exhaust;
pub mod fake;
pub mod history;
pub mod model;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod orders;
pub mod outcome;
pub mod plan;
pub mod shrink;
pub mod swarm;
pub mod sweep;
pub mod testing;
pub mod thrift;
pub mod timeline;

pub use chance::Chance;
pub use check::INVARIANTS;
pub use client::Client;
pub use disk::DiskKind;
pub use fake::{Fake, Request};
pub use history::History;
pub use mail::{Accepted, Mailbox};
pub use model::{Finish, Said, ScriptedModel};
pub use operator::Operator;
pub use outcome::{Outcome, Violation};
pub use plan::Plan;
pub use process::{Process, Sdk};
pub use report::Report;
pub use run::{Options, run};
pub use scenario::{Faults, Happened, Ledger, Scenario, Systems, Webhook};
pub use soloist_sim_macros::test;
pub use trace::{Line, What};
pub use world::{Access, BEGIN, Effect, World};

/// The example of the guide is tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../../docs/simulation.md")]
struct Guide;
