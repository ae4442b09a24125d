//! What expressions read, and what they give to agents and operations.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Body, OnFailure, Step, Work,
        definition::listed,
        problem::{did_you_mean, said},
    },
    Fit,
};
use crate::{
    catalog::{AgentSpec, Operation},
    expression::{Expression, Scope},
    schema::{
        self,
        shape::{Kinds, Shape},
    },
};

/// What the names at one place stand for.
type Names<'a> = BTreeMap<String, Shape<'a>>;

/// Who is given an input.
enum Taker<'a> {
    Agent(&'a AgentSpec),
    Operation(&'a Operation),
}

impl<'a> Taker<'a> {
    /// What the field `name` must be; the fields it takes, if it is none of them.
    fn field(&self, name: &str) -> Result<Shape<'a>, Vec<String>> {
        match self {
            Self::Agent(agent) => Shape::of(&agent.input).accepts(name),
            Self::Operation(operation) => match operation.arguments.get(name) {
                Some(argument) => Ok(Shape::of(&argument.schema)),
                None => Err(operation.arguments.keys().cloned().collect()),
            },
        }
    }

    fn required(&self) -> Vec<&'a str> {
        match self {
            Self::Agent(agent) => Shape::of(&agent.input).required(),
            Self::Operation(operation) => operation
                .arguments
                .iter()
                .filter(|(_, argument)| argument.required)
                .map(|(name, _)| name.as_str())
                .collect(),
        }
    }
}

impl<'a> Fit<'a> {
    /// Notes each path in `step` that leads nowhere, and each input that its taker does not take.
    pub(super) fn values(&mut self, step: &'a Step) {
        let names = self.seen(step);
        if let Some(when) = &step.when {
            self.paths(step, "when", when.paths(), &names);
        }
        self.work(step, &names);
        let names_of_input = self.seen_by_input(step, &names);
        self.inputs(step, "input", &step.input, &names_of_input);
        if let Some((taker, who)) = self.taker(step) {
            self.given(step, "input", (&taker, &who), &step.input, &names_of_input);
        }
        self.fallback(step, &names_of_input);
        self.compensate(step, &names_of_input);
    }

