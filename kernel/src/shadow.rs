//! Shadows: when a run has ended, the newest version of its workflow or of one of its agents is played on what the run was given and
//! was answered, and what it would have done otherwise is put on record. It commits nothing.
//!
//! That a shadow is due is a row in the batch of the record that ends the run; the record of what it came to removes the row, so a
//! crash leaves one of the two. The playing itself is no part of this: `soloist-actors` does it in a kernel of its own. Here is
//! [which run](due) has a shadow, [what counts](of_write) as another write, and how it is kept.

mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use stored::{EVENTS_VERSION, StoredError, decode, encode};

use crate::{
    id::{RunId, StreamId},
    journal::ProjectionKey,
    rollout::{Rollout, Subject},
    run::{Cause, Run, Status, project::is_over},
    time::Timestamp,
};

/// The projection table of the shadows that are to be played, by subject and run.
pub const DUE: &str = "shadows-due";

/// The projection table of what shadows came to, by subject, version and run.
pub const TABLE: &str = "shadows";

/// The projection table of what was otherwise in those that diverged, by the same keys.
pub const DIFFERENCES: &str = "shadow-differences";

/// How often a shadow is begun. If the process ended as often in the midst of it, it is what ends the process.
pub const TRIES_MAX: u32 = 2;

/// Longest description of a difference that is kept, in bytes: what a person reads at a time.
pub const DIFFERENCE_BYTES_MAX: usize = 64 << 10;

/// A shadow that is to be played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Of which run.
    pub run: RunId,
    /// What is played in another version.
    pub of: Subject,
    /// The version that the run had.
    pub base: u32,
    /// The version that is played.
    pub shadow: u32,
    /// How often it has been begun.
    #[serde(default)]
    pub tries: u32,
}

/// What can be otherwise in a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The run ends otherwise: another status, another reason.
    End,
    /// It ends alike, with another output. Where a write is stood in for, that may be its receipt and nothing else.
    Output,
    /// A step comes to something else.
    Step,
    /// A write that only the live run proposes.
    OnlyLive,
    /// A write that only the shadow proposes.
    OnlyShadow,
    /// A write asks something else.
    Arguments,
    /// Policy says something else of a write.
    Verdict,
    /// Something else becomes of a write.
    Fate,
}

/// What a shadow came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was otherwise.
    Agreed,
    /// Something was.
    Diverged {
        /// How much of each kind.
        kinds: BTreeMap<Kind, u32>,
        /// What, as JSON.
        difference: String,
    },
    /// It could not be played.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was not played: what it came to would say nothing.
    PassedOver {
        /// Why.
        reason: String,
    },
}

/// What happened to a shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is about to be played.
    Begun(Due),
    /// It has been.
    Played {
        /// Which.
        due: Due,
        /// What it came to.
        outcome: Outcome,
    },
}

/// What a shadow came to, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// Of which run.
    pub run: RunId,
    /// Of what.
    pub of: Subject,
    /// The version that the run had.
    pub base: u32,
    /// The version that was played.
    pub shadow: u32,
    /// `agreed`, `diverged`, `failed` or `passed_over`.
    pub outcome: String,
    /// How much was otherwise, of each kind.
    pub kinds: BTreeMap<Kind, u32>,
    /// Why it was not played.
    pub reason: Option<String>,
    /// When that was put on record.
    pub at: Timestamp,
}

/// One side of a write, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side<'a> {
    /// `mail.send`.
    pub what: &'a str,
    /// What it asks.
    pub arguments: &'a Value,
    /// What policy said, and by which rule.
    pub verdict: (&'a str, &'a str),
    /// What became of it, and whether it was, or would have been, sent.
    pub fate: (&'a str, bool),
}

/// What is otherwise in a write, the weightiest alone; nothing if it is the same.
#[must_use]
pub fn of_write(live: Option<Side<'_>>, shadow: Option<Side<'_>>) -> Option<Kind> {
    match (live, shadow) {
        (None, None) => None,
        (Some(_), None) => Some(Kind::OnlyLive),
        (None, Some(_)) => Some(Kind::OnlyShadow),
        (Some(live), Some(shadow)) => {
            if (live.what, live.arguments) != (shadow.what, shadow.arguments) {
                Some(Kind::Arguments)
            } else if live.verdict != shadow.verdict {
                Some(Kind::Verdict)
            } else {
                (live.fate != shadow.fate).then_some(Kind::Fate)
            }
        }
    }
}

