//! `soloist serve`: it answers what arrives, takes decisions over its socket, keeps others out, and stops when told to.

use crate::support::{Company, company::text, mails::letter, serving::Serving, wait_until};

#[test]
fn a_mail_that_arrives_is_answered_and_a_signal_stops_it_cleanly() {
    let mut serving = Serving::start();
    serving.company.receive("1.eml", letter("ada@client.example", "quote"));
    wait_until("the mail is answered", || serving.company.outbox().len() == 1);
    let ran = serving.terminate();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("stopping"), "{ran:?}");
    assert!(!serving.company.data().join("control.sock").exists(), "it takes its socket away");
    assert_eq!(serving.company.ask(&["doctor"])["cut_bytes"], 0);
    assert_eq!(serving.company.outbox().len(), 1);
}

#[test]
fn decisions_go_through_the_socket_of_the_one_that_serves() {
    let mut serving = Serving::start();
    serving.company.receive("1.eml", letter("gil@new.example", "quote"));
    let company = &serving.company;
    wait_until("the answer waits", || !company.waiting("approval").is_empty());
    let item = company.waiting("approval").remove(0);
    let answer = company.ask(&["inbox", "approve", &item]);
    assert_eq!(answer["writes_landed"], 1);
    assert_eq!(company.outbox().len(), 1);
    let run = company.ask(&["run", "show", &text(&answer["run"])]);
    assert_eq!(run["status"], "completed");
    assert_eq!(company.ask(&["audit", "verify"])["ok"], true);
    assert_eq!(serving.terminate().code, 0);
}

#[test]
fn a_second_kernel_on_the_same_data_is_refused_with_the_pid_of_the_first() {
    let serving = Serving::start();
    let ran = serving.company.run(&["demo", "--headless"]);
    let said = ran.refused(3);
    assert!(said.contains(&serving.pid().to_string()), "{said}");
    let ran = serving.company.run(&["doctor"]);
    let said = ran.refused(3);
    assert!(said.contains(&serving.pid().to_string()), "{said}");
    // Questions are answered meanwhile.
    assert_eq!(serving.company.ask(&["inbox", "list"]), serde_json::json!([]));
}

#[test]
fn without_a_source_there_is_nothing_to_serve() {
    let company = Company::new();
    let ran = company.run(&["serve"]);
    expect_test::expect!["soloist: there is nothing to read; set `mail.source` in soloist.toml to a Maildir or a folder of .eml files"].assert_eq(ran.refused(2));
}
