//! Costs, budgets and the ledger.

use proptest::prelude::*;

use super::*;

const NOON: Timestamp = Timestamp(1_795_262_400_000); // 2026-11-21T12:00:00Z

const FILE: &str = r#"
    [[price]]
    of = "model.complete"
    call_usd = 0.001
    input_usd = 0.15
    output_usd = 0.60

    [[price]]
    of = "crm.*"

    [[budget]]
    name = "models"
    of = "connector:model"
    per = "day"
    usd = 1

    [[budget]]
    name = "all"
    of = "everything"
    per = "month"
    calls = 10

    [[budget]]
    name = "each"
    of = "each-run"
    tokens = 1000
"#;

fn charge(run: &str, connector: &str, operation: &str, most: Cost) -> Charge {
    Charge {
        run: run.parse().unwrap(),
        workflow: "mail".parse().unwrap(),
        goal: None,
        reservation: Reservation {
            root: run.split('.').next().unwrap().parse().unwrap(),
            connector: connector.parse().unwrap(),
            operation: operation.parse().unwrap(),
            agent: None,
            most,
        },
        at: NOON,
    }
}

fn dollars(usd: f64) -> Cost {
    Cost { micro_usd: micro_usd(&usd.to_string()).unwrap(), tokens: 0, calls: 1 }
}

fn model(run: &str, usd: f64) -> Charge {
    charge(run, "model", "complete", dollars(usd))
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Budgets::parse("budgets.toml", FILE).unwrap());
    for run in ["a", "b"] {
        ledger.learn_run(&run.parse().unwrap(), Cost::NOTHING);
    }
    ledger
}

#[test]
fn a_price_is_for_calls_and_for_tokens_and_rounds_up() {
    let budgets = Budgets::parse("budgets.toml", FILE).unwrap();
    let price = |connector: &str, operation: &str| {
        budgets.price(&connector.parse().unwrap(), &operation.parse().unwrap())
    };
    let model = price("model", "complete").unwrap();
    let usage = Usage { input_tokens: 1_000, output_tokens: 101 };
    // A thousandth of a dollar, 150 and 60.6 millionths.
    assert_eq!(model.cost(usage), Cost { micro_usd: 1_211, tokens: 1_101, calls: 1 });
    assert!(price("crm", "contact").unwrap().is_free());
    assert_eq!(price("mail", "send"), None);
    assert_eq!(model.cost(usage).to_string(), "$0.001211, 1101 tokens, 1 call");
    assert_eq!(Cost::NOTHING.to_string(), "nothing");
    assert_eq!(usd(1_250_000), "$1.25");
}

#[test]
fn periods_are_those_of_utc() {
    assert_eq!(Per::Day.period(NOON), "2026-11-21");
    assert_eq!(Per::Month.period(NOON), "2026-11");
    let day = 86_400_000;
    assert_eq!(Per::Day.ends(NOON), Some(Timestamp(NOON.0 + day / 2)));
    assert_eq!(Per::Month.ends(NOON).unwrap().to_string(), "2026-12-01T00:00:00.000Z");
    assert_eq!(Per::Month.began(NOON).to_string(), "2026-11-01T00:00:00.000Z");
    assert_eq!(Per::Ever.ends(NOON), None);
}

#[track_caller]
fn refuses(source: &str, expected: &str) {
    assert_eq!(Budgets::parse("budgets.toml", source).unwrap_err().to_string(), expected);
}

#[test]
fn a_file_that_is_wrong_says_where_and_what_to_write() {
    refuses(
        "[[price]]\nof = 'model'",
        "budgets.toml, price[0]: field `of`: \"model\" is no operation; write `CONNECTOR.OPERATION`, `CONNECTOR.*` or `*`",
    );
    refuses(
        "[[price]]\nof = '*'\ncall_usd = 0.0000001",
        "budgets.toml, price[0]: field `call_usd`: 0.0000001 is too precise; write an amount in US dollars with at most six \
         decimals: 0.50",
    );
    refuses(
        "[[budget]]\nname = 'x'\nof = 'everything'",
        "budgets.toml, budget[0]: `x` limits nothing; give `usd`, `tokens` or `calls`",
    );
    refuses(
        "[[budget]]\nname = 'x'\nof = 'workflow'\ncalls = 1",
        "budgets.toml, budget[0]: field `of`: \"workflow\" names nobody whose calls are counted; write `everything`, \
         `each-run`, `workflow:NAME`, `agent:NAME` or `connector:NAME`",
    );
    refuses(
        "[[budget]]\nname = 'x'\nof = 'each-run'\nper = 'day'\ncalls = 1",
        "budgets.toml, budget[0]: field `per`: a budget of `each-run` is for as long as the run goes; leave it out",
    );
    let error = Budgets::parse("budgets.toml", "[[budget]]\nnam = 'x'").unwrap_err().to_string();
    assert!(error.starts_with("budgets.toml, line 2: unknown field `nam`"), "{error}");
}

