//! Goes on with a fork until it ends: whenever it rests, the next thing that was said in the original and that the same waits for
//! is said again; when there is none, time passes until something is due. What the operator did to a run that waited for nothing
//! from him (he ended it, had a step tried again, moved it) is done again where it rests and stands as it did then.

use std::time::Duration;

use soloist_kernel::{
    effect::{Decision, Proposal, Write, WriteState},
    id::{InboxId, RunId},
    inbox::{self, Waiting},
    journal::{Append, Journal},
    run::{Awaits, Occurrence, Run, project::TIMERS},
    time::Timestamp,
};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    ForkError, Stage,
    recording::{Control, Said, Stands, What},
    seed::Seed,
};
use crate::{
    handle::Soloist,
    run::{Asked, Begin},
    runs,
    travel::TravelError,
    views,
};

/// How often a fork comes to rest at most. Each time something is said, or some time has passed.
const RESTS_MAX: usize = 10_000;

/// Longest time of its own that a fork goes on for: what is due later is not waited for.
const TIME_MAX: Duration = Duration::from_secs(400 * 86_400);

/// Longest time of its own in which it comes to rest. An agent that hangs is left hanging then.
const REST_TIMEOUT: Duration = Duration::from_secs(30 * 86_400);

/// Goes on with the fork of `run` until nothing more happens in it.
pub(super) async fn drive(
    soloist: &Soloist,
    stage: &Stage,
    run: &RunId,
    seed: Seed,
) -> Result<(), ForkError> {
    let Seed { journal, from, begins, anew } = seed;
    if let Some(anew) = anew {
        let (reply, answer) = oneshot::channel();
        let (workflow, input) = (anew.which, anew.input);
        let begin = Begin { workflow, input, with: Append::default(), reply };
        soloist.deliver(run, Asked::Begin(Box::new(begin)));
        if let Ok(Err(error)) = answer.await {
            return Err(ForkError::Runtime(error.to_string()));
        }
    }
    let later = stage.recording.said.iter().filter(|said| said.seq > from);
    let mut said: Vec<&Said> = later.collect();
    said.sort_by_key(|said| said.seq);
    let mut driver = Driver { soloist, said };
    for _ in 0..RESTS_MAX {
        match timeout(REST_TIMEOUT, soloist.idle()).await {
            Ok(idle) => idle?,
            Err(_) => return Ok(()),
        }
        // What follows from a read that was not made is not what would follow.
        if stage.wanted().is_some() {
            return Ok(());
        }
        if driver.says().await? {
            continue;
        }
        let due = journal.projections(TIMERS, "", "", 1).map_err(TravelError::from)?;
        let due = due.first().and_then(|(key, _)| key.split_once('/')?.0.parse().ok());
        let Some(due) = due.map(Timestamp).filter(|due| *due <= begins.after(TIME_MAX)) else {
            return Ok(());
        };
        let now = soloist.context().env.now();
        sleep(now.until(due).max(Duration::from_millis(1))).await;
    }
    Ok(())
}

struct Driver<'a> {
    soloist: &'a Soloist,
    /// What was said in the original and not yet in the fork, oldest first.
    said: Vec<&'a Said>,
}

/// What is to be said, and to what.
enum Saying {
    Decide(InboxId, Decision),
    Modify(InboxId, serde_json::Value),
    Occur(Box<Occurrence>),
    Control(Control),
}

impl Driver<'_> {
    /// Says the next thing for which the same waits; tells whether there was one.
    async fn says(&mut self) -> Result<bool, ForkError> {
        let runs = views::runs(self.soloist.journal()).map_err(TravelError::from)?;
        let mut folded = vec![];
        for run in runs {
            folded.extend(self.soloist.folded(&run.run).map_err(TravelError::from)?);
        }
        let next = self.said.iter().enumerate().find_map(|(place, said)| {
            let run = folded.iter().find(|run| run.id == said.run)?;
            Some((place, saying(run, said)?))
        });
        if let Some((place, saying)) = next {
            let said = self.said.remove(place);
            self.say(said, saying).await;
            return Ok(true);
        }
        Ok(false)
    }

    /// What cannot be said after all is left unsaid: what waits then waits on.
    async fn say(&self, said: &Said, saying: Saying) {
        let told = match saying {
            Saying::Decide(item, decision) => {
                self.soloist.decide_as(item.as_str(), decision, &said.by).await
            }
            Saying::Modify(item, arguments) => {
                self.soloist.modify_as(item.as_str(), &arguments, &said.by).await
            }
            Saying::Occur(occurrence) => {
                let (reply, answer) = oneshot::channel();
                let asked = Asked::Occur { occurrence, reply };
                if let Some(runs) = self.soloist.context().registry.runs() {
                    let _ = runs.send(runs::Message::Deliver { run: said.run.clone(), asked });
                }
                let _ = answer.await;
                Ok(())
            }
            Saying::Control(Control::Command(command)) => {
                self.soloist.command(&said.run, *command).await
            }
            Saying::Control(Control::Migrate(to)) => {
                self.soloist.migrate(said.run.as_str(), Some(to.version)).await
            }
        };
        if let Err(error) = told {
            tracing::debug!(run = %said.run, seq = said.seq.0, %error, "it is not said again in the fork");
        }
    }
}

/// What `said` is to `run`, if the same waits in it now, or it stands where it stood.
fn saying(run: &Run, said: &Said) -> Option<Saying> {
    match &said.what {
        What::Event { step, effect, occurrence } => {
            let (_, state) = run.step(step)?;
            let open = state.awaited(effect).filter(|awaited| awaited.is_open())?;
            let same = matches!(&open.what, Awaits::Event { event } if *event == occurrence.event);
            return same.then(|| Saying::Occur(occurrence.clone()));
        }
        What::Control { stands, control } => {
            return (Stands::of(run) == *stands).then(|| Saying::Control(control.clone()));
        }
        _ => {}
    }
    inbox::waiting(run).into_iter().find_map(|(item, waiting)| match (&said.what, waiting) {
        (What::Write { step, effect, proposal, decision }, Waiting::Write(in_step, of, write))
            if (step, effect) == (in_step, of)
                && same(proposal, write)
                && fits(decision, write) =>
        {
            Some(Saying::Decide(item, decision.clone()))
        }
        (
            What::Modified { step, effect, proposal, arguments },
            Waiting::Write(in_step, of, write),
        ) if (step, effect) == (in_step, of) && same(proposal, write) => {
            Some(Saying::Modify(item, arguments.value()))
        }
        (
            What::Answer { step, effect, content, decision },
            Waiting::Question(in_step, of, question),
        ) if (step, effect) == (in_step, of) && *content == question.content() => {
            Some(Saying::Decide(item, decision.clone()))
        }
        (What::Escalated { step, attempt, decision }, Waiting::Escalation(in_step, state))
            if step == in_step && *attempt == state.attempt =>
        {
            Some(Saying::Decide(item, decision.clone()))
        }
        _ => None,
    })
}

/// Whether a write asks the same: its bytes may hold the time, and so may differ.
fn same(proposal: &Proposal, write: &Write) -> bool {
    proposal.connector == write.proposal.connector
        && proposal.operation == write.proposal.operation
        && proposal.arguments == write.proposal.arguments
}

fn fits(decision: &Decision, write: &Write) -> bool {
    let asking = matches!(write.state, WriteState::Asking { .. });
    match decision {
        Decision::Resolve { .. } => matches!(write.state, WriteState::Ambiguous { .. }),
        Decision::Abort { .. } => true,
        _ => asking,
    }
}
