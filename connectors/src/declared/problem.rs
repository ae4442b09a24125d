//! What is wrong with a declaration: the file, the operation, the field, and what to write instead.

use std::cell::RefCell;

use thiserror::Error;

/// Most problems that are reported of one declaration. Who made a hundred mistakes at once made one.
const PROBLEMS_MAX: usize = 100;

/// Something wrong with a declaration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}{}{}: {message}{}", named("", .within.as_deref()), named("field ", .field.as_deref()), advice(.help.as_deref()))]
pub struct Problem {
    /// The file, as it was given.
    pub file: String,
    /// The operation or the stream, if the problem is in one: ``operation `contact` ``.
    pub within: Option<String>,
    /// The field: `probe.landed`.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

fn named(what: &str, name: Option<&str>) -> String {
    match name {
        Some(name) if what.is_empty() => format!(", {name}"),
        Some(name) => format!(", {what}`{name}`"),
        None => String::new(),
    }
}

fn advice(help: Option<&str>) -> String {
    help.map(|help| format!("; {help}")).unwrap_or_default()
}

/// The problems found so far in one file. It is shared by all who read parts of it, so that reading goes on after the first.
pub(super) struct Problems {
    file: String,
    found: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), found: RefCell::default() }
    }

    /// Adds one, with what to do about it, which may be nothing.
    pub(super) fn add(
        &self,
        within: Option<&str>,
        field: Option<&str>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut found = self.found.borrow_mut();
        if found.len() < PROBLEMS_MAX {
            found.push(Problem {
                file: self.file.clone(),
                within: within.map(Into::into),
                field: field.map(Into::into),
                message: message.into(),
                help: Some(help.into()).filter(|help| !help.is_empty()),
            });
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<Problem> {
        self.found.into_inner()
    }
}
