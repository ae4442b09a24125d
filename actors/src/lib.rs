//! The embedding API, and the supervision tree that carries out what the kernel decides.
//!
//! Its rule: **an actor is thin**. It matches a message, calls one pure function of `soloist-kernel`, has the journal keep
//! what that decided, and does what the new state asks for. Any actor may die at any moment: nothing that matters lives
//! only in one.
//!
//! ```text
//!  Soloist (root, rest_for_one)
//!  ├─ journal       wakes those who wait for an fsync
//!  ├─ memory        appends facts
//!  ├─ connectors    (one_for_one)
//!  │   └─ connector (rest_for_one)  its calls, with governor and breaker; its sync loop
//!  ├─ models        (one_for_one)
//!  ├─ agents        (one_for_one)
//!  │   └─ pool      one per agent version, which owns the turns under way
//!  ├─ runs          (one_for_one)   one actor per active run; passivated when it only waits
//!  ├─ timers        wakes runs when something is due in them
//!  ├─ events        delivers events to workflows, agents and runs
//!  ├─ schedules     starts runs by the calendar
//!  ├─ retention     archives runs that have been over for long
//!  ├─ shadows       plays newer versions on runs that have ended
//!  └─ services      (one_for_one)   the host's own loops
//! ```
//!
//! [`Soloist`] is the handle, [`Builder`] makes it, [`Agent`] and [`Turn`] are what an embedder writes against. This is the
//! only crate that names ractor.

mod actor;
mod agent;
mod agents;
mod budgets;
mod builder;
#[cfg(test)]
mod chaos;
mod connector;
mod connectors;
mod contained;
mod context;
mod control;
#[cfg(test)]
mod crashes;
mod drill;
mod events;
mod gate;
mod governor;
mod handle;
mod health;
mod incidents;
mod intake;
mod intervene;
mod journal;
mod log;
pub mod measure;
mod memory;
mod meter;
mod mounted;
mod mounting;
mod outcomes;
mod panics;
mod pauses;
mod policies;
mod registry;
mod retention;
mod rollouts;
mod root;
mod run;
mod runs;
mod schedules;
mod service;
mod shadows;
mod supervisor;
#[cfg(test)]
mod tests;
mod timers;
pub mod travel;
mod tree;
mod turn;
pub mod views;
mod workflows;

pub use agent::{Agent, EFFECTS_MAX, Failure, Kind, ReadOnly, Transactional};
pub use budgets::{BadRaise, BudgetView};
pub use builder::{Builder, OpenError};
pub use connectors::{CheckError, ConnectorView};
pub use context::Stats;
pub use control::{Migration, SetError};
pub use handle::{
    DecideError, EmitError, Halted, PullError, Pulled, RunEnd, RunHandle, Soloist, StartError,
};
pub use health::{Drained, Readiness};
pub use intervene::Ending;
pub use mounting::MountError;
pub use outcomes::{Arm, Comparison, Measures, Tried, TriedArm, compare, tried};
pub use pauses::hold;
pub use retention::{ArchiveRunsError, Archived};
pub use service::Services;
pub use supervisor::{AutoShutdown, Restart, Strategy};
pub use tree::{TreeEvent, TreeNode};
pub use turn::{Branch, Question, Turn, TurnError};
