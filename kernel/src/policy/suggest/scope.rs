//! The conditions of rules that are proposed: clause by clause, as text and over a case.
//!
//! What stands in a clause may come from a mail. It is written as a literal that cannot end before its end, so that nobody writes
//! himself into a policy.

use serde_json::Value;

use super::{Answered, Group, risk::is_money_name};
use crate::{labels::Integrity, policy::Verdict};

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clause {
    /// It is proposed in this workflow.
    Workflow(String),
    /// It is proposed by this agent, or by none.
    Agent(Option<String>),
    /// It takes nothing back.
    NotReversing,
    /// Where it goes has been written to before.
    Reached(String),
    /// Where it goes is vouched for.
    Trusted(String),
    /// Whoever it goes to may read it.
    Readable(String),
    /// It goes to an address of this domain.
    Domain(String, String),
    /// It goes to this place.
    Value(String, String),
    /// The argument is this number at most; the flag says whether it is written as text.
    AtMost(String, f64, bool),
    /// The argument is this.
    Is(String, Value),
}

impl Clause {
    /// Who proposes it.
    pub(super) fn proposer((_, workflow, agent): &Group<'_>) -> Vec<Self> {
        vec![Self::Workflow(workflow.clone()), Self::Agent(agent.map(ToOwned::to_owned))]
    }

    /// The place that it narrows a rule to.
    pub(super) fn place(&self) -> Option<&str> {
        match self {
            Self::Domain(_, place) | Self::Value(_, place) => Some(place),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Workflow(name) => format!("workflow == {}", literal(name)),
            Self::Agent(Some(name)) => format!("agent == {}", literal(name)),
            Self::Agent(None) => "agent is none".into(),
            Self::NotReversing => "not reverses".into(),
            Self::Reached(argument) => format!("{}.reached", member("routing", argument)),
            Self::Trusted(argument) => {
                format!("{}.integrity != 'untrusted'", member("routing", argument))
            }
            Self::Readable(argument) => format!("{}.readable", member("routing", argument)),
            Self::Domain(argument, domain) => {
                let end = literal(&format!("@{domain}"));
                format!("{}.value is endingwith({end})", member("routing", argument))
            }
            Self::Value(argument, value) => {
                format!("{}.value == {}", member("routing", argument), literal(value))
            }
            Self::AtMost(argument, most, false) => {
                format!("{} <= {most}", member("arguments", argument))
            }
            Self::AtMost(argument, most, true) => {
                format!("({} | float) <= {most}", member("arguments", argument))
            }
            Self::Is(argument, Value::String(text)) => {
                format!("{} == {}", member("arguments", argument), literal(text))
            }
            Self::Is(argument, Value::Null) => {
                format!("{} is none", member("arguments", argument))
            }
            Self::Is(argument, value) => format!("{} == {value}", member("arguments", argument)),
        }
    }

    fn holds(&self, one: &Answered<'_>) -> bool {
        let (evidence, proposal) = (one.evidence, &one.case.first().proposal);
        let labels = |argument: &String| proposal.labels.get(argument).cloned().unwrap_or_default();
        let routed = |argument: &String| proposal.routing.get(argument);
        match self {
            Self::Workflow(name) => evidence.workflow == *name,
            Self::Agent(agent) => evidence.agent == *agent,
            Self::NotReversing => !evidence.reverses,
            Self::Reached(argument) => evidence.reached.contains_key(argument),
            Self::Trusted(argument) => {
                routed(argument).is_some() && labels(argument).integrity != Integrity::Untrusted
            }
            Self::Readable(argument) => routed(argument).is_some_and(|reader| {
                let arguments = proposal.arguments.value();
                let content = arguments.as_object().into_iter().flat_map(|fields| fields.keys());
                let mut content = content.filter(|name| !proposal.routing.contains_key(*name));
                content.all(|name| labels(name).is_readable_by(reader))
            }),
            Self::Domain(argument, domain) => {
                routed(argument).is_some_and(|value| value.ends_with(&format!("@{domain}")))
            }
            Self::Value(argument, expected) => routed(argument) == Some(expected),
            Self::AtMost(argument, most, _) => {
                number(&proposal.arguments.value()[argument]).is_some_and(|(it, _)| it <= *most)
            }
            Self::Is(argument, value) => proposal.arguments.value()[argument] == *value,
        }
    }
}

/// Whether all of `clauses` hold.
pub(super) fn hold(clauses: &[Clause], one: &Answered<'_>) -> bool {
    clauses.iter().all(|clause| clause.holds(one))
}

