//! How the kernel itself is: its live tree, and how it is brought to rest.

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::{Drained, Readiness, Soloist};

use crate::request::Problem;

/// Everything at once, so that the tree and the reasons are of the same moment.
pub(super) fn tree(soloist: &Soloist) -> Result<Value, Problem> {
    let Readiness { ready, reasons } = soloist.readiness();
    Ok(json!({
        "ready": ready,
        "reasons": reasons,
        "tree": soloist.tree(),
        "events": soloist.tree_events(),
    }))
}

pub(super) async fn drain(soloist: &Soloist, seconds: u32) -> Result<Value, Problem> {
    let Drained { active } = soloist.drain(Duration::from_secs(seconds.into())).await;
    Ok(json!({ "rested": active == 0, "active": active, "seconds": seconds }))
}
