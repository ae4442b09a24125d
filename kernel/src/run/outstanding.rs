//! The work that a state asks of the world.

use std::ops::ControlFlow;

use super::{
    awaited::Child,
    event::EffectRef,
    state::{Run, Status},
    step::{Step, StepStatus},
    unwind, work,
};
use crate::{
    effect::{Write, WriteState},
    id::{RunId, StepName},
    mutant::{Mutant, planted},
    time::Timestamp,
    workflow::{self, Work},
};

/// Work for the runtime. The same state always asks for the same work, so recovery asks again for what a crash cut off.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Let the step's agent take its turn.
    TakeTurn {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// Plan the step's write and propose it.
    Propose {
        /// The step.
        step: StepName,
    },
    /// Make the step's event known.
    Emit {
        /// The step.
        step: StepName,
    },
    /// Begin the step's next attempt.
    Wake {
        /// The step.
        step: StepName,
        /// When.
        at: Timestamp,
    },
    /// Ask the connector for room, then journal the intent of an attempt.
    Attempt {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Not before; zero for at once.
        at: Timestamp,
    },
    /// Make the attempt whose intent is journaled.
    Execute {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Which attempt.
        attempt: u32,
    },
    /// Find out whether the write happened.
    Probe {
        /// The step.
        step: StepName,
        /// Which effect.
        effect: EffectRef,
        /// Not before.
        at: Timestamp,
    },
    /// Plan the write that takes another back, and propose it.
    Compensate {
        /// The step.
        step: StepName,
        /// The write to take back.
        effect: EffectRef,
    },
    /// Have a run beneath this one end: nobody waits for it any more. It takes back what it did, unless this run was cancelled.
    AbortChild {
        /// The step that waited for it.
        step: StepName,
        /// The effect of that step.
        effect: EffectRef,
        /// The run.
        run: RunId,
    },
    /// Have a run beneath this one, which has ended, take back what it did.
    UnwindChild {
        /// The step that waited for it.
        step: StepName,
        /// The effect of that step.
        effect: EffectRef,
        /// The run.
        run: RunId,
    },
}

/// Whether nothing is [`outstanding`]: the run is over, or waits for the operator, a time, a connector, an event or another
/// run.
#[must_use]
pub fn is_at_rest(run: &Run) -> bool {
    visit(run, &mut |_| ControlFlow::Break(())).is_continue()
}

/// What the world must now do for `run`. Empty for a run that is over, but for writes that a failed run has under way, and
/// for one that only waits.
#[must_use]
pub fn outstanding(run: &Run) -> Vec<Action> {
    let mut actions = vec![];
    let _ = visit(run, &mut |action| {
        actions.push(action);
        ControlFlow::Continue(())
    });
    actions
}

type Visit<'a> = &'a mut dyn FnMut(Action) -> ControlFlow<()>;

/// Calls `found` with each action until it breaks.
fn visit(run: &Run, found: Visit<'_>) -> ControlFlow<()> {
    let running = matches!(run.status, Status::Running);
    for (definition, step) in run.graph() {
        if running && let Some(action) = of_step(definition, step) {
            found(action)?;
        }
        let waits = running
            && matches!(step.status, StepStatus::Running { .. } | StepStatus::BackingOff { .. });
        if !waits {
            abandoned(definition, step, found)?;
        }
    }
    for (step, effect, write) in run.writes() {
        if let Some(action) = of_write(step, effect, write) {
            found(action)?;
        }
    }
    if matches!(run.status, Status::Unwinding { .. })
        && let Some(action) = unwind::action(run)
    {
        found(action)?;
    }
    ControlFlow::Continue(())
}

fn of_step(definition: &workflow::Step, step: &Step) -> Option<Action> {
    let name = || definition.name.clone();
    match (&step.status, &definition.work) {
        (StepStatus::BackingOff { at, is_long: false }, _) => {
            Some(Action::Wake { step: name(), at: *at })
        }
        // A turn that waits is not taken to wait beside what it waits for.
        _ if work::takes_turn(definition, step) => {
            (!step.waits()).then(|| Action::TakeTurn { step: name(), attempt: step.attempt })
        }
        (StepStatus::Running { .. }, Work::Call { .. })
            if step.effects.is_empty() && !step.stand_in =>
        {
            Some(Action::Propose { step: name() })
        }
        (StepStatus::Running { .. }, Work::Emit(_))
            if step.effects.is_empty() && !step.stand_in =>
        {
            Some(Action::Emit { step: name() })
        }
        _ => None,
    }
}

/// Runs beneath a step that no longer waits for them.
fn abandoned(definition: &workflow::Step, step: &Step, found: Visit<'_>) -> ControlFlow<()> {
    for (effect, Child { run, .. }) in step.open_children() {
        let (step, effect, run) = (definition.name.clone(), effect.clone(), run.clone());
        found(Action::AbortChild { step, effect, run })?;
    }
    ControlFlow::Continue(())
}

/// What may not be attempted any more has been stopped, so that what is left to do is in the write's state.
fn of_write(step: &StepName, effect: &EffectRef, write: &Write) -> Option<Action> {
    let (step, effect) = (step.clone(), effect.clone());
    match write.state {
        WriteState::Granted => Some(Action::Attempt { step, effect, at: Timestamp(0) }),
        WriteState::Retrying { at } => Some(Action::Attempt { step, effect, at }),
        WriteState::Attempting => Some(Action::Execute { step, effect, attempt: write.attempts }),
        WriteState::Probing { at, .. } => Some(Action::Probe { step, effect, at }),
        WriteState::Asking { .. }
        | WriteState::Ambiguous { .. }
        | WriteState::Settled(_)
        | WriteState::Parked { .. } => None,
    }
}

impl Run {
    /// The next time at which something is due by itself: see [`Command::Tick`](super::Command::Tick).
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let running = matches!(self.status, Status::Running);
        let awaited = self
            .awaited()
            .filter(|(_, _, awaited)| running && awaited.is_open())
            .filter_map(|(_, _, awaited)| awaited.what.due());
        let writes = self.writes().filter_map(|(_, _, write)| match write.state {
            WriteState::Asking { deadline, .. } => deadline,
            // Of a run that has failed as well: one that may have happened is found out.
            WriteState::Parked { until, .. } if !planted(Mutant::ParkedNotDue) => Some(until),
            _ => None,
        });
        let steps = self.steps.iter().filter_map(|step| match step.status {
            StepStatus::BackingOff { at, is_long: true } if running => Some(at),
            _ => None,
        });
        let in_time = self.lateness == super::Lateness::InTime && !self.status.is_over();
        awaited.chain(writes).chain(steps).chain(self.deadline().filter(|_| in_time)).min()
    }
}
