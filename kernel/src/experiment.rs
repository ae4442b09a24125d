//! Experiments: a run tries one of several ways to do something, and what came of each is compared.
//!
//! Which way a run takes, its arm, follows from the id of the topmost run above it and the experiment's name alone: it is the same
//! in every step, every attempt and every run beneath, and over crashes. Each arm is as likely as the others, and an arm that is
//! added later takes runs from the others and moves none between them. The arm is an effect of the turn that asks for it, so a
//! replay has the one on record; the row that [`project`] makes of it, in the same batch, is what the comparison counts.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    id::{ArmName, BadName, ExperimentName, RunId},
    journal::ProjectionKey,
    payload::{Digest, Payload},
    run::EffectRef,
};

/// The projection table of what was drawn, by experiment, arm and topmost run.
pub const TABLE: &str = "experiments";

/// Most arms of an experiment. The runs of a company, divided by more, tell nothing.
pub const ARMS_MAX: usize = 16;

/// What the names of the effects begin with, behind their branch. An agent's own names have no colon.
const EFFECT: &str = "arm:";

/// Arms of which none can be drawn.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadExperiment {
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A colon in the experiment's name.
    #[error("experiment `{0}` has a colon in its name; those are the kernel's")]
    Colon(ExperimentName),
    /// Too few or too many.
    #[error(
        "experiment `{experiment}` has {count} arms; give 2 to {ARMS_MAX}, each in one word of its own"
    )]
    Count {
        /// The experiment.
        experiment: ExperimentName,
        /// How many it has.
        count: usize,
    },
    /// One of them twice.
    #[error("experiment `{experiment}` has the arm `{arm}` twice; name each once")]
    Twice {
        /// The experiment.
        experiment: ExperimentName,
        /// The arm.
        arm: ArmName,
    },
}

/// An experiment: its name, and what can be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    name: ExperimentName,
    arms: Vec<ArmName>,
}

/// What a run has drawn, as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// In which experiment.
    pub experiment: ExperimentName,
    /// The topmost run, which it was drawn for.
    pub run: RunId,
    /// What.
    pub arm: ArmName,
}

impl Experiment {
    /// The experiment `name`, in which one of `arms` is drawn.
    ///
    /// # Errors
    ///
    /// [`BadExperiment`].
    pub fn new(name: &str, arms: &[&str]) -> Result<Self, BadExperiment> {
        let name = ExperimentName::new(name)?;
        if name.as_str().contains(':') {
            return Err(BadExperiment::Colon(name));
        }
        if !(2..=ARMS_MAX).contains(&arms.len()) {
            return Err(BadExperiment::Count { experiment: name, count: arms.len() });
        }
        let arms = arms.iter().map(ArmName::new).collect::<Result<Vec<_>, _>>()?;
        let twice = (1..arms.len()).find(|at| arms[..*at].contains(&arms[*at]));
        match twice {
            Some(at) => Err(BadExperiment::Twice { experiment: name, arm: arms[at].clone() }),
            None => Ok(Self { name, arms }),
        }
    }

    /// What the effect of drawing is called: a name that no agent can give to an effect of its own.
    #[must_use]
    pub fn effect(&self) -> String {
        format!("{EFFECT}{}", self.name)
    }

    /// The arms, in the order in which they were given.
    #[must_use]
    pub fn arms(&self) -> &[ArmName] {
        &self.arms
    }

    /// What `run`, the topmost one, draws: the arm whose hash with it is the highest.
    ///
    /// # Panics
    ///
    /// Never: there are two arms at least.
    #[must_use]
    pub fn draw(&self, run: RunId) -> Drawn {
        let lot = |arm: &&ArmName| Digest::of(format!("{}\n{arm}\n{run}", self.name).as_bytes()).0;
        let arm = self.arms.iter().max_by_key(lot).expect("there are two arms at least").clone();
        Drawn { experiment: self.name.clone(), run, arm }
    }
}

impl Drawn {
    /// What was drawn by `effect`, if it is a drawing that had `answer`.
    #[must_use]
    pub fn of(effect: &EffectRef, answer: &Payload) -> Option<Self> {
        let name = effect.name.as_str();
        let behind = name.split_once(':').map_or(name, |(_, behind)| behind);
        let draws = name.starts_with(EFFECT) || behind.starts_with(EFFECT);
        if draws { answer.parse().ok() } else { None }
    }

    /// Its row.
    #[must_use]
    pub fn key(&self) -> ProjectionKey {
        let Self { experiment, run, arm } = self;
        ProjectionKey::new(TABLE, format!("{experiment}/{arm}/{run}"))
    }

    /// What was drawn, by the key of its row.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let experiment = parts.next()?.parse().ok()?;
        let arm = parts.next()?.parse().ok()?;
        Some(Self { experiment, arm, run: parts.next()?.parse().ok()? })
    }
}

/// What `effect`, whose answer is put on record, changes in the projections.
#[must_use]
pub fn project(effect: &EffectRef, answer: &Payload) -> Option<(ProjectionKey, Option<Vec<u8>>)> {
    Drawn::of(effect, answer).map(|drawn| (drawn.key(), Some(vec![])))
}
