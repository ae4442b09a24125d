//! The rules that a policy switches on by name. They judge like written ones, and are stricter than none only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::Timelike;
use serde_json::Value;

use super::{
    LIST_ENTRIES_MAX, Verdict,
    fields::{Fields, Said, one_of},
    judge::Match,
    rule::classes,
    scope::Facts,
};
use crate::labels::{Integrity, Pii};

/// Their names. No written rule may have one of them.
pub(super) const NAMES: [&str; 7] = [
    "default_ask",
    QUIET_HOURS,
    SENDS_MAX,
    NO_UNTRUSTED_ROUTING,
    REDACT_PII,
    READERS_ONLY,
    BRAND_WORDS,
];

const QUIET_HOURS: &str = "quiet_hours";
const SENDS_MAX: &str = "sends_per_recipient_per_day_max";
const NO_UNTRUSTED_ROUTING: &str = "no_untrusted_routing";
const REDACT_PII: &str = "redact_pii";
const READERS_ONLY: &str = "readers_only";
const BRAND_WORDS: &str = "brand_words";

/// Those that are switched on.
#[derive(Clone, Debug, Default)]
pub(super) struct Builtins {
    quiet_hours: Option<QuietHours>,
    sends_max: Option<u32>,
    no_untrusted_routing: bool,
    redact_pii: BTreeSet<Pii>,
    readers_only: bool,
    brand_words: Option<BrandWords>,
}

#[derive(Clone, Copy, Debug)]
struct QuietHours {
    from: TimeOfDay,
    to: TimeOfDay,
}

/// In minutes since midnight.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct TimeOfDay(u32);

#[derive(Clone, Debug)]
struct BrandWords {
    verdict: Verdict,
    /// As written.
    forbidden: Vec<String>,
    /// The words of each, in lower case, by the first of them.
    phrases: BTreeMap<String, Vec<Vec<String>>>,
}

/// Reads the table `builtin`.
pub(super) fn read(fields: &mut Fields) -> Builtins {
    let Some(mut table) = fields.table("builtin") else { return Builtins::default() };
    if table.flag("default_ask") == Some(false) {
        let help =
            "write a rule with the verdict `allow` and without `when`, so that it has a reason";
        table.problem("default_ask", "it cannot be switched off", Some(help));
    }
    let builtins = Builtins {
        quiet_hours: quiet_hours(&mut table),
        sends_max: table.count(SENDS_MAX),
        no_untrusted_routing: table.flag(NO_UNTRUSTED_ROUTING).unwrap_or(false),
        redact_pii: match table.texts(REDACT_PII) {
            Some(named) => classes(&mut table, REDACT_PII, &named),
            None => BTreeSet::new(),
        },
        readers_only: table.flag(READERS_ONLY).unwrap_or(false),
        brand_words: brand_words(&mut table),
    };
    fields.absorb(table);
    builtins
}

fn quiet_hours(fields: &mut Fields) -> Option<QuietHours> {
    let mut table = fields.table(QUIET_HOURS)?;
    let mut time = |field| {
        let text = table.required(field, "as in \"22:00\"")?;
        table.take(field, TimeOfDay::parse(&text))
    };
    let (from, to) = (time("from"), time("to"));
    if from.is_some() && from == to {
        table.problem("to", "they end when they begin", Some("name two times"));
    }
    fields.absorb(table);
    Some(QuietHours { from: from?, to: to? })
}

fn brand_words(fields: &mut Fields) -> Option<BrandWords> {
    let mut table = fields.table(BRAND_WORDS)?;
    let given = table.text("verdict");
    let verdict = given.map_or(Some(Verdict::Approve), |word| {
        let strict = [Verdict::Deny, Verdict::Shadow, Verdict::Approve];
        table.take("verdict", one_of(&word, &strict.map(|verdict| (verdict.word(), verdict))))
    });
    if !table.has("forbidden") {
        table.problem("forbidden", "it is missing", Some("name the words"));
    }
    let forbidden = table.texts("forbidden").unwrap_or_default();
    if forbidden.len() > LIST_ENTRIES_MAX {
        let message =
            format!("it has {} entries and the limit is {LIST_ENTRIES_MAX}", forbidden.len());
        table.problem("forbidden", message, None);
    }
    let mut phrases = BTreeMap::<String, Vec<Vec<String>>>::new();
    for text in &forbidden {
        let words: Vec<String> = words(text).collect();
        match words.first() {
            Some(first) => phrases.entry(first.clone()).or_default().push(words),
            None => table.problem("forbidden", format!("{text:?} holds no word"), None),
        }
    }
    fields.absorb(table);
    Some(BrandWords { verdict: verdict?, forbidden, phrases })
}

