//! Where definitions come from: files, and what is stored under a name.

use std::path::Path;

use serde_json::Value;
use soloist::operator::Request;

use super::ask::ask;
use crate::{
    config::Config,
    report::{Exit, Failure, text},
};

/// A definition's text, and what to call it in errors.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// The text of a file that must be there.
pub(super) fn file(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let text = read(path).map_err(|problem| Failure::new(Exit::Failed, problem))?;
    Ok(Source { name, text })
}

/// The text of a file, or why there is none.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let name = path.display();
    std::fs::read_to_string(path).map_err(|error| format!("failed to read {name}: {error}"))
}

/// The workflow that `given` is: a file, or `NAME[@VERSION]` as it is stored.
pub(super) async fn workflow(config: &Config, given: &str) -> Result<Source, Failure> {
    if is_file(given) {
        return file(Path::new(given));
    }
    let answer = ask(config, Request::Workflow { workflow: given.into() }).await?;
    Ok(Source { name: raw(&answer, "/workflow"), text: raw(&answer, "/text") })
}

/// The policy that `given` is: a version, or a file. Without one, what is in force.
pub(super) async fn policy(config: &Config, given: Option<&str>) -> Result<Source, Failure> {
    let version = given.map(str::parse::<u32>);
    let version = match (given, version) {
        (Some(given), Some(Err(_))) => return file(Path::new(given)),
        (_, version) => version.and_then(Result::ok),
    };
    let answer = ask(config, Request::Policy { version }).await?;
    let name = format!("policy {}", text(&answer, "/version"));
    Ok(Source { name, text: raw(&answer, "/text") })
}

/// The text at `pointer` as it is, for machines and not for a terminal.
pub(super) fn raw(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_file(given: &str) -> bool {
    let path = Path::new(given);
    path.is_file() || given.contains('/') || path.extension().is_some_and(|ending| ending == "toml")
}

/// The JSON that was given for `flag`, or that is in the file behind an `@`.
pub(super) fn json_argument(flag: &str, given: &str) -> Result<Value, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let text = match given.strip_prefix('@') {
        Some(path) => {
            read(Path::new(path)).map_err(|problem| usage(format!("{flag}: {problem}")))?
        }
        None => given.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        usage(format!("{flag} is not JSON: {error}; text stands in quotes, as in '\"hello\"'"))
    })
}

/// Says every problem: as objects to machines, a line each to people.
pub(super) fn say_problems<P: serde::Serialize + std::fmt::Display>(
    problems: &[P],
    json: bool,
) -> Failure {
    for problem in problems {
        match json {
            true => {
                say!("{}", serde_json::to_string(problem).expect("a problem is plain data"))
            }
            false => say!("{problem}"),
        }
    }
    Failure::said()
}
