//! A table of a policy's text, read field by field, so that every problem in it is found and not only the first.
//!
//! Whoever reads a field names it, so what is left at the end is what nobody knows, and the names asked for are what could
//! have been meant.

use toml::{Table, Value};

use super::PolicyProblem;
use crate::workflow::nearest;

/// A message and, where there is one, what to do about it.
pub(super) type Said = (String, Option<String>);

/// Most names that are listed to somebody who used one that is not known.
const NAMES_SHOWN_MAX: usize = 12;

/// What is left of a table, and what was wrong so far.
pub(super) struct Fields {
    file: String,
    rule: Option<String>,
    /// Where the table is within its rule or its file: `builtin.quiet_hours.`
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
    problems: Vec<PolicyProblem>,
}

impl Fields {
    /// The table of the whole file.
    pub(super) fn of_file(file: &str, table: Table) -> Self {
        let file = file.to_owned();
        Self { file, rule: None, prefix: String::new(), table, known: vec![], problems: vec![] }
    }

    /// A problem with `field`; empty: with the table itself.
    pub(super) fn problem(&mut self, field: &str, message: impl Into<String>, help: Option<&str>) {
        let field = format!("{}{field}", self.prefix);
        let field = field.trim_end_matches('.');
        self.problems.push(PolicyProblem {
            file: self.file.clone(),
            rule: self.rule.clone(),
            field: (!field.is_empty()).then(|| field.to_owned()),
            message: message.into(),
            help: help.map(Into::into),
        });
    }

    /// What went well; what did not is a problem of `field`.
    pub(super) fn take<T>(&mut self, field: &str, result: Result<T, Said>) -> Option<T> {
        result.map_err(|(message, help)| self.problem(field, message, help.as_deref())).ok()
    }

    /// The value of `field`, whatever it is.
    pub(super) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.table.remove(field)
    }

    /// The text in `field`, if it is there.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.value(field)? {
            Value::String(text) => Some(text),
            other => self.unexpected(field, "a string", &other),
        }
    }

    /// Whether `field` is on, if it is there.
    pub(super) fn flag(&mut self, field: &'static str) -> Option<bool> {
        match self.value(field)? {
            Value::Boolean(on) => Some(on),
            other => self.unexpected(field, "true or false", &other),
        }
    }

    /// The number in `field`, if it is there.
    pub(super) fn count(&mut self, field: &'static str) -> Option<u32> {
        let value = self.value(field)?;
        self.as_count(field, &value)
    }

    fn as_count(&mut self, field: &str, value: &Value) -> Option<u32> {
        let Value::Integer(number) = value else {
            return self.unexpected(field, "a whole number", value);
        };
        let fits = u32::try_from(*number);
        let message = || (format!("it is {number}"), Some("write a number from 0 on".into()));
        self.take(field, fits.map_err(|_| message()))
    }

    /// The text in `field`, which must be there; `why` is what it is for.
    pub(super) fn required(&mut self, field: &'static str, why: &str) -> Option<String> {
        if !self.table.contains_key(field) {
            self.known.push(field);
            self.problem(field, "it is missing", Some(why));
            return None;
        }
        self.text(field)
    }

    /// The texts in `field`, if it is there.
    pub(super) fn texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        let value = self.value(field)?;
        self.as_texts(field, value)
    }

    fn as_texts(&mut self, field: &str, value: Value) -> Option<Vec<String>> {
        let Value::Array(values) = value else {
            return self.unexpected(field, "an array of strings", &value);
        };
        let mut texts = vec![];
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                other => {
                    return self.unexpected(field, "an array of strings", &other);
                }
            }
        }
        Some(texts)
    }

    /// The names that are left, each with its texts: the table is a map of lists.
    pub(super) fn lists(&mut self) -> Vec<(String, Vec<String>)> {
        let table = std::mem::take(&mut self.table);
        let lists = table.into_iter().filter_map(|(name, value)| {
            let texts = self.as_texts(&name, value)?;
            Some((name, texts))
        });
        lists.collect()
    }

    /// The names that are left, each with its number: the table is a map of numbers.
    pub(super) fn counts(&mut self) -> Vec<(String, u32)> {
        let table = std::mem::take(&mut self.table);
        let counts = table.into_iter().filter_map(|(name, value)| {
            let count = self.as_count(&name, &value)?;
            Some((name, count))
        });
        counts.collect()
    }

    /// The names that are left, each with its table: the table is a map of tables.
    pub(super) fn maps(&mut self) -> Vec<(String, Self)> {
        let table = std::mem::take(&mut self.table);
        let maps = table.into_iter().filter_map(|(name, value)| match value {
            Value::Table(table) => {
                let inner = self.inner(format!("{}{name}.", self.prefix), table);
                Some((name, inner))
            }
            other => self.unexpected(&name, "a table", &other),
        });
        maps.collect()
    }

    /// The table in `field`, if it is there. Its problems come back with [`absorb`](Self::absorb).
    pub(super) fn table(&mut self, field: &'static str) -> Option<Self> {
        match self.value(field)? {
            Value::Table(table) => Some(self.inner(format!("{}{field}.", self.prefix), table)),
            other => self.unexpected(field, "a table", &other),
        }
    }

    /// The tables of `[[field]]`.
    pub(super) fn tables(&mut self, field: &'static str) -> Vec<Self> {
        let values = match self.value(field) {
            None => vec![],
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.unexpected::<()>(field, "a list of tables", &other);
                vec![]
            }
        };
        let mut tables = vec![];
        for value in values {
            match value {
                Value::Table(table) => tables.push(self.inner(format!("{field}."), table)),
                other => {
                    self.unexpected::<()>(field, "a list of tables", &other);
                }
            }
        }
        tables
    }

    fn inner(&self, prefix: String, table: Table) -> Self {
        let (file, rule) = (self.file.clone(), self.rule.clone());
        Self { file, rule, prefix, table, known: vec![], problems: vec![] }
    }

    /// From here on, problems are those of the rule called `name`.
    pub(super) fn within_rule(&mut self, name: String) {
        self.rule = Some(name);
        self.prefix.clear();
    }

    /// From here on, problems are those at `prefix`.
    pub(super) fn within(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// Whether `field` is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// Takes over the problems of a table within this one, which is read.
    pub(super) fn absorb(&mut self, inner: Self) {
        self.problems.extend(inner.finish());
    }

    /// Every problem, now that all known fields are read.
    pub(super) fn finish(mut self) -> Vec<PolicyProblem> {
        let known = std::mem::take(&mut self.known);
        for field in std::mem::take(&mut self.table).keys() {
            let help = suggestion(field, &known);
            self.problem(field, "there is no such field", Some(&help));
        }
        self.problems
    }

    fn unexpected<T>(&mut self, field: &str, wanted: &str, found: &Value) -> Option<T> {
        let article = if found.type_str().starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("it is {article} {}, not {wanted}", found.type_str());
        self.problem(field, message, None);
        None
    }
}

/// What somebody who wrote `given` may have meant.
pub(super) fn suggestion(given: &str, known: &[&str]) -> String {
    match nearest(given, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None if known.len() > NAMES_SHOWN_MAX => {
            format!("there are {}, …", known[..NAMES_SHOWN_MAX].join(", "))
        }
        None => format!("there are {}", known.join(", ")),
    }
}

/// One of `all` by its word, or what could have been meant.
pub(super) fn one_of<T: Copy>(given: &str, all: &[(&'static str, T)]) -> Result<T, Said> {
    let found = all.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
    let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
    found.ok_or_else(|| (format!("`{given}` is not known here"), Some(suggestion(given, &words))))
}
