//! What answers come to: by the declaration's rules, by their status, and where they cannot be understood.

use serde_json::{Value, json};
use soloist_kernel::{
    fault::{FaultClass, Phase},
    labels::Integrity,
    payload::Payload,
};

use super::{answering, operation, parsed, planned, post, small};
use crate::{
    contract::{Compensation, Connector, Done, Probe},
    http::{HeaderMap, Request, Response, StatusCode},
};

const RULES: &str = "result.value = 'body.id'\nanswers = [
    { status = 409, class = 'declined' },
    { status = [503, 504], class = 'transient', phase = 'answered' },
    { status = 500, class = 'transient' },
    { when = 'status == 200 and body.error is defined', class = 'invalid', message = 'refused: {{ body.error }}' },
    { status = 410, when = \"headers['x-gone'] == 'fine'\", class = 'ok' },
]";

/// What becomes of a write with these rules that is answered so.
async fn written(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> Result<Value, (FaultClass, Phase, String)> {
    let connector = parsed("x.toml", &post(RULES));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let receipt = connector.execute(&answering(status, headers, body), &plan, 1).await;
    receipt
        .map(|receipt| receipt.value())
        .map_err(|fault| (fault.class, fault.phase, fault.message))
}

#[track_caller]
fn is(
    result: Result<Value, (FaultClass, Phase, String)>,
    class: FaultClass,
    phase: Phase,
    message: &str,
) {
    let (found, at, said) = result.unwrap_err();
    assert_eq!((found, at), (class, phase), "{said}");
    assert!(said.contains(message), "{said}");
}

#[tokio::test]
async fn the_first_rule_that_fits_says_what_an_answer_means() {
    use FaultClass::{Bug, Declined, Invalid, Transient};
    use Phase::{Answered, MaybeSent};
    assert_eq!(written(201, &[], r#"{"id":7}"#).await, Ok(json!(7)));
    is(
        written(409, &[], "taken").await,
        Declined,
        Answered,
        "x.example: it answered 409 Conflict: taken",
    );
    is(written(503, &[], "").await, Transient, Answered, "503");
    is(written(500, &[], "").await, Transient, MaybeSent, "500");
    is(written(200, &[], r#"{"error":"no stage"}"#).await, Invalid, Answered, "refused: no stage");
    // What no rule is for means what it means everywhere.
    is(written(502, &[], "").await, Transient, MaybeSent, "502");
    is(written(422, &[], "{}").await, Invalid, Answered, "422");
    is(written(200, &[], "<html>").await, Transient, MaybeSent, "no JSON");
    is(written(201, &[], "<html>").await, Transient, MaybeSent, "no JSON");
    assert_eq!(written(410, &[("x-gone", "fine")], r#"{"id":7}"#).await, Ok(json!(7)));
    is(written(410, &[("x-gone", "no")], r#"{"id":7}"#).await, Invalid, Answered, "410");
    // It is done, and its receipt cannot be made: it must not look as if it were not.
    let connector = parsed("x.toml", &post("result.value = 'body.id.of'"));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let fault = connector.execute(&answering(201, &[], "{}"), &plan, 1).await.unwrap_err();
    assert_eq!((fault.class, fault.phase), (Bug, MaybeSent), "{fault}");
}

#[tokio::test]
async fn a_throttled_call_is_told_when_to_come_back() {
    let connector = parsed("x.toml", &post(""));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let told = std::sync::Arc::<std::sync::Mutex<Vec<_>>>::default();
    let ear = told.clone();
    let env = answering(429, &[("retry-after", "30")], "slowly")
        .with_limits_sink(move |hints| ear.lock().unwrap().push(hints));
    let fault = connector.execute(&env, &plan, 1).await.unwrap_err();
    let at = env.now().after(std::time::Duration::from_secs(30));
    assert_eq!((fault.class, fault.phase), (FaultClass::Throttled, Phase::Answered));
    assert_eq!(fault.retry_at, Some(at));
    assert_eq!(told.lock().unwrap()[0].retry_at, Some(at));
}

#[tokio::test]
async fn a_probe_that_cannot_tell_says_so() {
    let text = post(
        "probe = { method = 'GET', path = '/things', landed = 'body.found == true', absent = 'body.found == false' }",
    );
    let connector = parsed("x.toml", &text.replace("'opaque'", "'natural_key'"));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let probed = async |status, body| connector.probe(&answering(status, &[], body), &plan).await;
    assert!(matches!(probed(200, r#"{"found":true}"#).await, Ok(Probe::Landed { .. })));
    assert_eq!(probed(200, r#"{"found":false}"#).await, Ok(Probe::Absent));
    assert!(matches!(probed(200, r#"{"found":null}"#).await, Ok(Probe::Unknown { .. })));
    assert!(matches!(probed(404, "nothing").await, Ok(Probe::Unknown { .. })));
    assert_eq!(probed(503, "").await.unwrap_err().class, FaultClass::Transient);
    assert_eq!(probed(401, "").await.unwrap_err().class, FaultClass::Auth);
    assert_eq!(probed(200, "<html>").await.unwrap_err().class, FaultClass::Transient);
}

#[test]
fn a_condition_without_a_value_is_no_condition_and_is_refused() {
    let text =
        post("").replace("'opaque'", "{ conditional = { value = '{{ arguments.value }}' } }");
    let probe = "\nprobe = { method = 'GET', path = '/', landed = 'true', absent = 'false' }";
    let connector = parsed("x.toml", &(text + probe));
    let fault = planned(&connector, "make", &json!({})).unwrap_err();
    assert!(fault.message.contains("`arguments.value` is null"), "{fault}");
    assert!(planned(&connector, "make", &json!({ "value": "7" })).is_ok());
}

#[tokio::test]
async fn a_probe_does_not_look_for_more_than_the_write() {
    let probe = "probe = { method = 'GET', path = '/', query = { of = '{{ arguments.value }}' }, landed = 'true', absent = 'false' }";
    let connector = parsed("x.toml", &post(probe).replace("'opaque'", "'natural_key'"));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let fault = connector.probe(&answering(200, &[], "{}"), &plan).await.unwrap_err();
    assert!(fault.message.contains("`arguments.value` is null"), "{fault}");
}

#[tokio::test]
async fn what_takes_a_write_back_is_made_of_its_receipt() {
    let text = post("undo = { operation = 'unmake', arguments = { id = '{{ receipt.id }}' } }");
    let unmake = "\n[[operation]]\nname = 'unmake'\nsummary = 'Unmake'\nkind = 'compensate'\nmethod = 'DELETE'\n\
                  path = '/things/{{ arguments.id }}'\nsemantics = 'opaque'\narguments.id = { role = 'routing' }";
    let connector = parsed("x.toml", &(text + unmake));
    let (name, arguments) = (operation("make"), Payload::of(&json!({})).unwrap());
    let taken_back = |receipt: Value| {
        let receipt = Payload::of(&receipt).unwrap();
        connector.compensate(&Done { operation: &name, arguments: &arguments, receipt: &receipt })
    };
    let expected = Compensation::With {
        operation: operation("unmake"),
        arguments: Payload::of(&json!({ "id": 7 })).unwrap(),
    };
    assert_eq!(taken_back(json!({ "id": 7 })), Ok(expected));
    let fault = taken_back(Value::Null).unwrap_err();
    assert_eq!(fault.class, FaultClass::Invalid);
    assert!(fault.message.contains("`id` is missing"), "{fault}");
}

/// A list in pages that says by `Link` where it goes on.
fn linked(trust: &str) -> super::Declared {
    let text = "[[operation]]\nname = 'list'\nsummary = 'List'\nkind = 'read'\nmethod = 'GET'\npath = '/list'\n\
                pages = { items = 'body', next = 'link', pages_max = 3 }";
    parsed("x.toml", &small(&format!("{trust}\n{text}")))
}

#[tokio::test]
async fn a_list_ends_at_the_most_pages_and_says_that_there_is_more() {
    let none = Payload::of(&json!({})).unwrap();
    let link = &[("link", "</list?page=1>; rel=\"first\", </list?page=2>; rel=\"next\"")];
    let read = async |connector: super::Declared, env| {
        connector.read(&env, &operation("list"), &none).await
    };
    let answer = read(linked("trust = 'vetted'"), answering(200, link, "[1]")).await.unwrap();
    assert_eq!(answer.value.value(), json!({ "items": [1, 1, 1], "more": true }));
    assert!(matches!(answer.labels.integrity, Integrity::Vetted(_)));
    let answer = read(linked(""), answering(200, &[], "[1]")).await.unwrap();
    assert_eq!(answer.value.value(), json!({ "items": [1], "more": false }));
    assert_eq!(answer.labels.integrity, Integrity::Untrusted);
    let elsewhere = &[("link", "<https://evil.example/>; rel=next")];
    let fault = read(linked(""), answering(200, elsewhere, "[1]")).await.unwrap_err();
    assert!(fault.message.contains("another server"), "{fault}");
    let fault = read(linked(""), answering(200, &[], "{}")).await.unwrap_err();
    assert!(fault.message.contains("no list"), "{fault}");
}

/// Whatever is answered, a connector says what it is and does not panic.
#[tokio::test]
async fn no_answer_makes_it_panic() {
    let connector = parsed("x.toml", &post(RULES));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    for status in 200..600 {
        for body in ["", "null", "[]", "{\"id\":{}}", "{", "\u{0}", "1e999"] {
            let env = super::env().with_http(move |request: Request| {
                let status = StatusCode::from_u16(status).unwrap();
                Ok(Response::new(request.limits(), status, HeaderMap::new(), body))
            });
            let answer = connector.execute(&env, &plan, 1).await;
            let is_in_doubt = |phase| phase == Phase::MaybeSent;
            assert!(status < 300 || answer.is_err(), "{status}");
            assert!(
                status >= 300 || answer.as_ref().err().is_none_or(|fault| is_in_doubt(fault.phase)),
                "{status} {body}: {answer:?}"
            );
        }
    }
}
