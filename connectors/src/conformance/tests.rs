//! Tests of our own connectors against the contract, and of the checks themselves with connectors that break it.

use async_trait::async_trait;
use serde_json::json;
use soloist_kernel::labels::Labeled;
use tempfile::TempDir;

use super::*;
use crate::{
    contract::Manifest,
    mail::{MailConfig, MailConnector},
    sandbox::{SandboxConnector, SandboxWorld},
};

const MARA: &str = "mara@harbourbakery.example";

fn world() -> (TempDir, SandboxWorld) {
    let folder = tempfile::tempdir().unwrap();
    let world = SandboxWorld::open(folder.path()).unwrap();
    world.seed_sample().unwrap();
    (folder, world)
}

fn of<'a>(connector: &'a dyn Connector, world: &'a SandboxWorld) -> Conformance<'a> {
    Conformance::new(connector, || format!("{:?}", world.records().unwrap()))
}

fn of_crm<'a>(connector: &'a dyn Connector, world: &'a SandboxWorld) -> Conformance<'a> {
    of(connector, world)
        .sample("contact", json!({ "email": MARA }))
        .sample("contacts", json!({ "segment": "craft" }))
        .sample("note", json!({ "contact": MARA, "text": "Called." }))
        .sample("update_stage", json!({ "contact": MARA, "stage": "lost", "version": 1 }))
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract() {
    let (_folder, world) = world();
    keeps_the_contract(&world).await;
}

#[tokio::test]
async fn the_sandbox_in_memory_keeps_the_contract() {
    let world = SandboxWorld::in_memory();
    world.seed_sample().unwrap();
    keeps_the_contract(&world).await;
}

async fn keeps_the_contract(world: &SandboxWorld) {
    of_crm(&world.crm(), world).check().await.unwrap();
    let order = json!({ "customer": MARA, "amount_cents": 9_000, "currency": "EUR", "description": "Bags" });
    of(&world.billing(), world)
        .sample("account_status", json!({ "email": MARA }))
        .sample("create_invoice", order)
        .check()
        .await
        .unwrap();
    let charge = json!({ "account": "acct-harbour", "amount_cents": 9_000, "currency": "EUR", "description": "Bags" });
    of(&world.payments(), world)
        .sample("payment", json!({ "payment": "pay-0" }))
        .sample("charge", charge)
        .check()
        .await
        .unwrap();
    of(&world.model(), world)
        .sample("complete", json!({ "prompt": "Score it:\nWe need a sign." }))
        .check()
        .await
        .unwrap();
    let made = world.writes().unwrap().into_iter().map(|write| write.operation);
    let made: Vec<String> = made.collect();
    let expected = [
        "crm.note",
        "crm.delete_note",
        "crm.update_stage",
        "crm.restore_stage",
        "billing.create_invoice",
        "billing.cancel_invoice",
        "payments.charge",
        "payments.refund",
    ];
    assert_eq!(made, expected);
}

#[tokio::test]
async fn the_maildir_outbox_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "from": "Kestrel Studio <studio@kestrel.example>",
        "outgoing": { "maildir": { "path": folder.path() } },
    });
    let config: MailConfig = serde_json::from_value(config).unwrap();
    let mail = MailConnector::new(config).unwrap();
    let mails = || match std::fs::read_dir(folder.path().join("new")) {
        Ok(entries) => entries.count().to_string(),
        Err(_) => "0".to_owned(),
    };
    let letter =
        json!({ "to": MARA, "subject": "Bags", "text": "They are ready.", "in_reply_to": null });
    Conformance::new(&mail, mails).sample("send", letter).check().await.unwrap();
    assert_eq!(mails(), "1");
}

/// What a connector does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    HidesRouting,
    TakesAnyArgument,
    ForgetsTheKey,
    LosesTheReceipt,
    CannotProbe,
    DoesNotUndo,
    ReadsWithoutLabels,
}

/// The customer records, with one thing wrong.
struct Careless {
    crm: SandboxConnector,
    wrong: Wrong,
}

#[async_trait]
impl Connector for Careless {
    fn manifest(&self) -> &Manifest {
        self.crm.manifest()
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let answer = self.crm.read(env, operation, arguments).await?;
        let labels = if self.wrong == Wrong::ReadsWithoutLabels {
            Default::default()
        } else {
            answer.labels
        };
        Ok(Labeled::new(answer.value, labels))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let mut arguments = intent.arguments.value();
        if self.wrong == Wrong::TakesAnyArgument {
            arguments.as_object_mut().unwrap().remove(UNKNOWN);
        }
        let arguments = Payload::of(&arguments).unwrap();
        let mut plan = self.crm.plan(&Intent { arguments, ..intent.clone() })?;
        if self.wrong == Wrong::HidesRouting {
            plan.routing.clear();
        }
        Ok(plan)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        if self.wrong == Wrong::DoesNotUndo && plan.operation.as_str() == "delete_note" {
            return Ok(Payload::null());
        }
        let mut plan = plan.clone();
        if self.wrong == Wrong::ForgetsTheKey && attempt == 2 {
            let step = StepName::new("another").unwrap();
            let (run, name) = (RunId::new("run").unwrap(), EffectName::new("write").unwrap());
            plan.key = EffectId { run, step, name, occurrence: 0 }.key();
        }
        self.crm.execute(env, &plan, attempt).await
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        match self.wrong {
            Wrong::CannotProbe => Ok(Probe::Absent),
            Wrong::DoesNotUndo if plan.operation.as_str() == "delete_note" => {
                Ok(Probe::Landed { receipt: Payload::null() })
            }
            _ => self.crm.probe(env, plan).await,
        }
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        let nothing = Payload::null();
        let receipt = if self.wrong == Wrong::LosesTheReceipt { &nothing } else { done.receipt };
        self.crm.compensate(&Done { receipt, ..*done })
    }
}

#[tokio::test]
async fn a_connector_that_breaks_a_promise_is_told_which() {
    for (wrong, operation, expected) in [
        (Wrong::HidesRouting, "note", "declares the routing [\"contact\"] and plans []"),
        (Wrong::TakesAnyArgument, "note", "it takes"),
        (Wrong::ForgetsTheKey, "note", "twice has two effects"),
        (Wrong::LosesTheReceipt, "note", "its own receipt is not enough"),
        (Wrong::CannotProbe, "note", "the probe says Ok(Absent)"),
        (Wrong::DoesNotUndo, "note", "does not undo it"),
        (Wrong::ReadsWithoutLabels, "contact", "no origin"),
    ] {
        let (_folder, world) = world();
        let careless = Careless { crm: world.crm(), wrong };
        let broken = of_crm(&careless, &world).check().await.unwrap_err();
        assert_eq!(broken.operation, operation, "{broken}");
        assert!(broken.problem.contains(expected), "{broken}");
    }
}

#[tokio::test]
async fn an_operation_without_a_sample_is_not_passed_over() {
    let (_folder, world) = world();
    let broken = of(&world.crm(), &world).check().await.unwrap_err();
    assert_eq!(broken.operation, "contact");
    let crm = world.crm();
    let broken = of_crm(&crm, &world).sample("note_", json!({})).check().await.unwrap_err();
    assert_eq!(broken.operation, "note_");
}
