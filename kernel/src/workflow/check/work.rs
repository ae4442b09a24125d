//! What a step does, and which fields belong to it.

use super::{
    super::{
        Await, Body, ROUNDS_MAX, Work,
        definition::{Fields, listed},
        graph::PARALLEL_DEFAULT,
        problem::{Said, said},
    },
    bad_name,
    names::Sight,
};
use crate::id::{AgentName, ConnectorName, OperationName};

/// What a step does, without what with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Agent,
    Call,
    Workflow,
    Approve,
    Map(Repeated),
    Loop(Repeated),
    Wait,
    Emit,
}

/// What a `map` or `loop` repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    Agent,
    Call,
    Workflow,
}

/// The fields that say what a step does.
const KINDS: [&str; 8] = ["agent", "call", "workflow", "approve", "map", "loop", "wait", "emit"];

/// What a step does; the kind is also known where its details are wrong.
pub(super) fn work(fields: &mut Fields<'_>, sight: &Sight<'_>) -> (Option<Kind>, Option<Work>) {
    let given: Vec<&str> = KINDS.into_iter().filter(|key| fields.has(key)).collect();
    let kind = match kind(&given) {
        Ok(kind) => Some(kind),
        Err((Some(key), said)) => {
            fields.wrong(key, said);
            None
        }
        Err((None, said)) => {
            fields.wrong_here(said);
            None
        }
    };
    // Before the fields are read, because what is read is gone.
    if let Some(kind) = kind {
        kind.refuse_what_is_not_its_own(fields);
    }
    let agent = body_agent(fields);
    let call = fields.text("call").and_then(|call| fields.accept("call", operation(&call)));
    let call_body = call.clone().map(|(connector, operation)| Body::Call { connector, operation });
    let workflow = fields
        .text("workflow")
        .and_then(|name| fields.accept("workflow", name.parse().map_err(|error| bad_name(&error))));
    let body = |repeated| match repeated {
        Repeated::Agent => agent.clone().map(Body::Agent),
        Repeated::Call => call_body.clone(),
        Repeated::Workflow => workflow.clone().map(Body::Workflow),
    };
    let approve = approve(fields, sight);
    let emit = fields.text("emit").and_then(|event| {
        fields.accept("emit", event.parse().map(Work::Emit).map_err(|error| bad_name(&error)))
    });
    let map = match kind {
        Some(Kind::Map(repeated)) => map(fields, sight, body(repeated)),
        _ => map(fields, sight, None),
    };
    let looped = match kind {
        Some(Kind::Loop(repeated)) => looped(fields, body(repeated)),
        _ => looped(fields, None),
    };
    let wait = wait(fields, sight);
    let work = kind.and_then(|kind| match kind {
        Kind::Agent => agent.map(Work::Agent),
        Kind::Call => call.map(|(connector, operation)| Work::Call { connector, operation }),
        Kind::Workflow => workflow.map(Work::Workflow),
        Kind::Approve => approve,
        Kind::Map(_) => map,
        Kind::Loop(_) => looped,
        Kind::Wait => wait,
        Kind::Emit => emit,
    });
    (kind, work)
}

/// The kind that the fields `given` make; else the field to blame, and why.
fn kind<'a>(given: &[&'a str]) -> Result<Kind, (Option<&'a str>, Said)> {
    let repeated = |key: &str| match key {
        "agent" => Some(Repeated::Agent),
        "call" => Some(Repeated::Call),
        "workflow" => Some(Repeated::Workflow),
        _ => None,
    };
    match *given {
        [] => {
            let help = format!("write one of {}", listed(&KINDS));
            Err((None, said("it does not say what it does", help)))
        }
        ["agent"] => Ok(Kind::Agent),
        ["call"] => Ok(Kind::Call),
        ["workflow"] => Ok(Kind::Workflow),
        ["approve"] => Ok(Kind::Approve),
        ["wait"] => Ok(Kind::Wait),
        ["emit"] => Ok(Kind::Emit),
        [key @ ("map" | "loop")] => {
            let help = "add `agent`, `call` or `workflow`";
            Err((Some(key), said("it does not say what is done each time", help)))
        }
        [body, key @ ("map" | "loop")] => match (repeated(body), key) {
            (Some(repeated), "map") => Ok(Kind::Map(repeated)),
            (Some(repeated), _) => Ok(Kind::Loop(repeated)),
            (None, _) => Err(too_many(given)),
        },
        _ => Err(too_many(given)),
    }
}

