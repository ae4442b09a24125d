//! A turn: what an agent may ask of the world, durably.
//!
//! Each effect has an identity: its name and how often the name was used before in this turn. It is asked for in three
//! beats. *Recall*: the run looks whether the journal has its answer; if so, that is it. *Perform*: if not, it is done.
//! *Record*: the answer goes into the journal, and only then to the agent. What takes its time (the operator's answer, a
//! night's sleep, another agent's turn, a write) is asked for and waited for: the process may end and start again in between.
//!
//! `turn/effects.rs` has what is answered at once, `turn/waits.rs` what is waited for, `turn/join.rs` the branches.

mod effects;
mod join;
mod waits;

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use serde::de::DeserializeOwned;
use soloist_kernel::{
    id::{AgentName, BadName, EffectId, EffectName, RunId, StepName},
    payload::{Payload, PayloadError},
    run::EffectRef,
};
use thiserror::Error;
use tokio::sync::oneshot;

pub use join::Branch;
pub use waits::Question;

use crate::{agent::Transactional, context::Context, run::Line};

/// An agent's hold on the world, for one turn. Cloning it is cheap.
///
/// Only the turn of a [`Transactional`] agent can propose a write.
pub struct Turn<K = Transactional> {
    inner: Arc<Inner>,
    /// Empty, or the branch of a [`join`](Self::join) that this is the turn of.
    branch: Arc<str>,
    kind: PhantomData<K>,
}

struct Inner {
    context: Arc<Context>,
    line: Line,
    run: RunId,
    agent: AgentName,
    used: Mutex<BTreeMap<EffectName, u32>>,
    /// Joins begun in each branch, to name the branches of the next one.
    joins: Mutex<BTreeMap<String, u32>>,
    /// Branches that do something: not those that wait for what takes its time.
    busy: Arc<AtomicUsize>,
}

impl<K> Clone for Turn<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), branch: self.branch.clone(), kind: PhantomData }
    }
}

/// Why an effect has no answer. A turn that meets one should end with it (`?`).
#[derive(Debug, Error)]
pub enum TurnError {
    /// The turn's effects do not match the journal. The run becomes an incident.
    #[error("{0}")]
    Diverged(String),
    /// The run no longer waits for this turn: it timed out, the run ended, or the kernel stops.
    #[error("the run no longer waits for this turn")]
    Abandoned,
    /// The agent may not have what it asks for.
    #[error("{0}")]
    Forbidden(String),
    /// The effect's name is not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A value does not fit.
    #[error("effect `{effect}`: {source}")]
    Value {
        /// The effect.
        effect: String,
        /// Why not.
        source: PayloadError,
    },
    /// What was asked for failed.
    #[error("effect `{effect}`: {problem}")]
    Effect {
        /// The effect.
        effect: String,
        /// What went wrong and what to do.
        problem: String,
    },
}

/// An answer of the run to a turn.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, TurnError>>;

impl Turn<Transactional> {
    /// A turn, and the count of its branches that do something.
    pub(crate) fn new(
        context: Arc<Context>,
        line: Line,
        run: RunId,
        agent: AgentName,
        busy: Arc<AtomicUsize>,
    ) -> Self {
        let (used, joins) = (Mutex::default(), Mutex::default());
        let inner = Inner { context, line, run, agent, used, joins, busy };
        Self { inner: Arc::new(inner), branch: "".into(), kind: PhantomData }
    }

    /// The same turn for an agent of another kind.
    pub(crate) fn of_kind<K>(self) -> Turn<K> {
        Turn { inner: self.inner, branch: self.branch, kind: PhantomData }
    }
}

impl<K> Turn<K> {
    /// The run this turn belongs to.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.inner.run
    }

    /// The step this turn is for.
    #[must_use]
    pub fn step_name(&self) -> &StepName {
        &self.inner.line.step
    }

    /// Says that the turn is alive, so that its step's `heartbeat` begins again. Each effect does so as well.
    pub fn heartbeat(&self) {
        self.inner.line.heartbeat();
    }

    /// The identity of the next use of `name`.
    fn next(&self, name: &str) -> Result<EffectRef, TurnError> {
        if name.contains(':') {
            let problem = "an effect's name has no colon; those are the kernel's".to_owned();
            return Err(TurnError::Effect { effect: name.into(), problem });
        }
        self.next_of_kernel(name)
    }

    /// The same, of a name that the kernel gives.
    fn next_of_kernel(&self, name: &str) -> Result<EffectRef, TurnError> {
        let name = match &*self.branch {
            "" => EffectName::new(name)?,
            branch => EffectName::new(format!("{branch}:{name}"))?,
        };
        let mut used = self.inner.used.lock().expect("counting does not panic");
        let count = used.entry(name.clone()).or_insert(0);
        let occurrence = *count;
        *count += 1;
        Ok(EffectRef { name, occurrence })
    }

    fn id(&self, effect: &EffectRef) -> EffectId {
        EffectId {
            run: self.inner.run.clone(),
            step: self.inner.line.step.clone(),
            name: effect.name.clone(),
            occurrence: effect.occurrence,
        }
    }

    fn value(effect: &EffectRef, source: PayloadError) -> TurnError {
        TurnError::Value { effect: effect.to_string(), source }
    }

    fn parsed<T: DeserializeOwned>(effect: &EffectRef, answer: &Payload) -> Result<T, TurnError> {
        answer.parse().map_err(|source| Self::value(effect, source))
    }
}
