//! Answers, as JSON that people's tools can rely on: keys are added and not taken away.
//!
//! This file sorts requests; `handler/inbox.rs` answers what concerns waiting items, `handler/runs.rs` runs and events,
//! `handler/control.rs` what is paused, ended and tried again, `handler/rollouts.rs` versions side by side, `handler/money.rs`
//! costs and budgets,
//! `handler/archive.rs` the archive, `handler/decisions.rs` what was decided, `handler/definitions.rs` workflows and policies,
//! `handler/known.rs` what is known and whether the journal is well, `handler/tree.rs` how the kernel itself is, [`travel`]
//! what was, and what would have been.

mod archive;
mod connectors;
mod control;
mod decisions;
mod definitions;
mod inbox;
mod known;
mod money;
mod rollouts;
mod runs;
pub mod travel;
mod tree;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use soloist_actors::{Ending, Halted, Soloist, views};
use soloist_kernel::journal::Journal;

use crate::request::{Problem, Request};

/// Answers a request that only reads.
///
/// # Errors
///
/// [`Problem`], also for a request that [needs a kernel](Request::needs_kernel).
pub fn read(journal: &Arc<dyn Journal>, request: &Request) -> Result<Value, Problem> {
    let seen = &**journal;
    match request {
        Request::Inbox => to_json(&views::inbox(seen).map_err(Problem::new)?),
        Request::InboxItem { item } => to_json(&inbox::find(seen, item)?),
        Request::Runs => to_json(&views::runs(seen).map_err(Problem::new)?),
        Request::Run { run, at: None } => runs::show(seen, run),
        Request::Run { run, at: Some(seq) } => travel::show_at(seen, run, *seq),
        Request::Replay { run } => travel::replay(seen, run),
        Request::Export { run } => travel::export(seen, run),
        Request::Quarantined => to_json(&views::quarantined(seen).map_err(Problem::new)?),
        Request::Facts { system, external } => known::facts(journal, system, external),
        Request::Contacts { like } => known::contacts(journal, like),
        Request::Verify => known::verified(seen),
        Request::Segments => archive::list(seen),
        Request::VerifyArchive => archive::verified(seen),
        Request::Workflows => definitions::workflows(seen),
        Request::Workflow { workflow } => definitions::workflow(seen, workflow),
        Request::Policy { version } => definitions::policy(seen, *version),
        Request::Pauses => control::pauses(seen),
        Request::Rollouts => rollouts::compared(seen),
        Request::Costs { by, since_ms } => money::costs(seen, *by, *since_ms),
        Request::Compare { of } => rollouts::outcomes(seen, of.as_deref()),
        Request::Shadows => rollouts::shadows(seen),
        Request::Shadowed { of, run } => rollouts::shadowed(seen, of, run.as_deref()),
        Request::Decisions { since_ms, connector } => {
            decisions::decisions(seen, *since_ms, connector.as_deref())
        }
        Request::Backtest { file, text, since_ms } => {
            decisions::backtest(seen, file, text, *since_ms)
        }
        Request::Suggest { since_ms, min, also } => decisions::suggest(seen, *since_ms, *min, also),
        Request::Tree
        | Request::Ready
        | Request::Connectors
        | Request::CheckConnector { .. }
        | Request::Drain { .. }
        | Request::Fork { .. }
        | Request::Migration { .. }
        | Request::Archive { .. }
        | Request::Decide { .. }
        | Request::Modify { .. }
        | Request::Start { .. }
        | Request::Pursue { .. }
        | Request::AbortRun { .. }
        | Request::CancelRun { .. }
        | Request::EndRuns { .. }
        | Request::RetryStep { .. }
        | Request::OverrideStep { .. }
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Canary { .. }
        | Request::Shadow { .. }
        | Request::Promote { .. }
        | Request::Budgets
        | Request::RaiseBudget { .. }
        | Request::Migrate { .. }
        | Request::Emit { .. }
        | Request::AddWorkflow { .. }
        | Request::SetPolicy { .. } => Err(Problem::new(
            "this needs a running kernel; it is a defect that it was asked of a journal",
        )),
    }
}

