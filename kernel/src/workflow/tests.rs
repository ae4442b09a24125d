//! What users see of the language: what is read, and what is said of what is wrong.

use std::time::Duration;

use super::*;
use crate::retry::RetryPolicy;

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let problems = Workflow::parse("mail.toml", source).expect_err("the definition is wrong");
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems, expected);
}

/// Checks a workflow of the one step in `fields`.
#[track_caller]
fn check_step(fields: &str, expected: &[&str]) {
    check(&format!("name = 'x'\n[[step]]\nname = 'a'\n{fields}"), expected);
}

fn step(fields: &str) -> Step {
    let source = format!("name = 'x'\n[[step]]\nname = 'a'\n{fields}");
    Workflow::parse("mail.toml", &source).unwrap().steps.remove(0)
}

const GOOD: &str = r#"
    name = "answer"
    [[step]]
    name = "triage"
    agent = "triage"
    timeout = "30s"
    [[step]]
    name = "send"
    call = "mail.send"
    needs = ["triage"]
    when = "triage.answer"
    input = { to = "input.from" }
    retry = { attempts = 5, base = "1s", cap = "1m" }
"#;

#[test]
fn a_good_definition_is_read() {
    let workflow = Workflow::parse("mail.toml", GOOD).unwrap();
    assert_eq!(workflow.steps[1].needs, [0]);
    assert_eq!(workflow.steps[0].timeout, Some(Duration::from_secs(30)));
    assert_eq!(workflow.steps[1].retry.attempts_max.get(), 5);
    assert_eq!(workflow.steps[1].retry.cap, Duration::from_secs(60));
}

#[test]
fn writes_are_tried_more_often_than_turns_unless_the_step_says_otherwise() {
    assert_eq!(step("agent = 'a'").retry, RetryPolicy::STEP);
    assert_eq!(step("call = 'mail.send'").retry, RetryPolicy::WRITE);
    assert_eq!(step("map = 'input.all'\ncall = 'mail.send'").retry, RetryPolicy::WRITE);
    let patient = step("call = 'mail.send'\nretry = { base = '2s' }").retry;
    assert_eq!(patient, RetryPolicy { base: Duration::from_secs(2), ..RetryPolicy::WRITE });
}

#[test]
fn the_operator_is_asked_with_a_deadline_that_aborts_unless_it_says_approve() {
    let Work::Approve { message, deadline, approved_at_deadline } =
        step("approve = 'Publish {{ input.title }}?'\ndeadline = '2d'").work
    else {
        panic!("it is an approve step")
    };
    assert_eq!(message.source(), "Publish {{ input.title }}?");
    assert_eq!(deadline, Some(Duration::from_secs(2 * 86_400)));
    assert!(!approved_at_deadline);
    let silent = step("approve = 'Go?'\ndeadline = '2d'\nat_deadline = 'approve'").work;
    assert!(matches!(silent, Work::Approve { approved_at_deadline: true, .. }));
}

#[test]
fn a_map_does_something_for_each_item() {
    let step =
        step("map = 'input.claims'\nagent = 'verify'\ninput = { claim = 'item', at = 'index' }");
    let Work::Map { over, body, parallel_max, failures_max } = step.work else {
        panic!("it is a map")
    };
    assert_eq!(over.source(), "input.claims");
    assert_eq!(body, Body::Agent("verify".parse().unwrap()));
    assert_eq!((parallel_max, failures_max), (4, None));
}

#[test]
fn a_loop_goes_on_until_its_condition_holds() {
    let step = step(
        "agent = 'draft'\nloop = { until = 'result.ok or index > 1', rounds_max = 3 }\ninput = { last = 'previous' }",
    );
    assert!(matches!(step.work, Work::Loop { rounds_max: 3, .. }));
}

