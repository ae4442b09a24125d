//! The state of a run, and how events change it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    event::{Beginning, Cause, EffectRef, Event, Parent, StepError},
    spent::Spent,
    step::{Effect, EffectState, Step, StepStatus},
};
use crate::{
    effect::Write,
    id::{AgentName, EffectId, IdempotencyKey, RunId, StepName, WorkflowRef},
    journal::StreamSeq,
    labels::Labeled,
    payload::Payload,
    run::awaited::Awaited,
    time::Timestamp,
    workflow::{self, Workflow},
};

/// A run, folded from its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The version it is pinned to.
    pub workflow: WorkflowRef,
    /// For a round of a `map` or a `loop`: the step of that version whose body this run is.
    pub body: Option<StepName>,
    /// What it carries out.
    pub definition: Arc<Workflow>,
    /// The versions of its agents.
    pub agents: BTreeMap<AgentName, u32>,
    /// The run it is beneath.
    pub parent: Option<Parent>,
    /// Its input.
    pub input: Labeled<Payload>,
    /// Where it stands.
    pub status: Status,
    /// Its steps, in the order of the definition.
    pub steps: Vec<Step>,
    /// What it has done to the world so far: writes that landed, and runs beneath it that ended.
    pub done: u64,
    /// Whether its deadline has passed.
    pub lateness: Lateness,
    /// How often it had failed and the operator had it go on.
    pub revived: u32,
    /// What its calls have cost.
    pub spent: Spent,
    /// When it began.
    pub started_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
    /// The last record of its stream that is folded in.
    pub stream_seq: StreamSeq,
}

