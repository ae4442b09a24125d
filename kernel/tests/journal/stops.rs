//! A disk that fails: the journal stops for good, says so to all, and a new one recovers.

use soloist_kernel::journal::{AppendError, Journal, Seq};

use crate::{
    faults::{Fault, inject},
    support::{Image, all, append, dir, durable, open, sync},
};

/// Breaks `below` the journal's folder after three synced records, and checks that the journal stops and that what is
/// left can be opened.
fn check(below: &str, fault: Fault) {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    for seq in 1..=3 {
        durable(&journal, append(seq, b"synced"));
    }
    let faulty = inject(&dir.path().join(below), fault);
    let waiting: Vec<_> = (4..=8)
        .map_while(|seq| journal.append(append(seq, b"unknown")).ok())
        .map(|seq| sync(&journal, seq))
        .collect();
    assert!(!waiting.is_empty());
    for answer in &waiting {
        let stopped = answer.wait().unwrap_err();
        assert!(stopped.to_string().contains("restart to recover"), "{stopped}");
    }
    assert!(matches!(journal.append(append(4, b"later")), Err(AppendError::Stopped(_))));
    assert!(sync(&journal, Seq(9)).wait().is_err());
    assert_eq!(sync(&journal, Seq(3)).wait(), Ok(()), "what was synced stays synced");
    drop(faulty);
    // The fault is over, and still the journal does not try again.
    assert!(matches!(journal.append(append(4, b"later")), Err(AppendError::Stopped(_))));
    assert_eq!(all(&journal).len(), 3, "nothing that is unknown is visible");
    assert!(journal.close().is_err());
    drop(journal);
    assert!(open(dir.path()).is_err(), "only a new process may open it");
    // What a new process would find.
    let left = Image::of(dir.path()).lay_out();
    let (recovered, _) = open(left.path()).unwrap();
    let records = all(&recovered);
    assert!((3..=8).contains(&records.len()), "{}", records.len());
    assert!(records[..3].iter().all(|record| record.entry.payload == b"synced"));
    durable(&recovered, append(records.len() as u64 + 1, b"again"));
}

#[test]
fn a_failed_fsync_stops_the_journal() {
    check("store", Fault::Fsync);
}

#[test]
fn a_full_disk_stops_the_journal() {
    check("store", Fault::Write);
}

#[test]
fn an_anchor_that_cannot_be_written_stops_the_journal() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    durable(&journal, append(1, b"synced"));
    let faulty = inject(dir.path(), Fault::Write);
    let mut last = None;
    // The anchor follows some time after the records, so some may still pass.
    for seq in 2.. {
        match journal.append(append(seq, b"unknown")) {
            Ok(seq) => last = Some(sync(&journal, seq).wait()),
            Err(AppendError::Stopped(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(last.is_some());
    drop(faulty);
    assert!(journal.close().is_err());
}

#[test]
fn a_full_disk_at_the_first_boot_is_an_error_and_the_second_boot_begins() {
    let dir = dir();
    let faulty = inject(dir.path(), Fault::Write);
    assert!(open(dir.path()).is_err());
    drop(faulty);
    let (journal, _) = open(dir.path()).unwrap();
    durable(&journal, append(1, b"one"));
}
