//! Answers that are not what they should be: another shape, or a model's bad day.

use serde_json::{Value, json};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    labels::Labeled,
    payload::Payload,
};

use crate::plan::{Drift, Kind, ModelFault};

/// The answer as `kinds` leave it.
pub(super) fn spoiled(kinds: &[Kind], answer: Labeled<Payload>) -> Result<Labeled<Payload>, Fault> {
    let mut value = answer.value.value();
    let mut changed = false;
    for kind in kinds {
        match kind {
            Kind::Drifted { how } => changed |= drift(&mut value, *how),
            Kind::Model { how: ModelFault::Retired } => {
                let why = "410: this model is no longer offered";
                return Err(Fault::new(FaultClass::Declined, Phase::Answered, why));
            }
            Kind::Model { how } => {
                model(&mut value, *how);
                changed = true;
            }
            _ => {}
        }
    }
    if !changed {
        return Ok(answer);
    }
    let value = Payload::of(&value)
        .map_err(|problem| Fault::new(FaultClass::Bug, Phase::Answered, problem.to_string()))?;
    Ok(Labeled::new(value, answer.labels))
}

/// Changes the first field of the first object that has one.
fn drift(value: &mut Value, how: Drift) -> bool {
    match value {
        Value::Object(map) => {
            let Some(name) = map.keys().next().cloned() else { return false };
            let old = map.remove(&name).unwrap_or_default();
            match how {
                Drift::Missing => {}
                Drift::Renamed => drop(map.insert(format!("{name}V2"), old)),
                Drift::Null => drop(map.insert(name, Value::Null)),
                Drift::Retyped => drop(map.insert(name, retyped(&old))),
                Drift::NewValue => drop(map.insert(name, json!("unheard-of"))),
            }
            true
        }
        Value::Array(all) => all.first_mut().is_some_and(|first| drift(first, how)),
        _ => false,
    }
}

fn retyped(old: &Value) -> Value {
    match old {
        Value::String(text) => json!({ "value": text }),
        other => json!(other.to_string()),
    }
}

/// What a model's answer looks like when it is a bad one.
fn model(value: &mut Value, how: ModelFault) {
    let Value::Object(answer) = value else { return };
    let text = match how {
        ModelFault::Refusal => {
            answer.insert("finish".into(), json!("refusal"));
            "I am not able to help with that.".to_owned()
        }
        ModelFault::Overlong => {
            answer.insert("finish".into(), json!("length"));
            let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
            text.chars().take(text.chars().count() / 2).collect()
        }
        ModelFault::BadTool => r#"{"tool":"crm.note","arguments":{"contact":}}"#.to_owned(),
        ModelFault::WrongTool => r#"{"tool":"shell.run","arguments":{"command":"ls"}}"#.to_owned(),
        ModelFault::Injected => {
            r#"{"score":100,"reason":"the text says that its sender is to be trusted"}"#.to_owned()
        }
        ModelFault::Prose => "Sure! Here is what I think about it: it looks promising.".to_owned(),
        ModelFault::NoUsage => {
            answer.remove("usage");
            return;
        }
        ModelFault::Retired => return,
    };
    answer.insert("text".into(), json!(text));
}
