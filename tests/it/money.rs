//! What calls cost, from the command line: a budget that is used up, over kill -9, raised, and added up.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};
use soloist::connectors::sandbox::SandboxWorld;

use crate::support::{
    Company,
    company::{finish, spawn, text},
    wait_until,
    xorshift::Xorshift,
};

/// 64 drafts, as many at once.
const MANY: &str = "name = 'many'\n[[step]]\nname = 'each'\nmap = 'input.all'\ncall = 'cms.create_draft'\n\
     parallel_max = 64\ninput = { title = 'item', text = \"'hello'\" }\n";

const ALLOW: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'\n";

const TEN: &str = "[[budget]]\nname = 'ten'\nof = 'connector:cms'\ncalls = 10\n";

/// A company with a website, and this budget for it.
fn company() -> Company {
    let company = Company::new();
    company.write("budgets.toml", TEN);
    company.write("policy.toml", ALLOW);
    company.write("many.toml", MANY);
    company.write(
        "soloist.toml",
        "scenario = 'outreach'\nbudgets = 'budgets.toml'\npolicy = 'policy.toml'\n",
    );
    company.ask(&["workflow", "add", "many.toml"]);
    company
}

fn all() -> String {
    let titles: Vec<String> = (0..64).map(|number| format!("draft {number:02}")).collect();
    json!({ "all": titles }).to_string()
}

fn start(company: &Company) -> Value {
    company.ask(&["run", "start", "many", "--id", "all", "--input", &all()])
}

fn drafts(company: &Company) -> usize {
    let world = SandboxWorld::open(company.data().join("world")).expect("it is a directory");
    let writes = world.writes().expect("the list can be read");
    writes.iter().filter(|write| write.operation == "cms.create_draft").count()
}

/// What was admitted, and what of it is still under way.
fn admitted(company: &Company) -> (Value, Value) {
    let rows = company.ask(&["cost", "--by", "connector"]);
    (rows[0]["calls"].clone(), rows[0]["open"].clone())
}

/// Returns when the run is over. On a machine that is busy a call may take too long and be made again a while later, and nobody
/// serves meanwhile: whoever asks for the run once more lets it go on.
fn completes(company: &Company) {
    wait_until("all drafts are made", || start(company)["status"] == "completed");
}

#[test]
fn of_64_calls_ten_are_made_and_the_others_when_the_budget_is_raised() {
    let company = company();
    assert_eq!(start(&company)["status"], "waiting");
    assert_eq!((drafts(&company), admitted(&company)), (10, (10.into(), 0.into())));
    let inbox = company.ask(&["inbox", "list"]);
    assert_eq!(inbox.as_array().map(Vec::len), Some(1), "he is told once: {inbox}");
    assert_eq!(text(&inbox[0]["title"]), "budget `ten` is used up");
    let list = company.run(&["budget", "list"]);
    expect![[r#"
        BUDGET  OF             PERIOD OR RUN  MONEY  TOKENS  CALLS
        ten     connector:cms                                10 of 10
    "#]]
    .assert_eq(&list.out);

    let raised =
        company.run(&["budget", "raise", "ten", "--calls", "54", "--reason", "the launch"]);
    assert_eq!(raised.out, "Budget `ten` is raised by 54 calls.\n", "{raised:?}");
    completes(&company);
    assert_eq!((drafts(&company), admitted(&company).0), (64, 64.into()));
    assert_eq!(company.ask(&["inbox", "list"]), json!([]));
    let cost = company.run(&["cost", "--by", "operation"]);
    expect![[r#"
        OF                COST   TOKENS  CALLS  UNDER WAY
        cms.create_draft  $0.00  0       64     0
    "#]]
    .assert_eq(&cost.out);

    let ran = company.run(&["budget", "raise", "eleven", "--calls", "1"]);
    expect!["soloist: there is no budget `eleven` of a period; there is `ten` of connector:cms"]
        .assert_eq(ran.refused(1));
    company.write("budgets.toml", "[[budget]]\nname = 'ten'\nof = 'cms'\ncalls = 10\n");
    let ran = company.run(&["budget", "list"]);
    expect![[r#"soloist: budgets.toml, budget[0]: field `of`: "cms" names nobody whose calls are counted; write `everything`, `each-run`, `workflow:NAME`, `agent:NAME` or `connector:NAME`"#]]
        .assert_eq(ran.refused(2));
}

#[test]
fn whenever_it_is_killed_no_more_than_ten_are_made_and_in_the_end_all_once() {
    let mut chance = Xorshift::new(0x5eed);
    for _ in 0..4 {
        let company = company();
        for _ in 0..4 {
            let input = all();
            let arguments = ["run", "start", "many", "--id", "all", "--input", &input];
            let mut child = spawn(&mut company.on_data(&arguments));
            std::thread::sleep(Duration::from_millis(chance.below(400) as u64));
            let _ = child.kill();
            finish(child);
        }
        start(&company);
        assert!(drafts(&company) <= 10, "{} are made", drafts(&company));
        assert_eq!(admitted(&company), (10.into(), 0.into()));
        // Attempts that were lost may have to be made again, and are paid for again.
        company.ask(&["budget", "raise", "ten", "--calls", "1000"]);
        completes(&company);
        assert_eq!(drafts(&company), 64);
        assert_eq!(admitted(&company).1, 0);
    }
}
