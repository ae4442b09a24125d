//! What an operator changed, as data: the places in the arguments that are other than before.

use serde::Serialize;
use serde_json::{Map, Value};

/// Most changes that one edit is told as. What differs in more places is told as another value of the whole.
const EDITS_MAX: usize = 256;

/// A place in JSON that is other than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// Where, as a JSON pointer: `/text`, `/lines/2/amount`. Empty: all of it.
    pub path: String,
    /// What was there; absent: nothing.
    pub before: Option<Value>,
    /// What is there now; absent: nothing.
    pub after: Option<Value>,
}

/// Every place in which `after` is other than `before`, in the order of their paths: as deep as both have the same shape.
#[must_use]
pub fn edits(before: &Value, after: &Value) -> Vec<Edit> {
    let mut found = vec![];
    compare(String::new(), Some(before), Some(after), &mut found);
    if found.len() > EDITS_MAX {
        return vec![changed(String::new(), Some(before), Some(after))];
    }
    found
}

fn changed(path: String, before: Option<&Value>, after: Option<&Value>) -> Edit {
    Edit { path, before: before.cloned(), after: after.cloned() }
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Edit>) {
    if before == after || found.len() > EDITS_MAX {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for name in names(before, after) {
                let inner = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                compare(inner, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(format!("{path}/{index}"), Some(before), Some(after), found);
            }
        }
        (before, after) => found.push(changed(path, before, after)),
    }
}

/// The names of both, each once, in order.
fn names<'a>(before: &'a Map<String, Value>, after: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: &Value, after: &Value, expected: &Value) {
        assert_eq!(serde_json::to_value(edits(before, after)).unwrap(), *expected);
    }

    #[test]
    fn an_edit_names_each_place_that_is_other() {
        check(
            &json!({ "to": "a@b.example", "text": "hi", "lines": [1, 2] }),
            &json!({ "to": "a@b.example", "text": "hello", "lines": [1, 3], "cc": null }),
            &json!([
                { "path": "/cc", "before": null, "after": null },
                { "path": "/lines/1", "before": 2, "after": 3 },
                { "path": "/text", "before": "hi", "after": "hello" },
            ]),
        );
        check(
            &json!({ "a/b~": 1 }),
            &json!({}),
            &json!([{ "path": "/a~1b~0", "before": 1, "after": null }]),
        );
        check(
            &json!([1]),
            &json!([1, 2]),
            &json!([{ "path": "", "before": [1], "after": [1, 2] }]),
        );
        check(&json!("same"), &json!("same"), &json!([]));
    }

    #[test]
    fn what_differs_in_very_many_places_is_another_value() {
        let of = |value: u32| Value::from((0..1_000).map(|_| value).collect::<Vec<_>>());
        assert_eq!(edits(&of(1), &of(2)).len(), 1);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c/~]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c/~]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Each edit is there in both values, and there is one exactly if they differ.
        #[test]
        fn edits_tell_what_differs(before in values(), after in values()) {
            let found = edits(&before, &after);
            prop_assert_eq!(found.is_empty(), before == after);
            for edit in found {
                prop_assert_eq!(before.pointer(&edit.path), edit.before.as_ref());
                prop_assert_eq!(after.pointer(&edit.path), edit.after.as_ref());
            }
        }
    }
}
