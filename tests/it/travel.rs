//! Looking back through the command line: a run as it was, rebuilt from its records, carried elsewhere in a file, and tried
//! again in another way.

use std::path::Path;

use serde_json::{Value, json};
use soloist::connectors::sandbox::SandboxWorld;

use crate::support::{
    Company,
    company::{Ran, run, text},
    mails::letter,
    serving::Serving,
    wait_until,
};

const DENIES: &str =
    "[[rule]]\nname = \"nothing\"\nverdict = \"deny\"\nreason = \"nothing may happen\"\n";
const ALLOWS: &str =
    "[[rule]]\nname = \"anything\"\nverdict = \"allow\"\nreason = \"anything may happen\"\n";

/// Orders that were invoiced: one paid, two taken back, and one whose charge waits for approval.
fn invoiced() -> Company {
    let company = Company::new();
    run(&mut company.on_data(&["demo", "--scenario", "invoicing", "--headless", "--json"])).json();
    company
}

/// What the world and the journal are like: neither may change.
fn stand(company: &Company) -> (Vec<Value>, Vec<String>, Value) {
    let world = SandboxWorld::open(company.data().join("world")).expect("it is a directory");
    let writes = world.writes().expect("they can be read");
    let writes = writes.iter().map(|write| json!(format!("{write:?}"))).collect();
    (writes, company.outbox(), company.ask(&["audit", "verify"]))
}

/// Forks, and checks that nothing has changed by it.
#[track_caller]
fn fork(company: &Company, arguments: &[&str]) -> Value {
    let before = stand(company);
    let forked = company.ask(&[&["run", "fork"], arguments].concat());
    assert_eq!(stand(company), before, "a fork leaves no trace");
    forked
}

/// The writes of `forked` as `STEP: VERDICT STATE`, of one side.
fn writes(forked: &Value, side: &str) -> Vec<String> {
    let writes = forked["writes"].as_array().expect("it is a list").iter();
    let sides = writes.filter(|write| !write[side].is_null()).map(|write| {
        let (verdict, state) = (text(&write[side]["verdict"]), text(&write[side]["state"]));
        format!("{}: {verdict} {state}", text(&write["step"]))
    });
    sides.collect()
}

/// The run beneath `invoicing` that waits for its approval, and the item.
fn waiting(company: &Company) -> (String, String) {
    let item = company.waiting("approval").remove(0);
    let shown = company.ask(&["inbox", "show", &item]);
    (text(&shown["run"]), item)
}

#[test]
fn a_run_is_rebuilt_from_its_records_and_nothing_differs() {
    let company = invoiced();
    let replayed = company.ask(&["run", "replay", "invoicing"]);
    assert_eq!(replayed["equal"], true, "{replayed}");
    assert_eq!(replayed["runs"].as_array().map(Vec::len), Some(5), "those beneath it as well");
    let said = company.run(&["run", "replay", "invoicing"]);
    assert!(said.out.ends_with("Everything is as the records say.\n"), "{said:?}");
    let missing = company.run(&["run", "replay", "nobody"]);
    assert_eq!(missing.refused(1), "soloist: there is no run \"nobody\"; see `soloist run list`");
}

#[test]
fn a_run_is_shown_as_it_was_at_a_record() {
    let company = invoiced();
    let (run, item) = waiting(&company);
    let now = company.ask(&["run", "show", &run]);
    let seqs: Vec<u64> = now["records"]
        .as_array()
        .expect("it is a list")
        .iter()
        .filter_map(|record| record["seq"].as_u64())
        .collect();
    let at = |seq: u64| company.ask(&["run", "show", &run, "--at", &seq.to_string()]);
    let (first, last) = (at(seqs[0]), at(*seqs.last().expect("it has records")));
    assert_eq!(first["records"].as_array().map(Vec::len), Some(1));
    assert_eq!((&first["waits"], &first["writes"]), (&json!([]), &json!([])));
    assert_eq!(last["waits"], json!([item]));
    for key in ["status", "steps", "writes", "records"] {
        assert_eq!(last[key], now[key], "{key}");
    }
    company.ask(&["inbox", "approve", &item]);
    assert_eq!(at(*seqs.last().expect("it has records")), last, "what was stays as it was");

    let show = |seq: String| company.run(&["run", "show", &run, "--at", &seq]);
    let early = show((seqs[0] - 1).to_string());
    let said = format!(
        "soloist: run {run} had not begun at record {}: its first record is {}; name that one or a later one",
        seqs[0] - 1,
        seqs[0]
    );
    assert_eq!(early.refused(1), said);
    assert!(show("99999".into()).refused(1).contains("there is no record 99999 yet"));
}

