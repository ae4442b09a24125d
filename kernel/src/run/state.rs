//! The state of a run, and how events change it.

use std::sync::Arc;

use thiserror::Error;

use super::event::{EffectRef, Event, StepError, StepRetry};
use crate::{
    effect::{Outcome, Write, WriteEvent, WriteState},
    id::{EffectId, RunId, StepName, WorkflowRef},
    journal::StreamSeq,
    payload::{Digest, Payload},
    time::Timestamp,
    workflow::{self, Work, Workflow},
};

/// A run, folded from its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The version it is pinned to.
    pub workflow: WorkflowRef,
    /// That version.
    pub definition: Arc<Workflow>,
    /// Its input.
    pub input: Payload,
    /// Where it stands.
    pub status: Status,
    /// Its steps, in the order of the definition.
    pub steps: Vec<Step>,
    /// When it began.
    pub started_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
    /// The last record of its stream that is folded in.
    pub stream_seq: StreamSeq,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// It is under way, or waits.
    Running,
    /// It ended well.
    Completed {
        /// Its output.
        output: Payload,
    },
    /// It ended badly.
    Failed {
        /// The step that failed.
        step: StepName,
        /// Why.
        error: StepError,
        /// Whether the operator has dismissed the incident.
        dismissed: bool,
    },
}

impl Status {
    /// The status in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A step's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts begun.
    pub attempt: u32,
    /// The effects of its turn, in the order they were first asked for.
    pub effects: Vec<Effect>,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq)]
pub enum StepStatus {
    /// Its needs are not met yet.
    Pending,
    /// An attempt is under way.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It waits for its next attempt.
    BackingOff {
        /// When that is due.
        at: Timestamp,
    },
    /// It will not run.
    Skipped,
    /// It ended well.
    Completed {
        /// What it returned.
        output: Payload,
    },
    /// It failed for good.
    Failed,
}

/// An effect of a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Which.
    pub id: EffectRef,
    /// The hash of what was asked: a replay must ask the same.
    pub asked: Digest,
    /// What came of it.
    pub state: EffectState,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectState {
    /// It was answered.
    Recorded {
        /// The answer.
        answer: Payload,
    },
    /// It is a write.
    Write(Box<Write>),
}

/// An event that cannot follow the state: while running a defect, while recovering a damaged journal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("event `{event}` cannot follow the state of run {run}: {problem}")]
pub struct Illegal {
    /// The run.
    pub run: RunId,
    /// The event.
    pub event: &'static str,
    /// Why not.
    pub problem: String,
}

impl Run {
    /// The run that [`Event::Started`] begins.
    #[must_use]
    pub fn started(
        id: RunId,
        workflow: WorkflowRef,
        definition: Arc<Workflow>,
        input: Payload,
        at: Timestamp,
    ) -> Self {
        let pending = Step { status: StepStatus::Pending, attempt: 0, effects: vec![] };
        let steps = vec![pending; definition.steps.len()];
        let status = Status::Running;
        let (started_at, updated_at, stream_seq) = (at, at, StreamSeq(0));
        Self { id, workflow, definition, input, status, steps, started_at, updated_at, stream_seq }
    }

    /// Folds `event`, which happened at `at`, into the run.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if `event` cannot follow this state.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        match event {
            Event::Started { .. } => return Err(self.illegal(event, "it has begun already")),
            Event::Completed { output } => {
                self.end(event, Status::Completed { output: output.clone() })?
            }
            Event::Failed { step, error } => {
                let (step, error) = (step.clone(), error.clone());
                self.end(event, Status::Failed { step, error, dismissed: false })?;
            }
            Event::Dismissed { .. } => match &mut self.status {
                Status::Failed { dismissed, .. } if !*dismissed => *dismissed = true,
                _ => return Err(self.illegal(event, "there is no incident")),
            },
            Event::StepStarted { step, .. }
            | Event::StepSkipped { step }
            | Event::StepCompleted { step, .. }
            | Event::StepFailed { step, .. }
            | Event::Recorded { step, .. }
            | Event::Write { step, .. } => {
                let Some(index) = self.definition.index(step) else {
                    return Err(self.illegal(event, &format!("there is no step `{step}`")));
                };
                let result = self.steps[index].apply(event, at);
                result
                    .map_err(|problem| self.illegal(event, &format!("step `{step}`: {problem}")))?;
            }
        }
        self.updated_at = at;
        Ok(())
    }

    fn end(&mut self, event: &Event, status: Status) -> Result<(), Illegal> {
        match self.status {
            Status::Running => self.status = status,
            _ => return Err(self.illegal(event, "it is over")),
        }
        Ok(())
    }

    fn illegal(&self, event: &Event, problem: &str) -> Illegal {
        Illegal { run: self.id.clone(), event: event.kind(), problem: problem.into() }
    }

    /// The steps with their definitions.
    pub fn graph(&self) -> impl Iterator<Item = (&workflow::Step, &Step)> {
        self.definition.steps.iter().zip(&self.steps)
    }

    /// The step called `name`: its definition and its state.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<(&workflow::Step, &Step)> {
        self.definition.index(name).map(|index| (&self.definition.steps[index], &self.steps[index]))
    }

    /// Every write of the run, with its place.
    pub fn writes(&self) -> impl Iterator<Item = (&StepName, &EffectRef, &Write)> {
        self.graph().flat_map(|(definition, step)| {
            step.effects.iter().filter_map(|effect| match &effect.state {
                EffectState::Write(write) => Some((&definition.name, &effect.id, &**write)),
                EffectState::Recorded { .. } => None,
            })
        })
    }

    /// The write `effect` of `step`.
    #[must_use]
    pub fn write(&self, step: &StepName, effect: &EffectRef) -> Option<&Write> {
        self.step(step).and_then(|(_, state)| state.write(effect))
    }

    /// The full id of an effect of this run.
    #[must_use]
    pub fn effect_id(&self, step: &StepName, effect: &EffectRef) -> EffectId {
        EffectId {
            run: self.id.clone(),
            step: step.clone(),
            name: effect.name.clone(),
            occurrence: effect.occurrence,
        }
    }
}

