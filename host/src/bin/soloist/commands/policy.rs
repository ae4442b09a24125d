//! `soloist policy …`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use soloist::{
    Policy,
    operator::{Client, Request},
    policy::{PolicyChange, PolicyProblem},
};

use super::{
    ask::{ask, asked},
    decisions,
    definitions::{self, Source, raw, say_problems},
};
use crate::{
    cli::PolicyCommand,
    config::Config,
    report::{self, Exit, Failure, entries, text},
};

pub(crate) async fn policy(
    config: &Config,
    what: PolicyCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        PolicyCommand::Check { files } => check(&files, json),
        PolicyCommand::Test { file } => test(&file, json),
        PolicyCommand::Show { version } => {
            let request = Request::Policy { version };
            asked(config, request, json, |answer| say_part!("{}", raw(answer, "/text"))).await
        }
        PolicyCommand::Diff { one, other } => diff(config, &one, other.as_deref(), json).await,
        PolicyCommand::Decisions { since, connector } => {
            decisions::decisions(config, since.as_deref(), connector, json).await
        }
        PolicyCommand::Backtest { file, since } => {
            let source = definitions::file(&file)?;
            parsed(&source)?;
            decisions::backtest(config, source, since.as_deref(), json).await
        }
        PolicyCommand::Suggest { since, min, also } => {
            decisions::suggest(config, since.as_deref(), min, also, json).await
        }
        PolicyCommand::Set { file } => set(config, &definitions::file(&file)?, json).await,
    }
}

/// The policy in `file`, or what is wrong with it.
fn read(path: &Path) -> Result<Policy, Vec<PolicyProblem>> {
    let file = path.display().to_string();
    let text = definitions::read(path).map_err(|message| {
        let help = Some("name a file of TOML that you may read".into());
        vec![PolicyProblem { file: file.clone(), rule: None, field: None, message, help }]
    })?;
    Policy::parse(&file, &text)
}

fn check(files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let (mut well, mut problems) = (vec![], vec![]);
    for path in files {
        match read(path) {
            Ok(policy) => well.push((path.display(), policy.test().len())),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(say_problems(&problems, json));
    }
    for (file, examples) in well {
        let answer = json!({ "file": file.to_string(), "examples": examples });
        report::answer(&answer, json, |_| say!("{file}: the policy is well"));
    }
    Ok(())
}

/// Runs the policy's examples.
fn test(path: &Path, json: bool) -> Result<(), Failure> {
    let policy = read(path).map_err(|problems| say_problems(&problems, json))?;
    let results = policy.test();
    for result in &results {
        let mark = if result.passed { "passed" } else { "FAILED" };
        report::answer(&json!(result), json, |_| say!("{mark}  {result}"));
    }
    let failed = results.iter().filter(|result| !result.passed).count();
    if !json {
        match (results.len(), failed) {
            (0, _) => say!(
                "{} has no examples, so nothing was tested; see `docs/policy.md` for how to write one",
                path.display()
            ),
            (all, 0) => say!("\nAll {all} examples come out as expected."),
            (all, failed) => say!("\n{failed} of {all} examples do not come out as expected."),
        }
    }
    if failed == 0 { Ok(()) } else { Err(Failure::said()) }
}

fn parsed(source: &Source) -> Result<Policy, Failure> {
    Policy::parse(&source.name, &source.text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Failed, problems.join("\n"))
    })
}

/// Compares two policies. One alone is compared with what is in force: a file is the newer of the two, a version the older.
async fn diff(config: &Config, one: &str, other: Option<&str>, json: bool) -> Result<(), Failure> {
    let is_version = one.parse::<u32>().is_ok();
    let (older, newer) = match (other, is_version) {
        (Some(other), _) => (Some(one), Some(other)),
        (None, true) => (Some(one), None),
        (None, false) => (None, Some(one)),
    };
    let older = definitions::policy(config, older).await?;
    let newer = definitions::policy(config, newer).await?;
    let changes = parsed(&older)?.diff(&parsed(&newer)?);
    let answer = json!({ "old": older.name, "new": newer.name, "changes": changes });
    report::answer(&answer, json, |_| {
        if changes.is_empty() {
            say!("{} and {} judge alike.", older.name, newer.name);
        }
        changes.iter().map(PolicyChange::to_string).for_each(|change| say!("{change}"));
    });
    Ok(())
}

/// Sets the policy of the running soloist. Without one there is nothing that it could be set in: each start judges by the
/// policy that its configuration names.
async fn set(config: &Config, source: &Source, json: bool) -> Result<(), Failure> {
    parsed(source)?;
    if Client::connect(&config.data).is_none() {
        let message = format!(
            "no soloist runs over {}; set `policy` in soloist.toml to {}, and the next start judges by it",
            config.data.display(),
            source.name
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let (file, text) = (source.name.clone(), source.text.clone());
    let answer = ask(config, Request::SetPolicy { file, text }).await?;
    report::answer(&answer, json, show_set);
    Ok(())
}

fn show_set(answer: &Value) {
    let version = text(answer, "/version");
    if answer["new"] == false {
        return say!("Version {version} of the policy is in force already.");
    }
    say!("Version {version} of the policy is in force.");
    entries(&answer["changes"]).iter().for_each(|change| say!("  {}", text(change, "")));
}
