//! What is known of a step's output before it runs.

use super::{
    super::{Body, OnFailure, Step, Work},
    Fit,
};
use crate::{
    id::{AgentName, ConnectorName, OperationName},
    schema::shape::{Kinds, Shape},
};

impl<'a> Fit<'a> {
    /// What expressions read as the name of `step`.
    pub(super) fn output(&self, step: &Step) -> Shape<'a> {
        match &step.work {
            Work::Agent(_) | Work::Call { .. } | Work::Workflow(_) | Work::Loop { .. } => {
                self.round(step)
            }
            Work::Map { .. } => {
                let item = Shape::Either(vec![self.round(step), failed()]);
                self.or_fallback(step, Shape::List(Box::new(item)))
            }
            Work::Approve { .. } => self.or_fallback(
                step,
                Shape::fields([
                    ("approved", Shape::Of(Kinds::BOOLEAN)),
                    ("by", Shape::Any),
                    ("reason", Shape::Any),
                ]),
            ),
            Work::Wait { .. } => self.or_fallback(
                step,
                Shape::fields([("by", Shape::Of(Kinds::STRING)), ("event", Shape::Any)]),
            ),
            Work::Emit(_) => {
                self.or_fallback(step, Shape::fields([("id", Shape::Of(Kinds::STRING))]))
            }
        }
    }

    /// What an agent, a call or a workflow gives in `step`: each time, if it is repeated.
    pub(super) fn round(&self, step: &Step) -> Shape<'a> {
        let usual = match step.body() {
            Some(Body::Agent(agent)) => self.agent_output(&agent),
            Some(Body::Call { connector, operation }) => self.call_output(&connector, &operation),
            Some(Body::Workflow(_)) | None => Shape::Any,
        };
        self.or_fallback(step, usual)
    }

    /// What a write leaves behind.
    pub(super) fn receipt(&self, connector: &ConnectorName, name: &OperationName) -> Shape<'a> {
        let operation = self.catalog.operation(connector, name);
        operation.map_or(Shape::Any, |operation| Shape::of(&operation.result))
    }

    fn agent_output(&self, name: &AgentName) -> Shape<'a> {
        self.agent(name).map_or(Shape::Any, |agent| Shape::of(&agent.output))
    }

    fn call_output(&self, connector: &ConnectorName, name: &OperationName) -> Shape<'a> {
        let receipt = self.receipt(connector, name);
        Shape::fields([
            ("outcome", Shape::Of(Kinds::STRING)),
            // There is none unless it has landed.
            ("receipt", Shape::Either(vec![receipt, Shape::Of(Kinds::NULL)])),
            ("reason", Shape::Any),
        ])
    }

    /// `usual`, or what comes in its place when the step has failed.
    fn or_fallback(&self, step: &Step, usual: Shape<'a>) -> Shape<'a> {
        let other = match &step.on_failure {
            OnFailure::Fail | OnFailure::Compensate | OnFailure::Escalate => return usual,
            OnFailure::Continue => failed(),
            OnFailure::Agent(agent) => self.agent_output(agent),
            OnFailure::Template(fields) => {
                let text = |field: &String| (field.clone(), Shape::Of(Kinds::STRING));
                Shape::Fields(fields.keys().map(text).collect())
            }
        };
        Shape::Either(vec![usual, other])
    }
}

/// The output of a step that failed and was let go.
fn failed<'a>() -> Shape<'a> {
    Shape::fields([("outcome", Shape::Of(Kinds::STRING)), ("reason", Shape::Of(Kinds::STRING))])
}
