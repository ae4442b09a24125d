//! A rule of a policy, and the checks that it can be followed.

use std::{collections::BTreeSet, time::Duration};

use super::{
    DEFAULT_RULE, Verdict, builtin,
    fields::{Fields, Said, one_of, suggestion},
    scope,
};
use crate::{
    expression::Expression,
    id::{ConnectorName, OperationName},
    labels::Pii,
    redact::CLASSES,
    workflow::{duration, nearest},
};

/// A checked rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) operation: Option<String>,
    pub(super) when: Option<Expression>,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) remedy: Option<String>,
    /// What is removed, if the verdict is `redact`.
    pub(super) redact: BTreeSet<Pii>,
    pub(super) deadline: Option<Duration>,
    pub(super) approved_at_deadline: bool,
}

/// Reads the rule in `fields`. `names` are those of the rules before it, to which its own is added; `lists` are the names
/// of the policy's lists.
pub(super) fn read(fields: &mut Fields, names: &mut Vec<String>, lists: &[String]) -> Option<Rule> {
    fields.within_rule(format!("#{}", names.len() + 1));
    let name = fields.required("name", "a judgement names the rule that gave it");
    if let Some(name) = &name {
        fields.within_rule(name.clone());
    }
    if let Some(name) = &name {
        check_name(fields, name, names);
    }
    names.push(name.clone().unwrap_or_default());
    let operation = fields.text("operation");
    if let Some(operation) = &operation {
        fields.take("operation", qualified(operation));
    }
    let when = fields.text("when").and_then(|source| condition(fields, &source, lists));
    let verdict = fields.required("verdict", "it is deny, redact, shadow, approve or allow");
    let verdict = verdict.and_then(|word| {
        let words = Verdict::ALL.map(|verdict| (verdict.word(), verdict));
        fields.take("verdict", one_of(&word, &words))
    });
    let reason = fields.required("reason", "the operator reads it");
    let remedy = fields.text("remedy");
    let redact = redacted(fields, verdict);
    let (deadline, approved_at_deadline) = at_deadline(fields, verdict);
    // A condition that does not compile is a problem, so that this rule is never followed without one.
    Some(Rule {
        name: name?,
        operation,
        when,
        verdict: verdict?,
        reason: reason?,
        remedy,
        redact,
        deadline,
        approved_at_deadline,
    })
}

fn check_name(fields: &mut Fields, name: &str, before: &[String]) {
    if name.trim().is_empty() {
        fields.problem("name", "it is empty", Some("a judgement names the rule that gave it"));
    }
    if before.iter().any(|earlier| earlier == name) {
        fields.problem("name", "another rule has this name", Some("rule names are unique"));
    }
    if name == DEFAULT_RULE || builtin::NAMES.contains(&name) {
        let message = format!("`{name}` is the name of a built-in rule");
        fields.problem("name", message, Some("choose another name"));
    }
}

/// The connector and operation in `mail.send`.
pub(super) fn qualified(text: &str) -> Result<(ConnectorName, OperationName), Said> {
    let help = || Some("write connector.operation, as in `mail.send`".to_owned());
    let (connector, operation) =
        text.split_once('.').ok_or_else(|| (format!("`{text}` names no operation"), help()))?;
    let connector = connector.parse().map_err(|_| (format!("`{text}` names no connector"), help()));
    let operation = operation.parse().map_err(|_| (format!("`{text}` names no operation"), help()));
    Ok((connector?, operation?))
}

/// Compiles a condition and checks what it reads.
fn condition(fields: &mut Fields, source: &str, lists: &[String]) -> Option<Expression> {
    let compiled = Expression::compile(source).map_err(|error| (error.to_string(), None));
    let when = fields.take("when", compiled)?;
    for name in when.names() {
        if !scope::NAMES.contains(&name.as_str()) {
            let help = match nearest(name, scope::NAMES.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a rule sees {}", scope::NAMES.join(", ")),
            };
            fields.problem("when", format!("`{name}` is not visible here"), Some(&help));
        }
    }
    for path in when.paths() {
        if let Some((message, help)) = unknown_part(path, lists) {
            fields.problem("when", message, Some(&help));
        }
    }
    Some(when)
}

/// What is wrong with `lists.contcats` or `now.hours`, and what could have been meant.
fn unknown_part(path: &str, lists: &[String]) -> Option<(String, String)> {
    let parts: Vec<&str> = path.split('.').collect();
    let (depth, known): (usize, Vec<&str>) = match parts[0] {
        "lists" => (1, lists.iter().map(String::as_str).collect()),
        "now" => (1, scope::NOW.to_vec()),
        "labels" => (1, scope::LABELS.to_vec()),
        "labels_of" => (2, scope::LABELS.to_vec()),
        "routing" => (2, scope::ROUTING.to_vec()),
        _ => return None,
    };
    let part = parts.get(depth)?;
    if known.contains(part) {
        return None;
    }
    let message = format!("there is no `{}`", parts[..=depth].join("."));
    Some((message, suggestion(part, &known)))
}

/// The classes of personal data that a `redact` rule removes: those that it names, or all.
fn redacted(fields: &mut Fields, verdict: Option<Verdict>) -> BTreeSet<Pii> {
    let named = fields.texts("redact");
    match (named, verdict) {
        (None, Some(Verdict::Redact)) => CLASSES.iter().map(|(_, class)| *class).collect(),
        (None, _) => BTreeSet::new(),
        (Some(named), verdict) => {
            if verdict.is_some_and(|verdict| verdict != Verdict::Redact) {
                let help = "it belongs to the verdict `redact`";
                fields.problem("redact", "the verdict does not redact", Some(help));
            }
            classes(fields, "redact", &named)
        }
    }
}

/// The classes called `named`, at least one.
pub(super) fn classes(fields: &mut Fields, field: &str, named: &[String]) -> BTreeSet<Pii> {
    if named.is_empty() {
        let all: Vec<&str> = CLASSES.iter().map(|(word, _)| *word).collect();
        let help = format!("name some of {}", all.join(", "));
        fields.problem(field, "it names nothing to remove", Some(&help));
    }
    named.iter().filter_map(|word| fields.take(field, one_of(word, &CLASSES))).collect()
}

/// The words for `classes`, if there are any.
pub(super) fn class_words(classes: &BTreeSet<Pii>) -> Option<String> {
    let named = CLASSES.iter().filter(|(_, class)| classes.contains(class));
    let words: Vec<&str> = named.map(|(word, _)| *word).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn at_deadline(fields: &mut Fields, verdict: Option<Verdict>) -> (Option<Duration>, bool) {
    for field in ["deadline", "at_deadline"] {
        if fields.has(field) && verdict.is_some_and(|verdict| verdict != Verdict::Approve) {
            let help = "it belongs to the verdict `approve`";
            fields.problem(field, "the verdict does not ask", Some(help));
        }
    }
    if fields.has("at_deadline") && !fields.has("deadline") {
        let help = "add a `deadline`, as in \"2d\"";
        fields.problem("at_deadline", "there is no deadline", Some(help));
    }
    let deadline = fields.text("deadline").and_then(|text| {
        let help = || Some(duration::HELP.to_owned());
        let parsed = duration::parse(&text).map_err(|message| (message, help()));
        fields.take("deadline", parsed)
    });
    let approved = fields.text("at_deadline").and_then(|word| {
        let words = [("approve", true), ("abort", false)];
        fields.take("at_deadline", one_of(&word, &words))
    });
    (deadline, approved.unwrap_or(false))
}
