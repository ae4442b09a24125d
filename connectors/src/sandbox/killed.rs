//! Kills a process that writes, again and again, and looks at what it leaves.
//!
//! The test starts itself as the writer, told apart by a variable of its environment.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use soloist_kernel::{
    id::{EffectId, EffectName, OperationName, RunId, StepName},
    payload::Payload,
    time::Timestamp,
};

use super::SandboxWorld;
use crate::{
    contract::{Connector, Intent},
    env::Env,
};

/// Names the writer's world.
const WORLD: &str = "SOLOIST_SANDBOX_OF_THE_KILLED_WRITER";

const KILLS: u64 = 12;

/// Makes the same charges in the same order, however often it is started.
async fn write_until_killed(folder: &OsStr) {
    let payments = SandboxWorld::open(folder).unwrap().payments();
    let env = Env::with_clock(|| Timestamp(1_795_219_506_789), [0; 32]);
    let charge = json!({ "account": "acct-alder", "amount_cents": 100, "currency": "EUR", "description": "x" });
    for occurrence in 0.. {
        let (run, step) = (RunId::new("run").unwrap(), StepName::new("pay").unwrap());
        let effect = EffectId { run, step, name: EffectName::new("charge").unwrap(), occurrence };
        let intent = Intent {
            operation: OperationName::new("charge").unwrap(),
            arguments: Payload::of(&charge).unwrap(),
            key: effect.key(),
            at: Timestamp(0),
        };
        let plan = payments.plan(&intent).unwrap();
        payments.execute(&env, &plan, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_each_write_whole_and_once() {
    if let Some(folder) = std::env::var_os(WORLD) {
        return write_until_killed(&folder).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let world = SandboxWorld::open(folder.path()).unwrap();
    world.seed_sample().unwrap();
    let mut writes = 0;
    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::killed::a_killed_writer_leaves_each_write_whole_and_once"])
            .env(WORLD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It gets past what the earlier ones wrote, and then some writes further.
        while world.writes().unwrap().len() < writes + 3 {
            assert!(writer.try_wait().unwrap().is_none(), "the writer gave up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(kill * 377)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let applied = world.writes().unwrap();
        let keys: BTreeSet<_> = applied.iter().map(|write| &write.key).collect();
        assert_eq!(keys.len(), applied.len(), "a key has two writes");
        let records = world.records().unwrap();
        for write in &applied {
            let file = format!("payments/payments/{}", write.receipt["payment"].as_str().unwrap());
            assert_eq!(records[&file]["status"], "settled");
        }
        let payments = records.keys().filter(|name| name.starts_with("payments/payments/"));
        assert_eq!(payments.count(), applied.len(), "a payment is not on the list");
        writes = applied.len();
    }
}
