//! The decisions: what a command causes, or why it is refused.
//!
//! This file sorts commands by where the run stands. What each causes is in `decide/steps.rs` for turns and what they wait
//! for, in `decide/writes.rs` for writes, in `decide/money.rs` for what calls cost, in `decide/operator.rs` for what people say to
//! what waits, in `decide/control.rs` for what they do to a run or a step of it.

mod control;
mod money;
mod operator;
mod steps;
mod writes;

use std::sync::Arc;

pub(super) use operator::decision_of;

use super::{
    advance::{advance, push},
    command::{Command, Refusal},
    event::{Beginning, Event},
    state::{Run, Status},
};
use crate::{
    catalog::Catalog,
    id::{RunId, StepName},
    policy::Policy,
    time::Timestamp,
    workflow::{Library, Workflow},
};

/// What a decision may look at besides the run: the same answers always, for the same journal.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The time now.
    pub now: Timestamp,
    /// What may happen.
    pub policy: &'a Policy,
    /// What agents and operations there are.
    pub catalog: &'a Catalog,
    /// What workflows there are.
    pub library: &'a dyn Library,
}

/// Begins a run: its first events, and the state they lead to.
#[must_use]
pub fn start(
    id: RunId,
    beginning: Beginning,
    definition: Arc<Workflow>,
    env: &Env<'_>,
) -> (Vec<Event>, Run) {
    let mut events = vec![Event::Started(Box::new(beginning.clone()))];
    let mut run = Run::started(id, beginning, definition, env.now);
    advance(&mut run, &mut events, env);
    (events, run)
}

/// Decides what `command` causes in `run`. An empty answer means that nothing needs to change.
///
/// # Errors
///
/// [`Refusal`] says why the command cannot be carried out; the run is as it was.
pub fn decide(run: &Run, command: Command, env: &Env<'_>) -> Result<Vec<Event>, Refusal> {
    transition(run, command, env).map(|(events, _)| events)
}

/// [`decide`], and the state that its events lead to: deciding what follows from an event folds it in anyway, and a caller
/// that carries the decision out need not do so again.
///
/// # Errors
///
/// As [`decide`].
pub fn transition(
    run: &Run,
    command: Command,
    env: &Env<'_>,
) -> Result<(Vec<Event>, Run), Refusal> {
    let decider = Decider { run, env };
    let mut next = run.clone();
    let mut events = vec![];
    if let Command::Migrate { workflow, definition, agents, by } = command {
        decider.may_migrate(&workflow, &definition)?;
        events.push(Event::Migrated { workflow: workflow.clone(), agents: agents.clone(), by });
        next.migrate(workflow, agents, definition, env.now);
    } else {
        for event in decider.first(command)? {
            push(&mut next, &mut events, event, env.now);
        }
    }
    if !events.is_empty() {
        advance(&mut next, &mut events, env);
    }
    Ok((events, next))
}

struct Decider<'a> {
    run: &'a Run,
    env: &'a Env<'a>,
}

impl Decider<'_> {
    /// The events that the command causes directly.
    fn first(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::CompleteStep { step, attempt, output } => {
                self.running()?;
                self.complete(step, attempt, output)
            }
            Command::FailStep { step, attempt, error } => {
                self.running()?;
                self.fail(&step, attempt, error)
            }
            Command::Diverge { step, attempt, divergence } => {
                self.running()?;
                self.diverge(&step, attempt, &divergence)
            }
            Command::Wake { step } => {
                self.running()?;
                self.wake(step)
            }
            Command::Record { step, effect, asked, answer } => {
                self.running()?;
                self.fresh(&step, &effect)?;
                Ok(vec![Event::Recorded { step, effect, asked, answer }])
            }
            Command::Await { step, effect, asked, what } => {
                self.running()?;
                self.await_(step, effect, asked, what)
            }
            Command::Propose { step, effect, asked, proposal, evidence } => {
                self.running()?;
                self.propose(step, effect, asked, proposal, &evidence)
            }
            Command::Compensate { step, effect, planned } => self.compensate(step, effect, planned),
            Command::Attempt { step, effect } => self.attempt(step, effect),
            Command::Land { step, effect, attempt, receipt } => {
                self.land(step, effect, attempt, receipt)
            }
            Command::Fault { step, effect, attempt, fault } => {
                self.fault(step, effect, attempt, fault)
            }
            Command::Probed { step, effect, found } => self.probed(step, effect, found),
            Command::Park { step, effect, until, reason } => self.park(step, effect, until, reason),
            Command::Unpark { connector } => Ok(self.unpark(&connector)),
            Command::Occur(occurrence) => Ok(self.occur(&occurrence)),
            Command::ChildEnded { step, effect, end } => self.child_ended(step, effect, *end),
            Command::Decide { item, decision, by, fresh } => {
                self.decided(&item, decision, by, fresh)
            }
            Command::Modify { item, proposal, evidence, by } => {
                self.modified(&item, proposal, &evidence, by)
            }
            Command::Abort { by, reason } => self.abort(by, reason),
            Command::Cancel { by, reason } => self.cancel(by, reason),
            Command::Retry { step, by, reason } => self.retry_step(step, by, reason),
            Command::Override { step, output, by, reason } => {
                self.override_step(step, output, by, reason)
            }
            Command::Tick => Ok(self.tick()),
            Command::Recover => Ok(self.recover()),
            Command::Migrate { .. } => Ok(vec![]),
            Command::Paid { command, payment } => self.paid(*command, payment),
            Command::Reserve { step, effect, reservation } => {
                self.running()?;
                self.reserve(step, effect, reservation)
            }
            Command::Settle { call, cost } => self.settle(call, cost),
            Command::NotFunded { step, call, over } => self.not_funded(step, call, over),
            Command::Fund => Ok(self.fund()),
        }
    }

    fn running(&self) -> Result<(), Refusal> {
        match self.run.status {
            Status::Running => Ok(()),
            _ => Err(self.over()),
        }
    }

    fn over(&self) -> Refusal {
        Refusal::Over { run: self.run.id.clone(), status: self.run.status.word() }
    }

    fn stale(&self, what: String, why: &str) -> Refusal {
        Refusal::Stale { run: self.run.id.clone(), what, why: why.into() }
    }

    /// A run moves when every step that has begun is in the other version as well, and does the same.
    fn may_migrate(
        &self,
        workflow: &crate::id::WorkflowRef,
        definition: &Workflow,
    ) -> Result<(), Refusal> {
        let refuse = |problem: String| Refusal::Migration {
            run: self.run.id.clone(),
            workflow: workflow.clone(),
            problem,
        };
        self.running()?;
        if self.run.body.is_some() || workflow.name != self.run.workflow.name {
            return Err(refuse("it is a run of something else".into()));
        }
        for (old, state) in self.run.graph() {
            let begun = !matches!(state.status, super::step::StepStatus::Pending);
            if !begun {
                continue;
            }
            let Some(new) = definition.steps.iter().find(|step| step.name == old.name) else {
                return Err(refuse(format!("step `{}` has begun and is not in it", old.name)));
            };
            if new.work != old.work {
                let name = &old.name;
                return Err(refuse(format!(
                    "step `{name}` has begun and does something else in it"
                )));
            }
        }
        Ok(())
    }

    /// The definition and state of a step, which is there because the caller has looked.
    fn named(&self, step: &StepName) -> Option<(&crate::workflow::Step, &super::step::Step)> {
        self.run.step(step)
    }
}
