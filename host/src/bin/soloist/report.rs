//! Saying things: to people in sentences and tables, to machines in JSON.

use std::{fmt, path::Path, process::ExitCode};

use serde_json::{Value, json};
use soloist::{Halted, OpenError, journal::fjall};

use crate::config::{Config, DATA};

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did not work, or what was checked is not well.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Another soloist uses the data directory.
    InUse = 3,
    /// The journal is refused.
    Refused = 4,
    /// The kernel halted while it worked.
    Halted = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// One whose reasons were all said already.
    pub(crate) fn said() -> Self {
        Self::new(Exit::Failed, "")
    }

    /// Says it: on standard error for people, as an object on standard output for machines.
    pub(crate) fn say(&self, json: bool) {
        if self.message.is_empty() {
            return;
        }
        if json {
            say!("{}", json!({ "error": self.message, "exit_code": self.exit as u8 }));
        } else {
            eprintln!("soloist: {}", self.message);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<soloist::operator::Problem> for Failure {
    fn from(problem: soloist::operator::Problem) -> Self {
        Self::new(Exit::Failed, problem.message)
    }
}

impl From<Halted> for Failure {
    fn from(halted: Halted) -> Self {
        Self::new(Exit::Halted, halted.to_string())
    }
}

impl From<fjall::OpenError> for Failure {
    fn from(error: fjall::OpenError) -> Self {
        let exit = match &error {
            fjall::OpenError::InUse { .. } => Exit::InUse,
            _ => Exit::Refused,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Journal(error) => error.into(),
            OpenError::Workflows(_)
            | OpenError::Intake(_)
            | OpenError::Tool { .. }
            | OpenError::Name(_)
            | OpenError::NoJournal => Self::new(Exit::Usage, error.to_string()),
            OpenError::Read(_) => Self::new(Exit::Refused, error.to_string()),
            OpenError::Append(_) | OpenError::Paused(_) | OpenError::Start(_) => {
                Self::new(Exit::Failed, error.to_string())
            }
        }
    }
}

/// Prints a table: the columns as wide as their widest cell; no header if it is empty.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let shown = Some(&header).filter(|header| header.iter().any(|cell| !cell.is_empty()));
    for row in shown.into_iter().chain(rows) {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        say!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The text at `pointer` of `value`, fit for a terminal: control characters, which mail may hold, are shown as `·`.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer);
    let text = match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    printable(&text)
}

/// `text` without control characters other than line breaks and tabs.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '·' } else { c }).collect()
}

/// Prints an answer: as it is to machines, by `show` to people.
pub(crate) fn answer(answer: &Value, json: bool, show: impl FnOnce(&Value)) {
    if json {
        say!("{answer}");
    } else {
        show(answer);
    }
}

/// The elements of a JSON list; none if it is no list.
pub(crate) fn entries(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

/// The command line that says `words` to the same data directory.
pub(crate) fn command(config: &Config, words: &str) -> String {
    match config.data == Path::new(DATA) {
        true => format!("soloist {words}"),
        false => format!("soloist {words} --data {}", config.data.display()),
    }
}
