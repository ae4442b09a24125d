//! The verdict on a proposal: what every rule that matches says, and which of it stands.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{DEFAULT_RULE, Evidence, Judgement, Policy, Verdict, rule::Rule, scope::Facts};
use crate::{
    catalog::Operation,
    effect::Proposal,
    expression::{ExpressionError, Scope},
    labels::Pii,
    payload::Payload,
    redact::redact_value,
    semantics::ArgumentRole,
    time::Timestamp,
};

/// A proposal's arguments without the personal data that rules had removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// What is to be planned instead.
    pub arguments: Payload,
    /// The rules that wanted it so; they go to [`Proposal::redacted`].
    pub rules: Vec<String>,
}

/// What a rule that matches says.
#[derive(Clone, Debug)]
pub(super) struct Match {
    pub(super) rule: String,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) remedy: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) approved_at_deadline: bool,
    /// What is to be removed, if the verdict is `redact`.
    pub(super) redact: BTreeSet<Pii>,
    /// Whether its condition had no value, so that nobody knows whether it matches.
    pub(super) broken: bool,
}

impl Policy {
    /// Judges `proposal` at `now`.
    ///
    /// A rule whose condition has no value asks the operator, and says so: a broken rule must not open a door. A rule that
    /// redacts has had its say if `proposal.redacted` names it; if not, the operator is asked.
    #[must_use]
    pub fn judge(&self, proposal: &Proposal, evidence: &Evidence, now: Timestamp) -> Judgement {
        let facts = Facts::new(proposal, evidence, now, self.timezone);
        let matches = self.matches(&facts).into_iter();
        let given = matches.filter_map(|found| found.judgement(&proposal.redacted, self.version));
        given.min_by_key(leniency).unwrap_or_else(|| self.default(evidence.reverses))
    }

    /// Removes from `proposal` what the rules that match and redact name, from its content and never from where it goes.
    /// Nothing, if there are no such rules that `proposal.redacted` does not name yet, or if what is left could not be
    /// arguments; [`judge`](Self::judge) then has the operator asked.
    #[must_use]
    pub fn redact(
        &self,
        proposal: &Proposal,
        operation: &Operation,
        evidence: &Evidence,
        now: Timestamp,
    ) -> Option<Redaction> {
        let declared = |name: &str| operation.arguments.get(name).map(|argument| argument.role);
        let is_routing = |name: &str| declared(name) == Some(ArgumentRole::Routing);
        self.take_out(proposal, evidence, now, &is_routing)
    }

    /// [`redact`](Self::redact), where besides the arguments that `proposal` is routed by those are kept that `is_routing`.
    pub(super) fn take_out(
        &self,
        proposal: &Proposal,
        evidence: &Evidence,
        now: Timestamp,
        is_routing: &dyn Fn(&str) -> bool,
    ) -> Option<Redaction> {
        let facts = Facts::new(proposal, evidence, now, self.timezone);
        let mut matches = self.matches(&facts);
        matches.retain(|found| {
            found.verdict == Verdict::Redact && !proposal.redacted.contains(&found.rule)
        });
        if matches.is_empty() {
            return None;
        }
        let classes = matches.iter().flat_map(|found| found.redact.iter().copied()).collect();
        let Value::Object(mut arguments) = proposal.arguments.value() else { return None };
        for (name, value) in &mut arguments {
            if !is_routing(name) && !proposal.routing.contains_key(name) {
                redact_value(value, &classes, &mut BTreeSet::new());
            }
        }
        let arguments = Payload::of(&arguments).ok()?;
        Some(Redaction { arguments, rules: matches.into_iter().map(|found| found.rule).collect() })
    }

    /// Every rule that matches: those of the policy in its order, then those that are built in.
    fn matches(&self, facts: &Facts<'_>) -> Vec<Match> {
        let mut scope = None;
        let applicable = |rule: &&Rule| {
            rule.operation.as_ref().is_none_or(|operation| *operation == facts.operation)
        };
        let rules = self.rules.iter().filter(applicable);
        let mut matches: Vec<Match> = rules
            .filter_map(|rule| {
                rule.matches(|| scope.get_or_insert_with(|| facts.scope(&self.lists)))
            })
            .collect();
        matches.extend(self.builtins.matches(facts));
        matches
    }

