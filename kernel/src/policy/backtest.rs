//! What another policy would have said of the cases on record, beside what was said and what became of them.
//!
//! Each case is judged as it was proposed, at the time it was, on what the kernel knew then. Where writes had landed is what really
//! landed: what another policy had let out or kept back does not change it. So a rule that counts, as
//! `sends_per_recipient_per_day_max`, is tried against the days as they were.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{Evidence, Judgement, Policy, Verdict};
use crate::{
    decisions::{Answer, Case, Fate, Hearing},
    effect::Proposal,
};

/// What a policy would have said of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The judgement.
    pub judgement: Judgement,
    /// The rules by which personal data would have been taken out.
    pub redacted: Vec<String>,
}

/// What another verdict would have come to, the most dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// It would have gone out, and it had been turned down.
    LetsOutTurnedDown,
    /// It would have gone out as it was, and it had been changed first.
    LetsOutEdited,
    /// It would have gone out, and policy had denied or shadowed it.
    LetsOutBarred,
    /// It would have gone out, and nobody has ever said that it may.
    LetsOutUnanswered,
    /// It would not have gone out, and it had landed.
    BarsLanded,
    /// It would not have gone out, and whether it was to has not been decided, or it did not land although it was to.
    BarsOther,
    /// The operator would have been asked, and it had gone out without.
    AsksMore,
    /// The operator would have been asked, and policy had denied or shadowed it.
    AsksBarred,
    /// It would have gone out, as it did, and the operator would not have been asked.
    Spares,
    /// It would not have gone out, as it did not, and the operator would not have been asked.
    SparesRefusal,
    /// The same verdict on a text from which something else was taken out.
    Redacts,
    /// Denied in the place of shadowed, or shadowed in the place of denied.
    BarsOtherwise,
    /// The same verdict by another rule.
    OtherRule,
}

/// A case of which the policy would have said something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'c> {
    /// The case.
    pub case: &'c Case,
    /// What would have been said.
    pub would: Heard,
    /// What that would have come to.
    pub consequence: Consequence,
}

/// A policy tried against the cases on record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backtest<'c> {
    /// How many cases there were.
    pub cases: usize,
    /// How often each verdict was given: as it was, and as it would have been.
    pub verdicts: BTreeMap<Verdict, (usize, usize)>,
    /// How often something was taken out: as it was, and as it would have been.
    pub redacted: (usize, usize),
    /// The cases that differ, the most dangerous first and then in the order in which they were proposed.
    pub differences: Vec<Difference<'c>>,
    /// Cases whose judgement the policy of the time does not give again: its lists are not on record, or it cannot be read any more.
    /// What the kernel knew then is a guess for them.
    pub unexplained: Vec<&'c Case>,
}

impl Policy {
    /// What this policy would have said of what was judged in `hearing`, on `evidence`.
    ///
    /// What it takes out of the content is taken out first. What the policy of the time has taken out is not on record, and stays
    /// out.
    #[must_use]
    pub fn hears(&self, hearing: &Hearing, evidence: &Evidence) -> Heard {
        let Hearing { proposal, at, .. } = hearing;
        let redaction =
            self.may_redact().then(|| self.take_out(proposal, evidence, *at, &|_| false));
        let Some(redaction) = redaction.flatten() else {
            let redacted = self.still_redacts(&proposal.redacted);
            return Heard { judgement: self.judge(proposal, evidence, *at), redacted };
        };
        let mut redacted = proposal.redacted.clone();
        redacted.extend(redaction.rules);
        let proposal = Proposal { arguments: redaction.arguments, redacted, ..proposal.clone() };
        let judgement = self.judge(&proposal, evidence, *at);
        Heard { judgement, redacted: self.still_redacts(&proposal.redacted) }
    }

    /// Whether any of its rules takes something out: most policies have none, and need not look twice.
    fn may_redact(&self) -> bool {
        self.rules.iter().any(|rule| rule.verdict == Verdict::Redact)
            || self.builtins.settings().contains_key("redact_pii")
    }

    /// Those of the rules called `names` that this policy has as well.
    fn still_redacts(&self, names: &[String]) -> Vec<String> {
        let has = |name: &&String| {
            self.builtins.settings().contains_key(name.as_str())
                || self.rules.iter().any(|rule| rule.name == **name)
        };
        names.iter().filter(has).cloned().collect()
    }

    /// Whether this policy, asked again what was asked in `hearing`, says the same on `evidence`.
    #[must_use]
    pub fn says_again(&self, hearing: &Hearing, evidence: &Evidence) -> bool {
        let Hearing { proposal, judgement: was, at, .. } = hearing;
        let again = self.judge(proposal, evidence, *at);
        (again.verdict, &again.rule, &again.reason) == (was.verdict, &was.rule, &was.reason)
    }

