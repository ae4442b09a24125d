//! What is built in Rust means what the same text means.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    retry::RetryPolicy,
    workflow::{Intent, Missed, Priority, Schedule, Step, Trigger},
};

/// Checks that the canonical text of `workflow` reads back as the same workflow.
#[track_caller]
fn comes_back(workflow: &Workflow) {
    let text = workflow.to_toml();
    let back = Workflow::parse("back.toml", &text)
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let named = Workflow { file: workflow.file.clone(), source: workflow.source.clone(), ..back };
    assert_eq!(&named, workflow, "{text}");
    assert_eq!(named.to_toml(), text);
}

fn everything() -> Workflow {
    let day = Duration::from_secs(86_400);
    Workflow::build("outreach")
        .description("Win a customer, \"politely\"\nand in time")
        .intent(
            Intent::named("win-customer")
                .phrases(["reach out", "write to prospects"])
                .readers(["ada@x.example"])
                .cost_max_micro_usd(123_456_789_000_001)
                .deadline(2 * day),
        )
        .trigger(
            Trigger::on("lead.created").when("event.data.score > 3").input("lead", "event.data"),
        )
        .schedule(
            Schedule::at("0 9 * * mon-fri")
                .timezone("Europe/Berlin")
                .missed(Missed::All)
                .input("week", "this")
                .input("odd key", serde_json::json!({ "list": [1, 2.5, true, ["x"]] })),
        )
        .step(
            Step::agent("triage")
                .timeout(Duration::from_secs(30))
                .heartbeat(Duration::from_millis(1500)),
        )
        .step(
            Step::agent("check")
                .named("verify")
                .for_each("triage.claims")
                .parallel_max(8)
                .failures_max(0)
                .needs(["triage"])
                .input("claim", "item")
                .or_template([("note", "{{ input.claim }}: {{ error }}")]),
        )
        .step(
            Step::agent("draft")
                .until("result.ok", 3)
                .needs(["verify"])
                .input("last", "previous")
                .retry(RetryPolicy::NEVER)
                .or_agent("template"),
        )
        .step(Step::approve("Send {{ draft.title }}?").needs(["draft"]).deadline_that_approves(day))
        .step(
            Step::call("mail.send")
                .needs(["draft", "approve"])
                .when("draft.ok")
                .input("to", "draft.to")
                .compensate("mail.unsend", [("id", "receipt.id")])
                .priority(Priority::High)
                .or_compensate(),
        )
        .step(
            Step::wait_event("reply")
                .matching("event.data.id == send.receipt.id")
                .or_for(14 * day)
                .or_until("input.due")
                .needs(["send"]),
        )
        .step(Step::workflow("follow-up").needs(["wait"]).or_continue())
        .step(Step::emit("outreach.done").needs(["follow_up"]).priority(Priority::Low))
        .finish()
        .unwrap()
}

#[test]
fn everything_that_can_be_built_comes_back_from_its_text() {
    let workflow = everything();
    assert_eq!(workflow.source(), workflow.to_toml());
    comes_back(&workflow);
}

#[test]
fn the_text_of_a_built_workflow_reads_as_if_a_person_had_written_it() {
    let built = Workflow::build("answer")
        .step(Step::agent("triage"))
        .step(Step::call("mail.send").needs(["triage"]).input("to", "triage.to"))
        .finish()
        .unwrap();
    let expected = r#"name = "answer"

[[step]]
name = "triage"
agent = "triage"

[[step]]
name = "send"
call = "mail.send"
needs = ["triage"]
input = { to = "triage.to" }
"#;
    assert_eq!(built.source(), expected);
}

#[test]
fn what_is_built_is_checked_as_what_is_read() {
    let problems = Workflow::build("answer")
        .schedule(Schedule::at("0 9 * * *").input("x", serde_json::Value::Null))
        .step(Step::agent("triage"))
        .finish()
        .unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "answer (built in Rust), field `schedule[0].input.x`: it holds null, which TOML does not have; give another value"
    );
    let problems = Workflow::build("answer")
        .step(Step::agent("triage"))
        .step(Step::call("mail.send").needs(["triag"]))
        .finish()
        .unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "answer (built in Rust), step `send`, field `needs`: there is no step `triag`; did you mean `triage`?"
    );
}