    fn default(&self, reverses: bool) -> Judgement {
        let (verdict, reason) = if reverses {
            (Verdict::Allow, "it takes back what was approved with this remedy")
        } else {
            (Verdict::Approve, "no rule allows it, so the operator decides")
        };
        Judgement {
            verdict,
            rule: DEFAULT_RULE.into(),
            reason: reason.into(),
            remedy: None,
            policy: self.version,
            deadline: None,
            approved_at_deadline: false,
        }
    }
}

/// The strictest judgement is the least. Among those that ask, one that would be approved by waiting is more lenient than
/// one that would not, and the more so the sooner.
fn leniency(judgement: &Judgement) -> (Verdict, Option<Reverse<Option<Duration>>>) {
    let by_waiting = judgement.approved_at_deadline.then_some(Reverse(judgement.deadline));
    (judgement.verdict, by_waiting)
}

impl Rule {
    fn matches<'s>(&self, scope: impl FnOnce() -> &'s mut Scope) -> Option<Match> {
        let Some(when) = &self.when else { return Some(self.says()) };
        match when.holds(scope()) {
            Ok(true) => Some(self.says()),
            Ok(false) => None,
            Err(error) => Some(self.fails(&error)),
        }
    }

    fn says(&self) -> Match {
        Match {
            rule: self.name.clone(),
            verdict: self.verdict,
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
            deadline: self.deadline,
            approved_at_deadline: self.approved_at_deadline,
            redact: self.redact.clone(),
            broken: false,
        }
    }

    /// It counts as matching, and asks at least. Nothing is approved by waiting for a rule that nobody could follow.
    fn fails(&self, error: &ExpressionError) -> Match {
        Match {
            verdict: self.verdict.min(Verdict::Approve),
            reason: format!("the rule's condition failed: {error}"),
            approved_at_deadline: false,
            broken: true,
            ..self.says()
        }
    }
}

