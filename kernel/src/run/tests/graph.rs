//! The kinds of steps, one by one.

use serde_json::{Value, json};

use super::bench::*;
use crate::{
    catalog::AgentKind,
    effect::Decision,
    id::EventId,
    inbox,
    labels::{Integrity, Labeled, Labels},
    payload::{Digest, Payload},
    run::*,
    time::Timestamp,
};

const INPUT: &str = r#"{"items":["a","b","c"],"due":"1970-01-01T00:30:00Z","n":2}"#;

fn bench(source: &str) -> Bench {
    Bench::on(&[source], INPUT)
}

fn awaited(bench: &Bench, name: &str, effect: &str, occurrence: u32) -> Awaited {
    let effect = EffectRef { name: effect.parse().unwrap(), occurrence };
    bench.run.step(&step(name)).unwrap().1.awaited(&effect).unwrap().clone()
}

fn child_input(bench: &Bench, name: &str, effect: &str, occurrence: u32) -> Value {
    awaited(bench, name, effect, occurrence).child().unwrap().input.value.value()
}

fn ends(
    bench: &mut Bench,
    name: &str,
    effect: &str,
    occurrence: u32,
    result: Result<Value, &str>,
) -> Vec<&'static str> {
    let effect = EffectRef { name: effect.parse().unwrap(), occurrence };
    let result = result
        .map(|output| Labeled::owner(Payload::of(&output).unwrap()))
        .map_err(ToOwned::to_owned);
    let end = Box::new(ChildEnd { result, did: false, unwound: None });
    bench.did(Command::ChildEnded { step: step(name), effect, end })
}

fn output(bench: &Bench, name: &str) -> Value {
    bench.run.step(&step(name)).unwrap().1.output().unwrap().value.value()
}

fn happens(event: &str, id: &str, data: &Value) -> Command {
    Command::Occur(Box::new(Occurrence {
        id: EventId::new(id).unwrap(),
        event: event.parse().unwrap(),
        source: "bank".into(),
        data: Labeled::new(Payload::of(data).unwrap(), Labels::untrusted("bank")),
        at: NOW,
    }))
}

#[test]
fn a_step_that_asks_goes_on_when_it_is_approved() {
    let mut bench = bench("name='x'\n[[step]]\nname='ok'\napprove='Do {{ input.n }}?'");
    let items = inbox::items(&bench.run);
    assert_eq!((items[0].kind, items[0].title.as_str()), (inbox::Kind::Approval, "Do 2?"));
    assert!(is_at_rest(&bench.run));
    let kinds = bench.decide(Decision::Approve);
    assert_eq!(kinds, ["effect.answered", "step.completed", "run.completed"]);
    assert_eq!(output(&bench, "ok"), json!({ "approved": true, "by": "operator", "reason": null }));
}

#[test]
fn a_step_that_is_turned_down_takes_all_that_need_it_with_it() {
    let source = "name='x'\n[[step]]\nname='ok'\napprove='Sure?'\n[[step]]\nname='after'\nagent='a'\nneeds=['ok']";
    let mut bench = bench(source);
    let kinds = bench.decide(Decision::Abort { reason: "no".into() });
    assert_eq!(kinds, ["effect.answered", "step.skipped", "step.skipped", "run.completed"]);
}

#[test]
fn an_approval_after_its_deadline_is_refused_and_the_default_counts() {
    let mut bench = bench("name='x'\n[[step]]\nname='ok'\napprove='Sure?'\ndeadline='1h'");
    let item = bench.item();
    assert_eq!(bench.run.next_due(), Some(Timestamp(NOW.0 + 3_600_000)));
    assert!(bench.did(Command::Tick).is_empty(), "nothing is due yet");
    bench.now = Timestamp(NOW.0 + 3_600_000);
    assert_eq!(bench.did(Command::Tick), ["effect.answered", "step.skipped", "run.completed"]);
    let late = bench.refuses(Bench::decision(item.clone(), Decision::Approve));
    assert_eq!(late, Refusal::NotWaiting { item });
}

