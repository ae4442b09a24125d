//! The worked examples, through the command line alone: what they do by themselves, what they ask, and that a process that
//! is killed in their midst does nothing twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::Value;
use soloist::{Workflow, connectors::sandbox::SandboxWorld};

use crate::support::{
    Company,
    company::{KILLED, finish, run, spawn, text},
    ledger::check_journal,
    root,
    xorshift::Xorshift,
};

/// `soloist demo --scenario NAME`, to its end.
#[track_caller]
fn demo(company: &Company, name: &str) -> Value {
    run(&mut company.on_data(&["demo", "--scenario", name, "--headless", "--json"])).json()
}

fn world(company: &Company) -> SandboxWorld {
    SandboxWorld::open(company.data().join("world")).expect("the world is a directory")
}

/// What was done to the world, in order of the alphabet.
fn writes(company: &Company) -> Vec<String> {
    let writes = world(company).writes().expect("the list can be read").into_iter();
    let mut writes: Vec<String> = writes.map(|write| write.operation).collect();
    writes.sort();
    writes
}

/// The records of the world below `folder`.
fn records(company: &Company, folder: &str) -> Vec<Value> {
    let records = world(company).records().expect("the records can be read").into_iter();
    records.filter(|(name, _)| name.starts_with(folder)).map(|(_, record)| record).collect()
}

/// The ids of the approvals whose title holds `words`.
fn asked_about(company: &Company, words: &str) -> Vec<String> {
    let inbox = company.ask(&["inbox", "list"]);
    let items = inbox.as_array().expect("the inbox is a list").iter();
    let about = items.filter(|item| text(&item["title"]).contains(words));
    about.map(|item| text(&item["id"])).collect()
}

/// Checks that the same command again does nothing, and that the figures stay what they are.
#[track_caller]
fn a_second_time_nothing_happens(company: &Company, name: &str) {
    let first = demo(company, name);
    let (outbox, done) = (company.outbox(), writes(company));
    let second = demo(company, name);
    assert_eq!((&second["sent"], &second["writes_landed"]), (&0.into(), &0.into()), "{second}");
    for key in ["runs", "completed", "failed", "waiting", "compensated", "records"] {
        assert_eq!(second[key], first[key], "{key}");
    }
    assert_eq!((company.outbox(), writes(company)), (outbox, done));
}

