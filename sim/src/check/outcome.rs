//! What a run says at rest of its writes, its steps and the runs beneath it, beside what happened.

use soloist_kernel::{
    effect::{Outcome, Write, WriteState},
    retry::RetryPolicy,
    run::{Run, Status},
    workflow::Work,
};

use super::journal::Problem;
use crate::world::World;

/// What of `run` is not as it says.
pub(super) fn check(world: &World, run: &Run) -> Vec<Problem> {
    let mut problems = vec![];
    for (step, effect, write) in run.writes() {
        let id = run.effect_id(step, effect);
        let happened = world.state().has_happened(run.key(step, effect).as_str());
        if happened && is_not_made(write) {
            problems.push(("not-made", format!("{id} is recorded as not made, and has happened")));
        }
        let call = run.step(step).map(|(definition, _)| definition);
        let retry = match call {
            Some(definition) if matches!(definition.work, Work::Call { .. }) => definition.retry,
            _ => RetryPolicy::WRITE,
        };
        let more = write.decisions.iter().filter(|said| said.ends_with(DID_NOT_HAPPEN)).count();
        let limit = retry.attempts_max.get() as usize + more;
        if write.attempts as usize > limit {
            let what = format!("{id} was attempted {} times; {limit} are allowed", write.attempts);
            problems.push(("retries-bounded", what));
        }
    }
    if matches!(run.status, Status::Failed { unwound: true, .. }) {
        let open = |awaited: &&soloist_kernel::run::Awaited| {
            awaited.child().is_some() && awaited.order > 0 && awaited.unwound.is_none()
        };
        if let Some((step, effect, _)) = run.awaited().find(|(_, _, awaited)| open(awaited)) {
            let what = format!(
                "{} is taken back, and the run beneath it of {step}/{effect} is not",
                run.id
            );
            problems.push(("taken-back-in-reverse", what));
        }
    }
    problems
}

/// How a decision ends that lets a write in doubt be attempted once more.
const DID_NOT_HAPPEN: &str = "said that it did not happen";

fn is_not_made(write: &Write) -> bool {
    match &write.state {
        WriteState::Settled(outcome) => !matches!(outcome, Outcome::Landed { .. }),
        _ => false,
    }
}