impl Builtins {
    /// What those that match say.
    pub(super) fn matches(&self, facts: &Facts<'_>) -> Vec<Match> {
        let found = [
            self.quiet_hours.and_then(|hours| hours.matches(facts)),
            self.sends_max.and_then(|max| too_many(max, facts)),
            self.no_untrusted_routing.then(|| untrusted_routing(facts)).flatten(),
            (!self.redact_pii.is_empty()).then(|| Match {
                redact: self.redact_pii.clone(),
                ..Match::of(REDACT_PII, Verdict::Redact, "personal data does not leave", "")
            }),
            self.readers_only.then(|| not_readable(facts)).flatten(),
            self.brand_words.as_ref().and_then(|brand| brand.matches(facts)),
        ];
        found.into_iter().flatten().collect()
    }

    /// Each that is switched on, with what it is set to.
    pub(super) fn settings(&self) -> BTreeMap<&'static str, String> {
        let settings = [
            (
                QUIET_HOURS,
                self.quiet_hours.map(|QuietHours { from, to }| format!("{from} to {to}")),
            ),
            (SENDS_MAX, self.sends_max.map(|max| max.to_string())),
            (NO_UNTRUSTED_ROUTING, self.no_untrusted_routing.then(|| "on".into())),
            (REDACT_PII, super::rule::class_words(&self.redact_pii)),
            (READERS_ONLY, self.readers_only.then(|| "on".into())),
            (
                BRAND_WORDS,
                self.brand_words
                    .as_ref()
                    .map(|brand| format!("{} {}", brand.verdict, brand.forbidden.join(", "))),
            ),
        ];
        settings.into_iter().filter_map(|(name, set)| Some((name, set?))).collect()
    }
}

impl QuietHours {
    /// A write that goes to somebody is asked about within these hours, which may go past midnight.
    fn matches(self, facts: &Facts<'_>) -> Option<Match> {
        let Self { from, to } = self;
        let now = TimeOfDay(facts.now.hour() * 60 + facts.now.minute());
        let within = if from < to { from <= now && now < to } else { from <= now || now < to };
        let zone = facts.now.timezone();
        let reason = format!("it is {now} in {zone}, and the quiet hours are from {from} to {to}");
        let remedy = format!("approve it to have it happen now, or decide after {to}");
        (within && !facts.proposal.routing.is_empty())
            .then(|| Match::of(QUIET_HOURS, Verdict::Approve, reason, remedy))
    }
}

fn too_many(max: u32, facts: &Facts<'_>) -> Option<Match> {
    let today = |argument| facts.evidence.reached.get(argument).map_or(0, |reached| reached.today);
    let mut arguments = facts.proposal.routing.keys();
    let argument = arguments.find(|argument| today(*argument) >= max)?;
    let reason = format!(
        "`{argument}` has been written to {} times today, and {max} a day are not asked about",
        today(argument)
    );
    Some(Match::of(
        SENDS_MAX,
        Verdict::Approve,
        reason,
        "approve it, or let it wait until tomorrow",
    ))
}

fn untrusted_routing(facts: &Facts<'_>) -> Option<Match> {
    let untrusted = |argument: &&String| facts.labels(argument).integrity == Integrity::Untrusted;
    let argument = facts.proposal.routing.keys().find(untrusted)?;
    let origin: Vec<String> = facts.labels(argument).origin.into_iter().collect();
    let from = if origin.is_empty() { "nobody knows where".into() } else { origin.join(", ") };
    let reason = format!("`{argument}` comes from outside ({from}), and nothing vouches for it");
    let remedy = "compare it with what you know of the recipient before you approve it";
    Some(Match::of(NO_UNTRUSTED_ROUTING, Verdict::Approve, reason, remedy))
}