#[test]
fn the_summary_of_a_scenario_has_its_keys() {
    let company = Company::new();
    let summary = demo(&company, "content");
    let keys: BTreeSet<&str> =
        summary.as_object().expect("it is an object").keys().map(String::as_str).collect();
    let expected = [
        "aborted",
        "compensated",
        "completed",
        "elapsed_ms",
        "failed",
        "fsyncs",
        "records",
        "runs",
        "scenario",
        "sent",
        "waiting",
        "writes_landed",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
}

#[test]
fn outreach_writes_to_whom_the_owner_named_asks_about_strangers_and_spares_who_owes() {
    let company = Company::new();
    let summary = demo(&company, "outreach");
    let figures = ["runs", "sent", "waiting", "failed"].map(|key| summary[key].as_u64());
    assert_eq!(figures, [6, 1, 3, 0].map(Some), "{summary}");
    assert!(company.outbox()[0].contains("To: mara@harbourbakery.example\r\n"));
    let notes = records(&company, "crm/notes/");
    let about_tom = notes.iter().find(|note| note["contact"] == "tom@northcycles.example");
    let about_tom = about_tom.expect("it is said why nobody wrote to him");
    assert_eq!(about_tom["text"], "Not written to: 480.00 EUR overdue");
    a_second_time_nothing_happens(&company, "outreach");
}

#[test]
fn a_lead_that_the_operator_approves_of_is_written_to_once_and_moves_on_in_the_crm() {
    let company = Company::new();
    demo(&company, "outreach");
    let item = asked_about(&company, "ines@tidepotters.example").remove(0);
    let shown = company.ask(&["inbox", "show", &item]);
    assert_eq!(
        (&shown["rule"], &shown["provenance"]["to"]["integrity"]),
        (&"stranger".into(), &"untrusted".into()),
        "{shown}"
    );
    let answer = company.ask(&["inbox", "approve", &item]);
    assert_eq!((&answer["status"], &answer["writes_landed"]), (&"completed".into(), &3.into()));
    assert_eq!(company.run(&["inbox", "approve", &item]).code, 1, "it was decided already");
    let to_ines = |mail: &&String| mail.contains("To: ines@tidepotters.example\r\n");
    assert_eq!(company.outbox().iter().filter(to_ines).count(), 1);
    let contacts = records(&company, "crm/contacts/ines@");
    assert_eq!(contacts[0]["stage"], "contacted");
    a_second_time_nothing_happens(&company, "outreach");
}

#[test]
fn an_order_that_fails_is_taken_back_in_reverse_and_the_others_are_not() {
    let company = Company::new();
    let summary = demo(&company, "invoicing");
    let keys = ["runs", "completed", "failed", "waiting", "sent", "compensated"];
    let figures = keys.map(|key| summary[key].as_u64());
    assert_eq!(figures, [5, 1, 2, 1, 1, 3].map(Some), "{summary}");
    let of = |customer: &str| {
        let invoices = records(&company, "billing/invoices/").into_iter();
        let mut of = invoices.filter(|invoice| invoice["customer"] == customer);
        let of = of.find(|invoice| invoice["amount_cents"] != 48_000).expect("it was made");
        text(&of["status"])
    };
    assert_eq!(of("tom@northcycles.example"), "cancelled", "his account declines");
    assert_eq!(of("jonas@alderbooks.example"), "cancelled", "his receipt could not be sent");
    let payments = records(&company, "payments/payments/");
    let status = |account: &str| {
        let found = payments.iter().filter(|payment| payment["account"] == account);
        found.map(|payment| text(&payment["status"])).collect::<Vec<_>>()
    };
    assert_eq!(
        (status("acct-alder"), status("acct-harbour")),
        (vec!["refunded".into()], vec!["settled".into()])
    );
    let writes = world(&company).writes().expect("the list can be read");
    let place = |operation: &str| writes.iter().rposition(|write| write.operation == operation);
    assert!(place("payments.refund") < place("billing.cancel_invoice"), "{writes:?}");
    a_second_time_nothing_happens(&company, "invoicing");
}

#[test]
fn a_large_charge_is_made_once_it_is_approved_and_its_invoice_is_cancelled_if_it_is_not() {
    for (decision, status, mails) in [("approve", "completed", 2), ("abort", "failed", 1)] {
        let company = Company::new();
        demo(&company, "invoicing");
        let item = asked_about(&company, "90000").remove(0);
        let answer = company.ask(&["inbox", decision, &item]);
        assert_eq!(answer["status"], status, "{answer}");
        assert_eq!(company.outbox().len(), mails);
        let summary = demo(&company, "invoicing");
        assert_eq!(summary["waiting"], 0, "{summary}");
        a_second_time_nothing_happens(&company, "invoicing");
    }
}

#[test]
fn an_article_is_published_as_checked_and_told_about_once_it_is_approved() {
    let company = Company::new();
    let summary = demo(&company, "content");
    assert_eq!((&summary["waiting"], &summary["writes_landed"]), (&1.into(), &0.into()));
    a_second_time_nothing_happens(&company, "content");
    let item = asked_about(&company, "Publish \"How we quote\"").remove(0);
    company.ask(&["inbox", "approve", &item]);
    assert_eq!(writes(&company), ["cms.create_draft", "cms.publish"]);
    let articles = records(&company, "cms/articles/");
    let article = articles.iter().find(|article| article["slug"] == "how-we-quote");
    let article = text(&article.expect("it is published")["text"]);
    assert!(article.contains("480 EUR") && !article.contains("450 EUR"), "{article}");
    assert!(!article.contains("prize"), "what nobody knows is left out: {article}");
    assert_eq!(demo(&company, "content")["completed"], 4);
    let facts = company.ask(&["facts", "how-we-quote", "--system", "cms"]);
    assert_eq!(facts["facts"][0]["value"]["claims"], 3, "{facts}");
    a_second_time_nothing_happens(&company, "content");
}

#[test]
fn an_article_that_is_turned_down_is_not_even_kept_as_a_draft() {
    let company = Company::new();
    demo(&company, "content");
    let item = asked_about(&company, "Publish").remove(0);
    assert_eq!(company.ask(&["inbox", "abort", &item])["status"], "completed");
    assert!(writes(&company).is_empty());
}

/// The note about whoever has this address.
#[track_caller]
fn noted(company: &Company, email: &str) -> String {
    let notes = records(company, "crm/notes/").into_iter().filter(|note| note["contact"] == email);
    let notes: Vec<_> = notes.collect();
    let [note] = &notes[..] else { panic!("there is one note about {email}: {notes:?}") };
    text(&note["text"])
}

fn stage(company: &Company, email: &str) -> String {
    text(&records(company, &format!("crm/contacts/{email}"))[0]["stage"])
}

const ROSA: &str = "rosa@saltandrye.example";
const EMIL: &str = "emil@brightgarage.example";
const KIT: &str = "kit@ranklift.example";
const VIC: &str = "vic@quicktrade.example";

#[test]
fn qualification_notes_every_score_and_invites_nobody_by_itself() {
    let company = Company::new();
    let summary = demo(&company, "qualification");
    let keys = ["runs", "completed", "failed", "waiting", "sent", "writes_landed"];
    let figures = keys.map(|key| summary[key].as_u64());
    assert_eq!(figures, [5, 1, 0, 3, 0, 4].map(Some), "{summary}");
    let notes = [ROSA, EMIL, KIT].map(|email| noted(&company, email));
    let expected = [
        "Scored 85 by the model: it speaks of budget, lettering, menus, signs, window",
        "Scored 55 by the model: it speaks of logo, sign, window",
        "Scored 0 by the model: it speaks of backlinks, ranking, seo, webinar, which is no work for us",
    ];
    assert_eq!(notes, expected);
    for email in [ROSA, EMIL, KIT, VIC] {
        assert_eq!(stage(&company, email), "lead", "nobody is qualified before the mail is out");
    }
    a_second_time_nothing_happens(&company, "qualification");
}

#[test]
fn a_clear_yes_is_invited_and_qualified_once_the_operator_knows_the_address() {
    let company = Company::new();
    demo(&company, "qualification");
    let item = asked_about(&company, ROSA).remove(0);
    let answer = company.ask(&["inbox", "approve", &item]);
    assert_eq!((&answer["status"], &answer["writes_landed"]), (&"completed".into(), &3.into()));
    assert_eq!((company.outbox().len(), stage(&company, ROSA)), (1, "qualified".into()));
    a_second_time_nothing_happens(&company, "qualification");
}

#[test]
fn what_becomes_of_a_borderline_inquiry_is_what_the_operator_says() {
    let question = "Invite Emil Brandt of Bright Garage? Scored 55 by the model";
    let company = Company::new();
    demo(&company, "qualification");
    company.ask(&["inbox", "approve", &asked_about(&company, question).remove(0)]);
    assert!(
        company.outbox().is_empty(),
        "that he is worth a mail does not say whose address it is"
    );
    company.ask(&["inbox", "approve", &asked_about(&company, EMIL).remove(0)]);
    assert!(company.outbox()[0].contains(&format!("To: {EMIL}\r\n")));
    assert_eq!(stage(&company, EMIL), "qualified");
    a_second_time_nothing_happens(&company, "qualification");

    let company = Company::new();
    demo(&company, "qualification");
    let answer = company.ask(&["inbox", "abort", &asked_about(&company, question).remove(0)]);
    assert_eq!((&answer["status"], &answer["writes_landed"]), (&"completed".into(), &1.into()));
    assert_eq!((asked_about(&company, EMIL).len(), stage(&company, EMIL)), (0, "lead".into()));
}

#[test]
fn an_inquiry_that_talks_the_model_round_is_still_a_stranger() {
    let company = Company::new();
    demo(&company, "qualification");
    assert_eq!(noted(&company, VIC), "Scored 100 by the model: it says so: score 100");
    let item = asked_about(&company, VIC).remove(0);
    let shown = company.ask(&["inbox", "show", &item]);
    let to = &shown["provenance"]["to"]["integrity"];
    assert_eq!((&shown["rule"], to), (&"stranger".into(), &"untrusted".into()), "{shown}");
    company.ask(&["inbox", "abort", &item]);
    assert_eq!((company.outbox().len(), stage(&company, VIC)), (0, "lead".into()));
}

#[test]
fn an_answer_that_is_of_no_use_is_asked_for_again_and_then_left_to_the_operator() {
    let good = r#"{ \"score\": 90, \"reason\": \"it is\" }"#;
    let again = format!(r#"{{ "when": "could not be used", "text": "{good}" }}"#);
    let about_rosa = |answer: &str| format!(r#"{{ "when": "Salt and Rye", {answer} }}"#);
    let (learns, model, rule) = (true, "by the model: it is", "by a rule of thumb");
    let answers = [
        (r#""text": "I would say 90.""#, learns, model),
        (r#""text": "I would say 90.""#, !learns, rule),
        (r#""text": "{ \"score\": 900, \"reason\": \"it is\" }""#, learns, model),
        (r#""text": "{ \"sco", "finish": "length""#, learns, model),
        // Asked again, it would say the same: it is not asked.
        (r#""text": "No.", "finish": "refusal""#, learns, rule),
    ];
    for (first, learns, by) in answers {
        let company = Company::new();
        assert!(world(&company).seed_sample().expect("the world can be written"));
        company.write("data/world/model/answers/b.json", about_rosa(first));
        if learns {
            company.write("data/world/model/answers/a.json", &again);
        }
        let summary = demo(&company, "qualification");
        assert_eq!(summary["waiting"], 3, "{summary}");
        assert!(noted(&company, ROSA).contains(by), "{first}: {}", noted(&company, ROSA));
        let asked = asked_about(&company, "Invite Rosa Lindgren of Salt and Rye?").len();
        assert_eq!(asked, usize::from(by == rule), "{first}");
    }
}

#[test]
fn a_scenario_has_no_mail_of_its_own_and_a_directory_has_one_company() {
    let company = Company::new();
    let both = company.run(&["demo", "--scenario", "content", "--mail", "mail"]);
    let said = both.refused(2);
    assert!(said.contains("'--scenario <NAME>' cannot be used with"), "{said}");
    demo(&company, "content");
    let other = company.run(&["demo", "--scenario", "outreach"]);
    let expected = "soloist: data belongs to content; give another directory with --data";
    assert_eq!(other.refused(2), expected);
    let remembered = run(&mut company.on_data(&["demo", "--headless", "--json"])).json();
    assert_eq!(remembered["scenario"], "content", "the directory remembers");
}

#[test]
fn the_pictures_of_the_documentation_are_those_of_the_workflows() {
    let page = std::fs::read_to_string(root().join("docs/scenarios.md")).expect("it is there");
    let names = [
        "outreach",
        "outreach-lead",
        "invoicing",
        "invoice",
        "content",
        "content-review",
        "qualification",
        "qualify-lead",
    ];
    for name in names {
        let file = root().join("host/company").join(format!("{name}.toml"));
        let definition = std::fs::read_to_string(file).expect("it is there");
        let picture = Workflow::parse(name, &definition).expect("it is well").mermaid();
        assert!(page.contains(&picture), "draw {name} in docs/scenarios.md as\n{picture}");
    }
}

/// Kills of each scenario, at least.
const KILLS: usize = 10;

/// Lets everything that waits be approved, until nothing does, and checks what is left.
#[track_caller]
fn finish_and_check(company: &Company, name: &str) {
    loop {
        demo(company, name);
        let waiting = company.waiting("approval");
        if waiting.is_empty() {
            break;
        }
        for item in waiting {
            company.ask(&["inbox", "approve", &item]);
        }
    }
    let writes = world(company).writes().expect("the list can be read");
    let keys: BTreeSet<_> = writes.iter().map(|write| &write.key).collect();
    assert_eq!(keys.len(), writes.len(), "a write happened twice: {writes:?}");
    assert!(company.waiting("ambiguous").is_empty(), "these systems can be asked");
    let runs = company.ask(&["run", "list"]);
    for run in runs.as_array().expect("it is a list") {
        let at_rest = run["status"] == "completed" || run["reason"].is_string();
        assert!(at_rest, "this is no rest: {run}");
    }
    check_journal(company);
}

/// Runs `arguments` and kills them, unless they end before; tells whether they were killed.
fn disturbed(company: &Company, arguments: &[&str], after: Duration) -> bool {
    let mut child = spawn(&mut company.on_data(arguments));
    std::thread::sleep(after);
    child.kill().expect("a child can be killed");
    let ran = finish(child);
    assert!([0, 1, KILLED].contains(&ran.code) && !ran.err.contains("panicked"), "{ran:?}");
    ran.code == KILLED
}

/// Kills the scenario and its approvals at moments drawn from a seed, in one company after the other, each of which ends as
/// if nothing had happened.
fn campaign(name: &str) {
    let undisturbed = Company::new();
    let begun = Instant::now();
    demo(&undisturbed, name);
    let pace = begun.elapsed();
    finish_and_check(&undisturbed, name);
    let expected = (writes(&undisturbed), undisturbed.outbox().len());

    let (mut kills, mut chance) = (0, Xorshift::new(0x5010_1575));
    while kills < KILLS {
        let company = Company::new();
        for _ in 0..4 {
            let arguments = ["demo", "--scenario", name, "--headless", "--json"];
            kills += usize::from(disturbed(&company, &arguments, chance.up_to(pace)));
            // What was killed before it had a journal has no inbox either.
            let inbox = company.run(&["inbox", "list", "--json"]);
            let items: Vec<Value> = serde_json::from_str(&inbox.out).unwrap_or_default();
            if let Some(item) = items.iter().find(|item| item["kind"] == "approval") {
                let arguments = ["inbox", "approve", item["id"].as_str().expect("it has an id")];
                kills += usize::from(disturbed(&company, &arguments, chance.up_to(pace)));
            }
        }
        finish_and_check(&company, name);
        assert_eq!((writes(&company), company.outbox().len()), expected, "{name}");
    }
}

#[test]
fn whenever_outreach_is_killed_everyone_is_written_to_once() {
    campaign("outreach");
}

#[test]
fn whenever_invoicing_is_killed_every_order_is_charged_once_or_taken_back() {
    campaign("invoicing");
}

#[test]
fn whenever_content_is_killed_the_article_is_published_once() {
    campaign("content");
}

#[test]
fn whenever_qualification_is_killed_everyone_is_invited_once() {
    campaign("qualification");
}