    /// What the step's expressions see: the run's input and its needs.
    fn seen(&self, step: &Step) -> Names<'a> {
        let needs = step.needs.iter().map(|index| &self.workflow.steps[*index]);
        let outputs = needs.map(|need| (need.name.to_string(), self.output(need)));
        outputs.chain([("input".to_owned(), Shape::Any)]).collect()
    }

    fn seen_by_input(&self, step: &Step, names: &Names<'a>) -> Names<'a> {
        let mut names = names.clone();
        match &step.work {
            Work::Map { over, .. } => {
                let list = shape(over, &names).unwrap_or(Shape::Any);
                names.insert("item".into(), list.item());
                names.insert("index".into(), Shape::Of(Kinds::INTEGER));
            }
            Work::Loop { .. } => {
                let previous = Shape::Either(vec![self.round(step), Shape::Of(Kinds::NULL)]);
                names.insert("previous".into(), previous);
                names.insert("index".into(), Shape::Of(Kinds::INTEGER));
            }
            _ => {}
        }
        names
    }

    /// The paths of what the step does.
    fn work(&mut self, step: &Step, names: &Names<'a>) {
        match &step.work {
            Work::Approve { message, .. } => self.paths(step, "approve", &message.paths(), names),
            Work::Map { over, .. } => {
                self.paths(step, "map", over.paths(), names);
                let kinds = shape(over, names).map(|shape| shape.kinds());
                if let Some(kinds) = kinds
                    && kinds.and(Kinds::ARRAY).is_empty()
                {
                    let message =
                        format!("`{}` is {kinds}, and a map is over a list", over.source());
                    self.wrong(step, "map", (message, None));
                }
            }
            Work::Loop { until, .. } => {
                let names = Names::from([
                    ("result".into(), self.round(step)),
                    ("index".into(), Shape::Of(Kinds::INTEGER)),
                ]);
                self.paths(step, "loop.until", until.paths(), &names);
            }
            Work::Wait { until, event, .. } => {
                if let Some(until) = until {
                    self.paths(step, "wait.until", until.paths(), names);
                }
                if let Some(when) = event.as_ref().and_then(|event| event.when.as_ref()) {
                    self.paths(step, "wait.when", when.paths(), names);
                }
            }
            Work::Agent(_) | Work::Call { .. } | Work::Workflow(_) | Work::Emit(_) => {}
        }
    }

    fn inputs(
        &mut self,
        step: &Step,
        field: &str,
        inputs: &BTreeMap<String, Expression>,
        names: &Names<'a>,
    ) {
        for (name, expression) in inputs {
            self.paths(step, &format!("{field}.{name}"), expression.paths(), names);
        }
    }

    fn taker(&self, step: &Step) -> Option<(Taker<'a>, String)> {
        match step.body()? {
            Body::Agent(name) => {
                Some((Taker::Agent(self.agent(&name)?), format!("agent `{name}`")))
            }
            Body::Call { connector, operation } => {
                let found = self.catalog.operation(&connector, &operation)?;
                Some((Taker::Operation(found), format!("`{connector}.{operation}`")))
            }
            Body::Workflow(_) => None,
        }
    }

    fn fallback(&mut self, step: &Step, names: &Names<'a>) {
        let OnFailure::Template(fields) = &step.on_failure else { return };
        let names = match step.work {
            Work::Map { .. } | Work::Loop { .. } => {
                Names::from([("input".into(), given_shape(step, names))])
            }
            _ => names.clone(),
        };
        for (field, template) in fields {
            self.paths(step, &format!("on_failure.template.{field}"), &template.paths(), &names);
        }
    }

    fn compensate(&mut self, step: &'a Step, names: &Names<'a>) {
        let Some(compensate) = &step.compensate else { return };
        let receipt = match step.body() {
            Some(Body::Call { connector, operation }) => self.receipt(&connector, &operation),
            _ => Shape::Any,
        };
        let names =
            Names::from([("input".into(), given_shape(step, names)), ("receipt".into(), receipt)]);
        let field = "compensate.input";
        self.inputs(step, field, &compensate.input, &names);
        let (connector, name) = (&compensate.connector, &compensate.operation);
        if let Some(operation) = self.catalog.operation(connector, name) {
            let who = format!("`{connector}.{name}`");
            let taker = (&Taker::Operation(operation), who.as_str());
            self.given(step, field, (taker.0, taker.1), &compensate.input, &names);
        }
    }

    /// Notes each of `paths` that leads nowhere.
    fn paths(&mut self, step: &Step, field: &str, paths: &BTreeSet<String>, names: &Names<'a>) {
        for path in paths {
            let mut parts = path.split('.');
            let first = parts.next().unwrap_or_default();
            // What is not visible at all, the definition's own check has refused.
            let Some(mut shape) = names.get(first).cloned() else { continue };
            let mut walked = first.to_owned();
            for part in parts {
                match shape.field(part) {
                    Ok(next) => shape = next,
                    Err(known) => {
                        let known: Vec<&str> = known.iter().map(String::as_str).collect();
                        let near = did_you_mean(part, known.iter().copied())
                            .map(|text| text.replacen('`', &format!("`{walked}."), 1));
                        let help = near.or_else(|| fields_there(&known, &shape));
                        let message = format!("`{walked}` has no `{part}`");
                        self.wrong(step, field, (message, help));
                        break;
                    }
                }
                walked = format!("{walked}.{part}");
            }
        }
    }

    /// Notes what is missing in `inputs`, unknown to their taker, or of another type.
    fn given(
        &mut self,
        step: &Step,
        field: &str,
        (taker, who): (&Taker<'a>, &str),
        inputs: &BTreeMap<String, Expression>,
        names: &Names<'a>,
    ) {
        // Without a mapping the run's input is passed on as it is, and nothing is known about it.
        if inputs.is_empty() {
            return;
        }
        for name in taker.required() {
            if !inputs.contains_key(name) {
                let help = format!("add `{name}` to `{field}`");
                self.wrong(step, field, said(format!("{who} requires `{name}`"), help));
            }
        }
        for (name, expression) in inputs {
            let place = format!("{field}.{name}");
            match taker.field(name) {
                Err(known) => {
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    let help = did_you_mean(name, known.iter().copied())
                        .or_else(|| Some(format!("it takes {}", listed(&known))))
                        .filter(|_| !known.is_empty());
                    self.wrong(step, &place, (format!("{who} takes no `{name}`"), help));
                }
                Ok(wanted) => self.fits(step, &place, (expression, name), &wanted, names),
            }
        }
    }

    /// Notes if `expression` cannot be what is `wanted`.
    fn fits(
        &mut self,
        step: &Step,
        field: &str,
        (expression, name): (&Expression, &str),
        wanted: &Shape<'a>,
        names: &Names<'a>,
    ) {
        if expression.names().is_empty() {
            let said = match expression.evaluate(&Scope::new([])) {
                Err(error) => error.to_string(),
                Ok(value) => match wanted {
                    Shape::Schema { root, at } => match schema::validate_at(root, at, &value) {
                        Err(problem) => problem.replacen("the value", &format!("`{name}`"), 1),
                        Ok(()) => return,
                    },
                    _ => return,
                },
            };
            return self.wrong(step, field, (said, None));
        }
        let Some(given) = shape(expression, names) else { return };
        let (given, wanted) = (given.kinds(), wanted.kinds());
        if given.and(wanted).is_empty() && !given.is_empty() && !wanted.is_empty() {
            let message =
                format!("`{}` is {given}, and `{name}` takes {wanted}", expression.source());
            self.wrong(step, field, (message, None));
        }
    }
}

/// What a compensation and a fallback see as the input of `step`.
fn given_shape<'a>(step: &Step, names: &Names<'a>) -> Shape<'a> {
    if step.input.is_empty() {
        return Shape::Any;
    }
    let given = step.input.iter();
    Shape::Fields(
        given
            .map(|(name, expression)| {
                (name.clone(), shape(expression, names).unwrap_or(Shape::Any))
            })
            .collect(),
    )
}

fn fields_there(known: &[&str], shape: &Shape<'_>) -> Option<String> {
    match known {
        [] => Some(format!("it is {}", shape.kinds())),
        _ => Some(format!("it has {}", listed(known))),
    }
}

/// What `expression` gives, if it does nothing but follow a path: `triage.claims[0].text`.
fn shape<'a>(expression: &Expression, names: &Names<'a>) -> Option<Shape<'a>> {
    let source = expression.source().trim();
    let end = source.find(['.', '[']).unwrap_or(source.len());
    let (first, mut rest) = source.split_at(end);
    let mut shape = names.get(first)?.clone();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            index.parse::<u32>().ok()?;
            shape = shape.item();
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            let identifier = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            shape = shape.field(name).ok().filter(|_| identifier && !name.is_empty())?;
            rest = after;
        }
    }
    Some(shape)
}
