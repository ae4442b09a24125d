//! Builders of steps, one type for each kind: [`StepDraft<Agent>`] has a heartbeat, [`StepDraft<Wait>`] has not.

use std::{marker::PhantomData, time::Duration};

use toml::{Table, Value};

use super::{
    super::{Priority, Step, duration},
    start::{insert, list},
};
use crate::retry::RetryPolicy;

/// A step that is being built, of the kind `K`. Its methods are those that the kind has.
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until a workflow has it"]
pub struct StepDraft<K> {
    table: Table,
    kind: PhantomData<K>,
}

/// An agent takes a turn.
#[derive(Clone, Copy, Debug)]
pub enum Agent {}
/// A write is proposed.
#[derive(Clone, Copy, Debug)]
pub enum Call {}
/// Another workflow runs.
#[derive(Clone, Copy, Debug)]
pub enum SubRun {}
/// The operator is asked.
#[derive(Clone, Copy, Debug)]
pub enum Approve {}
/// Nothing, until a time or an event.
#[derive(Clone, Copy, Debug)]
pub enum Wait {}
/// An event.
#[derive(Clone, Copy, Debug)]
pub enum Emit {}
/// A `B` for each item of a list.
#[derive(Clone, Copy, Debug)]
pub struct ForEach<B>(PhantomData<B>);
/// A `B` until a condition holds.
#[derive(Clone, Copy, Debug)]
pub struct Until<B>(PhantomData<B>);

mod sealed {
    pub trait Kind {}
}
use sealed::Kind;

/// Kinds that take an input.
pub trait Input: Kind {}
/// Kinds whose attempts can fail and take time.
pub trait Attempted: Kind {}
/// Kinds in which an agent takes turns.
pub trait Turn: Kind {}
/// Kinds that may write, and so have something to take back.
pub trait Writing: Kind {}
/// Kinds that can be done for each item or until a condition holds.
pub trait Repeatable: Kind {}

macro_rules! kinds {
    ($($kind:ty: $($property:ident)*;)*) => {$(
        impl Kind for $kind {}
        $(impl $property for $kind {})*
    )*};
}

kinds! {
    Agent: Input Attempted Turn Writing Repeatable;
    Call: Input Attempted Writing Repeatable;
    SubRun: Input Attempted Repeatable;
    Approve: ;
    Wait: ;
    Emit: Input;
}

macro_rules! repeated {
    ($($kind:ident)*) => {$(
        impl<B: Kind> Kind for $kind<B> {}
        impl<B: Input> Input for $kind<B> {}
        impl<B: Attempted> Attempted for $kind<B> {}
        impl<B: Turn> Turn for $kind<B> {}
        impl<B: Writing> Writing for $kind<B> {}
    )*};
}

repeated! { ForEach Until }

impl Step {
    /// An agent takes a turn. The step is named after the agent.
    pub fn agent(agent: impl Into<String>) -> StepDraft<Agent> {
        let agent = agent.into();
        StepDraft::new(&agent).set("agent", agent)
    }

    /// A write is proposed: `mail.send`. The step is named after the operation.
    pub fn call(operation: impl Into<String>) -> StepDraft<Call> {
        let operation = operation.into();
        let name = operation.split_once('.').map_or(operation.as_str(), |(_, name)| name);
        StepDraft::new(name).set("call", operation)
    }

    /// Another workflow runs. The step is named after it.
    pub fn workflow(name: impl Into<String>) -> StepDraft<SubRun> {
        let name = name.into();
        StepDraft::new(&name).set("workflow", name)
    }

    /// The operator is asked this. The step is named `approve`.
    pub fn approve(message: impl Into<String>) -> StepDraft<Approve> {
        StepDraft::new("approve").set("approve", message.into())
    }

    /// Waits so long. The step is named `wait`.
    pub fn wait_for(duration: Duration) -> StepDraft<Wait> {
        StepDraft::new("wait").within("wait", "for", duration::text(duration))
    }

    /// Waits until the time that the expression gives. The step is named `wait`.
    pub fn wait_until(expression: impl Into<String>) -> StepDraft<Wait> {
        StepDraft::new("wait").within("wait", "until", expression.into())
    }

    /// Waits for an event of this type. The step is named `wait`.
    pub fn wait_event(event: impl Into<String>) -> StepDraft<Wait> {
        StepDraft::new("wait").within("wait", "event", event.into())
    }

    /// An event of this type. The step is named `emit`.
    pub fn emit(event: impl Into<String>) -> StepDraft<Emit> {
        StepDraft::new("emit").set("emit", event.into())
    }
}

impl<K> StepDraft<K> {
    /// A step called as `text`, as far as that is an identifier.
    fn new(text: &str) -> Self {
        let identifier = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
        let name: String = text.chars().map(identifier).collect();
        Self { table: Table::new(), kind: PhantomData }.set("name", name)
    }

    pub(super) fn into_table(self) -> Table {
        self.table
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.table.insert(key.into(), value.into());
        self
    }

    fn within(mut self, key: &str, field: impl Into<String>, value: impl Into<Value>) -> Self {
        // What was there may be a word, as `on_failure` can be; the last one said stands.
        if !self.table.get(key).is_some_and(Value::is_table) {
            self.table.remove(key);
        }
        insert(&mut self.table, key, field.into(), value.into());
        self
    }

