//! Fault plans: what goes wrong in a simulation, and when, as data.
//!
//! A plan is all there is to a simulation beside its scenario: the seed of everything that chance decides, how much work
//! there is, and a list of faults. It is generated from a seed ([`swarm`](crate::swarm)), enumerated
//! ([`exhaust`](mod@crate::exhaust)), made smaller ([`shrink`](mod@crate::shrink)), kept in a file, and written on one line.

mod kind;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use kind::{Class, Drift, Kind, ModelFault, RetryAfter};

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The seed of latencies, interleavings, entropy and the operator's moods.
    pub seed: u64,
    /// How much work there is; the scenario says of what.
    pub size: u32,
    /// Whether the order in which messages are handled is varied. Without it the plan is simulated in the order of arrival.
    #[serde(default = "yes")]
    pub perturbed: bool,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

fn yes() -> bool {
    true
}

/// Something that goes wrong once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub when: Trigger,
    /// What.
    pub what: Kind,
}

/// When a fault happens. Everything is counted from zero, over all epochs of the simulation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// At call `number` to `api`, whatever is asked.
    Call {
        /// The connector's name.
        api: String,
        /// Which call to it.
        number: u32,
    },
    /// At an attempt of the write with this idempotency key.
    Attempt {
        /// The key.
        key: String,
        /// Counted from one, as the kernel counts.
        attempt: u32,
    },
    /// At the moment the other side has acted for the `number`th time, before the kernel hears of it.
    Effect {
        /// Which effect in the world.
        number: u32,
    },
    /// At the `number`th append to the journal.
    Journal {
        /// Which append.
        number: u32,
        /// Before it is taken, after it, or when it is synced.
        moment: Moment,
    },
    /// When so much virtual time has passed.
    At {
        /// Since the beginning, in milliseconds.
        ms: u64,
    },
    /// At the `number`th point where others may run first: a message handled, an actor started, a record appended.
    Point {
        /// Which point.
        number: u64,
    },
    /// At the `number`th decision of the operator.
    Decision {
        /// Which decision.
        number: u32,
    },
    /// At the `number`th delivery of a webhook.
    Webhook {
        /// Which delivery.
        number: u32,
    },
}

/// Where in an append something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before it is taken: nothing of it is in the journal.
    Before,
    /// After it is taken, and before it is synced.
    After,
    /// At the fsync that makes it durable.
    Sync,
}

impl Plan {
    /// A plan in which nothing goes wrong.
    #[must_use]
    pub fn calm(scenario: impl Into<String>, seed: u64, size: u32) -> Self {
        Self { scenario: scenario.into(), seed, size, perturbed: true, faults: vec![] }
    }

    /// The same plan with these faults.
    #[must_use]
    pub fn with(self, faults: Vec<Fault>) -> Self {
        Self { faults, ..self }
    }

    /// Whether anybody is held up in it on the way.
    pub(crate) fn pauses(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.what, Kind::Pause { .. }))
    }

    /// The plan on one line, as `soloist sim replay` takes it.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a plan is plain data")
    }

    /// Reads a plan from its text.
    ///
    /// # Errors
    ///
    /// What is wrong and where, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!("this is not a plan: {error}; `soloist sim sweep` prints one for each failure")
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { api, number } => write!(f, "call {number} to {api}"),
            Self::Attempt { key, attempt } => write!(f, "attempt {attempt} of write {key}"),
            Self::Effect { number } => write!(f, "effect {number} in the world"),
            Self::Journal { number, moment: Moment::Before } => write!(f, "before append {number}"),
            Self::Journal { number, moment: Moment::After } => write!(f, "after append {number}"),
            Self::Journal { number, moment: Moment::Sync } => {
                write!(f, "the fsync of append {number}")
            }
            Self::At { ms } => write!(f, "{}.{:03} s", ms / 1000, ms % 1000),
            Self::Point { number } => write!(f, "point {number}"),
            Self::Decision { number } => write!(f, "decision {number} of the operator"),
            Self::Webhook { number } => write!(f, "webhook delivery {number}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.what, self.when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_line() {
        let faults = vec![
            Fault {
                when: Trigger::Call { api: "mail".into(), number: 3 },
                what: Kind::Throttled { retry_after: RetryAfter::Seconds(30) },
            },
            Fault {
                when: Trigger::Journal { number: 7, moment: Moment::After },
                what: Kind::PowerLoss { keep: 1 },
            },
        ];
        let plan = Plan::calm("outreach", 7, 2).with(faults);
        assert_eq!(Plan::parse(&plan.line()), Ok(plan));
    }

    #[test]
    fn what_is_no_plan_is_refused_with_the_reason() {
        let problem =
            Plan::parse(r#"{"scenario":"x","seed":1,"size":1,"faults":[{"when":"never"}]}"#);
        assert!(problem.unwrap_err().contains("never"));
    }
}
