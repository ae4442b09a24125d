//! Another policy over hand-written records.

use serde_json::json;

use super::*;
use crate::{
    decisions::tests::{MINUTE, Story, aborted, approved, trusted},
    payload::Payload,
};

const ALLOW: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'r'";
const DENY: &str = "[[rule]]\nname = 'none'\nverdict = 'deny'\nreason = 'r'";
const KNOWN: &str =
    "[[rule]]\nname = 'known'\nwhen = 'routing.to.reached'\nverdict = 'allow'\nreason = 'r'";

fn policy(text: &str) -> Policy {
    Policy::parse("other.toml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// One of each: approved after a minute and landed, turned down, edited, waiting.
fn answers() -> Story {
    let mut story = Story::new("");
    for run in ["approved", "aborted", "edited", "waiting"] {
        story.mail(run, "a@b.example", &[]);
    }
    story.wait(MINUTE);
    story.write("approved", approved());
    story.write("aborted", aborted());
    let (by, proposal) = ("operator".into(), Box::new(trusted("c@d.example")));
    let judgement = story.policy.judge(&proposal, &Evidence::default(), story.now());
    story.write("edited", crate::effect::WriteEvent::Modified { by, proposal, judgement });
    story.lands("approved");
    story
}

/// What `text` would have come to over `story`, in words, and of which run.
#[track_caller]
fn check(story: &Story, text: &str, expected: &[(&str, &str)]) {
    let cases = story.cases();
    let found = policy(text).backtest(&cases, &story.versions());
    let words: Vec<(&str, &str)> =
        found.differences.iter().map(|it| (it.consequence.word(), it.case.run.as_str())).collect();
    assert_eq!(words, expected);
    assert_eq!(found.unexplained.len(), 0);
}

#[test]
fn the_most_dangerous_come_first() {
    check(
        &answers(),
        ALLOW,
        &[
            ("lets_out_turned_down", "aborted"),
            ("lets_out_edited", "edited"),
            ("lets_out_unanswered", "waiting"),
            ("spares", "approved"),
        ],
    );
    check(
        &answers(),
        DENY,
        &[
            ("bars_landed", "approved"),
            ("bars_other", "edited"),
            ("bars_other", "waiting"),
            ("spares_refusal", "aborted"),
        ],
    );
    check(&answers(), "", &[]);
}

#[test]
fn another_rule_with_the_same_verdict_is_told_last() {
    let asks = "[[rule]]\nname = 'ask'\nwhen = \"routing.to.value == 'a@b.example'\"\nverdict = 'approve'\nreason = 'r'";
    let mut story = answers();
    story.mail("other", "x@y.example", &[]);
    let all: Vec<_> =
        ["approved", "aborted", "edited", "waiting"].map(|it| ("other_rule", it)).into();
    check(&story, asks, &all);
}

#[test]
fn what_went_out_unasked_would_have_been_asked_about() {
    let mut story = Story::new(ALLOW);
    story.mail("free", "a@b.example", &[]);
    story.lands("free");
    check(&story, "", &[("asks_more", "free")]);
    check(&story, DENY, &[("bars_landed", "free")]);
    let mut story = Story::new(DENY);
    story.mail("denied", "a@b.example", &[]);
    check(&story, "", &[("asks_barred", "denied")]);
    check(&story, ALLOW, &[("lets_out_barred", "denied")]);
    check(&story, &DENY.replace("'deny'", "'shadow'"), &[("bars_otherwise", "denied")]);
}

#[test]
fn rules_that_count_see_the_days_as_they_were() {
    let mut story = Story::new(ALLOW);
    let mut landed = vec![];
    for run in ["one", "two", "three"] {
        story.mail(run, "a@b.example", &landed);
        story.lands(run);
        landed.push(story.now());
    }
    let counts = format!("[builtin]\nsends_per_recipient_per_day_max = 2\n{ALLOW}");
    check(&story, &counts, &[("asks_more", "three")]);
    // Two and three see that one has landed, whether this policy had let it out or not.
    check(&story, KNOWN, &[("asks_more", "one"), ("other_rule", "two"), ("other_rule", "three")]);
}

#[test]
fn an_answer_after_the_deadline_counts_as_what_the_deadline_says() {
    let asks = |rest: &str| {
        format!(
            "[[rule]]\nname = 'default-ish'\nverdict = 'approve'\nreason = 'r'\ndeadline = '30s'\n{rest}"
        )
    };
    let story = answers();
    let cases = story.cases();
    let words = |text: &str| -> Vec<(Consequence, String)> {
        let policy = policy(text);
        let found = policy.backtest(&cases, &story.versions());
        let differences = found.differences.iter();
        differences.map(|it| (it.consequence, it.case.run.to_string())).collect()
    };
    assert_eq!(
        words(&asks("at_deadline = 'approve'"))[0],
        (Consequence::LetsOutTurnedDown, "aborted".into())
    );
    assert_eq!(
        words(&asks("at_deadline = 'abort'"))[0],
        (Consequence::BarsLanded, "approved".into())
    );
}

#[test]
fn what_would_be_taken_out_is_taken_out_before_it_is_judged() {
    let mut story = Story::new(ALLOW);
    story.start("secret");
    let mut mail = trusted("a@b.example");
    mail.arguments =
        Payload::of(&json!({ "to": "a@b.example", "text": "DE89 3704 0044 0532 0130 00" }))
            .unwrap();
    story.proposed("secret", mail, &Evidence::default());
    let cases = story.cases();
    let redacts = format!("[builtin]\nredact_pii = ['iban']\n{ALLOW}");
    let found = policy(&redacts).backtest(&cases, &story.versions());
    assert_eq!(found.redacted, (0, 1));
    assert_eq!(found.differences[0].consequence, Consequence::Redacts);
    assert_eq!(found.differences[0].would.redacted, ["redact_pii"]);
    assert_eq!(found.differences[0].would.judgement.rule, "all");
}

#[test]
fn a_judgement_that_the_policy_of_the_time_does_not_give_again_is_named() {
    let story = answers();
    let cases = story.cases();
    let versions = BTreeMap::from([(1, policy(ALLOW))]);
    assert_eq!(policy("").backtest(&cases, &versions).unexplained.len(), cases.len());
    assert_eq!(policy("").backtest(&cases, &BTreeMap::new()).unexplained.len(), cases.len());
}

#[test]
fn the_answer_has_counts_for_every_consequence_and_the_median_wait() {
    let story = answers();
    let cases = story.cases();
    let view = policy(ALLOW).backtest(&cases, &story.versions()).view();
    assert_eq!(view["cases"], 4);
    assert_eq!(view["verdicts"]["approve"], json!({ "was": 4, "would": 0 }));
    assert_eq!(view["verdicts"]["allow"], json!({ "was": 0, "would": 4 }));
    assert_eq!(view["consequences"]["spares"], 1);
    assert_eq!(view["consequences"].as_object().unwrap().len(), Consequence::ALL.len());
    assert_eq!(view["spared_median_ms"], 60_000);
    assert_eq!(view["differences"][0]["case"]["run"], "aborted");
}

/// Said by `cargo test --release -p soloist-kernel --lib a_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn a_thousand_cases_are_judged_again() {
    let mut story = Story::new(KNOWN);
    let mut landed = BTreeMap::<String, Vec<_>>::new();
    for number in 0..1_000 {
        let (run, to) = (format!("r{number}"), format!("p{}@b.example", number % 100));
        let landed = landed.entry(to.clone()).or_default();
        story.mail(&run, &to, landed);
        if landed.is_empty() {
            story.write(&run, approved());
        }
        story.lands(&run);
        landed.push(story.now());
        story.wait(MINUTE);
    }
    let begun = std::time::Instant::now();
    let cases = story.cases();
    let folded = begun.elapsed();
    let found = policy(&format!("[builtin]\nsends_per_recipient_per_day_max = 2\n{ALLOW}"));
    let found = found.backtest(&cases, &story.versions());
    println!(
        "{} cases folded in {folded:?}, and judged again after {:?}",
        found.cases,
        begun.elapsed()
    );
    assert_eq!(found.unexplained.len(), 0);
}
