//! The graph's parts, as every reader of a workflow sees them: steps, their work, and the events that start a run.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    expression::{Expression, Template},
    id::{AgentName, ConnectorName, EventType, OperationName, StepName, WorkflowName},
    retry::RetryPolicy,
};

/// Items of a `map` that are under way at once, unless it says otherwise: enough to hide a model's latency, and too few to
/// exhaust a provider's limits.
pub(super) const PARALLEL_DEFAULT: u32 = 4;

/// A node of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, by which expressions read its output.
    pub name: StepName,
    /// What it does.
    pub work: Work,
    /// The steps that must have completed before it, by index.
    pub needs: Vec<usize>,
    /// Whether it runs, once its needs have completed. Absent: it does.
    pub when: Option<Expression>,
    /// Its input, field by field. Empty: the run's input as it is.
    pub input: BTreeMap<String, Expression>,
    /// What happens after a failed attempt. For a `call`: after an attempt of its write that certainly failed.
    pub retry: RetryPolicy,
    /// How long one attempt may take, waiting for the operator not counted.
    pub timeout: Option<Duration>,
    /// How long an agent's turn may be silent: each effect and each heartbeat is a sign of life.
    pub heartbeat: Option<Duration>,
    /// What happens when it has failed for good.
    pub on_failure: OnFailure,
    /// How its writes are taken back, where that is not what their operations declare.
    pub compensate: Option<Compensate>,
    /// What goes first when work waits for the same connector.
    pub priority: Priority,
}

impl Step {
    /// What it does itself or in each round: an agent's turn, a write, a run of another workflow.
    #[must_use]
    pub fn body(&self) -> Option<Body> {
        match &self.work {
            Work::Agent(agent) => Some(Body::Agent(agent.clone())),
            Work::Call { connector, operation } => {
                Some(Body::Call { connector: connector.clone(), operation: operation.clone() })
            }
            Work::Workflow(name) => Some(Body::Workflow(name.clone())),
            Work::Map { body, .. } | Work::Loop { body, .. } => Some(body.clone()),
            Work::Approve { .. } | Work::Wait { .. } | Work::Emit(_) => None,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// An agent takes a turn.
    Agent(AgentName),
    /// A write is proposed to a connector.
    Call {
        /// The connector, by the name it is mounted under.
        connector: ConnectorName,
        /// What is asked of it.
        operation: OperationName,
    },
    /// A run of another workflow.
    Workflow(WorkflowName),
    /// The operator is asked; turned down, the step is skipped with all that need it.
    Approve {
        /// What is asked.
        message: Template,
        /// How long the answer may take. Absent: for ever.
        deadline: Option<Duration>,
        /// Whether it counts as approved at the deadline.
        approved_at_deadline: bool,
    },
    /// The body for each item of a list.
    Map {
        /// The list.
        over: Expression,
        /// What is done for each item; the input's expressions also see `item` and `index`.
        body: Body,
        /// Most items under way at once.
        parallel_max: u32,
        /// How many items may fail without the step failing. Absent: all of them.
        failures_max: Option<u32>,
    },
    /// The body again and again until a condition holds.
    Loop {
        /// What is done each time; the input's expressions also see `previous`, the last output or none, and `index`.
        body: Body,
        /// Whether it is done; sees `result`, the last output, and `index`.
        until: Expression,
        /// Most rounds. If the condition does not hold after the last, the step fails.
        rounds_max: u32,
    },
    /// Nothing, until a time or an event, whichever comes first.
    Wait {
        /// So long after the step began.
        duration: Option<Duration>,
        /// Until then: an expression for a time in RFC 3339 or in milliseconds since 1970.
        until: Option<Expression>,
        /// An event of this type that matches.
        event: Option<Await>,
    },
    /// An event of this type; the step's input is its data.
    Emit(EventType),
}

impl Work {
    /// When it is tried again, unless the step says otherwise.
    #[must_use]
    pub fn retry_default(&self) -> RetryPolicy {
        match self {
            Self::Call { .. }
            | Self::Map { body: Body::Call { .. }, .. }
            | Self::Loop { body: Body::Call { .. }, .. } => RetryPolicy::WRITE,
            _ => RetryPolicy::STEP,
        }
    }
}

/// An event that a step waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Await {
    /// Its type.
    pub event: EventType,
    /// Whether it matches; sees `event`, `input` and the step's needs. Absent: it does.
    pub when: Option<Expression>,
}

/// What `map` and `loop` repeat. Each round is a run of its own, beneath the step's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An agent takes a turn.
    Agent(AgentName),
    /// A write is proposed.
    Call {
        /// The connector.
        connector: ConnectorName,
        /// The operation.
        operation: OperationName,
    },
    /// A run of another workflow.
    Workflow(WorkflowName),
}

/// What happens when a step has failed for good.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OnFailure {
    /// The run fails, and becomes an incident. Its writes stay until the operator has them taken back.
    #[default]
    Fail,
    /// The step completes with `{ outcome = "failed", reason }`, and the run goes on.
    Continue,
    /// The run fails, and its writes are taken back in reverse.
    Compensate,
    /// The operator decides: try again, go on with an output, fail, or take back.
    Escalate,
    /// Another agent does it, with the same input.
    Agent(AgentName),
    /// The step completes with these fields, rendered over what its input sees, and `error`.
    Template(BTreeMap<String, Template>),
}

/// How a step's writes are taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Compensate {
    /// Through which connector.
    pub connector: ConnectorName,
    /// With which operation.
    pub operation: OperationName,
    /// With what; the expressions see `input`, the step's input, and `receipt`.
    pub input: BTreeMap<String, Expression>,
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Someone waits for it.
    High,
    /// In turn.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

/// Starts a run for each event that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The event's type: `invoice.paid`.
    pub event: EventType,
    /// Whether it matches; the expression sees `event`. Absent: it does.
    pub when: Option<Expression>,
    /// The run's input, field by field; the expressions see `event`. Empty: the event's data as it is.
    pub input: BTreeMap<String, Expression>,
}
