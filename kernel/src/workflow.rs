//! Workflows: versioned process graphs, as data.
//!
//! A definition is TOML text. [`Workflow::parse`] reads it, checks it whole and reports every problem with file, step and
//! field, so that what is loaded can be run: names are known, `needs` has no cycle, expressions compile and read only what
//! their step can see. `definition.rs` is the text's shape, `check.rs` the checks.
//!
//! ```toml
//! name = "answer-mail"
//!
//! [[step]]
//! name = "triage"
//! agent = "triage"
//!
//! [[step]]
//! name = "send"
//! call = "mail.send"
//! needs = ["triage"]
//! when = "triage.answer"
//! input = { to = "input.from.address", subject = "'Re: ' ~ input.subject", text = "triage.text" }
//! ```

mod check;
mod definition;
mod duration;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    expression::Expression,
    id::{AgentName, ConnectorName, OperationName, StepName, WorkflowName},
    payload::Digest,
    retry::RetryPolicy,
};

/// Most steps of one workflow. A run's state is folded and its graph walked at every event.
pub const STEPS_MAX: usize = 200;

/// Longest definition, in bytes.
pub const DEFINITION_BYTES_MAX: usize = 256 << 10;

/// A checked process graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its name.
    pub name: WorkflowName,
    /// What it is for, in a line.
    pub description: String,
    /// Its steps, in the order of the definition.
    pub steps: Vec<Step>,
    file: Arc<str>,
    source: Arc<str>,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, by which expressions read its output.
    pub name: StepName,
    /// What it does.
    pub work: Work,
    /// The steps that must have completed before it, by index.
    pub needs: Vec<usize>,
    /// Whether it runs, once its needs have completed. Absent: it does.
    pub when: Option<Expression>,
    /// Its input, field by field. Empty: the run's input as it is.
    pub input: BTreeMap<String, Expression>,
    /// What happens after a failed attempt.
    pub retry: RetryPolicy,
    /// How long one attempt may take, waiting for the operator not counted.
    pub timeout: Option<Duration>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// An agent takes a turn.
    Agent(AgentName),
    /// A write is proposed to a connector.
    Call {
        /// The connector, by the name it is mounted under.
        connector: ConnectorName,
        /// What is asked of it.
        operation: OperationName,
    },
}

/// Something wrong with a definition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}{}{}: {message}{}", place("step", .step.as_deref()), place("field", .field.as_deref()), advice(.help.as_deref()))]
pub struct Problem {
    /// The file, as it was given.
    pub file: String,
    /// The step, if the problem is in one.
    pub step: Option<String>,
    /// The field.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

fn place(what: &str, name: Option<&str>) -> String {
    name.map(|name| format!(", {what} `{name}`")).unwrap_or_default()
}

fn advice(text: Option<&str>) -> String {
    text.map(|text| format!("; {text}")).unwrap_or_default()
}

impl Workflow {
    /// Reads and checks a definition. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Every problem there is, not only the first.
    pub fn parse(file: &str, source: &str) -> Result<Self, Vec<Problem>> {
        let definition = definition::read(file, source)?;
        check::check(file, source, definition)
    }

    /// The file it was read from, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The hash of its text: two definitions with the same one are the same version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.source.as_bytes())
    }

    /// The index of the step called `name`.
    #[must_use]
    pub fn index(&self, name: &StepName) -> Option<usize> {
        self.steps.iter().position(|step| step.name == *name)
    }
}

/// The candidate nearest to `given`, for "did you mean": at most a third of it may differ, by Levenshtein distance.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(given.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        let problems = Workflow::parse("mail.toml", source).expect_err("the definition is wrong");
        let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(problems, expected);
    }

    const GOOD: &str = r#"
        name = "answer"
        [[step]]
        name = "triage"
        agent = "triage"
        timeout = "30s"
        [[step]]
        name = "send"
        call = "mail.send"
        needs = ["triage"]
        when = "triage.answer"
        input = { to = "input.from" }
        retry = { attempts = 5, base = "1s", cap = "1m" }
    "#;

    #[test]
    fn a_good_definition_is_read() {
        let workflow = Workflow::parse("mail.toml", GOOD).unwrap();
        assert_eq!(workflow.steps[1].needs, [0]);
        assert_eq!(workflow.steps[0].timeout, Some(Duration::from_secs(30)));
        assert_eq!(workflow.steps[1].retry.attempts_max.get(), 5);
        assert_eq!(workflow.steps[1].retry.cap, Duration::from_secs(60));
    }

    #[test]
    fn a_cycle_names_its_steps() {
        check(
            "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\nneeds = ['b']\n[[step]]\nname = 'b'\nagent = 'b'\nneeds = ['a']",
            &[
                "mail.toml, step `a`, field `needs`: the steps need each other in a circle: a → b → a; remove one of these `needs`",
            ],
        );
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        check(
            "name = 'x'\n[[step]]\nname = 'triage'\nagent = 'a'\n[[step]]\nname = 'b'\nagent = 'b'\nneeds = ['triag']",
            &[
                "mail.toml, step `b`, field `needs`: there is no step `triag`; did you mean `triage`?",
            ],
        );
    }

    #[test]
    fn an_expression_may_read_only_the_input_and_what_it_needs() {
        check(
            "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\n[[step]]\nname = 'b'\nagent = 'b'\nwhen = 'a.answer'",
            &["mail.toml, step `b`, field `when`: `a` is not visible here; add it to `needs`"],
        );
        check(
            "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\ninput = { x = 'inptu.y' }",
            &[
                "mail.toml, step `a`, field `input.x`: `inptu` is not visible here; did you mean `input`?",
            ],
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let problems =
            Workflow::parse("mail.toml", "name = 'x'\n[[step]]\nname = 'a'\nagnet = 'a'")
                .unwrap_err();
        let text = problems[0].to_string();
        assert!(
            text.contains("mail.toml") && text.contains("line 4") && text.contains("agnet"),
            "{text}"
        );
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        check(
            "name = 'x'\n[[step]]\nname = 'a'\nneeds = ['a']\n[[step]]\nname = 'a'\nagent = 'a'\ncall = 'mail.send'\ntimeout = '5 parsecs'",
            &[
                "mail.toml, step `a`: it says neither `agent` nor `call`; a step does one of them",
                "mail.toml, step `a`, field `call`: it says both `agent` and `call`; a step does one of them",
                "mail.toml, step `a`, field `timeout`: \"5 parsecs\" is not a duration; write a number and a unit: 250ms, 30s, 5m, 2h, 1d",
                "mail.toml, step `a`, field `name`: another step has this name; step names are unique",
                "mail.toml, step `a`, field `needs`: the steps need each other in a circle: a → a; remove one of these `needs`",
            ],
        );
    }
}
