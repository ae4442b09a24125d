//! Names and ids.
//!
//! Every id is text that a person can read in a log and type in a shell. An id that the kernel makes is derived from what
//! it names, never drawn by chance, so that the same thing has the same id after every crash and replay.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::payload::Digest;

/// Longest id, in bytes. Ids are parts of storage keys, and fjall keys end at 64 KiB; 200 keeps a key with three of them
/// under one KiB.
pub const ID_BYTES_MAX: usize = 200;

/// Longest name, in bytes. Ids are made of names: a change's run is its connector's name and a hash.
pub const NAME_BYTES_MAX: usize = 100;

/// Longest name of an experiment or an arm: it is part of an effect's name, with the branch that draws.
pub const EXPERIMENT_BYTES_MAX: usize = 60;

/// Longest name of a stream or an actor: a prefix, and an id or a name.
const PREFIXED_BYTES_MAX: usize = ID_BYTES_MAX + 20;

/// Text that cannot be an id or a name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{what} {given:?} {problem}; use 1 to {NAME_BYTES_MAX} of a-z A-Z 0-9 . _ : @ + - and start with a letter or digit"
)]
pub struct BadName {
    /// What was being named: "run id", "step name".
    pub what: &'static str,
    /// The text as given, cut to a readable length.
    pub given: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// How long it may be, in bytes.
    pub max: usize,
}

fn checked(what: &'static str, max: usize, text: &str) -> Result<Arc<str>, BadName> {
    let bad = |problem| {
        let given = text.chars().take(60).collect();
        Err(BadName { what, given, problem, max })
    };
    let Some(first) = text.bytes().next() else { return bad("is empty") };
    if text.len() > max {
        return bad("is too long");
    }
    if !first.is_ascii_alphanumeric() {
        return bad("does not start with a letter or digit");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+-".contains(&byte);
    if !text.bytes().all(allowed) {
        return bad("holds a character that is not allowed");
    }
    Ok(text.into())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $max:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it as a name.
            ///
            /// # Errors
            ///
            /// [`BadName`] says what the text may hold.
            pub fn new(text: impl AsRef<str>) -> Result<Self, BadName> {
                checked($what, $max, text.as_ref()).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

names! {
    /// Identifies a run for the life of the journal. Whoever starts the run chooses it; starting the same id twice with
    /// the same input is one run.
    RunId = "run id", ID_BYTES_MAX;
    /// Names a workflow; a version of it is a [`WorkflowRef`].
    WorkflowName = "workflow name", NAME_BYTES_MAX;
    /// Names a step within its workflow. Expressions refer to a step's output by it.
    StepName = "step name", NAME_BYTES_MAX;
    /// Names an agent.
    AgentName = "agent name", NAME_BYTES_MAX;
    /// Names a connector as it is mounted in this kernel: `mail`, not `smtp`.
    ConnectorName = "connector name", NAME_BYTES_MAX;
    /// Names a budget.
    BudgetName = "budget name", NAME_BYTES_MAX;
    /// Names an operation of a connector: `send`.
    OperationName = "operation name", NAME_BYTES_MAX;
    /// The type of an event, as in CloudEvents: `invoice.paid`.
    EventType = "event type", NAME_BYTES_MAX;
    /// Identifies an event among all of the kernel. An event from outside keeps the id its source gave it.
    EventId = "event id", ID_BYTES_MAX;
    /// Names an effect within a step.
    EffectName = "effect name", NAME_BYTES_MAX;
    /// Names an experiment: `greeting`.
    ExperimentName = "experiment name", EXPERIMENT_BYTES_MAX;
    /// Names one of the ways that an experiment tries: `warm`.
    ArmName = "arm name", EXPERIMENT_BYTES_MAX;
    /// Identifies something that waits for the operator. Derived from the effect and the round it waits in.
    InboxId = "inbox id", ID_BYTES_MAX;
    /// A stream of the journal: `run:mail-1`, `connector:mail`, `memory`.
    StreamId = "stream", PREFIXED_BYTES_MAX;
    /// Who caused a record: `kernel`, `operator`, `agent:triage`, `connector:mail`.
    Actor = "actor", PREFIXED_BYTES_MAX;
}

impl RunId {
    /// The stream that holds this run's history.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId(format!("run:{self}").into())
    }
}

impl Actor {
    /// The kernel itself.
    #[must_use]
    pub fn kernel() -> Self {
        Self("kernel".into())
    }

    /// The person who runs the company.
    #[must_use]
    pub fn operator() -> Self {
        Self("operator".into())
    }

    /// An agent.
    #[must_use]
    pub fn agent(name: &AgentName) -> Self {
        Self(format!("agent:{name}").into())
    }

    /// A connector.
    #[must_use]
    pub fn connector(name: &ConnectorName) -> Self {
        Self(format!("connector:{name}").into())
    }
}

/// A version of a workflow. A run is pinned to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkflowRef {
    /// The workflow.
    pub name: WorkflowName,
    /// Counted from one; a definition that differs from the newest one gets the next number.
    pub version: u32,
}

impl fmt::Display for WorkflowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Identifies an effect: the same one over every retry, crash and replay.
///
/// It is neither random per attempt nor a bare position, so adding an unrelated effect to an agent does not change the
/// ids of the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EffectId {
    /// The run it belongs to.
    pub run: RunId,
    /// The step whose turn asks for it.
    pub step: StepName,
    /// Its name within the turn.
    pub name: EffectName,
    /// Which use of the name in this turn, counted from zero.
    pub occurrence: u32,
}

