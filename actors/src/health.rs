//! How a kernel is: its live tree, whether it is ready for work, and how it is brought to rest.

use std::{sync::atomic::Ordering, time::Duration};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    Soloist, runs,
    tree::{TreeEvent, TreeNode},
};

/// Whether a kernel is ready for work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether it takes work in and does it.
    pub ready: bool,
    /// Why not; or what is wrong without keeping it from work.
    pub reasons: Vec<String>,
}

/// How far a kernel came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drained {
    /// Runs that were still active when the time was up. They go on at the next start.
    pub active: usize,
}

impl Soloist {
    /// The live tree: every supervisor, connector, agent and run, how it is and what it does. Nobody is asked for it, so it is
    /// answered whatever state the tree is in.
    #[must_use]
    pub fn tree(&self) -> TreeNode {
        self.context().tree.view().unwrap_or_else(TreeNode::gone)
    }

    /// What lately happened in the tree, oldest first: who started, died, was restarted, gave up.
    #[must_use]
    pub fn tree_events(&self) -> Vec<TreeEvent> {
        self.context().tree.events()
    }

    /// Whether the kernel is ready for work: it has not halted, its tree has not given up, and it is not being drained.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let context = self.context();
        let mut reasons = vec![];
        if let Some(halted) = &*context.halted.borrow() {
            reasons.push(halted.to_string());
        }
        if context.is_draining() {
            reasons.push("it is being drained: nothing more is taken in".into());
        }
        let ready = reasons.is_empty();
        let aside = context.aside.len();
        if aside > 0 {
            reasons.push(format!("{aside} runs are set aside; see their incidents in the inbox"));
        }
        Readiness { ready, reasons }
    }

    /// Stops taking work in: no pulls, schedules, events or new runs. Waits until every run is over or waits, but no longer
    /// than `limit`. What is left is where its journal says, and goes on at the next start; [`shutdown`](Self::shutdown) comes
    /// after it.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.context().draining.store(true, Ordering::Release);
        let (reply, rested) = oneshot::channel();
        if let Some(runs) = self.context().registry.runs() {
            let _ = runs.send(runs::Message::WhenIdle { reply });
        }
        let _ = tokio::time::timeout(limit, rested).await;
        let active = self.tree().active_runs();
        Drained { active }
    }
}
