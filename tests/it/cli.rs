//! Bad input gets a clear answer: what is wrong, where, and what to do. Nothing is lost by it.

use std::process::{Command, Stdio};

use expect_test::{Expect, expect};

use crate::support::{
    Company,
    binary::soloist,
    company::{files, run},
    mails::letter,
};

/// Checks that `arguments` are refused with `code`, by a message whose temporary directory is shown as `DIR`.
#[track_caller]
fn check(company: &Company, arguments: &[&str], code: i32, expected: Expect) {
    check_command(company, &mut company.on_data(arguments), code, expected);
}

#[track_caller]
fn check_command(company: &Company, command: &mut Command, code: i32, expected: Expect) {
    let ran = run(command);
    let dir = company.path("");
    let dir = dir.to_str().expect("the directory's name is text").trim_end_matches('/');
    expected.assert_eq(&ran.refused(code).replace(dir, "DIR"));
    assert!(!company.data().join("HEAD").exists(), "nothing was begun");
}

#[track_caller]
fn check_settings(settings: &str, expected: Expect) {
    let company = Company::new();
    company.write("soloist.toml", settings);
    check(&company, &["demo", "--headless"], 2, expected);
}

#[track_caller]
fn check_workflow(definition: &str, expected: Expect) {
    let company = Company::new();
    company.write("flow.toml", definition);
    check(&company, &["demo", "--headless", "--workflow", "flow.toml"], 2, expected);
}

#[track_caller]
fn check_variable(name: &str, value: &str, expected: Expect) {
    let company = Company::new();
    let mut demo = company.on_data(&["demo", "--headless"]);
    check_command(&company, demo.env(name, value), 2, expected);
}