/// `soloist ARGUMENTS`, where there is no data directory.
fn elsewhere(company: &Company, arguments: &[&str]) -> Ran {
    run(company.command(arguments).env("SOLOIST_DATA", "nothing-here"))
}

#[test]
fn a_bundle_is_replayed_where_there_is_no_journal_and_each_change_of_it_is_named() {
    let company = invoiced();
    let here = company.ask(&["run", "replay", "invoicing"]);
    let made = company.ask(&["run", "export", "invoicing", "--to", "one.bundle"]);
    assert_eq!(made["runs"], here["runs"]);
    let again = company.run(&["run", "export", "invoicing", "--to", "one.bundle"]);
    assert!(again.refused(1).contains("name another file"), "{again:?}");

    let there = elsewhere(&company, &["run", "replay", "--bundle", "one.bundle", "--json"]).json();
    assert_eq!(there["runs"], here["runs"], "the same states, to the bit");
    assert_eq!(there["equal"], true);
    let shown = elsewhere(&company, &["run", "show", "--bundle", "one.bundle", "--json"]).json();
    let live = company.ask(&["run", "show", "invoicing"]);
    for key in ["run", "status", "steps", "writes", "records"] {
        assert_eq!(shown[key], live[key], "{key}");
    }
    assert!(!Path::new(&company.path("nothing-here")).exists(), "no journal was made for it");

    let bytes = std::fs::read(company.path("one.bundle")).expect("it was written");
    for place in 0..20 {
        let mut changed = bytes.clone();
        let at = 10 + place * (bytes.len() - 10) / 20;
        changed[at] ^= 1;
        company.write("changed.bundle", &changed);
        let ran = elsewhere(&company, &["run", "replay", "--bundle", "changed.bundle"]);
        let said = ran.refused(1);
        assert!(said.starts_with("soloist: changed.bundle: part "), "byte {at}: {said}");
    }
    company.write("cut.bundle", &bytes[..bytes.len() - 1]);
    let cut = elsewhere(&company, &["run", "replay", "--bundle", "cut.bundle"]);
    assert!(cut.refused(1).contains("the file ends"), "{cut:?}");
    company.write("no.bundle", "name = 'no bundle'\n");
    let none = elsewhere(&company, &["run", "replay", "--bundle", "no.bundle"]);
    assert!(none.refused(1).contains("it is no bundle of a run"), "{none:?}");
}

#[test]
fn a_fork_in_which_nothing_is_otherwise_comes_to_the_same() {
    let company = invoiced();
    let forked = fork(&company, &["invoicing"]);
    assert_eq!(forked["same"], true, "{forked:#}");
    assert_eq!(forked["stand_ins"], json!([]));
    let (run, item) = waiting(&company);
    company.ask(&["inbox", "approve", &item]);
    let forked = fork(&company, &[&run]);
    assert_eq!(forked["same"], true, "an approval is said again: {forked:#}");
    assert_eq!(forked["fork"]["status"], "completed");
}

