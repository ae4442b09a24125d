//! What is waited for: the operator, time, another agent, a write.

use std::{sync::atomic::Ordering, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use soloist_kernel::{
    effect::Outcome,
    id::AgentName,
    payload::{Digest, Payload},
    run::Request,
};
use tokio::sync::oneshot;

use super::{Turn, TurnError};
use crate::agent::Transactional;

/// A question to the operator.
#[derive(Clone, Debug)]
pub struct Question {
    prompt: String,
    choices: Vec<String>,
    deadline: Option<(Duration, Value)>,
}

impl Question {
    /// A question that any value answers.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), choices: vec![], deadline: None }
    }

    /// The same, answered by one of `choices`.
    #[must_use]
    pub fn choices<T: Into<String>>(mut self, choices: impl IntoIterator<Item = T>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// The same, with `answer` as its answer if there is none after `deadline`.
    #[must_use]
    pub fn or_after(mut self, deadline: Duration, answer: impl Into<Value>) -> Self {
        self.deadline = Some((deadline, answer.into()));
        self
    }
}

impl Turn<Transactional> {
    /// Proposes a write and waits until it is settled: at once if policy allows it, else when the operator has decided. The
    /// process may end and start again in between.
    ///
    /// ```compile_fail
    /// use soloist_actors::{ReadOnly, Turn};
    /// async fn reads(turn: Turn<ReadOnly>) {
    ///     // A read-only agent has no `propose`.
    ///     turn.propose("mail.send", &()).await;
    /// }
    /// ```
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
        let effect = self.next(operation)?;
        let arguments = Payload::of(arguments).map_err(|source| Self::value(&effect, source))?;
        let (connector, operation) = (connector.parse()?, name.parse()?);
        let (reply, answer) = oneshot::channel();
        self.inner.line.propose(effect, connector, operation, arguments, reply);
        self.waited(answer).await
    }
}

impl<K> Turn<K> {
    /// Asks the operator, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`TurnError`], also if the answer is not a `T`.
    pub async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, TurnError> {
        let effect = self.next("ask")?;
        let Question { prompt, choices, deadline } = question;
        let asked = json!([prompt, choices]);
        let deadline = match deadline {
            Some((after, answer)) => {
                let answer = Payload::of(&answer).map_err(|source| Self::value(&effect, source))?;
                Some((after, answer))
            }
            None => None,
        };
        let answer =
            self.wait(effect.clone(), &asked, Request::Ask { prompt, choices, deadline }).await?;
        Self::parsed(&effect, &answer)
    }

    /// Waits for `duration`, from now on and over every restart.
    ///
    /// # Errors
    ///
    /// [`TurnError`].
    pub async fn sleep(&self, duration: Duration) -> Result<(), TurnError> {
        let effect = self.next("sleep")?;
        let asked = json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        self.wait(effect, &asked, Request::Sleep(duration)).await.map(drop)
    }

    /// Has another agent do a part of the task: a turn of its own, in a run beneath this one, with the labels of everything
    /// this turn has seen. If this run is ended or takes back what it did, so does that one.
    ///
    /// # Errors
    ///
    /// [`TurnError`], also if the other agent fails.
    pub async fn delegate<T: DeserializeOwned>(
        &self,
        agent: &str,
        input: &impl Serialize,
    ) -> Result<T, TurnError> {
        let effect = self.next("delegate")?;
        let agent: AgentName = agent.parse()?;
        let failed = |problem: String| TurnError::Effect { effect: effect.to_string(), problem };
        if !self.inner.context.knows_agent(&agent) {
            return Err(failed(format!("there is no agent `{agent}`; add it to the kernel")));
        }
        let input = Payload::of(input).map_err(|source| Self::value(&effect, source))?;
        let asked = json!([agent, input.value()]);
        let request = Request::Delegate { agent: agent.clone(), input };
        let answer = self.wait(effect.clone(), &asked, request).await?.value();
        if answer["outcome"] != json!("completed") {
            let reason = answer["reason"].as_str().unwrap_or("it ended without a reason");
            return Err(failed(format!("agent `{agent}` failed: {reason}")));
        }
        serde_json::from_value(answer["output"].clone())
            .map_err(|error| failed(format!("agent `{agent}` answered something else: {error}")))
    }

    async fn wait(
        &self,
        effect: soloist_kernel::run::EffectRef,
        asked: &Value,
        what: Request,
    ) -> Result<Payload, TurnError> {
        let asked = Digest::of(asked.to_string().as_bytes());
        let (reply, answer) = oneshot::channel();
        self.inner.line.wait(effect, asked, what, reply);
        self.waited(answer).await
    }

    /// Waits for what takes its time. A branch that does so does nothing else, and when none of a turn's branches does
    /// anything, its run may leave memory.
    async fn waited<T>(
        &self,
        answer: oneshot::Receiver<Result<T, TurnError>>,
    ) -> Result<T, TurnError> {
        self.rests();
        let answer = answer.await;
        self.works();
        answer.map_err(|_| TurnError::Abandoned)?
    }

    /// This branch does nothing from now on.
    pub(super) fn rests(&self) {
        if self.inner.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.line.idle();
        }
    }

    /// This branch goes on.
    pub(super) fn works(&self) {
        self.inner.busy.fetch_add(1, Ordering::AcqRel);
    }
}
