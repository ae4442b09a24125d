//! Versions side by side: a share of the runs takes the newest version of a workflow, an agent or the policy, the others the one
//! before; or all take the one before, and a share of them is played once more by the newest, in its [shadow](crate::shadow).
//!
//! Which version a run takes follows from its id alone, so that it is the same however often its beginning is tried. The journal
//! pins it, but for the policy: each judgement names the version that made it, and a run beneath others is judged by the one
//! that its topmost run draws. A rollout is an event of a stream of its own: [`begin`] and [`promote`] decide,
//! [`Rollouts::apply`] folds, [`project`] is what is written beside. It holds as long as its canary is the newest version: a
//! version that is added later is for everyone.

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

/// What there can be two versions of side by side. As text: `workflow:NAME`, `agent:NAME`, `policy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A workflow.
    Workflow(WorkflowName),
    /// An agent.
    Agent(AgentName),
    /// The policy.
    Policy,
}

/// How the newest version is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A share of the runs takes it.
    #[default]
    Canary,
    /// No run takes it. A share of them is played once more by it when they have ended, and what it would have done otherwise is
    /// put on record.
    Shadow,
}

/// A text that names no subject, or a share that is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadRollout {
    /// It names no subject.
    #[error(
        "`{text}` names nothing that has versions: {problem}; write `workflow:NAME`, `agent:NAME` or `policy`"
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
    /// What it would do is told without it.
    #[error(
        "a policy is tried on what was decided: `soloist policy backtest FILE` tells what it would have said; to have it judge a \
         share of the runs, `soloist canary policy --percent 10`"
    )]
    PolicyShadow,
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
    /// The version that a share of them takes, or that is played in their shadow: the newest.
    pub canary: u32,
    /// The share.
    pub share: Share,
    /// How it is tried.
    #[serde(default)]
    pub mode: Mode,
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
    /// From now on the newest version is played in the shadow of this share of the new runs, all of which take the base.
    Shadowed {
        /// Of what.
        of: Subject,
        /// The version that all runs take.
        base: u32,
        /// The newest version.
        canary: u32,
        /// The share.
        share: Share,
        /// Who.
        by: String,
    },
}

/// The rollouts there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollouts(BTreeMap<Subject, Rollout>);

/// Has `share` of the new runs take the newest of `versions`, and the others the one that most took before; or has the newest be
/// played in the shadow of that share.
///
/// # Errors
///
/// [`BadRollout::OneVersion`], [`BadRollout::PolicyShadow`].
pub fn begin(
    rollouts: &Rollouts,
    (of, mode): (&Subject, Mode),
    versions: &[u32],
    share: Share,
    by: &str,
) -> Result<Event, BadRollout> {
    if (of, mode) == (&Subject::Policy, Mode::Shadow) {
        return Err(BadRollout::PolicyShadow);
    }
    let one = || BadRollout::OneVersion {
        of: of.clone(),
        help: match of {
            Subject::Workflow(_) => "add one with `soloist workflow add`",
            Subject::Agent(_) => {
                "add the agent to the kernel in another `VERSION` beside the one there is"
            }
            Subject::Policy => "set one with `soloist policy set`",
        },
    };
    let canary = *versions.iter().max().ok_or_else(one)?;
    let known = rollouts.0.get(of).filter(|rollout| rollout.canary == canary);
    let before = || versions.iter().copied().filter(|version| *version < canary).max();
    let base = known.map(|rollout| rollout.base).or_else(before).ok_or_else(one)?;
    let (of, by) = (of.clone(), by.to_owned());
    Ok(match mode {
        Mode::Canary => Event::Shared { of, base, canary, share, by },
        Mode::Shadow => Event::Shadowed { of, base, canary, share, by },
    })
}

/// Has every new run take the newest version, whether it was a canary or in the shadow.
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
        let mode = match event {
            Event::Shared { .. } => Mode::Canary,
            Event::Shadowed { .. } => Mode::Shadow,
            Event::Promoted { .. } => return None,
        };
        match event.clone() {
            Event::Shared { of, base, canary, share, by }
            | Event::Shadowed { of, base, canary, share, by } => {
                Some(Self { of, base, canary, share, mode, by, since: at })
            }
            Event::Promoted { .. } => None,
        }
    }

    /// The version that `run` takes.
    #[must_use]
    pub fn version(&self, run: &RunId) -> u32 {
        match self.mode == Mode::Canary && self.draws(run) {
            true => self.canary,
            false => self.base,
        }
    }

    /// Whether the newest version is played in the shadow of `run`.
    #[must_use]
    pub fn shadows(&self, run: &RunId) -> bool {
        self.mode == Mode::Shadow && self.draws(run)
    }

    /// Whether `run` is in the share.
    fn draws(&self, run: &RunId) -> bool {
        let place = format!("{}\n{}\n{run}", self.of, self.canary);
        let hash = Digest::of(place.as_bytes()).0;
        let drawn = u64::from_le_bytes(hash[..8].try_into().expect("eight bytes are eight bytes"));
        drawn % u64::from(WHOLE) < u64::from(self.share.0)
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

    /// The rollout of `of` that is in force, where `newest` is the newest version there is.
    #[must_use]
    pub fn in_force(&self, of: &Subject, newest: u32) -> Option<&Rollout> {
        self.0.get(of).filter(|rollout| rollout.canary == newest)
    }

    /// The version of `of` that `run` takes, where `newest` is the newest there is.
    #[must_use]
    pub fn version(&self, of: &Subject, newest: u32, run: &RunId) -> u32 {
        self.in_force(of, newest).map_or(newest, |rollout| rollout.version(run))
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Shared { .. } => "rollout.shared",
            Self::Promoted { .. } => "rollout.promoted",
            Self::Shadowed { .. } => "rollout.shadowed",
        }
    }

    /// What it is about.
    #[must_use]
    pub fn of(&self) -> &Subject {
        match self {
            Self::Shared { of, .. } | Self::Promoted { of, .. } | Self::Shadowed { of, .. } => of,
        }
    }

    /// Who caused it.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Shared { by, .. } | Self::Promoted { by, .. } | Self::Shadowed { by, .. } => by,
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
            Self::Policy => f.write_str("policy"),
        }
    }
}

impl FromStr for Subject {
    type Err = BadRollout;

    fn from_str(text: &str) -> Result<Self, BadRollout> {
        let bad = |problem: String| BadRollout::Subject { text: text.to_owned(), problem };
        if text == "policy" {
            return Ok(Self::Policy);
        }
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