impl EffectId {
    /// The idempotency key that the outside world sees: 32 hex digits of BLAKE3 over the four parts.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        self.key_of(0)
    }

    /// The key of a write that was proposed after the operator had its step tried again for the `generation`th time: the other
    /// side may have kept its refusal of the one before under that one's key, and would only repeat it.
    #[must_use]
    pub fn key_of(&self, generation: u32) -> IdempotencyKey {
        let mut hasher = blake3::Hasher::new_derive_key("soloist 2026-11 effect idempotency key");
        for part in [self.run.as_str(), self.step.as_str(), self.name.as_str()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&self.occurrence.to_le_bytes());
        if generation > 0 {
            hasher.update(&generation.to_le_bytes());
        }
        IdempotencyKey(hasher.finalize().to_hex()[..32].into())
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}#{}", self.run, self.step, self.name, self.occurrence)
    }
}

/// What an external system sees as the identity of a write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The id under which round `round` of the effect with this key waits for the operator, who is shown `content`. A modified
    /// proposal is a new round, and what is proposed anew after a failure or a crash may be something else in the same one.
    #[must_use]
    pub fn inbox_id(&self, kind: &str, round: u32, content: Digest) -> InboxId {
        let text = format!("{self}:{kind}:{round}:{content}");
        InboxId(blake3::hash(text.as_bytes()).to_hex()[..10].into())
    }

    /// The key as text: 32 lower-case hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(run: &str, step: &str, occurrence: u32) -> EffectId {
        EffectId {
            run: RunId::new(run).unwrap(),
            step: StepName::new(step).unwrap(),
            name: EffectName::new("send").unwrap(),
            occurrence,
        }
    }

    #[test]
    fn the_same_effect_has_the_same_key_and_another_has_another() {
        assert_eq!(effect("r", "s", 0).key(), effect("r", "s", 0).key());
        assert_ne!(effect("r", "s", 0).key(), effect("r", "s", 1).key());
        assert_ne!(effect("r", "s", 0).key(), effect("r", "s", 0).key_of(1));
        assert_ne!(effect("r", "s", 1).key(), effect("r", "s", 0).key_of(1));
        // The parts are length-prefixed, so text cannot move from one to the next.
        assert_ne!(effect("ra", "b", 0).key(), effect("r", "ab", 0).key());
    }

    #[test]
    fn the_longest_ids_and_names_make_streams_and_actors_that_can_be_read_back() {
        let run = RunId::new("r".repeat(ID_BYTES_MAX)).unwrap();
        assert!(StreamId::new(run.stream().as_str()).is_ok());
        let name = "n".repeat(NAME_BYTES_MAX);
        for actor in
            [Actor::agent(&name.parse().unwrap()), Actor::connector(&name.parse().unwrap())]
        {
            assert!(Actor::new(actor.as_str()).is_ok());
        }
        assert!(RunId::new("r".repeat(ID_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_bad_name_says_what_a_good_one_is() {
        let message = StepName::new("two words").unwrap_err().to_string();
        assert!(message.starts_with("step name \"two words\" holds a character"), "{message}");
        assert!(StepName::new("").is_err());
        assert!(StepName::new("-flag").is_err());
        assert!(StepName::new("x".repeat(NAME_BYTES_MAX + 1)).is_err());
    }
}
