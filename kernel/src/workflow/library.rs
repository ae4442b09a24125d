//! Where definitions are found.

use std::{collections::BTreeMap, sync::Arc};

use super::{OnFailure, Priority, Step, Work, Workflow};
use crate::{
    budget::OverBudget,
    id::{AgentName, RunId, StepName, WorkflowName, WorkflowRef},
    retry::RetryPolicy,
};

/// The version that stands for one turn of an agent, without a definition: what is delegated, what an event is delivered to.
const OF_AGENT: u32 = 0;

/// Finds definitions. It answers the same for the life of a journal: a version does not change.
pub trait Library {
    /// The newest version of `name`.
    fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)>;

    /// The version of `name` that the new run `run` takes: the newest, unless two versions are side by side.
    fn for_run(&self, name: &WorkflowName, run: &RunId) -> Option<(WorkflowRef, Arc<Workflow>)> {
        let _ = run;
        self.newest(name)
    }

    /// The definition of `workflow`.
    fn get(&self, workflow: &WorkflowRef) -> Option<Arc<Workflow>>;

    /// What a run that is pinned to `workflow` carries out: the definition, or the body of its step `body`.
    fn resolve(&self, workflow: &WorkflowRef, body: Option<&StepName>) -> Option<Arc<Workflow>> {
        if workflow.version == OF_AGENT {
            return Workflow::of_agent(&workflow.name.as_str().parse().ok()?).map(Arc::new);
        }
        let definition = self.get(workflow)?;
        match body {
            Some(step) => definition.body(step),
            None => Some(definition),
        }
    }
}

impl WorkflowRef {
    /// What stands for one turn of `agent`.
    #[must_use]
    pub fn of_agent(agent: &AgentName) -> Self {
        let name = WorkflowName::new(agent.as_str()).expect("an agent's name is a name");
        Self { name, version: OF_AGENT }
    }
}

impl Workflow {
    /// The workflow of one step, `agent`, in which `agent` takes a turn over the run's input.
    #[must_use]
    pub fn of_agent(agent: &AgentName) -> Option<Self> {
        let name = WorkflowName::new(agent.as_str()).ok()?;
        let step = Step::alone(StepName::new("agent").ok()?, Work::Agent(agent.clone()));
        Some(Self::alone(name, step))
    }

    fn alone(name: WorkflowName, step: Step) -> Self {
        let (description, steps) = (String::new(), vec![step]);
        let (triggers, schedules) = (vec![], vec![]);
        let (file, source) = ("".into(), "".into());
        let (intent, over_budget) = (None, OverBudget::Ask);
        Self { name, description, intent, over_budget, triggers, schedules, steps, file, source }
    }
}

impl Step {
    fn alone(name: StepName, work: Work) -> Self {
        Self {
            name,
            work,
            needs: vec![],
            when: None,
            input: BTreeMap::new(),
            retry: RetryPolicy::STEP,
            timeout: None,
            heartbeat: None,
            on_failure: OnFailure::Fail,
            compensate: None,
            priority: Priority::Normal,
        }
    }
}
