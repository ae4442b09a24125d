//! What an operator changes while the kernel runs: workflows, policy, the version a run is on; and what the host brings in:
//! goals and events.

use std::sync::Arc;

use serde::Serialize;
use soloist_kernel::{
    catalog::Catalog,
    id::{EventId, InboxId, RunId, WorkflowRef},
    journal::{AppendError, ReadError},
    labels::{Labeled, Labels},
    payload::Payload,
    policy::Policy,
    rollout::BadRollout,
    run::{self, Command, Occurrence, Refusal, Run},
    workflow::{Change, Library, Problem, Workflow, find_intent},
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    actor::{MAILBOX_MAX, NotTaken},
    budgets::BadRaise,
    builder::check_workflows,
    events,
    handle::{DecideError, EmitError, RunHandle, Soloist, StartError},
    policies::Policies,
    run::Asked,
    schedules, views,
    workflows::Workflows,
};

/// Why a workflow, a policy, a pause or a rollout was not taken. What was there stays.
#[derive(Debug, Error)]
pub enum SetError {
    /// The workflow names or gives something that is not there or does not fit.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Workflow(Vec<Problem>),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal does not take it.
    #[error("failed to keep it: {0}")]
    Append(#[from] AppendError),
    /// There are no two versions to be side by side, or it is no share.
    #[error(transparent)]
    Rollout(#[from] BadRollout),
    /// It is no budget, or it is raised by nothing.
    #[error(transparent)]
    Raise(#[from] BadRaise),
    /// Whoever carried it out is gone.
    #[error("it may or may not be in force: {0}")]
    Died(String),
}

/// What moving a run to another version of its workflow would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Migration {
    /// The run.
    pub run: RunId,
    /// The version it is on.
    pub from: WorkflowRef,
    /// The version it would be on.
    pub to: WorkflowRef,
    /// What differs between the two.
    pub changes: Vec<Change>,
    /// Steps that have begun, and would stay as they are.
    pub kept: Vec<String>,
    /// Agents that would take their next turns in another version: name, from, to.
    pub agents: Vec<(String, u32, u32)>,
    /// Why the run cannot move, if it cannot.
    pub refused: Option<String>,
}

impl Soloist {
    /// Starts a run for a goal in the operator's words: of the newest workflow whose intent they name.
    ///
    /// # Errors
    ///
    /// [`StartError`]; for words that name no goal, the nearest that there are.
    pub async fn pursue(
        &self,
        goal: &str,
        id: &str,
        input: &impl Serialize,
    ) -> Result<RunHandle, StartError> {
        let all = self.context().workflows.all();
        let found = find_intent(all.values().map(|workflow| &**workflow), goal);
        let name = found.map_err(StartError::UnknownGoal)?.name.clone();
        self.start(name.as_str(), id, input).await
    }

    /// Takes an event from outside: returns once it is on disk, and tells whether it is new. The same `id` from the same
    /// `source` is the same event. It comes from outside, and is labelled so.
    ///
    /// # Errors
    ///
    /// [`EmitError`].
    pub async fn emit(
        &self,
        source: &str,
        id: &str,
        event: &str,
        data: &impl Serialize,
    ) -> Result<bool, EmitError> {
        let data = Labeled::new(Payload::of(data)?, Labels::untrusted(source));
        self.emit_labeled(source, id, event, data).await
    }

    /// [`emit`](Self::emit) with labels that the host vouches for.
    ///
    /// # Errors
    ///
    /// [`EmitError`].
    pub async fn emit_labeled(
        &self,
        source: &str,
        id: &str,
        event: &str,
        data: Labeled<Payload>,
    ) -> Result<bool, EmitError> {
        if self.context().is_draining() {
            return Err(EmitError::Halted("the kernel is being drained".into()));
        }
        let at = self.context().env.now();
        let (id, event) = (EventId::new(id)?, event.parse()?);
        let occurrence = Occurrence { id, event, source: source.to_owned(), data, at };
        let restarting = || EmitError::Halted("events are restarting".into());
        let (reply, answer) = oneshot::channel();
        let events = self.context().registry.events().ok_or_else(restarting)?;
        let message = events::Message::Emit { occurrence, by: events::By::Host(reply) };
        events.offer(message).map_err(|not_taken| match not_taken {
            NotTaken::Full(_) => EmitError::Overloaded { waiting: MAILBOX_MAX },
            NotTaken::Gone => restarting(),
        })?;
        answer.await.unwrap_or_else(|_| Err(restarting()))
    }

    /// Adds `workflow`, or a new version of it, after checking it against what there is. Runs under way stay with theirs.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn add_workflow(&self, workflow: Workflow) -> Result<WorkflowRef, SetError> {
        let context = self.context();
        let new = [workflow];
        check_workflows(&new, context.workflows.all(), &context.mounted().catalog)
            .map_err(SetError::Workflow)?;
        let [workflow] = new;
        let (pinned, append) = Workflows::next(&workflow, &*context.journal, &context.env)?;
        if let Some(append) = append {
            context.log.durable(append).await?;
        }
        context.workflows.put(pinned.clone(), workflow);
        if let Some(schedules) = context.registry.schedules() {
            let _ = schedules.send(schedules::Message::Look);
        }
        Ok(pinned)
    }

    /// Judges by `policy` from now on. Writes that wait for the operator are judged again when they are approved. Gives the
    /// version that it is.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn set_policy(&self, policy: Policy) -> Result<u32, SetError> {
        let context = self.context();
        let (policy, append) = Policies::next(policy, &*context.journal, &context.env)?;
        if let Some(append) = append {
            context.log.durable(append).await?;
        }
        let version = policy.version();
        context.policies.put(policy);
        Ok(version)
    }