/// Whether a run has met its deadline so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lateness {
    /// It has, or there is none.
    #[default]
    InTime,
    /// It has not, and the operator is told.
    Overdue,
    /// It has not, and the operator knows.
    Known,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Status {
    /// It is under way, or waits.
    Running,
    /// It takes back what it did.
    Unwinding {
        /// Why.
        cause: Cause,
    },
    /// It ended well.
    Completed {
        /// Its output.
        output: Labeled<Payload>,
    },
    /// It ended badly.
    Failed {
        /// Why.
        cause: Cause,
        /// Whether it has taken back what it did, as far as that can be.
        unwound: bool,
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
            Self::Unwinding { .. } => "unwinding",
            Self::Completed { .. } => "completed",
            Self::Failed { cause: Cause::Aborted { .. }, .. } => "aborted",
            Self::Failed { cause: Cause::Cancelled { .. }, .. } => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether no step will start any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. })
    }
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
    /// The run that [`Event::Started`] begins, over the definition that its beginning names.
    #[must_use]
    pub fn started(
        id: RunId,
        beginning: Beginning,
        definition: Arc<Workflow>,
        at: Timestamp,
    ) -> Self {
        let Beginning { workflow, body, agents, parent, input } = beginning;
        Self {
            id,
            workflow,
            body,
            agents,
            parent,
            input,
            status: Status::Running,
            steps: vec![Step::pending(); definition.steps.len()],
            definition,
            done: 0,
            lateness: Lateness::InTime,
            revived: 0,
            spent: Spent::default(),
            started_at: at,
            updated_at: at,
            stream_seq: StreamSeq(0),
        }
    }

    /// Folds `event`, which happened at `at`, into the run. [`Event::Migrated`] also needs the definition it names: see
    /// [`fold`](Self::fold).
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if `event` cannot follow this state.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        use {Event as E, Status as S};
        match event {
            E::Started(_) => return Err(self.illegal(event, "it has begun already")),
            E::Migrated { .. } => return Err(self.illegal(event, "it needs the definition")),
            E::Completed { output } => match self.status {
                S::Running => self.status = S::Completed { output: output.clone() },
                _ => return Err(self.illegal(event, "it is not running")),
            },
            E::Failed { step, error } => match self.status {
                S::Running => {
                    let cause = Cause::Step { step: step.clone(), error: error.clone() };
                    self.status = S::Failed { cause, unwound: false, dismissed: false };
                }
                _ => return Err(self.illegal(event, "it is not running")),
            },
            E::Unwinding { cause } => match self.status {
                S::Running | S::Completed { .. } | S::Failed { unwound: false, .. } => {
                    self.status = S::Unwinding { cause: cause.clone() };
                }
                _ => return Err(self.illegal(event, "it takes back what it did already")),
            },
            E::Unwound => match &self.status {
                S::Unwinding { cause } => {
                    let cause = cause.clone();
                    let dismissed = self.needs_no_incident(&cause);
                    self.status = S::Failed { cause, unwound: true, dismissed };
                }
                _ => return Err(self.illegal(event, "it takes nothing back")),
            },
            E::Cancelled { by, reason } => match self.status {
                // Whoever cancels it knows, so it is no incident.
                S::Running => {
                    let cause = Cause::Cancelled { by: by.clone(), reason: reason.clone() };
                    self.status = S::Failed { cause, unwound: false, dismissed: true };
                }
                _ => return Err(self.illegal(event, "it is not running")),
            },
            E::Overdue => match self.lateness {
                Lateness::InTime if !self.status.is_over() => self.lateness = Lateness::Overdue,
                _ => return Err(self.illegal(event, "it is known to be late")),
            },
            E::Dismissed { .. } => match (&mut self.status, self.lateness) {
                (S::Failed { dismissed, .. }, _) if !*dismissed => *dismissed = true,
                (_, Lateness::Overdue) => self.lateness = Lateness::Known,
                _ => return Err(self.illegal(event, "there is no incident")),
            },
            E::Reserved { .. } | E::Settled { .. } => {
                let result = self.spent.apply(event, at);
                result.map_err(|problem| self.illegal(event, &problem))?;
            }
            E::StepStarted { step, .. }
            | E::StepSkipped { step }
            | E::StepCompleted { step, .. }
            | E::StepFailed { step, .. }
            | E::Recorded { step, .. }
            | E::Awaited { step, .. }
            | E::Answered { step, .. }
            | E::Delegated { step, .. }
            | E::Write { step, .. }
            | E::Uncompensated { step, .. }
            | E::ChildUnwound { step, .. }
            | E::Retried { step, .. }
            | E::Overridden { step, .. } => {
                let Some(index) = self.definition.index(step) else {
                    return Err(self.illegal(event, &format!("there is no step `{step}`")));
                };
                let revives = matches!(event, E::Retried { .. } | E::Overridden { .. });
                if revives && !self.may_go_on() {
                    return Err(self.illegal(event, "it is over, or takes back what it did"));
                }
                let order = self.done + 1;
                let result = self.steps[index].apply(event, at, order);
                let did = result
                    .map_err(|problem| self.illegal(event, &format!("step `{step}`: {problem}")))?;
                self.done += u64::from(did);
                if revives && !matches!(self.status, S::Running) {
                    self.revive();
                }
            }
        }
        self.updated_at = at;
        Ok(())
    }

    /// Whether the run goes on, or has failed at a step and could.
    fn may_go_on(&self) -> bool {
        match &self.status {
            Status::Running => true,
            Status::Failed { unwound, cause, .. } => {
                !unwound && matches!(cause, Cause::Step { .. })
            }
            Status::Unwinding { .. } | Status::Completed { .. } => false,
        }
    }

    /// A run that has failed goes on, and what its end had stopped is asked for again.
    fn revive(&mut self) {
        self.status = Status::Running;
        self.revived += 1;
        for step in self.steps.iter_mut().filter(|step| !step.is_over()) {
            step.forget_stopped();
        }
    }

    /// The run above decided, or the operator did and nothing is left: nobody needs to be told.
    fn needs_no_incident(&self, cause: &Cause) -> bool {
        matches!(cause, Cause::Aborted { .. }) && self.left().next().is_none()
    }

    fn illegal(&self, event: &Event, problem: &str) -> Illegal {
        Illegal { run: self.id.clone(), event: event.kind(), problem: problem.into() }
    }

    /// The steps with their definitions.
    pub fn graph(&self) -> impl DoubleEndedIterator<Item = (&workflow::Step, &Step)> {
        self.definition.steps.iter().zip(&self.steps)
    }

    /// The step called `name`: its definition and its state.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<(&workflow::Step, &Step)> {
        self.definition.index(name).map(|index| (&self.definition.steps[index], &self.steps[index]))
    }

    fn effects(&self) -> impl Iterator<Item = (&StepName, &Effect)> {
        self.graph().flat_map(|(definition, step)| {
            step.effects.iter().map(|effect| (&definition.name, effect))
        })
    }

    /// Every write of the run, with its place.
    pub fn writes(&self) -> impl Iterator<Item = (&StepName, &EffectRef, &Write)> {
        self.effects().filter_map(|(step, effect)| match &effect.state {
            EffectState::Write(write) => Some((step, &effect.id, &**write)),
            _ => None,
        })
    }

    /// Everything the run waits or waited for, with its place.
    pub fn awaited(&self) -> impl Iterator<Item = (&StepName, &EffectRef, &Awaited)> {
        self.effects().filter_map(|(step, effect)| match &effect.state {
            EffectState::Awaited(awaited) => Some((step, &effect.id, &**awaited)),
            _ => None,
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

    /// The idempotency key of an effect of this run: of the write that is there, or of one that its step would propose now.
    #[must_use]
    pub fn key(&self, step: &StepName, effect: &EffectRef) -> IdempotencyKey {
        let generation = self.step(step).map_or(0, |(_, state)| match state.effect(effect) {
            Some(Effect { state: EffectState::Write(write), .. }) => write.generation,
            Some(_) => 0,
            None => state.generation,
        });
        self.effect_id(step, effect).key_of(generation)
    }

    /// The time at which its goal should be reached.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let intent = self.definition.intent.as_ref().filter(|_| self.body.is_none())?;
        intent.deadline.map(|deadline| self.started_at.after(deadline))
    }

    /// Whether something of it waits because a budget has no room.
    #[must_use]
    pub fn waits_for_budget(&self) -> bool {
        let running = matches!(self.status, Status::Running);
        self.writes().any(|(_, _, write)| write.unfunded)
            || running && self.steps.iter().any(Step::waits_for_budget)
    }

    /// What it and those beneath it may cost, where its goal says so, in millionths of a US dollar.
    #[must_use]
    pub fn cost_max(&self) -> Option<u64> {
        let intent = self.definition.intent.as_ref().filter(|_| self.parent.is_none())?;
        intent.cost_max_micro_usd
    }

    /// Whether it was ended without taking back what it did; the runs beneath it end so as well.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.status, Status::Failed { cause: Cause::Cancelled { .. }, .. })
    }

    /// The error of the step that failed it, or why it was aborted, for a person.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match &self.status {
            Status::Failed { cause: Cause::Step { error, .. }, .. } => Some(error.message.clone()),
            Status::Failed { cause, .. } | Status::Unwinding { cause } => Some(cause.to_string()),
            Status::Running | Status::Completed { .. } => None,
        }
    }

    /// Moves the run to another version of its workflow. Steps keep their state by name; those that are new are pending, and
    /// those that are gone are forgotten.
    pub(super) fn migrate(
        &mut self,
        workflow: WorkflowRef,
        agents: BTreeMap<AgentName, u32>,
        definition: Arc<Workflow>,
        at: Timestamp,
    ) {
        let kept = |step: &workflow::Step| {
            self.step(&step.name).map_or_else(Step::pending, |(_, state)| state.clone())
        };
        self.steps = definition.steps.iter().map(kept).collect();
        (self.workflow, self.agents, self.definition) = (workflow, agents, definition);
        self.updated_at = at;
    }

    /// Folds the events of one record. `library` finds the definition of a beginning or a migration.
    ///
    /// # Errors
    ///
    /// A text that says what does not fit: an event that cannot follow, or a definition that is missing.
    pub fn fold(
        run: Option<Self>,
        id: &RunId,
        events: Vec<Event>,
        at: Timestamp,
        library: &dyn workflow::Library,
    ) -> Result<Option<Self>, String> {
        let find = |workflow: &WorkflowRef, body: Option<&StepName>| {
            library.resolve(workflow, body).ok_or_else(|| {
                format!("workflow {workflow} of run {id} is missing from the journal")
            })
        };
        let mut run = run;
        for event in events {
            run = Some(match (run, event) {
                (None, Event::Started(beginning)) => {
                    let definition = find(&beginning.workflow, beginning.body.as_ref())?;
                    Self::started(id.clone(), *beginning, definition, at)
                }
                (None, event) => return Err(format!("run {id} begins with {}", event.kind())),
                (Some(mut run), Event::Migrated { workflow, agents, .. }) => {
                    let definition = find(&workflow, run.body.as_ref())?;
                    run.migrate(workflow, agents, definition, at);
                    run
                }
                (Some(mut run), event) => {
                    run.apply(&event, at).map_err(|illegal| illegal.to_string())?;
                    run
                }
            });
        }
        Ok(run)
    }

    /// The error with which the first failed step failed.
    pub(super) fn first_failure(&self) -> Option<(&workflow::Step, &StepError)> {
        self.graph().find_map(|(definition, step)| match (&step.status, &step.error) {
            (StepStatus::Failed, Some(error)) => Some((definition, error)),
            _ => None,
        })
    }
}