#[test]
fn a_wait_ends_at_a_time_or_with_an_event() {
    let step = step(
        "wait = { for = '2w', until = 'input.due', event = 'payment.received', when = 'event.data.invoice == input.id' }",
    );
    let Work::Wait { duration, until, event } = step.work else { panic!("it is a wait") };
    assert_eq!(duration, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(until.unwrap().source(), "input.due");
    assert_eq!(event.unwrap().event.as_str(), "payment.received");
}

#[test]
fn a_failed_step_may_have_a_fallback() {
    assert_eq!(step("agent = 'a'\non_failure = 'escalate'").on_failure, OnFailure::Escalate);
    let OnFailure::Agent(agent) = step("agent = 'a'\non_failure = { agent = 'b' }").on_failure
    else {
        panic!("it is an agent")
    };
    assert_eq!(agent.as_str(), "b");
    let template = "on_failure = { template = { text = 'Hello {{ input.name }}, {{ error }}' } }";
    let OnFailure::Template(fields) = step(&format!("agent = 'a'\n{template}")).on_failure else {
        panic!("it is a template")
    };
    assert_eq!(fields["text"].source(), "Hello {{ input.name }}, {{ error }}");
}

#[test]
fn a_step_says_how_its_write_is_taken_back() {
    let step = step(
        "call = 'pay.charge'\npriority = 'high'\ncompensate = { call = 'pay.refund', input = { charge = 'receipt.id' } }",
    );
    let compensate = step.compensate.unwrap();
    assert_eq!(compensate.operation.as_str(), "refund");
    assert_eq!(compensate.input["charge"].source(), "receipt.id");
    assert_eq!(step.priority, Priority::High);
}

const STARTED: &str = r#"
    name = "outreach"
    [intent]
    name = "win-customer"
    phrases = ["reach out to a lead", "Write to prospects!"]
    readers = []
    cost_max_usd = 0.50
    deadline = "2d"
    [[trigger]]
    event = "lead.created"
    when = "event.data.score > 3"
    input = { lead = "event.data" }
    [[schedule]]
    cron = "0 9 * * mon-fri"
    timezone = "Europe/Berlin"
    input = { week = "this", count = 3, since = 2026-01-01 }
    [[step]]
    name = "draft"
    agent = "draft"
"#;

#[test]
fn a_run_is_started_by_a_goal_an_event_or_a_time() {
    let workflow = Workflow::parse("mail.toml", STARTED).unwrap();
    let intent = workflow.intent.unwrap();
    assert_eq!(intent.cost_max_micro_usd, Some(500_000));
    assert_eq!(intent.readers, Some(std::collections::BTreeSet::new()));
    assert_eq!(workflow.triggers[0].input["lead"].source(), "event.data");
    let schedule = &workflow.schedules[0];
    assert_eq!((schedule.timezone.as_str(), schedule.missed), ("Europe/Berlin", Missed::Once));
    assert_eq!(
        serde_json::json!(schedule.input),
        serde_json::json!({ "week": "this", "count": 3, "since": "2026-01-01" })
    );
}

#[test]
fn an_amount_of_money_is_exact() {
    let cost = |text: &str| {
        let source = STARTED.replace("0.50", text);
        Workflow::parse("mail.toml", &source)
            .map(|workflow| workflow.intent.unwrap().cost_max_micro_usd.unwrap())
            .map_err(|problems| problems[0].to_string())
    };
    assert_eq!(cost("3"), Ok(3_000_000));
    assert_eq!(cost("0.1"), Ok(100_000));
    assert_eq!(cost("0.000001"), Ok(1));
    assert_eq!(cost("999999999.999999"), Ok(999_999_999_999_999));
    let field = "mail.toml, field `intent.cost_max_usd`:";
    let help = "write an amount in US dollars with at most six decimals: 0.50";
    for (text, problem) in [
        ("-0.5", "-0.5 is negative"),
        ("-1", "-1 is negative"),
        ("nan", "NaN is not an amount"),
        ("inf", "inf is not an amount"),
        ("0.0000001", "0.0000001 is too precise"),
        ("1e12", "1000000000000 is too much"),
    ] {
        assert_eq!(cost(text), Err(format!("{field} {problem}; {help}")), "{text}");
    }
    assert_eq!(
        cost("'1'"),
        Err(format!("{field} it is a text; write an amount in US dollars: 0.50"))
    );
}

#[test]
fn a_cycle_names_its_steps() {
    check(
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\nneeds = ['b']\n[[step]]\nname = 'b'\nagent = 'b'\nneeds = ['a']",
        &[
            "mail.toml, step `a`, field `needs`: the steps need each other in a circle: a → b → a; remove one of these `needs`",
        ],
    );
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    check(
        "name = 'x'\n[[step]]\nname = 'triage'\nagent = 'a'\n[[step]]\nname = 'b'\nagent = 'b'\nneeds = ['triag']",
        &["mail.toml, step `b`, field `needs`: there is no step `triag`; did you mean `triage`?"],
    );
}

#[test]
fn an_expression_may_read_only_the_input_and_what_it_needs() {
    check(
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\n[[step]]\nname = 'b'\nagent = 'b'\nwhen = 'a.answer'",
        &["mail.toml, step `b`, field `when`: `a` is not visible here; add it to `needs`"],
    );
    check_step(
        "agent = 'a'\ninput = { x = 'inptu.y' }",
        &[
            "mail.toml, step `a`, field `input.x`: `inptu` is not visible here; did you mean `input`?",
        ],
    );
}

#[test]
fn every_place_has_names_of_its_own() {
    check_step(
        "agent = 'a'\ninput = { x = 'item' }",
        &[
            "mail.toml, step `a`, field `input.x`: `item` is not visible here; an expression sees `input` here",
        ],
    );
    check_step(
        "map = 'item'\nagent = 'a'\ninput = { x = 'previous' }",
        &[
            "mail.toml, step `a`, field `map`: `item` is not visible here; an expression sees `input` here",
            "mail.toml, step `a`, field `input.x`: `previous` is not visible here; an expression sees `input`, `item` and `index` here",
        ],
    );
    check_step(
        "agent = 'a'\nloop = { until = 'input.x', rounds_max = 2 }",
        &[
            "mail.toml, step `a`, field `loop.until`: `input` is not visible here; an expression sees `result` and `index` here",
        ],
    );
    check_step(
        "call = 'm.send'\ncompensate = { call = 'm.unsend', input = { id = 'result.id' } }",
        &[
            "mail.toml, step `a`, field `compensate.input.id`: `result` is not visible here; an expression sees `input` and `receipt` here",
        ],
    );
    check(
        "name = 'x'\n[[trigger]]\nevent = 'e'\nwhen = 'input.y'\n[[step]]\nname = 'a'\nagent = 'a'",
        &[
            "mail.toml, field `trigger[0].when`: `input` is not visible here; an expression sees `event` here",
        ],
    );
}

#[test]
fn the_functions_of_the_language_are_visible_everywhere() {
    assert!(step("map = 'range(3)'\nagent = 'a'").input.is_empty());
}

#[test]
fn a_name_that_expressions_use_cannot_be_a_steps() {
    for name in
        ["input", "item", "index", "previous", "result", "event", "receipt", "error", "range"]
    {
        check(
            &format!("name = 'x'\n[[step]]\nname = '{name}'\nagent = 'a'"),
            &[&format!(
                "mail.toml, step `{name}`, field `name`: `{name}` is reserved; choose another name"
            )],
        );
    }
    check(
        "name = 'x'\n[[step]]\nname = 'not'\nagent = 'a'",
        &[
            "mail.toml, step `not`, field `name`: `not` is a word of the expressions; choose another name",
        ],
    );
}

#[test]
fn an_unknown_key_suggests_the_nearest() {
    check_step(
        "agnet = 'a'",
        &[
            "mail.toml, step `a`: it does not say what it does; write one of `agent`, `call`, `workflow`, `approve`, `map`, `loop`, `wait` and `emit`",
            "mail.toml, step `a`, field `agnet`: there is no such field; did you mean `agent`?",
        ],
    );
    check_step(
        "agent = 'a'\nretry = { attempt = 3, pause = '1s' }",
        &[
            "mail.toml, step `a`, field `retry.attempt`: there is no such field; did you mean `attempts`?",
            "mail.toml, step `a`, field `retry.pause`: there is no such field; did you mean `base`?",
        ],
    );
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let problems = Workflow::parse("mail.toml", "name = 'x'\n[[step]\nname = 'a'").unwrap_err();
    let text = problems[0].to_string();
    assert!(text.starts_with("mail.toml: line 2: "), "{text}");
}

#[test]
fn a_field_that_does_not_belong_to_the_work_is_refused_with_advice() {
    check_step(
        "approve = 'Go?'\nretry = { attempts = 2 }\ntimeout = '1h'\ninput = { x = '1' }",
        &[
            "mail.toml, step `a`, field `input`: an `approve` step has none; its message reads `input` and the steps it needs",
            "mail.toml, step `a`, field `retry`: an `approve` step has none; the operator is asked once; see `deadline`",
            "mail.toml, step `a`, field `timeout`: an `approve` step has none; write `deadline`",
        ],
    );
    check_step(
        "agent = 'a'\nparallel_max = 2\ndeadline = '1d'",
        &[
            "mail.toml, step `a`, field `parallel_max`: an `agent` step has none; only a `map` has items",
            "mail.toml, step `a`, field `deadline`: an `agent` step has none; only an `approve` step has one; write `timeout`",
        ],
    );
    check_step(
        "call = 'mail.send'\nheartbeat = '1m'",
        &[
            "mail.toml, step `a`, field `heartbeat`: a `call` step has none; only an agent's turn has signs of life",
        ],
    );
    check_step(
        "emit = 'x.y'\ncompensate = { call = 'mail.unsend' }",
        &["mail.toml, step `a`, field `compensate`: an `emit` step has none; it writes nothing"],
    );
}

#[test]
fn a_step_does_exactly_one_thing() {
    check_step(
        "agent = 'a'\ncall = 'mail.send'",
        &[
            "mail.toml, step `a`, field `call`: it says `agent` and `call` at once; a step does one thing; make it several steps",
        ],
    );
    check_step(
        "map = 'input.x'",
        &[
            "mail.toml, step `a`, field `map`: it does not say what is done each time; add `agent`, `call` or `workflow`",
        ],
    );
    check_step(
        "approve = 'Go?'\nloop = { until = 'result', rounds_max = 2 }",
        &[
            "mail.toml, step `a`, field `loop`: it says `approve` and `loop` at once; a step does one thing; make it several steps",
        ],
    );
}

#[test]
fn what_is_missing_or_out_of_bounds_is_named() {
    check_step(
        "agent = 'a'\nloop = { until = 'result' }",
        &[
            "mail.toml, step `a`, field `loop.rounds_max`: it is missing; a loop has a condition and a bound",
        ],
    );
    check_step(
        "map = 'input.x'\nagent = 'a'\nparallel_max = 0\nfailures_max = -1\nretry = { attempts = 0 }",
        &[
            "mail.toml, step `a`, field `parallel_max`: it is 0; write a number from 1 to 1000",
            "mail.toml, step `a`, field `failures_max`: it is -1; write a number from 0 to 1000",
            "mail.toml, step `a`, field `retry.attempts`: it is 0; write a number from 1",
        ],
    );
    check_step(
        "wait = { when = 'event.x' }",
        &[
            "mail.toml, step `a`, field `wait`: it does not say for what; write `for`, `until` or `event`",
            "mail.toml, step `a`, field `wait.when`: there is no `event` to match; add one, or remove this",
        ],
    );
    check_step(
        "approve = 'Go?'\nat_deadline = 'approve'",
        &[
            "mail.toml, step `a`, field `at_deadline`: there is no `deadline`; add one, or remove this",
        ],
    );
    check_step(
        "agent = 'a'\non_failure = 'contine'\npriority = 'urgent'",
        &[
            "mail.toml, step `a`, field `on_failure`: \"contine\" is not known; did you mean `continue`?",
            "mail.toml, step `a`, field `priority`: \"urgent\" is not known; write `high`, `normal` or `low`",
        ],
    );
    check(
        "name = 'x'",
        &["mail.toml, field `step`: there is no step; add a [[step]] with a name and what it does"],
    );
}

#[test]
fn a_value_of_another_type_is_named_with_what_to_write() {
    check(
        "name = 5\n[[step]]\nname = 'a'\nagent = 'a'\nneeds = 'b'\ninput = { x = 1 }\n[[step]]\nagent = 'b'\ntimeout = 3",
        &[
            "mail.toml, field `name`: it is a whole number; write a text",
            "mail.toml, step `a`, field `needs`: it is a text; write a list of texts",
            "mail.toml, step `a`, field `input.x`: it is a whole number; write an expression, as a text",
            "mail.toml, field `step[1].name`: it is missing",
            "mail.toml, field `step[1].timeout`: it is a whole number; write a text",
        ],
    );
}

#[test]
fn a_calendar_is_checked_when_it_is_read() {
    check(
        "name = 'x'\n[[schedule]]\ncron = '0 9 * *'\ntimezone = 'Europe/Berln'\n[[step]]\nname = 'a'\nagent = 'a'",
        &[
            "mail.toml, field `schedule[0].cron`: \"0 9 * *\" is not a calendar: Pattern must have 5 fields when seconds are disallowed; write minute, hour, day of the month, month and day of the week: 0 9 * * mon-fri",
            "mail.toml, field `schedule[0].timezone`: there is no time zone \"Europe/Berln\"; did you mean `Europe/Berlin`?",
        ],
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    check(
        "name = 'x'\n[[step]]\nname = 'a'\nneeds = ['a']\n[[step]]\nname = 'a'\nagent = 'a'\ncall = 'mail.send'\ntimeout = '5 parsecs'",
        &[
            "mail.toml, step `a`: it does not say what it does; write one of `agent`, `call`, `workflow`, `approve`, `map`, `loop`, `wait` and `emit`",
            "mail.toml, step `a`, field `call`: it says `agent` and `call` at once; a step does one thing; make it several steps",
            "mail.toml, step `a`, field `timeout`: \"5 parsecs\" is not a duration; write a number and a unit: 250ms, 30s, 5m, 2h, 1d, 2w",
            "mail.toml, step `a`, field `name`: another step has this name; step names are unique",
            "mail.toml, step `a`, field `needs`: the steps need each other in a circle: a → a; remove one of these `needs`",
        ],
    );
}

#[test]
fn a_problem_is_an_object_for_machines() {
    let problems = Workflow::parse(
        "mail.toml",
        "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\nneeds = ['b']",
    )
    .unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems[0]).unwrap(),
        serde_json::json!({ "file": "mail.toml", "step": "a", "field": "needs", "message": "there is no step `b`", "help": "did you mean `a`?" })
    );
}

