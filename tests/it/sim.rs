//! `soloist sim`: plans that failed once hold, the same seed is the same story in every process, and machines can read it.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::support::{
    Company,
    company::{Ran, files, run},
    root,
};

fn sim(arguments: &[&str]) -> Ran {
    let company = Company::new();
    run(company.command(&["sim"]).args(arguments))
}

#[track_caller]
fn keys(answer: &Value, expected: Expect) {
    let keys: BTreeSet<&str> =
        answer.as_object().expect("it is an object").keys().map(String::as_str).collect();
    expected.assert_eq(&keys.into_iter().collect::<Vec<_>>().join(" "));
}

#[track_caller]
fn check_refused(arguments: &[&str], expected: Expect) {
    expected.assert_eq(sim(arguments).refused(2));
}

#[test]
fn every_plan_that_failed_once_holds() {
    let mut plans = files(&root().join("tests/sim/regressions"));
    plans.sort();
    assert!(plans.len() >= 5, "they are there: {plans:?}");
    for plan in plans {
        let path = plan.to_str().expect("its name is text");
        let ran = sim(&["replay", path]);
        assert_eq!(ran.code, 0, "{path}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.starts_with("Everything held. "), "{path}: {}", ran.out);
    }
}

#[test]
fn a_seed_is_the_same_story_in_every_process() {
    for scenario in ["mail", "content"] {
        let arguments = ["run", "--scenario", scenario, "--seed", "3", "--json"];
        let (one, other) = (sim(&arguments).json(), sim(&arguments).json());
        assert_eq!(one, other);
        keys(
            &one,
            expect![
                "actors appends calls coverage decisions effects epochs fired hash interleaving lines parked plan points runs seen sometimes violations virtual_ms webhooks"
            ],
        );
        let again = sim(&["replay", &one["plan"].to_string(), "--json"]).json();
        assert_eq!(again, one, "a plan is all there is to a simulation");
    }
}

#[test]
fn a_sweep_says_what_it_came_to() {
    let swept = sim(&["sweep", "--seeds", "6", "--double", "100", "--json"]).json();
    keys(
        &swept,
        expect![
            "by_invariant coverage doubled epochs faults interleavings nondeterministic parked runs scenario seeds seeds_per_s sometimes_missed violations virtual_per_real"
        ],
    );
    assert_eq!((&swept["scenario"], &swept["seeds"]), (&"mail".into(), &6.into()));
    assert_eq!((&swept["doubled"], &swept["nondeterministic"]), (&6.into(), &0.into()));
    assert_eq!(swept["violations"], 0, "{swept}");
}

#[test]
fn what_a_sweep_never_saw_fails_it_only_where_that_is_wanted() {
    let little = ["sweep", "--seeds", "1", "--headless"];
    let ran = sim(&little);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("mail: never seen: "), "{}", ran.out);
    assert_eq!(sim(&[&little[..], &["--strict"]].concat()).code, 1);
}

#[test]
fn a_run_is_drawn_on_a_page() {
    let company = Company::new();
    let arguments = ["sim", "run", "--seed", "5", "--html", "page.html"];
    let ran = run(&mut company.command(&arguments));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("Everything held in mail of size "), "{}", ran.out);
    let page = std::fs::read_to_string(company.path("page.html")).expect("it was written");
    assert!(page.contains("<svg"), "it has a picture");
}

#[test]
fn the_lists_say_what_there_is() {
    expect![[r#"
        mail           mail arrives, is answered or not, and leaves by SMTP
        outreach       leads are written to once, unless they owe money, and the CRM says so
        invoicing      orders are invoiced, charged and thanked for, or all of it is taken back
        content        articles are checked for their facts, approved and published; events tell of it
        qualification  a model scores inquiries, and whoever may become a customer is invited
        orders         a shop with every kind of wait and of write: where planted bugs are hunted
        errands        a town whose offices are odd in every way: where the other planted bugs are
        thrift         a household that must not spend more than it may: where bugs with money are
    "#]]
    .assert_eq(&sim(&["list"]).out);
    let invariants = sim(&["list", "--invariants", "--json"]).json();
    let named = |name: &str| {
        let all = invariants.as_array().expect("it is a list");
        all.iter().any(|invariant| invariant["name"] == name)
    };
    assert!(named("effect-once") && named("liveness"), "{invariants}");
}

#[test]
fn an_unknown_scenario_is_named_with_those_that_there_are() {
    check_refused(
        &["run", "--scenario", "outreech", "--seed", "1"],
        expect![[
            r#"soloist: there is no scenario "outreech"; did you mean `outreach`? There are mail, outreach, invoicing, content, qualification, orders, errands, thrift"#
        ]],
    );
    check_refused(
        &["sweep", "--scenario", "payroll"],
        expect![[
            r#"soloist: there is no scenario "payroll". There are mail, outreach, invoicing, content, qualification, orders, errands, thrift"#
        ]],
    );
}

#[test]
fn what_is_no_plan_is_refused_with_the_reason() {
    check_refused(
        &["replay", "{\"scenario\":\"mail\",\"seed\":1}"],
        expect![
            "soloist: this is not a plan: missing field `size` at line 1 column 28; `soloist sim sweep` prints one for each failure"
        ],
    );
    check_refused(
        &["replay", "no.json"],
        expect!["soloist: failed to read no.json: No such file or directory (os error 2)"],
    );
    check_refused(
        &["explain", r#"{"scenario":"mial","seed":1,"size":1,"faults":[]}"#],
        expect![[
            r#"soloist: there is no scenario "mial"; did you mean `mail`? There are mail, outreach, invoicing, content, qualification, orders, errands, thrift"#
        ]],
    );
    check_refused(
        &["shrink", r#"{"scenario":"mail","seed":1,"size":9,"faults":[]}"#],
        expect!["soloist: the plan is of size 9; mail comes in sizes 1 to 3"],
    );
}

#[test]
fn a_plan_that_holds_is_explained_and_cannot_be_made_small() {
    let plan = r#"{"scenario":"mail","seed":1,"size":1,"faults":[]}"#;
    let ran = sim(&["explain", plan]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("Simulation passed: everything held"), "{}", ran.out);
    expect!["soloist: everything holds in this plan, so there is nothing to make small"]
        .assert_eq(sim(&["shrink", plan]).refused(1));
}

#[test]
fn a_binary_that_ships_has_no_bugs_to_plant() {
    check_refused(
        &["mutants"],
        expect![
            "soloist: this soloist has no bugs to plant; build one with `--features mutants`, for simulations alone"
        ],
    );
}
