//! What is wrong with a definition, and the collector that lets a check go on after the first problem.

use serde::Serialize;
use thiserror::Error;

/// Most problems that are reported of one definition. Who made a hundred mistakes at once made one.
const PROBLEMS_MAX: usize = 100;

/// Longest text that is compared with others for "did you mean", in bytes: the longest name. The comparison takes the
/// product of two lengths.
const COMPARED_BYTES_MAX: usize = crate::id::NAME_BYTES_MAX;

/// Something wrong with a definition.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize)]
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

pub(crate) fn place(what: &str, name: Option<&str>) -> String {
    name.map(|name| format!(", {what} `{name}`")).unwrap_or_default()
}

pub(crate) fn advice(text: Option<&str>) -> String {
    text.map(|text| format!("; {text}")).unwrap_or_default()
}

/// A message and, where there is one, what to do about it.
pub(super) type Said = (String, Option<String>);

/// `message` with advice.
pub(super) fn said(message: impl Into<String>, help: impl Into<String>) -> Said {
    (message.into(), Some(help.into()))
}

/// The problems found so far in one file.
pub(super) struct Problems {
    file: String,
    found: Vec<Problem>,
    untold: usize,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), found: vec![], untold: 0 }
    }

    /// Adds one.
    pub(super) fn add(&mut self, step: Option<&str>, field: Option<&str>, (message, help): Said) {
        if self.found.len() == PROBLEMS_MAX {
            self.untold += 1;
            return;
        }
        self.found.push(Problem {
            file: self.file.clone(),
            step: step.map(Into::into),
            field: field.map(Into::into),
            message,
            help,
        });
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, and how many more there are.
    pub(super) fn all(mut self) -> Vec<Problem> {
        if self.untold > 0 {
            let message = format!("there are {} more problems", self.untold);
            let help = Some("solve the first ones, then look again".into());
            self.found.push(Problem { file: self.file, step: None, field: None, message, help });
        }
        self.found
    }
}

/// The candidate nearest to `given`, for "did you mean": at most a third of it may differ, by Levenshtein distance.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let comparable = |text: &str| text.len() <= COMPARED_BYTES_MAX;
    if !comparable(given) {
        return None;
    }
    candidates
        .filter(|candidate| comparable(candidate))
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(given.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?", if there is something near.
pub(super) fn did_you_mean<'a>(
    given: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<String> {
    nearest(given, candidates).map(|name| format!("did you mean `{name}`?"))
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
