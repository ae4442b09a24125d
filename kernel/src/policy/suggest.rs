//! Rules that the record supports: what the operator has always approved as it was, and what he has always turned down.
//!
//! Its rule: **nothing is proposed that the record speaks against**. Each rule is tried over all cases before it is shown, behind the
//! policy it would stand in, and one that would have let out what was turned down, changed or kept in, or kept in what was
//! approved, is dropped or narrowed. What it covers and how sure that makes it is shown with it; nothing is set by it.
//!
//! A rule that allows names the operation, the workflow and the agent, and for each argument that says where a write goes that it
//! is vouched for, has been written to before and may read the content. What a careful operator would not leave to a rule needs
//! leave: see [`Risk`]. `scope.rs` has the conditions, `risk.rs` tells what is about money and which domains are everybody's.

mod risk;
mod scope;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use self::{
    risk::is_everybodys,
    scope::{Clause, condition},
};
use super::{
    Consequence, DEFAULT_RULE, Evidence, Policy, Verdict,
    backtest::{Heard, seen},
};
use crate::{
    decisions::{Answer, Case},
    semantics::Reversal,
    time::Timestamp,
};

/// Most values that rules for one value each are looked for among, in one group of cases: the most frequent ones.
const VALUES_MAX: usize = 32;

/// What is not left to a rule unless the operator says that it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// What cannot be taken back may go where no write has landed before.
    NewPlaces,
    /// It may go where somebody outside chose, and nothing vouches for.
    Untrusted,
    /// It is about money, up to the highest amount that was approved.
    Money,
}

/// What rules are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Fewest cases that a rule must rest on.
    pub min: usize,
    /// What may be left to a rule.
    pub also: BTreeSet<Risk>,
}

/// A rule that the record supports.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion<'c> {
    /// Its name.
    pub name: String,
    /// `allow` or `deny`.
    pub verdict: Verdict,
    /// The operation it is about.
    pub operation: String,
    /// Its condition.
    pub when: String,
    /// The rule in TOML, to be put at the end of a policy.
    pub text: String,
    /// The cases it rests on: all that it would have decided and that were answered.
    pub cases: Vec<&'c Case>,
    /// Cases of the same operation, workflow and agent that were answered otherwise, and that it keeps out of.
    pub exceptions: Vec<&'c Case>,
    /// How often it is right at least, with a confidence of 95 %: Wilson's lower bound.
    pub bound: f64,
    /// Cases it would have decided that nobody has answered.
    pub unanswered: usize,
    /// The median time for which the cases it rests on had waited.
    pub waited: Option<Duration>,
}

/// Cases that would support a rule, were it not for a risk that was not given leave for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The operation.
    pub operation: String,
    /// The workflow.
    pub workflow: String,
    /// The agent, if one proposes it.
    pub agent: Option<String>,
    /// What leave is needed for.
    pub risks: BTreeSet<Risk>,
    /// How many cases were approved as they were.
    pub cases: usize,
}

/// What the record supports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestions<'c> {
    /// How many cases the operator has answered.
    pub answered: usize,
    /// The rules, that with the most cases first.
    pub rules: Vec<Suggestion<'c>>,
    /// What was held back.
    pub held_back: Vec<HeldBack>,
}

/// What an answered case says for a rule that would allow it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// It was approved as it was, and stayed.
    Yes,
    /// It was turned down.
    No,
    /// It was changed, taken back later, or nobody said yes in time.
    Neither,
}

/// A case that is still asked about, and what it says.
#[derive(Clone, Copy)]
struct Answered<'c> {
    case: &'c Case,
    evidence: &'c Evidence,
    says: Says,
    /// Whether the operator is asked because no rule says anything.
    by_default: bool,
}

/// Whoever proposes the same: an operation in a workflow by an agent.
type Group<'c> = (String, String, Option<&'c str>);