#[test]
fn a_hundred_problems_are_enough() {
    let source: String = (0..150).map(|index| format!("key{index} = 1\n")).collect();
    let problems = Workflow::parse(
        "mail.toml",
        &format!("name = 'x'\n{source}[[step]]\nname = 'a'\nagent = 'a'"),
    )
    .unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(
        problems[100].to_string(),
        "mail.toml: there are 50 more problems; solve the first ones, then look again"
    );
}

#[test]
fn a_round_is_a_run_of_the_body_alone() {
    let source = r#"
        name = "content"
        [[step]]
        name = "verify"
        map = "input.claims"
        agent = "verify"
        input = { claim = "item" }
        timeout = "1m"
        on_failure = "continue"
        [[step]]
        name = "pay"
        loop = { until = "result.receipt", rounds_max = 2 }
        call = "bank.pay"
        needs = ["verify"]
        on_failure = "compensate"
        compensate = { call = "bank.refund", input = { id = "receipt.id" } }
        [[step]]
        name = "publish"
        map = "input.pages"
        workflow = "publish"
    "#;
    let workflow = Workflow::parse("content.toml", source).unwrap();
    let body = workflow.body(&"verify".parse().unwrap()).unwrap();
    assert_eq!((body.name.as_str(), body.steps.len()), ("content", 1));
    let step = &body.steps[0];
    assert_eq!(step.work, Work::Agent("verify".parse().unwrap()));
    assert!(step.input.is_empty());
    assert_eq!(step.timeout, Some(Duration::from_secs(60)));
    assert_eq!(step.on_failure, OnFailure::Continue);
    let pay = workflow.body(&"pay".parse().unwrap()).unwrap();
    assert!(pay.steps[0].needs.is_empty() && pay.steps[0].compensate.is_some());
    assert_eq!(pay.steps[0].on_failure, OnFailure::Fail);
    assert!(workflow.body(&"publish".parse().unwrap()).is_none());
    assert!(workflow.body(&"absent".parse().unwrap()).is_none());
}

#[test]
fn every_example_of_the_documentation_is_a_good_definition() {
    let text = include_str!("../../../docs/workflows.md");
    let examples: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a split has a first part"))
        .collect();
    assert!(examples.len() >= 5, "there are examples");
    for (index, example) in examples.iter().enumerate() {
        let workflow = Workflow::parse(&format!("example {index}"), example)
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{example}"));
        let again = Workflow::parse("again", &workflow.to_toml()).unwrap();
        assert_eq!(workflow.diff(&again), []);
    }
}