    /// Tries this policy against `cases`. `versions` are the policies that were in force, by version.
    #[must_use]
    pub fn backtest<'c>(&self, cases: &'c [Case], versions: &BTreeMap<u32, Self>) -> Backtest<'c> {
        let mut found = Backtest { cases: cases.len(), ..Backtest::default() };
        for case in cases {
            let evidence = match seen(case.first(), versions) {
                Some(evidence) => evidence,
                None => {
                    found.unexplained.push(case);
                    &case.first().evidence
                }
            };
            found.add(case, self.hears(case.first(), evidence));
        }
        found.differences.sort_by_key(|difference| difference.consequence);
        found
    }
}

/// What the kernel knew when it judged: of what it may have known, that on which the policy of the time says what it said. `None`
/// if it says so on none of it.
#[must_use]
pub fn seen<'h>(hearing: &'h Hearing, versions: &BTreeMap<u32, Policy>) -> Option<&'h Evidence> {
    let policy = versions.get(&hearing.judgement.policy)?;
    let all = std::iter::once(&hearing.evidence).chain(&hearing.earlier);
    all.into_iter().find(|evidence| policy.says_again(hearing, evidence))
}

impl<'c> Backtest<'c> {
    fn add(&mut self, case: &'c Case, would: Heard) {
        let was = case.first();
        self.verdicts.entry(was.judgement.verdict).or_default().0 += 1;
        self.verdicts.entry(would.judgement.verdict).or_default().1 += 1;
        self.redacted.0 += usize::from(!was.proposal.redacted.is_empty());
        self.redacted.1 += usize::from(!would.redacted.is_empty());
        if let Some(consequence) = consequence(case, &would) {
            self.differences.push(Difference { case, would, consequence });
        }
    }

    /// The differences of one consequence.
    pub fn of(&self, consequence: Consequence) -> impl Iterator<Item = &Difference<'c>> {
        self.differences.iter().filter(move |found| found.consequence == consequence)
    }

    /// The median time that those had waited which the operator would not have had to approve.
    #[must_use]
    pub fn spared_median(&self) -> Option<Duration> {
        let mut waited: Vec<Duration> =
            self.of(Consequence::Spares).filter_map(|found| found.case.waited).collect();
        waited.sort_unstable();
        waited.get(waited.len() / 2).copied()
    }

    /// All of it as JSON: keys are added and not taken away.
    #[must_use]
    pub fn view(&self) -> Value {
        let verdicts: BTreeMap<&str, Value> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Redact)
            .map(|verdict| {
                let (was, would) = self.verdicts.get(&verdict).copied().unwrap_or_default();
                (verdict.word(), json!({ "was": was, "would": would }))
            })
            .collect();
        let counts: BTreeMap<&str, usize> =
            Consequence::ALL.map(|one| (one.word(), self.of(one).count())).into();
        let median = self.spared_median();
        json!({
            "cases": self.cases,
            "verdicts": verdicts,
            "redacted": { "was": self.redacted.0, "would": self.redacted.1 },
            "consequences": counts,
            "spared_median_ms": median.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            "differences": self.differences.iter().map(Difference::view).collect::<Vec<_>>(),
            "unexplained": self.unexplained.iter().map(|case| {
                let first = case.first();
                json!({ "run": case.run, "seq": first.seq, "policy": first.judgement.policy })
            }).collect::<Vec<_>>(),
            "evidence": "where writes had landed is what really landed",
        })
    }
}

impl Difference<'_> {
    fn view(&self) -> Value {
        let Heard { judgement, redacted } = &self.would;
        json!({
            "consequence": self.consequence.word(),
            "says": self.consequence.says(),
            "would": {
                "verdict": judgement.verdict,
                "rule": judgement.rule,
                "reason": judgement.reason,
                "redacted": redacted,
            },
            "case": self.case.view(),
        })
    }
}

/// The verdict that `would` comes to: one that asks until a deadline comes to what counts then, if the answer came later than that.
fn in_time(case: &Case, would: &Judgement) -> Verdict {
    let was = &case.first().judgement;
    let waits = |judgement: &Judgement| (judgement.deadline, judgement.approved_at_deadline);
    let is_late = || case.waited.zip(would.deadline).is_some_and(|(waited, until)| waited > until);
    let both_ask = was.verdict == Verdict::Approve && would.verdict == Verdict::Approve;
    match would.verdict {
        Verdict::Approve if both_ask && waits(was) != waits(would) && is_late() => {
            if would.approved_at_deadline { Verdict::Allow } else { Verdict::Deny }
        }
        verdict => verdict,
    }
}

