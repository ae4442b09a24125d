//! What stands before a connector, seen from the other side: how many calls arrive there and when, whatever becomes of
//! the kernel.
//!
//! `limits/provider.rs` is the other side. It counts arrivals on tokio's clock, which no restart sets back, and can be told to
//! fail, to throttle and to take its time.

mod breaker;
mod kills;
mod line;
mod operations;
mod overload;
mod pace;
mod panics;
mod pauses;
mod provider;

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use soloist_connectors::{Manifest, Rate};
use soloist_kernel::{effect::WriteState, journal::memory::Crash, policy::Policy};
use tokio::time::{Instant, sleep};

use self::provider::{Adapter, Provider, Wire};
use super::{House, completed};
use crate::{Agent, Builder, Failure, ReadOnly, Soloist, Turn};

const ALLOW: &str = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'a test'";
const WRITE: &str =
    "name='write'\n[[step]]\nname='it'\ncall='provider.write'\ninput={ text='input' }";
const LOOK: &str = "name='look'\n[[step]]\nname='it'\nagent='looker'";

/// Reads as often as its input says.
struct Looker;

impl Agent for Looker {
    const NAME: &'static str = "looker";
    const TOOLS: &'static [&'static str] = &["provider.look"];
    type Kind = ReadOnly;
    type Input = u32;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, times: u32) -> Result<u32, Failure> {
        for _ in 0..times {
            turn.call::<u32>("provider.look", &json!({})).await?;
        }
        Ok(times)
    }
}

/// A provider, and a house whose kernels call it.
struct Town {
    house: House,
    provider: Provider,
    manifest: Manifest,
    wire: Wire,
}

impl Town {
    /// A town whose provider may be called so often, by four at once.
    fn new(rate: Rate) -> Self {
        let (house, provider) = (House::new(), Provider::default());
        Self { house, provider, manifest: provider::manifest(rate), wire: Wire::default() }
    }

    fn adapter(&self) -> Adapter {
        Adapter::new(self.manifest.clone(), self.provider.clone(), self.wire.clone())
    }

    /// A kernel over what the last one left, with these workflows besides those that write and look once.
    fn builder(&self, workflows: &[&str]) -> Builder {
        let workflows: Vec<_> =
            [WRITE, LOOK].into_iter().chain(workflows.iter().copied()).collect();
        let builder = self.house.kernel(&workflows).agent(Looker);
        builder.connector("provider", self.adapter()).policy(Policy::parse("p", ALLOW).unwrap())
    }

    async fn open(&self) -> Soloist {
        self.builder(&[]).open().await.unwrap()
    }

    /// The process of `soloist` dies now. What it has on the wire arrives, and nothing else of it happens.
    fn kill(&mut self, soloist: Soloist, crash: Crash) {
        self.wire.cut();
        self.wire = Wire::default();
        self.house.journal = std::sync::Arc::new(self.house.journal.crash(crash));
        let tree = &soloist.context().tree;
        tree.kill("soloist");
        // It only lets go of what is left of it.
        tokio::spawn(soloist.shutdown());
    }

    /// Starts a write for each of `names`.
    async fn write(&self, soloist: &Soloist, names: impl IntoIterator<Item = String>) {
        for name in names {
            soloist.start("write", &name, &name).await.unwrap();
        }
    }

    /// Each of `names` has landed, once.
    async fn all_landed(&self, soloist: &Soloist, names: impl IntoIterator<Item = String>) {
        let mut count = 0;
        for name in names {
            completed(soloist, &name).await;
            count += 1;
        }
        let landed = self.provider.landed();
        assert!(landed.values().all(|times| *times == 1), "{landed:?}");
        assert_eq!(landed.len(), count);
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:03}")).collect()
}

/// What the connector's actor says of itself.
fn status(soloist: &Soloist) -> BTreeMap<&'static str, String> {
    calls(soloist).status
}

/// The connector's actor in the tree.
fn calls(soloist: &Soloist) -> crate::TreeNode {
    let mut node = soloist.tree();
    for name in ["connectors", "provider", "calls"] {
        node = node.children.into_iter().find(|child| child.name == name).unwrap();
    }
    node
}

/// Why the first write of `run` is put aside, if it is.
fn parked(soloist: &Soloist, run: &str) -> Option<String> {
    let run = soloist.folded(&run.parse().unwrap()).unwrap().unwrap();
    let (_, _, write) = run.writes().next()?;
    match &write.state {
        WriteState::Parked { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

/// The kinds of the records of `stream`.
fn kinds(soloist: &Soloist, stream: &str) -> Vec<String> {
    let stream = stream.parse().unwrap();
    let records = soloist.journal().stream(&stream, Default::default()).unwrap();
    records.into_iter().map(|record| record.entry.kind.to_string()).collect()
}
