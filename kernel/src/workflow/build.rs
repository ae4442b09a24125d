//! The same graph, built in Rust. A builder writes a definition, which goes through the checks that a file goes through;
//! what a kind of step does not have, its builder does not have either.
//!
//! ```
//! use soloist_kernel::workflow::{Step, Workflow};
//!
//! let workflow = Workflow::build("answer-mail")
//!     .step(Step::agent("triage"))
//!     .step(Step::agent("verify").for_each("triage.claims").parallel_max(8).needs(["triage"]).input("claim", "item"))
//!     .step(
//!         Step::call("mail.send")
//!             .needs(["triage", "verify"])
//!             .when("triage.answer")
//!             .input("to", "triage.to")
//!             .input("text", "triage.text"),
//!     )
//!     .finish()
//!     .expect("the graph is well");
//! assert_eq!(Workflow::parse("answer-mail.toml", &workflow.to_toml()).unwrap().steps, workflow.steps);
//! ```

mod start;
mod step;

pub use start::{IntentDraft, ScheduleDraft, TriggerDraft};
pub use step::{
    Agent, Approve, Attempted, Call, Emit, ForEach, Input, Repeatable, StepDraft, SubRun, Turn,
    Until, Wait, Writing,
};

use toml::{Table, Value};

use super::{
    Problem, Workflow, check, definition,
    problem::{Problems, said},
};

/// A workflow that is being built.
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until `finish`"]
pub struct WorkflowDraft {
    name: String,
    table: Table,
    /// Fields that cannot be written as TOML, and why.
    unwritable: Vec<(String, String)>,
}

impl WorkflowDraft {
    pub(super) fn new(name: &str) -> Self {
        let table = Table::from_iter([("name".into(), Value::String(name.into()))]);
        Self { name: name.into(), table, unwritable: vec![] }
    }

    /// Where a budget has no room, its steps fail, so that something can stand in for them, instead of waiting for the operator.
    pub fn fail_over_budget(mut self) -> Self {
        self.table.insert("over_budget".into(), Value::String("fail".into()));
        self
    }

    /// What it is for, in a line.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.table.insert("description".into(), Value::String(text.into()));
        self
    }

    /// The goal it serves.
    pub fn intent(mut self, intent: IntentDraft) -> Self {
        self.table.insert("intent".into(), Value::Table(intent.0));
        self
    }

    /// An event that starts it; there may be several.
    pub fn trigger(mut self, trigger: TriggerDraft) -> Self {
        self.push("trigger", trigger.0);
        self
    }

    /// Times at which it starts; there may be several.
    pub fn schedule(mut self, schedule: ScheduleDraft) -> Self {
        let index = self.push("schedule", schedule.table);
        let at = |(field, why): (String, String)| (format!("schedule[{index}].{field}"), why);
        self.unwritable.extend(schedule.unwritable.into_iter().map(at));
        self
    }

    /// The next step.
    pub fn step<K>(mut self, step: StepDraft<K>) -> Self {
        self.push("step", step.into_table());
        self
    }

    /// Adds a table to the list `key`, and says at which place.
    fn push(&mut self, key: &str, table: Table) -> usize {
        let list = self.table.entry(key).or_insert_with(|| Value::Array(vec![]));
        let list = list.as_array_mut().expect("only lists are put under this key");
        list.push(Value::Table(table));
        list.len() - 1
    }

    /// Checks it as if it had been read.
    ///
    /// # Errors
    ///
    /// Every problem there is; the file is named `… (built in Rust)`.
    pub fn finish(self) -> Result<Workflow, Vec<Problem>> {
        let file = format!("{} (built in Rust)", self.name);
        let mut problems = Problems::new(&file);
        for (field, why) in self.unwritable {
            problems.add(None, Some(&field), said(why, "give another value"));
        }
        if !problems.is_empty() {
            return Err(problems.all());
        }
        let mut workflow = check::check(&file, "", self.table)?;
        workflow.source = workflow.to_toml().into();
        // Who reads its text later must be able to.
        definition::read(&file, &workflow.source)?;
        Ok(workflow)
    }
}

#[cfg(test)]
mod tests;
