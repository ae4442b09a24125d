//! Runs: one execution of a workflow version each, as an event-sourced state machine.
//!
//! [`decide`] turns a [`Command`] into [`Event`]s or refuses it, [`Run::apply`] folds an event into the state, and
//! [`outstanding`] names the [`Action`]s that the world must now take. The three are pure; after a crash, folding the
//! journal gives the state, and the state gives the actions again. The only thing a state cannot say after a crash is
//! whether an attempt that was under way had its effect: [`Command::Recover`] turns each of those into a fault that may
//! have been sent, and `effect.rs` takes it from there.
//!
//! A step of any kind works through its effects: what is answered at once, what is waited for (a question, a time, an event,
//! the end of another run), and writes. `decide.rs` and its folder hold what commands cause, `advance.rs` what follows by
//! itself, `work.rs` the steps that the kernel carries out, `unwind.rs` how a run takes back what it did. `state.rs` and
//! `step.rs` are the state, `flow.rs` the values and labels between steps, `replay.rs` the order of a turn's effects,
//! `project.rs` what is written beside the events, `stored.rs` how events are kept.

mod advance;
pub mod archived;
mod awaited;
mod command;
mod decide;
mod event;
mod flow;
mod outstanding;
pub mod project;
mod replay;
mod snapshot;
mod spent;
mod state;
mod step;
mod stored;
mod unwind;
mod work;

pub use archived::{ArchivedRun, is_archivable};
pub use awaited::{
    Answer, Awaited, Awaits, Child, ChildEnd, ChildOf, Occurrence, Question, child_id,
};
pub use command::{Caller, Command, Payment, Probed, Refusal, Request};
pub use decide::{Env, decide, start, transition};
pub use event::{
    AfterFailure, Beginning, Cause, EffectRef, Event, Parent, StepError, StepErrorKind,
};
pub use flow::Input;
pub use outstanding::{Action, is_at_rest, outstanding};
pub use project::RunSummary;
pub use replay::{Asked, Divergence, Replay, Replayed};
pub use snapshot::{SNAPSHOT_EVERY, restore, snapshot, state};
pub use spent::{OpenCall, Spent};
pub use state::{Illegal, Lateness, Run, Status};
pub(crate) use step::UNDO;
pub use step::{Effect, EffectState, Step, StepStatus};
pub use stored::{Blobs, EVENTS_VERSION, Fetch, StoredError, decode, decode_writes, encode, kind};
pub use unwind::Left;

#[cfg(test)]
mod tests;