    /// The policy that judges now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.context().policies.current()
    }

    /// The workflows there are, each in its newest version.
    #[must_use]
    pub fn workflows(&self) -> Vec<(WorkflowRef, Arc<Workflow>)> {
        let context = self.context();
        let all = context.workflows.all();
        all.keys().filter_map(|name| context.workflows.newest(name)).collect()
    }

    /// What there is: agents and operations, as workflows are checked against them.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        self.context().mounted().catalog.clone()
    }

    /// [`modify`](Self::modify) for someone else, whose name is in the record.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn modify_as(
        &self,
        item: &str,
        arguments: &impl Serialize,
        by: &str,
    ) -> Result<(), DecideError> {
        let item = InboxId::new(item)?;
        if views::incident(self.journal(), &item)?.is_some() {
            let problem = format!("item {item} is an incident, which proposes nothing; decide it");
            return Err(Refusal::Unfit { problem }.into());
        }
        let arguments =
            Payload::of(arguments).map_err(|error| DecideError::Invalid(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Modify { item: item.clone(), arguments, by: by.into(), reply };
        self.ask_item(item, asked, answer).await
    }

    /// Moves a run to version `to` of its workflow, or to the newest.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub async fn migrate(&self, run: &str, to: Option<u32>) -> Result<(), DecideError> {
        let id = RunId::new(run)?;
        let to = self.migration(run, to)?.to;
        let (reply, answer) = oneshot::channel();
        self.deliver(&id, Asked::Migrate { to, by: "operator".into(), reply });
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// What [`migrate`](Self::migrate) would change.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn migration(&self, run: &str, to: Option<u32>) -> Result<Migration, DecideError> {
        let id = RunId::new(run)?;
        let run = self.folded(&id)?.ok_or(DecideError::NoRun { run: id })?;
        let context = self.context();
        let library = context.library();
        let name = run.workflow.name.clone();
        let found = match to {
            Some(version) => {
                let to = WorkflowRef { name, version };
                library.get(&to).map(|definition| (to, definition))
            }
            None => library.newest(&name),
        };
        let missing =
            || DecideError::Invalid(format!("there is no such version of {}", run.workflow.name));
        let (to, definition) = found.ok_or_else(missing)?;
        let agents = context.pin(&definition, &run.id);
        let moved = agents.iter().filter_map(|(agent, version)| {
            let old = *run.agents.get(agent)?;
            (old != *version).then(|| (agent.to_string(), old, *version))
        });
        let kept = run
            .graph()
            .filter(|(step, state)| state.attempt > 0 && definition.index(&step.name).is_some())
            .map(|(step, _)| step.name.to_string());
        let command = Command::Migrate {
            workflow: to.clone(),
            definition: definition.clone(),
            agents: agents.clone(),
            by: "operator".into(),
        };
        let decided =
            context.decides(Some(&run), context.env.now(), |env| run::decide(&run, command, env));
        Ok(Migration {
            run: run.id.clone(),
            from: run.workflow.clone(),
            changes: run.definition.diff(&definition),
            kept: kept.collect(),
            agents: moved.collect(),
            to,
            refused: decided.err().map(|refusal: Refusal| refusal.to_string()),
        })
    }

    /// A run as its journal has it.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn folded(&self, id: &RunId) -> Result<Option<Run>, ReadError> {
        let context = self.context();
        views::fold(&*context.journal, id, None, &context.library())
    }

    /// A run as a process that starts now would take it up: its newest snapshot, and the records after it. The same as
    /// [`folded`](Self::folded), or the snapshot is wrong.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn resumed(&self, id: &RunId) -> Result<Option<Run>, ReadError> {
        let context = self.context();
        views::resumed(&*context.journal, id, &context.library())
    }
}

pub(crate) fn lost() -> DecideError {
    DecideError::Halted("the run's actor died; see how the run stands".into())
}

impl From<ReadError> for DecideError {
    fn from(error: ReadError) -> Self {
        Self::Invalid(error.to_string())
    }
}