fn too_many<'a>(given: &[&'a str]) -> (Option<&'a str>, Said) {
    let help = "a step does one thing; make it several steps";
    (given.last().copied(), said(format!("it says {} at once", listed(given)), help))
}

/// `connector.operation` in its parts.
pub(super) fn operation(text: &str) -> Result<(ConnectorName, OperationName), Said> {
    let Some((connector, operation)) = text.split_once('.') else {
        let short: String = text.chars().take(60).collect();
        let help = "write connector.operation, as in `mail.send`";
        return Err(said(format!("`{short}` names no operation"), help));
    };
    let connector = connector.parse().map_err(|error| bad_name(&error))?;
    Ok((connector, operation.parse().map_err(|error| bad_name(&error))?))
}

fn body_agent(fields: &mut Fields<'_>) -> Option<AgentName> {
    let agent = fields.text("agent")?;
    fields.accept("agent", agent.parse().map_err(|error| bad_name(&error)))
}

fn approve(fields: &mut Fields<'_>, sight: &Sight<'_>) -> Option<Work> {
    let message = fields.text("approve");
    let message = message.and_then(|message| fields.template("approve", &message, sight));
    let deadline = fields.duration("deadline");
    if fields.has("at_deadline") && deadline.is_none() && message.is_some() {
        fields.wrong("at_deadline", said("there is no `deadline`", "add one, or remove this"));
    }
    let at_deadline = fields.choice("at_deadline", &[("approve", true), ("abort", false)]);
    let approved_at_deadline = at_deadline.unwrap_or(false);
    Some(Work::Approve { message: message?, deadline, approved_at_deadline })
}

fn map(fields: &mut Fields<'_>, sight: &Sight<'_>, body: Option<Body>) -> Option<Work> {
    let over = fields.expression("map", sight);
    let parallel_max = fields.number("parallel_max", 1, ROUNDS_MAX).unwrap_or(PARALLEL_DEFAULT);
    let failures_max = fields.number("failures_max", 0, ROUNDS_MAX);
    Some(Work::Map { over: over?, body: body?, parallel_max, failures_max })
}

fn looped(fields: &mut Fields<'_>, body: Option<Body>) -> Option<Work> {
    let table = fields.table("loop")?;
    let mut nested = fields.nested("loop", table);
    for key in ["until", "rounds_max"] {
        if !nested.has(key) {
            nested.wrong(key, said("it is missing", "a loop has a condition and a bound"));
        }
    }
    let until = nested.expression("until", &Sight::of(&["result", "index"]));
    let rounds_max = nested.number("rounds_max", 1, ROUNDS_MAX);
    nested.finish();
    Some(Work::Loop { body: body?, until: until?, rounds_max: rounds_max? })
}

fn wait(fields: &mut Fields<'_>, sight: &Sight<'_>) -> Option<Work> {
    let table = fields.table("wait")?;
    let mut nested = fields.nested("wait", table);
    if !["for", "until", "event"].into_iter().any(|key| nested.has(key)) {
        let help = "write `for`, `until` or `event`";
        nested.wrong_here(said("it does not say for what", help));
    }
    let duration = nested.duration("for");
    let until = nested.expression("until", sight);
    let event = nested
        .text("event")
        .and_then(|event| nested.accept("event", event.parse().map_err(|error| bad_name(&error))));
    if nested.has("when") && !nested.has("event") && event.is_none() {
        nested.wrong("when", said("there is no `event` to match", "add one, or remove this"));
    }
    let when = nested.expression("when", &sight.and(&["event"]));
    nested.finish();
    Some(Work::Wait { duration, until, event: event.map(|event| Await { event, when }) })
}

