//! What is known of contacts, and whether the journal is well.

use std::sync::Arc;

use serde_json::{Value, json};
use soloist_kernel::journal::{Journal, verify};
use soloist_memory::{Fact, Memory, entity, similar};

use crate::request::Problem;

/// Contacts that one search shows.
const CONTACTS_MAX: usize = 5;

pub(super) fn facts(
    journal: &Arc<dyn Journal>,
    system: &str,
    external: &str,
) -> Result<Value, Problem> {
    let subject = entity(system, external);
    let facts = Memory::new(journal.clone()).facts(&subject).map_err(Problem::new)?;
    let facts: Vec<Value> = facts
        .iter()
        .filter_map(|fact| fact.payload().ok())
        .map(|payload| payload.value())
        .collect();
    Ok(json!({ "subject": subject, "facts": facts }))
}

pub(super) fn contacts(journal: &Arc<dyn Journal>, like: &str) -> Result<Value, Problem> {
    let found = Memory::new(journal.clone()).contacts_like(like, CONTACTS_MAX);
    let view = |(fact, likeness): &(Fact, f32)| json!({ "contact": fact.subject, "name": fact.value.value(), "likeness": likeness });
    let contacts: Vec<Value> = found.map_err(Problem::new)?.iter().map(view).collect();
    Ok(json!({ "index": similar::INDEX, "contacts": contacts }))
}

pub(super) fn verified(journal: &dyn Journal) -> Result<Value, Problem> {
    let verified = verify::verify(journal, None).map_err(Problem::new)?;
    let archived = verified.archived;
    Ok(
        json!({ "ok": true, "records": verified.records, "archived": archived, "head": verified.head.hash.to_hex() }),
    )
}
