//! What a rule sees of a proposal: what it says, and what the kernel knows about it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::Evidence;
use crate::{
    effect::Proposal,
    expression::Scope,
    labels::{Labels, Readers},
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
};

/// The names that a condition sees.
pub(super) const NAMES: [&str; 12] = [
    "agent",
    "arguments",
    "labels",
    "labels_of",
    "lists",
    "now",
    "operation",
    "reversal",
    "reverses",
    "routing",
    "semantics",
    "workflow",
];

/// What there is in `now`.
pub(super) const NOW: [&str; 5] = ["ms", "hour", "minute", "weekday", "date"];

/// What there is in `labels`, and in `labels_of` for each argument.
pub(super) const LABELS: [&str; 4] = ["integrity", "readers", "origin", "pii"];

/// What there is in `routing` for each argument.
pub(super) const ROUTING: [&str; 6] =
    ["value", "reached", "reached_at_ms", "reached_today", "integrity", "readable"];

/// The end of the year 9999, in milliseconds. Calendars end somewhere, and a time beyond this one is a defect elsewhere.
const LAST_MS: u64 = 253_402_300_799_999;

/// A proposal and what is known about it.
pub(super) struct Facts<'a> {
    pub(super) proposal: &'a Proposal,
    pub(super) evidence: &'a Evidence,
    /// `mail.send`
    pub(super) operation: String,
    /// When it is judged, on the operator's clock.
    pub(super) now: DateTime<Tz>,
    arguments: Value,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        proposal: &'a Proposal,
        evidence: &'a Evidence,
        now: Timestamp,
        zone: Tz,
    ) -> Self {
        Self {
            proposal,
            evidence,
            operation: format!("{}.{}", proposal.connector, proposal.operation),
            now: local(now, zone),
            arguments: proposal.arguments.value(),
        }
    }

    /// The labels of `argument`; the strictest, if nothing is known of it.
    pub(super) fn labels(&self, argument: &str) -> Labels {
        self.proposal.labels.get(argument).cloned().unwrap_or_default()
    }

    /// Every argument that says what the write says. Arguments that are no object are content under no name.
    pub(super) fn content(&self) -> Vec<(&str, &Value)> {
        match &self.arguments {
            Value::Object(arguments) => arguments
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .filter(|(name, _)| !self.proposal.routing.contains_key(*name))
                .collect(),
            Value::Null => vec![],
            other => vec![("", other)],
        }
    }

    /// The first content argument that `reader` may not read by its labels.
    pub(super) fn unreadable(&self, reader: &str) -> Option<&str> {
        let content = self.content().into_iter();
        content.map(|(name, _)| name).find(|name| !self.labels(name).is_readable_by(reader))
    }

    /// What a condition sees, beside `lists`.
    pub(super) fn scope(&self, lists: &BTreeMap<String, Vec<String>>) -> Scope {
        let labels_of: BTreeMap<&str, Labels> =
            self.names().into_iter().map(|name| (name, self.labels(name))).collect();
        let joined = Labels::join_all(labels_of.values());
        let labels_of: Map<String, Value> =
            labels_of.iter().map(|(name, labels)| ((*name).to_owned(), shown(labels))).collect();
        let proposal = self.proposal;
        Scope::new([
            ("agent", json!(self.evidence.agent)),
            ("arguments", self.arguments.clone()),
            ("labels", shown(&joined)),
            ("labels_of", Value::Object(labels_of)),
            ("lists", json!(lists)),
            ("now", self.clock()),
            ("operation", json!(self.operation)),
            ("reversal", json!(reversal_word(&proposal.reversal))),
            ("reverses", json!(self.evidence.reverses)),
            ("routing", self.routing()),
            ("semantics", json!(semantics_word(&proposal.semantics))),
            ("workflow", json!(self.evidence.workflow)),
        ])
    }

    /// The names of all arguments.
    fn names(&self) -> BTreeSet<&str> {
        let content = self.content().into_iter().map(|(name, _)| name);
        content.chain(self.proposal.routing.keys().map(String::as_str)).collect()
    }

    fn routing(&self) -> Value {
        let known = |(argument, value): (&String, &String)| {
            let reached = self.evidence.reached.get(argument);
            let known = json!({
                "value": value,
                "reached": reached.is_some(),
                "reached_at_ms": reached.map(|reached| reached.at.0),
                "reached_today": reached.map_or(0, |reached| reached.today),
                "integrity": self.labels(argument).integrity.word(),
                "readable": self.unreadable(value).is_none(),
            });
            (argument.clone(), known)
        };
        Value::Object(self.proposal.routing.iter().map(known).collect())
    }

    fn clock(&self) -> Value {
        json!({
            "ms": self.now.timestamp_millis(),
            "hour": self.now.hour(),
            "minute": self.now.minute(),
            "weekday": self.now.weekday().to_string().to_lowercase(),
            "date": self.now.date_naive().to_string(),
        })
    }
}

fn local(now: Timestamp, zone: Tz) -> DateTime<Tz> {
    let ms = i64::try_from(now.0.min(LAST_MS)).expect("the last millisecond fits");
    DateTime::from_timestamp_millis(ms).expect("the calendar reaches there").with_timezone(&zone)
}

/// Labels as conditions and people's tools see them.
pub(crate) fn shown(labels: &Labels) -> Value {
    let readers = match &labels.readers {
        Readers::Anyone => json!("anyone"),
        Readers::Only(readers) => json!(readers),
    };
    json!({
        "integrity": labels.integrity.word(),
        "readers": readers,
        "origin": labels.origin,
        "pii": labels.pii,
    })
}

pub(super) fn semantics_word(semantics: &WriteSemantics) -> &'static str {
    match semantics {
        WriteSemantics::Keyed { .. } => "keyed",
        WriteSemantics::NaturalKey => "natural_key",
        WriteSemantics::Searchable { .. } => "searchable",
        WriteSemantics::Opaque => "opaque",
        WriteSemantics::Conditional => "conditional",
    }
}

pub(super) fn reversal_word(reversal: &Reversal) -> &'static str {
    match reversal {
        Reversal::Irreversible => "irreversible",
        Reversal::Undo(_) => "undo",
        Reversal::Counter(_) => "counter",
    }
}