#[test]
fn a_fork_with_another_policy_shows_what_would_have_happened() {
    let company = invoiced();
    let (run, _) = waiting(&company);
    company.write("denies.toml", DENIES);
    let denied = fork(&company, &[&run, "--policy", "denies.toml"]);
    assert_eq!(writes(&denied, "original"), ["charge: approve asking", "invoice: allow landed"]);
    assert_eq!(writes(&denied, "fork"), ["invoice: deny denied"]);
    assert_eq!(denied["writes"][1]["fork"]["sent"], false);

    company.write("allows.toml", ALLOWS);
    let allowed = fork(&company, &[&run, "--policy", "allows.toml"]);
    let of = |what: &str| {
        let mut all = allowed["writes"].as_array().expect("it is a list").iter();
        let found = all.find(|write| write["fork"]["what"] == what);
        found.unwrap_or_else(|| panic!("{what} is there: {allowed:#}"))["fork"].clone()
    };
    let (invoice, charge) = (of("billing.create_invoice"), of("payments.charge"));
    for write in [&invoice, &charge] {
        assert_eq!((&write["verdict"], &write["state"]), (&json!("allow"), &json!("landed")));
    }
    assert_eq!(invoice["recorded"], true, "the invoice was made");
    assert_eq!(charge["recorded"], false, "the charge was not");
    let reason = text(&allowed["fork"]["reason"]);
    assert!(reason.contains("there is no settled payment stand-in"), "{reason}");

    let said = company.run(&["run", "fork", &run, "--policy", "allows.toml"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("Nobody was called, and nothing is kept."), "{said:?}");
    assert!(said.out.contains("payments.charge was not sent"), "{said:?}");
}

#[test]
fn a_fork_with_another_input_begins_anew_and_says_what_is_not_recorded() {
    let company = invoiced();
    let (run, _) = waiting(&company);
    let input = json!({
        "customer": "mara@harbourbakery.example",
        "account": "acct-harbour",
        "amount_cents": 100,
        "description": "a small order",
        "receipt_to": "mara@harbourbakery.example",
    });
    company.write("input.json", input.to_string());
    let forked = fork(&company, &[&run, "--input", "@input.json"]);
    assert_eq!(forked["original"]["status"], "waiting");
    // The agent looks for the payment of a charge that nobody has made.
    assert_eq!(forked["fork"]["status"], "failed", "{forked:#}");
    assert_eq!(forked["writes"][0]["fork"]["arguments"]["amount_cents"], 100);
    assert_eq!(forked["writes"][0]["fork"]["verdict"], "allow", "it is a small one");

    let last = company.ask(&["audit", "verify"])["records"].to_string();
    let late = company.run(&["run", "fork", &run, "--input", "@input.json", "--from", &last]);
    let said = late.refused(1);
    assert!(said.contains("so it cannot get another one at record"), "{said}");
    let wrong = company.run(&["run", "fork", &run, "--agent", "check-payment@7"]);
    let said = wrong.refused(1);
    assert!(said.contains("there is no agent `check-payment@7`"), "{said}");
}

#[test]
fn one_who_serves_is_asked_and_goes_on_undisturbed() {
    let mut serving = Serving::start();
    let company = &serving.company;
    company.receive("1.eml", letter("ada@client.example", "quote"));
    wait_until("the mail is answered", || company.outbox().len() == 1);
    let run = text(&company.ask(&["run", "list"])[0]["run"]);
    wait_until("it is over", || company.ask(&["run", "show", &run])["status"] == "completed");
    assert_eq!(company.ask(&["run", "replay", &run])["equal"], true);
    let forked = company.ask(&["run", "fork", &run]);
    assert_eq!(forked["same"], true, "{forked:#}");
    company.write("denies.toml", DENIES);
    let forked = company.ask(&["run", "fork", &run, "--policy", "denies.toml"]);
    assert_eq!(writes(&forked, "fork"), ["send: deny denied"], "{forked:#}");
    assert_eq!(company.ask(&["run", "export", &run, "--to", "mail.bundle"])["equal"], true);
    assert_eq!(company.outbox().len(), 1);
    company.receive("2.eml", letter("ada@client.example", "again"));
    wait_until("the next mail is answered", || company.outbox().len() == 2);
    assert_eq!(serving.terminate().code, 0);
}
