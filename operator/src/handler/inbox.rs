//! Decisions about what waits.

use std::time::Duration;

use serde_json::{Map, Value, json};
use soloist_actors::{DecideError, Soloist, views};
use soloist_kernel::{
    effect::Decision,
    id::{Actor, InboxId},
    inbox::Item,
    incident::Incident,
    journal::{Journal, ReadError},
};
use tokio::time::timeout;

use super::runs::{at_rest, waits_in};
use crate::request::Problem;

/// Who decides, where nobody else is named.
const OPERATOR: &str = "operator";

/// How long the answer to a release waits until the run has come to rest.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn decide(
    soloist: &Soloist,
    item: &str,
    decision: Decision,
    by: Option<&str>,
) -> Result<Value, Problem> {
    let found = find(soloist.journal(), item)?;
    let incident = views::incident(soloist.journal(), &found.id).map_err(Problem::new)?;
    let releases = matches!(decision, Decision::Retry);
    let decided = soloist.decide_as(item, decision, name(by)?).await;
    decided.map_err(|error| refused(soloist, &found, &error))?;
    match incident {
        Some(incident) => decided_incident(soloist, &incident, releases).await,
        None => outcome(soloist, &found).await,
    }
}

/// What came of a decision about an incident of the kernel itself. A run that goes on may be set aside again before it comes
/// to rest, so it is not waited for without end.
async fn decided_incident(
    soloist: &Soloist,
    incident: &Incident,
    releases: bool,
) -> Result<Value, Problem> {
    let mut outcome = json!({ "run": incident.run(), "status": "dismissed" });
    if let Some(run) = incident.run().filter(|_| releases) {
        let rests = timeout(RELEASE_TIMEOUT, at_rest(soloist, run.as_str())).await;
        outcome = rests.unwrap_or_else(|_| Ok(json!({ "run": run, "status": "running" })))?;
    }
    outcome["item"] = Value::String(incident.id.to_string());
    Ok(outcome)
}

pub(super) async fn modify(
    soloist: &Soloist,
    item: &str,
    arguments: Map<String, Value>,
    by: Option<&str>,
) -> Result<Value, Problem> {
    let found = find(soloist.journal(), item)?;
    // What failed shows its input as arguments too, but proposes nothing.
    let proposes = found.choices.iter().any(|choice| choice.word == "modify");
    let mut merged = match &found.arguments {
        Some(Value::Object(merged)) if proposes => merged.clone(),
        _ => {
            return Err(Problem::new(format!(
                "item {item} proposes nothing that could be changed"
            )));
        }
    };
    merged.extend(arguments);
    let modified = soloist.modify_as(item, &merged, name(by)?).await;
    modified.map_err(|error| refused(soloist, &found, &error))?;
    outcome(soloist, &found).await
}

async fn outcome(soloist: &Soloist, item: &Item) -> Result<Value, Problem> {
    let mut outcome = match &item.run {
        Some(run) => at_rest(soloist, run.as_str()).await?,
        None => json!({ "run": null }),
    };
    outcome["item"] = Value::String(item.id.to_string());
    Ok(outcome)
}

/// Who decides. A name that the record could not hold is refused, because a decision must not be put down to someone else.
fn name(by: Option<&str>) -> Result<&str, Problem> {
    let by = by.unwrap_or(OPERATOR);
    Actor::new(format!("{OPERATOR}:{by}")).map_err(Problem::new)?;
    Ok(by)
}

/// Says where what was shown waits now, if it has changed.
fn refused(soloist: &Soloist, item: &Item, error: &DecideError) -> Problem {
    let DecideError::Changed { .. } = error else { return Problem::new(error) };
    let waits = item.run.as_ref().map(|run| waits_in(soloist.journal(), run).unwrap_or_default());
    let waits = waits.unwrap_or_default();
    let now = waits.iter().find(|waiting| waiting.step == item.step && waiting.id != item.id);
    match now {
        Some(now) => Problem::new(format!(
            "item {} was not approved: policy or what would be sent has changed since it was shown; look at it again, it waits as \
             {} now: soloist inbox show {1}",
            item.id, now.id
        )),
        None => Problem::new(error),
    }
}

/// The waiting item `item`, or an incident that was dismissed and whose run can still be released.
pub(super) fn find(journal: &dyn Journal, item: &str) -> Result<Item, Problem> {
    let look = |id: InboxId| match views::inbox_item(journal, &id)? {
        Some(item) => Ok(Some(item)),
        None => Ok(views::incident(journal, &id)?.map(|incident| incident.item())),
    };
    // What is no id at all is the id of nothing.
    let found = InboxId::new(item).ok().map(look).transpose();
    found.map_err(|error: ReadError| Problem::new(error))?.flatten().ok_or_else(|| {
        Problem::new(format!("nothing waits under the id {item:?}: it was decided already, or never was; see `soloist inbox list`"))
    })
}
