//! Reads tables field by field: whatever does not fit becomes a problem at its place, and reading goes on.

use std::time::Duration;

use soloist_kernel::workflow::{nearest, parse_duration};
use toml::{Table, Value};

use super::problem::Problems;

/// A table of the declaration. What nobody asks it for by [`finish`](Self::finish) is a problem.
pub(super) struct Fields<'p> {
    pub(super) problems: &'p Problems,
    within: Option<String>,
    /// Where the table is in its file or operation: ``, `probe.`.
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'p> Fields<'p> {
    pub(super) fn new(problems: &'p Problems, table: Table) -> Self {
        Self { problems, within: None, prefix: String::new(), table, known: vec![] }
    }

    /// From here on, problems are those of `within`: ``operation `contact` ``.
    pub(super) fn within(mut self, within: String) -> Self {
        self.within = Some(within);
        self.prefix.clear();
        self
    }

    /// A table beneath this one.
    pub(super) fn nested(&self, key: &str, table: Table) -> Self {
        let prefix = format!("{}{key}.", self.prefix);
        Self { problems: self.problems, within: self.within.clone(), prefix, table, known: vec![] }
    }

    /// Notes a problem with the field `key`.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        let field = format!("{}{key}", self.prefix);
        self.problems.add(self.within.as_deref(), Some(&field), message, help);
    }

    /// Notes a problem with the table as a whole.
    pub(super) fn wrong_here(&self, message: impl Into<String>, help: impl Into<String>) {
        let field = self.prefix.strip_suffix('.');
        self.problems.add(self.within.as_deref(), field, message, help);
    }

    /// What is in `result`, or a problem with the field `key` that `help` helps with.
    pub(super) fn accept<T>(
        &self,
        key: &str,
        result: Result<T, impl ToString>,
        help: &str,
    ) -> Option<T> {
        result.map_err(|problem| self.wrong(key, problem.to_string(), help)).ok()
    }

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

    /// Notes that `value` is none of what is `wanted`.
    pub(super) fn misfit<T>(&self, key: &str, value: &Value, wanted: &str) -> Option<T> {
        self.wrong(key, format!("it is {}", kind(value)), format!("write {wanted}"));
        None
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            other => self.misfit(key, &other, "a text"),
        }
    }

    /// A text that must be there; `help` says what for.
    pub(super) fn required(&mut self, key: &'static str, help: &str) -> Option<String> {
        if !self.has(key) {
            self.known.push(key);
            self.wrong(key, "it is missing", help);
        }
        self.text(key)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(is_on) => Some(is_on),
            other => self.misfit(key, &other, "true or false"),
        }
    }

    /// The table at `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        match self.value(key)? {
            Value::Table(table) => Some(self.nested(key, table)),
            other => self.misfit(key, &other, "a table"),
        }
    }

    /// The tables in the list at `key`, as `[[key]]` makes it; absent, there are none.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let wanted = format!("`[[{key}]]`");
        let list = match self.value(key) {
            None => return vec![],
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.misfit::<()>(key, &other, &wanted);
                return vec![];
            }
        };
        let table = |value| match value {
            Value::Table(table) => Some(self.nested(key, table)),
            other => self.misfit(key, &other, &wanted),
        };
        list.into_iter().filter_map(table).collect()
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u32, most: u32) -> Option<u32> {
        let number = match self.value(key)? {
            Value::Integer(number) => number,
            other => return self.misfit(key, &other, "a whole number"),
        };
        let fits = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        let help = format!("write a number from {least} to {most}");
        self.accept(key, fits.ok_or_else(|| format!("it is {number}")), &help)
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let text = self.text(key)?;
        let help = "write a number and a unit: 250ms, 30s, 5m, 2h, 1d, 2w";
        self.accept(key, parse_duration(&text), help)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if chosen.is_none() {
            self.unknown(key, &text, words.iter().map(|(word, _)| *word));
        }
        chosen
    }

    /// Notes that `given` is none of the `known` words.
    pub(super) fn unknown<'a>(
        &self,
        key: &str,
        given: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let help = match nearest(given, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match listed(known) {
                none if none.is_empty() => "there are none".to_owned(),
                names => format!("there are {names}"),
            },
        };
        let short: String = given.chars().take(60).collect();
        self.wrong(key, format!("{short:?} is not known"), help);
    }

    /// The table's only field, of these: what is to be chosen among.
    pub(super) fn only(&mut self, of: &[&'static str]) -> Option<&'static str> {
        let chosen: Vec<&'static str> =
            of.iter().copied().filter(|key| self.table.contains_key(*key)).collect();
        self.known.extend(of);
        if let [one] = chosen[..] {
            return Some(one);
        }
        let message = if chosen.is_empty() { "it says none of them" } else { "it says several" };
        self.wrong_here(message, format!("write one of {}", listed(of.iter().copied())));
        None
    }

    /// Every field that nobody asked for is a problem.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let help = match nearest(key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", listed(self.known.iter().copied())),
            };
            self.wrong(key, "there is no such field", help);
        }
    }
}

/// `` `a`, `b`, `c` ``.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