#[test]
fn a_map_runs_its_body_for_each_item_with_so_many_at_once() {
    let source = "name='x'\n[[step]]\nname='each'\nmap='input.items'\nagent='a'\nparallel_max=2\ninput={ it='item', at='index' }";
    let mut bench = bench(source);
    assert_eq!(child_input(&bench, "each", "round", 1), json!({ "it": "b", "at": 1 }));
    assert_eq!(bench.run.awaited().count(), 2, "two at once");
    assert!(is_at_rest(&bench.run), "it costs disk while its rounds run");
    assert_eq!(
        ends(&mut bench, "each", "round", 1, Ok(json!("B"))),
        ["effect.answered", "child.started"]
    );
    ends(&mut bench, "each", "round", 0, Ok(json!("A")));
    let kinds = ends(&mut bench, "each", "round", 2, Ok(json!("C")));
    assert_eq!(kinds, ["effect.answered", "step.completed", "run.completed"]);
    assert_eq!(output(&bench, "each"), json!(["A", "B", "C"]), "in the order of the items");
}

#[test]
fn a_map_bears_as_many_failures_as_it_says() {
    let source = "name='x'\n[[step]]\nname='each'\nmap='input.items'\nagent='a'\nfailures_max=1";
    let mut bench = bench(source);
    assert_eq!(child_input(&bench, "each", "round", 0), json!("a"), "without an input, the item");
    ends(&mut bench, "each", "round", 0, Err("spoilt"));
    assert_eq!(bench.run.status, Status::Running);
    let kinds = ends(&mut bench, "each", "round", 1, Err("spoilt too"));
    assert_eq!(kinds, ["effect.answered", "step.failed", "run.failed"]);
    let reason = bench.run.reason().unwrap();
    assert_eq!(reason, "2 of its rounds failed; the first: spoilt");
    let left = awaited(&bench, "each", "round", 2);
    let run = left.child().unwrap().run.clone();
    let effect = EffectRef { name: "round".parse().unwrap(), occurrence: 2 };
    assert_eq!(
        outstanding(&bench.run),
        [Action::AbortChild { step: step("each"), effect, run }],
        "nobody waits for the third any more"
    );
}

#[test]
fn an_empty_map_is_done_at_once_and_no_list_is_an_error() {
    let empty = bench("name='x'\n[[step]]\nname='each'\nmap='[]'\nagent='a'");
    assert_eq!(output(&empty, "each"), json!([]));
    let wrong = bench("name='x'\n[[step]]\nname='each'\nmap='input.n'\nagent='a'");
    assert_eq!(wrong.run.reason().unwrap(), "step `each`, field `map`: `input.n` is no list");
}

#[test]
fn a_loop_ends_when_its_condition_holds_or_its_rounds_are_over() {
    let source = "name='x'\n[[step]]\nname='again'\nloop={ until='result.ok', rounds_max=2 }\nagent='a'\ninput={ last='previous', n='index' }";
    let mut good = bench(source);
    assert_eq!(child_input(&good, "again", "round", 0), json!({ "last": null, "n": 0 }));
    ends(&mut good, "again", "round", 0, Ok(json!({ "ok": false, "text": "t" })));
    let second = child_input(&good, "again", "round", 1);
    assert_eq!(second, json!({ "last": { "ok": false, "text": "t" }, "n": 1 }));
    ends(&mut good, "again", "round", 1, Ok(json!({ "ok": true })));
    assert_eq!(output(&good, "again"), json!({ "ok": true }));

    let mut bad = bench(source);
    ends(&mut bad, "again", "round", 0, Ok(json!({ "ok": false })));
    ends(&mut bad, "again", "round", 1, Ok(json!({ "ok": false })));
    assert_eq!(bad.run.reason().unwrap(), "`result.ok` does not hold after 2 rounds, its limit");
}