fn not_readable(facts: &Facts<'_>) -> Option<Match> {
    let unreadable = |(argument, value): (&String, &String)| {
        let content = facts.unreadable(value)?;
        let reason = format!("`{argument}` ({value}) may not read `{content}`");
        let remedy = "take out what is not for them, or approve it";
        Some(Match::of(READERS_ONLY, Verdict::Approve, reason, remedy))
    };
    facts.proposal.routing.iter().find_map(unreadable)
}

impl BrandWords {
    fn matches(&self, facts: &Facts<'_>) -> Option<Match> {
        let mut content = facts.content().into_iter();
        let said = |(argument, value)| Some((argument, self.said(value)?));
        let (argument, phrase) = content.find_map(said)?;
        let reason = format!("`{argument}` says {phrase:?}, which this company does not say");
        Some(Match::of(BRAND_WORDS, self.verdict, reason, "say it in other words"))
    }

    /// The first forbidden phrase in a text of `value`, however deep.
    fn said(&self, value: &Value) -> Option<String> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
            Value::String(text) => {
                let words: Vec<String> = words(text).collect();
                let begins = |at: usize| {
                    let phrases = self.phrases.get(&words[at])?;
                    phrases.iter().find(|phrase| words[at..].starts_with(phrase))
                };
                (0..words.len()).find_map(begins).map(|phrase| phrase.join(" "))
            }
            Value::Array(values) => values.iter().find_map(|value| self.said(value)),
            Value::Object(fields) => fields.values().find_map(|value| self.said(value)),
        }
    }
}

/// The words of `text` in lower case; what is neither letter nor digit stands between them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase)
}

