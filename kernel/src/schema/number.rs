//! Numbers of JSON: whole ones compare exactly, others as floats.

use serde_json::{Map, Number, Value};

/// Whether it has no fraction: 1.0 is an integer in JSON Schema.
pub(super) fn is_whole(value: &Number) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|value| value.fract() == 0.0)
}

/// Whether two values are equal, 1 and 1.0 among them.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(std::cmp::Ordering::Equal),
        _ => a == b,
    }
}

fn compare(a: &Number, b: &Number) -> Option<std::cmp::Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Checks `value` against the bounds in `schema`.
pub(super) fn check(schema: &Map<String, Value>, value: &Number) -> Result<(), String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let bounds = [
        ("minimum", &[Less][..], "less than"),
        ("maximum", &[Greater], "more than"),
        ("exclusiveMinimum", &[Less, Equal], "not more than"),
        ("exclusiveMaximum", &[Greater, Equal], "not less than"),
    ];
    for (key, refused, words) in bounds {
        let Some(Value::Number(bound)) = schema.get(key) else { continue };
        if compare(value, bound).is_some_and(|order| refused.contains(&order)) {
            return Err(format!("is {value}, {words} {bound}"));
        }
    }
    match schema.get("multipleOf") {
        Some(Value::Number(unit)) if !is_multiple(value, unit) => {
            Err(format!("is {value}, which is no multiple of {unit}"))
        }
        _ => Ok(()),
    }
}

fn is_multiple(value: &Number, unit: &Number) -> bool {
    match (value.as_i128(), unit.as_i128(), value.as_f64(), unit.as_f64()) {
        (_, Some(0), _, _) => true,
        (Some(value), Some(unit), _, _) => value % unit == 0,
        (_, _, Some(value), Some(unit)) => {
            let times = value / unit;
            (times - times.round()).abs() <= f64::EPSILON * times.abs().max(1.0)
        }
        _ => true,
    }
}
