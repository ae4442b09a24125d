//! Decisions on record: what was decided about real mails, what another policy would have said, which rules that supports.

use serde_json::{Value, json};

use crate::support::{Company, company::text, mails::letter, serving::Serving, wait_until};

const ASKS: &str = "[lists]\ncontacts = []\n";
const ALLOWS: &str =
    "[lists]\ncontacts = []\n[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'why not'\n";

/// A company that knows Ada, and judges by `policy` if one is given.
fn company(policy: Option<&str>) -> Company {
    let company = Company::new();
    let mut settings = String::new();
    if let Some(policy) = policy {
        company.write("policy.toml", policy);
        settings.push_str("policy = 'policy.toml'\n");
    }
    company.write("soloist.toml", format!("{settings}[mail]\ncontacts = ['ada@client.example']\n"));
    company
}

/// The id under which a mail to `to` waits.
#[track_caller]
fn item_to(company: &Company, to: &str) -> String {
    let inbox = company.ask(&["inbox", "list"]);
    let mut items = inbox.as_array().expect("the inbox is a list").iter();
    let found = items.find(|item| item["routing"]["to"] == to);
    text(&found.unwrap_or_else(|| panic!("nothing to {to} waits: {inbox}"))["id"])
}

/// The decision about a mail to `to`.
#[track_caller]
fn case_to<'a>(cases: &'a Value, to: &str) -> &'a Value {
    let mut all = cases.as_array().expect("decisions are a list").iter();
    all.find(|case| case["routing"]["to"] == to).unwrap_or_else(|| panic!("{to}: {cases}"))
}

/// Four mails: to Ada, who is known; to Gil, approved; to Hal, changed; to Ivy, turned down.
fn decided() -> Company {
    let company = company(None);
    for (name, from) in [("1", "ada@client"), ("2", "gil@new"), ("3", "hal@new"), ("4", "ivy@new")]
    {
        company.receive(&format!("{name}.eml"), letter(&format!("{from}.example"), "quote"));
    }
    company.demo_to_its_end();
    company.ask(&["inbox", "approve", &item_to(&company, "gil@new.example"), "--as", "ben"]);
    let hal = item_to(&company, "hal@new.example");
    company.ask(&["inbox", "modify", &hal, "--set", "subject=Your quote"]);
    let ivy = item_to(&company, "ivy@new.example");
    company.ask(&["inbox", "abort", &ivy, "--reason", "not a client"]);
    company
}

#[test]
fn every_decision_is_told_with_what_was_known_what_was_said_and_what_came_of_it() {
    let company = decided();
    let cases = company.ask(&["policy", "decisions"]);
    assert_eq!(cases.as_array().map(Vec::len), Some(4));
    let of = |to: &str| case_to(&cases, to);
    let ada = of("ada@client.example");
    assert_eq!((&ada["answer"], &ada["outcome"]), (&json!("not_asked"), &json!("landed")));
    let judged = &ada["hearings"][0];
    assert_eq!((&judged["verdict"], &judged["rule"]), (&json!("allow"), &json!("listed-contact")));
    assert_eq!(
        (&judged["policy"], &judged["evidence"]["workflow"]),
        (&json!(1), &json!("answer-mail"))
    );
    let gil = of("gil@new.example");
    assert_eq!((&gil["answer"], &gil["outcome"]), (&json!("approved"), &json!("landed")));
    assert_eq!((&gil["said"][0]["by"], &gil["said"][0]["item"]), (&json!("ben"), &gil["item"]));
    assert!(gil["waited_ms"].as_u64().is_some());
    assert_eq!(gil["labels"]["to"]["integrity"], "untrusted");
    let hal = of("hal@new.example");
    assert_eq!((&hal["answer"], &hal["outcome"]), (&json!("edited"), &json!("landed")));
    let edit = &hal["said"][0]["edit"];
    assert_eq!((&edit[0]["path"], &edit[0]["after"]), (&json!("/subject"), &json!("Your quote")));
    assert_eq!(edit.as_array().map(Vec::len), Some(1), "{edit}");
    let ivy = of("ivy@new.example");
    assert_eq!((&ivy["answer"], &ivy["why"]), (&json!("turned_down"), &json!("not a client")));
    // The same for people, and less of it.
    let ran = company.run(&["policy", "decisions"]);
    assert!(
        ran.out.contains("approve by default") && ran.out.contains("turned down after"),
        "{ran:?}"
    );
    assert!(ran.out.contains("operator changed /subject from"), "{ran:?}");
    let none = company.ask(&["policy", "decisions", "--connector", "bank"]);
    assert_eq!(none, json!([]));
    assert_eq!(company.ask(&["policy", "decisions", "--since", "2999-01-01"]), json!([]));
    assert_eq!(company.ask(&["policy", "decisions", "--since", "1h"]), cases);
    let ran = company.run(&["policy", "decisions", "--since", "yesterday"]);
    assert!(ran.refused(2).contains("write how long ago, as in 30d"), "{ran:?}");
}