    fn becomes<L>(self) -> StepDraft<L> {
        StepDraft { table: self.table, kind: PhantomData }
    }

    /// Its name, by which expressions read its output.
    pub fn named(self, name: impl Into<String>) -> Self {
        self.set("name", name.into())
    }

    /// The steps that must have completed before it.
    pub fn needs<T: Into<String>>(self, steps: impl IntoIterator<Item = T>) -> Self {
        self.set("needs", list(steps))
    }

    /// Whether it runs, once its needs have completed.
    pub fn when(self, expression: impl Into<String>) -> Self {
        self.set("when", expression.into())
    }

    /// What goes first when work waits for the same connector.
    pub fn priority(self, priority: Priority) -> Self {
        let word = match priority {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        };
        self.set("priority", word)
    }

    /// If it fails for good, it completes with `{ outcome = "failed", reason }`, and the run goes on.
    pub fn or_continue(self) -> Self {
        self.set("on_failure", "continue")
    }

    /// If it fails for good, the run's writes are taken back.
    pub fn or_compensate(self) -> Self {
        self.set("on_failure", "compensate")
    }

    /// If it fails for good, the operator decides.
    pub fn or_escalate(self) -> Self {
        self.set("on_failure", "escalate")
    }

    /// If it fails for good, this agent does it, with the same input.
    pub fn or_agent(self, agent: impl Into<String>) -> Self {
        let table = Table::from_iter([("agent".into(), Value::String(agent.into()))]);
        self.set("on_failure", table)
    }

    /// If it fails for good, it completes with these fields; the templates see what its input sees, and `error`.
    pub fn or_template<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let table = Table::from_iter([("template".into(), Value::Table(pairs(fields)))]);
        self.set("on_failure", table)
    }
}

fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Table {
    pairs.into_iter().map(|(key, value)| (key.into(), Value::String(value.into()))).collect()
}

impl<K: Input> StepDraft<K> {
    /// A field of its input.
    pub fn input(self, field: impl Into<String>, expression: impl Into<String>) -> Self {
        self.within("input", field, expression.into())
    }
}

impl<K: Attempted> StepDraft<K> {
    /// What happens after a failed attempt. Waits are whole milliseconds.
    pub fn retry(self, retry: RetryPolicy) -> Self {
        self.within("retry", "attempts", i64::from(retry.attempts_max.get()))
            .within("retry", "base", duration::text(retry.base))
            .within("retry", "cap", duration::text(retry.cap))
    }

    /// How long one attempt may take, in whole milliseconds, waiting for the operator not counted.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set("timeout", duration::text(timeout))
    }
}

impl<K: Turn> StepDraft<K> {
    /// How long its turn may be silent, in whole milliseconds.
    pub fn heartbeat(self, silence: Duration) -> Self {
        self.set("heartbeat", duration::text(silence))
    }
}

impl<K: Writing> StepDraft<K> {
    /// How its writes are taken back; the expressions see `input` and `receipt`.
    pub fn compensate<'a>(
        self,
        operation: impl Into<String>,
        input: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let input = pairs(input);
        let step = self.within("compensate", "call", operation.into());
        if input.is_empty() { step } else { step.within("compensate", "input", input) }
    }
}

impl<K: Repeatable> StepDraft<K> {
    /// Does it for each item of the list that the expression gives; the input also sees `item` and `index`.
    pub fn for_each(self, list: impl Into<String>) -> StepDraft<ForEach<K>> {
        self.set("map", list.into()).becomes()
    }

    /// Does it again until the expression holds, which sees `result` and `index`, at most `rounds_max` times; the input
    /// also sees `previous` and `index`.
    pub fn until(self, expression: impl Into<String>, rounds_max: u32) -> StepDraft<Until<K>> {
        self.within("loop", "until", expression.into())
            .within("loop", "rounds_max", i64::from(rounds_max))
            .becomes()
    }
}

impl<B> StepDraft<ForEach<B>> {
    /// Most items under way at once.
    pub fn parallel_max(self, items: u32) -> Self {
        self.set("parallel_max", i64::from(items))
    }

    /// How many items may fail without the step failing.
    pub fn failures_max(self, items: u32) -> Self {
        self.set("failures_max", i64::from(items))
    }
}

impl StepDraft<Approve> {
    /// How long the answer may take, in whole milliseconds; then it counts as turned down.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set("deadline", duration::text(deadline))
    }

    /// How long the answer may take, in whole milliseconds; then it counts as approved.
    pub fn deadline_that_approves(self, deadline: Duration) -> Self {
        self.deadline(deadline).set("at_deadline", "approve")
    }
}

impl StepDraft<Wait> {
    /// At most so long.
    pub fn or_for(self, duration: Duration) -> Self {
        self.within("wait", "for", duration::text(duration))
    }

    /// At most until the time that the expression gives.
    pub fn or_until(self, expression: impl Into<String>) -> Self {
        self.within("wait", "until", expression.into())
    }

    /// Or for an event of this type.
    pub fn or_event(self, event: impl Into<String>) -> Self {
        self.within("wait", "event", event.into())
    }

    /// Whether the event matches; sees `event`, `input` and the step's needs.
    pub fn matching(self, expression: impl Into<String>) -> Self {
        self.within("wait", "when", expression.into())
    }
}
