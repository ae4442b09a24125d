//! What differs between two versions of a workflow, by the fields of their canonical texts: comments, order and defaults
//! that are spelled out make no difference.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use toml::Value;

use super::{Workflow, text};

/// One difference. Of a step that is new or gone there is one for the step as a whole, without a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The step, if it is in one.
    pub step: Option<String>,
    /// The field, with dots: `retry.attempts`.
    pub field: Option<String>,
    /// What it was, as TOML; of a step, all of it. Absent: it is new.
    pub old: Option<String>,
    /// What it is. Absent: it is gone.
    pub new: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.as_ref().map(|step| format!("step `{step}`"));
        let field = self.field.as_ref().map(|field| format!("`{field}`"));
        let place: Vec<String> = step.into_iter().chain(field).collect();
        write!(f, "{}", place.join(", "))?;
        match (&self.field, &self.old, &self.new) {
            (None, None, _) => f.write_str(" is new"),
            (None, _, _) => f.write_str(" is gone"),
            (Some(_), Some(old), Some(new)) => write!(f, ": {old} → {new}"),
            (Some(_), None, Some(new)) => write!(f, ": now {new}"),
            (Some(_), Some(old), None) => write!(f, ": no longer {old}"),
            (Some(_), None, None) => Ok(()),
        }
    }
}

/// Fields by their dotted names.
type Flat = BTreeMap<String, String>;

pub(super) fn between(old: &Workflow, new: &Workflow) -> Vec<Change> {
    let mut changes = fields(None, &head(old), &head(new));
    let (before, after) = (steps(old), steps(new));
    for (name, fields) in &before {
        if !after.iter().any(|(other, _)| other == name) {
            changes.push(Change {
                step: Some(name.clone()),
                field: None,
                old: Some(whole(fields)),
                new: None,
            });
        }
    }
    for (name, new) in &after {
        match before.iter().find(|(other, _)| other == name) {
            Some((_, old)) => changes.extend(fields(Some(name), old, new)),
            None => changes.push(Change {
                step: Some(name.clone()),
                field: None,
                old: None,
                new: Some(whole(new)),
            }),
        }
    }
    changes
}

/// What differs between the fields `old` and `new` of one place.
fn fields(step: Option<&str>, old: &Flat, new: &Flat) -> Vec<Change> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let change = |name: &String| {
        let (old, new) = (old.get(name), new.get(name));
        (old != new).then(|| Change {
            step: step.map(Into::into),
            field: Some(name.clone()),
            old: old.cloned(),
            new: new.cloned(),
        })
    };
    names.into_iter().filter_map(change).collect()
}

fn whole(fields: &Flat) -> String {
    fields.iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
}

/// What is not in a step: the name, the goal, triggers and schedules.
fn head(workflow: &Workflow) -> Flat {
    let mut flat = flattened(text::head(workflow));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for section in text::sections(workflow) {
        let place = match (section.header, section.is_list) {
            ("step", _) => continue,
            (header, false) => header.to_owned(),
            (header, true) => {
                let count = counts.entry(header).or_default();
                *count += 1;
                format!("{header}[{}]", *count - 1)
            }
        };
        for (name, value) in flattened(section.entries) {
            flat.insert(format!("{place}.{name}"), value);
        }
    }
    flat
}

fn steps(workflow: &Workflow) -> Vec<(String, Flat)> {
    let flat = |step| flattened(text::step(workflow, step).split_off(1));
    workflow.steps.iter().map(|step| (step.name.to_string(), flat(step))).collect()
}

fn flattened(entries: text::Entries) -> Flat {
    let mut flat = Flat::new();
    for (key, value) in entries {
        flatten(key.to_owned(), value, &mut flat);
    }
    flat
}

fn flatten(name: String, value: Value, flat: &mut Flat) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                flatten(format!("{name}.{key}"), value, flat);
            }
        }
        value => {
            flat.insert(name, value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"
        name = "answer"
        [[trigger]]
        event = "mail.received"
        [[step]]
        name = "triage"
        agent = "triage"
        timeout = "30s"
        [[step]]
        name = "sender"
        agent = "sender"
        [[step]]
        name = "send"
        call = "mail.send"
        needs = ["triage"]
        input = { to = "triage.to" }
    "#;

    fn diff(newer: &str) -> Vec<String> {
        let old = Workflow::parse("old.toml", OLD).unwrap();
        let new = Workflow::parse("new.toml", newer).unwrap();
        old.diff(&new).iter().map(Change::to_string).collect()
    }

    #[test]
    fn comments_order_and_defaults_make_no_difference() {
        let same = OLD.replace("timeout", "# patience\npriority = 'normal'\ntimeout");
        assert_eq!(diff(&same), <[&str; 0]>::default());
    }

    #[test]
    fn each_difference_is_named_with_its_step_and_field() {
        let newer = OLD
            .replace("mail.received", "mail.seen")
            .replace("\"30s\"", "\"1m\"\nretry = { attempts = 5 }")
            .replace("name = \"sender\"", "name = \"contact\"")
            .replace(
                "input = { to = \"triage.to\" }",
                "input = { to = \"input.from\", cc = \"input.cc\" }",
            )
            .replace("needs = [\"triage\"]", "");
        assert_eq!(
            diff(&newer),
            [
                "`trigger[0].event`: \"mail.received\" → \"mail.seen\"",
                "step `sender` is gone",
                "step `triage`, `retry.attempts`: now 5",
                "step `triage`, `retry.base`: now \"250ms\"",
                "step `triage`, `retry.cap`: now \"30s\"",
                "step `triage`, `timeout`: \"30s\" → \"1m\"",
                "step `contact` is new",
                "step `send`, `input.cc`: now \"input.cc\"",
                "step `send`, `input.to`: \"triage.to\" → \"input.from\"",
                "step `send`, `needs`: no longer [\"triage\"]",
            ]
        );
    }

    #[test]
    fn a_difference_is_an_object_for_machines() {
        let old = Workflow::parse("old.toml", OLD).unwrap();
        let new = Workflow::parse("new.toml", &OLD.replace("30s", "1m")).unwrap();
        assert_eq!(
            serde_json::to_value(old.diff(&new)).unwrap(),
            serde_json::json!([{ "step": "triage", "field": "timeout", "old": "\"30s\"", "new": "\"1m\"" }])
        );
    }
}
