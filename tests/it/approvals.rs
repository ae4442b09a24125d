//! Decisions meet what was shown, once: races, deadlines, policies that change, and all that can be said to an item.

use std::thread;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use soloist::{
    Agent, Failure, Question, ReadOnly, Soloist, Turn, Workflow,
    effect::Decision,
    operator::{Request, act},
};

use crate::support::{
    Company,
    company::{Ran, finish, run, spawn, text},
    mails::letter,
    serving::Serving,
    wait_until,
};

/// A serving company with one answer that waits, and the id of its item.
fn one_waiting(settings: &str) -> (Serving, String) {
    waiting_in(Company::new(), settings)
}

fn waiting_in(company: Company, settings: &str) -> (Serving, String) {
    let serving = Serving::of(company, settings);
    serving.company.receive("1.eml", letter("gil@new.example", "quote"));
    wait_until("the answer waits", || !serving.company.waiting("approval").is_empty());
    let item = serving.company.waiting("approval").remove(0);
    (serving, item)
}

/// What a run's history says, as text.
fn history(company: &Company, run: &Value) -> String {
    company.ask(&["run", "show", &text(run)])["records"].to_string()
}

/// What was said, with ids shown as `ITEM` and `NEW`.
#[track_caller]
fn refused(ran: &Ran, code: i32, item: &str, new: &str, expected: Expect) {
    let new = if new.is_empty() { "no new id" } else { new };
    expected.assert_eq(&ran.refused(code).replace(item, "ITEM").replace(new, "NEW"));
}

#[test]
fn of_two_approvals_at_once_one_sends_and_the_other_is_told() {
    let (serving, item) = one_waiting("");
    let company = &serving.company;
    let approve = || spawn(&mut company.on_data(&["inbox", "approve", &item]));
    let both: Vec<_> = (0..2).map(|_| approve()).collect();
    let mut both: Vec<Ran> = both.into_iter().map(finish).collect();
    both.sort_by_key(|ran| ran.code);
    assert_eq!((both[0].code, both[1].code), (0, 1), "{both:?}");
    assert!(both[1].err.contains("was decided already"), "{both:?}");
    assert_eq!(company.outbox().len(), 1);
}

