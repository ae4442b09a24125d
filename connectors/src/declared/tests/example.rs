//! The worked example, against a server that acts and counts, and by a way that loses answers.

use std::{num::NonZeroU32, time::Duration};

use serde_json::{Value, json};
use soloist_kernel::{
    effect::{AfterFault, Standing, after_fault},
    fault::Phase,
    payload::Payload,
    retry::RetryPolicy,
    semantics::WriteSemantics,
};

use super::{MARA, crm::Crm, env, example, folder, intent, operation};
use crate::{
    conformance::Conformance,
    contract::{Connector, Probe},
    http::tests::server::{Break, Proxy},
};

fn contact() -> Value {
    json!({ "email": MARA, "name": "Mara Lind" })
}

fn deal() -> Value {
    json!({ "contact": MARA, "amount_cents": 9_000, "name": "Bags" })
}

fn note() -> Value {
    json!({ "contact": MARA, "text": "Called." })
}

#[tokio::test]
async fn the_example_keeps_the_contract_under_all_semantics() {
    let (folder, crm) = (folder(), Crm::default());
    let server = crm.serve().await;
    let connector = example(folder.path(), server.port);
    let other = json!({ "email": "ines@x.example", "name": "Ines" });
    let other = connector.plan(&intent("create_contact", &other, 0)).unwrap();
    connector.execute(&env(), &other, 1).await.unwrap();
    let moved = json!({ "email": "ines@x.example", "stage": "customer", "version": 1 });
    Conformance::new(&connector, || crm.snapshot())
        .sample("contact", json!({ "email": MARA }))
        .sample("contacts", json!({}))
        .sample("create_contact", contact())
        .sample("move", moved)
        .sample("create_deal", deal())
        .sample("note", note())
        .sample("letter", json!({ "to": MARA, "subject": "Bags & more" }))
        .check()
        .await
        .unwrap();
    // The probe of a conditional write is asked, and its repeat refused by the server.
    for (what, times) in [("deal", 1), ("close", 1), ("note", 1), ("move", 2), ("letter", 1)] {
        assert_eq!(crm.commits(what), times, "{what}");
    }
}

/// Makes a write whose answers are lost as often as `breaks` says, as the kernel would, and returns the receipt and the number
/// of attempts.
async fn driven(
    breaks: &'static [Break],
    name: &str,
    arguments: &Value,
    crm: &Crm,
) -> Result<(Payload, u32), AfterFault> {
    numbered(1, breaks, name, arguments, crm).await
}

/// The same, of the write with that number.
async fn numbered(
    number: usize,
    breaks: &'static [Break],
    name: &str,
    arguments: &Value,
    crm: &Crm,
) -> Result<(Payload, u32), AfterFault> {
    let folder = folder();
    let server = crm.serve().await;
    let proxy = Proxy::new(&server, breaks).await;
    let (connector, env) = (example(folder.path(), proxy.port), env());
    let plan = connector.plan(&intent(name, arguments, number)).unwrap();
    let semantics = connector.manifest().operations[&plan.operation].semantics;
    let retry = RetryPolicy { attempts_max: NonZeroU32::new(50).unwrap(), ..RetryPolicy::WRITE };
    let (mut attempts, mut doubt) = (0, false);
    loop {
        attempts += 1;
        assert!(attempts < 50, "{name} comes to an end");
        let fault = match connector.execute(&env, &plan, attempts).await {
            Ok(receipt) => return Ok((receipt, attempts)),
            Err(fault) => fault,
        };
        doubt |= fault.phase == Phase::MaybeSent;
        let (age, now) = (Duration::ZERO, env.now());
        let standing = Standing { semantics, attempts, age, now, chance: 0, doubt };
        match after_fault(&fault, &standing, &retry) {
            AfterFault::Retry { .. } => {}
            AfterFault::Probe { .. } => loop {
                match connector.probe(&env, &plan).await {
                    Ok(Probe::Landed { receipt }) => return Ok((receipt, attempts)),
                    Ok(Probe::Absent) => break,
                    Ok(Probe::Unknown { reason }) => panic!("{reason}"),
                    Err(fault) => assert!(fault.class.passes(), "{fault}"),
                }
            },
            other => return Err(other),
        }
    }
}

