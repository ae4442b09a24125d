//! Tests of how a mail is composed: the same intent gives the same bytes, and nothing of it is smuggled.

use serde_json::{Value, json};
use soloist_kernel::{
    fault::{FaultClass, Phase},
    id::{EffectId, EffectName, OperationName, RunId, StepName},
    payload::Payload,
    semantics::WriteSemantics,
};

use super::*;
use crate::mail::{connector::send_operation, parse};

fn intent(arguments: &Value) -> Intent {
    let effect = EffectId {
        run: RunId::new("mail-1").unwrap(),
        step: StepName::new("answer").unwrap(),
        name: EffectName::new("send").unwrap(),
        occurrence: 0,
    };
    Intent {
        operation: OperationName::new("send").unwrap(),
        arguments: Payload::of(arguments).unwrap(),
        key: effect.key(),
        at: Timestamp(1_795_219_506_789),
    }
}

fn send() -> Operation {
    send_operation(WriteSemantics::Opaque)
}

fn sender() -> Sender {
    "Käthe Kestrel <studio@kestrel.example>".parse().unwrap()
}

fn plan(arguments: &Value) -> Plan {
    compose(&sender(), &send(), &intent(arguments)).unwrap()
}

#[track_caller]
fn refused(arguments: &Value, expected: &str) {
    let fault = compose(&sender(), &send(), &intent(arguments)).unwrap_err();
    assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::NotSent));
    assert!(fault.message.contains(expected), "{fault}");
}

fn reply() -> Value {
    json!({
        "to": "mara@HarbourBakery.example",
        "subject": "Re: Quote für Brottüten",
        "text": "Dear Mara,\n\n.\nGrüße\n",
        "in_reply_to": "quote-1@harbourbakery.example",
        "references": ["<first@x.example>", "bad id\r\nBcc: x@y.example"],
    })
}

#[test]
fn the_same_intent_gives_the_same_bytes() {
    assert_eq!(plan(&reply()), plan(&reply()));
    assert_eq!(plan(&reply()).digest(), plan(&reply()).digest());
}

#[test]
fn a_reply_carries_its_thread_its_key_and_its_time() {
    let plan = plan(&reply());
    let text = String::from_utf8(plan.bytes.to_vec()).unwrap();
    assert!(text.is_ascii(), "8-bit content needs a server that takes it");
    assert!(text.contains("Date: Sat, 21 Nov 2026 00:05:06 +0000\r\n"), "{text}");
    assert!(text.contains("Auto-Submitted: auto-replied\r\n"), "{text}");
    assert!(text.contains(&format!("X-Soloist-Effect: {}\r\n", plan.key)), "{text}");
    assert!(!text.contains("Bcc"), "{text}");
    let mail = parse("id", &plan.bytes).unwrap();
    assert_eq!(mail.message_id.unwrap(), format!("{}@kestrel.example", plan.key));
    assert_eq!(mail.from.name.as_deref(), Some("Käthe Kestrel"));
    assert_eq!(mail.subject, "Re: Quote für Brottüten");
    assert_eq!(mail.text, "Dear Mara,\n\n.\nGrüße");
    assert_eq!(mail.in_reply_to.as_deref(), Some("quote-1@harbourbakery.example"));
    assert_eq!(mail.references, ["first@x.example", "quote-1@harbourbakery.example"]);
    assert_eq!(plan.routing["to"], "mara@harbourbakery.example");
    assert!(plan.preview.contains("To: mara@harbourbakery.example\nSubject: Re: Quote für"));
}

#[test]
fn a_long_thread_keeps_its_first_and_newest_ids() {
    let ids: Vec<String> = (0..50).map(|n| format!("{n}@x.example")).collect();
    let kept = thread(&ids, Some("<50@x.example>"));
    assert_eq!(kept.len(), REFERENCES_MAX);
    assert_eq!((kept[0].as_str(), kept[1].as_str()), ("<0@x.example>", "<32@x.example>"));
    assert_eq!(kept.last().unwrap(), "<50@x.example>");
}

#[test]
fn a_mail_that_answers_none_says_that_it_was_generated() {
    let plan = plan(&json!({"to": "a@b.example", "subject": "s", "text": "t"}));
    let text = String::from_utf8(plan.bytes.to_vec()).unwrap();
    assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
    assert!(!text.contains("References"), "{text}");
}

#[test]
fn a_lone_line_end_does_not_reach_the_server() {
    let plan = plan(&json!({"to": "a@b.example", "subject": "s", "text": "a\r.\nb\r\n.\n"}));
    let text = String::from_utf8(plan.bytes.to_vec()).unwrap();
    let rest = text.replace("\r\n", "");
    assert!(!rest.contains(['\r', '\n']), "{text:?}");
}

#[test]
fn a_wrong_argument_is_named() {
    let with = |name: &str, value: Value| {
        let mut arguments = json!({"to": "a@b.example", "subject": "s", "text": "t"});
        arguments[name] = value;
        arguments
    };
    refused(&json!({"subject": "s", "text": "t"}), "`to`");
    refused(&with("to", json!(["a@b.example"])), "`to`");
    refused(&with("references", json!("x@y.example")), "`references`");
    refused(&with("bcc", json!("x@y.example")), "`bcc`");
    for to in [
        "",
        "nobody",
        "a@b@",
        "a b@c.example",
        "Mara <a@b.example>",
        "a@b.example,c@d.example",
        "a@b.example\r\nBcc: x@y.example",
        "a@münchen.example",
    ] {
        refused(&with("to", json!(to)), "`to`");
    }
    refused(&with("to", json!(format!("{}@b.example", "a".repeat(300)))), "longer than");
    refused(&with("subject", json!("s\r\nBcc: x@y.example")), "`subject`");
    refused(&with("subject", json!("s".repeat(SUBJECT_BYTES_MAX + 1))), "`subject`");
    refused(&with("text", json!("t".repeat(TEXT_BYTES_MAX + 1))), "`text`");
    refused(&with("text", json!(" \n")), "`text`");
    refused(&with("text", json!("a\u{1b}[8m")), "control character");
    refused(&json!([1]), "arguments");
}

#[test]
fn a_sender_that_cannot_be_one_is_refused() {
    for text in ["", "studio", "Studio <studio@>", "a@b.example\r\nX: y"] {
        assert!(text.parse::<Sender>().is_err(), "{text}");
    }
}