/// The clauses as one condition.
pub(super) fn condition(clauses: &[Clause]) -> String {
    clauses.iter().map(Clause::text).collect::<Vec<_>>().join(" and ")
}

/// What a rule that allows what `open` are like asks for: who proposes it; of each place that it is vouched for and was written to
/// before, if so wanted, and that it may read the content, if all may; and no more money than was approved. `None` if it is about
/// money in a way that cannot be bounded.
pub(super) fn guarded(
    group: &Group<'_>,
    open: &[Answered<'_>],
    trusted: bool,
    reached: bool,
) -> Option<Vec<Clause>> {
    let mut clauses = Clause::proposer(group);
    let routing = &open.first()?.case.first().proposal.routing;
    for argument in routing.keys() {
        // That an amount was paid before says nothing of the next.
        let is_place = !is_money_name(argument) || !is_number(open, argument);
        clauses.extend(trusted.then(|| Clause::Trusted(argument.clone())));
        clauses.extend((reached && is_place).then(|| Clause::Reached(argument.clone())));
    }
    let within: Vec<_> = open.iter().filter(|one| hold(&clauses, one)).collect();
    for argument in routing.keys() {
        let readable = Clause::Readable(argument.clone());
        let all = within.iter().all(|one| readable.holds(one));
        clauses.extend(all.then_some(readable));
    }
    clauses.extend(bounds(&within)?);
    Some(clauses)
}

/// Bounds of what is about money in the arguments of `within`.
fn bounds(within: &[&Answered<'_>]) -> Option<Vec<Clause>> {
    let all: Vec<Value> =
        within.iter().map(|one| one.case.first().proposal.arguments.value()).collect();
    let mut clauses = vec![];
    let Some(first) = all.first() else { return Some(clauses) };
    let fields = all.iter().filter_map(Value::as_object);
    // What is deeper than the first level cannot be bounded by a condition of one line.
    if fields.clone().flat_map(|fields| fields.values()).any(is_deep_money) {
        return None;
    }
    let names: std::collections::BTreeSet<&String> =
        fields.flat_map(|fields| fields.keys()).filter(|name| is_money_name(name)).collect();
    for name in names {
        let numbers: Option<Vec<(f64, bool)>> =
            all.iter().map(|fields| number(&fields[name])).collect();
        match numbers {
            Some(numbers) => {
                let most = numbers.iter().fold(f64::MIN, |most, (number, _)| most.max(*number));
                let is_text = numbers.iter().any(|(_, is_text)| *is_text);
                clauses.push(Clause::AtMost(name.clone(), most, is_text));
            }
            None if all.iter().all(|fields| fields[name] == first[name]) => {
                clauses.push(Clause::Is(name.clone(), first[name].clone()));
            }
            // Accounts that differ are places, which a rule may ask to have been reached.
            None if within
                .iter()
                .all(|one| one.case.first().proposal.routing.contains_key(name)) => {}
            None => return None,
        }
    }
    Some(clauses)
}

fn is_deep_money(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_money_name(name) || is_deep_money(value))
        }
        Value::Array(values) => values.iter().any(is_deep_money),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_number(open: &[Answered<'_>], argument: &str) -> bool {
    open.iter().all(|one| number(&one.case.first().proposal.arguments.value()[argument]).is_some())
}

/// The number that `value` is, and whether it is written as text.
fn number(value: &Value) -> Option<(f64, bool)> {
    match value {
        Value::Number(number) => Some((number.as_f64()?, false)),
        Value::String(text) => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some((number, true))
        }
        _ => None,
    }
}

/// A rule in TOML.
pub(super) fn rule(
    name: &str,
    operation: &str,
    when: &str,
    verdict: Verdict,
    reason: &str,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let fields = [
        ("name", quoted(name)),
        ("operation", quoted(operation)),
        ("when", quoted(when)),
        ("verdict", quoted(verdict.word())),
        ("reason", quoted(reason)),
    ];
    let lines = fields.map(|(field, value)| format!("{field} = {value}\n"));
    format!("[[rule]]\n{}", lines.concat())
}

/// `of.name`, or `of["na me"]` where the name is no word.
fn member(of: &str, name: &str) -> String {
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word { format!("{of}.{name}") } else { format!("{of}[{}]", literal(name)) }
}

/// `text` as a literal of a condition.
fn literal(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '\'' && c != '\\' || c == ' ';
    if text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    Value::from(text).to_string()
}