/// Every second answer is lost after the server has acted, every fourth connection before it got there.
const LOSSES: &[Break] = &[Break::AfterCommit, Break::Never, Break::Reset, Break::BeforeUpstream];

#[tokio::test]
async fn a_write_whose_answer_is_lost_happens_once() {
    let crm = Crm::default();
    let (_, attempts) = driven(LOSSES, "create_contact", &contact(), &crm).await.unwrap();
    assert_eq!((crm.commits("contact"), attempts), (1, 1), "a probe found it");
    let moved = json!({ "email": MARA, "stage": "customer", "version": 1 });
    let (receipt, _) = driven(LOSSES, "move", &moved, &crm).await.unwrap();
    assert_eq!(crm.commits("move"), 1);
    let expected = json!({ "email": MARA, "stage": "customer", "previous": "lead", "version": 2 });
    assert_eq!(receipt.value(), expected);
    let (receipt, attempts) = driven(LOSSES, "create_deal", &deal(), &crm).await.unwrap();
    assert_eq!((crm.commits("deal"), attempts), (1, 2), "it was made again under its key");
    assert_eq!(receipt.value(), json!({ "deal": "deal/0" }));
    let (receipt, _) = driven(LOSSES, "note", &note(), &crm).await.unwrap();
    assert_eq!((crm.commits("note"), receipt.value()), (1, json!({ "note": 0 })));
}

/// Connections that break four times in six, by the lot that `seed` draws.
fn storm(mut seed: u64) -> &'static [Break] {
    let mut draw = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (seed >> 33) % 6 {
            0 => Break::BeforeUpstream,
            1 => Break::AfterCommit,
            2 => Break::Reset,
            3 => Break::Within(9 + usize::try_from(seed >> 58).unwrap()),
            _ => Break::Never,
        }
    };
    // The first draws of neighbouring seeds are alike.
    (0..200).map(|_| draw()).skip(8).collect::<Vec<_>>().leak()
}