#[test]
fn what_is_reserved_counts_until_it_is_settled() {
    let mut ledger = ledger();
    ledger.reserve(1, &model("a", 0.7), false).unwrap();
    let over = ledger.reserve(1, &model("b", 0.4), false).unwrap_err();
    expect_test::expect![
        "budget `models` of 2026-11-21 has no room for it: it would come to $1.10 of $1.00"
    ]
    .assert_eq(&over.reason);
    assert_eq!(over.until.to_string(), "2026-11-22T00:00:00.000Z");
    ledger.settle(&"a".parse().unwrap(), 1, dollars(0.5));
    ledger.reserve(1, &model("b", 0.4), false).unwrap();
    // What is settled twice is settled once.
    ledger.settle(&"a".parse().unwrap(), 1, dollars(0.1));
    assert!(ledger.reserve(2, &model("b", 0.2), false).is_err());
}

#[test]
fn a_call_counts_in_every_budget_that_covers_it_and_in_no_other() {
    let mut ledger = ledger();
    for call in 1..=10 {
        ledger.reserve(call, &charge("a", "crm", "contact", Cost::CALL), false).unwrap();
    }
    let over = ledger.reserve(11, &model("b", 0.1), false).unwrap_err();
    assert_eq!(over.account.unwrap().to_string(), "`all` of 2026-11");
    let used = |name: &str| {
        let standing = ledger.standing(NOON);
        standing.into_iter().find(|(budget, ..)| budget.name.as_str() == name).unwrap().3
    };
    assert_eq!(used("all").calls, 10);
    assert_eq!(used("models"), Cost::NOTHING);
}

#[test]
fn runs_beneath_pay_from_the_budget_of_the_topmost() {
    let mut ledger = ledger();
    let tokens =
        |run: &str, tokens| charge(run, "model", "complete", Cost { tokens, ..Cost::CALL });
    ledger.reserve(1, &tokens("a.step.0", 600), false).unwrap();
    let over = ledger.reserve(1, &tokens("a", 600), false).unwrap_err();
    assert_eq!(over.account.unwrap().to_string(), "`each` of run a");
    ledger.reserve(1, &tokens("b", 600), false).unwrap();
}

#[test]
fn the_goal_of_a_run_limits_what_it_may_cost() {
    let mut ledger = ledger();
    let of = |usd| Charge { goal: Some(500_000), ..model("a", usd) };
    ledger.reserve(1, &of(0.3), false).unwrap();
    let over = ledger.reserve(2, &of(0.3), false).unwrap_err();
    assert_eq!(over.account.clone().unwrap().to_string(), "`goal` of run a");
    ledger.raise(&over.account.unwrap(), dollars(0.1));
    ledger.reserve(2, &of(0.3), false).unwrap();
}

#[test]
fn without_a_price_nothing_is_called_where_money_is_limited() {
    let mut ledger = ledger();
    let over = ledger.reserve(1, &charge("a", "model", "embed", Cost::CALL), false).unwrap_err();
    assert!(!over.passes);
    expect_test::expect![
        "budget `models` limits money, and what `model.embed` costs is not known; add a [[price]] for it to the budgets"
    ]
    .assert_eq(&over.reason);
    ledger.reserve(1, &charge("a", "mail", "send", Cost::CALL), false).unwrap();
}

#[test]
fn what_has_a_price_or_is_counted_is_charged_whoever_calls() {
    let charged = |file: &str, connector: &str, operation: &str| {
        let budgets = Budgets::parse("budgets.toml", file).unwrap();
        budgets.is_charged(&connector.parse().unwrap(), &operation.parse().unwrap())
    };
    assert!(charged(FILE, "model", "complete"));
    assert!(charged(FILE, "crm", "find"), "all calls are counted");
    let of_model = "[[budget]]\nname='m'\nof='connector:model'\nusd=1\n";
    assert!(!charged(of_model, "crm", "find"));
    assert!(charged(of_model, "model", "complete"), "its price is not known");
    let of_all = "[[budget]]\nname='m'\nof='everything'\nusd=1\n";
    assert!(charged(of_all, "crm", "find"));
    assert!(!charged(&format!("{of_all}[[price]]\nof='*'\n"), "crm", "find"));
    assert!(!charged("", "crm", "find"));
}