#[test]
fn of_many_approvals_at_once_without_a_server_one_sends() {
    let (serving, item) = one_waiting("");
    let serving = serving.stopped();
    let company = &serving.company;
    let approvals: Vec<Ran> = thread::scope(|scope| {
        let approve = || scope.spawn(|| run(&mut company.on_data(&["inbox", "approve", &item])));
        let all: Vec<_> = (0..4).map(|_| approve()).collect();
        all.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    let sent = approvals.iter().filter(|ran| ran.code == 0).count();
    assert_eq!(sent, 1, "{approvals:?}");
    // The others came after it, or while it had the data directory.
    assert!(approvals.iter().all(|ran| matches!(ran.code, 0 | 1 | 3)), "{approvals:?}");
    assert_eq!(company.outbox().len(), 1);
}

#[test]
fn an_approval_after_the_policy_has_changed_is_refused_and_what_waits_has_a_new_id() {
    let (serving, item) = one_waiting("");
    let company = &serving.company;
    company.write(
        "policy.toml",
        "[lists]\ncontacts = []\n[[rule]]\nname = 'careful'\noperation = 'mail.send'\nverdict = 'approve'\nreason = 'strangers first'\n",
    );
    assert_eq!(company.ask(&["policy", "set", "policy.toml"])["version"], 2);
    let ran = company.run(&["inbox", "approve", &item]);
    let waiting = company.waiting("approval");
    assert_eq!(waiting.len(), 1);
    assert_ne!(waiting[0], item);
    refused(
        &ran,
        1,
        &item,
        &waiting[0],
        expect![
            "soloist: item ITEM was not approved: policy or what would be sent has changed since it was shown; look at it again, it waits as NEW now: soloist inbox show NEW"
        ],
    );
    assert!(company.outbox().is_empty(), "nothing is sent");
    refused(
        &company.run(&["inbox", "approve", &item]),
        1,
        &item,
        "",
        expect![[
            r#"soloist: nothing waits under the id "ITEM": it was decided already, or never was; see `soloist inbox list`"#
        ]],
    );
    assert_eq!(company.ask(&["inbox", "show", &waiting[0]])["rule"], "careful");
    company.ask(&["inbox", "approve", &waiting[0]]);
    assert_eq!(company.outbox().len(), 1);
}

#[test]
fn an_approval_after_a_policy_that_allows_it_now_stands_and_counts_once() {
    let (serving, item) = one_waiting("");
    let company = &serving.company;
    company.write(
        "policy.toml",
        "[lists]\ncontacts = []\n[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'why not'\n",
    );
    company.ask(&["policy", "set", "policy.toml"]);
    company.ask(&["inbox", "approve", &item]);
    wait_until("what is allowed is sent", || company.outbox().len() == 1);
    refused(
        &company.run(&["inbox", "approve", &item]),
        1,
        &item,
        "",
        expect![[
            r#"soloist: nothing waits under the id "ITEM": it was decided already, or never was; see `soloist inbox list`"#
        ]],
    );
    assert_eq!(company.outbox().len(), 1);
}

/// Asks about every mail, for as long as it says.
fn with_deadline(deadline: &str) -> Company {
    let company = Company::new();
    company.write(
        "policy.toml",
        format!("[lists]\ncontacts = []\n[[rule]]\nname = 'soon'\nverdict = 'approve'\nreason = 'it is late'\ndeadline = '{deadline}'\n"),
    );
    company
}

#[test]
fn an_approval_after_the_deadline_is_refused_and_nothing_is_sent() {
    let (serving, item) = waiting_in(with_deadline("5s"), "policy = 'policy.toml'\n");
    let company = &serving.company;
    wait_until("the deadline passes", || company.waiting("approval").is_empty());
    refused(
        &company.run(&["inbox", "approve", &item]),
        1,
        &item,
        "",
        expect![[
            r#"soloist: nothing waits under the id "ITEM": it was decided already, or never was; see `soloist inbox list`"#
        ]],
    );
    assert!(company.outbox().is_empty(), "turned down is what counts at the deadline");
}

#[test]
fn an_approval_after_a_deadline_that_passed_while_nothing_ran_is_refused() {
    let (serving, item) = waiting_in(with_deadline("5s"), "policy = 'policy.toml'\n");
    let shown = serving.company.ask(&["inbox", "show", &item]);
    let serving = serving.stopped();
    let company = &serving.company;
    let deadline = shown["deadline"].as_u64().expect("it has a deadline");
    wait_until("the deadline passes", || now_ms() > deadline);
    // The clock may be looked at before the approval or after it: either way it is too late.
    let ran = company.run(&["inbox", "approve", &item]);
    assert!(ran.refused(1).contains("it was decided already"), "{ran:?}");
    assert!(company.outbox().is_empty(), "turned down is what counts at the deadline");
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.expect("it is after 1970").as_millis()).expect("it is before the end")
}

#[test]
fn a_decision_is_put_down_to_whoever_took_it() {
    let (serving, item) = one_waiting("");
    let company = &serving.company;
    let answer = company.ask(&["inbox", "delegate", &item, "--to", "ben"]);
    assert_eq!(answer["status"], "waiting");
    let item = text(&answer["waits"][0]);
    assert_eq!(company.ask(&["inbox", "show", &item])["assigned"], "ben");
    assert!(company.run(&["inbox", "list"]).out.contains("ben"));
    let bad = company.run(&["inbox", "approve", &item, "--as", "two words"]);
    assert!(bad.refused(1).contains("not allowed"), "{bad:?}");
    let answer = company.ask(&["inbox", "approve", &item, "--as", "ben"]);
    assert_eq!(answer["writes_landed"], 1);
    assert!(history(company, &answer["run"]).contains("operator:ben"));
}

#[test]
fn an_item_shows_everything_and_the_commands_that_decide_it() {
    let (serving, item) = one_waiting("");
    let ran = serving.company.run(&["inbox", "show", &item]);
    let shown = masked(&ran.out, &item);
    expect![[r#"
        id        ITEM
        kind      approval
        what      mail.send to gil@new.example
        run …
        workflow  answer-mail@1
        step      send
        since …
        rule      default
        why       no rule allows it, so the operator decides
        undone    irreversible
        digest …

        From: Kestrel Studio <studio@kestrel.example>
        To: gil@new.example
        Subject: Re: quote

        Hello gil@new.example,

        thank you for your request. I will read it through and send you a quote with a timetable.

        Kind regards


        Its arguments, and where they come from:
          in_reply_to  null                                                                          untrusted  mail holds ["name","email"]
          references   []                                                                            untrusted  agent:triage, mail holds ["name","email"]
          subject      Re: quote                                                                     untrusted  agent:draft, agent:sender, agent:triage, mail holds ["name","email"]
          text         Hello gil@new.example, thank you for your request. I will re…                 untrusted  agent:draft, agent:sender, agent:triage, mail holds ["name","email"]
          to           gil@new.example                                                says where to  untrusted  agent:triage, mail holds ["name","email"]

        You can say:
          soloist inbox approve ITEM --data data                  exactly this happens, once
          soloist inbox modify ITEM --set NAME=VALUE --data data  something else happens, if policy lets it
          soloist inbox abort ITEM --reason WHY --data data       it does not happen; the agent is told why
          soloist inbox delegate ITEM --to NAME --data data       someone else decides, or an agent
    "#]].assert_eq(&shown);
}

/// `shown` without what differs from run to run.
fn masked(shown: &str, item: &str) -> String {
    let line = |line: &str| match line.split_once(' ') {
        Some((label @ ("run" | "since" | "until" | "digest"), _)) => format!("{label} …\n"),
        _ => format!("{}\n", line.replace(item, "ITEM")),
    };
    shown.lines().map(line).collect()
}

/// Asks which one.
struct Asks;

impl Agent for Asks {
    const NAME: &'static str = "asks";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<Value, Failure> {
        let question = Question::new("Which one?").choices(["red", "blue"]);
        Ok(turn.ask(question).await?)
    }
}

#[tokio::test]
async fn a_question_takes_one_of_its_choices_from_whoever_it_was_given_to() {
    let folder = tempfile::tempdir().expect("there is room for a directory");
    let definition = "name = 'ask'\n[[step]]\nname = 'which'\nagent = 'asks'\n";
    let workflow = Workflow::parse("ask.toml", definition).expect("it is well");
    let builder = Soloist::builder().data_dir(folder.path()).agent(Asks).workflow(workflow);
    let soloist = builder.open().await.expect("it opens");
    let started = Request::Start { workflow: "ask".into(), run: None, input: Value::Null };
    let started = act(&soloist, started).await.expect("it starts");
    let say = async |item: &str, decision: Decision| {
        let by = Some("ben".to_owned());
        act(&soloist, Request::Decide { item: item.into(), decision, by }).await
    };
    let item = text(&started["waits"][0]);
    let given = say(&item, Decision::Delegate { to: "ben".into() }).await.expect("it is given on");
    let item = text(&given["waits"][0]);
    let green = say(&item, Decision::Answer { value: "green".into() }).await;
    let problem = green.expect_err("green is none of them").message;
    assert_eq!(problem, format!("item {item} takes one of: red, blue"));
    let blue = say(&item, Decision::Answer { value: "blue".into() }).await.expect("it is one");
    assert_eq!((&blue["status"], &blue["output"]), (&"completed".into(), &"blue".into()));
    soloist.shutdown().await.expect("it stops");
}

#[test]
fn no_question_decides() {
    let decides = |request: &Value| {
        let request: Request = serde_json::from_value(request.clone()).expect("it is one");
        request.acts()
    };
    for asks in ["inbox", "runs", "quarantined", "verify", "workflows", "policy"] {
        assert!(!decides(&json!({ "do": asks })), "{asks}");
    }
    assert!(!decides(&json!({ "do": "migration", "run": "x" })));
    assert!(decides(&json!({ "do": "migrate", "run": "x" })));
    assert!(decides(&json!({ "do": "decide", "item": "x", "decision": "approve" })));
}