impl TimeOfDay {
    fn parse(text: &str) -> Result<Self, Said> {
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let (hour, minute) = (digits(hour).then_some(hour)?, digits(minute).then_some(minute)?);
            Some((hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?))
        });
        match parsed {
            Some((hour @ 0..24, minute @ 0..60)) => Ok(Self(hour * 60 + minute)),
            _ => Err((
                format!("{text:?} is not a time of day"),
                Some("write hours and minutes, from 00:00 to 23:59".into()),
            )),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        effect::{Proposal, tests::proposal},
        labels::{Labels, Readers},
        payload::Payload,
        policy::{Evidence, Judgement, Policy, Reached},
        time::Timestamp,
    };

    /// Saturday 21 November 2026, noon UTC.
    const NOON: Timestamp = Timestamp(1_795_262_400_000);
    const HOUR: u64 = 3_600_000;

    /// A mail that nobody objects to.
    fn mail(text: &str) -> Proposal {
        let mut mail = proposal("ada@client.example");
        let arguments = BTreeMap::from([("to", "ada@client.example"), ("text", text)]);
        mail.arguments = Payload::of(&arguments).unwrap();
        mail.labels = ["to", "text"].map(|name| (name.to_owned(), Labels::literal())).into();
        mail
    }

    fn evidence(today: u32) -> Evidence {
        let to = Reached { at: NOON, today };
        Evidence { reached: BTreeMap::from([("to".into(), to)]), ..Evidence::default() }
    }

    /// The verdict with the built-in rules `set`, beside a rule that allows everything.
    fn judge(set: &str, mail: &Proposal, evidence: &Evidence, now: Timestamp) -> Judgement {
        let source = format!(
            "timezone = 'Europe/Berlin'\n[builtin]\n{set}\n[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'r'"
        );
        let policy = Policy::parse("policy.toml", &source)
            .unwrap_or_else(|problems| panic!("{}", problems[0]));
        policy.judge(mail, evidence, now)
    }

    /// The built-in rules `set` have the operator asked for this reason; without them nobody is.
    #[track_caller]
    fn asks(set: &str, mail: &Proposal, evidence: &Evidence, now: Timestamp, reason: &str) {
        let judgement = judge(set, mail, evidence, now);
        let rule = set.split(' ').next().unwrap();
        assert_eq!((judgement.verdict, judgement.rule.as_str()), (Verdict::Approve, rule));
        assert_eq!(judgement.reason, reason);
        assert_eq!(judge("", mail, evidence, now).verdict, Verdict::Allow);
    }

    #[track_caller]
    fn allows(set: &str, mail: &Proposal, evidence: &Evidence, now: Timestamp) {
        let judgement = judge(set, mail, evidence, now);
        assert_eq!(judgement.verdict, Verdict::Allow, "{judgement:?}");
    }

    #[test]
    fn in_quiet_hours_writes_to_somebody_are_asked_about() {
        let set = "quiet_hours = { from = \"22:00\", to = \"07:00\" }";
        let at = |hours: u64| Timestamp(NOON.0 + hours * HOUR);
        let reason = |now| {
            format!("it is {now} in Europe/Berlin, and the quiet hours are from 22:00 to 07:00")
        };
        // Berlin is an hour ahead.
        asks(set, &mail(""), &evidence(0), at(9), &reason("22:00"));
        asks(set, &mail(""), &evidence(0), at(17), &reason("06:00"));
        allows(set, &mail(""), &evidence(0), at(8));
        allows(set, &mail(""), &evidence(0), at(18));
        let mut to_nobody = mail("");
        to_nobody.routing.clear();
        allows(set, &to_nobody, &evidence(0), at(9));
        let by_day = "quiet_hours = { from = \"12:00\", to = \"14:00\" }";
        allows(by_day, &mail(""), &evidence(0), at(9));
        assert_eq!(judge(by_day, &mail(""), &evidence(0), NOON).rule, "quiet_hours");
    }

    #[test]
    fn beyond_the_days_number_of_writes_to_a_place_the_operator_is_asked() {
        let set = "sends_per_recipient_per_day_max = 2";
        allows(set, &mail(""), &evidence(1), NOON);
        let reason = "`to` has been written to 2 times today, and 2 a day are not asked about";
        asks(set, &mail(""), &evidence(2), NOON, reason);
    }

    #[test]
    fn untrusted_routing_is_asked_about() {
        let set = "no_untrusted_routing = true";
        allows(set, &mail(""), &evidence(0), NOON);
        let mut from_outside = mail("");
        from_outside.labels.insert("to".into(), Labels::untrusted("web").from_origin("mail"));
        let reason = "`to` comes from outside (mail, web), and nothing vouches for it";
        asks(set, &from_outside, &evidence(0), NOON, reason);
        from_outside.labels.remove("to");
        let reason = "`to` comes from outside (nobody knows where), and nothing vouches for it";
        asks(set, &from_outside, &evidence(0), NOON, reason);
        from_outside.labels.insert("to".into(), Labels::untrusted("mail").vetted("contact"));
        allows(set, &from_outside, &evidence(0), NOON);
        allows("no_untrusted_routing = false", &from_outside, &evidence(0), NOON);
    }

    #[test]
    fn what_a_recipient_may_not_read_is_asked_about() {
        let set = "readers_only = true";
        allows(set, &mail(""), &evidence(0), NOON);
        let mut private = mail("");
        let bob = Readers::Only(["bob@x.example".into()].into());
        private.labels.insert("text".into(), Labels { readers: bob, ..Labels::literal() });
        asks(set, &private, &evidence(0), NOON, "`to` (ada@client.example) may not read `text`");
        let ada = Readers::Only(["ADA@client.example".into()].into());
        private.labels.insert("text".into(), Labels { readers: ada, ..Labels::literal() });
        allows(set, &private, &evidence(0), NOON);
    }

    #[test]
    fn forbidden_words_are_found_whole_and_in_any_case() {
        let set = "brand_words = { forbidden = [\"guaranteed\", \"risk-free\"] }";
        allows(set, &mail("unguaranteed, and free of risk"), &evidence(0), NOON);
        let reason =
            |words: &str| format!("`text` says \"{words}\", which this company does not say");
        asks(set, &mail("It is GUARANTEED!"), &evidence(0), NOON, &reason("guaranteed"));
        asks(set, &mail("all risk free"), &evidence(0), NOON, &reason("risk free"));
        let strict = "brand_words = { forbidden = [\"guaranteed\"], verdict = \"deny\" }";
        let judgement = judge(strict, &mail("guaranteed"), &evidence(0), NOON);
        assert_eq!(judgement.verdict, Verdict::Deny);
        let mut nested = mail("");
        nested.arguments = Payload::from_json(r#"{"text":{"parts":["a","Guaranteed"]}}"#).unwrap();
        asks(set, &nested, &evidence(0), NOON, &reason("guaranteed"));
    }

    #[test]
    fn personal_data_is_removed_from_content_and_never_from_routing() {
        let source = "[builtin]\nredact_pii = [\"iban\"]\n[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'r'";
        let policy = Policy::parse("policy.toml", source).unwrap();
        let mut mail = mail("pay DE89 3704 0044 0532 0130 00 to ada@x.example");
        let to = "DE89370400440532013000".to_owned();
        mail.routing = BTreeMap::from([("account".into(), to)]);
        mail.arguments = Payload::from_json(
            r#"{"account":"DE89370400440532013000","bcc":"DE89370400440532013000","text":["DE89 3704 0044 0532 0130 00, ada@x.example"]}"#,
        )
        .unwrap();
        let mut operation = crate::catalog::Operation {
            summary: String::new(),
            kind: crate::catalog::OperationKind::Write,
            semantics: mail.semantics,
            reversal: mail.reversal.clone(),
            arguments: BTreeMap::new(),
            result: Value::Bool(true),
        };
        let bcc = crate::catalog::Argument::routing(Value::Bool(true)).optional();
        operation.arguments.insert("bcc".into(), bcc);
        let redaction = policy.redact(&mail, &operation, &evidence(0), NOON).unwrap();
        assert_eq!(
            redaction.arguments.as_str(),
            r#"{"account":"DE89370400440532013000","bcc":"DE89370400440532013000","text":["[iban removed], ada@x.example"]}"#
        );
        assert_eq!(redaction.rules, ["redact_pii"]);
        assert_eq!(policy.judge(&mail, &evidence(0), NOON).verdict, Verdict::Approve);
        mail.redacted = redaction.rules;
        assert_eq!(policy.redact(&mail, &operation, &evidence(0), NOON), None);
        assert_eq!(policy.judge(&mail, &evidence(0), NOON).verdict, Verdict::Allow);
        mail.redacted.clear();
        mail.arguments = Payload::from_json("[1]").unwrap();
        assert_eq!(policy.redact(&mail, &operation, &evidence(0), NOON), None);
        let off = Policy::parse("policy.toml", "").unwrap();
        assert_eq!(off.redact(&mail, &operation, &evidence(0), NOON), None);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let source = r#"
            [builtin]
            default_ask = false
            quiet_hours = { from = "24:00", untill = "07:00" }
            sends_per_recipient_per_day_max = -1
            no_untrusted_routing = "yes"
            redact_pii = ["ibn"]
            brand_words = { forbidden = ["!"], verdict = "allow" }
            quiet_hour = 1
            [[rule]]
            name = "readers_only"
            verdict = "allow"
            reason = ""
        "#;
        let problems = Policy::parse("policy.toml", source).expect_err("it is wrong");
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "policy.toml, field `builtin.default_ask`: it cannot be switched off; write a rule with the verdict `allow` and without `when`, so that it has a reason",
                "policy.toml, field `builtin.quiet_hours.from`: \"24:00\" is not a time of day; write hours and minutes, from 00:00 to 23:59",
                "policy.toml, field `builtin.quiet_hours.to`: it is missing; as in \"22:00\"",
                "policy.toml, field `builtin.quiet_hours.untill`: there is no such field; there are from, to",
                "policy.toml, field `builtin.sends_per_recipient_per_day_max`: it is -1; write a number from 0 on",
                "policy.toml, field `builtin.no_untrusted_routing`: it is a string, not true or false",
                "policy.toml, field `builtin.redact_pii`: `ibn` is not known here; did you mean `iban`?",
                "policy.toml, field `builtin.brand_words.verdict`: `allow` is not known here; there are deny, shadow, approve",
                "policy.toml, field `builtin.brand_words.forbidden`: \"!\" holds no word",
                "policy.toml, field `builtin.quiet_hour`: there is no such field; did you mean `quiet_hours`?",
                "policy.toml, rule `readers_only`, field `name`: `readers_only` is the name of a built-in rule; choose another name",
            ]
        );
    }
}
