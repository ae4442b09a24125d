//! The pure heart of Soloist: what is a run, what happens next in it, may this happen, and is it on disk.
//!
//! Its rule: **decide in pure functions**. [`run::decide`] turns a command into events, [`run::Run::apply`] folds events
//! into state, [`run::outstanding`] names the work the world must now do. None of them reads a clock, draws a random
//! number or performs IO, so folding a journal again rebuilds exactly the state that was lost.
//!
//! Its neighbours: `soloist-actors` carries out what is decided here, `soloist-connectors` and `soloist-memory` are what
//! it is carried out through. The only IO in this crate stands behind the [`journal::Journal`] trait.

pub mod id;
pub mod time;

pub mod catalog;
pub mod fault;
pub mod labels;
pub mod payload;
pub mod semantics;

pub mod budget;
pub mod control;
pub mod decisions;
pub mod effect;
pub mod experiment;
pub mod expression;
pub mod gate;
pub mod inbox;
pub mod incident;
pub mod policy;
pub mod redact;
pub mod retry;
pub mod rollout;
pub mod run;
pub mod schema;
pub mod shadow;
pub mod workflow;

pub mod codec;
pub mod journal;

pub mod mutant;
