//! The demo, and what an operator decides after it, through the command line alone.

use serde_json::Value;

use crate::support::{
    Company,
    company::{run, text},
    mails::letter,
};

/// A company that has taken the bundled sample.
fn sample() -> (Company, Value) {
    let company = Company::new();
    let summary = run(&mut company.on_data(&["demo", "--headless", "--json"])).json();
    (company, summary)
}

/// A company that has one answer waiting, and the id of its item.
fn one_waiting() -> (Company, String) {
    let company = Company::new();
    company.receive("1.eml", letter("Gil <gil@new.example>", "quote"));
    company.demo_to_its_end();
    let item = company.waiting("approval").remove(0);
    (company, item)
}

#[test]
fn the_summary_has_its_keys_and_accounts_for_every_mail() {
    let (_company, summary) = sample();
    let mut keys: Vec<&String> = summary.as_object().expect("it is an object").keys().collect();
    keys.sort();
    let expected = [
        "answered",
        "elapsed_ms",
        "fsyncs",
        "mails",
        "no_reply",
        "quarantined",
        "records",
        "runs",
        "sent",
        "waiting",
    ];
    assert_eq!(keys, expected);
    let count = |key: &str| summary[key].as_u64().expect("it is a number");
    assert_eq!(count("mails"), count("runs") + count("quarantined"));
    assert_eq!(count("runs"), count("answered") + count("no_reply") + count("waiting"));
    assert!(count("sent") > 0 && count("waiting") > 0 && count("quarantined") > 0, "{summary}");
}

#[test]
fn a_second_demo_has_nothing_left_to_do() {
    let (company, first) = sample();
    let before = company.outbox();
    assert_eq!(before.len() as u64, first["sent"]);
    let second = run(&mut company.on_data(&["demo", "--headless", "--json"])).json();
    assert_eq!(second["sent"], 0);
    for key in ["mails", "runs", "waiting", "quarantined", "records"] {
        assert_eq!(second[key], first[key], "{key}");
    }
    assert_eq!(company.outbox(), before);
}

#[test]
fn what_is_approved_leaves_exactly_as_it_was_shown() {
    let (company, item) = one_waiting();
    assert!(company.outbox().is_empty(), "nothing leaves before the operator has decided");
    let shown = company.ask(&["inbox", "show", &item]);
    let answer = company.ask(&["inbox", "approve", &item]);
    assert_eq!((&answer["status"], &answer["writes_landed"]), (&"completed".into(), &1.into()));
    let [mail] = &company.outbox()[..] else { panic!("one mail leaves") };
    assert!(mail.contains("To: gil@new.example\r\n"), "{mail}");
    let preview = text(&shown["preview"]);
    let (_, body) = preview.split_once("\n\n").expect("a preview has a head and a body");
    // On its way a long line is folded, as quoted-printable has it.
    let unfolded = mail.replace("=\r\n", "").replace("\r\n", "\n");
    assert!(unfolded.contains(body), "{mail}\nis not\n{preview}");
}

#[test]
fn what_is_modified_leaves_as_modified() {
    let (company, item) = one_waiting();
    company.ask(&[
        "inbox",
        "modify",
        &item,
        "--set",
        "subject=Another subject",
        "--set",
        "text=Short.",
    ]);
    let [mail] = &company.outbox()[..] else { panic!("one mail leaves") };
    assert!(mail.contains("Subject: Another subject\r\n"), "{mail}");
    assert!(mail.contains("\r\n\r\nShort."), "{mail}");
    assert!(mail.contains("To: gil@new.example\r\n"), "what is not modified stays: {mail}");
}

#[test]
fn what_is_aborted_never_leaves_and_the_reason_is_kept() {
    let (company, item) = one_waiting();
    let answer = company.ask(&["inbox", "abort", &item, "--reason", "wrong person"]);
    assert_eq!((&answer["status"], &answer["writes_landed"]), (&"completed".into(), &0.into()));
    assert_eq!(company.demo_to_its_end()["waiting"], 0);
    assert!(company.outbox().is_empty());
    let run = company.ask(&["run", "show", answer["run"].as_str().expect("it is an id")]);
    assert!(run.to_string().contains("wrong person"), "{run}");
}

#[test]
fn deciding_twice_is_refused_and_changes_nothing() {
    let (company, item) = one_waiting();
    company.ask(&["inbox", "approve", &item]);
    for again in [vec!["inbox", "approve", &item], vec!["inbox", "abort", &item]] {
        let ran = company.run(&again);
        let expected = format!(
            "soloist: nothing waits under the id {item:?}: it was decided already, or never was; see `soloist inbox list`"
        );
        assert_eq!(ran.refused(1), expected);
    }
    assert_eq!(company.outbox().len(), 1);
}

#[test]
fn whoever_was_written_to_before_is_answered_without_asking() {
    let (company, item) = one_waiting();
    company.ask(&["inbox", "approve", &item]);
    company.receive("2.eml", letter("gil@new.example", "invoice"));
    company.receive("3.eml", letter("hal@new.example", "invoice"));
    let summary = company.demo_to_its_end();
    assert_eq!((&summary["sent"], &summary["waiting"]), (&1.into(), &1.into()), "{summary}");
    let mails = company.outbox();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.contains("To: gil@new.example\r\n")), "{mails:?}");
}

#[test]
fn an_answer_that_was_sent_is_remembered_as_a_fact() {
    let (company, item) = one_waiting();
    company.ask(&["inbox", "approve", &item]);
    let facts = company.ask(&["facts", "gil@new.example"]);
    let facts = facts["facts"].as_array().expect("it is a list");
    let named = |name: &str| facts.iter().find(|fact| fact["name"] == name).expect("it is known");
    assert_eq!(named("name")["value"], "Gil");
    assert_eq!(named("last_said")["value"]["subject"], "Re: quote");
}