/// The shadow that is due because `after`, which was `before`, has just ended, if the versions of `rollout` are played in the
/// shadow of it.
///
/// A round of a `map` or a `loop` is played with the run it belongs to. Who ended a run was not its workflow, so one that somebody
/// ended has no shadow.
#[must_use]
pub fn due(rollout: &Rollout, before: Option<&Run>, after: &Run) -> Option<Due> {
    let ends = is_over(after) && !before.is_some_and(is_over);
    let by_itself = match &after.status {
        Status::Completed { .. } => true,
        Status::Failed { cause, .. } => matches!(cause, Cause::Step { .. }),
        Status::Running | Status::Unwinding { .. } => false,
    };
    let took = match &rollout.of {
        Subject::Workflow(name) => {
            after.workflow.name == *name && after.workflow.version == rollout.base
        }
        Subject::Agent(name) => after.agents.get(name) == Some(&rollout.base),
        Subject::Policy => false,
    };
    let shadowed = ends && by_itself && took && after.body.is_none() && rollout.shadows(&after.id);
    shadowed.then(|| Due {
        run: after.id.clone(),
        of: rollout.of.clone(),
        base: rollout.base,
        shadow: rollout.canary,
        tries: 0,
    })
}

/// The stream of all shadows.
///
/// # Panics
///
/// Never: `shadows` is a name.
#[must_use]
pub fn stream() -> StreamId {
    StreamId::new("shadows").expect("`shadows` is a name")
}

impl Due {
    /// The key of its row in [`DUE`].
    #[must_use]
    pub fn key(&self) -> ProjectionKey {
        ProjectionKey::new(DUE, format!("{}/{}", self.of, self.run))
    }

    /// Its row.
    ///
    /// # Panics
    ///
    /// Never: it is plain data.
    #[must_use]
    pub fn row(&self) -> (ProjectionKey, Option<Vec<u8>>) {
        let bytes = serde_json::to_vec(self).expect("what is due is plain data");
        (self.key(), Some(bytes))
    }

    /// The key of what it came to, in `table`.
    #[must_use]
    pub fn played_key(&self, table: &'static str) -> ProjectionKey {
        ProjectionKey::new(table, format!("{}{}", group(&self.of, self.shadow), self.run))
    }
}

/// What the keys of the shadows of one version begin with.
#[must_use]
pub fn group(of: &Subject, shadow: u32) -> String {
    format!("{of}/{shadow:010}/")
}

/// What `event`, which happened at `at`, changes in the projections.
///
/// # Panics
///
/// Never: what is kept is plain data.
#[must_use]
pub fn project(event: &Event, at: Timestamp) -> Vec<(ProjectionKey, Option<Vec<u8>>)> {
    let (due, outcome) = match event {
        Event::Begun(due) => return vec![due.row()],
        Event::Played { due, outcome } => (due, outcome),
    };
    let played = Played::of(due, outcome, at);
    let bytes = serde_json::to_vec(&played).expect("what a shadow came to is plain data");
    let mut rows = vec![(due.key(), None), (due.played_key(TABLE), Some(bytes))];
    if let Outcome::Diverged { difference, .. } = outcome {
        rows.push((due.played_key(DIFFERENCES), Some(difference.clone().into_bytes())));
    }
    rows
}

impl Played {
    fn of(due: &Due, outcome: &Outcome, at: Timestamp) -> Self {
        let (kinds, reason) = match outcome.clone() {
            Outcome::Agreed => (BTreeMap::new(), None),
            Outcome::Diverged { kinds, .. } => (kinds, None),
            Outcome::Failed { reason } | Outcome::PassedOver { reason } => {
                (BTreeMap::new(), Some(reason))
            }
        };
        let Due { run, of, base, shadow, .. } = due.clone();
        Self { run, of, base, shadow, outcome: outcome.word().into(), kinds, reason, at }
    }
}

impl Outcome {
    /// It in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Diverged { .. } => "diverged",
            Self::Failed { .. } => "failed",
            Self::PassedOver { .. } => "passed_over",
        }
    }
}

impl Kind {
    /// It in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Output => "output",
            Self::Step => "step",
            Self::OnlyLive => "only_live",
            Self::OnlyShadow => "only_shadow",
            Self::Arguments => "arguments",
            Self::Verdict => "verdict",
            Self::Fate => "fate",
        }
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Begun(_) => "shadow.begun",
            Self::Played { .. } => "shadow.played",
        }
    }

    /// The run that it is about.
    #[must_use]
    pub fn run(&self) -> &RunId {
        match self {
            Self::Begun(due) | Self::Played { due, .. } => &due.run,
        }
    }
}
