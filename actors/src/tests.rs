//! What turns wait for and what starts runs, in virtual time: a night's sleep takes no time here.

mod budgets;
mod events;
mod experiments;
mod fork;
mod fork_control;
mod incidents;
mod labels;
mod limits;
mod parked;
mod policy_versions;
mod retention;
mod rollouts;
mod shadows;
mod shop;
mod travel;
mod tree;
mod versions;
mod waits;

use std::{collections::BTreeMap, sync::Arc};

use soloist_connectors::{Env, Intent, Plan};
use soloist_kernel::{
    journal::memory::{MemoryJournal, Syncing},
    time::Timestamp,
    workflow::Workflow,
};

use crate::{Builder, RunEnd, Soloist};

/// The time at which each test begins: a Tuesday, 22:13:20 UTC.
const BEGIN: u64 = 1_700_000_000_000;

/// A journal that outlives its kernels, and a clock that follows the runtime's.
struct House {
    journal: Arc<MemoryJournal>,
    env: Env,
}

impl House {
    fn new() -> Self {
        let begun = tokio::time::Instant::now();
        let now = move || {
            let since = u64::try_from(begun.elapsed().as_millis()).unwrap();
            Timestamp(BEGIN + since)
        };
        let journal = Arc::new(MemoryJournal::new(Syncing::Auto));
        Self { journal, env: Env::with_clock(now, [7; 32]) }
    }

    /// A kernel of `workflows` over what the last one left.
    fn kernel(&self, workflows: &[&str]) -> Builder {
        let builder = Soloist::builder().journal(self.journal.clone()).env(self.env.clone());
        let parsed = workflows.iter().map(|text| Workflow::parse("test.toml", text).unwrap());
        parsed.fold(builder, Builder::workflow)
    }

    /// What the next kernel finds after `soloist` was stopped.
    async fn after(&self, soloist: Soloist) -> Self {
        let _ = soloist.shutdown().await;
        let journal = Arc::new(self.journal.crash(soloist_kernel::journal::memory::Crash::Process));
        Self { journal, env: self.env.clone() }
    }
}

/// A plan that leaves as its arguments are.
pub(crate) fn planned(intent: &Intent) -> Plan {
    Plan {
        operation: intent.operation.clone(),
        key: intent.key.clone(),
        routing: BTreeMap::new(),
        preview: intent.arguments.to_string(),
        bytes: intent.arguments.to_string().into_bytes().into(),
    }
}

async fn completed(soloist: &Soloist, run: &str) -> serde_json::Value {
    match soloist.run(run).unwrap().rest().await.unwrap() {
        RunEnd::Completed(output) => output.value(),
        end => panic!("{run} came to {end:?}"),
    }
}

async fn waits(soloist: &Soloist, run: &str) {
    let end = soloist.run(run).unwrap().rest().await.unwrap();
    assert!(matches!(end, RunEnd::Waiting { .. }), "{run} came to {end:?}");
}
