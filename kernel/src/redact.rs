//! Finding and removing personal data and secrets in text.
//!
//! What has a checksum is checked by it, what has a fixed form by its form, so that an order number stays and a card number
//! goes. Names and postal addresses have neither, and are not looked for. Where the end of a match is unclear, more is
//! removed rather than less. Every scanner (`email.rs`, `iban.rs`, `card.rs`, `tax.rs`, `phone.rs`, `secret.rs`) reads the
//! text once and looks a bounded number of digits ahead, so that the work grows with the text and not with what a stranger
//! puts into it.
//!
//! ```
//! use soloist_kernel::redact::{find, redact};
//! use soloist_kernel::labels::Pii;
//!
//! let text = "Pay to DE89 3704 0044 0532 0130 00 by Friday";
//! assert_eq!(find(text)[0].class, Pii::Iban);
//! let (clean, removed) = redact(text, &[Pii::Iban].into());
//! assert_eq!(clean, "Pay to [iban removed] by Friday");
//! assert!(removed.contains(&Pii::Iban));
//! ```

mod card;
mod digits;
mod email;
mod iban;
mod phone;
mod secret;
mod tax;

use std::{collections::BTreeSet, ops::Range};

use serde_json::{Map, Value};

use crate::labels::Pii;

/// The classes that can be found in text, by the words for them.
pub const CLASSES: [(&str, Pii); 6] = [
    ("email", Pii::Email),
    ("phone", Pii::Phone),
    ("iban", Pii::Iban),
    ("card", Pii::Card),
    ("tax_id", Pii::TaxId),
    ("secret", Pii::Secret),
];

/// How often a text is looked through again after something was removed. What stood beside it may have become readable as
/// something else; after the second time hardly anything does, and what still has is given up whole.
const ROUNDS_MAX: usize = 4;

/// What stands for a text that would not come clean.
const GIVEN_UP: &str = "[text removed]";

/// Something found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub class: Pii,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

/// Everything found in `text`, by where it begins. A number is one thing only, by the strongest check that it passes; a
/// secret may also be something else, as a password may be a mail address.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    let mut groups = digits::groups(text);
    let mut found = vec![];
    for (class, scan) in NUMBERS {
        let ranges = scan(text, &groups);
        digits::remove(&mut groups, &ranges);
        found.extend(ranges.into_iter().map(|range| Found { class, range }));
    }
    found.extend(email::find(text).into_iter().map(|range| Found { class: Pii::Email, range }));
    found.extend(secret::find(text).into_iter().map(|range| Found { class: Pii::Secret, range }));
    found.sort_by_key(|found| (found.range.start, found.range.end));
    found
}

/// Finds one class of number among groups of digits.
type Scan = fn(&str, &[Range<usize>]) -> Vec<Range<usize>>;

/// The classes of numbers, the strongest check first: what one takes, the next ones do not see.
const NUMBERS: [(Pii, Scan); 4] = [
    (Pii::Iban, |text, _| iban::find(text)),
    (Pii::Card, card::find),
    (Pii::TaxId, tax::find),
    (Pii::Phone, phone::find),
];

/// `text` with what belongs to `classes` replaced, as by `[email removed]`, and the classes of what was. Nothing of
/// `classes` is found in the result.
#[must_use]
pub fn redact(text: &str, classes: &BTreeSet<Pii>) -> (String, BTreeSet<Pii>) {
    let (mut text, mut removed) = (text.to_owned(), BTreeSet::new());
    for _ in 0..ROUNDS_MAX {
        let mut found = find(&text);
        found.retain(|found| classes.contains(&found.class));
        if found.is_empty() {
            return (text, removed);
        }
        removed.extend(found.iter().map(|found| found.class));
        text = replace(&text, found);
    }
    (GIVEN_UP.into(), removed)
}

/// `text` with a placeholder for each of `found`; what overlaps becomes one, named after what begins first.
fn replace(text: &str, found: Vec<Found>) -> String {
    let (mut clean, mut copied) = (String::with_capacity(text.len()), 0);
    for Found { class, range } in found {
        if range.start >= copied {
            clean.push_str(&text[copied..range.start]);
            clean.push_str(&placeholder(class));
        }
        copied = copied.max(range.end);
    }
    clean.push_str(&text[copied..]);
    clean
}

/// What stands where something of `class` was.
fn placeholder(class: Pii) -> String {
    let word = CLASSES.iter().find(|(_, known)| *known == class).map_or("text", |(word, _)| *word);
    format!("[{word} removed]")
}

/// Whether `text` begins with a placeholder.
fn begins_removed(text: &str) -> bool {
    let words = || CLASSES.iter().map(|(word, _)| *word).chain(["text"]);
    let rest = text.strip_prefix('[');
    rest.is_some_and(|rest| {
        words()
            .any(|word| rest.strip_prefix(word).is_some_and(|rest| rest.starts_with(" removed]")))
    })
}

/// Redacts every text in `value`, however deep: numbers, and the names of an object's fields, too, for a field may be
/// named after a mail address. What was removed is added to `removed`.
pub fn redact_value(value: &mut Value, classes: &BTreeSet<Pii>, removed: &mut BTreeSet<Pii>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            let (clean, found) = redact(&number.to_string(), classes);
            if !found.is_empty() {
                removed.extend(found);
                *value = Value::String(clean);
            }
        }
        Value::String(text) => {
            let (clean, found) = redact(text, classes);
            removed.extend(found);
            *text = clean;
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| redact_value(value, classes, removed));
        }
        Value::Object(fields) => {
            let mut clean = Map::new();
            for (name, mut value) in std::mem::take(fields) {
                redact_value(&mut value, classes, removed);
                let (name, found) = redact(&name, classes);
                removed.extend(found);
                clean.insert(unused(name, &clean), value);
            }
            *fields = clean;
        }
    }
}

/// `name`, or `name 2` if there is one already.
fn unused(name: String, fields: &Map<String, Value>) -> String {
    let mut names = (2..).map(|count| format!("{name} {count}"));
    if !fields.contains_key(&name) {
        return name;
    }
    names.find(|name| !fields.contains_key(name)).expect("the names do not end")
}

#[cfg(test)]
mod tests;
