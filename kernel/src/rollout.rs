//! Versions side by side: a share of the new runs takes the newest version of a workflow or an agent, the others the one before.
//!
//! Which version a run takes follows from its id alone, so that it is the same however often its beginning is tried, and the
//! journal pins it. A rollout is an event of a stream of its own: [`begin`] and [`promote`] decide, [`Rollouts::apply`] folds,
//! [`project`] is what is written beside. It holds as long as its canary is the newest version: a version that is added later
//! is for everyone.

mod stored;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use stored::{EVENTS_VERSION, StoredError, decode, encode};

use crate::{
    id::{AgentName, RunId, StreamId, WorkflowName},
    journal::ProjectionKey,
    payload::Digest,
    time::Timestamp,
};

/// The projection table of the rollouts, by subject.
pub const TABLE: &str = "rollouts";

/// What there can be two versions of side by side. As text: `workflow:NAME`, `agent:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A workflow.
    Workflow(WorkflowName),
    /// An agent.
    Agent(AgentName),
}

/// A text that names no subject, or a share that is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadRollout {
    /// It names no subject.
    #[error(
        "`{text}` names nothing that has versions: {problem}; write `workflow:NAME` or `agent:NAME`"
    )]
    Subject {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is no share.
    #[error("{0} is no share of the new runs; give a percentage from 0 to 100")]
    Share(String),
    /// There are not two versions.
    #[error("`{of}` has no version before its newest, so there is nothing to compare; {help}")]
    OneVersion {
        /// The subject.
        of: Subject,
        /// What to do.
        help: &'static str,
    },
    /// There is no rollout.
    #[error("`{of}` has no canary; begin one with `soloist canary {of} --percent 10`")]
    None {
        /// The subject.
        of: Subject,
    },
}

/// A share of new runs, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share(u16);

/// All of them.
const WHOLE: u16 = 10_000;

/// Two versions side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Of what.
    pub of: Subject,
    /// The version that most runs take.
    pub base: u32,
    /// The version that a share of them takes: the newest.
    pub canary: u32,
    /// The share.
    pub share: Share,
    /// Who began it, or changed its share last.
    pub by: String,
    /// Since when it is so.
    pub since: Timestamp,
}

/// What happened to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From now on this share of the new runs takes the canary.
    Shared {
        /// Of what.
        of: Subject,
        /// The version that most runs take.
        base: u32,
        /// The newest version.
        canary: u32,
        /// The share of the canary.
        share: Share,
        /// Who.
        by: String,
    },
    /// The canary is for everyone from now on.
    Promoted {
        /// Of what.
        of: Subject,
        /// The version.
        canary: u32,
        /// Who.
        by: String,
    },
}

/// The rollouts there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollouts(BTreeMap<Subject, Rollout>);

/// Has `share` of the new runs take the newest of `versions`, and the others the one that most took before.
///
/// # Errors
///
/// [`BadRollout::OneVersion`].
pub fn begin(
    rollouts: &Rollouts,
    of: &Subject,
    versions: &[u32],
    share: Share,
    by: &str,
) -> Result<Event, BadRollout> {
    let one = || BadRollout::OneVersion {
        of: of.clone(),
        help: match of {
            Subject::Workflow(_) => "add one with `soloist workflow add`",
            Subject::Agent(_) => {
                "add the agent to the kernel in another `VERSION` beside the one there is"
            }
        },
    };
    let canary = *versions.iter().max().ok_or_else(one)?;
    let known = rollouts.0.get(of).filter(|rollout| rollout.canary == canary);
    let before = || versions.iter().copied().filter(|version| *version < canary).max();
    let base = known.map(|rollout| rollout.base).or_else(before).ok_or_else(one)?;
    Ok(Event::Shared { of: of.clone(), base, canary, share, by: by.into() })
}

/// Has every new run take the canary.
///
/// # Errors
///
/// [`BadRollout::None`].
pub fn promote(rollouts: &Rollouts, of: &Subject, by: &str) -> Result<Event, BadRollout> {
    let rollout = rollouts.0.get(of).ok_or_else(|| BadRollout::None { of: of.clone() })?;
    Ok(Event::Promoted { of: of.clone(), canary: rollout.canary, by: by.into() })
}