/// Sixty writes under each of the semantics, by a way that breaks two connections in three.
#[tokio::test]
async fn a_storm_of_losses_makes_no_write_twice_and_loses_none() {
    let (crm, mut attempts_made, mut asked) = (Crm::default(), 0, 0);
    for number in 0..60 {
        let breaks = storm(number as u64);
        let email = format!("c{number}@x.example");
        let writes = [
            ("create_contact", json!({ "email": email, "name": "C" })),
            ("move", json!({ "email": email, "stage": "customer", "version": 1 })),
            ("create_deal", json!({ "contact": email, "amount_cents": 1, "name": "D" })),
            ("note", json!({ "contact": email, "text": "N" })),
        ];
        for (name, arguments) in writes {
            let driven = numbered(number, breaks, name, &arguments, &crm).await;
            let (_, attempts) = driven.unwrap_or_else(|after| panic!("{name}: {after:?}"));
            attempts_made += attempts;
        }
        let letter = json!({ "to": email, "subject": "L" });
        match numbered(number, breaks, "letter", &letter, &crm).await {
            Ok(_) => {}
            Err(AfterFault::Ask) => asked += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    for what in ["contact", "move", "deal", "note"] {
        assert_eq!(crm.commits(what), 60, "{what}");
    }
    assert!(attempts_made > 300, "{attempts_made} attempts: there was a storm");
    // Whether a letter in doubt went out, nobody knows but the server; none went out twice.
    assert!(asked > 20, "{asked}");
    assert!((60 - asked..=60).contains(&crm.commits("letter")), "{asked} in doubt");
}

#[tokio::test]
async fn a_write_that_did_not_get_there_is_made_again() {
    let crm = Crm::default();
    const LOST: &[Break] = &[Break::BeforeUpstream, Break::Never, Break::Never];
    let (_, attempts) = driven(LOST, "create_contact", &contact(), &crm).await.unwrap();
    assert_eq!((crm.commits("contact"), attempts), (1, 2), "a probe proved it absent");
    let (_, attempts) = driven(LOST, "note", &note(), &crm).await.unwrap();
    assert_eq!((crm.commits("note"), attempts), (1, 2));
}

#[tokio::test]
async fn an_opaque_write_in_doubt_is_for_the_operator() {
    let crm = Crm::default();
    let letter = json!({ "to": MARA, "subject": "Bags" });
    assert_eq!(driven(LOSSES, "letter", &letter, &crm).await, Err(AfterFault::Ask));
    assert_eq!(crm.commits("letter"), 1);
}

#[tokio::test]
async fn a_list_is_joined_from_its_pages() {
    let (folder, crm) = (folder(), Crm::default());
    let server = crm.serve().await;
    let (connector, env) = (example(folder.path(), server.port), env());
    for number in 0..5 {
        let contact = json!({ "email": format!("c{number}@x.example"), "name": "C" });
        let plan = connector.plan(&intent("create_contact", &contact, number)).unwrap();
        connector.execute(&env, &plan, 1).await.unwrap();
    }
    let read = async |arguments: Value| {
        let arguments = Payload::of(&arguments).unwrap();
        connector.read(&env, &operation("contacts"), &arguments).await.unwrap()
    };
    let all = read(json!({})).await;
    let emails = |answer: &Payload| -> Vec<String> {
        let value = answer.value();
        let contacts = value["contacts"].as_array().unwrap().iter();
        contacts.map(|contact| contact["email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(emails(&all.value).len(), 5);
    assert_eq!(all.value.value()["more"], json!(false));
    assert!(all.labels.origin.contains("crm"), "{:?}", all.labels);
    assert_eq!(emails(&read(json!({ "stage": "lost" })).await.value).len(), 0);
    let asked = server.committed().into_iter().filter(|line| line.starts_with("GET"));
    let expected = [
        "GET /v3/contacts?limit=2",
        "GET /v3/contacts?limit=2&after=2",
        "GET /v3/contacts?limit=2&after=4",
        "GET /v3/contacts?limit=2&stage=lost",
    ];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_leaves_is_what_was_planned_and_the_credential() {
    let (folder, crm) = (folder(), Crm::default());
    let server = crm.serve().await;
    let (connector, env) = (example(folder.path(), server.port), env());
    let letter = json!({ "to": MARA, "subject": "Bags & more" });
    for (name, arguments) in [("letter", letter), ("create_deal", deal())] {
        let plan = connector.plan(&intent(name, &arguments, 1)).unwrap();
        connector.execute(&env, &plan, 1).await.unwrap();
        let planned: Value = serde_json::from_slice(&plan.bytes).unwrap();
        let request = &planned["request"];
        let heard = server.heard();
        let heard = &heard[heard.rfind("POST ").unwrap()..];
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, request["body"].as_str().unwrap());
        let url = request["url"].as_str().unwrap();
        let target = url.split_once(&server.port.to_string()).unwrap().1;
        assert!(head.starts_with(&format!("POST {target} HTTP/1.1")), "{head}");
        for (header, value) in request["headers"].as_object().unwrap() {
            let line = format!("{header}: {}", value.as_str().unwrap());
            assert!(head.contains(&line), "{line} is not in {head}");
        }
        // Besides these: who is spoken to, who speaks, how long it is, and the credential.
        let lines = head.lines().count() - 1;
        assert_eq!(lines, request["headers"].as_object().unwrap().len() + 4, "{head}");
    }
    let body = "content%5Bsubject%5D=Bags+%26+more&content%5Btags%5D%5B0%5D=soloist";
    assert!(server.heard().contains(body), "{}", server.heard());
    assert!(matches!(
        connector.manifest().operations[&operation("create_deal")].semantics,
        WriteSemantics::Keyed { .. }
    ));
}