#[test]
fn what_takes_something_back_is_let_through_and_counted() {
    let mut ledger = ledger();
    ledger.reserve(1, &model("a", 1.0), false).unwrap();
    ledger.reserve(2, &model("a", 0.5), true).unwrap();
    let over = ledger.reserve(3, &model("a", 0.1), false).unwrap_err();
    assert!(over.reason.contains("$1.60 of $1.00"), "{}", over.reason);
}

#[test]
fn what_never_came_to_be_on_record_is_given_back() {
    let mut ledger = ledger();
    ledger.reserve(1, &model("a", 1.0), false).unwrap();
    ledger.only(&"a".parse().unwrap(), |_| false);
    ledger.reserve(1, &model("a", 1.0), false).unwrap();
    // The same call once more is the same call.
    ledger.only(&"a".parse().unwrap(), |call| call == 1);
    ledger.reserve(1, &model("a", 1.0), false).unwrap();
}

#[test]
fn a_new_process_knows_what_the_last_has_used() {
    let mut ledger = ledger();
    let spending = |call: u32, cost, settled| Spending {
        at: NOON,
        run: "old".parse().unwrap(),
        root: "old".parse().unwrap(),
        workflow: "mail".parse().unwrap(),
        agent: None,
        connector: "model".parse().unwrap(),
        operation: "complete".parse().unwrap(),
        cost: Cost { micro_usd: cost, tokens: u64::from(call), calls: 1 },
        settled,
    };
    ledger.learn(1, &spending(1, 600_000, true));
    ledger.learn(2, &spending(2, 300_000, false));
    assert!(ledger.reserve(1, &model("a", 0.2), false).is_err());
    ledger.settle(&"old".parse().unwrap(), 2, Cost::CALL);
    ledger.reserve(1, &model("a", 0.2), false).unwrap();
    assert_eq!(ledger.since(NOON).unwrap().to_string(), "2026-11-01T00:00:00.000Z");
}

#[test]
fn what_is_stored_of_a_raised_budget_does_not_change() {
    let account = Account {
        budget: "models".parse().unwrap(),
        period: "2026-11-21".into(),
        run: Some("a".parse().unwrap()),
    };
    let raised = Raised {
        account,
        more: Cost { micro_usd: 1, tokens: 2, calls: 3 },
        by: "operator".into(),
        reason: "a busy day".into(),
    };
    let bytes = encode(&raised);
    assert_eq!(decode(EVENTS_VERSION, &bytes).unwrap(), raised);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    expect_test::expect![
        "00066d6f64656c730a323032362d31312d3231010161010203086f70657261746f720a61206275737920646179"
    ]
    .assert_eq(&hex);
    assert!(decode(EVENTS_VERSION + 1, &bytes).is_err());
    let (key, row) = project(&raised, Cost::CALL);
    assert_eq!(key.key, "models/2026-11-21/a");
    assert!(String::from_utf8(row.unwrap()).unwrap().contains("\"calls\":4"));
}

proptest! {
    /// Whatever is reserved, settled and lost in any order: what is used never exceeds the limit, as long as nothing costs more
    /// than was reserved for it, and in the end it is what was settled.
    #[test]
    fn no_order_of_calls_overspends(calls in prop::collection::vec((0..4u8, 1..400u64, 0..100u64), 1..200)) {
        let mut ledger = ledger();
        let mut open: Vec<(u32, u64)> = vec![];
        let (mut settled, mut number) = (0, 0);
        let run: RunId = "a".parse().unwrap();
        let of = |micro_usd: u64| charge("a", "model", "complete", Cost { micro_usd: micro_usd * 1_000, tokens: 0, calls: 0 });
        for (what, most, percent) in calls {
            match what {
                0 | 1 => {
                    number += 1;
                    if ledger.reserve(number, &of(most), false).is_ok() {
                        open.push((number, most));
                    }
                }
                2 if !open.is_empty() => {
                    let (call, most) = open.remove(usize::try_from(percent).unwrap() % open.len());
                    let cost = most * 1_000 * percent / 100;
                    settled += cost;
                    ledger.settle(&run, call, Cost { micro_usd: cost, tokens: 0, calls: 0 });
                }
                _ => ledger.only(&run, |call| open.iter().any(|(known, _)| *known == call)),
            }
            let reserved: u64 = open.iter().map(|(_, most)| most * 1_000).sum();
            let used = ledger.standing(NOON)[0].3.micro_usd;
            prop_assert_eq!(used, settled + reserved);
            prop_assert!(used <= 1_000_000);
        }
    }
}