#[test]
fn a_wait_is_over_by_time_or_by_the_event_that_matches() {
    let source = "name='x'\n[[step]]\nname='paid'\nwait={ for='1h', until='input.due', event='paid', when='event.data.n == input.n' }";
    let mut by_time = bench(source);
    assert_eq!(by_time.run.next_due(), Some(Timestamp(1_800_000)), "the earlier of the two");
    assert!(is_at_rest(&by_time.run));
    by_time.now = Timestamp(1_800_000);
    by_time.did(Command::Tick);
    assert_eq!(output(&by_time, "paid"), json!({ "by": "time", "event": null }));

    let mut by_event = bench(source);
    assert!(by_event.did(happens("paid", "e1", &json!({ "n": 1 }))).is_empty(), "another one");
    assert!(by_event.did(happens("paid", "e2", &json!({}))).is_empty(), "one without a number");
    assert!(by_event.did(happens("sent", "e3", &json!({ "n": 2 }))).is_empty(), "another type");
    let kinds = by_event.did(happens("paid", "e4", &json!({ "n": 2 })));
    assert_eq!(kinds, ["effect.answered", "step.completed", "run.completed"]);
    assert_eq!(output(&by_event, "paid")["event"]["id"], "e4");
    let labels = &by_event.run.step(&step("paid")).unwrap().1.output().unwrap().labels;
    assert_eq!(labels.integrity, Integrity::Untrusted, "it came from outside");
}

#[test]
fn an_event_that_comes_twice_is_taken_once() {
    let source = "name='x'\n[[step]]\nname='one'\nwait={ event='go' }\n[[step]]\nname='two'\nwait={ event='go' }\nneeds=['one']";
    let mut bench = bench(source);
    bench.did(happens("go", "e1", &json!(null)));
    assert!(bench.did(happens("go", "e1", &json!(null))).is_empty(), "the same event again");
    assert!(!bench.did(happens("go", "e2", &json!(null))).is_empty());
}

#[test]
fn a_workflow_step_is_a_run_of_the_version_that_is_newest_then() {
    let inner = "name='inner'\n[[step]]\nname='a'\nagent='a'";
    let outer = "name='outer'\n[[step]]\nname='sub'\nworkflow='inner'\ninput={ n='input.n' }";
    let mut bench = Bench::on(&[outer, inner], INPUT);
    let child = awaited(&bench, "sub", "run", 0).child().unwrap().clone();
    assert_eq!(
        child.of,
        ChildOf::Workflow(
            "inner".parse().map(|name| crate::id::WorkflowRef { name, version: 1 }).unwrap()
        )
    );
    assert!(child.run.as_str().starts_with("r1.sub.0-"), "{}", child.run);
    ends(&mut bench, "sub", "run", 0, Ok(json!({ "done": 1 })));
    assert_eq!(output(&bench, "sub"), json!({ "done": 1 }));
}

#[test]
fn an_emitting_step_asks_for_its_event_to_be_made_known() {
    let mut bench = bench("name='x'\n[[step]]\nname='tell'\nemit='done'\ninput={ n='input.n' }");
    assert_eq!(outstanding(&bench.run), [Action::Emit { step: step("tell") }]);
    let answer = Labeled::owner(Payload::of(&json!({ "id": "e1" })).unwrap());
    let effect = EffectRef { name: "emit".parse().unwrap(), occurrence: 0 };
    let asked = Digest::of(b"");
    let kinds = bench.did(Command::Record { step: step("tell"), effect, asked, answer });
    assert_eq!(kinds, ["effect.recorded", "step.completed", "run.completed"]);
}

fn fails(bench: &mut Bench) -> Vec<&'static str> {
    let error = StepError::new(StepErrorKind::Final, "spoilt");
    bench.did(Command::FailStep {
        step: step("a"),
        attempt: bench.run.step(&step("a")).unwrap().1.attempt,
        error,
    })
}

fn failing(on_failure: &str) -> Bench {
    bench(&format!("name='x'\n[[step]]\nname='a'\nagent='a'\non_failure={on_failure}"))
}

#[test]
fn what_happens_after_a_failure_is_what_the_step_says() {
    assert_eq!(fails(&mut failing("'fail'")), ["step.failed", "run.failed"]);
    let mut goes_on = failing("'continue'");
    assert_eq!(fails(&mut goes_on), ["step.failed", "step.completed", "run.completed"]);
    assert_eq!(output(&goes_on, "a"), json!({ "outcome": "failed", "reason": "spoilt" }));
    let mut template = failing("{ template = { text = 'Sorry: {{ error.message }}' } }");
    fails(&mut template);
    assert_eq!(output(&template, "a"), json!({ "text": "Sorry: spoilt" }));
    let compensated = fails(&mut failing("'compensate'"));
    assert_eq!(compensated, ["step.failed", "run.unwinding", "run.unwound"]);
}

