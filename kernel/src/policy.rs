//! Policy: may this write happen?
//!
//! A policy is a list of rules in TOML. Each rule that matches a proposal gives its verdict, and the strictest verdict
//! stands: deny before approve before allow. Where no rule matches, the operator is asked. A rule sees what the kernel
//! knows, never what an agent claims: whether an address has been written to before comes from the journal.
//!
//! ```toml
//! [lists]
//! contacts = ["ada@client.example"]
//!
//! [[rule]]
//! name = "known-recipient"
//! operation = "mail.send"
//! when = "routing.to.reached or routing.to.value in lists.contacts"
//! verdict = "allow"
//! reason = "we have written to this address before"
//! ```

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    effect::Proposal,
    expression::{Expression, ExpressionError, Scope},
    time::Timestamp,
};

/// What policy says of a proposal, strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does not happen.
    Deny,
    /// The operator is asked.
    Approve,
    /// It happens.
    Allow,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "deny",
            Self::Approve => "approve",
            Self::Allow => "allow",
        })
    }
}

/// A verdict with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is to happen.
    pub verdict: Verdict,
    /// The rule that said so.
    pub rule: String,
    /// Why, for the operator.
    pub reason: String,
}

/// What the kernel knows about the places a proposal would go to, by routing argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When a write last landed there, by argument; absent if never.
    pub reached: BTreeMap<String, Timestamp>,
}

/// A checked list of rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    lists: BTreeMap<String, Vec<String>>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    operation: Option<String>,
    when: Option<Expression>,
    verdict: Verdict,
    reason: String,
}

/// A policy that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}{}: {message}", .rule.as_deref().map(|rule| format!(", rule `{rule}`")).unwrap_or_default())]
pub struct PolicyProblem {
    /// The file, as it was given.
    pub file: String,
    /// The rule, if the problem is in one.
    pub rule: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(default)]
    lists: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    operation: Option<String>,
    when: Option<String>,
    verdict: Verdict,
    reason: String,
}

/// Names a rule's condition sees.
const VISIBLE: [&str; 4] = ["arguments", "lists", "operation", "routing"];

impl Policy {
    /// Reads and checks a policy. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// The first problem, with the rule it is in.
    pub fn parse(file: &str, source: &str) -> Result<Self, PolicyProblem> {
        let problem = |rule: Option<&str>, message: String| PolicyProblem {
            file: file.into(),
            rule: rule.map(Into::into),
            message,
        };
        let text: PolicyText = toml::from_str(source)
            .map_err(|error| problem(None, error.to_string().trim_end().into()))?;
        let mut rules = vec![];
        for rule in text.rule {
            let at = Some(rule.name.as_str());
            let when = rule.when.as_deref().map(Expression::compile).transpose();
            let when = when.map_err(|error| problem(at, error.to_string()))?;
            let unseen = when
                .iter()
                .flat_map(Expression::names)
                .find(|name| !VISIBLE.contains(&name.as_str()));
            if let Some(name) = unseen {
                let message =
                    format!("`{name}` is not visible here; a rule sees {}", VISIBLE.join(", "));
                return Err(problem(at, message));
            }
            rules.push(Rule {
                name: rule.name,
                operation: rule.operation,
                when,
                verdict: rule.verdict,
                reason: rule.reason,
            });
        }
        Ok(Self { lists: text.lists, rules })
    }

    /// The same policy with `values` added to the list called `name`.
    #[must_use]
    pub fn with_list(mut self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        self.lists.entry(name.into()).or_default().extend(values);
        self
    }

    /// Judges `proposal`.
    ///
    /// A rule whose condition has no value asks the operator, and says so: a broken rule must not open a door.
    #[must_use]
    pub fn judge(&self, proposal: &Proposal, evidence: &Evidence) -> Judgement {
        let operation = format!("{}.{}", proposal.connector, proposal.operation);
        let applicable =
            |rule: &&Rule| rule.operation.as_ref().is_none_or(|named| *named == operation);
        let mut scope = None;
        let given = self.rules.iter().filter(applicable).filter_map(|rule| {
            let Some(when) = &rule.when else { return Some(rule.says()) };
            let scope = scope.get_or_insert_with(|| self.scope(&operation, proposal, evidence));
            match when.holds(scope) {
                Ok(true) => Some(rule.says()),
                Ok(false) => None,
                Err(error) => Some(rule.fails(&error)),
            }
        });
        given.min_by_key(|judgement| judgement.verdict).unwrap_or_else(ask_by_default)
    }

