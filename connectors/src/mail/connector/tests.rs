//! Tests of the mail connector as a whole: what it declares, reads, plans and sends.

use soloist_kernel::{
    id::{EffectId, EffectName, RunId, StepName},
    time::Timestamp,
};

use super::*;

fn config(json: &serde_json::Value) -> MailConfig {
    serde_json::from_value(json.clone()).unwrap()
}

fn intent(operation: &str) -> Intent {
    let effect = EffectId {
        run: RunId::new("mail-1").unwrap(),
        step: StepName::new("answer").unwrap(),
        name: EffectName::new("send").unwrap(),
        occurrence: 0,
    };
    let arguments = json!({"to": "mara@bakery.example", "subject": "s", "text": "t"});
    Intent {
        operation: OperationName::new(operation).unwrap(),
        arguments: Payload::of(&arguments).unwrap(),
        key: effect.key(),
        at: Timestamp(0),
    }
}

#[tokio::test]
async fn a_mail_sent_into_an_outbox_can_be_probed_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let config = config(&json!({
        "from": "studio@kestrel.example",
        "source": { "path": out },
        "outgoing": { "maildir": { "path": out } },
    }));
    let mail = MailConnector::new(config).unwrap();
    let env = Env::real([0; 32]);
    let plan = mail.plan(&intent("send")).unwrap();
    assert_eq!(mail.probe(&env, &plan).await.unwrap(), Probe::Absent);
    let receipt = mail.execute(&env, &plan, 1).await.unwrap();
    assert_eq!(mail.execute(&env, &plan, 2).await.unwrap(), receipt);
    assert_eq!(mail.probe(&env, &plan).await.unwrap(), Probe::Landed { receipt });
    let page = mail.pull(&env, &|_| false, 10).await.unwrap();
    assert_eq!(page.changes.len(), 1);
    assert_eq!(page.changes[0].identity, plan.key.to_string());
}

#[test]
fn the_manifest_declares_what_each_way_out_can_promise() {
    let outbox = config(&json!({"from": "a@b.example", "outgoing": {"maildir": {"path": "out"}}}));
    let smtp = config(&json!({
        "from": "a@b.example",
        "outgoing": {"smtp": {"host": "mail.example", "port": 465, "burst": 3}},
    }));
    let declared = |config| {
        let mail = MailConnector::new(config).unwrap();
        let manifest = mail.manifest();
        (manifest.operations[&intent("send").operation].semantics, manifest.rate.burst)
    };
    assert_eq!(declared(outbox), (WriteSemantics::NaturalKey, 50));
    assert_eq!(declared(smtp), (WriteSemantics::Opaque, 3));
}

#[test]
fn an_operation_that_mail_does_not_have_is_refused() {
    let config = config(&json!({"from": "a@b.example", "outgoing": {"maildir": {"path": "out"}}}));
    let fault = MailConnector::new(config).unwrap().plan(&intent("shred")).unwrap_err();
    assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::NotSent));
    assert!(fault.message.contains("`shred`"), "{fault}");
}

#[test]
fn a_sender_that_is_not_an_address_names_the_key() {
    let config = config(&json!({"from": "nobody", "outgoing": {"maildir": {"path": "out"}}}));
    assert_eq!(MailConnector::new(config).unwrap_err().key, "from");
}
