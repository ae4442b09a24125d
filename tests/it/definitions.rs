//! Workflows and policies from the command line: checked, added, compared, drawn, tested and set.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::{Company, company::Ran, serving::Serving, wait_until};

/// A workflow that is well in the mail company.
const WELL: &str = "name = 'note'\n[[step]]\nname = 'read'\nagent = 'triage'\n[[step]]\nname = 'ok'\napprove = 'Go on?'\nneeds = ['read']\n";

/// The objects of a command's answer, a line each.
fn objects(ran: &Ran) -> Vec<Value> {
    let object =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ran.out.lines().map(object).collect()
}

#[track_caller]
fn check_text(company: &Company, arguments: &[&str], code: i32, expected: Expect) {
    let ran = company.run(arguments);
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    expected.assert_eq(&format!("{}{}", ran.out, ran.err));
}

#[test]
fn a_workflow_is_checked_without_a_data_directory() {
    let company = Company::new();
    company.write("note.toml", WELL);
    let ran = company.run(&["workflow", "check", "note.toml", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(objects(&ran), [json!({ "file": "note.toml", "workflow": "note", "steps": 2 })]);
    check_text(
        &company,
        &["workflow", "check", "note.toml"],
        0,
        expect![["note.toml: note is well, with 2 steps\n"]],
    );
    assert!(!company.data().exists(), "a check makes nothing");
}

#[test]
fn every_problem_of_every_file_is_an_object_with_the_same_keys() {
    let company = Company::new();
    company.write("note.toml", WELL);
    company.write(
        "one.toml",
        "name = 'one'\n[[step]]\nname = 'a'\nagent = 'triag'\n[[step]]\nname = 'b'\ncall = 'mail.sned'\n",
    );
    company.write("two.toml", "name = 'two'\nstep = [");
    let files = ["note.toml", "one.toml", "two.toml", "none.toml"];
    let ran = company.run(&[&["workflow", "check", "--json"], &files[..]].concat());
    assert_eq!(ran.code, 1, "{ran:?}");
    let problems = objects(&ran);
    for problem in &problems {
        let mut keys: Vec<&String> = problem.as_object().expect("it is an object").keys().collect();
        keys.sort();
        assert_eq!(keys, ["field", "file", "help", "message", "step"], "{problem}");
    }
    let place = |problem: &Value| {
        let of = |key: &str| problem[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", of("file"), of("step"), of("field"))
    };
    let places: Vec<String> = problems.iter().map(place).collect();
    assert_eq!(
        places,
        ["two.toml - -", "none.toml - -", "one.toml a agent", "one.toml b call"],
        "{problems:?}"
    );
    assert_eq!(problems[2]["help"], "did you mean `triage`?");
}

#[test]
fn files_are_checked_against_each_other() {
    let company = Company::new();
    company.write("note.toml", WELL);
    company.write("all.toml", "name = 'all'\n[[step]]\nname = 'a'\nworkflow = 'note'\n");
    assert_eq!(company.run(&["workflow", "check", "all.toml", "note.toml"]).code, 0);
    check_text(
        &company,
        &["workflow", "check", "all.toml"],
        1,
        expect![[r#"
        all.toml, step `a`, field `workflow`: there is no workflow `note`
    "#]],
    );
    company.write("note-2.toml", WELL);
    check_text(
        &company,
        &["workflow", "check", "note.toml", "note-2.toml"],
        1,
        expect![[r#"
        note-2.toml, field `name`: note.toml defines `note` as well; check two versions of one workflow one at a time
    "#]],
    );
}

#[test]
fn a_workflow_is_added_shown_compared_and_drawn() {
    let company = Company::new();
    company.write("note.toml", WELL);
    company.write("newer.toml", WELL.replace("Go on?", "Shall it go on?"));
    let added = company.ask(&["workflow", "add", "note.toml"]);
    assert_eq!((&added["workflow"], &added["new"]), (&"note@1".into(), &true.into()));
    assert_eq!(company.ask(&["workflow", "add", "note.toml"])["new"], false, "it is there");
    check_text(&company, &["workflow", "add", "newer.toml"], 0, expect![["note@2\n"]]);
    check_text(
        &company,
        &["workflow", "show", "note@1"],
        0,
        expect![[r#"
        name = 'note'
        [[step]]
        name = 'read'
        agent = 'triage'
        [[step]]
        name = 'ok'
        approve = 'Go on?'
        needs = ['read']
    "#]],
    );
    let list = company.ask(&["workflow", "list"]);
    let names: Vec<&Value> =
        list.as_array().expect("it is a list").iter().map(|one| &one["workflow"]).collect();
    assert_eq!(names, ["answer-mail@1", "note@2"]);
    let changed = expect![[r#"
        step `ok`, `approve`: "Go on?" → "Shall it go on?"
    "#]];
    check_text(&company, &["workflow", "diff", "note@1", "note@2"], 0, changed);
    check_text(
        &company,
        &["workflow", "diff", "note", "newer.toml"],
        0,
        expect![[r#"
        note@2 and newer.toml mean the same.
    "#]],
    );
    let drawn = company.run(&["workflow", "render", "note@1"]).out;
    assert_eq!(drawn, company.run(&["workflow", "render", "note.toml", "--mermaid"]).out);
    expect![[r#"
        flowchart TD
            s0["read<br/>triage"]
            s1{"ok<br/>Go on?"}
            s0 --> s1
    "#]]
    .assert_eq(&drawn);
}

#[test]
fn a_workflow_that_is_not_there_gets_a_suggestion() {
    let company = Company::new();
    company.write("note.toml", WELL);
    company.ask(&["workflow", "add", "note.toml"]);
    check_text(
        &company,
        &["workflow", "show", "nots"],
        1,
        expect![[r#"
        soloist: there is no workflow `nots`; did you mean `note`?
    "#]],
    );
    check_text(
        &company,
        &["workflow", "show", "note@7"],
        1,
        expect![[r#"
        soloist: there is no workflow `note@7`; the newest version is note@1
    "#]],
    );
    check_text(
        &company,
        &["workflow", "render", "none.toml"],
        1,
        expect![[r#"
        soloist: failed to read none.toml: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn a_workflow_that_does_not_fit_is_not_added() {
    let company = Company::new();
    company.write("bad.toml", WELL.replace("'triage'", "'triag'"));
    check_text(
        &company,
        &["workflow", "add", "bad.toml"],
        1,
        expect![[r#"
        soloist: bad.toml, step `read`, field `agent`: there is no agent `triag`; did you mean `triage`?
    "#]],
    );
    assert_eq!(company.ask(&["workflow", "list"]).as_array().map(Vec::len), Some(1));
}

const ALLOW: &str = "[lists]\ncontacts = []\n[[rule]]\nname = 'all'\noperation = 'mail.send'\nverdict = 'allow'\nreason = 'we write to everybody'\n";

const EXAMPLES: &str = "[[example]]\nname = 'a stranger'\noperation = 'mail.send'\narguments = { to = 'eve@new.example' }\nexpect = 'allow'\n[[example]]\nname = 'a refund'\noperation = 'billing.refund'\nexpect = 'allow'\n";

#[test]
fn a_policy_is_checked_and_every_problem_is_an_object() {
    let company = Company::new();
    company.write("well.toml", ALLOW);
    company.write("bad.toml", ALLOW.replace("'allow'", "'alow'"));
    let ran = company.run(&["policy", "check", "well.toml", "--json"]);
    assert_eq!((ran.code, objects(&ran)), (0, vec![json!({ "file": "well.toml", "examples": 0 })]));
    let ran = company.run(&["policy", "check", "well.toml", "bad.toml", "none.toml", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        objects(&ran)[0],
        json!({
            "file": "bad.toml",
            "rule": "all",
            "field": "verdict",
            "message": "`alow` is not known here",
            "help": "did you mean `allow`?",
        })
    );
    assert_eq!(objects(&ran)[1]["file"], "none.toml");
    assert!(!company.data().exists(), "a check makes nothing");
}

#[test]
fn a_policy_is_tested_by_its_own_examples() {
    let company = Company::new();
    company.write("policy.toml", format!("{ALLOW}{EXAMPLES}"));
    check_text(
        &company,
        &["policy", "test", "policy.toml"],
        1,
        expect![[r#"
        passed  a stranger: allow by rule `all`
        FAILED  a refund: allow was expected, and rule `default` says approve: no rule allows it, so the operator decides

        1 of 2 examples do not come out as expected.
    "#]],
    );
    company.write("silent.toml", ALLOW);
    check_text(
        &company,
        &["policy", "test", "silent.toml"],
        0,
        expect![[r#"
        silent.toml has no examples, so nothing was tested; see `docs/policy.md` for how to write one
    "#]],
    );
}

#[test]
fn the_policy_in_force_is_shown_and_compared() {
    let company = Company::new();
    company.demo_to_its_end();
    company.write("policy.toml", ALLOW);
    let shown = company.ask(&["policy", "show"]);
    assert_eq!((&shown["version"], &shown["in_force"]), (&1.into(), &true.into()));
    let text = shown["text"].as_str().expect("it is text");
    assert_eq!(company.run(&["policy", "show", "--version", "1"]).out, text);
    check_text(
        &company,
        &["policy", "show", "--version", "9"],
        1,
        expect![[r#"
        soloist: there is no version 9 of the policy; the newest is 1
    "#]],
    );
    check_text(
        &company,
        &["policy", "diff", "policy.toml"],
        0,
        expect![[r#"
        - rule `listed-contact`: allow mail.send when routing.to.value in lists.contacts
        - rule `written-to-before`: allow mail.send when routing.to.reached
        + rule `all`: allow mail.send
    "#]],
    );
    check_text(
        &company,
        &["policy", "diff", "1", "1"],
        0,
        expect![[r#"
        policy 1 and policy 1 judge alike.
    "#]],
    );
}

#[test]
fn a_policy_is_set_in_the_soloist_that_runs_and_nowhere_else() {
    let company = Company::new();
    company.write("policy.toml", ALLOW);
    check_text(
        &company,
        &["policy", "set", "policy.toml"],
        1,
        expect![[r#"
        soloist: no soloist runs over data; set `policy` in soloist.toml to policy.toml, and the next start judges by it
    "#]],
    );
    let serving = Serving::of(company, "");
    let company = &serving.company;
    check_text(
        company,
        &["policy", "set", "policy.toml"],
        0,
        expect![[r#"
        Version 2 of the policy is in force.
          - rule `listed-contact`: allow mail.send when routing.to.value in lists.contacts
          - rule `written-to-before`: allow mail.send when routing.to.reached
          + rule `all`: allow mail.send
    "#]],
    );
    check_text(
        company,
        &["policy", "set", "policy.toml"],
        0,
        expect![[r#"
        Version 2 of the policy is in force already.
    "#]],
    );
    company.write("bad.toml", ALLOW.replace("'allow'", "'alow'"));
    check_text(
        company,
        &["policy", "set", "bad.toml"],
        1,
        expect![[r#"
        soloist: bad.toml, rule `all`, field `verdict`: `alow` is not known here; did you mean `allow`?
    "#]],
    );
    assert_eq!(company.ask(&["policy", "show"])["version"], 2, "what was there stays");
    assert_eq!(company.ask(&["policy", "show"])["text"], ALLOW);
}

#[test]
fn a_hangup_has_serve_read_its_files_again_and_keep_what_is_well() {
    let company = Company::new();
    company.write("policy.toml", ALLOW);
    let mail = include_str!("../../host/company/answer-mail.toml");
    company.write("flow.toml", mail);
    let serving = Serving::of(company, "policy = 'policy.toml'\nworkflow = 'flow.toml'\n");
    let company = &serving.company;
    company.write("policy.toml", ALLOW.replace("'allow'", "'deny'"));
    company.write("flow.toml", mail.replace("'30s'", "'1m'").replace("\"30s\"", "\"1m\""));
    serving.signal("HUP");
    wait_until("both are in force", || {
        serving.said().contains("version 2 of the policy is in force")
            && serving.said().contains("answer-mail@2 is the newest version")
    });
    company.write("policy.toml", "rules = 1");
    company.write("flow.toml", mail.replace("\"mail.send\"", "\"mail.sned\""));
    serving.signal("HUP");
    wait_until("both are refused", || {
        serving.said().contains("the policy stays as it was: policy.toml, field `rules`")
            && serving.said().contains("the workflow stays as it was: flow.toml, step `send`")
    });
    assert_eq!(company.ask(&["policy", "show"])["version"], 2);
    assert_eq!(company.ask(&["workflow", "show", "answer-mail"])["version"], 2);
}
