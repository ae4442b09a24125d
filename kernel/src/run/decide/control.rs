//! What an operator does to a run or to one of its steps: end it, try again, say what a step comes to.

use super::{Decider, Refusal};
use crate::{
    id::StepName,
    labels::Labeled,
    payload::Payload,
    run::{
        event::{Cause, Event},
        state::Status,
        step::{Step, StepStatus},
    },
    schema,
};

impl Decider<'_> {
    /// A run that has taken back what it did is over. One that is doing so goes on doing so.
    pub(super) fn abort(&self, by: String, reason: String) -> Result<Vec<Event>, Refusal> {
        match &self.run.status {
            Status::Unwinding { .. } => Ok(vec![]),
            Status::Failed { unwound: true, .. } => Err(self.over()),
            Status::Running | Status::Completed { .. } | Status::Failed { .. } => {
                Ok(vec![Event::Unwinding { cause: Cause::Aborted { by, reason } }])
            }
        }
    }

    /// A run that is over stays as it is: cancelled twice is cancelled.
    pub(super) fn cancel(&self, by: String, reason: String) -> Result<Vec<Event>, Refusal> {
        match &self.run.status {
            Status::Running => Ok(vec![Event::Cancelled { by, reason }]),
            Status::Failed { cause: Cause::Cancelled { .. }, .. } => Ok(vec![]),
            Status::Unwinding { .. } | Status::Completed { .. } | Status::Failed { .. } => {
                Err(self.over())
            }
        }
    }

    pub(super) fn retry_step(
        &self,
        step: Option<StepName>,
        by: String,
        reason: String,
    ) -> Result<Vec<Event>, Refusal> {
        let run = &self.run.id;
        let step = match step.or_else(|| self.failed_step().cloned()) {
            Some(step) => step,
            None => {
                return Err(unfit(format!(
                    "run {run} has no step that has failed; name one that waits for its next attempt, or look with \
                     `soloist run show {run}`"
                )));
            }
        };
        let state = self.revivable(&step)?;
        match state.status {
            StepStatus::Failed | StepStatus::Escalated { .. } | StepStatus::BackingOff { .. } => {
                Ok(vec![Event::Retried { step, by, reason }])
            }
            ref status => Err(unfit(format!(
                "step `{step}` of run {run} is {}; only one that has failed or waits for its next attempt is tried again",
                status.word()
            ))),
        }
    }

    pub(super) fn override_step(
        &self,
        step: StepName,
        output: Payload,
        by: String,
        reason: String,
    ) -> Result<Vec<Event>, Refusal> {
        let state = self.revivable(&step)?;
        let run = &self.run.id;
        let failed = matches!(self.run.status, Status::Failed { .. });
        if failed && self.failed_step() != Some(&step) {
            return Err(unfit(format!(
                "run {run} has failed at another step; say what that comes to, or have it tried again"
            )));
        }
        if matches!(state.status, StepStatus::Skipped) {
            return Err(unfit(format!(
                "step `{step}` of run {run} was skipped, and with it what needs it; start another run"
            )));
        }
        let index = self.run.definition.index(&step);
        let follower = self.run.graph().find(|(definition, follower)| {
            index.is_some_and(|index| definition.needs.contains(&index)) && follower.attempt > 0
        });
        if let Some((follower, _)) = follower {
            return Err(unfit(format!(
                "step `{}` of run {run} has begun with what step `{step}` came to; fork the run from before that, or start \
                 another",
                follower.name
            )));
        }
        if let Some(spec) = self.agent_of(&step)
            && let Err(problem) = schema::validate(&spec.output, &output.value())
        {
            return Err(unfit(format!(
                "this is not what step `{step}` of run {run} declares to come to: {problem}"
            )));
        }
        let output = Labeled::owner(output);
        Ok(vec![Event::Overridden { step, output, by, reason }])
    }

    /// The step that a failed run has failed at, or the one that waits for the operator.
    fn failed_step(&self) -> Option<&StepName> {
        let failed = self.run.graph().find(|(_, state)| {
            matches!(state.status, StepStatus::Failed | StepStatus::Escalated { .. })
        });
        failed.map(|(definition, _)| &definition.name)
    }

    /// `step`, if its run goes on or can go on again.
    fn revivable(&self, step: &StepName) -> Result<&Step, Refusal> {
        let run = &self.run.id;
        match &self.run.status {
            Status::Running => {}
            Status::Failed { unwound: false, cause: Cause::Step { .. }, .. } => {
                if let Some(parent) = &self.run.parent {
                    return Err(unfit(format!(
                        "run {run} is beneath run {}, which has taken in that it failed; have that one's step `{}` tried again",
                        parent.run, parent.step
                    )));
                }
                if self.run.steps.iter().any(|state| state.open_children().next().is_some()) {
                    return Err(unfit(format!(
                        "runs beneath run {run} are still taking back what they did; try again when they have"
                    )));
                }
            }
            Status::Failed { .. } | Status::Unwinding { .. } | Status::Completed { .. } => {
                return Err(self.over());
            }
        }
        let missing = || {
            let names: Vec<String> =
                self.run.graph().map(|(step, _)| format!("`{}`", step.name)).collect();
            unfit(format!("run {run} has no step `{step}`; it has {}", names.join(", ")))
        };
        self.named(step).map(|(_, state)| state).ok_or_else(missing)
    }
}

fn unfit(problem: String) -> Refusal {
    Refusal::Unfit { problem }
}
