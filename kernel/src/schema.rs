//! JSON Schema, as far as agents and operations use it: is this value of that shape?
//!
//! A subset of draft 2020-12 of its own, because a whole one brings number towers and regular expressions into a kernel
//! that wants neither. It knows `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`,
//! `prefixItems`, the bounds of numbers, texts, lists and objects, `uniqueItems`, `$ref` within the schema, `allOf`, `anyOf`,
//! `oneOf` and `not`. What else a schema says, `pattern` and `format` among it, allows everything. `shape.rs` beside it asks
//! of a schema what it says about values that do not exist yet.

mod number;
pub(crate) mod shape;

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::workflow::nearest;

/// Schemas that one validation may visit, so that one which refers to itself ends. The largest payload has some two
/// million values.
const VISITS_MAX: u32 = 20_000_000;

/// How deep schemas may be nested while a value is validated: JSON is read 128 deep, two schemas each.
const DEPTH_MAX: usize = 256;

/// Checks `value` against `schema`.
///
/// # Errors
///
/// Says where the first thing is that does not fit, and what is wrong with it: `` `claims[0].text` is a number, not a
/// string ``.
pub fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    validate_at(schema, schema, value)
}

/// Checks `value` against the part `at` of the schema `root`, in which its references are looked up.
pub(crate) fn validate_at(root: &Value, at: &Value, value: &Value) -> Result<(), String> {
    Validation { root, visits: 0, depth: 0 }.check(at, value).map_err(|fault| fault.text())
}

/// The part of `root` that the reference `text` names.
fn referred<'a>(root: &'a Value, text: &str) -> Option<&'a Value> {
    root.pointer(&text.strip_prefix('#')?.replace("%24", "$"))
}

/// What does not fit, with its place from the inside out.
struct Fault {
    path: Vec<String>,
    problem: String,
}

impl Fault {
    fn within(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }

    fn text(&self) -> String {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        match path.trim_start_matches('.') {
            "" => format!("the value {}", self.problem),
            path => format!("`{path}` {}", self.problem),
        }
    }
}

fn wrong(problem: impl Into<String>) -> Result<(), Fault> {
    Err(Fault { path: vec![], problem: problem.into() })
}

struct Validation<'a> {
    root: &'a Value,
    visits: u32,
    depth: usize,
}

impl<'a> Validation<'a> {
    fn check(&mut self, schema: &'a Value, value: &Value) -> Result<(), Fault> {
        let schema = match schema {
            Value::Bool(false) => return wrong("must not be there"),
            Value::Object(schema) => schema,
            _ => return Ok(()),
        };
        self.visits += 1;
        if self.visits > VISITS_MAX || self.depth == DEPTH_MAX {
            return wrong("is too deep or too large to be checked");
        }
        self.depth += 1;
        let result = self.check_object(schema, value);
        self.depth -= 1;
        result
    }

