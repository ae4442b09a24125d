//! What an agent is: a name, a version, what it declares of itself, and an async function from input to output.

use std::{future::Future, pin::Pin};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use soloist_kernel::{
    catalog::{AgentKind, AgentSpec},
    payload::Payload,
    run::{StepError, StepErrorKind},
};
use thiserror::Error;

use crate::turn::{Turn, TurnError};

/// Most effects of a turn, where an agent says nothing else. Each is a record of its run's history.
pub const EFFECTS_MAX: u32 = 1_000;

/// A specialised worker. Its turns are durable: after a crash the function runs again and gets the recorded answers to what
/// it had asked, so that nothing is done or paid for twice.
///
/// What it asks of the world, it asks through its [`Turn`]: time, chance, memory, the operator, other agents, writes. Between
/// those it must be deterministic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent",
    note = "implement `soloist::Agent`: a NAME, a Kind (`ReadOnly` or `Transactional`), Input and Output types that derive `JsonSchema`, and `async fn run(&self, turn, input)`"
)]
pub trait Agent: Send + Sync + 'static {
    /// Its name, by which workflows call it.
    const NAME: &'static str;

    /// Its version; change it when the order or the meaning of its effects changes. Several versions may be added to one
    /// kernel: a run stays with the one that was the newest when it began.
    const VERSION: u32 = 1;

    /// Whether it may propose writes: [`ReadOnly`] or [`Transactional`].
    type Kind: Kind;

    /// The operations that it may propose or read: `mail.send`. Another one is refused.
    const TOOLS: &'static [&'static str] = &[];

    /// The ways in which it says it may fail: see [`Failure::declared`].
    const FAILURES: &'static [&'static str] = &[];

    /// Most effects of one turn.
    const EFFECTS_MAX: u32 = EFFECTS_MAX;

    /// What it is given. A step's input that does not have this shape fails the step.
    type Input: DeserializeOwned + JsonSchema + Send;

    /// What it returns. It is checked against its schema before the run sees it.
    type Output: Serialize + JsonSchema + Send;

    /// One turn.
    fn run(
        &self,
        turn: Turn<Self::Kind>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// The kinds of agents: [`ReadOnly`] and [`Transactional`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of agent",
    note = "write `type Kind = soloist::ReadOnly;` or `type Kind = soloist::Transactional;`"
)]
pub trait Kind: sealed::Sealed + Send + Sync + Sized + 'static {
    /// The kind as the kernel knows it.
    const KIND: AgentKind;
}

/// An agent that reads and answers. Its turn has no `propose`.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}

/// An agent that may propose writes.
#[derive(Clone, Copy, Debug)]
pub enum Transactional {}

impl Kind for ReadOnly {
    const KIND: AgentKind = AgentKind::ReadOnly;
}

impl Kind for Transactional {
    const KIND: AgentKind = AgentKind::Transactional;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ReadOnly {}
    impl Sealed for super::Transactional {}
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

    /// It failed in a way that it declares in [`Agent::FAILURES`]. Another attempt would fail as well; what the step's
    /// `on_failure` says is done.
    #[must_use]
    pub fn declared(failure: &str, message: impl std::fmt::Display) -> Self {
        Self { message: format!("{failure}: {message}"), kind: StepErrorKind::Declared }
    }
}

impl From<TurnError> for Failure {
    fn from(error: TurnError) -> Self {
        let kind = match error {
            TurnError::Forbidden(_) => StepErrorKind::Forbidden,
            _ => StepErrorKind::Failed,
        };
        Self { message: error.to_string(), kind }
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
    fn spec(&self) -> AgentSpec;

    fn take_turn<'a>(
        &'a self,
        turn: Turn<Transactional>,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = TurnResult> + Send + 'a>>;
}

impl<A: Agent> DynAgent for A {
    fn spec(&self) -> AgentSpec {
        AgentSpec {
            version: A::VERSION,
            kind: A::Kind::KIND,
            input: schema::<A::Input>(),
            output: schema::<A::Output>(),
            failures: A::FAILURES.iter().map(|failure| (*failure).to_owned()).collect(),
            tools: A::TOOLS.iter().map(|tool| (*tool).to_owned()).collect(),
            effects_max: A::EFFECTS_MAX,
        }
    }

    fn take_turn<'a>(
        &'a self,
        turn: Turn<Transactional>,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = TurnResult> + Send + 'a>> {
        Box::pin(async move {
            let wrong = |what: &str, error: &dyn std::fmt::Display| {
                let message = format!("agent `{}`, {what}: {error}", A::NAME);
                StepError::new(StepErrorKind::Invalid, message)
            };
            let input = input.parse().map_err(|error| wrong("input", &error))?;
            let output = match self.run(turn.of_kind(), input).await {
                Ok(output) => output,
                Err(failure) => return Err(undeclared::<A>(failure).into()),
            };
            Payload::of(&output).map_err(|error| wrong("output", &error))
        })
    }
}

/// A failure that is said to be declared must be.
fn undeclared<A: Agent>(failure: Failure) -> Failure {
    let named = |known: &&&str| failure.message.split(':').next() == Some(**known);
    if failure.kind != StepErrorKind::Declared || A::FAILURES.iter().any(|known| named(&known)) {
        return failure;
    }
    let there = A::FAILURES.join(", ");
    let message = format!(
        "{} (agent `{}` does not declare it; it declares: {there})",
        failure.message,
        A::NAME
    );
    Failure { message, ..failure }
}

/// The JSON Schema of `T`: as it is written for an output, which is what `serde` reads for an input as well.
fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}