impl Kind {
    /// Whether it has rounds.
    pub(super) fn is_repeated(self) -> bool {
        matches!(self, Self::Map(_) | Self::Loop(_))
    }

    /// What expressions of the input see besides the run's input and the step's needs.
    pub(super) fn seen_by_input(self) -> &'static [&'static str] {
        match self {
            Self::Map(_) => &["item", "index"],
            Self::Loop(_) => &["previous", "index"],
            Self::Agent | Self::Call | Self::Workflow | Self::Approve | Self::Wait | Self::Emit => {
                &[]
            }
        }
    }

    /// Notes each field that says nothing about a step of this kind.
    fn refuse_what_is_not_its_own(self, fields: &mut Fields<'_>) {
        for field in FIELDS {
            if !fields.has(field) {
                continue;
            }
            if let Some(help) = self.refuses(field) {
                let message = format!("{} has none", self.article());
                fields.wrong(field, said(message, help));
            }
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Agent => "an `agent` step",
            Self::Call => "a `call` step",
            Self::Workflow => "a `workflow` step",
            Self::Approve => "an `approve` step",
            Self::Map(Repeated::Agent) => "a `map` of an agent",
            Self::Map(Repeated::Call) => "a `map` of a call",
            Self::Map(Repeated::Workflow) => "a `map` of a workflow",
            Self::Loop(Repeated::Agent) => "a `loop` of an agent",
            Self::Loop(Repeated::Call) => "a `loop` of a call",
            Self::Loop(Repeated::Workflow) => "a `loop` of a workflow",
            Self::Wait => "a `wait` step",
            Self::Emit => "an `emit` step",
        }
    }

    /// What to do instead of writing `field`, if it does not belong to this kind.
    fn refuses(self, field: &str) -> Option<&'static str> {
        match (field, self) {
            ("input", Self::Approve) => Some("its message reads `input` and the steps it needs"),
            ("input", Self::Wait) => Some("its expressions read `input` and the steps it needs"),
            ("retry", Self::Approve) => Some("the operator is asked once; see `deadline`"),
            ("retry", Self::Wait | Self::Emit) => Some("nothing in it can fail and be repeated"),
            ("timeout", Self::Approve) => Some("write `deadline`"),
            ("timeout", Self::Wait) => Some("write `wait = { for = \"…\" }`"),
            ("timeout", Self::Emit) => Some("it takes no time"),
            ("heartbeat", kind) => match kind {
                Self::Agent | Self::Map(Repeated::Agent) | Self::Loop(Repeated::Agent) => None,
                _ => Some("only an agent's turn has signs of life"),
            },
            ("compensate", Self::Approve | Self::Wait | Self::Emit) => Some("it writes nothing"),
            (
                "compensate",
                Self::Workflow | Self::Map(Repeated::Workflow) | Self::Loop(Repeated::Workflow),
            ) => Some("the steps of that workflow say how their writes are taken back"),
            ("parallel_max" | "failures_max", kind) => match kind {
                Self::Map(_) => None,
                _ => Some("only a `map` has items"),
            },
            ("deadline", kind) => match kind {
                Self::Approve => None,
                Self::Wait => Some("write `wait = { for = \"…\" }`"),
                _ => Some("only an `approve` step has one; write `timeout`"),
            },
            ("at_deadline", kind) => match kind {
                Self::Approve => None,
                _ => Some("only an `approve` step has one"),
            },
            _ => None,
        }
    }
}

/// The fields that not every kind has.
const FIELDS: [&str; 9] = [
    "input",
    "retry",
    "timeout",
    "heartbeat",
    "compensate",
    "parallel_max",
    "failures_max",
    "deadline",
    "at_deadline",
];