#[test]
fn a_typo_in_the_configuration_is_named_with_its_file_line_and_key() {
    check_settings(
        "log = 'warn'\n\n[mail]\npol_seconds = 3\n",
        expect![
            "soloist: soloist.toml, line 4, `pol_seconds = 3`: unknown field `pol_seconds`, expected one of `from`, `source`, `bytes_max`, `poll_seconds`, `contacts`, `outbox`, `smtp`"
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_line() {
    check_settings(
        "[mail]\npoll_seconds = 'often'\n",
        expect![[
            r#"soloist: soloist.toml, line 2, `poll_seconds = 'often'`: invalid type: string "often", expected u64"#
        ]],
    );
}

#[test]
fn text_that_is_no_toml_is_named_with_its_line() {
    check_settings(
        "[mail\nfrom = 'me'\n",
        expect!["soloist: soloist.toml, line 1, `[mail`: unclosed table, expected `]`"],
    );
}

#[test]
fn a_bad_environment_variable_is_named() {
    check_variable(
        "SOLOIST_MAIL__POLL_SECONDS",
        "often",
        expect![[
            r#"soloist: environment variable SOLOIST_MAIL__POLL_SECONDS: invalid type: string "often", expected an integer for key `mail.poll_seconds` in the environment"#
        ]],
    );
    check_variable(
        "SOLOIST_MAIL__POL_SECONDS",
        "3",
        expect![
            "soloist: environment variable SOLOIST_MAIL__POL_SECONDS: unknown field `pol_seconds`, expected one of `from`, `source`, `bytes_max`, `poll_seconds`, `contacts`, `outbox`, `smtp` for key `mail`"
        ],
    );
}

#[test]
fn a_configuration_file_that_is_not_there_is_named() {
    let company = Company::new();
    check(
        &company,
        &["demo", "--headless", "--config", "no.toml"],
        2,
        expect!["soloist: no.toml: No such file or directory (os error 2)"],
    );
}

#[test]
fn an_unknown_flag_is_named() {
    let company = Company::new();
    check(
        &company,
        &["demo", "--headles"],
        2,
        expect![[r#"
        error: unexpected argument '--headles' found

          tip: a similar argument exists: '--headless'

        Usage: soloist demo --headless

        For more information, try '--help'."#]],
    );
}

#[test]
fn a_server_that_is_none_is_named() {
    let company = Company::new();
    check(
        &company,
        &["demo", "--headless", "--smtp", "nonsense"],
        2,
        expect![[r#"soloist: --smtp "nonsense" is not HOST:PORT, as in localhost:1025"#]],
    );
    check(
        &company,
        &["demo", "--headless", "--smtp", "localhost:99999"],
        2,
        expect![[r#"soloist: --smtp "localhost:99999" is not HOST:PORT, as in localhost:1025"#]],
    );
}

#[test]
fn a_workflow_with_a_circle_is_named_with_its_steps() {
    check_workflow(
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'triage'\nneeds = ['b']\n[[step]]\nname = 'b'\nagent = 'draft'\nneeds = ['a']\n",
        expect![
            "soloist: flow.toml, step `a`, field `needs`: the steps need each other in a circle: a → b → a; remove one of these `needs`"
        ],
    );
}

#[test]
fn a_workflow_with_an_unknown_agent_or_operation_names_both() {
    check_workflow(
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'triag'\n[[step]]\nname = 'b'\ncall = 'mail.sned'\n[[step]]\nname = 'c'\ncall = 'crm.write'\n",
        expect![[r#"
            soloist: flow.toml, step `a`, field `agent`: there is no agent `triag`; did you mean `triage`?
            flow.toml, step `b`, field `call`: connector `mail` has no operation `sned`; did you mean `mail.send`?
            flow.toml, step `c`, field `call`: there is no connector `crm`"#]],
    );
}

#[test]
fn a_typo_in_a_workflow_is_named_with_its_step() {
    check_workflow(
        "name = 'x'\n[[step]]\nname = 'a'\nagnet = 'triage'\n",
        expect![[r#"
            soloist: flow.toml, step `a`: it does not say what it does; write one of `agent`, `call`, `workflow`, `approve`, `map`, `loop`, `wait` and `emit`
            flow.toml, step `a`, field `agnet`: there is no such field; did you mean `agent`?"#]],
    );
}

#[test]
fn a_workflow_whose_expression_reads_what_it_cannot_see_is_named() {
    check_workflow(
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'triage'\nwhen = 'inptu.subject'\n",
        expect![
            "soloist: flow.toml, step `a`, field `when`: `inptu` is not visible here; did you mean `input`?"
        ],
    );
}

#[test]
fn a_workflow_that_is_not_there_is_named() {
    let company = Company::new();
    check(
        &company,
        &["demo", "--headless", "--workflow", "no.toml"],
        2,
        expect!["soloist: failed to read no.toml: No such file or directory (os error 2)"],
    );
}

#[test]
fn a_policy_with_an_unknown_name_is_named_with_its_rule() {
    let company = Company::new();
    company.write("soloist.toml", "policy = 'rules.toml'\n");
    company.write(
        "rules.toml",
        "[[rule]]\nname = 'mine'\nwhen = 'sender.known'\nverdict = 'allow'\nreason = 'known'\n",
    );
    check(
        &company,
        &["demo", "--headless"],
        2,
        expect![
            "soloist: rules.toml, rule `mine`, field `when`: `sender` is not visible here; a rule sees agent, arguments, labels, labels_of, lists, now, operation, reversal, reverses, routing, semantics, workflow"
        ],
    );
}

#[test]
fn a_mail_folder_that_is_not_there_is_named() {
    let company = Company::new();
    let ran = company.run(&["demo", "--headless", "--mail", "nowhere"]);
    expect!["soloist: failed to read from connector `mail`: cannot list the mail folder nowhere: No such file or directory (os error 2); create it, or correct `mail.source`"].assert_eq(ran.refused(1));
}

#[test]
fn a_mail_over_the_limit_is_quarantined_and_the_others_are_answered() {
    let mut company = Company::new();
    company.flags = vec!["--known".into(), "ada@client.example".into()];
    company.receive("1-small.eml", letter("ada@client.example", "quote"));
    let large = letter("ada@client.example", "invoice") + &"x".repeat(30 << 20);
    company.receive("2-large.eml", &large);
    company.receive("3-small.eml", letter("ada@client.example", "meeting"));
    let summary = company.demo_to_its_end();
    assert_eq!((&summary["sent"], &summary["quarantined"]), (&2.into(), &1.into()), "{summary}");
    let quarantined = company.ask(&["quarantine", "list"]);
    expect!["the mail has 31457384 bytes and the limit is 26214400 (`mail.bytes_max`); raise it to read the mail, its file mail/2-large.eml is untouched"].assert_eq(quarantined[0]["reason"].as_str().expect("it has a reason"));
    let kept = std::fs::read(company.path("mail/2-large.eml")).expect("its file is there");
    assert!(kept == large.as_bytes(), "its file is untouched");
}

#[test]
fn an_unknown_id_is_refused() {
    let company = Company::new();
    company.demo_to_its_end();
    let said = |arguments: &[&str]| company.run(arguments).refused(1).to_owned();
    expect![[r#"soloist: there is no run "mail-0"; see `soloist run list`"#]]
        .assert_eq(&said(&["run", "show", "mail-0"]));
    expect![[r#"soloist: nothing waits under the id "0123456789": it was decided already, or never was; see `soloist inbox list`"#]].assert_eq(&said(&["inbox", "show", "0123456789"]));
    expect![[r#"soloist: nothing waits under the id "two words": it was decided already, or never was; see `soloist inbox list`"#]].assert_eq(&said(&["inbox", "approve", "two words"]));
    expect![[r#"soloist: nothing waits under the id "0123456789": it was decided already, or never was; see `soloist inbox list`"#]].assert_eq(&said(&["inbox", "modify", "0123456789", "--set", "to=a@b.example"]));
}

#[test]
fn a_change_that_names_no_argument_is_refused_before_anything_is_opened() {
    let company = Company::new();
    check(
        &company,
        &["inbox", "modify", "0123456789", "--set", "subject"],
        2,
        expect![[r#"soloist: --set "subject" is not NAME=VALUE, as in subject="Re: Hello""#]],
    );
}

#[test]
fn a_data_directory_without_a_journal_is_named_and_not_made() {
    let company = Company::new();
    check(
        &company,
        &["inbox", "list"],
        1,
        expect!["soloist: there is no journal in data; `soloist demo --data DIR` makes one"],
    );
    check(
        &company,
        &["doctor"],
        1,
        expect!["soloist: there is no journal in data; `soloist demo --data DIR` makes one"],
    );
    assert!(files(&company.data()).is_empty());
}

#[test]
fn machines_get_errors_as_json() {
    let company = Company::new();
    let ran = company.run(&["inbox", "list", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let said: serde_json::Value = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!(said["exit_code"], 1);
    assert!(said["error"].as_str().is_some_and(|error| error.contains("no journal")), "{said}");
}

/// As with `soloist sim run | head -0`.
#[test]
fn whoever_stops_listening_ends_nothing() {
    let mut command = Command::new(soloist());
    command.args(["sim", "run", "--seed", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ran = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
    assert!(ran.status.success());
}
