//! The work that a state asks of the world.

use super::{
    event::EffectRef,
    state::{Run, Status, StepStatus, is_agent},
};
use crate::{effect::WriteState, id::StepName, time::Timestamp};

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
}

/// Whether nothing is [`outstanding`].
#[must_use]
pub fn is_at_rest(run: &Run) -> bool {
    if !matches!(run.status, Status::Running) {
        return !run.writes().any(|(_, _, write)| write.is_in_doubt());
    }
    let steps_rest = run.graph().all(|(definition, step)| match step.status {
        StepStatus::BackingOff { .. } => false,
        StepStatus::Running { .. } if is_agent(&definition.work) => step.waits_for_operator(),
        StepStatus::Running { .. } => !step.effects.is_empty(),
        StepStatus::Pending
        | StepStatus::Skipped
        | StepStatus::Completed { .. }
        | StepStatus::Failed => true,
    });
    steps_rest && run.writes().all(|(_, _, write)| write.waits_for_operator() || write.is_settled())
}

/// What the world must now do for `run`. Empty for a run that is over, but for writes that a failed run has under way, and
/// for one that only waits for the operator.
#[must_use]
pub fn outstanding(run: &Run) -> Vec<Action> {
    let mut actions = vec![];
    if matches!(run.status, Status::Running) {
        steps(run, &mut actions);
    }
    writes(run, &mut actions);
    actions
}

fn steps(run: &Run, actions: &mut Vec<Action>) {
    for (definition, step) in run.graph() {
        match step.status {
            StepStatus::BackingOff { at } => {
                actions.push(Action::Wake { step: definition.name.clone(), at })
            }
            // An agent whose proposal waits for the operator is not woken to wait beside it.
            StepStatus::Running { .. }
                if is_agent(&definition.work) && !step.waits_for_operator() =>
            {
                actions.push(Action::TakeTurn {
                    step: definition.name.clone(),
                    attempt: step.attempt,
                });
            }
            StepStatus::Running { .. }
                if !is_agent(&definition.work) && step.effects.is_empty() =>
            {
                actions.push(Action::Propose { step: definition.name.clone() });
            }
            StepStatus::Running { .. }
            | StepStatus::Pending
            | StepStatus::Skipped
            | StepStatus::Completed { .. }
            | StepStatus::Failed => {}
        }
    }
}

fn writes(run: &Run, actions: &mut Vec<Action>) {
    // A run that has failed makes no new attempt.
    let goes_on = matches!(run.status, Status::Running);
    for (step, effect, write) in run.writes() {
        let (step, effect) = (step.clone(), effect.clone());
        match write.state {
            WriteState::Granted if goes_on => {
                actions.push(Action::Attempt { step, effect, at: Timestamp(0) })
            }
            WriteState::Retrying { at } if goes_on => {
                actions.push(Action::Attempt { step, effect, at })
            }
            WriteState::Attempting => {
                actions.push(Action::Execute { step, effect, attempt: write.attempts })
            }
            WriteState::Probing { at, .. } => actions.push(Action::Probe { step, effect, at }),
            WriteState::Granted
            | WriteState::Retrying { .. }
            | WriteState::Asking { .. }
            | WriteState::Ambiguous { .. }
            | WriteState::Settled(_) => {}
        }
    }
}
