//! Recomputes the hash chain, record by record.
//!
//! Opening a journal verifies its tail. This verifies all of it, or all since a head that was noted elsewhere: a backup,
//! an auditor's notebook. It uses only what any [`Journal`] offers.
//!
//! Of a record that was archived, the live journal has the hash, and the chain goes on from that. Whether the archive holds
//! what has that hash is what [`archive::audit`](crate::journal::archive::audit) recomputes.

use thiserror::Error;

use crate::journal::{Head, Journal, ReadError, Seq, archive::Slot, format};

/// Records read at a time. Enough to make the reads cheap, few enough to hold even if each is large.
const PAGE: usize = 256;

/// A chain without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records are in the chain.
    pub records: u64,
    /// How many of them are archived, and so were not recomputed.
    pub archived: u64,
    /// Where the chain ends: the journal's head when the verification began.
    pub head: Head,
}

/// Where a chain breaks.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is not the one that was appended, or one before it is not.
    #[error("record {seq} does not fit the chain: {problem}; everything up to record {} fits", seq.0 - 1)]
    Broken {
        /// The first record that does not fit.
        seq: Seq,
        /// What does not fit.
        problem: &'static str,
    },
}

/// Verifies `journal` from after `from` (`None`: from its first record) to its head.
///
/// # Errors
///
/// [`VerifyError`] names the first record that does not fit.
pub fn verify(journal: &dyn Journal, from: Option<Head>) -> Result<Verified, VerifyError> {
    let head = journal.head();
    let mut at = from.unwrap_or(Head::EMPTY);
    let (mut records, mut archived) = (0, 0);
    let mut bytes = Vec::new();
    while at.seq < head.seq {
        let page = journal.slots(Seq(at.seq.0 + 1), PAGE)?;
        if page.is_empty() {
            return Err(VerifyError::Broken { seq: Seq(at.seq.0 + 1), problem: "it is missing" });
        }
        for slot in page.iter().take_while(|slot| slot.seq() <= head.seq) {
            at = next(&at, slot, &mut bytes)?;
            records += 1;
            archived += u64::from(matches!(slot, Slot::Archived(_)));
        }
    }
    match at == head {
        true => Ok(Verified { records, archived, head }),
        false => Err(VerifyError::Broken {
            seq: head.seq,
            problem: "the journal's head has another hash",
        }),
    }
}

/// Where the chain is after `slot`, if that fits it after `at`.
pub(super) fn next(at: &Head, slot: &Slot, bytes: &mut Vec<u8>) -> Result<Head, VerifyError> {
    let seq = Seq(at.seq.0 + 1);
    if slot.seq() != seq {
        return Err(VerifyError::Broken { seq, problem: "it is missing" });
    }
    let record = match slot {
        Slot::Live(record) => record,
        Slot::Archived(stub) => return Ok(Head { seq, hash: stub.hash }),
    };
    let hash = format::encode(record.seq, record.previous, &record.entry, &at.hash, bytes);
    match hash == record.hash {
        true => Ok(Head { seq, hash }),
        false => Err(VerifyError::Broken { seq, problem: "its hash is another" }),
    }
}
