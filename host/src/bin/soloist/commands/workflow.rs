//! `soloist workflow …`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use soloist::{
    Workflow,
    id::WorkflowName,
    operator::Request,
    workflow::{Change, Problem},
};

use super::{
    ask::{ask, asked},
    definitions::{self, Source, raw, say_problems},
};
use crate::{
    cli::WorkflowCommand,
    company,
    config::Config,
    report::{self, Exit, Failure, entries, table, text},
};

pub(crate) async fn workflow(
    config: &Config,
    what: WorkflowCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        WorkflowCommand::Check { files } => check(config, &files, json).await,
        WorkflowCommand::Add { file } => add(config, &definitions::file(&file)?, json).await,
        WorkflowCommand::List => asked(config, Request::Workflows, json, show_list).await,
        WorkflowCommand::Show { workflow } => {
            let request = Request::Workflow { workflow };
            asked(config, request, json, |answer| say_part!("{}", raw(answer, "/text"))).await
        }
        WorkflowCommand::Diff { old, new } => diff(config, &old, &new, json).await,
        WorkflowCommand::Render { workflow, .. } => {
            let drawn = parsed(&definitions::workflow(config, &workflow).await?)?.mermaid();
            let answer = json!({ "workflow": workflow, "mermaid": drawn });
            report::answer(&answer, json, |_| say_part!("{drawn}"));
            Ok(())
        }
    }
}

fn parsed(source: &Source) -> Result<Workflow, Failure> {
    Workflow::parse(&source.name, &source.text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Failed, problems.join("\n"))
    })
}

/// Checks `files` against what the company and the worked examples have, against what is stored if that can be read, and
/// against each other.
async fn check(config: &Config, files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let (read, mut problems) = read(files);
    let catalog = company::catalog(config)?;
    let examples = company::scenario::workflows()?.into_iter();
    let mut all: BTreeMap<WorkflowName, Arc<Workflow>> =
        examples.map(|workflow| (workflow.name.clone(), Arc::new(workflow))).collect();
    all.extend(stored(config).await);
    all.extend(read.iter().map(|workflow| (workflow.name.clone(), workflow.clone())));
    problems.extend(read.iter().flat_map(|workflow| workflow.check(&catalog, &all)));
    if !problems.is_empty() {
        return Err(say_problems(&problems, json));
    }
    for workflow in read {
        let (file, name, steps) = (workflow.file(), &workflow.name, workflow.steps.len());
        let answer = json!({ "file": file, "workflow": name, "steps": steps });
        let noun = if steps == 1 { "step" } else { "steps" };
        report::answer(&answer, json, |_| say!("{file}: {name} is well, with {steps} {noun}"));
    }
    Ok(())
}

/// The definitions that could be read, and what is wrong with the others.
fn read(files: &[PathBuf]) -> (Vec<Arc<Workflow>>, Vec<Problem>) {
    let (mut read, mut problems) = (Vec::<Arc<Workflow>>::new(), vec![]);
    for path in files {
        let file = path.display().to_string();
        let problem = |field: Option<String>, message, help: &str| Problem {
            file: file.clone(),
            step: None,
            field,
            message,
            help: Some(help.into()),
        };
        let text = match definitions::read(path) {
            Ok(text) => text,
            Err(message) => {
                problems.push(problem(None, message, "name a file of TOML that you may read"));
                continue;
            }
        };
        match Workflow::parse(&file, &text) {
            Ok(workflow) => match read.iter().find(|other| other.name == workflow.name) {
                Some(other) => {
                    let message = format!("{} defines `{}` as well", other.file(), workflow.name);
                    let help = "check two versions of one workflow one at a time";
                    problems.push(problem(Some("name".into()), message, help));
                }
                None => read.push(Arc::new(workflow)),
            },
            Err(found) => problems.extend(found),
        }
    }
    (read, problems)
}

/// The workflows there are already. What cannot be read stands in nobody's way: a check needs no data directory.
async fn stored(config: &Config) -> BTreeMap<WorkflowName, Arc<Workflow>> {
    let mut found = BTreeMap::new();
    if let Ok(answer) = ask(config, Request::Workflows).await {
        for entry in entries(&answer) {
            if let Ok(workflow) = Workflow::parse(&raw(entry, "/workflow"), &raw(entry, "/text")) {
                found.insert(workflow.name.clone(), Arc::new(workflow));
            }
        }
    }
    if let Ok(workflow) = company::workflow(config) {
        found.insert(workflow.name.clone(), Arc::new(workflow));
    }
    found
}

async fn add(config: &Config, source: &Source, json: bool) -> Result<(), Failure> {
    let (file, text) = (source.name.clone(), source.text.clone());
    let answer = ask(config, Request::AddWorkflow { file, text }).await?;
    report::answer(&answer, json, |answer| say!("{}", raw(answer, "/workflow")));
    if let Ok(own) = company::workflow(config)
        && own.name.as_str() == raw(&answer, "/name")
        && own.source() != source.text
    {
        eprintln!(
            "soloist: `{}` is the workflow of the configuration, which is the newest version again at the next start; to keep this one, \
             set `workflow` in soloist.toml to it",
            own.name
        );
    }
    Ok(())
}

fn show_list(answer: &Value) {
    let row = |workflow: &Value| {
        ["/workflow", "/steps", "/goal", "/description"]
            .map(|pointer| text(workflow, pointer))
            .to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    match rows.is_empty() {
        true => say!("There are no workflows yet. `soloist workflow add FILE` adds one."),
        false => table(&["WORKFLOW", "STEPS", "GOAL", "WHAT IT IS FOR"], &rows),
    }
}

async fn diff(config: &Config, old: &str, new: &str, json: bool) -> Result<(), Failure> {
    let old = definitions::workflow(config, old).await?;
    let new = definitions::workflow(config, new).await?;
    let changes = parsed(&old)?.diff(&parsed(&new)?);
    let answer = json!({ "old": old.name, "new": new.name, "changes": changes });
    report::answer(&answer, json, |_| {
        if changes.is_empty() {
            say!("{} and {} mean the same.", old.name, new.name);
        }
        changes.iter().map(Change::to_string).for_each(|change| say!("{change}"));
    });
    Ok(())
}