impl Policy {
    /// The rules that `cases` support, for this policy. `versions` are the policies that were in force, by version.
    #[must_use]
    pub fn suggest<'c>(
        &self,
        cases: &'c [Case],
        versions: &BTreeMap<u32, Self>,
        wanted: &Wanted,
    ) -> Suggestions<'c> {
        let mut by_operation = BTreeMap::<String, Vec<&Case>>::new();
        let mut groups = BTreeMap::<Group<'c>, Vec<Answered<'c>>>::new();
        for case in cases {
            by_operation.entry(case.operation()).or_default().push(case);
            if let Some(answered) = self.answered(case, versions) {
                let evidence = answered.evidence;
                let group =
                    (case.operation(), evidence.workflow.clone(), evidence.agent.as_deref());
                groups.entry(group).or_default().push(answered);
            }
        }
        let answered = groups.values().map(Vec::len).sum();
        let mut search = Search {
            policy: self,
            versions,
            wanted,
            names: self.rule_names().map(ToOwned::to_owned).collect(),
            found: Suggestions { answered, ..Suggestions::default() },
        };
        for (group, answered) in &groups {
            let all = &by_operation[&group.0];
            search.denials(group, answered, all);
            search.permits(group, answered, all);
        }
        let mut found = search.found;
        found.rules.sort_by_key(|rule| std::cmp::Reverse(rule.cases.len()));
        found
    }

    /// What `case` says, if the operator has answered it himself and would still be asked.
    fn answered<'c>(&self, case: &'c Case, versions: &BTreeMap<u32, Self>) -> Option<Answered<'c>> {
        let says = match case.answer {
            Answer::Approved if case.taken_back => Says::Neither,
            Answer::Approved => Says::Yes,
            Answer::TurnedDown => Says::No,
            Answer::Edited | Answer::LapsedRefused => Says::Neither,
            Answer::NotAsked
            | Answer::Waiting
            | Answer::LapsedApproved
            | Answer::Overruled
            | Answer::Dropped => return None,
        };
        if case.reverses() || case.is_answered_by_agent() {
            return None;
        }
        let first = case.first();
        let evidence = seen(first, versions).unwrap_or(&first.evidence);
        let now = self.hears(first, evidence).judgement;
        let asked = now.verdict == Verdict::Approve;
        asked.then(|| Answered { case, evidence, says, by_default: now.rule == DEFAULT_RULE })
    }
}

struct Search<'s, 'c> {
    policy: &'s Policy,
    versions: &'s BTreeMap<u32, Policy>,
    wanted: &'s Wanted,
    /// Names of rules that there are.
    names: BTreeSet<String>,
    found: Suggestions<'c>,
}

