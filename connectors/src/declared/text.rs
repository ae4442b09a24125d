//! Values with holes: what a request says, made from what a write is given.
//!
//! A [`Text`] is text with expressions in `{{ … }}`. If it is nothing but one expression, its value keeps its type, and if there
//! is none, what it was to fill is left out. A [`Shape`] is a tree of them, as a body is. A [`Pick`] goes the other way: it takes
//! something out of an answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};
use soloist_kernel::expression::{Expression, Scope};

/// Text with expressions in it.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) Vec<Part>);

#[derive(Clone, Debug)]
pub(super) enum Part {
    Literal(String),
    Value(Expression),
}

impl Text {
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (vec![], source);
        while let Some(start) = rest.find("{{") {
            let (literal, opened) = rest.split_at(start);
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let (expression, after) = expression(&opened[2..])?;
            parts.push(Part::Value(expression));
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let is_statement = |part: &Part| matches!(part, Part::Literal(text) if text.contains("{%"));
        if parts.iter().any(is_statement) {
            return Err("`{% … %}` is not read here; write `{{ a if b else c }}`".to_owned());
        }
        Ok(Self(parts))
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Value(expression) => Some(expression),
        })
    }

    /// The same, which is refused where it has no value: it is text, in whose midst there must be one.
    pub(super) fn never_left_out(mut self) -> Self {
        self.0.push(Part::Literal(String::new()));
        self
    }

    /// Its value: that of its expression if it is nothing else, and text otherwise.
    pub(super) fn fill(&self, scope: &Scope) -> Result<Value, String> {
        if let [Part::Value(expression)] = &self.0[..] {
            return evaluate(expression, scope);
        }
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(&part.fill(scope)?);
        }
        Ok(text.into())
    }
}

impl Part {
    /// Its text. A value in the midst of a text must be one.
    pub(super) fn fill(&self, scope: &Scope) -> Result<String, String> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Value(expression) => {
                let value = evaluate(expression, scope)?;
                scalar(&value).ok_or_else(|| {
                    format!("`{}` is {value}, and no text or number", expression.source())
                })
            }
        }
    }
}

/// The expression that `text` begins with, to its `}}`, and what comes after. An expression may hold `}}` itself, so it ends
/// where it first makes sense.
fn expression(text: &str) -> Result<(Expression, &str), String> {
    let mut refusal = None;
    for (end, _) in text.match_indices('}').filter(|(at, _)| text[*at..].starts_with("}}")) {
        match Expression::compile(text[..end].trim()) {
            Ok(expression) => return Ok((expression, &text[end + 2..])),
            Err(problem) => refusal = refusal.or(Some(problem.to_string())),
        }
    }
    Err(refusal.unwrap_or_else(|| "a `{{` is not closed by `}}`".to_owned()))
}

pub(super) fn evaluate(expression: &Expression, scope: &Scope) -> Result<Value, String> {
    expression.evaluate(scope).map_err(|problem| problem.to_string())
}

/// A text, a number or a truth as text; `None` for anything else.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A tree of texts.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Text(Text),
    Literal(Value),
    List(Vec<Shape>),
    Object(BTreeMap<String, Shape>),
}

impl Shape {
    pub(super) fn compile(value: &toml::Value) -> Result<Self, String> {
        Ok(match value {
            toml::Value::String(text) => Self::Text(Text::compile(text)?),
            toml::Value::Array(list) => {
                Self::List(list.iter().map(Self::compile).collect::<Result<_, _>>()?)
            }
            toml::Value::Table(table) => {
                let members = table.iter().map(|(name, value)| {
                    let shape = Self::compile(value);
                    let shape = shape.map_err(|problem| format!("`{name}`: {problem}"))?;
                    Ok((name.clone(), shape))
                });
                Self::Object(members.collect::<Result<_, String>>()?)
            }
            toml::Value::Integer(number) => Self::Literal((*number).into()),
            toml::Value::Float(number) => {
                let number = Number::from_f64(*number);
                Self::Literal(number.ok_or("a number must be finite")?.into())
            }
            toml::Value::Boolean(truth) => Self::Literal((*truth).into()),
            toml::Value::Datetime(date) => Self::Literal(date.to_string().into()),
        })
    }

