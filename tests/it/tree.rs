//! The live tree of the one that serves, whether it is ready, and how it is drained and told to stop.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    Company,
    company::{KILLED, Ran, text},
    mails::letter,
    serving::Serving,
    wait_until,
};

/// A mail server that takes connections and says nothing: a mail to a known contact stays under way. It ends with this value.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let settings = format!("[mail.smtp]\nhost = '127.0.0.1'\nport = {port}\ntls = 'none'\n");
    (listener, settings)
}

/// A company one of whose runs is active and stays so.
fn busy(settings: &str) -> (TcpListener, Serving) {
    let (listener, smtp) = silent_server();
    let serving = Serving::with(&format!("{settings}\n{smtp}"));
    serving.company.receive("1.eml", letter("ada@client.example", "quote"));
    let runs = || child(&serving.company.ask(&["tree"])["tree"], "runs")["members"].clone();
    wait_until("the run is active", || runs() == 1);
    (listener, serving)
}

#[track_caller]
fn child(node: &Value, name: &str) -> Value {
    let children = node["children"].as_array().expect("it has a list of children");
    let found = children.iter().find(|child| child["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {name} in {node}")).clone()
}

fn refused(ran: &Ran, code: i32) -> String {
    let said = ran.refused(code).to_owned();
    if said.is_empty() { ran.out.clone() } else { said }
}

#[test]
fn the_tree_of_the_one_that_serves_is_shown_in_the_order_it_starts() {
    let serving = Serving::start();
    let answer = serving.company.ask(&["tree"]);
    assert_eq!((&answer["ready"], &answer["reasons"]), (&true.into(), &serde_json::json!([])));
    let tree = &answer["tree"];
    assert_eq!((&tree["name"], &tree["strategy"]), (&"soloist".into(), &"rest_for_one".into()));
    let children = tree["children"].as_array().expect("it has children");
    let shown: Vec<String> = children
        .iter()
        .map(|child| {
            assert_eq!((&child["state"], &child["restarts"]), (&"running".into(), &0.into()));
            let strategy = child["strategy"].as_str().unwrap_or("-");
            format!("{} {} {strategy}", text(&child["name"]), text(&child["kind"]))
        })
        .collect();
    expect_test::expect![[r#"
        journal actor -
        memory actor -
        connectors supervisor one_for_one
        models supervisor one_for_one
        agents supervisor one_for_one
        runs actor -
        timers actor -
        events actor -
        schedules actor -
        retention actor -
        shadows actor -
        services supervisor one_for_one"#]]
    .assert_eq(&shown.join("\n"));
    let mail = child(&child(tree, "connectors"), "mail");
    assert_eq!(mail["strategy"], "rest_for_one");
    assert_eq!(child(&mail, "calls")["state"], "running");
    let events = answer["events"].as_array().expect("events are a list");
    let started =
        |path: &str| events.iter().any(|event| event["path"] == path && event["what"] == "started");
    assert!(started("soloist/connectors/mail/calls"), "{answer}");
}

#[test]
fn people_see_the_tree_as_lines_and_what_happened_in_it() {
    let serving = Serving::start();
    let ran = serving.company.run(&["tree", "--events"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    let starts =
        ["soloist (rest_for_one) ", "├─ journal ", "├─ memory ", "├─ connectors (one_for_one) "];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && line.contains(" running"), "{line:?} in {ran:?}");
    }
    assert!(ran.out.contains("\n│  └─ mail (rest_for_one) "), "{ran:?}");
    assert!(ran.out.contains("\n│     ├─ calls "), "{ran:?}");
    assert!(ran.out.contains("\n└─ services (one_for_one) "), "{ran:?}");
    let told = |line: &&str| line.contains("  soloist/runs ") && line.ends_with("  started");
    assert!(lines.iter().any(told), "{ran:?}");
}

#[test]
fn where_nobody_serves_it_is_said_how_to() {
    let company = Company::new();
    for command in ["tree", "ready", "drain"] {
        let ran = company.run(&[command]);
        expect_test::expect![
            "soloist: nobody serves data; start it with `soloist serve --data data`, and ask again"
        ]
        .assert_eq(ran.refused(1));
    }
    assert!(!company.data().exists(), "nothing was begun");
}

#[test]
fn what_is_drained_refuses_runs_and_is_not_ready() {
    let mut serving = Serving::start();
    let company = &serving.company;
    assert_eq!(company.ask(&["ready"])["ready"], true);
    let drained = company.ask(&["drain"]);
    assert_eq!((&drained["rested"], &drained["active"]), (&true.into(), &0.into()));
    let ran = company.run(&["run", "start", "answer-mail", "--input", "{}"]);
    expect_test::expect![
        "soloist: the run was not started: the kernel is being drained; start it on the next"
    ]
    .assert_eq(&refused(&ran, 1));
    let ran = company.run(&["ready"]);
    expect_test::expect![[r#"
        Not ready.
          it is being drained: nothing more is taken in
    "#]]
    .assert_eq(&refused(&ran, 1));
    assert_eq!(company.ask(&["tree"])["ready"], false);
    company.receive("1.eml", letter("ada@client.example", "quote"));
    // Twice as long as it takes to look for mail.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(company.ask(&["run", "list"]), serde_json::json!([]), "no mail is taken in");
    assert_eq!(serving.terminate().code, 0);
}

#[test]
fn a_drain_says_how_many_runs_do_not_rest() {
    let (_silent, serving) = busy("");
    let ran = serving.company.run(&["drain", "--seconds", "0"]);
    expect_test::expect![[r#"
        Nothing more is taken in until `soloist serve` starts again.
        After 0 s, 1 run is still active; see `soloist tree`.
    "#]]
    .assert_eq(&refused(&ran, 1));
    let tree = serving.company.run(&["tree"]);
    assert!(tree.out.contains("\n│  └─ mail-"), "its run is shown: {tree:?}");
}

#[test]
fn a_stop_drains_first_and_a_second_one_ends_it_at_once() {
    let (_silent, mut serving) = busy("drain_seconds = 60\n");
    serving.signal("TERM");
    wait_until("it drains", || serving.said().contains("stopping"));
    let company = &serving.company;
    wait_until("it says so", || company.run(&["ready"]).code == 1);
    assert_eq!(child(&company.ask(&["tree"])["tree"], "runs")["members"], 1);
    let began = std::time::Instant::now();
    let ran = serving.terminate();
    assert_ne!(ran.code, KILLED, "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(began.elapsed().as_secs() < 20, "it does not wait for the run");
}
