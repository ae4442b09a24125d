//! What a newer policy changes: every setting by its place, compared.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    Policy,
    rule::{Rule, class_words},
};

/// One difference between two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// Where: "rule `known`, field `when`".
    pub place: String,
    /// What it was; absent if there was nothing.
    pub before: Option<String>,
    /// What it is; absent if there is nothing any more.
    pub after: Option<String>,
}

impl fmt::Display for PolicyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {place}: {after}"),
            (Some(before), None) => write!(f, "- {place}: {before}"),
            (before, after) => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_default();
                write!(f, "~ {place}: {} → {}", shown(before), shown(after))
            }
        }
    }
}

impl Policy {
    /// What `newer` changes in how it judges, place by place. Comments, examples and the order of rules make no difference.
    #[must_use]
    pub fn diff(&self, newer: &Self) -> Vec<PolicyChange> {
        let mut changes = vec![];
        let zones =
            [self, newer].map(|policy| BTreeMap::from([("timezone", policy.timezone.to_string())]));
        changes.extend(compare(&zones[0], &zones[1], |name| (*name).to_owned()));
        changes.extend(self.lists(newer));
        let builtins = [self, newer].map(|policy| policy.builtins.settings());
        let place = |name: &&str| format!("built-in `{name}`");
        changes.extend(compare(&builtins[0], &builtins[1], place));
        changes.extend(self.rules(newer));
        changes
    }

    fn lists(&self, newer: &Self) -> Vec<PolicyChange> {
        let entries = |policy: &Self| -> BTreeMap<(String, String), String> {
            let entries = policy.lists.iter().flat_map(|(list, entries)| {
                entries.iter().map(move |entry| ((list.clone(), entry.clone()), entry.clone()))
            });
            entries.collect()
        };
        compare(&entries(self), &entries(newer), |(list, _)| format!("list `{list}`"))
    }

    fn rules(&self, newer: &Self) -> Vec<PolicyChange> {
        let named = |policy: &Self| -> BTreeMap<String, Rule> {
            policy.rules.iter().map(|rule| (rule.name.clone(), rule.clone())).collect()
        };
        let (before, after) = (named(self), named(newer));
        let mut changes = vec![];
        for (name, rule) in &before {
            if let Some(other) = after.get(name) {
                let place = |field: &&str| format!("rule `{name}`, field `{field}`");
                changes.extend(compare(&settings(rule), &settings(other), place));
            }
        }
        let only = |rules: &BTreeMap<String, Rule>, others: &BTreeMap<String, Rule>| {
            let only = rules.iter().filter(|(name, _)| !others.contains_key(*name));
            only.map(|(name, rule)| (name.clone(), summary(rule))).collect::<BTreeMap<_, _>>()
        };
        let (gone, new) = (only(&before, &after), only(&after, &before));
        changes.extend(compare(&gone, &new, |name| format!("rule `{name}`")));
        changes
    }
}

/// What is another in `after`, or not there, then what is only there.
fn compare<K: Ord>(
    before: &BTreeMap<K, String>,
    after: &BTreeMap<K, String>,
    place: impl Fn(&K) -> String,
) -> Vec<PolicyChange> {
    let change = |key: &K| {
        let (before, after) = (before.get(key).cloned(), after.get(key).cloned());
        (before != after).then(|| PolicyChange { place: place(key), before, after })
    };
    let new = after.keys().filter(|key| !before.contains_key(*key));
    before.keys().chain(new).filter_map(change).collect()
}

/// A rule's fields as text.
fn settings(rule: &Rule) -> BTreeMap<&'static str, String> {
    let deadline = rule.deadline.map(|deadline| format!("{deadline:?}"));
    let at_deadline = if rule.approved_at_deadline { "approve" } else { "abort" };
    let settings = [
        ("operation", rule.operation.clone()),
        ("when", rule.when.as_ref().map(|when| when.source().to_owned())),
        ("verdict", Some(rule.verdict.to_string())),
        ("reason", Some(rule.reason.clone())),
        ("remedy", rule.remedy.clone()),
        ("redact", class_words(&rule.redact)),
        ("at_deadline", deadline.as_ref().map(|_| at_deadline.to_owned())),
        ("deadline", deadline),
    ];
    settings.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

/// A rule in a line.
fn summary(rule: &Rule) -> String {
    let operation = rule.operation.as_deref().unwrap_or("every operation");
    match &rule.when {
        Some(when) => format!("{} {operation} when {}", rule.verdict, when.source()),
        None => format!("{} {operation}", rule.verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_every_setting_that_judges_otherwise() {
        let policy = |source: &str| {
            Policy::parse("policy.toml", source).unwrap_or_else(|problems| panic!("{problems:?}"))
        };
        let older = policy(
            "[lists]\ncontacts = ['ada@x.example', 'bob@x.example']\n\
            [builtin]\nreaders_only = true\nsends_per_recipient_per_day_max = 2\n\
            [[rule]]\nname = 'kept'\nwhen = 'routing.to.reached'\nverdict = 'allow'\nreason = 'r'\n\
            [[rule]]\nname = 'gone'\nverdict = 'deny'\nreason = 'r'\n",
        );
        let newer = policy(
            "timezone = 'Europe/Berlin' # ours\n[lists]\ncontacts = ['ada@x.example', 'cy@x.example']\n\
            [builtin]\nsends_per_recipient_per_day_max = 3\nquiet_hours = { from = '22:00', to = '07:00' }\n\
            [[rule]]\nname = 'new'\noperation = 'mail.send'\nwhen = 'reverses'\nverdict = 'deny'\nreason = 'r'\n\
            [[rule]]\nname = 'kept'\nverdict = 'approve'\nreason = 'r'\ndeadline = '2h'\n",
        );
        let shown: Vec<String> = older.diff(&newer).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "~ timezone: UTC → Europe/Berlin",
                "- list `contacts`: bob@x.example",
                "+ list `contacts`: cy@x.example",
                "- built-in `readers_only`: on",
                "~ built-in `sends_per_recipient_per_day_max`: 2 → 3",
                "+ built-in `quiet_hours`: 22:00 to 07:00",
                "~ rule `kept`, field `verdict`: allow → approve",
                "- rule `kept`, field `when`: routing.to.reached",
                "+ rule `kept`, field `at_deadline`: abort",
                "+ rule `kept`, field `deadline`: 7200s",
                "- rule `gone`: deny every operation",
                "+ rule `new`: deny mail.send when reverses",
            ]
        );
        assert_eq!(older.diff(&older), []);
    }
}
