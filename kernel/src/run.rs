//! Runs: one execution of a workflow version each, as an event-sourced state machine.
//!
//! [`decide`] turns a [`Command`] into [`Event`]s or refuses it, [`Run::apply`] folds an event into the state, and
//! [`outstanding`] names the [`Action`]s that the world must now take. The three are pure; after a crash, folding the
//! journal gives the state, and the state gives the actions again. The only thing a state cannot say after a crash is
//! whether an attempt that was under way had its effect: [`Command::Recover`] turns each of those into a fault that may
//! have been sent, and `effect.rs` takes it from there.
//!
//! `decide.rs` and `advance.rs` hold the decisions, `state.rs` the state, `replay.rs` the order of a turn's effects,
//! `project.rs` what is written beside the events, `stored.rs` how events are kept.

mod advance;
mod command;
mod decide;
mod event;
mod outstanding;
pub mod project;
mod replay;
mod snapshot;
mod state;
mod stored;

pub use command::{Command, Probed, Refusal};
pub use decide::{decide, start, transition};
pub use event::{EffectRef, Event, StepError, StepErrorKind, StepRetry};
pub use outstanding::{Action, is_at_rest, outstanding};
pub use project::RunSummary;
pub use replay::{Divergence, Replay, Replayed};
pub use snapshot::{SNAPSHOT_EVERY, restore, snapshot};
pub use state::{Effect, EffectState, Illegal, Run, Status, Step, StepStatus};
pub use stored::{Blobs, EVENTS_VERSION, Fetch, StoredError, decode, encode, kind};

#[cfg(test)]
mod tests;