impl<'c> Search<'_, 'c> {
    /// Rules that deny what was always turned down.
    fn denials(&mut self, group: &Group<'c>, answered: &[Answered<'c>], all: &[&'c Case]) {
        let base = [Clause::proposer(group), vec![Clause::NotReversing]].concat();
        let turned_down: Vec<_> = of(answered, Says::No).collect();
        for clauses in self.narrowed(&base, &turned_down, answered, Says::No) {
            self.propose(group, Verdict::Deny, &clauses, answered, all);
        }
    }

    /// Rules that allow what was always approved, the strictest first. What one covers is not looked at again.
    fn permits(&mut self, group: &Group<'c>, answered: &[Answered<'c>], all: &[&'c Case]) {
        let mut open: Vec<_> =
            of(answered, Says::Yes).filter(|one| one.by_default).copied().collect();
        for (trusted, reached) in [(true, true), (true, false), (false, true), (false, false)] {
            if open.len() < self.wanted.min {
                return;
            }
            let Some(base) = scope::guarded(group, &open, trusted, reached) else { continue };
            let within: Vec<_> =
                open.iter().filter(|one| scope::hold(&base, one)).copied().collect();
            let risks: BTreeSet<_> = risks(&within, trusted, reached).collect();
            let missing: BTreeSet<_> = risks.difference(&self.wanted.also).copied().collect();
            let within: Vec<_> = within.iter().collect();
            for clauses in self.narrowed(&base, &within, answered, Says::Yes) {
                let covers = |one: &Answered<'_>| scope::hold(&clauses, one);
                let covered = open.iter().filter(|one| covers(one)).count();
                if covered < self.wanted.min {
                    continue;
                }
                if !missing.is_empty() {
                    self.hold_back(group, &missing, covered);
                } else if self.propose(group, Verdict::Allow, &clauses, answered, all) {
                    open.retain(|one| !covers(one));
                }
            }
        }
    }

    fn hold_back(&mut self, group: &Group<'c>, risks: &BTreeSet<Risk>, cases: usize) {
        let (operation, workflow, agent) = group.clone();
        let agent = agent.map(ToOwned::to_owned);
        let held = &mut self.found.held_back;
        let same = |one: &HeldBack| {
            (&one.operation, &one.workflow, &one.agent) == (&operation, &workflow, &agent)
                && one.risks.is_subset(risks)
        };
        // Leave for less is what matters.
        if !held.iter().any(same) {
            held.push(HeldBack { operation, workflow, agent, risks: risks.clone(), cases });
        }
    }

    /// `base`, if of what it holds of everything says `says`; else what of it does: for a domain, then for a single value.
    fn narrowed(
        &self,
        base: &[Clause],
        within: &[&Answered<'c>],
        answered: &[Answered<'c>],
        says: Says,
    ) -> Vec<Vec<Clause>> {
        let min = self.wanted.min;
        let clean = |clauses: &[Clause]| {
            answered.iter().all(|one| one.says == says || !scope::hold(clauses, one))
        };
        if within.len() < min {
            return vec![];
        }
        if clean(base) {
            return vec![base.to_vec()];
        }
        let arguments: BTreeSet<&String> =
            within.iter().flat_map(|one| one.case.first().proposal.routing.keys()).collect();
        let mut found: Vec<Vec<Clause>> = vec![];
        for argument in arguments {
            for one in candidates(argument, within) {
                let clauses = [base, &[one]].concat();
                let is_new = |one: &&&Answered<'_>| {
                    scope::hold(&clauses, one) && !found.iter().any(|had| scope::hold(had, one))
                };
                if within.iter().filter(is_new).count() >= min && clean(&clauses) {
                    found.push(clauses);
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }

    /// Proposes a rule, unless trying it over all cases of its operation speaks against it. Tells whether it did.
    fn propose(
        &mut self,
        group: &Group<'c>,
        verdict: Verdict,
        clauses: &[Clause],
        answered: &[Answered<'c>],
        all: &[&'c Case],
    ) -> bool {
        let name = self.name(group, verdict, clauses);
        let when = condition(clauses);
        let supports = if verdict == Verdict::Allow { Says::Yes } else { Says::No };
        let draft = |reason: &str| scope::rule(&name, &group.0, &when, verdict, reason);
        let Ok(rule) = Policy::parse(&name, &draft("the record supports it")) else { return false };
        let with = self.policy.clone().with_rules_of(&rule);
        let (mut cases, mut unanswered) = (vec![], 0);
        for case in all {
            let first = case.first();
            let evidence = seen(first, self.versions).unwrap_or(&first.evidence);
            let would = with.hears(first, evidence);
            if would.judgement.rule != name {
                continue;
            }
            if speaks_against(case, &would) {
                return false;
            }
            match answered.iter().find(|one| std::ptr::eq(one.case, *case)) {
                Some(one) if one.says == supports => cases.push(*case),
                Some(_) => return false,
                None => unanswered += 1,
            }
        }
        if cases.len() < self.wanted.min {
            return false;
        }
        let said = if verdict == Verdict::Allow { "approved as they were" } else { "turned down" };
        let (from, to) = (day(cases[0].at()), day(cases[cases.len() - 1].at()));
        let count = cases.len();
        let reason = format!("{count} of {count} like it were {said}, from {from} to {to}");
        let exceptions = answered.iter().filter(|one| one.says != supports);
        let mut waited: Vec<Duration> = cases.iter().filter_map(|case| case.waited).collect();
        waited.sort_unstable();
        self.found.rules.push(Suggestion {
            text: draft(&reason),
            verdict,
            operation: group.0.clone(),
            when,
            exceptions: exceptions.map(|one| one.case).collect(),
            bound: wilson(count, count),
            unanswered,
            waited: waited.get(waited.len() / 2).copied(),
            cases,
            name: name.clone(),
        });
        self.names.insert(name);
        true
    }

    /// A name that no rule has: what it is about, and where that goes.
    fn name(&self, group: &Group<'c>, verdict: Verdict, clauses: &[Clause]) -> String {
        let place = clauses.iter().find_map(Clause::place);
        let place = place.map(|place| format!("-to-{place}")).unwrap_or_default();
        let plain: String = format!("{verdict}-{}-of-{}{place}", group.0, group.1)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || ".@_-".contains(c) { c } else { '-' })
            .take(80)
            .collect();
        let mut names =
            std::iter::once(plain.clone()).chain((2..).map(|number| format!("{plain}-{number}")));
        names.find(|name| !self.names.contains(name)).unwrap_or(plain)
    }
}

fn of<'a, 'c>(answered: &'a [Answered<'c>], says: Says) -> impl Iterator<Item = &'a Answered<'c>> {
    answered.iter().filter(move |one| one.says == says)
}

/// What leave a rule over `within` needs that does not ask whether places are vouched for, or whether they were reached.
fn risks(
    within: &[Answered<'_>],
    trusted: bool,
    reached: bool,
) -> impl Iterator<Item = Risk> + use<> {
    let final_ones =
        |one: &Answered<'_>| one.case.first().proposal.reversal == Reversal::Irreversible;
    let routed = within.iter().any(|one| !one.case.first().proposal.routing.is_empty());
    let new_places = routed && !reached && within.iter().any(final_ones);
    let money = within.iter().any(|one| risk::is_money(one.case));
    let risks = [
        (new_places, Risk::NewPlaces),
        (routed && !trusted, Risk::Untrusted),
        (money, Risk::Money),
    ];
    risks.into_iter().filter(|(there, _)| *there).map(|(_, risk)| risk)
}

/// Clauses that narrow a scope to a part of what `argument` says: to a domain that is somebody's, then to a value.
fn candidates(argument: &str, within: &[&Answered<'_>]) -> Vec<Clause> {
    let (mut domains, mut values) = (BTreeMap::new(), BTreeMap::new());
    for one in within {
        let Some(value) = one.case.first().proposal.routing.get(argument) else { continue };
        *values.entry(value.clone()).or_insert(0_usize) += 1;
        if let Some((_, domain)) = value.rsplit_once('@').filter(|(_, it)| !is_everybodys(it)) {
            *domains.entry(domain.to_owned()).or_insert(0) += 1;
        }
    }
    let frequent = |counts: BTreeMap<String, usize>| {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().take(VALUES_MAX).map(|(text, _)| text)
    };
    let argument = argument.to_owned();
    let domains = frequent(domains).map(|domain| Clause::Domain(argument.clone(), domain));
    let values = frequent(values).map(|value| Clause::Value(argument.clone(), value));
    domains.chain(values).collect()
}

/// Whether the record says that a rule should not have decided `case` as it `would`.
fn speaks_against(case: &Case, would: &Heard) -> bool {
    super::backtest::consequence(case, would).is_some_and(|consequence| match consequence {
        Consequence::LetsOutTurnedDown
        | Consequence::LetsOutEdited
        | Consequence::LetsOutBarred
        | Consequence::BarsLanded => true,
        Consequence::LetsOutUnanswered
        | Consequence::BarsOther
        | Consequence::AsksMore
        | Consequence::AsksBarred
        | Consequence::Spares
        | Consequence::SparesRefusal
        | Consequence::Redacts
        | Consequence::BarsOtherwise
        | Consequence::OtherRule => false,
    })
}

/// `2026-11-21`
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// The lower end of Wilson's 95 % interval for `right` of `all`: what the share of the right ones is at least, as far as so few tell.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^52")]
pub fn wilson(right: usize, all: usize) -> f64 {
    const Z: f64 = 1.959_963_985;
    if all == 0 {
        return 0.0;
    }
    let (count, share) = (all as f64, right as f64 / all as f64);
    let square = Z * Z;
    let middle = share + square / (2.0 * count);
    let spread = Z * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    ((middle - spread) / (1.0 + square / count)).max(0.0)
}

#[cfg(test)]
mod tests;
