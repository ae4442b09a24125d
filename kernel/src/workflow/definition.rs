//! Reads a definition's text: TOML into tables, and tables field by field.
//!
//! A derived reader would stop at the first thing that does not fit. This one notes it and goes on, so that every problem
//! is reported at once, each with its step and field.

use std::time::Duration;

use toml::{Table, Value};

use super::{
    DEFINITION_BYTES_MAX, duration,
    problem::{Problem, Problems, Said, did_you_mean, said},
};

/// Reads the text as TOML.
pub(super) fn read(file: &str, source: &str) -> Result<Table, Vec<Problem>> {
    let refuse = |said: Said| {
        let mut problems = Problems::new(file);
        problems.add(None, None, said);
        Err(problems.all())
    };
    if source.len() > DEFINITION_BYTES_MAX {
        let message = format!(
            "the definition has {} bytes and the limit is {DEFINITION_BYTES_MAX}",
            source.len()
        );
        return refuse(said(message, "split it into several workflows"));
    }
    toml::from_str(source).or_else(|error: toml::de::Error| {
        let line = error
            .span()
            .map(|span| source[..span.start.min(source.len())].matches('\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let help = "see `docs/workflows.md` for what a definition holds";
        refuse(said(format!("{at}{}", error.message()), help))
    })
}

/// A table that is read field by field. Whatever does not fit becomes a problem at its place, and reading goes on.
pub(super) struct Fields<'p> {
    problems: &'p mut Problems,
    step: Option<String>,
    /// Where the table is within its step or file: ``, `retry.`, `trigger[0].`.
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'p> Fields<'p> {
    /// The fields of `table`, which is at `prefix` of `step`.
    pub(super) fn new(
        problems: &'p mut Problems,
        step: Option<&str>,
        prefix: impl Into<String>,
        table: Table,
    ) -> Self {
        Self { problems, step: step.map(Into::into), prefix: prefix.into(), table, known: vec![] }
    }

    /// The fields of `table`, which is the field `key` of this one.
    pub(super) fn nested(&mut self, key: &str, table: Table) -> Fields<'_> {
        let prefix = format!("{}{key}.", self.prefix);
        Fields::new(self.problems, self.step.as_deref(), prefix, table)
    }

    /// Notes a problem with the field `key`.
    pub(super) fn wrong(&mut self, key: &str, said: Said) {
        self.problems.add(self.step.as_deref(), Some(&format!("{}{key}", self.prefix)), said);
    }

    /// Notes a problem with the table as a whole.
    pub(super) fn wrong_here(&mut self, said: Said) {
        let field = self.prefix.strip_suffix('.');
        self.problems.add(self.step.as_deref(), field, said);
    }

    /// What is in `result`, or a problem with the field `key`.
    pub(super) fn accept<T>(&mut self, key: &str, result: Result<T, Said>) -> Option<T> {
        result.map_err(|said| self.wrong(key, said)).ok()
    }

    /// Whether the field `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The field `key` as it is.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// Every field of a table whose keys are the author's.
    pub(super) fn rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let result = read(value).map_err(|value| misfit(&value, wanted));
        self.accept(key, result)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.typed(key, "a text", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Option<String> {
        if !self.has(key) {
            self.known.push(key);
            self.wrong(key, ("it is missing".into(), None));
        }
        self.text(key)
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Table> {
        self.typed(key, "a table", |value| match value {
            Value::Table(table) => Ok(table),
            other => Err(other),
        })
    }

    /// A list of texts; absent, it is empty.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let list = self.typed(key, "a list of texts", |value| match value {
            Value::Array(list) => Ok(list),
            other => Err(other),
        });
        let mut texts = vec![];
        for value in list.unwrap_or_default() {
            match value {
                Value::String(text) => texts.push(text),
                other => self.wrong(key, misfit(&other, "texts into the list")),
            }
        }
        texts
    }

    /// A list of tables, as `[[key]]` makes it; absent, it is empty.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table> {
        let wanted = format!("[[{key}]]");
        let list = self.typed(key, &wanted, |value| match value {
            Value::Array(list) => Ok(list),
            other => Err(other),
        });
        let mut tables = vec![];
        for value in list.unwrap_or_default() {
            match value {
                Value::Table(table) => tables.push(table),
                other => self.wrong(key, misfit(&other, &wanted)),
            }
        }
        tables
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u32, most: u32) -> Option<u32> {
        let number = self.typed(key, "a whole number", |value| match value {
            Value::Integer(number) => Ok(number),
            other => Err(other),
        })?;
        let fits = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        let help = match most {
            u32::MAX => format!("write a number from {least}"),
            _ => format!("write a number from {least} to {most}"),
        };
        self.accept(key, fits.ok_or_else(|| said(format!("it is {number}"), help)))
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let text = self.text(key)?;
        self.accept(key, duration::parse(&text).map_err(|message| said(message, duration::HELP)))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.accept(key, chosen.ok_or_else(|| unknown_word(&text, &known)))
    }

    /// Every field that nobody asked for is a problem.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let help = did_you_mean(key, self.known.iter().copied())
                .unwrap_or_else(|| format!("there are {}", listed(&self.known)));
            let field = format!("{}{key}", self.prefix);
            let said = said("there is no such field", help);
            self.problems.add(self.step.as_deref(), Some(&field), said);
        }
    }
}

/// What to say of a word that is none of `known`.
pub(super) fn unknown_word(text: &str, known: &[&str]) -> Said {
    let help = did_you_mean(text, known.iter().copied())
        .unwrap_or_else(|| format!("write {}", listed(known).replace(" and ", " or ")));
    let short: String = text.chars().take(60).collect();
    said(format!("{short:?} is not known"), help)
}

/// `` `a`, `b` and `c` ``.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What to say of a value of another type.
pub(super) fn misfit(value: &Value, wanted: &str) -> Said {
    let kind = match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    };
    said(format!("it is {kind}"), format!("write {wanted}"))
}
