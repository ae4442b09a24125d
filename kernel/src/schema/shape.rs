//! What is known of a value before it exists, for checks at load time: which fields it has, and of which type it can be.

use std::fmt;

use serde_json::{Map, Value};

use super::{article, name, referred};

/// Parts of a schema that one question may look at. A schema that refers to itself without end answers "anything".
const LOOKS_MAX: u32 = 10_000;

/// How deep references and alternatives are followed.
const DEPTH_MAX: u32 = 32;

/// What is known of a value.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    /// Nothing.
    Any,
    /// What the part `at` of the schema `root` says.
    Schema { root: &'a Value, at: &'a Value },
    /// An object with these fields.
    Fields(Vec<(String, Shape<'a>)>),
    /// A list of such values.
    List(Box<Shape<'a>>),
    /// One of these.
    Either(Vec<Shape<'a>>),
    /// Something of one of these types.
    Of(Kinds),
}

/// A set of JSON's types. A number is whole or not, so that an integer is a number as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    const FRACTION: Self = Self(8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    const ALL: Self = Self(127);
    const NONE: Self = Self(0);

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::INTEGER.or(Self::FRACTION),
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::ALL,
        }
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

/// `an integer or a string`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = Self::named("number");
        let names = ["null", "boolean", "number", "integer", "string", "array", "object"];
        let holds = |name: &&str| match *name {
            "number" => !self.and(Self::FRACTION).is_empty(),
            "integer" => self.and(number) == Self::INTEGER,
            name => !self.and(Self::named(name)).is_empty(),
        };
        let names: Vec<&str> = names.into_iter().filter(holds).map(article).collect();
        f.write_str(&names.join(" or "))
    }
}

/// What a field is, if it is there.
enum Look<'a> {
    /// It is one of these.
    Found(Vec<Shape<'a>>),
    /// Nothing is said about it.
    Open,
    /// It is not there; these are.
    Closed(Vec<String>),
}

impl<'a> Shape<'a> {
    /// A schema's.
    pub(crate) fn of(schema: &'a Value) -> Self {
        Self::Schema { root: schema, at: schema }
    }

    /// An object's.
    pub(crate) fn fields(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Fields(fields.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect())
    }

    /// What reading the field `name` gives; the fields there are, if it is not one of them. Fields that a schema does not
    /// name are there only if it says so: whoever reads one has more likely mistyped it.
    pub(crate) fn field(&self, name: &str) -> Result<Self, Vec<String>> {
        answer(self.look(name, true))
    }

    /// What giving the field `name` must be; the fields there may be, if it is none of them.
    pub(crate) fn accepts(&self, name: &str) -> Result<Self, Vec<String>> {
        answer(self.look(name, false))
    }

    fn look(&self, name: &str, reading: bool) -> Look<'a> {
        match self {
            Self::Any => Look::Open,
            Self::Schema { root, at } => Reader { root, looks: 0, reading }.field(at, name, 0),
            Self::Fields(fields) => match fields.iter().find(|(field, _)| field == name) {
                Some((_, shape)) => Look::Found(vec![shape.clone()]),
                None => Look::Closed(fields.iter().map(|(field, _)| field.clone()).collect()),
            },
            Self::List(_) => Look::Closed(vec![]),
            Self::Either(shapes) => {
                either(shapes.iter().map(|shape| shape.look(name, reading)).collect())
            }
            Self::Of(kinds) if kinds.and(Kinds::OBJECT).is_empty() => Look::Closed(vec![]),
            Self::Of(_) => Look::Open,
        }
    }

    /// What its items are, if it is a list.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Schema { root, at } => Reader { root, looks: 0, reading: true }.item(at, 0),
            Self::Either(shapes) => Self::Either(shapes.iter().map(Self::item).collect()),
            Self::Any | Self::Fields(_) | Self::Of(_) => Self::Any,
        }
    }

    /// The types it can be of.
    pub(crate) fn kinds(&self) -> Kinds {
        match self {
            Self::Any => Kinds::ALL,
            Self::Schema { root, at } => Reader { root, looks: 0, reading: true }.kinds(at, 0),
            Self::Fields(_) => Kinds::OBJECT,
            Self::List(_) => Kinds::ARRAY,
            Self::Either(shapes) => {
                shapes.iter().fold(Kinds::NONE, |kinds, shape| kinds.or(shape.kinds()))
            }
            Self::Of(kinds) => *kinds,
        }
    }

    /// The fields that it must have.
    pub(crate) fn required(&self) -> Vec<&'a str> {
        let mut names = vec![];
        if let Self::Schema { root, at } = self {
            Reader { root, looks: 0, reading: false }.required(at, 0, &mut names);
        }
        names
    }
}

