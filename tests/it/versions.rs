//! Versions side by side through the command line: policies that share the runs, and what the newest would have done in the shadow.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Company, company::text, serving::Serving, wait_until};

const SETTINGS: &str = "policy = 'policy.toml'\n[mail]\ncontacts = ['ada@client.example']\n";
const ALLOWS: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'\n";
const ASKS: &str = "[[rule]]\nname = 'ask'\nverdict = 'approve'\nreason = 'a test'\n";

/// Writes to Ada, with `words`.
fn greets(words: &str) -> String {
    format!(
        "name = 'greet'\n[[step]]\nname = 'send'\ncall = 'mail.send'\n\
         input = {{ to = \"'ada@client.example'\", subject = \"'Hello'\", text = \"{words}\" }}\n"
    )
}

fn company(policy: &str) -> Company {
    let company = Company::new();
    company.write("soloist.toml", SETTINGS);
    company.write("policy.toml", policy);
    add(&company, "'Good day'");
    company
}

fn add(company: &Company, words: &str) {
    company.write("greet.toml", greets(words));
    company.ask(&["workflow", "add", "greet.toml"]);
}

fn greeted(company: &Company, id: &str, input: &str) -> Value {
    company.ask(&["run", "start", "greet", "--id", id, "--input", input])
}

#[test]
fn a_share_of_the_runs_is_judged_by_the_newest_policy() {
    let company = company(ASKS);
    let ran = company.run(&["canary", "policy"]);
    assert!(ran.refused(1).contains("set one with `soloist policy set`"), "{ran:?}");
    company.write("policy.toml", ALLOWS);
    let ran = company.run(&["canary", "policy", "--percent", "50"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with(
            "Version 2 of the policy judges 50.0 % of the runs, version 1 the others.\n"
        ),
        "{ran:?}"
    );
    let mut newer = 0_u64;
    for number in 0..12 {
        newer += u64::from(greeted(&company, &format!("r{number}"), "{}")["status"] == "completed");
    }
    assert!((1..12).contains(&newer), "{newer}");
    assert_eq!(company.outbox().len() as u64, newer);
    let compared = company.ask(&["compare", "policy"]);
    let arms = &compared[0]["arms"];
    assert_eq!((&arms[1]["version"], arms[1]["landed"].as_u64()), (&2.into(), Some(newer)));
    assert_eq!(
        (arms[0]["open"].as_u64(), arms[0]["asked"].as_u64()),
        (Some(12 - newer), Some(12 - newer))
    );
    // Each decision names the version that judged it, and is judged again by that one.
    let cases = company.ask(&["policy", "decisions"]);
    let by = |version: u64| {
        let all = cases.as_array().unwrap().iter();
        all.filter(|case| case["hearings"][0]["policy"] == version).count() as u64
    };
    assert_eq!((by(1), by(2)), (12 - newer, newer));
    let tried = company.ask(&["policy", "backtest", "policy.toml"]);
    assert_eq!(tried["unexplained"], json!([]), "{tried}");
    company.ask(&["promote", "policy"]);
    assert_eq!(greeted(&company, "last", "{}")["status"], "completed");
    let ran = company.run(&["compare", "policy"]);
    assert!(ran.refused(1).contains("has nothing to compare"), "{ran:?}");
    let ran = company.run(&["compare", "experiment:greeting"]);
    assert!(ran.refused(1).contains("no run has drawn one of its arms"), "{ran:?}");
    assert_eq!(company.ask(&["compare"]), json!([]));
}

#[test]
fn the_newest_version_is_played_in_the_shadow_and_writes_to_nobody() {
    let company = company(ALLOWS);
    add(&company, "'GOOD DAY' if input.loud else 'Good day'");
    let ran = company.run(&["shadow", "policy", "--percent", "10"]);
    assert!(ran.refused(1).contains("soloist policy backtest"), "{ran:?}");
    let ran = company.run(&["shadow", "workflow:greet", "--percent", "100"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("Every new run takes version 1 of `workflow:greet`.\n"), "{ran:?}");
    assert_eq!(greeted(&company, "soft", "{\"loud\": false}")["workflow"], "greet@1");
    assert_eq!(greeted(&company, "loud", "{\"loud\": true}")["status"], "completed");
    assert_eq!(company.outbox().len(), 2, "each run wrote once");

    let shadows = company.ask(&["shadow"]);
    let row = &shadows[0];
    assert_eq!(
        (&row["played"], &row["agreed"], &row["diverged"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!((&row["due"], &row["agreed_percent"]), (&0.into(), &json!(50.0)));
    let shown = company.run(&["shadow", "workflow:greet"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    expect_test::expect![[r#"
        Run loud, version 1, in the shadow version 2: diverged: arguments 1, output 1, step 1
        live    completed
        shadow  completed

        RUN   STEP  LIVE                                                                    SHADOW
        loud  send  completed {"modified":null,"outcome":"landed","reason":null,"receipt":  completed {"modified":null,"outcome":"landed","reason":null,"receipt":

        RUN   STEP  WRITE      LIVE                    SHADOW
        loud  send  mail.send  allow by `all`, landed  allow by `all`, landed (stood in for)

        send, call#0:
          live    {"subject":"Hello","text":"Good day","to":"ada@client.example"}
          shadow  {"subject":"Hello","text":"GOOD DAY","to":"ada@client.example"}
        Not recorded, so stood in for: mail.send was not sent, and given a receipt
    "#]].assert_eq(&shown.out);
    let soft = company.ask(&["shadow", "workflow:greet", "--run", "soft"]);
    assert_eq!(soft["shadows"][0]["outcome"], "agreed");
    let ran = company.run(&["shadow", "workflow:greet", "--run", "nobody"]);
    assert!(ran.refused(1).contains("run nobody has no shadow"), "{ran:?}");

    company.ask(&["promote", "workflow:greet"]);
    assert_eq!(greeted(&company, "last", "{\"loud\": true}")["workflow"], "greet@2");
    assert_eq!(company.ask(&["shadow"])[0]["percent"], Value::Null);
    assert_eq!(company.ask(&["audit", "verify"])["archived"], 0);
}

#[test]
fn a_served_company_that_is_killed_records_each_shadow_once() {
    let company = company(ALLOWS);
    add(&company, "'GOOD DAY'");
    company.ask(&["shadow", "workflow:greet", "--percent", "100"]);
    let settings = "policy = 'policy.toml'\n";
    let mut serving = Serving::of(company, settings);
    for round in 0..6_u32 {
        let runs: Vec<String> = (0..8).map(|number| format!("r{round}-{number}")).collect();
        for run in &runs {
            greeted(&serving.company, run, "{}");
        }
        // In the midst of the shadows, a little later each time.
        std::thread::sleep(Duration::from_millis(u64::from(round) * 7));
        serving = Serving::of(serving.killed(), settings);
    }
    wait_until("every shadow has been played", || serving.company.ask(&["shadow"])[0]["due"] == 0);
    let row = serving.company.ask(&["shadow"])[0].clone();
    let over = ["played", "failed"].map(|field| row[field].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(over, 48, "{row}");
    assert_eq!(serving.company.outbox().len(), 48, "no shadow wrote to anybody");
    let _ = text(&row["of"]);
}
