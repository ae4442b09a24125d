//! What was decided, read from the journal: cases, the policies that judged them, and what another policy would have said.

use std::{collections::BTreeMap, sync::Arc};

use soloist_kernel::{
    decisions::{Case, Unreadable, Walk},
    journal::{Journal, ReadError, Seq},
    policy::Policy,
    time::Timestamp,
};

use crate::{policies, workflows::Workflows};

/// How many records are read at a time.
const RECORDS: usize = 1_000;

/// The writes that were proposed at `since` or later, each with all that was said of it and what became of it, in order. The
/// journal is read from its first record on: what policy knew is folded from it.
///
/// # Errors
///
/// [`ReadError`].
pub fn cases(journal: &dyn Journal, since: Timestamp) -> Result<Vec<Case>, ReadError> {
    let workflows = Workflows::default();
    let library = workflows.shelf(journal, Arc::default());
    let mut walk = Walk::new(&library, since);
    let blob = |digest: &_| journal.blob(digest);
    let mut from = Seq(1);
    loop {
        let page = journal.records(from, RECORDS)?;
        let Some(last) = page.last() else { return Ok(walk.cases()) };
        from = Seq(last.seq.0 + 1);
        for record in &page {
            walk.take(record, &blob).map_err(|error| damaged(record.seq, error))?;
        }
    }
}

fn damaged(seq: Seq, error: Unreadable) -> ReadError {
    ReadError::Damaged { seq, problem: error.to_string() }
}

/// Every version of the policy as it judged, what the configuration added to its lists included. One that this Soloist can no
/// longer read is left out.
///
/// # Errors
///
/// [`ReadError`].
pub fn policies(journal: &dyn Journal) -> Result<BTreeMap<u32, Policy>, ReadError> {
    policies::all(journal)
}
