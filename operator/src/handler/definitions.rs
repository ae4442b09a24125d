//! Workflows and policies: what is stored of them, and how they change while the kernel runs.

use serde_json::{Value, json};
use soloist_actors::{SetError, Soloist, views};
use soloist_kernel::{
    id::{WorkflowName, WorkflowRef},
    journal::Journal,
    policy::Policy,
    workflow::{Workflow, nearest},
};

use super::problems;
use crate::request::Problem;

/// The workflows with their texts: who checks a file against them needs these.
pub(super) fn workflows(journal: &dyn Journal) -> Result<Value, Problem> {
    let found = views::workflows(journal).map_err(Problem::new)?;
    Ok(found.iter().map(|(pinned, text)| view(pinned, text)).collect())
}

/// One workflow, named as `NAME` or `NAME@VERSION`.
pub(super) fn workflow(journal: &dyn Journal, named: &str) -> Result<Value, Problem> {
    let (name, version) = pinned(named)?;
    let found = views::workflow(journal, &name, version).map_err(Problem::new)?;
    if let Some((pinned, text)) = found {
        return Ok(view(&pinned, &text));
    }
    let known = views::workflows(journal).map_err(Problem::new)?;
    let newest = known.iter().find(|(pinned, _)| pinned.name == name);
    let help = match newest {
        Some((newest, _)) => format!("the newest version is {newest}"),
        None => match nearest(name.as_str(), known.iter().map(|(known, _)| known.name.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see `soloist workflow list`".into(),
        },
    };
    Err(Problem::new(format!("there is no workflow `{named}`; {help}")))
}

fn pinned(named: &str) -> Result<(WorkflowName, Option<u32>), Problem> {
    // A name may hold an `@` of its own: only a number behind the last one is a version.
    let parts = named.rsplit_once('@');
    let version = parts.and_then(|(name, version)| Some((name, version.parse().ok()?)));
    let (name, version) = version.map_or((named, None), |(name, version)| (name, Some(version)));
    Ok((name.parse().map_err(Problem::new)?, version))
}

fn view(pinned: &WorkflowRef, text: &str) -> Value {
    // What was stored could be read when it was; a newer soloist may refuse it, and still shows its text.
    let read = Workflow::parse(&pinned.to_string(), text).ok();
    json!({
        "workflow": pinned.to_string(),
        "name": pinned.name,
        "version": pinned.version,
        "description": read.as_ref().map(|workflow| workflow.description.clone()),
        "goal": read.as_ref().and_then(|workflow| workflow.intent.as_ref().map(|goal| goal.name.clone())),
        "steps": read.as_ref().map(|workflow| workflow.steps.len()),
        "text": text,
    })
}

/// The policy in force, or version `version` of it.
pub(super) fn policy(journal: &dyn Journal, version: Option<u32>) -> Result<Value, Problem> {
    let newest = views::policy(journal, None).map_err(Problem::new)?;
    let found = views::policy(journal, version).map_err(Problem::new)?;
    let in_force = newest.map(|(version, _)| version);
    match (found, version, in_force) {
        (Some((version, text)), _, _) => {
            Ok(json!({ "version": version, "in_force": in_force == Some(version), "text": text }))
        }
        (None, Some(version), Some(newest)) => Err(Problem::new(format!(
            "there is no version {version} of the policy; the newest is {newest}"
        ))),
        (None, _, _) => Err(Problem::new("no policy was ever in force here")),
    }
}

pub(super) async fn add_workflow(
    soloist: &Soloist,
    file: &str,
    text: &str,
) -> Result<Value, Problem> {
    let workflow = Workflow::parse(file, text).map_err(|found| problems(&found))?;
    let before = soloist.workflows();
    let steps = workflow.steps.len();
    let pinned = soloist.add_workflow(workflow).await.map_err(Problem::new)?;
    let new = !before.iter().any(|(known, _)| *known == pinned);
    Ok(json!({
        "workflow": pinned.to_string(),
        "name": pinned.name,
        "version": pinned.version,
        "steps": steps,
        "new": new,
    }))
}

/// Sets a policy. What the configuration of the running kernel added to the lists stays added.
pub(super) async fn set_policy(
    soloist: &Soloist,
    file: &str,
    text: &str,
) -> Result<Value, Problem> {
    let policy = Policy::parse(file, text).map_err(|found| problems(&found))?;
    let before = soloist.policy();
    let changes: Vec<String> = before
        .diff(&policy.clone().with_lists_of(&before))
        .iter()
        .map(ToString::to_string)
        .collect();
    let set = soloist.set_policy(policy.with_lists_of(&before)).await;
    let version = set.map_err(|error: SetError| Problem::new(error))?;
    Ok(json!({
        "version": version,
        "before": before.version(),
        "new": version != before.version(),
        "changes": changes,
    }))
}
