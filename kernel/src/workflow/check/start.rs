//! What starts a run: the goal it serves, events, and times.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{
    super::{
        Intent, Missed, Schedule, Trigger,
        definition::{Fields, misfit},
        intent::normal,
        problem::{Said, said},
        schedule,
    },
    bad_name,
    names::Sight,
};
use crate::budget::{self, OverBudget};

/// Most triggers, and most schedules, of one workflow.
const STARTS_MAX: usize = 100;

/// Each table of `[[key]]`, by `read`.
pub(super) fn each<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: fn(Fields<'_>) -> Option<T>,
) -> Vec<T> {
    let mut tables = fields.tables(key);
    if tables.len() > STARTS_MAX {
        let message = format!("there are {} and the limit is {STARTS_MAX}", tables.len());
        fields.wrong(key, said(message, "split it into several workflows"));
        tables.truncate(STARTS_MAX);
    }
    let tables = tables.into_iter().enumerate();
    tables
        .filter_map(|(index, table)| read(fields.nested(&format!("{key}[{index}]"), table)))
        .collect()
}

pub(super) fn intent(mut fields: Fields<'_>) -> Option<Intent> {
    let name = fields.required("name").and_then(|name| {
        let result = phrase(&name).map(|()| name);
        fields.accept("name", result)
    });
    let phrases = fields.texts("phrases");
    for text in &phrases {
        fields.accept("phrases", phrase(text));
    }
    let has_readers = fields.has("readers");
    let readers: BTreeSet<String> = fields.texts("readers").into_iter().collect();
    if readers.iter().any(|reader| reader.trim().is_empty()) {
        fields.wrong("readers", said("one of them is empty", "name who may read, or write []"));
    }
    let cost = fields.value("cost_max_usd");
    let cost_max_micro_usd = cost.and_then(|cost| fields.accept("cost_max_usd", micro_usd(&cost)));
    let deadline = fields.duration("deadline");
    fields.finish();
    let readers = has_readers.then_some(readers);
    Some(Intent { name: name?, phrases, readers, cost_max_micro_usd, deadline })
}

/// Words that can be compared hold a letter or a digit.
fn phrase(text: &str) -> Result<(), Said> {
    match normal(text).is_empty() {
        true => Err(said(format!("{text:?} has no letters"), "write words that name the goal")),
        false => Ok(()),
    }
}

/// An amount of dollars as written, in millionths, exactly.
fn micro_usd(value: &Value) -> Result<u64, Said> {
    let text = match value {
        Value::Integer(whole) => whole.to_string(),
        Value::Float(number) => number.to_string(),
        other => return Err(misfit(other, "an amount in US dollars: 0.50")),
    };
    let help = "write an amount in US dollars with at most six decimals: 0.50";
    budget::micro_usd(&text).map_err(|problem| said(format!("{text} is {problem}"), help))
}

/// What a workflow can say of a budget that has no room.
pub(super) const OVER_BUDGET: [(&str, OverBudget); 2] =
    [("ask", OverBudget::Ask), ("fail", OverBudget::Fail)];

pub(super) fn trigger(mut fields: Fields<'_>) -> Option<Trigger> {
    let event = fields
        .required("event")
        .and_then(|event| fields.accept("event", event.parse().map_err(|error| bad_name(&error))));
    let sight = Sight::of(&["event"]);
    let when = fields.expression("when", &sight);
    let input = fields.expressions("input", &sight);
    fields.finish();
    Some(Trigger { event: event?, when, input })
}

const MISSED: [(&str, Missed); 3] =
    [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)];

pub(super) fn schedule(mut fields: Fields<'_>) -> Option<Schedule> {
    let cron = fields.required("cron").and_then(|cron| {
        let result = schedule::cron(&cron).map(|_| cron);
        fields.accept("cron", result)
    });
    let timezone = match fields.text("timezone") {
        Some(name) => {
            let result = schedule::timezone(&name).map(|_| name);
            fields.accept("timezone", result)
        }
        None => Some("UTC".into()),
    };
    let missed = fields.choice("missed", &MISSED).unwrap_or(Missed::Once);
    let table = fields.table("input").unwrap_or_default();
    let mut nested = fields.nested("input", table);
    let mut input = BTreeMap::new();
    for (key, value) in nested.rest() {
        let literal = nested.accept(&key, literal(value));
        input.extend(literal.map(|literal| (key, literal)));
    }
    fields.finish();
    Some(Schedule { cron: cron?, timezone: timezone?, missed, input })
}

/// A TOML value as JSON; a date becomes its text.
fn literal(value: Value) -> Result<serde_json::Value, Said> {
    use serde_json::Value as Json;
    Ok(match value {
        Value::String(text) => Json::String(text),
        Value::Integer(number) => number.into(),
        Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Json::Number)
            .ok_or_else(|| said(format!("{number} is not a value"), "write a finite number"))?,
        Value::Boolean(is) => is.into(),
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(list) => list.into_iter().map(literal).collect::<Result<_, _>>()?,
        Value::Table(table) => {
            let fields = table.into_iter().map(|(key, value)| Ok((key, literal(value)?)));
            Json::Object(fields.collect::<Result<_, Said>>()?)
        }
    })
}
