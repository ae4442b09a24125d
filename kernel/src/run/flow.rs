//! What flows between steps: the values that expressions see, and the labels that flow with them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    event::{StepError, StepErrorKind},
    state::Run,
};
use crate::{
    expression::{Expression, ExpressionError, Scope, Template},
    id::StepName,
    labels::{Labeled, Labels},
    payload::Payload,
    workflow,
};

/// Names, their values and the labels of these.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    names: BTreeMap<String, Labeled<Value>>,
}

/// A step's input, with the labels of each field: where a mail goes is often better known than what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The input.
    pub value: Labeled<Payload>,
    /// The labels of its fields, where they differ: a field that is not here has the input's.
    pub fields: BTreeMap<String, Labels>,
}

impl View {
    /// What the step sees before it runs: the run's input, and the outputs of what it needs.
    pub(super) fn of(run: &Run, definition: &workflow::Step) -> Self {
        let mut view = Self::default();
        view.add("input", run.input.clone().map(|input| input.value()));
        for index in &definition.needs {
            if let Some(output) = run.steps[*index].output() {
                let name = run.definition.steps[*index].name.as_str();
                view.add(name, output.clone().map(|output| output.value()));
            }
        }
        view
    }

    pub(super) fn add(&mut self, name: &str, value: Labeled<Value>) {
        self.names.insert(name.to_owned(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Labeled<Value>> {
        self.names.get(name)
    }

    /// The same with one more name.
    pub(super) fn with(mut self, name: &str, value: Labeled<Value>) -> Self {
        self.add(name, value);
        self
    }

    pub(super) fn scope(&self) -> Scope {
        Scope::new(self.names.iter().map(|(name, labeled)| (name.as_str(), labeled.value.clone())))
    }

    /// The labels of what is made of `names`; of none of them, those of a literal.
    fn labels(&self, names: &BTreeSet<String>) -> Labels {
        Labels::join_all(names.iter().filter_map(|name| Some(&self.names.get(name)?.labels)))
    }

    pub(super) fn evaluate(
        &self,
        expression: &Expression,
    ) -> Result<Labeled<Value>, ExpressionError> {
        self.evaluate_in(&self.scope(), expression)
    }

    /// As [`evaluate`](Self::evaluate), in the [`scope`](Self::scope) that was made for several expressions.
    fn evaluate_in(
        &self,
        scope: &Scope,
        expression: &Expression,
    ) -> Result<Labeled<Value>, ExpressionError> {
        let value = expression.evaluate(scope)?;
        Ok(Labeled::new(value, self.labels(expression.names())))
    }

    pub(super) fn render(&self, template: &Template) -> Result<Labeled<String>, ExpressionError> {
        let text = template.render(&self.scope())?;
        Ok(Labeled::new(text, self.labels(&template.names())))
    }

    /// An object of `fields`.
    pub(super) fn object(
        &self,
        fields: &BTreeMap<String, Expression>,
    ) -> Result<Input, (String, String)> {
        let mut object = serde_json::Map::new();
        let mut labels = BTreeMap::new();
        let scope = self.scope();
        for (field, expression) in fields {
            let value = self
                .evaluate_in(&scope, expression)
                .map_err(|error| (field.clone(), error.to_string()))?;
            object.insert(field.clone(), value.value);
            labels.insert(field.clone(), value.labels);
        }
        let payload = Payload::of(&object).map_err(|error| (String::new(), error.to_string()))?;
        let value = Labeled::new(payload, Labels::join_all(labels.values()));
        Ok(Input { value, fields: labels })
    }
}

impl Input {
    /// A value all of whose fields have its labels.
    pub(super) fn whole(value: Labeled<Payload>) -> Self {
        Self { value, fields: BTreeMap::new() }
    }
}

/// An error of step `step` in `field`.
pub(super) fn invalid(step: &StepName, field: &str, problem: impl std::fmt::Display) -> StepError {
    StepError::new(StepErrorKind::Invalid, format!("step `{step}`, field `{field}`: {problem}"))
}

impl Run {
    /// The input of `step`, from the run's input and the outputs of what it needs. Pure, so a replay gets the same.
    ///
    /// # Errors
    ///
    /// Fails if an expression has no value; the message names step and field.
    pub fn step_input(&self, step: &StepName) -> Result<Input, StepError> {
        let Some((definition, _)) = self.step(step) else {
            let problem = format!("there is no step `{step}`");
            return Err(StepError::new(StepErrorKind::Invalid, problem));
        };
        self.input_of(definition, &View::of(self, definition))
    }

    pub(super) fn input_of(
        &self,
        definition: &workflow::Step,
        view: &View,
    ) -> Result<Input, StepError> {
        if definition.input.is_empty() {
            return Ok(Input::whole(self.input.clone()));
        }
        view.object(&definition.input).map_err(|(field, problem)| {
            let field = if field.is_empty() { "input".into() } else { format!("input.{field}") };
            invalid(&definition.name, &field, problem)
        })
    }

    /// The labels of what `step`'s turn says now: of its input and of everything it has seen.
    #[must_use]
    pub fn turn_labels(&self, step: &StepName) -> Labels {
        let Some((definition, state)) = self.step(step) else { return Labels::default() };
        state.labels(&self.input_labels(definition))
    }

    /// The labels of a step's input, without the input: those of everything that its expressions read.
    fn input_labels(&self, definition: &workflow::Step) -> Labels {
        if definition.input.is_empty() {
            return self.input.labels.clone();
        }
        let of = |name: &String| {
            if name == "input" {
                return Some(&self.input.labels);
            }
            let mut steps = self.definition.steps.iter();
            let index = steps.position(|step| step.name.as_str() == name)?;
            Some(&self.steps[index].output()?.labels)
        };
        let names = definition.input.values().flat_map(Expression::names);
        Labels::join_all(names.filter_map(of))
    }

    /// What `compensate` of a step's definition comes to for a write with `receipt`: the arguments of the operation that
    /// takes it back.
    ///
    /// # Errors
    ///
    /// Fails if an expression has no value.
    pub fn compensation_input(
        &self,
        definition: &workflow::Step,
        compensate: &workflow::Compensate,
        receipt: &Payload,
    ) -> Result<Payload, StepError> {
        let input = self.step_input(&definition.name)?.value;
        let receipt = Labeled::new(receipt.value(), Labels::default());
        let view = View::default()
            .with("input", input.map(|input| input.value()))
            .with("receipt", receipt);
        let object = view.object(&compensate.input);
        object.map(|input| input.value.value).map_err(|(field, problem)| {
            invalid(&definition.name, &format!("compensate.input.{field}"), problem)
        })
    }
}

/// What a step that failed and goes on has as its output.
pub(super) fn failed_output(error: &StepError, labels: Labels) -> Labeled<Payload> {
    let view = json!({ "outcome": "failed", "reason": error.message });
    Labeled::new(Payload::of(&view).unwrap_or_else(|_| Payload::null()), labels)
}
