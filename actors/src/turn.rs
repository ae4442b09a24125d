//! A turn: what an agent may ask of the world, durably.
//!
//! Each effect has an identity: its name and how often the name was used before in this turn. It is asked for in three
//! beats. *Recall*: the run looks whether the journal has its answer; if so, that is it. *Perform*: if not, it is done.
//! *Record*: the answer goes into the journal, and only then to the agent.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
};

use rand_chacha::rand_core::Rng;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use soloist_kernel::{
    effect::Outcome,
    id::{AgentName, BadName, EffectId, EffectName, RunId, StepName},
    payload::{Digest, Payload, PayloadError},
    run::EffectRef,
    time::Timestamp,
};
use soloist_memory::{Assertion, Fact, Provenance};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{context::Context, run::Line};

/// An agent's hold on the world, for one turn. Cloning it is cheap.
#[derive(Clone)]
pub struct Turn {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<Context>,
    line: Line,
    run: RunId,
    agent: AgentName,
    used: Mutex<BTreeMap<EffectName, u32>>,
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

impl Turn {
    pub(crate) fn new(context: Arc<Context>, line: Line, run: RunId, agent: AgentName) -> Self {
        let used = Mutex::new(BTreeMap::new());
        Self { inner: Arc::new(Inner { context, line, run, agent, used }) }
    }

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

    /// The time: the same in every replay.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn now(&self) -> Result<Timestamp, TurnError> {
        let env = self.inner.context.env.clone();
        self.effect("now", &json!(null), || async move { Ok(env.now()) }).await
    }

    /// A random number: the same in every replay.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn random(&self) -> Result<u64, TurnError> {
        let context = self.inner.context.clone();
        let effect = self.inner.next("random")?;
        let label = self.id(&effect).to_string();
        self.effect_at(effect, &json!(null), || async move {
            Ok(context.env.entropy(&label).next_u64())
        })
        .await
    }

    /// Does `work` once and remembers its answer under `name`: the way to call what Soloist has no effect for. If the process
    /// dies before the answer is recorded, `work` is done again: it must be harmless to repeat.
    ///
    /// # Errors
    ///
    /// [`TurnError`]; an `Err` of `work` is not recorded, so the next attempt tries again.
    pub async fn step<T, F, E>(&self, name: &str, work: impl FnOnce() -> F) -> Result<T, TurnError>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
        E: std::fmt::Display,
    {
        self.effect(name, &json!(null), || async {
            work().await.map_err(|error| error.to_string())
        })
        .await
    }

    /// The newest version of a fact, with its provenance, or null.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn fact(&self, subject: &str, name: &str) -> Result<Option<Value>, TurnError> {
        let memory = self.inner.context.memory.clone();
        let asked = json!([subject, name]);
        self.effect("fact", &asked, || async move {
            let fact = memory.fact(subject, name).map_err(|error| error.to_string())?;
            fact.map(|fact| Ok(fact.payload().map_err(|error| error.to_string())?.value()))
                .transpose()
        })
        .await
    }

    /// Asserts a fact, with this effect as its provenance; gives its version. A replay does not assert it again.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn remember(
        &self,
        subject: &str,
        name: &str,
        value: &impl Serialize,
    ) -> Result<u32, TurnError> {
        let effect = self.inner.next("remember")?;
        let value = Payload::of(value).map_err(|source| self.value(&effect, source))?;
        let asked = json!([subject, name, value.value()]);
        let assertion = Assertion {
            subject: subject.into(),
            name: name.into(),
            value,
            expected_version: None,
            provenance: Provenance::Agent {
                agent: self.inner.agent.clone(),
                effect: self.id(&effect),
            },
        };
        let context = self.inner.context.clone();
        self.effect_at(effect, &asked, || async move {
            let fact: Result<Fact, String> = context.remember(assertion).await;
            fact.map(|fact| fact.version)
        })
        .await
    }

    /// Proposes a write and waits until it is settled: at once if policy allows it, else when the operator has decided. The
    /// process may end and start again in between.
    ///
    /// # Errors
    ///
    /// [`TurnError`]. That a write was denied, aborted or failed is an [`Outcome`], not an error.
    pub async fn propose(
        &self,
        operation: &str,
        arguments: &impl Serialize,
    ) -> Result<Outcome, TurnError> {
        let (connector, name) = operation.split_once('.').unwrap_or(("", operation));
        let effect = self.inner.next(operation)?;
        let arguments = Payload::of(arguments).map_err(|source| self.value(&effect, source))?;
        let (connector, operation) = (connector.parse()?, name.parse()?);
        let (reply, answer) = oneshot::channel();
        self.inner.line.propose(effect, connector, operation, arguments, reply);
        answer.await.map_err(|_| TurnError::Abandoned)?
    }

    async fn effect<T, F>(
        &self,
        name: &str,
        asked: &Value,
        perform: impl FnOnce() -> F,
    ) -> Result<T, TurnError>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, String>>,
    {
        let effect = self.inner.next(name)?;
        self.effect_at(effect, asked, perform).await
    }

    /// Recall, perform, record.
    async fn effect_at<T, F>(
        &self,
        effect: EffectRef,
        asked: &Value,
        perform: impl FnOnce() -> F,
    ) -> Result<T, TurnError>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, String>>,
    {
        let line = &self.inner.line;
        let asked = Digest::of(asked.to_string().as_bytes());
        let (reply, answer) = oneshot::channel();
        line.recall(effect.clone(), asked, reply);
        if let Some(answer) = answer.await.map_err(|_| TurnError::Abandoned)?? {
            return answer.parse().map_err(|source| self.value(&effect, source));
        }
        let performed = perform().await;
        let value = performed
            .map_err(|problem| TurnError::Effect { effect: effect.to_string(), problem })?;
        let answer = Payload::of(&value).map_err(|source| self.value(&effect, source))?;
        let (reply, recorded) = oneshot::channel();
        line.record(effect, asked, answer, reply);
        recorded.await.map_err(|_| TurnError::Abandoned)??;
        Ok(value)
    }

    fn id(&self, effect: &EffectRef) -> EffectId {
        EffectId {
            run: self.inner.run.clone(),
            step: self.inner.line.step.clone(),
            name: effect.name.clone(),
            occurrence: effect.occurrence,
        }
    }

    fn value(&self, effect: &EffectRef, source: PayloadError) -> TurnError {
        TurnError::Value { effect: effect.to_string(), source }
    }
}

impl Inner {
    /// The identity of the next use of `name`.
    fn next(&self, name: &str) -> Result<EffectRef, TurnError> {
        let name = EffectName::new(name)?;
        let mut used = self.used.lock().expect("counting does not panic");
        let count = used.entry(name.clone()).or_insert(0);
        let occurrence = *count;
        *count += 1;
        Ok(EffectRef { name, occurrence })
    }
}