/// What it comes to that `would` is said of `case`; `None` if the same was said, by the same rule.
pub(super) fn consequence(case: &Case, would: &Heard) -> Option<Consequence> {
    use {Consequence as C, Verdict as V};
    let was = case.first();
    let same_rule = was.judgement.rule == would.judgement.rule;
    let same_text = was.proposal.redacted == would.redacted;
    let barred = |verdict| matches!(verdict, V::Deny | V::Shadow);
    Some(match (was.judgement.verdict, in_time(case, &would.judgement)) {
        (a, b) if a == b => match (same_text, same_rule) {
            (true, true) => return None,
            (false, _) => C::Redacts,
            (true, false) => C::OtherRule,
        },
        (a, V::Allow) if barred(a) => C::LetsOutBarred,
        (_, V::Allow) => match case.answer {
            Answer::TurnedDown | Answer::LapsedRefused => C::LetsOutTurnedDown,
            Answer::Edited => C::LetsOutEdited,
            Answer::Approved | Answer::LapsedApproved => C::Spares,
            Answer::NotAsked | Answer::Waiting | Answer::Overruled | Answer::Dropped => {
                C::LetsOutUnanswered
            }
        },
        (a, b) if barred(a) && barred(b) => C::BarsOtherwise,
        (_, b) if barred(b) => match (case.fate, case.answer) {
            (Fate::Landed | Fate::InDoubt, _) => C::BarsLanded,
            (_, Answer::TurnedDown | Answer::LapsedRefused) => C::SparesRefusal,
            _ => C::BarsOther,
        },
        (V::Allow, _) => C::AsksMore,
        _ => C::AsksBarred,
    })
}

impl Consequence {
    /// All of them, the most dangerous first.
    pub const ALL: [Self; 13] = [
        Self::LetsOutTurnedDown,
        Self::LetsOutEdited,
        Self::LetsOutBarred,
        Self::LetsOutUnanswered,
        Self::BarsLanded,
        Self::BarsOther,
        Self::AsksMore,
        Self::AsksBarred,
        Self::Spares,
        Self::SparesRefusal,
        Self::Redacts,
        Self::BarsOtherwise,
        Self::OtherRule,
    ];

    /// The consequence in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LetsOutTurnedDown => "lets_out_turned_down",
            Self::LetsOutEdited => "lets_out_edited",
            Self::LetsOutBarred => "lets_out_barred",
            Self::LetsOutUnanswered => "lets_out_unanswered",
            Self::BarsLanded => "bars_landed",
            Self::BarsOther => "bars_other",
            Self::AsksMore => "asks_more",
            Self::AsksBarred => "asks_barred",
            Self::Spares => "spares",
            Self::SparesRefusal => "spares_refusal",
            Self::Redacts => "redacts",
            Self::BarsOtherwise => "bars_otherwise",
            Self::OtherRule => "other_rule",
        }
    }

    /// The consequence for a person.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::LetsOutTurnedDown => "would have gone out, and was turned down",
            Self::LetsOutEdited => "would have gone out as it was, and was changed first",
            Self::LetsOutBarred => "would have gone out, and policy kept it in",
            Self::LetsOutUnanswered => "would have gone out, and nobody has said that it may",
            Self::BarsLanded => "would not have gone out, and landed",
            Self::BarsOther => "would not have gone out, and did not land either",
            Self::AsksMore => "would have been asked about, and went out without",
            Self::AsksBarred => "would have been asked about, and policy kept it in",
            Self::Spares => "would have gone out without your approval",
            Self::SparesRefusal => "would have been kept in without you",
            Self::Redacts => "something else would have been taken out of it",
            Self::BarsOtherwise => "denied in the place of shadowed, or the other way round",
            Self::OtherRule => "the same, by another rule",
        }
    }

    /// Whether something would have gone out that somebody had kept in or changed.
    #[must_use]
    pub fn is_dangerous(self) -> bool {
        self <= Self::LetsOutUnanswered
    }
}

impl Policy {
    /// This policy with the rules of `other` behind its own. Rules of the same name stay this policy's.
    #[must_use]
    pub fn with_rules_of(mut self, other: &Self) -> Self {
        let new = |name: &str| !self.rules.iter().any(|rule| rule.name == name);
        let rules: Vec<_> = other.rules.iter().filter(|rule| new(&rule.name)).cloned().collect();
        self.rules.extend(rules);
        self
    }

    /// The names of its rules.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }
}

#[cfg(test)]
mod tests;
