//! Group commit: many appends, few fsyncs; none when nothing happens.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use soloist_kernel::journal::{
    Append, AppendError, Journal, StreamSeq,
    fjall::{FjallJournal, Options},
};

use crate::support::{DEADLINE, append, dir, durable, entry, open, sync};

fn record(stream: &str, stream_seq: u64) -> Append {
    Append { entries: vec![entry(stream, stream_seq, [1])], ..Append::default() }
}

/// Waits until `done` says so, or fails.
#[expect(clippy::disallowed_methods, reason = "waits for another thread, with a deadline")]
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn concurrent_durable_appends_share_fsyncs() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path()).unwrap();
    let (clients, each) = (32, 20);
    let barrier = Barrier::new(clients);
    thread::scope(|scope| {
        for client in 0..clients {
            let (journal, barrier) = (&journal, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for seq in 1..=each {
                    durable(journal, record(&format!("client-{client}"), seq));
                }
            });
        }
    });
    let stats = journal.stats();
    assert_eq!(stats.records, clients as u64 * each);
    assert!(stats.fsyncs * 3 < stats.records, "{stats:?}");
}

#[test]
fn appends_that_wait_together_are_one_commit() {
    let dir = dir();
    let options = Options { linger: DEADLINE, ..Options::default() };
    let (journal, _) = FjallJournal::open(dir.path(), options).unwrap();
    let seqs: Vec<_> = (1..=100).map(|seq| journal.append(record("s", seq)).unwrap()).collect();
    assert_eq!(journal.stats().commits, 0);
    sync(&journal, seqs[0]).wait().unwrap();
    assert_eq!(
        (journal.stats().commits, journal.stats().fsyncs, journal.head().seq.0),
        (1, 1, 100)
    );
}

#[test]
fn an_append_that_nobody_waits_for_is_synced_all_the_same() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let seq = journal.append(append(1, b"one")).unwrap();
    wait_until("the sync", || journal.head().seq == seq);
    assert!(journal.record(seq).unwrap().is_some());
}

#[test]
fn an_idle_journal_commits_nothing() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    durable(&journal, append(1, b"one"));
    let before = journal.stats();
    // As long as many lingers and anchor intervals.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing is to happen, so there is nothing to wait for"
    )]
    thread::sleep(Duration::from_millis(200));
    assert_eq!(journal.stats(), before);
    assert_eq!(before.commits, 1);
}

#[test]
fn a_closed_journal_has_written_everything_and_refuses_more() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let seq = journal.append(append(1, b"one")).unwrap();
    journal.close().unwrap();
    journal.close().unwrap();
    assert_eq!(journal.head().seq, seq);
    assert!(matches!(journal.append(append(2, b"two")), Err(AppendError::Stopped(_))));
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().1.head.seq, seq);
}

#[test]
fn the_anchor_is_exact_after_a_close() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    for seq in 1..=20 {
        durable(&journal, append(seq, b"x"));
    }
    let head = journal.head();
    journal.close().unwrap();
    let text = std::fs::read_to_string(dir.path().join("HEAD")).unwrap();
    assert!(text.contains(&format!("seq {}\nhash {}\n", head.seq, head.hash)), "{text}");
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let journal = Arc::new(journal);
    let seq = journal.append(append(1, b"one")).unwrap();
    let (held, mine) = (Arc::clone(&journal), journal);
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let done = move |_| {
        gone.recv_timeout(DEADLINE).unwrap();
        drop(held);
    };
    mine.sync(seq, Box::new(done));
    drop(mine);
    go.send(()).unwrap();
    wait_until("the close", || open(dir.path()).is_ok_and(|(_, opened)| opened.head.seq == seq));
}

#[test]
fn a_callback_that_panics_stops_the_journal_and_leaves_nobody_waiting() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let seq = journal.append(record("s", 1)).unwrap();
    let done = move |_| {
        gone.recv_timeout(DEADLINE).unwrap();
        panic!("a callback with a defect");
    };
    journal.sync(seq, Box::new(done));
    wait_until("the first sync", || journal.head().seq == seq);
    let seq = journal.append(record("s", 2)).unwrap();
    let waiting = sync(&journal, seq);
    go.send(()).unwrap();
    assert!(waiting.wait().is_err());
    assert!(matches!(journal.append(record("s", 3)), Err(AppendError::Stopped(_))));
    assert!(journal.close().is_err());
}

#[test]
fn conflicts_are_told_at_once_and_across_reopening() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    journal.append(append(1, b"one")).unwrap();
    let conflict = |journal: &FjallJournal| {
        let Err(AppendError::Conflict { expected, actual, .. }) =
            journal.append(append(1, b"again"))
        else {
            panic!("no conflict")
        };
        assert_eq!((expected, actual), (StreamSeq(0), StreamSeq(1)));
    };
    conflict(&journal);
    drop(journal);
    conflict(&open(dir.path()).unwrap().0);
}
