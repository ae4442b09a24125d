//! What an expression may read, and the check that it reads nothing else.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::super::{
    definition::{Fields, listed, misfit},
    problem::{Said, did_you_mean, said},
};
use crate::expression::{Expression, Template};

/// Names that expressions see besides the steps, here or there. No step may be called so, everywhere: an expression keeps
/// its meaning when it moves.
pub(super) const RESERVED: [&str; 10] =
    ["input", "item", "index", "previous", "result", "event", "receipt", "error", "dict", "range"];

/// Functions of the language, which every expression may use.
const FUNCTIONS: [&str; 2] = ["dict", "range"];

/// The names that the expressions at one place see.
#[derive(Clone)]
pub(super) struct Sight<'a> {
    visible: Vec<&'a str>,
    /// Steps that would be visible if they were needed.
    addable: &'a [String],
}

impl<'a> Sight<'a> {
    /// These names alone.
    pub(super) fn of(names: &[&'a str]) -> Self {
        Self { visible: names.to_vec(), addable: &[] }
    }

    /// The run's input and the steps in `needs`, of all `steps`.
    pub(super) fn of_step(needs: &'a [String], steps: &'a [String]) -> Self {
        let visible = std::iter::once("input").chain(needs.iter().map(String::as_str)).collect();
        Self { visible, addable: steps }
    }

    /// The same, and `names`.
    pub(super) fn and(&self, names: &[&'a str]) -> Self {
        let mut wider = self.clone();
        wider.visible.extend(names);
        wider
    }

    /// What is wrong with reading `name`, if anything is.
    fn check(&self, name: &str) -> Result<(), Said> {
        if self.visible.contains(&name) || FUNCTIONS.contains(&name) {
            return Ok(());
        }
        let steps = || self.addable.iter().map(String::as_str);
        let help = if steps().any(|step| step == name) {
            "add it to `needs`".to_owned()
        } else {
            did_you_mean(name, self.visible.iter().copied().chain(steps()))
                .unwrap_or_else(|| format!("an expression sees {} here", listed(&self.visible)))
        };
        Err(said(format!("`{name}` is not visible here"), help))
    }
}

impl Fields<'_> {
    /// Notes each of `names` that is out of `sight`.
    fn see(&mut self, key: &str, names: BTreeSet<String>, sight: &Sight<'_>) {
        for name in names {
            self.accept(key, sight.check(&name));
        }
    }

    fn compiled(&mut self, key: &str, source: &str, sight: &Sight<'_>) -> Option<Expression> {
        let compiled = Expression::compile(source).map_err(|error| (error.to_string(), None));
        let expression = self.accept(key, compiled)?;
        self.see(key, expression.names().clone(), sight);
        Some(expression)
    }

    /// The expression in the field `key`.
    pub(super) fn expression(
        &mut self,
        key: &'static str,
        sight: &Sight<'_>,
    ) -> Option<Expression> {
        let source = self.text(key)?;
        self.compiled(key, &source, sight)
    }

    /// The template in `source`, which is in the field `key`.
    pub(super) fn template(
        &mut self,
        key: &str,
        source: &str,
        sight: &Sight<'_>,
    ) -> Option<Template> {
        let compiled = Template::compile(source).map_err(|error| (error.to_string(), None));
        let template = self.accept(key, compiled)?;
        self.see(key, template.names(), sight);
        Some(template)
    }

    /// The table of expressions in the field `key`; absent, it is empty.
    pub(super) fn expressions(
        &mut self,
        key: &'static str,
        sight: &Sight<'_>,
    ) -> BTreeMap<String, Expression> {
        let table = self.table(key).unwrap_or_default();
        self.each_text(key, table, "an expression, as a text", |fields, key, source| {
            fields.compiled(key, source, sight)
        })
    }

    /// The table of templates in the field `key`.
    pub(super) fn templates(
        &mut self,
        key: &'static str,
        sight: &Sight<'_>,
    ) -> BTreeMap<String, Template> {
        let table = self.table(key).unwrap_or_default();
        self.each_text(key, table, "a template, as a text", |fields, key, source| {
            fields.template(key, source, sight)
        })
    }

    fn each_text<T>(
        &mut self,
        key: &str,
        table: Table,
        wanted: &str,
        read: impl Fn(&mut Fields<'_>, &str, &str) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut fields = self.nested(key, table);
        let mut found = BTreeMap::new();
        for (key, value) in fields.rest() {
            let read = match value {
                Value::String(source) => read(&mut fields, &key, &source),
                other => {
                    fields.wrong(&key, misfit(&other, wanted));
                    None
                }
            };
            found.extend(read.map(|read| (key, read)));
        }
        found
    }
}