/// Answers any request over a running kernel. What sets a run going returns once the run has come to rest again, and says
/// where.
///
/// # Errors
///
/// [`Problem`].
pub async fn act(soloist: &Soloist, request: Request) -> Result<Value, Problem> {
    let begins =
        matches!(request, Request::Start { .. } | Request::Pursue { .. } | Request::Emit { .. });
    if begins && let Some(halted) = halted(soloist).await {
        // The actors that would do it say only that they are gone.
        return Err(Problem::new(halted));
    }
    match request {
        Request::Tree => tree::tree(soloist),
        Request::Ready => to_json(&soloist.readiness()),
        Request::Connectors => to_json(&soloist.connectors()),
        Request::CheckConnector { name } => connectors::check(soloist, &name).await,
        Request::Drain { seconds } => tree::drain(soloist, seconds).await,
        Request::Archive { older_than_ms, by } => {
            archive::archive(soloist, older_than_ms, by.as_deref()).await
        }
        Request::Decide { item, decision, by } => {
            inbox::decide(soloist, &item, decision, by.as_deref()).await
        }
        Request::Modify { item, arguments, by } => {
            inbox::modify(soloist, &item, arguments, by.as_deref()).await
        }
        Request::Start { workflow, run, input } => {
            runs::start(soloist, &workflow, run, &input).await
        }
        Request::Pursue { goal, run, input } => runs::pursue(soloist, &goal, run, &input).await,
        Request::AbortRun { run, reason } => {
            control::end(soloist, &run, Ending::Abort, &reason).await
        }
        Request::CancelRun { run, reason } => {
            control::end(soloist, &run, Ending::Cancel, &reason).await
        }
        Request::EndRuns { scope, cancel, reason } => {
            let ending = if cancel { Ending::Cancel } else { Ending::Abort };
            control::end_all(soloist, &scope, ending, &reason).await
        }
        Request::RetryStep { run, step, reason } => {
            control::retry(soloist, &run, step.as_deref(), &reason).await
        }
        Request::OverrideStep { run, step, output, reason } => {
            control::override_step(soloist, &run, &step, &output, &reason).await
        }
        Request::Pause { scope, reason } => control::pause(soloist, &scope, &reason).await,
        Request::Resume { scope } => control::resume(soloist, &scope).await,
        Request::Canary { of, percent } => rollouts::canary(soloist, &of, percent).await,
        Request::Shadow { of, percent } => rollouts::shadow(soloist, &of, percent).await,
        Request::Promote { of } => rollouts::promote(soloist, &of).await,
        Request::Budgets => money::budgets(soloist),
        Request::RaiseBudget { budget, run, more, reason } => {
            money::raise(soloist, &budget, run.as_deref(), more, &reason).await
        }
        Request::Migration { run, to } => runs::migration(soloist, &run, to),
        Request::Migrate { run, to } => runs::migrate(soloist, &run, to).await,
        Request::Emit { event, id, source, data } => {
            runs::emit(soloist, &source, &id, &event, &data).await
        }
        Request::AddWorkflow { file, text } => {
            definitions::add_workflow(soloist, &file, &text).await
        }
        Request::SetPolicy { file, text } => definitions::set_policy(soloist, &file, &text).await,
        Request::Fork { .. } => travel::fork(soloist, &request).await,
        reading => read(&soloist.shared_journal(), &reading),
    }
}

/// Carries out a request that [holds](Request::holds), over a journal that no kernel has open.
///
/// # Errors
///
/// [`Problem`], also for any other request.
pub async fn hold(journal: &Arc<dyn Journal>, request: &Request) -> Result<Value, Problem> {
    match request {
        Request::Pause { scope, reason } => control::hold(journal, scope, Some(reason)).await,
        Request::Resume { scope } => control::hold(journal, scope, None).await,
        _ => {
            Err(Problem::new("this pauses nothing; it is a defect that it was asked of a journal"))
        }
    }
}

/// Why the kernel has halted, if it has.
async fn halted(soloist: &Soloist) -> Option<Halted> {
    tokio::select! {
        biased;
        halted = soloist.halted() => Some(halted),
        () = std::future::ready(()) => None,
    }
}

fn to_json(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(Problem::new)
}

/// `problems`, a line each.
fn problems(problems: &[impl ToString]) -> Problem {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Problem::new(lines.join("\n"))
}
