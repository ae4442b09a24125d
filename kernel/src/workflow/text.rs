//! The canonical text of a workflow. Every definition that means the same has the same one, and reading it back gives the
//! same workflow.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{
    Body, Intent, Missed, OnFailure, Priority, Schedule, Step, Trigger, Work, Workflow, duration,
    graph::PARALLEL_DEFAULT,
};
use crate::{
    budget::OverBudget,
    expression::{Expression, Template},
};

/// A key and its value, in the order in which they are written.
pub(super) type Entries = Vec<(&'static str, Value)>;

/// A table of a definition: `[intent]`, `[[step]]`.
pub(super) struct Section {
    pub(super) header: &'static str,
    pub(super) is_list: bool,
    pub(super) entries: Entries,
}

pub(super) fn write(workflow: &Workflow) -> String {
    let mut text = lines(&head(workflow));
    for Section { header, is_list, entries } in sections(workflow) {
        let header = if is_list { format!("[[{header}]]") } else { format!("[{header}]") };
        text.push_str(&format!("\n{header}\n{}", lines(&entries)));
    }
    text
}

fn lines(entries: &Entries) -> String {
    entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// What stands before the first table.
pub(super) fn head(workflow: &Workflow) -> Entries {
    let mut entries = vec![("name", text(&workflow.name))];
    if !workflow.description.is_empty() {
        entries.push(("description", text(&workflow.description)));
    }
    match workflow.over_budget {
        OverBudget::Ask => {}
        OverBudget::Fail => entries.push(("over_budget", text("fail"))),
    }
    entries
}

pub(super) fn sections(workflow: &Workflow) -> Vec<Section> {
    let section = |header, is_list, entries| Section { header, is_list, entries };
    let intent =
        workflow.intent.iter().map(|intent| section("intent", false, self::intent(intent)));
    let triggers = workflow.triggers.iter().map(|it| section("trigger", true, trigger(it)));
    let schedules = workflow.schedules.iter().map(|it| section("schedule", true, schedule(it)));
    let steps = workflow.steps.iter().map(|it| section("step", true, step(workflow, it)));
    intent.chain(triggers).chain(schedules).chain(steps).collect()
}

fn intent(intent: &Intent) -> Entries {
    let mut entries = vec![("name", text(&intent.name))];
    if !intent.phrases.is_empty() {
        entries.push(("phrases", texts(&intent.phrases)));
    }
    entries.extend(intent.readers.as_ref().map(|readers| ("readers", texts(readers))));
    // A quotient of whole numbers below 2^53 is the float nearest to the decimal, which prints as that decimal.
    let usd = |micro: u64| Value::Float(micro as f64 / 1e6);
    entries.extend(intent.cost_max_micro_usd.map(|micro| ("cost_max_usd", usd(micro))));
    entries.extend(intent.deadline.map(|deadline| ("deadline", text(duration::text(deadline)))));
    entries
}

fn trigger(trigger: &Trigger) -> Entries {
    let mut entries = vec![("event", text(&trigger.event))];
    entries.extend(trigger.when.as_ref().map(|when| ("when", expression(when))));
    entries.extend(expressions(&trigger.input).map(|input| ("input", input)));
    entries
}

fn schedule(schedule: &Schedule) -> Entries {
    let mut entries = vec![
        ("cron", text(&schedule.cron)),
        ("timezone", text(&schedule.timezone)),
        ("missed", text(missed(schedule.missed))),
    ];
    let input = schedule.input.iter();
    let input: Table =
        input.filter_map(|(name, value)| Some((name.clone(), literal(value).ok()?))).collect();
    if !input.is_empty() {
        entries.push(("input", Value::Table(input)));
    }
    entries
}

pub(super) fn missed(missed: Missed) -> &'static str {
    match missed {
        Missed::Skip => "skip",
        Missed::Once => "once",
        Missed::All => "all",
    }
}

/// The fields of `step`, its name first.
pub(super) fn step(workflow: &Workflow, step: &Step) -> Entries {
    let mut entries = vec![("name", text(&step.name))];
    work(&step.work, &mut entries);
    if !step.needs.is_empty() {
        let names = step.needs.iter().map(|index| &workflow.steps[*index].name);
        entries.push(("needs", texts(names)));
    }
    entries.extend(step.when.as_ref().map(|when| ("when", expression(when))));
    entries.extend(expressions(&step.input).map(|input| ("input", input)));
    if step.retry != step.work.retry_default() {
        let attempts = Value::Integer(step.retry.attempts_max.get().into());
        let base = text(duration::text(step.retry.base));
        let cap = text(duration::text(step.retry.cap));
        entries.push(("retry", table([("attempts", attempts), ("base", base), ("cap", cap)])));
    }
    entries.extend(step.timeout.map(|timeout| ("timeout", text(duration::text(timeout)))));
    entries.extend(step.heartbeat.map(|silence| ("heartbeat", text(duration::text(silence)))));
    entries.extend(on_failure(&step.on_failure).map(|value| ("on_failure", value)));
    if let Some(compensate) = &step.compensate {
        let call = text(format!("{}.{}", compensate.connector, compensate.operation));
        let input = expressions(&compensate.input).map(|input| ("input", input));
        entries.push(("compensate", table([("call", call)].into_iter().chain(input))));
    }
    match step.priority {
        Priority::High => entries.push(("priority", text("high"))),
        Priority::Normal => {}
        Priority::Low => entries.push(("priority", text("low"))),
    }
    entries
}

fn work(work: &Work, entries: &mut Entries) {
    match work {
        Work::Agent(agent) => entries.push(("agent", text(agent))),
        Work::Call { connector, operation } => {
            entries.push(("call", text(format!("{connector}.{operation}"))));
        }
        Work::Workflow(name) => entries.push(("workflow", text(name))),
        Work::Approve { message, deadline, approved_at_deadline } => {
            entries.push(("approve", text(message.source())));
            entries.extend(deadline.map(|deadline| ("deadline", text(duration::text(deadline)))));
            if *approved_at_deadline {
                entries.push(("at_deadline", text("approve")));
            }
        }
        Work::Map { over, body, parallel_max, failures_max } => {
            entries.push(("map", expression(over)));
            entries.push(self::body(body));
            if *parallel_max != PARALLEL_DEFAULT {
                entries.push(("parallel_max", Value::Integer((*parallel_max).into())));
            }
            let failures = failures_max.map(|most| ("failures_max", Value::Integer(most.into())));
            entries.extend(failures);
        }
        Work::Loop { body, until, rounds_max } => {
            entries.push(self::body(body));
            let rounds = ("rounds_max", Value::Integer((*rounds_max).into()));
            entries.push(("loop", table([("until", expression(until)), rounds])));
        }
        Work::Wait { duration, until, event } => {
            let mut fields = vec![];
            fields.extend(duration.map(|duration| ("for", text(duration::text(duration)))));
            fields.extend(until.as_ref().map(|until| ("until", expression(until))));
            if let Some(event) = event {
                fields.push(("event", text(&event.event)));
                fields.extend(event.when.as_ref().map(|when| ("when", expression(when))));
            }
            entries.push(("wait", table(fields)));
        }
        Work::Emit(event) => entries.push(("emit", text(event))),
    }
}

fn body(body: &Body) -> (&'static str, Value) {
    match body {
        Body::Agent(agent) => ("agent", text(agent)),
        Body::Call { connector, operation } => ("call", text(format!("{connector}.{operation}"))),
        Body::Workflow(name) => ("workflow", text(name)),
    }
}

fn on_failure(on_failure: &OnFailure) -> Option<Value> {
    match on_failure {
        OnFailure::Fail => None,
        OnFailure::Continue => Some(text("continue")),
        OnFailure::Compensate => Some(text("compensate")),
        OnFailure::Escalate => Some(text("escalate")),
        OnFailure::Agent(agent) => Some(table([("agent", text(agent))])),
        OnFailure::Template(fields) => {
            let template = |(name, template): (&String, &Template)| {
                (name.clone(), Value::String(template.source().into()))
            };
            let fields: Table = fields.iter().map(template).collect();
            Some(table([("template", Value::Table(fields))]))
        }
    }
}

fn text(text: impl ToString) -> Value {
    Value::String(text.to_string())
}

fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(text).collect())
}

fn table(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn expression(expression: &Expression) -> Value {
    text(expression.source())
}

fn expressions(input: &BTreeMap<String, Expression>) -> Option<Value> {
    let fields = input.iter().map(|(name, value)| (name.clone(), expression(value)));
    (!input.is_empty()).then(|| Value::Table(fields.collect()))
}

/// A JSON value as TOML; says what TOML cannot say.
pub(super) fn literal(value: &serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => return Err("it holds null, which TOML does not have".into()),
        Json::Bool(is) => Value::Boolean(*is),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(whole), _, _) => Value::Integer(whole),
            (None, false, Some(float)) => Value::Float(float),
            _ => return Err(format!("{number} is too large for TOML")),
        },
        Json::Array(list) => Value::Array(list.iter().map(literal).collect::<Result<_, _>>()?),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), literal(value)?)));
            Value::Table(fields.collect::<Result<_, String>>()?)
        }
    })
}
