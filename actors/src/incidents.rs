//! Incidents of the kernel itself, in the journal: raised by whoever supervises, decided by the operator.
//!
//! Their stream has several writers and no actor. Each reads what there is, decides, and appends at the place after what it
//! read; if another came between, it reads and decides again. So a decision counts once.

use std::time::Duration;

use soloist_kernel::{
    budget::Account,
    effect::Decision,
    id::{Actor, InboxId, RunId},
    incident::{self, Death, Event, Incident, What},
    journal::{Append, AppendError, Entry, ReadError, Stopped, StreamSeq},
    run::Refusal,
};
use thiserror::Error;

use crate::{context::Context, handle::DecideError, run::by_whom, views};

/// How often it looks whether an append before its own can be read. That takes as long as an fsync.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Why an incident was not put on record.
#[derive(Debug, Error)]
pub(crate) enum RaiseError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal does not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Puts on record that `what` could not be kept going, and returns the incident once it is on disk. A run that is set aside
/// already is so by the incident that it was set aside by.
pub(crate) async fn raise(
    context: &Context,
    what: What,
    evidence: Vec<Death>,
) -> Result<Incident, RaiseError> {
    let journal = &*context.journal;
    loop {
        let last = last_readable(context).await?;
        if let What::Quarantined { run } = &what
            && let Some(id) = views::set_aside(journal, run)?
            && let Some(incident) = views::incident(journal, &id)?
        {
            return Ok(incident);
        }
        if let What::OverBudget { .. } = &what
            && let Some(known) = views::incident(journal, &what.id(context.env.now()))?
        {
            return Ok(known);
        }
        let (event, incident) = incident::raise(what.clone(), evidence.clone(), context.env.now());
        if append(context, &event, &incident, last, Actor::kernel()).await? {
            return Ok(incident);
        }
    }
}

/// Decides about the incident `item`, and returns once that is on disk: with the run that may now go on, if one may. Whoever
/// calls tells that run so.
pub(crate) async fn decide(
    context: &Context,
    item: &InboxId,
    decision: &Decision,
    by: &str,
) -> Result<Option<RunId>, DecideError> {
    let journal = &*context.journal;
    let halted = |error: AppendError| DecideError::Halted(error.to_string());
    loop {
        let last = last_readable(context).await.map_err(|error| match error {
            RaiseError::Read(error) => error.into(),
            RaiseError::Append(error) => halted(error),
        })?;
        let Some(incident) = views::incident(journal, item)? else {
            return Err(Refusal::NotWaiting { item: item.clone() }.into());
        };
        let waits = views::inbox_item(journal, item)?.is_some();
        let event = incident.decide(decision, by, waits)?;
        if append(context, &event, &incident, last, by_whom(by)).await.map_err(halted)? {
            let released = matches!(event, Event::Released { .. });
            return Ok(incident.run().filter(|_| released).cloned());
        }
    }
}

/// An account has room again: whoever made some need not be told that it has none.
pub(crate) async fn settle_over_budget(context: &Context, account: &Account, by: &str) {
    let what = What::OverBudget { account: account.clone(), reason: String::new() };
    let item = what.id(context.env.now());
    let dismissed = Decision::Abort { reason: "it was raised".into() };
    let dismissed = decide(context, &item, &dismissed, by).await;
    if let Err(error @ DecideError::Halted(_)) = dismissed {
        tracing::error!(%error, %account, "failed to put away what was said of a budget");
    }
}

/// The last record of the stream, once it can be read, and with it what is written beside it.
async fn last_readable(context: &Context) -> Result<StreamSeq, RaiseError> {
    let stream = incident::stream();
    loop {
        let last = context.journal.stream_head(&stream)?;
        let before = StreamSeq(last.0.saturating_sub(1));
        if last == before || !context.journal.stream(&stream, before)?.is_empty() {
            return Ok(last);
        }
        if let Some(halted) = context.halted.borrow().as_ref().filter(|halted| !halted.gave_up) {
            let stopped = Stopped { reason: halted.reason.as_str().into() };
            return Err(AppendError::Stopped(stopped).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Appends `event` after the record `last` of the stream, and returns once it is on disk; false if another came between.
async fn append(
    context: &Context,
    event: &Event,
    incident: &Incident,
    last: StreamSeq,
    actor: Actor,
) -> Result<bool, AppendError> {
    let entry = Entry {
        stream: incident::stream(),
        stream_seq: StreamSeq(last.0 + 1),
        at: match event {
            Event::Raised { .. } => incident.at,
            Event::Released { .. } | Event::Dismissed { .. } => context.env.now(),
        },
        actor,
        causation: None,
        correlation: incident.run().cloned(),
        kind: event.kind().into(),
        version: incident::EVENTS_VERSION,
        payload: incident::encode(event),
    };
    let projections = incident::project(event, incident);
    let append = Append { entries: vec![entry], projections, ..Append::default() };
    match context.log.durable(append).await {
        Ok(_) => Ok(true),
        Err(AppendError::Conflict { .. }) => Ok(false),
        Err(error) => {
            if let AppendError::Stopped(stopped) = &error {
                context.halt(&stopped.to_string());
            }
            Err(error)
        }
    }
}
