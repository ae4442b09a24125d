//! Does a workflow fit what there is? The checks against the catalogue and the other workflows: here the names, in the
//! folder the values: `shapes.rs` what a step gives, `values.rs` what is read of it and given on.

mod shapes;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Body, OnFailure, Problem, Step, Workflow,
    problem::{Problems, Said, did_you_mean, said},
};
use crate::{
    catalog::{AgentKind, AgentSpec, Catalog, Operation, OperationKind},
    id::{AgentName, ConnectorName, OperationName, WorkflowName},
};

/// The workflows there are.
pub(super) type Workflows = BTreeMap<WorkflowName, Arc<Workflow>>;

pub(super) fn check(workflow: &Workflow, catalog: &Catalog, workflows: &Workflows) -> Vec<Problem> {
    let mut fit = Fit { workflow, catalog, problems: Problems::new(workflow.file()) };
    for step in &workflow.steps {
        fit.names(step, workflows);
        fit.values(step);
    }
    fit.circle(workflows);
    fit.problems.all()
}

struct Fit<'a> {
    workflow: &'a Workflow,
    catalog: &'a Catalog,
    problems: Problems,
}

impl<'a> Fit<'a> {
    fn wrong(&mut self, step: &Step, field: &str, said: Said) {
        self.problems.add(Some(step.name.as_str()), Some(field), said);
    }

    /// Notes each name in `step` that there is not, and each use of an operation that it is not for.
    fn names(&mut self, step: &Step, workflows: &Workflows) {
        match step.body() {
            Some(Body::Agent(agent)) => self.agent_is_there(step, "agent", &agent),
            Some(Body::Call { connector, operation }) => {
                self.is_proposed(step, &connector, &operation);
            }
            Some(Body::Workflow(name)) => self.workflow_is_there(step, &name, workflows),
            None => {}
        }
        if let OnFailure::Agent(agent) = &step.on_failure {
            self.agent_is_there(step, "on_failure.agent", agent);
        }
        if let Some(compensate) = &step.compensate {
            self.takes_back(step, &compensate.connector, &compensate.operation);
        }
    }

    fn agent_is_there(&mut self, step: &Step, field: &str, name: &AgentName) {
        let Some(agent) = self.catalog.newest_agent(name) else {
            let help =
                did_you_mean(name.as_str(), self.catalog.agents.keys().map(AgentName::as_str));
            return self.wrong(step, field, (format!("there is no agent `{name}`"), help));
        };
        if agent.kind == AgentKind::ReadOnly && step.compensate.is_some() && field == "agent" {
            let message = format!("agent `{name}` is read-only and writes nothing");
            self.wrong(step, "compensate", said(message, "remove it"));
        }
    }

    fn workflow_is_there(&mut self, step: &Step, name: &WorkflowName, workflows: &Workflows) {
        if workflows.contains_key(name) || *name == self.workflow.name {
            return;
        }
        let help = did_you_mean(name.as_str(), workflows.keys().map(WorkflowName::as_str));
        self.wrong(step, "workflow", (format!("there is no workflow `{name}`"), help));
    }

    /// A `call` proposes a write.
    fn is_proposed(&mut self, step: &Step, connector: &ConnectorName, name: &OperationName) {
        let Some(operation) = self.operation(step, "call", connector, name) else { return };
        let said = match operation.kind {
            OperationKind::Write => return,
            OperationKind::Read => said(
                format!("`{connector}.{name}` reads, and a `call` step proposes a write"),
                "let an agent read it",
            ),
            OperationKind::Compensate => said(
                format!("`{connector}.{name}` takes a write back"),
                "name it in the `compensate` of the step that writes",
            ),
        };
        self.wrong(step, "call", said);
    }

    fn takes_back(&mut self, step: &Step, connector: &ConnectorName, name: &OperationName) {
        let field = "compensate.call";
        let Some(operation) = self.operation(step, field, connector, name) else { return };
        if operation.kind == OperationKind::Read {
            let message = format!("`{connector}.{name}` reads, and takes nothing back");
            self.wrong(step, field, (message, None));
        }
    }

    fn operation(
        &mut self,
        step: &Step,
        field: &str,
        connector: &ConnectorName,
        name: &OperationName,
    ) -> Option<&'a Operation> {
        let found = self.catalog.operation(connector, name);
        if found.is_none() {
            let names: Vec<String> = self.catalog.operation_names().collect();
            let given = format!("{connector}.{name}");
            let help = did_you_mean(&given, names.iter().map(String::as_str));
            let message = match self.catalog.connectors.contains_key(connector) {
                true => format!("connector `{connector}` has no operation `{name}`"),
                false => format!("there is no connector `{connector}`"),
            };
            self.wrong(step, field, (message, help));
        }
        found
    }

    fn agent(&self, name: &AgentName) -> Option<&'a AgentSpec> {
        self.catalog.newest_agent(name)
    }

    /// Finds a circle of runs that leads back to this workflow.
    fn circle(&mut self, workflows: &Workflows) {
        let mut seen = vec![];
        for step in &self.workflow.steps {
            let Some(Body::Workflow(name)) = step.body() else { continue };
            let mut path = vec![name.clone()];
            if !self.leads_back(&name, workflows, &mut seen, &mut path) {
                continue;
            }
            let start = std::iter::once(&self.workflow.name);
            let names: Vec<&str> = start.chain(&path).map(WorkflowName::as_str).collect();
            let message =
                format!("the workflows run each other in a circle: {}", names.join(" → "));
            let help = "a run of one would never end; repeat a step with `loop` instead";
            self.wrong(step, "workflow", said(message, help));
            return;
        }
    }

    /// Whether running `name` leads to this workflow; `path` then says how.
    fn leads_back(
        &self,
        name: &WorkflowName,
        workflows: &Workflows,
        seen: &mut Vec<WorkflowName>,
        path: &mut Vec<WorkflowName>,
    ) -> bool {
        if *name == self.workflow.name {
            return true;
        }
        if seen.contains(name) {
            return false;
        }
        seen.push(name.clone());
        let steps = workflows.get(name).into_iter().flat_map(|workflow| &workflow.steps);
        for step in steps {
            let Some(Body::Workflow(next)) = step.body() else { continue };
            path.push(next.clone());
            if self.leads_back(&next, workflows, seen, path) {
                return true;
            }
            path.pop();
        }
        false
    }
}

#[cfg(test)]
mod tests;
