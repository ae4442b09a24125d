//! The commands, a file each; those about workflows and policies read files with `definitions.rs`, and
//! `decisions.rs` has what `soloist policy` says of decisions on record.

pub(crate) mod archive;
pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod connector;
pub(crate) mod control;
mod decisions;
mod definitions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod inbox;
pub(crate) mod money;
pub(crate) mod policy;
mod reload;
pub(crate) mod rollouts;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod serve;
pub(crate) mod sim;
mod travel;
pub(crate) mod tree;
pub(crate) mod workflow;
