//! From a policy's text to a policy, with every problem on the way.

use std::{collections::BTreeMap, str::FromStr};

use chrono_tz::{TZ_VARIANTS, Tz};

use super::{
    LIST_ENTRIES_MAX, POLICY_BYTES_MAX, Policy, PolicyProblem, builtin, example,
    fields::{Fields, Said},
    rule::{self, Rule},
};
use crate::workflow::nearest;

/// Reads and checks `source` whole.
pub(super) fn read(file: &str, source: &str) -> Result<Policy, Vec<PolicyProblem>> {
    let mut fields = Fields::of_file(file, table(file, source)?);
    let timezone = fields.text("timezone").and_then(|name| {
        let zone = zone(&name);
        fields.take("timezone", zone)
    });
    let lists = lists(&mut fields);
    let builtins = builtin::read(&mut fields);
    let (rules, names) = rules(&mut fields, &lists);
    let examples = example::read(&mut fields, &names);
    let problems = fields.finish();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Policy {
        version: 0,
        source: source.into(),
        timezone: timezone.unwrap_or_default(),
        lists,
        added: BTreeMap::new(),
        builtins,
        rules,
        examples,
    })
}

/// The text's tables, if it is TOML and not too long.
fn table(file: &str, source: &str) -> Result<toml::Table, Vec<PolicyProblem>> {
    let problem = |message: String, help: &str| {
        let help = Some(help.to_owned());
        vec![PolicyProblem { file: file.into(), rule: None, field: None, message, help }]
    };
    if source.len() > POLICY_BYTES_MAX {
        let message =
            format!("the policy has {} bytes and the limit is {POLICY_BYTES_MAX}", source.len());
        return Err(problem(message, "keep long lists in the system that owns them"));
    }
    source.parse().map_err(|error: toml::de::Error| {
        let before = |start: usize| source.as_bytes()[..start.min(source.len())].iter();
        let line =
            error.span().map(|span| before(span.start).filter(|byte| **byte == b'\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let message = format!("{at}{}", error.message().trim_end());
        problem(message, "see `docs/policy.md` for what a policy holds")
    })
}

fn zone(name: &str) -> Result<Tz, Said> {
    Tz::from_str(name).map_err(|_| {
        let near = nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name()));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name it as the IANA does, as in `Europe/Berlin`".to_owned(),
        };
        (format!("there is no time zone `{name}`"), Some(help))
    })
}

fn lists(fields: &mut Fields) -> BTreeMap<String, Vec<String>> {
    let Some(mut table) = fields.table("lists") else { return BTreeMap::new() };
    let lists = table.lists();
    for (name, entries) in &lists {
        if entries.len() > LIST_ENTRIES_MAX {
            let message =
                format!("it has {} entries and the limit is {LIST_ENTRIES_MAX}", entries.len());
            table.problem(name, message, Some("keep it in the system that owns it"));
        }
    }
    fields.absorb(table);
    lists.into_iter().collect()
}

