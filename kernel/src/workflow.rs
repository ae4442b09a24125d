//! Workflows: versioned process graphs, as data.
//!
//! A definition is TOML text. [`Workflow::parse`] reads it, checks it whole and reports every problem with file, step and
//! field, so that what is loaded can be run: names are known, `needs` has no cycle, expressions compile and read only what
//! their step can see. `definition.rs` reads the text, `check.rs` checks it.
//!
//! ```toml
//! name = "answer-mail"
//!
//! [[step]]
//! name = "triage"
//! agent = "triage"
//!
//! [[step]]
//! name = "send"
//! call = "mail.send"
//! needs = ["triage"]
//! when = "triage.answer"
//! input = { to = "input.from.address", subject = "'Re: ' ~ input.subject", text = "triage.text" }
//! ```

pub mod build;
mod check;
mod definition;
mod diff;
pub(crate) mod duration;
mod fit;
mod graph;
mod intent;
mod library;
mod mermaid;
pub(crate) mod problem;
mod schedule;
mod text;

use std::{collections::BTreeMap, sync::Arc};

pub use diff::Change;
pub use duration::parse as parse_duration;
pub use graph::{Await, Body, Compensate, OnFailure, Priority, Step, Trigger, Work};
pub use intent::{Intent, find_intent};
pub use library::Library;
pub use problem::{Problem, nearest};
pub use schedule::{Missed, Schedule};

use crate::{
    budget::OverBudget,
    catalog::Catalog,
    id::{AgentName, StepName, WorkflowName},
    payload::Digest,
};

/// Most steps of one workflow. A run's state is folded and its graph walked at every event.
pub const STEPS_MAX: usize = 200;

/// Longest definition, in bytes.
pub const DEFINITION_BYTES_MAX: usize = 256 << 10;

/// Most runs that a schedule with [`Missed::All`] starts for times that passed unnoticed.
pub const MISSED_MAX: usize = 100;

/// Most items of a `map`, and rounds of a `loop`. Each is an effect of one step; more belong in a workflow that handles a
/// page and emits an event for the next.
pub const ROUNDS_MAX: u32 = 1_000;

/// A checked process graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its name.
    pub name: WorkflowName,
    /// What it is for, in a line.
    pub description: String,
    /// The goal it serves, if it is named.
    pub intent: Option<Intent>,
    /// What its runs do where a budget has no room.
    pub over_budget: OverBudget,
    /// The events that start it.
    pub triggers: Vec<Trigger>,
    /// The times at which it starts.
    pub schedules: Vec<Schedule>,
    /// Its steps, in the order of the definition.
    pub steps: Vec<Step>,
    file: Arc<str>,
    source: Arc<str>,
}

impl Workflow {
    /// Reads and checks a definition. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Every problem there is, not only the first.
    pub fn parse(file: &str, source: &str) -> Result<Self, Vec<Problem>> {
        check::check(file, source, definition::read(file, source)?)
    }

    /// Begins a workflow in Rust; [`build`] shows how it goes on.
    pub fn build(name: &str) -> build::WorkflowDraft {
        build::WorkflowDraft::new(name)
    }

    /// Its canonical text, which reads back as the same workflow: without comments, and with defaults left out.
    #[must_use]
    pub fn to_toml(&self) -> String {
        text::write(self)
    }

    /// What is other in `newer`: added, removed and changed steps, field by field, and what starts them.
    #[must_use]
    pub fn diff(&self, newer: &Self) -> Vec<Change> {
        diff::between(self, newer)
    }

    /// Its picture as a Mermaid flowchart, to be pasted where Markdown is rendered.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Checks it against what there is: the names of agents, operations and workflows, the fields and types of what its
    /// expressions read and give, and that no workflow leads back to itself. Every problem there is.
    #[must_use]
    pub fn check(
        &self,
        catalog: &Catalog,
        workflows: &BTreeMap<WorkflowName, Arc<Self>>,
    ) -> Vec<Problem> {
        fit::check(self, catalog, workflows)
    }

    /// The file it was read from, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The hash of its text: two definitions with the same one are the same version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.source.as_bytes())
    }

    /// What a round of the step called `step` runs, if it is a `map` or `loop` of an agent or a call: a workflow of that one
    /// step, with the round's input as its input.
    #[must_use]
    pub fn body(&self, step: &StepName) -> Option<Arc<Self>> {
        let step = &self.steps[self.index(step)?];
        let (Work::Map { body, .. } | Work::Loop { body, .. }) = &step.work else { return None };
        let work = match body.clone() {
            Body::Agent(agent) => Work::Agent(agent),
            Body::Call { connector, operation } => Work::Call { connector, operation },
            Body::Workflow(_) => return None,
        };
        let on_failure = match &step.on_failure {
            // What has failed in a round is the step's to answer for, and with it the run's.
            OnFailure::Fail | OnFailure::Compensate => OnFailure::Fail,
            own => own.clone(),
        };
        let body = Step {
            work,
            needs: vec![],
            when: None,
            input: BTreeMap::new(),
            on_failure,
            ..step.clone()
        };
        Some(Arc::new(Self {
            name: self.name.clone(),
            description: String::new(),
            intent: None,
            over_budget: self.over_budget,
            triggers: vec![],
            schedules: vec![],
            steps: vec![body],
            file: self.file.clone(),
            source: self.source.clone(),
        }))
    }

    /// The agent that takes the turns of the step called `step`, if it is the step of one.
    #[must_use]
    pub fn agent_of(&self, step: &StepName) -> Option<&AgentName> {
        match &self.steps[self.index(step)?].work {
            Work::Agent(agent) => Some(agent),
            _ => None,
        }
    }

    /// The index of the step called `name`.
    #[must_use]
    pub fn index(&self, name: &StepName) -> Option<usize> {
        self.steps.iter().position(|step| step.name == *name)
    }
}

#[cfg(test)]
mod tests;