#[test]
fn another_policy_is_tried_against_what_was_decided_and_changes_nothing() {
    let company = decided();
    company.write("allows.toml", ALLOWS);
    let before = company.ask(&["audit", "verify"]);
    let tried = company.ask(&["policy", "backtest", "allows.toml", "--since", "30d"]);
    assert_eq!(tried["cases"], 4);
    assert_eq!(tried["verdicts"]["approve"], json!({ "was": 3, "would": 0 }));
    // What the configuration adds to the lists of a policy is on record with it.
    assert_eq!(tried["unexplained"], json!([]));
    let found = tried["differences"].as_array().expect("they are a list");
    let found: Vec<(String, String)> = found
        .iter()
        .map(|one| (text(&one["consequence"]), text(&one["case"]["routing"]["to"])))
        .collect();
    let expected = [
        ("lets_out_turned_down", "ivy@new.example"),
        ("lets_out_edited", "hal@new.example"),
        ("spares", "gil@new.example"),
        ("other_rule", "ada@client.example"),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(tried["differences"][0]["would"]["rule"], "all");
    let ran = company.run(&["policy", "backtest", "allows.toml"]);
    let dangerous = ran.out.find("DANGEROUS: 1 would have gone out, and was turned down");
    assert!(dangerous < ran.out.find("would have gone out without your approval"), "{ran:?}");
    assert!(ran.out.contains("Approvals that you would not have had to give: 1."), "{ran:?}");
    company.write("bad.toml", "[[rule]]\nname = 'x'\n");
    let ran = company.run(&["policy", "backtest", "bad.toml"]);
    assert!(ran.refused(1).contains("rule `x`, field `verdict`"), "{ran:?}");
    assert_eq!(company.ask(&["audit", "verify"]), before, "nothing was recorded");
}

#[test]
fn the_policy_that_judged_says_the_same_again() {
    let company = decided();
    let own = company.run(&["policy", "show"]).out;
    company.write("own.toml", own);
    let tried = company.ask(&["policy", "backtest", "own.toml"]);
    assert_eq!((&tried["differences"], &tried["cases"]), (&json!([]), &json!(4)));
    let ran = company.run(&["policy", "backtest", "own.toml"]);
    assert!(ran.out.contains("It would have said the same of every one."), "{ran:?}");
}

#[test]
fn rules_are_proposed_that_can_be_pasted_and_are_set_by_nobody() {
    let company = company(Some(ASKS));
    company.receive("first.eml", letter("gil@new.example", "quote"));
    company.demo_to_its_end();
    company.ask(&["inbox", "approve", &item_to(&company, "gil@new.example")]);
    for number in 0..4 {
        let subject = format!("quote {number}");
        company.receive(&format!("g{number}.eml"), letter("gil@new.example", &subject));
        company.receive(&format!("s{number}.eml"), letter("ads@spam.example", &subject));
    }
    company.demo_to_its_end();
    for _ in 0..4 {
        company.ask(&["inbox", "approve", &item_to(&company, "gil@new.example")]);
        company.ask(&["inbox", "abort", &item_to(&company, "ads@spam.example")]);
    }
    let none = company.ask(&["policy", "suggest"]);
    assert_eq!((&none["rules"], &none["answered"]), (&json!([]), &json!(9)), "20 is the least");
    let careful = company.ask(&["policy", "suggest", "--min", "4"]);
    assert_eq!(careful["rules"].as_array().map(Vec::len), Some(1), "{careful}");
    assert_eq!(careful["rules"][0]["verdict"], "deny");
    assert_eq!(careful["held_back"][0]["risks"], json!(["untrusted"]));
    let leave = ["policy", "suggest", "--min", "4", "--also", "untrusted"];
    let both = company.ask(&leave);
    let rules = both["rules"].as_array().expect("they are a list");
    let allow = rules.iter().find(|rule| rule["verdict"] == "allow").expect("it is supported");
    assert_eq!((&allow["cases"], &allow["turned_down"]), (&json!(4), &json!(0)));
    assert!(text(&allow["when"]).contains("routing.to.reached"), "{allow}");
    let bound = allow["bound"].as_f64().expect("it is a number");
    assert!((0.50..0.52).contains(&bound), "{bound}");
    // All that it says can be put at the end of the policy.
    let said = company.run(&leave).out;
    assert!(said.contains("(Wilson, 95 %)"), "{said}");
    company.write("pasted.toml", format!("{ASKS}\n{said}"));
    assert_eq!(company.run(&["policy", "check", "pasted.toml"]).code, 0, "{said}");
    let tried = company.ask(&["policy", "backtest", "pasted.toml"]);
    assert_eq!(tried["consequences"]["spares"], 4);
    assert_eq!(tried["consequences"]["spares_refusal"], 4);
    assert_eq!(tried["consequences"]["lets_out_turned_down"], 0);
    assert_eq!(company.ask(&["policy", "show"])["version"], 1, "nothing is set");
    let ran = company.run(&["policy", "suggest", "--also", "mony"]);
    assert!(ran.refused(1).contains("did you mean `money`?"), "{ran:?}");
}

#[test]
fn a_serving_soloist_answers_as_well_and_tells_which_version_judged() {
    let serving = Serving::with("");
    let company = &serving.company;
    company.receive("1.eml", letter("gil@new.example", "quote"));
    wait_until("the answer waits", || !company.waiting("approval").is_empty());
    company.write("allows.toml", ALLOWS);
    assert_eq!(company.ask(&["policy", "set", "allows.toml"])["version"], 2);
    company.receive("2.eml", letter("hal@new.example", "quote"));
    wait_until("the second is sent", || company.outbox().len() == 1);
    let cases = company.ask(&["policy", "decisions"]);
    let version = |to: &str| case_to(&cases, to)["hearings"][0]["policy"].clone();
    assert_eq!((version("gil@new.example"), version("hal@new.example")), (json!(1), json!(2)));
    let tried = company.ask(&["policy", "backtest", "allows.toml"]);
    assert_eq!(tried["consequences"]["lets_out_unanswered"], 1, "{tried}");
    assert_eq!(tried["unexplained"], json!([]));
}
