//! The arguments of an operation, checked against what is declared of them.
//!
//! The rule: **what is not declared is refused, and the refusal names the argument**. An agent or a workflow that misspells
//! an argument is told so, and nothing leaves without it. Of JSON Schema it reads what declarations of arguments use:
//! `type`, `enum`, `items`, and the limits of numbers and texts; a connector checks what is finer in its `plan`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use soloist_kernel::{
    catalog::Operation,
    fault::{Fault, FaultClass, Phase},
    payload::Payload,
    semantics::ArgumentRole,
};

/// Longest part of a wrong value that an error repeats, in characters.
const EXCERPT_CHARS_MAX: usize = 80;

/// Arguments that fit what their operation declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Checks `given` against what `declared` says of each argument. `null` stands for an optional argument that is absent.
    ///
    /// # Errors
    ///
    /// [`Invalid`](FaultClass::Invalid) before anything is sent, naming the argument.
    pub fn check(declared: &Operation, given: &Payload) -> Result<Self, Fault> {
        let Value::Object(mut given) = given.value() else {
            return Err(invalid("the arguments must be a JSON object"));
        };
        given.retain(|name, value| {
            !value.is_null()
                || declared.arguments.get(name).is_none_or(|argument| argument.required)
        });
        if let Some(unknown) = given.keys().find(|name| !declared.arguments.contains_key(*name)) {
            let known: Vec<String> =
                declared.arguments.keys().map(|name| format!("`{name}`")).collect();
            return Err(invalid(format!(
                "there is no argument `{unknown}`; there are {}",
                known.join(", ")
            )));
        }
        for (name, argument) in &declared.arguments {
            match given.get(name) {
                None if argument.required => {
                    return Err(invalid(format!("argument `{name}` is missing")));
                }
                None => {}
                Some(value) => fits(&argument.schema, value).map_err(|problem| {
                    invalid(format!("argument `{name}` {problem}: {}", excerpt(value)))
                })?,
            }
        }
        Ok(Self(given))
    }

    /// All of them as a `T`, whose fields are the declared arguments.
    ///
    /// # Errors
    ///
    /// [`Bug`](FaultClass::Bug) if `T` is not what is declared.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_value(Value::Object(self.0.clone())).map_err(|problem| {
            let message = format!("the arguments are as declared and cannot be read: {problem}");
            Fault::new(FaultClass::Bug, Phase::NotSent, message)
        })
    }

    /// Those that say where the write goes, as text that policy can compare.
    #[must_use]
    pub fn routing(&self, declared: &Operation) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter(|(name, _)| {
                declared
                    .arguments
                    .get(*name)
                    .is_some_and(|argument| argument.role == ArgumentRole::Routing)
            })
            .map(|(name, value)| (name.clone(), text_of(value)))
            .collect()
    }
}

/// A text as it is, anything else as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A refusal before anything was sent.
pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Invalid, Phase::NotSent, message)
}

/// Whether `value` is what `schema` says; if not, what it must be.
fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(wanted) = schema.get("type")
        && !types(wanted).any(|name| has_type(name, value))
    {
        let names: Vec<&str> = types(wanted).collect();
        return Err(format!("must be of type {}", names.join(" or ")));
    }
    if let Some(Value::Array(choices)) = schema.get("enum")
        && !choices.contains(value)
    {
        let names: Vec<String> = choices.iter().map(text_of).collect();
        return Err(format!("must be one of {}", names.join(", ")));
    }
    match value {
        Value::String(text) => {
            let characters = text.chars().count() as f64;
            within(schema, "minLength", "maxLength", characters)
                .map_err(|problem| format!("must have {problem} characters"))
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            within(schema, "minimum", "maximum", number)
                .map_err(|problem| format!("must be {problem}"))
        }
        Value::Array(items) => {
            within(schema, "minItems", "maxItems", items.len() as f64)
                .map_err(|problem| format!("must have {problem} entries"))?;
            let Some(each) = schema.get("items") else { return Ok(()) };
            items.iter().try_for_each(|item| {
                fits(each, item).map_err(|problem| format!("has an entry that {problem}"))
            })
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => Ok(()),
    }
}

fn within(schema: &Value, least: &str, most: &str, size: f64) -> Result<(), String> {
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    match (limit(least), limit(most)) {
        (Some(least), _) if size < least => Err(format!("at least {least}")),
        (_, Some(most)) if size > most => Err(format!("at most {most}")),
        _ => Ok(()),
    }
}

/// The names in `type`: one, or a list.
fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let many = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    wanted.as_str().into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn has_type(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => {
            name == "number" || (name == "integer" && (number.is_i64() || number.is_u64()))
        }
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn excerpt(value: &Value) -> String {
    value.to_string().chars().take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soloist_kernel::{
        catalog::{Argument, OperationKind},
        semantics::{Reversal, WriteSemantics},
    };

    use super::*;

    fn transfer() -> Operation {
        let arguments = [
            ("account", Argument::routing(json!({ "type": "string", "minLength": 1 }))),
            ("amount", Argument::routing(json!({ "type": "integer", "minimum": 1, "maximum": 9 }))),
            ("currency", Argument::routing(json!({ "enum": ["EUR", "USD"] })).optional()),
            (
                "lines",
                Argument::content(
                    json!({ "type": ["array", "boolean"], "items": { "type": "string" } }),
                )
                .optional(),
            ),
        ];
        Operation {
            summary: "Transfer money".to_owned(),
            kind: OperationKind::Write,
            semantics: WriteSemantics::Opaque,
            reversal: Reversal::Irreversible,
            arguments: arguments.map(|(name, argument)| (name.to_owned(), argument)).into(),
            result: json!(true),
        }
    }

    fn check(given: &Value) -> Result<Arguments, Fault> {
        Arguments::check(&transfer(), &Payload::of(given).unwrap())
    }

    #[track_caller]
    fn refused(given: &Value, expected: &str) {
        let fault = check(given).unwrap_err();
        assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::NotSent));
        assert!(fault.message.contains(expected), "{fault}");
    }

    #[test]
    fn what_is_declared_is_taken_and_routing_is_text() {
        let given = json!({ "account": "a-1", "amount": 7, "currency": null, "lines": ["x"] });
        let arguments = check(&given).unwrap();
        let routing = arguments.routing(&transfer());
        let expected = [("account", "a-1"), ("amount", "7")];
        assert_eq!(routing, expected.map(|(name, value)| (name.into(), value.into())).into());
    }

    #[test]
    fn a_wrong_argument_is_named_with_what_it_must_be() {
        refused(&json!([]), "JSON object");
        refused(&json!({ "account": "a-1" }), "`amount` is missing");
        refused(&json!({ "account": "a-1", "amount": null }), "`amount` must be of type integer");
        refused(&json!({ "account": "a-1", "amount": 1, "acount": "b" }), "no argument `acount`");
        refused(
            &json!({ "account": "", "amount": 1 }),
            "`account` must have at least 1 characters",
        );
        refused(&json!({ "account": "a-1", "amount": 10 }), "`amount` must be at most 9: 10");
        refused(&json!({ "account": "a-1", "amount": 1.5 }), "`amount` must be of type integer");
        refused(&json!({ "account": "a-1", "amount": 1, "currency": "CHF" }), "one of EUR, USD");
        refused(&json!({ "account": "a-1", "amount": 1, "lines": [1] }), "`lines` has an entry");
    }
}
