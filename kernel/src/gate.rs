//! What stands between a run and a call to a connector: who is next, whether the other side is well, whether it may be
//! asked again, and how often it may be called.
//!
//! Its rule: **whoever is refused is told until when and why**, and that time always comes. Everything here is a state
//! machine without a clock: the time arrives as an argument. Wall time can be set back, so a recorded time that lies in the
//! future counts as now; otherwise an hour lost by the clock would be an hour in which nothing is called.
//!
//! In the order in which a call meets them: [`FairQueue`] says whose turn it is, [`Breaker`] whether the other side is
//! well, [`RetryBudget`] whether a second attempt may be made, [`Pace`] how fast the other side lets us go, [`Window`] whether
//! the strict limit has room, and [`Reservations`] lets that limit survive a crash. The connector's actor owns one of each and acts on what they say.

mod breaker;
mod budget;
mod pace;
mod queue;
mod recent;
mod reservations;
mod window;

use crate::time::Timestamp;

pub use breaker::{Breaker, BreakerPolicy, CallEnd, Permit, Phase, Turned};
pub use budget::{RetryBudget, RetryCost};
pub use pace::{HOLD_MAX, Pace};
pub use queue::{FairQueue, QUEUE_MAX, SPACING};
pub use reservations::{Block, GRACE, Reservations, Take};
pub use window::Window;

/// A call that may not be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When to ask again, at the latest: what holds the call back is over by then, if nothing happens in between.
    pub until: Timestamp,
    /// What holds it back, for a person.
    pub reason: String,
}
