//! The archive: what moves there, what is there, and whether it is what was moved.

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::Soloist;
use soloist_kernel::journal::{
    Journal,
    archive::{Fault, SealedSegment, audit, segments},
};

use super::to_json;
use crate::request::Problem;

pub(super) async fn archive(
    soloist: &Soloist,
    older_than_ms: Option<u64>,
    by: Option<&str>,
) -> Result<Value, Problem> {
    let older_than = older_than_ms.map(Duration::from_millis);
    let archived = soloist.archive_as(older_than, by.unwrap_or("operator")).await;
    to_json(&archived.map_err(Problem::new)?)
}

pub(super) fn list(journal: &dyn Journal) -> Result<Value, Problem> {
    let segments = segments(journal).map_err(Problem::new)?;
    Ok(segments.iter().map(segment).collect())
}

fn segment(segment: &SealedSegment) -> Value {
    json!({
        "file": segment.id.file(),
        "hash": segment.hash.to_hex(),
        "previous": segment.previous.to_hex(),
        "first": segment.first,
        "last": segment.last,
        "records": segment.records,
        "blobs": segment.blobs,
        "bytes": segment.bytes,
        "runs": segment.streams.iter().map(|stream| stream.as_str().trim_start_matches("run:")).collect::<Vec<_>>(),
        "at": segment.at.to_string(),
        "by": segment.by,
    })
}

/// Recomputes everything, and names what is not as it was written.
pub(super) fn verified(journal: &dyn Journal) -> Result<Value, Problem> {
    let found = audit(journal).map_err(Problem::new)?;
    let fault = |fault: &Fault| {
        json!({
            "file": fault.file,
            "record": fault.seq,
            "field": fault.field,
            "problem": fault.problem,
            "text": fault.to_string(),
        })
    };
    Ok(json!({
        "ok": found.faults.is_empty(),
        "records": found.live + found.archived,
        "archived": found.archived,
        "segments": found.segments.len(),
        "head": found.head.hash.to_hex(),
        "faults": found.faults.iter().map(fault).collect::<Vec<_>>(),
        "leftovers": found.leftovers,
    }))
}