    fn check_object(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Result<(), Fault> {
        kind(schema, value)?;
        listed(schema, value)?;
        match value {
            Value::Number(value) => number::check(schema, value).or_else(wrong)?,
            Value::String(text) => {
                size(schema, text.chars().count(), ["minLength", "maxLength"], "characters")?;
            }
            Value::Array(list) => self.list(schema, list)?,
            Value::Object(fields) => self.fields(schema, fields)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(schema, value)
    }

    fn list(&mut self, schema: &'a Map<String, Value>, list: &[Value]) -> Result<(), Fault> {
        size(schema, list.len(), ["minItems", "maxItems"], "items")?;
        let unique = schema.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false);
        if unique && let Some(index) = repeated(list) {
            return wrong("is there twice")
                .map_err(|fault: Fault| fault.within(format!("[{index}]")));
        }
        let first =
            schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        for (index, item) in list.iter().enumerate() {
            let schema = first.get(index).unwrap_or(rest);
            self.check(schema, item).map_err(|fault| fault.within(format!("[{index}]")))?;
        }
        Ok(())
    }

    fn fields(
        &mut self,
        schema: &'a Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Result<(), Fault> {
        size(schema, fields.len(), ["minProperties", "maxProperties"], "fields")?;
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return wrong(format!("lacks `{name}`"));
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        // Which fields a pattern names is not known here, so it may be any of them.
        let rest = match schema.contains_key("patternProperties") {
            true => None,
            false => schema.get("additionalProperties"),
        };
        for (name, value) in fields {
            let within = |fault: Fault| fault.within(format!(".{name}"));
            match (known.and_then(|known| known.get(name)), rest) {
                (Some(schema), _) => self.check(schema, value).map_err(within)?,
                (None, Some(Value::Bool(false))) => return wrong(unknown(name, known)),
                (None, Some(schema)) => self.check(schema, value).map_err(within)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn combined(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Result<(), Fault> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && let Some(schema) = referred(self.root, reference)
        {
            self.check(schema, value)?;
        }
        for schema in several(schema, "allOf") {
            self.check(schema, value)?;
        }
        if schema.contains_key("anyOf") {
            self.fitting(several(schema, "anyOf"), value)?;
        }
        if schema.contains_key("oneOf") {
            let fitting = self.fitting(several(schema, "oneOf"), value)?;
            if fitting > 1 {
                return wrong(format!("fits {fitting} of the alternatives, and only one may"));
            }
        }
        if let Some(schema) = schema.get("not")
            && self.check(schema, value).is_ok()
        {
            return wrong("is what it must not be");
        }
        Ok(())
    }

    /// How many of the `alternatives` fit; if none does, the problem with the one that came farthest.
    fn fitting(&mut self, alternatives: &'a [Value], value: &Value) -> Result<usize, Fault> {
        let mut fitting = 0;
        let mut faults: Vec<Fault> = vec![];
        for schema in alternatives {
            match self.check(schema, value) {
                Ok(()) => fitting += 1,
                Err(fault) => faults.push(fault),
            }
        }
        if fitting > 0 {
            return Ok(fitting);
        }
        let deepest = faults.iter().map(|fault| fault.path.len()).max().unwrap_or_default();
        // `null` is an alternative of whatever is optional, and never the interesting one.
        let of_interest = |fault: &&Fault| !fault.problem.ends_with(", not null");
        let mut farthest = faults.iter().filter(|fault| fault.path.len() == deepest);
        let farthest: Vec<&Fault> = farthest.by_ref().filter(of_interest).collect();
        match farthest[..] {
            [fault] => Err(Fault { path: fault.path.clone(), problem: fault.problem.clone() }),
            _ => Err(Fault { path: vec![], problem: "fits none of the alternatives".into() }),
        }
    }
}

fn several<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The place of the first item that was there before.
fn repeated(list: &[Value]) -> Option<usize> {
    let mut seen = std::collections::BTreeSet::new();
    list.iter().position(|item| !seen.insert(item.to_string()))
}

fn unknown(name: &str, known: Option<&Map<String, Value>>) -> String {
    let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
    let mut text = format!("has the unknown field `{name}`");
    if let Some(near) = nearest(name, names) {
        write!(text, "; did you mean `{near}`?").expect("writing to a text does not fail");
    }
    text
}

fn kind(schema: &Map<String, Value>, value: &Value) -> Result<(), Fault> {
    let allowed: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let fits = |kind: &&str| match (*kind, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(value)) => number::is_whole(value),
        _ => false,
    };
    if allowed.iter().any(fits) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(|kind| article(kind)).collect();
    wrong(format!("is {}, not {}", article(name(value)), allowed.join(" or ")))
}

/// What JSON Schema calls the type of `value`.
pub(crate) fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(value) if number::is_whole(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A type's name in a sentence.
pub(crate) fn article(kind: &str) -> &str {
    match kind {
        "boolean" => "a boolean",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

fn listed(schema: &Map<String, Value>, value: &Value) -> Result<(), Fault> {
    let allowed: &[Value] = match (schema.get("enum"), schema.get("const")) {
        (_, Some(constant)) => std::slice::from_ref(constant),
        (Some(Value::Array(values)), None) => values,
        _ => return Ok(()),
    };
    if allowed.iter().any(|allowed| number::equal(allowed, value)) {
        return Ok(());
    }
    let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
    wrong(format!("is {}, not {}", short(value), allowed.join(" or ")))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn size(
    schema: &Map<String, Value>,
    size: usize,
    [least, most]: [&str; 2],
    unit: &str,
) -> Result<(), Fault> {
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    let size = size as u64;
    match (bound(least), bound(most)) {
        (Some(least), _) if size < least => wrong(format!("has {size} {unit}, fewer than {least}")),
        (_, Some(most)) if size > most => wrong(format!("has {size} {unit}, more than {most}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
