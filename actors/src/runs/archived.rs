//! Runs that are archived: what is asked of one is answered from what is kept of it, and no actor is started for it.

use soloist_kernel::{
    id::RunId,
    run::{ArchivedRun, Refusal},
};

use crate::{
    context::Context,
    handle::{DecideError, RunEnd, StartError},
    run::{Asked, end_of},
    views,
};

/// Answers what is asked of `archived`.
pub(super) fn answer(context: &Context, asked: Asked, archived: &ArchivedRun) {
    let run = &archived.summary.run;
    let over = || {
        let file = archived.summary.archived.as_deref().unwrap_or_default();
        DecideError::Invalid(format!("run {run} is over and archived in segment file {file}"))
    };
    match asked {
        Asked::Begin(begin) => {
            let same = archived.is_start_of(begin.workflow.name(), &begin.input.value);
            let in_use = || StartError::IdInUse { run: run.clone() };
            let _ = begin.reply.send(if same { Ok(false) } else { Err(in_use()) });
        }
        Asked::Decide { item, reply, .. } | Asked::Modify { item, reply, .. } => {
            let _ = reply.send(Err(Refusal::NotWaiting { item }.into()));
        }
        Asked::Watch { reply } => drop(reply.send(end(context, run))),
        Asked::Occur { reply, .. } => drop(reply.send(())),
        Asked::Command { reply: Some(reply), .. } | Asked::Migrate { reply, .. } => {
            drop(reply.send(Err(over())));
        }
        // It is over, and has taken in what it was to take in.
        Asked::ChildEnded(_)
        | Asked::Command { reply: None, .. }
        | Asked::Unpark { .. }
        | Asked::Answered { .. }
        | Asked::Tick
        | Asked::Recover => {}
    }
}

/// How it ended, by its history.
fn end(context: &Context, run: &RunId) -> RunEnd {
    let folded = views::fold(&*context.journal, run, None, &context.library());
    match folded {
        Ok(folded) => folded.as_ref().map_or(RunEnd::Missing, end_of),
        Err(error) => RunEnd::SetAside { reason: error.to_string() },
    }
}