impl Match {
    /// What a rule that is built in says; an empty `remedy` is none.
    pub(super) fn of(
        rule: &str,
        verdict: Verdict,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            verdict,
            reason: reason.into(),
            remedy: Some(remedy.into()).filter(|remedy| !remedy.is_empty()),
            deadline: None,
            approved_at_deadline: false,
            redact: BTreeSet::new(),
            broken: false,
        }
    }

    /// What is said of a proposal that the rules called `redacted` have had redacted; nothing, if that was all.
    fn judgement(self, redacted: &[String], policy: u32) -> Option<Judgement> {
        let (verdict, reason) = match self.verdict {
            Verdict::Redact if self.broken => (Verdict::Approve, self.reason),
            Verdict::Redact if redacted.contains(&self.rule) => return None,
            Verdict::Redact => {
                let reason = format!("it could not be redacted as the rule says: {}", self.reason);
                (Verdict::Approve, reason)
            }
            Verdict::Deny | Verdict::Shadow | Verdict::Approve | Verdict::Allow => {
                (self.verdict, self.reason)
            }
        };
        Some(Judgement {
            verdict,
            rule: self.rule,
            reason,
            remedy: self.remedy,
            policy,
            deadline: self.deadline,
            approved_at_deadline: self.approved_at_deadline,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        effect::tests::proposal,
        labels::{Integrity, Labels},
        payload::Payload,
        policy::Reached,
    };

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

    /// Saturday 21 November 2026, 23:30 UTC.
    const NIGHT: Timestamp = Timestamp(1_795_303_800_000);

    fn policy(source: &str) -> Policy {
        Policy::parse("policy.toml", source).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn reached() -> Evidence {
        let to = Reached { at: Timestamp(1), today: 2 };
        Evidence { reached: BTreeMap::from([("to".into(), to)]), ..Evidence::default() }
    }

    #[track_caller]
    fn check(to: &str, evidence: &Evidence, expected: (Verdict, &str)) {
        let judgement = policy(RULES).judge(&proposal(to), evidence, NIGHT);
        assert_eq!((judgement.verdict, judgement.rule.as_str()), expected);
    }

    #[test]
    fn the_strictest_rule_that_matches_stands() {
        let never = Evidence::default();
        check("eve@new.example", &never, (Verdict::Approve, "default"));
        check("ada@client.example", &never, (Verdict::Allow, "known"));
        check("eve@new.example", &reached(), (Verdict::Allow, "known"));
        check("x@spam.example", &reached(), (Verdict::Deny, "never-to-spam"));
    }

    #[test]
    fn every_combination_of_verdicts_gives_the_strictest() {
        for chosen in 1_u32..32 {
            let within = |index: usize| chosen & (1 << index) != 0;
            // Written from the most lenient to the strictest, so that order cannot be what decides.
            let rules: String = (0..5)
                .rev()
                .filter(|index| within(*index))
                .map(|index| {
                    let word = Verdict::ALL[index].word();
                    format!("[[rule]]\nname = '{word}'\nverdict = '{word}'\nreason = 'r'\n")
                })
                .collect();
            let mut asked = proposal("a@b.example");
            asked.redacted = vec!["redact".into()];
            let judgement = policy(&rules).judge(&asked, &Evidence::default(), NIGHT);
            let done = |index: &usize| Verdict::ALL[*index] != Verdict::Redact;
            let strictest = (0..5).filter(|index| within(*index)).find(done);
            let expected = strictest.map_or((Verdict::Approve, "default"), |index| {
                (Verdict::ALL[index], Verdict::ALL[index].word())
            });
            assert_eq!((judgement.verdict, judgement.rule.as_str()), expected, "{rules}");
        }
    }

    #[test]
    fn what_should_have_been_redacted_and_was_not_is_asked_about() {
        let rules = "[[rule]]\nname = 'no-iban'\nverdict = 'redact'\nreason = 'accounts stay here'\n\
            [[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'r'";
        let judgement = policy(rules).judge(&proposal("a@b.example"), &Evidence::default(), NIGHT);
        assert_eq!((judgement.verdict, judgement.rule.as_str()), (Verdict::Approve, "no-iban"));
        assert_eq!(
            judgement.reason,
            "it could not be redacted as the rule says: accounts stay here"
        );
    }

    #[test]
    fn a_rule_whose_condition_fails_asks_the_operator() {
        let mut broken = proposal("a@b.example");
        broken.connector = "crm".parse().unwrap();
        broken.operation = "write".parse().unwrap();
        let judgement = policy(RULES).judge(&broken, &Evidence::default(), NIGHT);
        assert_eq!(judgement.verdict, Verdict::Approve);
        assert!(
            judgement.reason.starts_with(
                "the rule's condition failed: `arguments.missing > 3` has no value: undefined"
            ),
            "{}",
            judgement.reason
        );
    }

    #[test]
    fn a_broken_rule_is_at_least_as_strict_as_it_says() {
        let broken = |verdict: &str| {
            let rule = format!(
                "[[rule]]\nname = 'x'\nwhen = 'arguments.missing'\nverdict = '{verdict}'\nreason = 'r'"
            );
            let mut asked = proposal("a@b.example");
            asked.redacted = vec!["x".into()];
            policy(&rule).judge(&asked, &Evidence::default(), NIGHT).verdict
        };
        assert_eq!(broken("deny"), Verdict::Deny);
        assert_eq!(broken("shadow"), Verdict::Shadow);
        for verdict in ["redact", "approve", "allow"] {
            assert_eq!(broken(verdict), Verdict::Approve, "{verdict}");
        }
    }

    #[test]
    fn what_takes_a_write_back_is_allowed_unless_a_rule_says_otherwise() {
        let back = Evidence { reverses: true, ..Evidence::default() };
        let judgement = policy("").judge(&proposal("a@b.example"), &back, NIGHT);
        assert_eq!((judgement.verdict, judgement.rule.as_str()), (Verdict::Allow, "default"));
        assert_eq!(judgement.reason, "it takes back what was approved with this remedy");
        check("x@spam.example", &back, (Verdict::Deny, "never-to-spam"));
    }

    #[test]
    fn a_judgement_carries_remedy_deadline_and_version() {
        let rules = "[[rule]]\nname = 'ask'\nverdict = 'approve'\nreason = 'why'\n\
            remedy = 'add it to the contacts'\ndeadline = '2d'\nat_deadline = 'approve'";
        let judgement =
            policy(rules).with_version(7).judge(&proposal("a@b.example"), &reached(), NIGHT);
        assert_eq!(
            judgement,
            Judgement {
                verdict: Verdict::Approve,
                rule: "ask".into(),
                reason: "why".into(),
                remedy: Some("add it to the contacts".into()),
                policy: 7,
                deadline: Some(Duration::from_secs(2 * 86_400)),
                approved_at_deadline: true,
            }
        );
    }

    #[test]
    fn of_two_rules_that_ask_the_one_that_cannot_be_waited_out_stands() {
        let rule = |name: &str, rest: &str| {
            format!("[[rule]]\nname = '{name}'\nverdict = 'approve'\nreason = 'r'\n{rest}\n")
        };
        let soon = rule("soon", "deadline = '1h'\nat_deadline = 'approve'");
        let late = rule("late", "deadline = '2d'\nat_deadline = 'approve'");
        let never = rule("never", "deadline = '1h'");
        let stands = |rules: &[&str]| {
            policy(&rules.concat()).judge(&proposal("a@b.example"), &reached(), NIGHT).rule
        };
        assert_eq!(stands(&[&soon, &late]), "late");
        assert_eq!(stands(&[&soon, &late, &never]), "never");
        assert_eq!(stands(&[&never, &soon]), "never");
    }

    /// Whether a rule with this condition matches a mail to ada at night, in Berlin.
    #[track_caller]
    fn holds(condition: &str) {
        let rules = format!(
            "timezone = 'Europe/Berlin'\n[[rule]]\nname = 'x'\nwhen = \"{condition}\"\nverdict = 'deny'\nreason = 'r'"
        );
        let mut asked = proposal("ada@client.example");
        asked.arguments =
            Payload::from_json(r#"{"to":"ada@client.example","text":"hello","cc":null}"#).unwrap();
        let text = Labels::untrusted("mail").readable_by(["Ada@client.example".into()]);
        asked.labels = BTreeMap::from([
            ("to".into(), Labels { integrity: Integrity::Owner, ..Labels::literal() }),
            ("text".into(), text.with_pii([Pii::TaxId])),
            ("cc".into(), Labels::literal()),
        ]);
        let evidence =
            Evidence { workflow: "answer".into(), agent: Some("draft".into()), ..reached() };
        let judgement = policy(&rules).judge(&asked, &evidence, NIGHT);
        assert_eq!(judgement.verdict, Verdict::Deny, "{condition}: {judgement:?}");
    }

    #[test]
    fn a_condition_sees_where_it_goes_what_it_says_and_where_that_comes_from() {
        holds("operation == 'mail.send' and arguments.text == 'hello'");
        holds(
            "routing.to.reached and routing.to.reached_at_ms == 1 and routing.to.reached_today == 2",
        );
        holds("routing.to.integrity == 'owner' and routing.to.readable");
        holds("labels.integrity == 'untrusted' and labels.pii == ['tax_id']");
        holds("labels.readers == ['Ada@client.example'] and 'mail' in labels.origin");
        holds("labels_of.to.integrity == 'owner' and labels_of.to.readers == 'anyone'");
        holds("semantics == 'opaque' and reversal == 'irreversible' and not reverses");
        holds("workflow == 'answer' and agent == 'draft'");
    }

    #[test]
    fn a_condition_sees_the_time_on_the_operators_clock() {
        holds("now.hour == 0 and now.minute == 30 and now.weekday == 'sun'");
        holds("now.date == '2026-11-22' and now.ms == 1795303800000");
    }

    #[test]
    fn an_argument_without_labels_is_untrusted_and_for_the_owner_alone() {
        let rules = "[[rule]]\nname = 'x'\nwhen = \"routing.to.integrity == 'untrusted' and not routing.to.readable and agent is none\"\nverdict = 'deny'\nreason = 'r'";
        let mut asked = proposal("ada@client.example");
        asked.arguments =
            Payload::from_json(r#"{"to":"ada@client.example","text":"hello"}"#).unwrap();
        let judgement = policy(rules).judge(&asked, &Evidence::default(), Timestamp(u64::MAX));
        assert_eq!(judgement.verdict, Verdict::Deny, "{judgement:?}");
    }
}