fn answer(look: Look<'_>) -> Result<Shape<'_>, Vec<String>> {
    match look {
        Look::Found(mut shapes) if shapes.len() == 1 => Ok(shapes.remove(0)),
        Look::Found(shapes) => Ok(Shape::Either(shapes)),
        Look::Open => Ok(Shape::Any),
        Look::Closed(known) => Err(known),
    }
}

/// What is known if one of several holds.
fn either(looks: Vec<Look<'_>>) -> Look<'_> {
    let (mut found, mut known, mut open) = (vec![], vec![], false);
    for look in looks {
        match look {
            Look::Found(shapes) => found.extend(shapes),
            Look::Open => open = true,
            Look::Closed(names) => known.extend(names),
        }
    }
    match (open, found.is_empty()) {
        (true, _) => Look::Open,
        (false, false) => Look::Found(found),
        (false, true) => Look::Closed(known),
    }
}

/// What is known if several hold at once.
fn all(looks: Vec<Look<'_>>) -> Look<'_> {
    let (mut found, mut known, mut closed) = (None, vec![], false);
    for look in looks {
        match look {
            Look::Found(shapes) => found = found.or(Some(shapes)),
            Look::Open => {}
            Look::Closed(names) => {
                closed = true;
                known.extend(names);
            }
        }
    }
    match (found, closed) {
        (Some(shapes), _) => Look::Found(shapes),
        (None, true) => Look::Closed(known),
        (None, false) => Look::Open,
    }
}

/// Words of schemas whose meaning is not followed here: where one is, anything may be.
const UNFOLLOWED: [&str; 5] =
    ["if", "patternProperties", "dependentSchemas", "$dynamicRef", "unevaluatedProperties"];

struct Reader<'a> {
    root: &'a Value,
    looks: u32,
    /// Whether a field is read, which must be known, or given, which must not be forbidden.
    reading: bool,
}

impl<'a> Reader<'a> {
    /// The schema `at` as an object, if it says something and there is patience left.
    fn enter(&mut self, at: &'a Value, depth: u32) -> Option<&'a Map<String, Value>> {
        self.looks += 1;
        let patient = self.looks <= LOOKS_MAX && depth <= DEPTH_MAX;
        at.as_object().filter(|_| patient)
    }

    /// The schemas that hold beside `schema`, and the lists of those of which one holds.
    fn beside(&self, schema: &'a Map<String, Value>) -> (Vec<&'a Value>, Vec<&'a [Value]>) {
        let list = |key| schema.get(key).and_then(Value::as_array).map(Vec::as_slice);
        let reference = schema.get("$ref").and_then(Value::as_str);
        let referred = reference.and_then(|reference| referred(self.root, reference));
        let together = referred.into_iter().chain(list("allOf").unwrap_or_default()).collect();
        (together, list("anyOf").into_iter().chain(list("oneOf")).collect())
    }

    fn field(&mut self, at: &'a Value, field: &str, depth: u32) -> Look<'a> {
        let Some(schema) = self.enter(at, depth) else { return Look::Open };
        if UNFOLLOWED.iter().any(|word| schema.contains_key(*word)) {
            return Look::Open;
        }
        let mut looks = vec![self.own_field(schema, field)];
        let (together, alternatives) = self.beside(schema);
        for part in together {
            looks.push(self.field(part, field, depth + 1));
        }
        for part in alternatives {
            let each = part.iter().map(|part| self.field(part, field, depth + 1)).collect();
            looks.push(either(each));
        }
        all(looks)
    }

    fn own_field(&self, schema: &'a Map<String, Value>, field: &str) -> Look<'a> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let found = |at| Look::Found(vec![Shape::Schema { root: self.root, at }]);
        if let Some(at) = properties.and_then(|properties| properties.get(field)) {
            return found(at);
        }
        let names = || properties.into_iter().flat_map(|known| known.keys().cloned()).collect();
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => return Look::Closed(names()),
            Some(at) => return found(at),
            None => {}
        }
        let is_no_object = types(schema).is_some_and(|kinds| kinds.and(Kinds::OBJECT).is_empty());
        if is_no_object || (self.reading && properties.is_some()) {
            return Look::Closed(names());
        }
        Look::Open
    }

    fn item(&mut self, at: &'a Value, depth: u32) -> Shape<'a> {
        let Some(schema) = self.enter(at, depth) else { return Shape::Any };
        if schema.contains_key("prefixItems") {
            return Shape::Any;
        }
        if let Some(at) = schema.get("items") {
            return Shape::Schema { root: self.root, at };
        }
        let (together, alternatives) = self.beside(schema);
        for part in together {
            match self.item(part, depth + 1) {
                Shape::Any => {}
                known => return known,
            }
        }
        match alternatives[..] {
            [parts] => {
                let lists = parts.iter().filter(|part| {
                    let kinds = Reader { root: self.root, looks: 0, reading: true }.kinds(part, 0);
                    !kinds.and(Kinds::ARRAY).is_empty()
                });
                let lists: Vec<&Value> = lists.collect();
                Shape::Either(lists.into_iter().map(|part| self.item(part, depth + 1)).collect())
            }
            _ => Shape::Any,
        }
    }

    fn kinds(&mut self, at: &'a Value, depth: u32) -> Kinds {
        let Some(schema) = self.enter(at, depth) else { return Kinds::ALL };
        let mut kinds = types(schema).unwrap_or(Kinds::ALL);
        let (together, alternatives) = self.beside(schema);
        for part in together {
            kinds = kinds.and(self.kinds(part, depth + 1));
        }
        for parts in alternatives {
            let any =
                parts.iter().fold(Kinds::NONE, |any, part| any.or(self.kinds(part, depth + 1)));
            kinds = kinds.and(any);
        }
        kinds
    }

    fn required(&mut self, at: &'a Value, depth: u32, names: &mut Vec<&'a str>) {
        let Some(schema) = self.enter(at, depth) else { return };
        let own = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        names.extend(own.filter_map(Value::as_str));
        for part in self.beside(schema).0 {
            self.required(part, depth + 1, names);
        }
    }
}

/// The types that `type`, `enum` and `const` of `schema` allow, if it has one of them.
fn types(schema: &Map<String, Value>) -> Option<Kinds> {
    let union = |names: &mut dyn Iterator<Item = &str>| {
        names.fold(Kinds::NONE, |kinds, name| kinds.or(Kinds::named(name)))
    };
    if let Some(constant) = schema.get("const") {
        return Some(Kinds::named(name(constant)));
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return Some(union(&mut values.iter().map(name)));
    }
    match schema.get("type")? {
        Value::String(one) => Some(Kinds::named(one)),
        Value::Array(several) => Some(union(&mut several.iter().filter_map(Value::as_str))),
        _ => None,
    }
}
