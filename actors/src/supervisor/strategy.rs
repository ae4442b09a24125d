//! What follows when a child ends, in OTP's words: a pure function of the children, the exit, the restarts so far and the time.
//!
//! The rules are those of Erlang/OTP's `supervisor` (Design Principles, "Supervisor Behaviour"), and so are the tables of the
//! tests. One thing is ours: restarts wait a little longer each time, so that what needs a moment has it before the intensity
//! is spent.

use std::{collections::VecDeque, time::Duration};

use soloist_kernel::mutant::{Mutant, planted};
use tokio::time::Instant;

/// Whom a child's end concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Only itself.
    OneForOne,
    /// All children.
    OneForAll,
    /// Itself and those started after it, which depend on it.
    RestForOne,
}

impl Strategy {
    /// In OTP's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// Whether a child that ended starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// If it did not end normally.
    Transient,
    /// Never, not even when another's end takes it along.
    Temporary,
}

impl Restart {
    /// In OTP's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

/// Whether a supervisor ends when its significant children have ended by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It stays.
    Never,
    /// It ends with the first of them.
    AnySignificant,
    /// It ends with the last of them.
    AllSignificant,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It stopped, having been asked to or having nothing more to do.
    Normal,
    /// It failed, panicked, was killed or did not start.
    Abnormal,
}

/// How a supervisor supervises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) strategy: Strategy,
    /// Restarts within the period that are borne; one more, and the supervisor gives up.
    pub(crate) intensity: usize,
    pub(crate) period: Duration,
    pub(crate) auto_shutdown: AutoShutdown,
    /// Wait before the second restart within the period; it doubles with each. The first does not wait.
    pub(crate) backoff_base: Duration,
    /// Longest wait.
    pub(crate) backoff_max: Duration,
}

impl Flags {
    /// Five restarts within ten seconds: a fault that passes has passed by then, and one that does not is not worth a busy
    /// loop.
    pub(crate) const fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            intensity: 5,
            period: Duration::from_secs(10),
            auto_shutdown: AutoShutdown::Never,
            backoff_base: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
        }
    }
}

/// A child as the strategy sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) restart: Restart,
    /// Whether its end by itself may end the supervisor. A permanent child never ends by itself, so it cannot be.
    pub(crate) significant: bool,
    /// Whether it lives. The one whose exit is decided about does not count, whatever it says here.
    pub(crate) living: bool,
}

/// The restarts that count against the intensity.
pub(crate) type History = VecDeque<Instant>;

/// What a supervisor does about an exit. Children are named by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing starts again.
    Leave {
        /// Whether the supervisor forgets the child, too.
        forget: bool,
    },
    /// Stop, forget, and after a wait start again.
    Restart {
        /// The living ones to stop, the last started first.
        stop: Vec<usize>,
        /// Those of them that do not come back.
        forget: Vec<usize>,
        /// Those to start, in order.
        start: Vec<usize>,
        /// How long to wait between the two.
        after: Duration,
    },
    /// Stop all and end normally: the work of the significant children is done.
    ShutDown,
    /// Stop all and fail: the parent has to see to it.
    GiveUp,
}

/// Decides what follows the `exit` of child number `index` of `children` at `now`. A restart is remembered in `history`.
pub(crate) fn after_exit(
    flags: &Flags,
    children: &[Child],
    index: usize,
    exit: Exit,
    history: &mut History,
    now: Instant,
) -> Verdict {
    let child = children[index];
    let restarts = match child.restart {
        Restart::Permanent => !planted(Mutant::ChildNotRestarted),
        Restart::Transient => exit == Exit::Abnormal,
        Restart::Temporary => false,
    };
    if !restarts {
        return if ends_supervisor(flags, children, index) {
            Verdict::ShutDown
        } else {
            Verdict::Leave { forget: child.restart == Restart::Temporary }
        };
    }
    history.retain(|restart| now.duration_since(*restart) < flags.period);
    if history.len() >= flags.intensity && !planted(Mutant::IntensityIgnored) {
        return Verdict::GiveUp;
    }
    history.push_back(now);
    let concerned = match flags.strategy {
        Strategy::OneForOne => index..index + 1,
        Strategy::OneForAll => 0..children.len(),
        Strategy::RestForOne => index..children.len(),
    };
    let temporary = |other: &usize| children[*other].restart == Restart::Temporary;
    let living = |other: &usize| *other != index && children[*other].living;
    Verdict::Restart {
        stop: concerned.clone().rev().filter(living).collect(),
        forget: concerned.clone().filter(temporary).collect(),
        start: concerned.filter(|other| !temporary(other)).collect(),
        after: backoff(flags, history.len()),
    }
}

/// The exit of a significant child that does not come back, and of the last one if all must have ended.
fn ends_supervisor(flags: &Flags, children: &[Child], index: usize) -> bool {
    let others_live = || {
        let others = children.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().any(|(_, child)| child.significant && child.living)
    };
    children[index].significant
        && match flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !others_live(),
        }
}

/// The wait before the `restarts`th restart within the period: none, then `base · 2^(restarts - 2)`, up to the longest.
fn backoff(flags: &Flags, restarts: usize) -> Duration {
    let Some(doublings) = restarts.checked_sub(2) else { return Duration::ZERO };
    let factor = 2u32.saturating_pow(u32::try_from(doublings).unwrap_or(u32::MAX));
    flags.backoff_base.saturating_mul(factor).min(flags.backoff_max)
}

#[cfg(test)]
mod tests;