/// The rules, and the names of all that are written, also of those with problems.
fn rules(fields: &mut Fields, lists: &BTreeMap<String, Vec<String>>) -> (Vec<Rule>, Vec<String>) {
    let lists: Vec<String> = lists.keys().cloned().collect();
    let (mut rules, mut names) = (vec![], vec![]);
    for mut table in fields.tables("rule") {
        rules.extend(rule::read(&mut table, &mut names, &lists));
        fields.absorb(table);
    }
    (rules, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        let problems = Policy::parse("policy.toml", source).expect_err("the policy is wrong");
        let problems: Vec<_> = problems.iter().map(PolicyProblem::to_string).collect();
        assert_eq!(problems, expected);
    }

    #[test]
    fn every_problem_is_reported_with_file_rule_and_field() {
        check(
            r#"
            timezone = "Europe/Berlim"
            rules = []
            [lists]
            contacts = "ada@client.example"
            [[rule]]
            name = "x"
            wen = "true"
            operation = "mail"
            verdict = "alow"
            [[rule]]
            name = "x"
            when = "sender.known and routing.to.recahed and now.hours"
            verdict = "allow"
            reason = ""
            [[rule]]
            when = "1 +"
            verdict = "approve"
            reason = 3
            at_deadline = "later"
            [[rule]]
            name = "default"
            when = "routing.to.value in lists.contatcs"
            verdict = "deny"
            reason = ""
            redact = ["iban", "name"]
            deadline = "2y"
            "#,
            &[
                "policy.toml, field `timezone`: there is no time zone `Europe/Berlim`; did you mean `Europe/Berlin`?",
                "policy.toml, field `lists.contacts`: it is a string, not an array of strings",
                "policy.toml, rule `x`, field `operation`: `mail` names no operation; write connector.operation, as in `mail.send`",
                "policy.toml, rule `x`, field `verdict`: `alow` is not known here; did you mean `allow`?",
                "policy.toml, rule `x`, field `reason`: it is missing; the operator reads it",
                "policy.toml, rule `x`, field `wen`: there is no such field; did you mean `when`?",
                "policy.toml, rule `x`, field `name`: another rule has this name; rule names are unique",
                "policy.toml, rule `x`, field `when`: `sender` is not visible here; a rule sees agent, arguments, labels, labels_of, lists, now, operation, reversal, reverses, routing, semantics, workflow",
                "policy.toml, rule `x`, field `when`: there is no `now.hours`; did you mean `hour`?",
                "policy.toml, rule `x`, field `when`: there is no `routing.to.recahed`; did you mean `reached`?",
                "policy.toml, rule `#3`, field `name`: it is missing; a judgement names the rule that gave it",
                "policy.toml, rule `#3`, field `when`: `1 +` is not an expression: syntax error: unexpected end of input, expected expression",
                "policy.toml, rule `#3`, field `reason`: it is an integer, not a string",
                "policy.toml, rule `#3`, field `at_deadline`: there is no deadline; add a `deadline`, as in \"2d\"",
                "policy.toml, rule `#3`, field `at_deadline`: `later` is not known here; there are approve, abort",
                "policy.toml, rule `default`, field `name`: `default` is the name of a built-in rule; choose another name",
                "policy.toml, rule `default`, field `when`: there is no `lists.contatcs`; there are none",
                "policy.toml, rule `default`, field `redact`: the verdict does not redact; it belongs to the verdict `redact`",
                "policy.toml, rule `default`, field `redact`: `name` is not known here; there are email, phone, iban, card, tax_id, secret",
                "policy.toml, rule `default`, field `deadline`: the verdict does not ask; it belongs to the verdict `approve`",
                "policy.toml, rule `default`, field `deadline`: \"2y\" is not a duration; write a number and a unit: 250ms, 30s, 5m, 2h, 1d, 2w",
                "policy.toml, field `rules`: there is no such field; did you mean `rule`?",
            ],
        );
    }

    #[test]
    fn text_that_is_not_toml_is_named_with_its_line() {
        check(
            "[lists]\ncontacts = [",
            &[
                "policy.toml: line 2: unclosed array, expected `]`; see `docs/policy.md` for what a policy holds",
            ],
        );
    }

    #[test]
    fn a_list_or_a_policy_that_is_too_long_is_refused() {
        let entries = "\"a\",".repeat(LIST_ENTRIES_MAX + 1);
        check(
            &format!("[lists]\ncontacts = [{entries}]"),
            &[
                "policy.toml, field `lists.contacts`: it has 10001 entries and the limit is 10000; keep it in the system that owns it",
            ],
        );
        check(
            &"#".repeat(POLICY_BYTES_MAX + 1),
            &[
                "policy.toml: the policy has 262145 bytes and the limit is 262144; keep long lists in the system that owns them",
            ],
        );
    }

    #[test]
    fn the_digest_tells_policies_apart_that_judge_otherwise() {
        let policy = |source: &str| Policy::parse("policy.toml", source).unwrap();
        let plain = policy("[lists]\ncontacts = []");
        assert_eq!(plain.digest(), crate::payload::Digest::of(plain.source().as_bytes()));
        assert_eq!(plain.clone().with_list("contacts", []).digest(), plain.digest());
        let more = plain.clone().with_list("contacts", ["ada@client.example".into()]);
        assert_ne!(more.digest(), plain.digest());
    }
}
