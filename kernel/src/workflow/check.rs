//! The checks that turn a definition's text into a [`Workflow`] that can be run.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{
    Problem, STEPS_MAX, Step, Work, Workflow,
    definition::{Definition, RetryText, StepText},
    duration, nearest,
};
use crate::{
    expression::Expression,
    id::{BadName, StepName, WorkflowName},
    retry::RetryPolicy,
};

/// Names that expressions see besides the steps.
const RESERVED: [&str; 1] = ["input"];

/// Checks `definition` whole.
pub(super) fn check(
    file: &str,
    source: &str,
    definition: Definition,
) -> Result<Workflow, Vec<Problem>> {
    let mut problems = Problems { file, found: vec![] };
    let name = problems.take(None, "name", WorkflowName::new(&definition.name).map_err(bad_name));
    if definition.step.is_empty() {
        problems.add(
            None,
            Some("step"),
            "there is no step",
            Some("add a [[step]] with a name and an agent"),
        );
    }
    if definition.step.len() > STEPS_MAX {
        let message =
            format!("there are {} steps and the limit is {STEPS_MAX}", definition.step.len());
        problems.add(None, Some("step"), message, Some("split it into several workflows"));
    }
    let names: Vec<&str> = definition.step.iter().map(|step| step.name.as_str()).collect();
    let steps: Vec<Option<Step>> =
        definition.step.iter().map(|text| problems.step(text, &names)).collect();
    problems.duplicates(&names);
    problems.circle(&definition.step, &names);
    match (name, problems.found.is_empty()) {
        (Some(name), true) => Ok(Workflow {
            name,
            description: definition.description,
            steps: steps.into_iter().flatten().collect(),
            file: file.into(),
            source: source.into(),
        }),
        _ => Err(problems.found),
    }
}

/// A message and, where there is one, what to do about it.
type Said = (String, Option<String>);

fn bad_name(error: BadName) -> Said {
    (error.to_string(), None)
}

struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(
        &mut self,
        step: Option<&str>,
        field: Option<&str>,
        message: impl Into<String>,
        help: Option<&str>,
    ) {
        self.found.push(Problem {
            file: self.file.into(),
            step: step.map(Into::into),
            field: field.map(Into::into),
            message: message.into(),
            help: help.map(Into::into),
        });
    }

    fn take<T>(&mut self, step: Option<&str>, field: &str, result: Result<T, Said>) -> Option<T> {
        result.map_err(|(message, help)| self.add(step, Some(field), message, help.as_deref())).ok()
    }

    fn step(&mut self, text: &StepText, names: &[&str]) -> Option<Step> {
        let at = Some(text.name.as_str());
        let name = self.take(at, "name", step_name(&text.name));
        let work = self.work(text);
        let needs = self.needs(text, names);
        let when =
            text.when.as_deref().and_then(|source| self.expression(text, "when", source, names));
        let mut input = BTreeMap::new();
        for (field, source) in &text.input {
            if let Some(expression) =
                self.expression(text, &format!("input.{field}"), source, names)
            {
                input.insert(field.clone(), expression);
            }
        }
        let retry = self.retry(at, text.retry.as_ref());
        let timeout = text.timeout.as_deref().and_then(|text| self.duration(at, "timeout", text));
        Some(Step { name: name?, work: work?, needs, when, input, retry, timeout })
    }

    fn work(&mut self, text: &StepText) -> Option<Work> {
        let at = Some(text.name.as_str());
        let help = Some("a step does one of them");
        match (&text.agent, &text.call) {
            (Some(agent), None) => {
                self.take(at, "agent", agent.parse().map_err(bad_name)).map(Work::Agent)
            }
            (None, Some(call)) => self.take(at, "call", operation(call)),
            (Some(_), Some(_)) => {
                self.add(at, Some("call"), "it says both `agent` and `call`", help);
                None
            }
            (None, None) => {
                self.add(at, None, "it says neither `agent` nor `call`", help);
                None
            }
        }
    }

    fn needs(&mut self, text: &StepText, names: &[&str]) -> Vec<usize> {
        let mut needs = vec![];
        for need in &text.needs {
            match names.iter().position(|name| name == need) {
                Some(index) => needs.push(index),
                None => {
                    let help = did_you_mean(need, names.iter().copied());
                    self.add(
                        Some(&text.name),
                        Some("needs"),
                        format!("there is no step `{need}`"),
                        help.as_deref(),
                    );
                }
            }
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    fn expression(
        &mut self,
        text: &StepText,
        field: &str,
        source: &str,
        names: &[&str],
    ) -> Option<Expression> {
        let at = Some(text.name.as_str());
        let compiled = Expression::compile(source).map_err(|error| (error.to_string(), None));
        let expression = self.take(at, field, compiled)?;
        for name in expression.names() {
            let visible = RESERVED.contains(&name.as_str()) || text.needs.contains(&name);
            if visible {
                continue;
            }
            let help = if names.contains(&name.as_str()) {
                Some("add it to `needs`".to_owned())
            } else {
                did_you_mean(&name, RESERVED.into_iter().chain(names.iter().copied()))
            };
            self.add(at, Some(field), format!("`{name}` is not visible here"), help.as_deref());
        }
        Some(expression)
    }

    fn retry(&mut self, at: Option<&str>, text: Option<&RetryText>) -> RetryPolicy {
        let Some(text) = text else { return RetryPolicy::STEP };
        let mut policy = RetryPolicy::STEP;
        match text.attempts.map(NonZeroU32::new) {
            Some(Some(attempts)) => policy.attempts_max = attempts,
            Some(None) => self.add(
                at,
                Some("retry.attempts"),
                "it is 0",
                Some("write 1 for a single attempt"),
            ),
            None => {}
        }
        if let Some(base) =
            text.base.as_deref().and_then(|base| self.duration(at, "retry.base", base))
        {
            policy.base = base;
        }
        if let Some(cap) = text.cap.as_deref().and_then(|cap| self.duration(at, "retry.cap", cap)) {
            policy.cap = cap;
        }
        policy
    }

    fn duration(
        &mut self,
        at: Option<&str>,
        field: &str,
        text: &str,
    ) -> Option<std::time::Duration> {
        let help = "write a number and a unit: 250ms, 30s, 5m, 2h, 1d";
        self.take(at, field, duration::parse(text).map_err(|message| (message, Some(help.into()))))
    }

    fn duplicates(&mut self, names: &[&str]) {
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                self.add(
                    Some(name),
                    Some("name"),
                    "another step has this name",
                    Some("step names are unique"),
                );
            }
        }
    }

    /// Finds one circle of `needs`, by walking each step's needs depth first.
    fn circle(&mut self, steps: &[StepText], names: &[&str]) {
        let mut done = vec![false; steps.len()];
        for start in 0..steps.len() {
            let mut path = vec![];
            if let Some(circle) = walk(start, steps, names, &mut path, &mut done) {
                let help = Some("remove one of these `needs`");
                let message =
                    format!("the steps need each other in a circle: {}", circle.join(" → "));
                self.add(Some(circle[0]), Some("needs"), message, help);
                return;
            }
        }
    }
}

/// Walks from `step` along `needs`; returns the names of a circle if the walk meets its own path. Its depth is at most
/// [`STEPS_MAX`], because a path has no step twice.
fn walk<'a>(
    step: usize,
    steps: &'a [StepText],
    names: &[&'a str],
    path: &mut Vec<usize>,
    done: &mut [bool],
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|on_path| *on_path == step) {
        let circle = path[start..].iter().chain([&step]);
        return Some(circle.map(|index| steps[*index].name.as_str()).collect());
    }
    if done[step] || path.len() > STEPS_MAX {
        return None;
    }
    path.push(step);
    for need in &steps[step].needs {
        let next = names.iter().position(|name| name == need);
        if let Some(circle) = next.and_then(|next| walk(next, steps, names, path, done)) {
            return Some(circle);
        }
    }
    path.pop();
    done[step] = true;
    None
}

/// A step's name is read by expressions, so it is an identifier.
fn step_name(text: &str) -> Result<StepName, Said> {
    let identifier = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if RESERVED.contains(&text) {
        return Err((format!("`{text}` is reserved"), Some("choose another name".into())));
    }
    if !identifier || text.starts_with(|first: char| first.is_ascii_digit()) {
        let help = "use a-z, 0-9 and _, starting with a letter, so that expressions can read it";
        return Err((format!("`{text}` is not an identifier"), Some(help.into())));
    }
    StepName::new(text).map_err(bad_name)
}

fn operation(text: &str) -> Result<Work, Said> {
    let Some((connector, operation)) = text.split_once('.') else {
        let help = "write connector.operation, as in `mail.send`";
        return Err((format!("`{text}` names no operation"), Some(help.into())));
    };
    let connector = connector.parse().map_err(bad_name)?;
    Ok(Work::Call { connector, operation: operation.parse().map_err(bad_name)? })
}

fn did_you_mean<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(given, candidates).map(|name| format!("did you mean `{name}`?"))
}
