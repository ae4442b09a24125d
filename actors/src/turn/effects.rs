//! What is answered at once: time, chance, memory, reads, and whatever an agent does itself.

use std::future::Future;

use rand_chacha::rand_core::Rng;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use soloist_kernel::{
    experiment::Experiment,
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    run::EffectRef,
    time::Timestamp,
};
use soloist_memory::{Assertion, Provenance};
use tokio::sync::oneshot;

use super::{Turn, TurnError};
use crate::{context::operation_of, views};

impl<K> Turn<K> {
    /// The time: the same in every replay.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn now(&self) -> Result<Timestamp, TurnError> {
        let env = self.inner.context.env.clone();
        let effect = self.next("now")?;
        self.effect(effect, &json!(null), || async move { Ok(literal(env.now())) }).await
    }

    /// A random number: the same in every replay.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn random(&self) -> Result<u64, TurnError> {
        let context = self.inner.context.clone();
        let effect = self.next("random")?;
        let label = self.id(&effect).to_string();
        self.effect(effect, &json!(null), || async move {
            Ok(literal(context.env.entropy(&label).next_u64()))
        })
        .await
    }

    /// The way in which this run does something, of those that `experiment` tries: `turn.arm("greeting", &["warm", "brief"])`.
    /// Each is as likely as the others. The topmost run above this one draws, so that all beneath it have the same arm, in every
    /// step and attempt; `soloist compare` tells what came of each.
    ///
    /// # Errors
    ///
    /// [`TurnError`], also if there are fewer than two arms, or more than
    /// [`ARMS_MAX`](soloist_kernel::experiment::ARMS_MAX).
    pub async fn arm(&self, experiment: &str, arms: &[&str]) -> Result<String, TurnError> {
        let bad = |problem: String| TurnError::Effect { effect: "arm".into(), problem };
        let experiment =
            Experiment::new(experiment, arms).map_err(|error| bad(error.to_string()))?;
        let effect = self.next_of_kernel(&experiment.effect())?;
        let (context, run) = (self.inner.context.clone(), self.inner.run.clone());
        let asked = json!(experiment.arms());
        let drawn = self.effect(effect, &asked, || async move {
            let topmost = views::topmost_of(&*context.journal, &run);
            Ok(literal(experiment.draw(topmost.map_err(|error| error.to_string())?)))
        });
        Ok(drawn.await?.arm.to_string())
    }

    /// Does `work` once and remembers its answer under `name`: the way to call what Soloist has no effect for. If the process
    /// dies before the answer is recorded, `work` is done again: it must be harmless to repeat. Its answer comes from outside
    /// and is labelled so.
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
        let effect = self.next(name)?;
        let origin = format!("agent:{}", self.inner.agent);
        let stage = self.inner.context.stage.clone();
        self.effect(effect, &json!(null), || async {
            if let Some(stage) = stage {
                return stage.nothing(name);
            }
            let answer = work().await.map_err(|error| error.to_string())?;
            Ok(Labeled::new(answer, Labels::untrusted(origin)))
        })
        .await
    }

    /// Reads from a connector: `turn.call("crm.contact", &json!({ "email": … }))`. It goes through the connector's governor,
    /// and what comes back has the connector's labels.
    ///
    /// # Errors
    ///
    /// [`TurnError`], with the connector's fault in words.
    pub async fn call<T: Serialize + DeserializeOwned>(
        &self,
        operation: &str,
        arguments: &impl Serialize,
    ) -> Result<T, TurnError> {
        let effect = self.next(operation)?;
        let arguments = Payload::of(arguments).map_err(|source| Self::value(&effect, source))?;
        let asked = json!([operation, arguments.value()]);
        let context = self.inner.context.clone();
        let (agent, line) = (self.inner.agent.clone(), self.inner.line.clone());
        let (run, operation, paid) = (self.inner.run.clone(), operation.to_owned(), effect.clone());
        self.effect(effect, &asked, || async move {
            let call = operation_of(&operation)?;
            let (reply, reserved) = oneshot::channel();
            line.reserve(paid, call, arguments.clone(), reply);
            let reserved = reserved.await.map_err(|_| TurnError::Abandoned.to_string())?;
            let reserved = reserved.map_err(|error| error.to_string())?;
            let answer = context.read(&run, &agent, line.version, &operation, arguments).await;
            if let Some(call) = reserved {
                line.settle(call, answer.clone().map(|answer| answer.value));
            }
            let answer = answer.map_err(|fault| fault.to_string())?;
            let value = answer.value.parse::<T>().map_err(|error| error.to_string())?;
            Ok(Labeled::new(value, answer.labels))
        })
        .await
    }

    /// The newest version of a fact, with its provenance, or null.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn fact(&self, subject: &str, name: &str) -> Result<Option<Value>, TurnError> {
        let context = self.inner.context.clone();
        let asked = json!([subject, name]);
        let effect = self.next("fact")?;
        self.effect(effect, &asked, || async move {
            let own = context.stage.as_ref().and_then(|stage| stage.fact(subject, name));
            let found = match own {
                Some(fact) => Some(fact),
                None => context.memory.fact(subject, name).map_err(|error| error.to_string())?,
            };
            let Some(fact) = found else { return Ok(literal(None)) };
            let value = fact.payload().map_err(|error| error.to_string())?.value();
            Ok(Labeled::new(Some(value), fact.labels))
        })
        .await
    }

    /// Asserts a fact, with this effect as its provenance and the labels of everything this turn has seen; gives its version.
    /// A replay does not assert it again.
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
        let effect = self.next("remember")?;
        let value = Payload::of(value).map_err(|source| Self::value(&effect, source))?;
        let asked = json!([subject, name, value.value()]);
        let provenance =
            Provenance::Agent { agent: self.inner.agent.clone(), effect: self.id(&effect) };
        let context = self.inner.context.clone();
        let line = self.inner.line.clone();
        let (subject, name) = (subject.to_owned(), name.to_owned());
        self.effect(effect, &asked, || async move {
            let (reply, labels) = oneshot::channel();
            line.labels(reply);
            let labels = labels.await.map_err(|_| TurnError::Abandoned.to_string())?;
            let labels = labels.map_err(|error| error.to_string())?;
            let expected_version = None;
            let assertion =
                Assertion { subject, name, value, labels, expected_version, provenance };
            context.remember(assertion).await.map(|fact| literal(fact.version))
        })
        .await
    }

    /// Recall, perform, record.
    async fn effect<T, F>(
        &self,
        effect: EffectRef,
        asked: &Value,
        perform: impl FnOnce() -> F,
    ) -> Result<T, TurnError>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<Labeled<T>, String>>,
    {
        let line = &self.inner.line;
        let asked = Digest::of(asked.to_string().as_bytes());
        let (reply, answer) = oneshot::channel();
        line.recall(effect.clone(), asked, reply);
        if let Some(answer) = answer.await.map_err(|_| TurnError::Abandoned)?? {
            return Self::parsed(&effect, &answer);
        }
        let stage = self.inner.context.stage.as_ref();
        let performed = match stage.and_then(|stage| stage.answer(&self.id(&effect), asked)) {
            Some(known) => known
                .value
                .parse()
                .map_err(|error| error.to_string())
                .map(|value| Labeled::new(value, known.labels)),
            None => perform().await,
        };
        let answer = performed
            .map_err(|problem| TurnError::Effect { effect: effect.to_string(), problem })?;
        let payload = Payload::of(&answer.value).map_err(|source| Self::value(&effect, source))?;
        let (reply, recorded) = oneshot::channel();
        line.record(effect, asked, Labeled::new(payload, answer.labels), reply);
        recorded.await.map_err(|_| TurnError::Abandoned)??;
        Ok(answer.value)
    }
}

/// What the kernel itself says.
fn literal<T>(value: T) -> Labeled<T> {
    Labeled::new(value, Labels::literal())
}