fn any_step(index: usize) -> impl Strategy<Value = (usize, String, u8, u8, bool, u64)> {
    (Just(index), ".{0,12}", 0..10u8, 0..6u8, any::<bool>(), 1..u64::MAX / 2)
}

/// A step made of chance; `texts` ends up wherever an author's own text can stand.
fn step_of(
    draft: WorkflowDraft,
    (index, texts, kind, failure, flag, number): (usize, String, u8, u8, bool, u64),
) -> WorkflowDraft {
    // A literal of the language, and a template, whatever the text is.
    let literal = format!("'{}' ~ input.x", texts.replace(['\\', '\''], ""));
    let template = format!("{{{{ input.x }}}} {}", texts.replace(['{', '}'], ""));
    let duration = Duration::from_millis(number);
    let most = u32::try_from(number % 1000).unwrap() + 1;
    fn shared<K>(
        step: StepDraft<K>,
        index: usize,
        failure: u8,
        flag: bool,
        template: &str,
    ) -> StepDraft<K> {
        let step = step.named(format!("s{index}"));
        let step = if flag && index > 0 { step.needs([format!("s{}", index - 1)]) } else { step };
        match failure {
            0 => step,
            1 => step.or_continue(),
            2 => step.or_compensate().priority(Priority::Low),
            3 => step.or_escalate().when("input.y"),
            4 => step.or_agent("other"),
            _ => step.or_template([("a b", template), ("c", "{{ error }}")]),
        }
    }
    macro_rules! add {
        ($step:expr) => {
            draft.step(shared($step, index, failure, flag, &template))
        };
    }
    match kind {
        0 => add!(Step::agent("a").input("x", &literal).heartbeat(duration).timeout(duration)),
        1 => add!(
            Step::call("m.send").input(&texts, &literal).compensate("m.undo", [("é", "receipt")])
        ),
        2 => add!(Step::workflow("w").retry(RetryPolicy { base: duration, ..RetryPolicy::WRITE })),
        3 => add!(Step::approve(&template).deadline(duration)),
        4 => add!(Step::agent("a").for_each("input.list").input("i", "item").parallel_max(most)),
        5 => add!(
            Step::call("m.send")
                .until(format!("result == {literal}").replace("input.x", "index"), most)
        ),
        6 => add!(Step::workflow("w").for_each("input.list").failures_max(most)),
        7 => add!(Step::wait_for(duration).or_event("e").matching("event.x == input.y")),
        8 => add!(Step::wait_until("input.due")),
        _ => add!(Step::emit("e.f").input("x", &literal)),
    }
}

proptest! {
    #[test]
    fn whatever_is_built_comes_back_from_its_text(
        description in ".{0,40}",
        micro_usd in proptest::option::of(0..1_000_000_000_000_000u64),
        numbers in proptest::collection::vec(any::<f64>().prop_filter("JSON has no infinity", |it| it.is_finite()), 0..3),
        steps in (1..6usize).prop_flat_map(|count| (0..count).map(any_step).collect::<Vec<_>>()),
    ) {
        let mut draft = Workflow::build("w").description(description.as_str());
        let goal = Intent::named("goal").phrases([format!("x{description}")]);
        draft = draft.intent(match micro_usd {
            Some(micro_usd) => goal.cost_max_micro_usd(micro_usd),
            None => goal,
        });
        draft = draft.schedule(Schedule::at("* * * * *").input(description.as_str(), numbers));
        for step in steps {
            draft = step_of(draft, step);
        }
        let workflow = draft.finish().unwrap();
        comes_back(&workflow);
        if let Some(micro_usd) = micro_usd {
            prop_assert_eq!(workflow.intent.unwrap().cost_max_micro_usd, Some(micro_usd));
        }
    }
}