/// The stream of all rollouts.
///
/// # Panics
///
/// Never: `rollouts` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("rollouts").expect("`rollouts` is a name")
}

/// What `event`, which happened at `at`, changes in the projections.
#[must_use]
pub fn project(event: &Event, at: Timestamp) -> (ProjectionKey, Option<Vec<u8>>) {
    let key = ProjectionKey::new(TABLE, event.of().to_string());
    let row = Rollout::of(event, at);
    (key, row.map(|row| serde_json::to_vec(&row).expect("a rollout is plain data")))
}

impl Rollout {
    /// What `event`, which happened at `at`, leaves.
    fn of(event: &Event, at: Timestamp) -> Option<Self> {
        match event.clone() {
            Event::Shared { of, base, canary, share, by } => {
                Some(Self { of, base, canary, share, by, since: at })
            }
            Event::Promoted { .. } => None,
        }
    }

    /// The version that `run` takes.
    #[must_use]
    pub fn version(&self, run: &RunId) -> u32 {
        let place = format!("{}\n{}\n{run}", self.of, self.canary);
        let hash = Digest::of(place.as_bytes()).0;
        let drawn = u64::from_le_bytes(hash[..8].try_into().expect("eight bytes are eight bytes"));
        match drawn % u64::from(WHOLE) < u64::from(self.share.0) {
            true => self.canary,
            false => self.base,
        }
    }
}

impl Rollouts {
    /// What there is, in the order of the subjects.
    pub fn iter(&self) -> impl Iterator<Item = &Rollout> {
        self.0.values()
    }

    /// Takes in a rollout that is known from its projection.
    pub fn insert(&mut self, rollout: Rollout) {
        self.0.insert(rollout.of.clone(), rollout);
    }

    /// Folds `event`, which happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match Rollout::of(event, at) {
            Some(rollout) => self.insert(rollout),
            None => drop(self.0.remove(event.of())),
        }
    }

    /// The version of `of` that `run` takes, where `newest` is the newest there is.
    #[must_use]
    pub fn version(&self, of: &Subject, newest: u32, run: &RunId) -> u32 {
        let rollout = self.0.get(of).filter(|rollout| rollout.canary == newest);
        rollout.map_or(newest, |rollout| rollout.version(run))
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Shared { .. } => "rollout.shared",
            Self::Promoted { .. } => "rollout.promoted",
        }
    }

    /// What it is about.
    #[must_use]
    pub fn of(&self) -> &Subject {
        match self {
            Self::Shared { of, .. } | Self::Promoted { of, .. } => of,
        }
    }

    /// Who caused it.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Shared { by, .. } | Self::Promoted { by, .. } => by,
        }
    }
}

impl Share {
    /// `percent` of the new runs: up to two decimals count.
    ///
    /// # Errors
    ///
    /// [`BadRollout::Share`] if it is not from 0 to 100.
    pub fn percent(percent: f64) -> Result<Self, BadRollout> {
        let hundredths = (percent * 100.0).round();
        if !(0.0..=f64::from(WHOLE)).contains(&hundredths) {
            return Err(BadRollout::Share(percent.to_string()));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to 10,000"
        )]
        Ok(Self(hundredths as u16))
    }

    /// It as a percentage.
    #[must_use]
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_percent())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(name) => write!(f, "workflow:{name}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
        }
    }
}

impl FromStr for Subject {
    type Err = BadRollout;

    fn from_str(text: &str) -> Result<Self, BadRollout> {
        let bad = |problem: String| BadRollout::Subject { text: text.to_owned(), problem };
        let (kind, name) =
            text.split_once(':').ok_or_else(|| bad("it does not say what it is".into()))?;
        let of = |error: crate::id::BadName| bad(error.to_string());
        match kind {
            "workflow" => name.parse().map(Self::Workflow).map_err(of),
            "agent" => name.parse().map(Self::Agent).map_err(of),
            other => Err(bad(format!("there is no kind `{other}`"))),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = BadRollout;

    fn try_from(text: String) -> Result<Self, BadRollout> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(of: Subject) -> Self {
        of.to_string()
    }
}