    fn scope(&self, operation: &str, proposal: &Proposal, evidence: &Evidence) -> Scope {
        let routing: serde_json::Map<String, Value> = proposal
            .routing
            .iter()
            .map(|(argument, value)| {
                let reached = evidence.reached.get(argument);
                let known = json!({
                    "value": value,
                    "reached": reached.is_some(),
                    "reached_at_ms": reached.map(|at| at.0),
                });
                (argument.clone(), known)
            })
            .collect();
        Scope::new([
            ("arguments", proposal.arguments.value()),
            ("lists", json!(self.lists)),
            ("operation", json!(operation)),
            ("routing", Value::Object(routing)),
        ])
    }
}

impl Rule {
    fn says(&self) -> Judgement {
        Judgement { verdict: self.verdict, rule: self.name.clone(), reason: self.reason.clone() }
    }

    fn fails(&self, error: &ExpressionError) -> Judgement {
        let reason = format!("the rule's condition failed: {error}");
        let verdict = self.verdict.min(Verdict::Approve);
        Judgement { verdict, rule: self.name.clone(), reason }
    }
}

fn ask_by_default() -> Judgement {
    Judgement {
        verdict: Verdict::Approve,
        rule: "default".into(),
        reason: "no rule allows it, so the operator decides".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::tests::proposal;

    const RULES: &str = r#"
        [lists]
        contacts = ["ada@client.example"]
        [[rule]]
        name = "known"
        operation = "mail.send"
        when = "routing.to.reached or routing.to.value in lists.contacts"
        verdict = "allow"
        reason = "known"
        [[rule]]
        name = "never-to-spam"
        when = "routing.to.value is endingwith('@spam.example')"
        verdict = "deny"
        reason = "spam"
        [[rule]]
        name = "broken"
        operation = "crm.write"
        when = "arguments.missing > 3"
        verdict = "allow"
        reason = ""
    "#;

    #[track_caller]
    fn check(to: &str, reached: bool, expected: (Verdict, &str)) {
        let policy = Policy::parse("policy.toml", RULES).unwrap();
        let mut evidence = Evidence::default();
        if reached {
            evidence.reached.insert("to".into(), Timestamp(1));
        }
        let judgement = policy.judge(&proposal(to), &evidence);
        assert_eq!((judgement.verdict, judgement.rule.as_str()), expected);
    }

    #[test]
    fn the_strictest_rule_that_matches_stands() {
        check("eve@new.example", false, (Verdict::Approve, "default"));
        check("ada@client.example", false, (Verdict::Allow, "known"));
        check("eve@new.example", true, (Verdict::Allow, "known"));
        check("x@spam.example", true, (Verdict::Deny, "never-to-spam"));
    }

    #[test]
    fn a_rule_whose_condition_fails_asks_the_operator() {
        let mut broken = proposal("a@b.example");
        broken.connector = "crm".parse().unwrap();
        broken.operation = "write".parse().unwrap();
        let judgement =
            Policy::parse("policy.toml", RULES).unwrap().judge(&broken, &Evidence::default());
        assert_eq!(judgement.verdict, Verdict::Approve);
        assert!(judgement.reason.contains("`arguments.missing > 3`"), "{}", judgement.reason);
    }

    #[test]
    fn a_wrong_policy_names_file_and_rule() {
        let wrong =
            "[[rule]]\nname = 'x'\nwhen = 'recipient.known'\nverdict = 'allow'\nreason = ''";
        let problem = Policy::parse("policy.toml", wrong).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "policy.toml, rule `x`: `recipient` is not visible here; a rule sees arguments, lists, operation, routing"
        );
        let typo =
            Policy::parse("policy.toml", "[[rule]]\nname = 'x'\nverdict = 'alow'\nreason = ''")
                .unwrap_err();
        assert!(typo.to_string().contains("unknown variant `alow`, expected one of"), "{typo}");
    }
}
