//! What fits a schema, and what is said of what does not.

use serde_json::json;

use super::{shape::Shape, *};

#[track_caller]
fn check(schema: Value, value: Value, expected: Result<(), &str>) {
    assert_eq!(validate(&schema, &value), expected.map_err(str::to_owned));
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1 },
            "age": { "type": ["integer", "null"], "minimum": 0 },
            "mails": { "type": "array", "items": { "$ref": "#/$defs/Mail" }, "maxItems": 2 },
        },
        "required": ["name"],
        "additionalProperties": false,
        "$defs": { "Mail": { "type": "object", "properties": { "to": { "type": "string" } }, "required": ["to"] } },
    })
}

#[test]
fn a_value_of_the_shape_fits() {
    check(
        person(),
        json!({ "name": "Ada", "age": 36, "mails": [{ "to": "a@b.example" }] }),
        Ok(()),
    );
    check(person(), json!({ "name": "Ada", "age": null }), Ok(()));
    check(person(), json!({ "name": "Ada", "age": 36.0 }), Ok(()));
    check(json!(true), json!(1), Ok(()));
    check(json!({}), json!([1]), Ok(()));
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    check(person(), json!([]), Err("the value is a list, not an object"));
    check(person(), json!({}), Err("the value lacks `name`"));
    check(person(), json!({ "name": "" }), Err("`name` has 0 characters, fewer than 1"));
    check(
        person(),
        json!({ "name": "A", "age": 1.5 }),
        Err("`age` is a number, not an integer or null"),
    );
    check(person(), json!({ "name": "A", "age": -1 }), Err("`age` is -1, less than 0"));
    check(
        person(),
        json!({ "name": "A", "nmae": 1 }),
        Err("the value has the unknown field `nmae`; did you mean `name`?"),
    );
    check(
        person(),
        json!({ "name": "A", "mails": [{ "to": "x" }, {}] }),
        Err("`mails[1]` lacks `to`"),
    );
    check(
        person(),
        json!({ "name": "A", "mails": [{ "to": 1 }] }),
        Err("`mails[0].to` is an integer, not a string"),
    );
    check(
        person(),
        json!({ "name": "A", "mails": [1, 2, 3] }),
        Err("`mails` has 3 items, more than 2"),
    );
    check(json!(false), json!(1), Err("the value must not be there"));
}

#[test]
fn words_and_numbers_are_compared_by_value() {
    check(json!({ "enum": ["a", 1] }), json!(1.0), Ok(()));
    check(json!({ "enum": ["a", 1] }), json!("b"), Err("the value is \"b\", not \"a\" or 1"));
    check(json!({ "const": 3 }), json!(4), Err("the value is 4, not 3"));
    check(json!({ "exclusiveMinimum": 0, "maximum": 5.5 }), json!(5.5), Ok(()));
    check(json!({ "exclusiveMinimum": 0 }), json!(0), Err("the value is 0, not more than 0"));
    check(json!({ "multipleOf": 0.1 }), json!(0.3), Ok(()));
    check(json!({ "multipleOf": 3 }), json!(7), Err("the value is 7, which is no multiple of 3"));
    check(
        json!({ "maximum": u64::MAX - 1 }),
        json!(u64::MAX),
        Err("the value is 18446744073709551615, more than 18446744073709551614"),
    );
    check(json!({ "uniqueItems": true }), json!([1, 2, 1]), Err("`[2]` is there twice"));
}

#[test]
fn alternatives_are_judged_by_the_one_that_came_farthest() {
    let optional = json!({ "anyOf": [person(), { "type": "null" }] });
    check(optional.clone(), json!(null), Ok(()));
    check(optional, json!({ "name": 1 }), Err("`name` is an integer, not a string"));
    let either = json!({ "oneOf": [{ "type": "integer" }, { "minimum": 3 }] });
    check(either.clone(), json!(1), Ok(()));
    check(either.clone(), json!(4), Err("the value fits 2 of the alternatives, and only one may"));
    check(
        json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        json!([]),
        Err("the value fits none of the alternatives"),
    );
    check(
        json!({ "not": { "type": "null" } }),
        json!(null),
        Err("the value is what it must not be"),
    );
    check(
        json!({ "allOf": [{ "type": "string" }, { "maxLength": 2 }] }),
        json!("abc"),
        Err("the value has 3 characters, more than 2"),
    );
}

#[test]
fn a_schema_that_refers_to_itself_without_end_is_given_up() {
    let endless = json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] });
    check(
        json!({ "$ref": "#" }),
        json!(1),
        Err("the value is too deep or too large to be checked"),
    );
    // What it costs is bounded; what it says is that it cannot be known.
    assert!(Shape::of(&endless).field("x").is_ok());
}

#[test]
fn a_recursive_schema_follows_its_value() {
    let tree = json!({
        "type": "object",
        "properties": { "children": { "type": "array", "items": { "$ref": "#" } } },
        "additionalProperties": false,
    });
    check(tree.clone(), json!({ "children": [{ "children": [] }] }), Ok(()));
    check(
        tree,
        json!({ "children": [{ "children": [1] }] }),
        Err("`children[0].children[0]` is an integer, not an object"),
    );
}

#[test]
fn a_shape_knows_its_fields_through_references_and_alternatives() {
    let person = person();
    let shape = Shape::of(&person);
    assert_eq!(shape.field("age").unwrap().kinds().to_string(), "null or an integer");
    let mail = shape.field("mails").unwrap().item();
    assert_eq!(mail.field("to").unwrap().kinds().to_string(), "a string");
    assert_eq!(mail.field("from").unwrap_err(), ["to"]);
    // It is not forbidden, so it may be given; it is not known, so it is not read.
    assert!(mail.accepts("from").is_ok());
    assert!(shape.accepts("from").is_err());
    let optional = json!({ "anyOf": [{ "$ref": "#/$defs/P" }, { "type": "null" }], "$defs": { "P": { "properties": { "x": { "type": "number" } } } } });
    assert_eq!(Shape::of(&optional).field("x").unwrap().kinds().to_string(), "a number");
    assert_eq!(Shape::of(&optional).field("y").unwrap_err(), ["x"]);
}

#[test]
fn where_a_schema_says_nothing_anything_may_be() {
    for open in
        [json!(true), json!({}), json!({ "type": "object" }), json!({ "if": {}, "properties": {} })]
    {
        assert!(Shape::of(&open).field("x").is_ok(), "{open}");
    }
    let named = json!({ "properties": { "a": {} }, "additionalProperties": { "type": "string" } });
    assert_eq!(Shape::of(&named).field("b").unwrap().kinds().to_string(), "a string");
}
