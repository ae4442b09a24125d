//! What an agent is: a name, a version, and an async function from input to output.

use std::{future::Future, pin::Pin};

use serde::{Serialize, de::DeserializeOwned};
use soloist_kernel::{
    payload::Payload,
    run::{StepError, StepErrorKind},
};
use thiserror::Error;

use crate::turn::{Turn, TurnError};

/// A specialised worker. Its turns are durable: after a crash the function runs again and gets the recorded answers to what
/// it had asked, so that nothing is done or paid for twice.
///
/// What it asks of the world, it asks through its [`Turn`]: time, chance, memory, writes. Between those it must be
/// deterministic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent",
    note = "implement `soloist::Agent`: a NAME, a VERSION, Input and Output types, and `async fn run(&self, turn, input)`"
)]
pub trait Agent: Send + Sync + 'static {
    /// Its name, by which workflows call it.
    const NAME: &'static str;

    /// Its version; change it when the order or the meaning of its effects changes.
    const VERSION: u32 = 1;

    /// What it is given. A step's input that does not have this shape fails the step.
    type Input: DeserializeOwned + Send;

    /// What it returns.
    type Output: Serialize + Send;

    /// One turn.
    fn run(
        &self,
        turn: Turn,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Why a turn failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct Failure {
    message: String,
    kind: StepErrorKind,
}

impl Failure {
    /// Another attempt may help; the step's retry policy decides whether there is one.
    #[must_use]
    pub fn retry(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepErrorKind::Failed }
    }

    /// Another attempt would fail as well.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepErrorKind::Final }
    }
}

impl From<TurnError> for Failure {
    fn from(error: TurnError) -> Self {
        Self { message: error.to_string(), kind: StepErrorKind::Failed }
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure.message)
    }
}

/// How a turn ended.
pub(crate) type TurnResult = Result<Payload, StepError>;

/// An agent without its types.
pub(crate) trait DynAgent: Send + Sync {
    fn take_turn<'a>(
        &'a self,
        turn: Turn,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = TurnResult> + Send + 'a>>;
}

impl<A: Agent> DynAgent for A {
    fn take_turn<'a>(
        &'a self,
        turn: Turn,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = TurnResult> + Send + 'a>> {
        Box::pin(async move {
            let wrong = |what: &str, error: &dyn std::fmt::Display| {
                let message = format!("agent `{}`, {what}: {error}", A::NAME);
                StepError::new(StepErrorKind::Invalid, message)
            };
            let input = input.parse().map_err(|error| wrong("input", &error))?;
            let output = self.run(turn, input).await?;
            Payload::of(&output).map_err(|error| wrong("output", &error))
        })
    }
}
