//! The embedding API, and the supervision tree that carries out what the kernel decides.
//!
//! Its rule: **an actor is thin**. It matches a message, calls one pure function of `soloist-kernel`, has the journal keep
//! what that decided, and does what the new state asks for. Any actor may die at any moment: nothing that matters lives
//! only in one.
//!
//! ```text
//!  Soloist (root, rest_for_one)
//!  ├─ memory        appends facts
//!  ├─ connectors    (one_for_one)  one actor each, with its governor
//!  ├─ agents        (one_for_one)  one actor each, which owns the turns under way
//!  ├─ runs          (one_for_one)  one actor per active run; passivated when it only waits
//!  ├─ timers        wakes runs when something is due in them
//!  ├─ events        delivers events to workflows, agents and runs
//!  ├─ schedules     starts runs by the calendar
//!  └─ intakes       (one_for_one)  one per connector that is read
//! ```
//!
//! [`Soloist`] is the handle, [`Builder`] makes it, [`Agent`] and [`Turn`] are what an embedder writes against. This is the
//! only crate that names ractor.

mod agent;
mod agents;
mod builder;
mod connector;
mod context;
mod control;
#[cfg(test)]
mod crashes;
mod events;
mod governor;
mod handle;
mod incidents;
mod intake;
mod log;
mod memory;
mod policies;
mod registry;
mod root;
mod run;
mod runs;
mod schedules;
mod supervisor;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
pub mod views;
mod workflows;

pub use agent::{Agent, EFFECTS_MAX, Failure, Kind, ReadOnly, Transactional};
pub use builder::{Builder, OpenError};
pub use context::Stats;
pub use control::{Migration, SetError};
pub use handle::{
    DecideError, EmitError, Halted, PullError, Pulled, RunEnd, RunHandle, Soloist, StartError,
};
pub use turn::{Branch, Question, Turn, TurnError};
