//! Builders of what starts a run.

use std::time::Duration;

use toml::{Table, Value};

use super::super::{Intent, Missed, Schedule, Trigger, duration, text};

/// A goal that is being built.
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until a workflow has it"]
pub struct IntentDraft(pub(super) Table);

impl Intent {
    /// Begins the goal with this canonical name.
    pub fn named(name: impl Into<String>) -> IntentDraft {
        IntentDraft(Table::new()).set("name", name.into())
    }
}

impl IntentDraft {
    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Other words for it.
    pub fn phrases<T: Into<String>>(self, phrases: impl IntoIterator<Item = T>) -> Self {
        self.set("phrases", list(phrases))
    }

    /// Who may read what its runs hold, besides the owner.
    pub fn readers<T: Into<String>>(self, readers: impl IntoIterator<Item = T>) -> Self {
        self.set("readers", list(readers))
    }

    /// What one run may cost, in millionths of a US dollar.
    pub fn cost_max_micro_usd(self, micro_usd: u64) -> Self {
        self.set("cost_max_usd", micro_usd as f64 / 1e6)
    }

    /// How long a run may take before the operator is told, in whole milliseconds.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set("deadline", duration::text(deadline))
    }
}

/// A trigger that is being built.
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until a workflow has it"]
pub struct TriggerDraft(pub(super) Table);

impl Trigger {
    /// Begins a trigger on events of this type.
    pub fn on(event: impl Into<String>) -> TriggerDraft {
        TriggerDraft(Table::from_iter([("event".into(), Value::String(event.into()))]))
    }
}

impl TriggerDraft {
    /// Whether an event matches; sees `event`.
    pub fn when(mut self, expression: impl Into<String>) -> Self {
        self.0.insert("when".into(), Value::String(expression.into()));
        self
    }

    /// A field of the run's input; the expression sees `event`.
    pub fn input(mut self, field: impl Into<String>, expression: impl Into<String>) -> Self {
        insert(&mut self.0, "input", field.into(), Value::String(expression.into()));
        self
    }
}

/// A schedule that is being built.
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until a workflow has it"]
pub struct ScheduleDraft {
    pub(super) table: Table,
    pub(super) unwritable: Vec<(String, String)>,
}

impl Schedule {
    /// Begins a schedule with these five fields, in UTC.
    pub fn at(cron: impl Into<String>) -> ScheduleDraft {
        ScheduleDraft { table: Table::new(), unwritable: vec![] }.set("cron", cron.into())
    }
}

impl ScheduleDraft {
    fn set(mut self, key: &str, value: String) -> Self {
        self.table.insert(key.into(), Value::String(value));
        self
    }

    /// The IANA name of the time zone that the fields are in.
    pub fn timezone(self, name: impl Into<String>) -> Self {
        self.set("timezone", name.into())
    }

    /// What becomes of times that passed while the kernel did not run.
    pub fn missed(self, missed: Missed) -> Self {
        self.set("missed", text::missed(missed).into())
    }

    /// A field of the run's input: a literal value.
    pub fn input(mut self, field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        let field = field.into();
        match text::literal(&value.into()) {
            Ok(value) => insert(&mut self.table, "input", field, value),
            Err(why) => self.unwritable.push((format!("input.{field}"), why)),
        }
        self
    }
}

/// Puts `field` into the table that is under `key`.
pub(super) fn insert(table: &mut Table, key: &str, field: String, value: Value) {
    let inner = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    inner.as_table_mut().expect("only a table is put under this key").insert(field, value);
}

pub(super) fn list<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(|text| Value::String(text.into())).collect())
}