#[test]
fn another_agent_may_stand_in_and_may_fail_as_well() {
    let mut bench = failing("{ agent = 'b' }");
    assert_eq!(fails(&mut bench), ["step.failed", "child.started"]);
    let child = awaited(&bench, "a", "kernel:stand-in", 0).child().unwrap().clone();
    assert_eq!(child.of, ChildOf::Agent("b".parse().unwrap()));
    let mut other = failing("{ agent = 'b' }");
    fails(&mut other);
    ends(&mut bench, "a", "kernel:stand-in", 0, Ok(json!(1)));
    assert_eq!(output(&bench, "a"), json!(1));
    ends(&mut other, "a", "kernel:stand-in", 0, Err("no better"));
    let reason = other.run.reason().unwrap();
    assert_eq!(reason, "spoilt; agent `b`, which stood in, failed as well: no better");
}

#[test]
fn an_escalated_step_waits_for_what_the_operator_says() {
    let escalated = || {
        let mut bench = failing("'escalate'");
        assert_eq!(fails(&mut bench), ["step.failed"]);
        bench
    };
    let bench = escalated();
    let item = inbox::items(&bench.run).remove(0);
    assert_eq!((item.kind, item.reason.as_str()), (inbox::Kind::Escalation, "spoilt"));
    assert_eq!(item.arguments.unwrap()["n"], 2, "the exact input");
    let words: Vec<_> = item.choices.iter().map(|choice| choice.word.as_str()).collect();
    assert_eq!(words, ["retry", "go-on", "fail", "compensate"]);
    assert_eq!(escalated().decide(Decision::Retry), ["step.retried", "step.started"]);
    let mut goes_on = escalated();
    goes_on.decide(Decision::GoOn { output: json!({ "by": "hand" }) });
    assert_eq!(output(&goes_on, "a"), json!({ "by": "hand" }));
    assert_eq!(escalated().decide(Decision::Fail), ["step.failed", "run.failed"]);
    assert_eq!(escalated().decide(Decision::Compensate), ["run.unwinding", "run.unwound"]);
    let unfit = bench.refuses(Bench::decision(bench.item(), Decision::Approve));
    let Refusal::Unfit { problem } = unfit else { panic!("it does not fit") };
    assert!(problem.ends_with("it takes `retry`, `go-on`, `fail`, `compensate`"), "{problem}");
}

#[test]
fn a_late_run_is_told_once_and_goes_on() {
    let source = "name='x'\n[intent]\nname='soon'\ndeadline='1h'\n[[step]]\nname='a'\nagent='a'";
    let mut bench = bench(source);
    assert_eq!(bench.run.next_due(), Some(Timestamp(NOW.0 + 3_600_000)));
    bench.now = Timestamp(NOW.0 + 3_600_000);
    assert_eq!(bench.did(Command::Tick), ["run.overdue"]);
    assert!(bench.did(Command::Tick).is_empty());
    assert_eq!(bench.decide(Decision::Abort { reason: String::new() }), ["run.dismissed"]);
    assert_eq!(bench.completes("a", &json!(1)), ["step.completed", "run.completed"]);
}

#[test]
fn labels_flow_with_the_values_that_a_step_reads() {
    let source = "name='x'\n[[step]]\nname='a'\nagent='a'\n[[step]]\nname='b'\nagent='b'\nneeds=['a']\ninput={ said=\"'Hello'\", of='a.text' }";
    let mut bench = bench(source);
    bench.run.input.labels = Labels::untrusted("mail");
    bench.completes("a", &json!({ "text": "t" }));
    let input = bench.run.step_input(&step("b")).unwrap();
    assert_eq!(input.fields["said"].integrity, Integrity::Owner, "the definition says it");
    assert_eq!(input.fields["of"].integrity, Integrity::Untrusted);
    let origin: Vec<_> = input.fields["of"].origin.iter().map(String::as_str).collect();
    assert_eq!(origin, ["agent:a", "mail"]);
    assert_eq!(input.value.labels.integrity, Integrity::Untrusted, "joined, the least trusted");
}

