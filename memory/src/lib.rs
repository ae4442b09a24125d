//! What the company knows: facts with provenance, and who is who.
//!
//! Its rule: **a fact is never overwritten, only superseded, and it always says where it comes from**. Facts are a
//! projection of the journal: asserting one is a record of the `memory` stream, and the current value, the history and the
//! index by effect are written in the same batch. Everything here is pure but for reads through the
//! [`Journal`](soloist_kernel::journal::Journal); `soloist-actors` has the one actor that appends.
//!
//! [`fact`] is what is known, [`identity`] is about whom, [`mod@assert`] decides what an assertion writes, [`recall`] reads,
//! [`similar`] finds what is like something.

pub mod assert;
pub mod fact;
pub mod identity;
pub mod recall;
pub mod similar;

pub use assert::{Asserted, Assertion, AssertionError, Decided, asserted, decide};
pub use fact::{Fact, Provenance};
pub use identity::entity;
pub use recall::Memory;

/// The stream of the journal that holds what was asserted.
pub const STREAM: &str = "memory";