    pub(super) fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Text(text) => text.expressions().collect(),
            Self::Literal(_) => vec![],
            Self::List(list) => list.iter().flat_map(Self::expressions).collect(),
            Self::Object(members) => members.values().flat_map(Self::expressions).collect(),
        }
    }

    /// Its value. Members and entries without a value are left out.
    pub(super) fn fill(&self, scope: &Scope) -> Result<Value, String> {
        Ok(match self {
            Self::Text(text) => text.fill(scope)?,
            Self::Literal(value) => value.clone(),
            Self::List(list) => {
                let filled = list.iter().map(|shape| shape.fill(scope));
                let mut filled = filled.collect::<Result<Vec<Value>, _>>()?;
                filled.retain(|value| !value.is_null());
                filled.into()
            }
            Self::Object(members) => {
                let mut filled = Map::new();
                for (name, shape) in members {
                    let value = shape.fill(scope)?;
                    if !value.is_null() {
                        filled.insert(name.clone(), value);
                    }
                }
                filled.into()
            }
        })
    }
}

/// What is taken out of an answer: `/results/0`, or an expression.
#[derive(Clone, Debug)]
pub(super) enum Pick {
    /// A JSON pointer into the body.
    Pointer(String),
    Value(Expression),
}

impl Pick {
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        if source.starts_with('/') {
            return Ok(Self::Pointer(source.to_owned()));
        }
        Expression::compile(source).map(Self::Value).map_err(|problem| problem.to_string())
    }

    pub(super) fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Pointer(_) => None,
            Self::Value(expression) => Some(expression),
        }
    }

    /// What is there, which may be nothing.
    pub(super) fn of(&self, body: &Value, scope: &Scope) -> Result<Value, String> {
        match self {
            Self::Pointer(pointer) => Ok(body.pointer(pointer).cloned().unwrap_or_default()),
            Self::Value(expression) => evaluate(expression, scope),
        }
    }
}

/// What `pick` picks; without one, the body as it is.
pub(super) fn picked(pick: Option<&Pick>, body: &Value, scope: &Scope) -> Result<Value, String> {
    pick.map_or_else(|| Ok(body.clone()), |pick| pick.of(body, scope))
}

/// The names that any of `expressions` reads.
pub(super) fn names_of<'e>(
    expressions: impl IntoIterator<Item = &'e Expression>,
) -> BTreeSet<&'e str> {
    expressions.into_iter().flat_map(Expression::names).map(String::as_str).collect()
}

/// The arguments that any of `expressions` reads, as far as that is known before it does.
pub(super) fn arguments_of<'e>(
    expressions: impl IntoIterator<Item = &'e Expression>,
) -> BTreeSet<String> {
    let paths = expressions.into_iter().flat_map(Expression::paths);
    paths
        .filter_map(|path| path.strip_prefix("arguments."))
        .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope::new([("a", json!({ "text": "x y", "number": 3, "none": null, "list": [1, "b"] }))])
    }

    #[track_caller]
    fn check(source: &str, expected: Result<Value, &str>) {
        let filled = Text::compile(source).and_then(|text| text.fill(&scope()));
        match (filled, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(problem), Err(expected)) => assert!(problem.contains(expected), "{problem}"),
            (filled, expected) => panic!("{source}: {filled:?}, not {expected:?}"),
        }
    }

    #[test]
    fn one_expression_keeps_its_type_and_several_are_text() {
        check("plain", Ok(json!("plain")));
        check("", Ok(json!("")));
        check("{{ a.number }}", Ok(json!(3)));
        check("{{ a.none }}", Ok(Value::Null));
        check("{{ a.number }}/{{ a.text }}", Ok(json!("3/x y")));
        check("{{ {'b': {'c': 1}} }}", Ok(json!({ "b": { "c": 1 } })));
        check("{{ '}}' }}!", Ok(json!("}}!")));
    }

    #[test]
    fn what_is_no_text_is_refused_in_the_midst_of_one() {
        check("-{{ a.none }}", Err("`a.none` is null"));
        check("-{{ a.list }}", Err("no text or number"));
        check("{{ a.number", Err("not closed"));
        check("{{ a. }}", Err("is not an expression"));
        check("{{ b.c }}", Err("undefined"));
        check("{% if a %}", Err("a if b else c"));
    }

    #[test]
    fn what_has_no_value_is_left_out_of_a_tree() {
        let tree: toml::Value = "a = ['{{ a.none }}', 1]\nb = '{{ a.none }}'\nc.d = '{{ a.list }}'"
            .parse::<toml::Table>()
            .unwrap()
            .into();
        let filled = Shape::compile(&tree).unwrap().fill(&scope()).unwrap();
        assert_eq!(filled, json!({ "a": [1], "c": { "d": [1, "b"] } }));
    }
}