impl Step {
    /// Folds an event of this step. One line for each legal transition.
    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), String> {
        use StepStatus as S;
        match (&self.status, event) {
            (S::Pending | S::BackingOff { .. }, Event::StepStarted { attempt, .. })
                if *attempt == self.attempt + 1 =>
            {
                self.attempt = *attempt;
                self.status = S::Running { since: at };
            }
            (S::Pending, Event::StepSkipped { .. }) => self.status = S::Skipped,
            (S::Running { .. }, Event::StepCompleted { output, .. }) => {
                self.status = S::Completed { output: output.clone() };
            }
            (S::Pending | S::Running { .. }, Event::StepFailed { next: StepRetry::Never, .. }) => {
                self.status = S::Failed;
            }
            (S::Running { .. }, Event::StepFailed { next: StepRetry::At(due), .. }) => {
                self.status = S::BackingOff { at: *due };
                self.effects.retain(Effect::outlives_attempt);
            }
            (S::Running { .. }, Event::Recorded { effect, asked, answer, .. }) => {
                let state = EffectState::Recorded { answer: answer.clone() };
                self.add(effect, *asked, state)?;
            }
            (
                S::Running { .. },
                Event::Write {
                    effect,
                    asked: Some(asked),
                    event: WriteEvent::Proposed { proposal, judgement },
                    ..
                },
            ) => {
                let write = Write::proposed((**proposal).clone(), judgement.clone(), at);
                self.add(effect, *asked, EffectState::Write(Box::new(write)))?;
            }
            // A write that is under way ends whatever has become of its step.
            (_, Event::Write { effect, event, .. }) => {
                let write =
                    self.write_mut(effect).ok_or_else(|| format!("there is no write {effect}"))?;
                write.apply(event, at).map_err(|illegal| illegal.to_string())?;
            }
            (status, _) => return Err(format!("it is {}", status.word())),
        }
        Ok(())
    }

    fn add(&mut self, effect: &EffectRef, asked: Digest, state: EffectState) -> Result<(), String> {
        if self.effect(effect).is_some() {
            return Err(format!("effect {effect} is there already"));
        }
        self.effects.push(Effect { id: effect.clone(), asked, state });
        Ok(())
    }

    /// The effect `id`.
    #[must_use]
    pub fn effect(&self, id: &EffectRef) -> Option<&Effect> {
        self.effects.iter().find(|effect| effect.id == *id)
    }

    fn write(&self, id: &EffectRef) -> Option<&Write> {
        match &self.effect(id)?.state {
            EffectState::Write(write) => Some(write),
            EffectState::Recorded { .. } => None,
        }
    }

    fn write_mut(&mut self, id: &EffectRef) -> Option<&mut Write> {
        let effect = self.effects.iter_mut().find(|effect| effect.id == *id)?;
        match &mut effect.state {
            EffectState::Write(write) => Some(write),
            EffectState::Recorded { .. } => None,
        }
    }

    /// Its output, once it has completed.
    #[must_use]
    pub fn output(&self) -> Option<&Payload> {
        match &self.status {
            StepStatus::Completed { output } => Some(output),
            _ => None,
        }
    }

    /// Whether nothing more can happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.status {
            StepStatus::Completed { .. } | StepStatus::Skipped | StepStatus::Failed => true,
            StepStatus::Pending | StepStatus::Running { .. } | StepStatus::BackingOff { .. } => {
                false
            }
        }
    }

    /// Whether a write of it waits for the operator.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        self.effects.iter().any(|effect| match &effect.state {
            EffectState::Write(write) => write.waits_for_operator(),
            EffectState::Recorded { .. } => false,
        })
    }
}

impl StepStatus {
    /// The status in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::BackingOff { .. } => "backing off",
            Self::Skipped => "skipped",
            Self::Completed { .. } => "completed",
            Self::Failed => "failed",
        }
    }
}

impl Effect {
    /// What an attempt leaves to the next: everything but writes that certainly did not happen. So nothing is paid for
    /// twice, and what failed is tried again.
    fn outlives_attempt(&self) -> bool {
        match &self.state {
            EffectState::Recorded { .. } => true,
            EffectState::Write(write) => {
                !matches!(write.state, WriteState::Settled(Outcome::Failed { .. }))
            }
        }
    }
}

/// Whether step `work` is carried out by an agent.
#[must_use]
pub(super) fn is_agent(work: &Work) -> bool {
    match work {
        Work::Agent(_) => true,
        Work::Call { .. } => false,
    }
}

impl Event {
    /// The event in a word, as the journal's `kind` shows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "run.started",
            Self::StepStarted { .. } => "step.started",
            Self::StepSkipped { .. } => "step.skipped",
            Self::StepCompleted { .. } => "step.completed",
            Self::StepFailed { .. } => "step.failed",
            Self::Recorded { .. } => "effect.recorded",
            Self::Write { event, .. } => event.kind(),
            Self::Completed { .. } => "run.completed",
            Self::Failed { .. } => "run.failed",
            Self::Dismissed { .. } => "run.dismissed",
        }
    }
}
