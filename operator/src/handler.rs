//! Answers, as JSON that people's tools can rely on.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use soloist_actors::{RunEnd, Soloist, views};
use soloist_kernel::{
    id::{InboxId, RunId},
    inbox::Item,
    journal::{Journal, Record, verify},
    run,
};
use soloist_memory::{Fact, Memory, entity, similar};

use crate::request::{Problem, Request};

/// Contacts that one search shows.
const CONTACTS_MAX: usize = 5;

/// Answers a request that only reads.
///
/// # Errors
///
/// [`Problem`], also for a request that [`acts`](Request::acts).
pub fn read(journal: &Arc<dyn Journal>, request: &Request) -> Result<Value, Problem> {
    match request {
        Request::Inbox => to_json(&views::inbox(&**journal).map_err(Problem::new)?),
        Request::InboxItem { item } => to_json(&find(&**journal, item)?),
        Request::Runs => to_json(&views::runs(&**journal).map_err(Problem::new)?),
        Request::Run { run } => history(&**journal, run),
        Request::Quarantined => to_json(&views::quarantined(&**journal).map_err(Problem::new)?),
        Request::Facts { system, external } => {
            let subject = entity(system, external);
            let facts = Memory::new(journal.clone()).facts(&subject).map_err(Problem::new)?;
            let facts: Vec<Value> = facts
                .iter()
                .filter_map(|fact| fact.payload().ok())
                .map(|payload| payload.value())
                .collect();
            Ok(json!({ "subject": subject, "facts": facts }))
        }
        Request::Contacts { like } => {
            let found = Memory::new(journal.clone())
                .contacts_like(like, CONTACTS_MAX)
                .map_err(Problem::new)?;
            let view = |(fact, likeness): &(Fact, f32)| json!({ "contact": fact.subject, "name": fact.value.value(), "likeness": likeness });
            Ok(
                json!({ "index": similar::INDEX, "contacts": found.iter().map(view).collect::<Vec<_>>() }),
            )
        }
        Request::Verify => {
            let verified = verify::verify(&**journal, None).map_err(Problem::new)?;
            Ok(
                json!({ "ok": true, "records": verified.records, "head": verified.head.hash.to_hex() }),
            )
        }
        Request::Decide { .. } | Request::Modify { .. } => Err(Problem::new(
            "this needs a running kernel; it is a defect that it was asked of a journal",
        )),
    }
}

/// Answers any request over a running kernel. A decision returns once its run has come to rest again, and says where.
///
/// # Errors
///
/// [`Problem`].
pub async fn act(soloist: &Soloist, request: Request) -> Result<Value, Problem> {
    match request {
        Request::Decide { item, decision } => {
            let run = find(soloist.journal(), &item)?.run;
            soloist.decide(&item, decision).await.map_err(Problem::new)?;
            outcome(soloist, &item, &run).await
        }
        Request::Modify { item, arguments } => {
            let found = find(soloist.journal(), &item)?;
            let mut merged = match found.arguments {
                Some(Value::Object(merged)) => merged,
                _ => {
                    return Err(Problem::new(format!(
                        "item {item} proposes nothing that could be changed"
                    )));
                }
            };
            merged.extend(arguments);
            soloist.modify(&item, &merged).await.map_err(Problem::new)?;
            outcome(soloist, &item, &found.run).await
        }
        request => read(&soloist.shared_journal(), &request),
    }
}

async fn outcome(soloist: &Soloist, item: &str, run: &RunId) -> Result<Value, Problem> {
    let handle = soloist.run(run.as_str()).map_err(Problem::new)?;
    let (status, reason) = match handle.rest().await.map_err(Problem::new)? {
        RunEnd::Completed(_) => ("completed", None),
        RunEnd::Failed { reason, .. } => ("failed", Some(reason)),
        RunEnd::Waiting => ("waiting", None),
        RunEnd::Missing => ("missing", None),
    };
    let landed = handle.view().map_err(Problem::new)?.map_or(0, |view| view.summary.writes_landed);
    Ok(
        json!({ "item": item, "run": run, "status": status, "reason": reason, "writes_landed": landed }),
    )
}

fn find(journal: &dyn Journal, item: &str) -> Result<Item, Problem> {
    // What is no id at all is the id of nothing.
    let found = InboxId::new(item).ok().map(|id| views::inbox_item(journal, &id)).transpose();
    found.map_err(Problem::new)?.flatten().ok_or_else(|| {
        Problem::new(format!("nothing waits under the id {item:?}: it was decided already, or never was; see `soloist inbox list`"))
    })
}

fn history(journal: &dyn Journal, run: &str) -> Result<Value, Problem> {
    let id = RunId::new(run).map_err(Problem::new)?;
    let missing = || Problem::new(format!("there is no run {run:?}; see `soloist run list`"));
    let view = views::run(journal, &id).map_err(Problem::new)?.ok_or_else(missing)?;
    let records: Vec<Value> =
        view.records.iter().map(|record| record_view(journal, record)).collect();
    let mut shown = to_json(&view.summary)?;
    shown["records"] = Value::Array(records);
    Ok(shown)
}

fn record_view(journal: &dyn Journal, record: &Record) -> Value {
    let entry = &record.entry;
    let fetch = |digest: &_| journal.blob(digest);
    let events = match run::decode(entry.version, &entry.payload, &fetch) {
        Ok(events) => events
            .iter()
            .map(|event| json!({ "kind": event.kind(), "detail": format!("{event:?}") }))
            .collect(),
        Err(error) => vec![json!({ "kind": "unreadable", "detail": error.to_string() })],
    };
    json!({
        "seq": record.seq,
        "at": entry.at.to_string(),
        "actor": entry.actor,
        "kind": entry.kind,
        "hash": record.hash.to_hex(),
        "events": events,
    })
}

fn to_json(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(Problem::new)
}