#[test]
fn what_a_turn_has_read_taints_what_it_says() {
    let mut bench = bench("name='x'\n[[step]]\nname='a'\nagent='a'");
    let effect = EffectRef { name: "crm.contact".parse().unwrap(), occurrence: 0 };
    let answer = Labeled::new(Payload::null(), Labels::untrusted("crm"));
    bench.did(Command::Record { step: step("a"), effect, asked: Digest::of(b""), answer });
    bench.completes("a", &json!(1));
    let Status::Completed { output } = &bench.run.status else { panic!("it completes") };
    assert_eq!(output.labels.integrity, Integrity::Untrusted);
    assert!(output.labels.origin.contains("crm"));
}

#[test]
fn an_output_of_another_shape_is_a_failure_that_may_pass() {
    let mut bench =
        bench("name='x'\n[[step]]\nname='a'\nagent='a'").with_agent("a", AgentKind::ReadOnly, &[]);
    let spec = bench
        .catalog
        .agents
        .get_mut("a".parse::<crate::id::AgentName>().as_ref().unwrap())
        .unwrap();
    spec.get_mut(&1).unwrap().output = json!({ "type": "object", "required": ["text"] });
    let kinds = bench.completes("a", &json!({ "txet": 1 }));
    assert_eq!(kinds, ["step.failed"]);
    assert!(matches!(outstanding(&bench.run)[..], [Action::Wake { .. }]), "it is tried again");
}

#[test]
fn an_agent_proposes_only_what_it_declares() {
    let source = "name='x'\n[[step]]\nname='a'\nagent='a'";
    let propose = |bench: &Bench| {
        let proposal = Box::new(crate::effect::tests::proposal("a@b.example"));
        let command = Command::Propose {
            step: step("a"),
            effect: EffectRef { name: "mail.send".parse().unwrap(), occurrence: 0 },
            asked: Digest::of(b""),
            proposal,
            evidence: crate::policy::Evidence::default(),
        };
        decide(&bench.run, command, &bench.env()).map(|_| ()).map_err(|refusal| refusal.to_string())
    };
    let reads = bench(source).with_agent("a", AgentKind::ReadOnly, &["mail.send"]);
    assert_eq!(
        propose(&reads).unwrap_err(),
        "agent `a` is read-only and may not propose `mail.send`"
    );
    let other = bench(source).with_agent("a", AgentKind::Transactional, &["crm.note"]);
    assert_eq!(propose(&other).unwrap_err(), "agent `a` does not name `mail.send` among its tools");
    let named = bench(source).with_agent("a", AgentKind::Transactional, &["mail.send"]);
    assert_eq!(propose(&named), Ok(()));
}

#[test]
fn a_waiting_run_moves_to_a_version_that_keeps_what_has_begun() {
    let first = "name='x'\n[[step]]\nname='a'\nagent='a'\n[[step]]\nname='ok'\napprove='Sure?'\nneeds=['a']";
    let second = "name='x'\n[[step]]\nname='a'\nagent='a'\n[[step]]\nname='ok'\napprove='Sure?'\nneeds=['a']\n[[step]]\nname='more'\nagent='b'\nneeds=['ok']";
    let wrong = "name='x'\n[[step]]\nname='a'\nagent='other'\n[[step]]\nname='ok'\napprove='Sure?'";
    let mut bench = bench(first);
    bench.completes("a", &json!(1));
    let migrate = |bench: &mut Bench, source: &str, version| {
        let workflow = bench.shelf.add(source, version);
        let definition = bench.shelf.0[&workflow].clone();
        Command::Migrate {
            workflow,
            definition,
            agents: [("b".parse().unwrap(), 3)].into(),
            by: "operator".into(),
        }
    };
    let refused = migrate(&mut bench, wrong, 2);
    assert_eq!(
        bench.refuses(refused).to_string(),
        "run r1 cannot move to x@2: step `a` has begun and does something else in it"
    );
    let moved = migrate(&mut bench, second, 3);
    assert_eq!(bench.did(moved), ["run.migrated"]);
    assert_eq!(
        bench.decide(Decision::Approve),
        ["effect.answered", "step.completed", "step.started"]
    );
    assert_eq!(bench.run.agents.values().copied().collect::<Vec<_>>(), [3]);
}
