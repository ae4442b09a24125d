//! How fast it is. Run with `cargo test --release -p soloist-kernel --test journal measure -- --ignored --nocapture`.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ::fjall::{Database, KeyspaceCreateOptions, PersistMode};
use soloist_kernel::journal::{
    Append, Journal,
    fjall::{FjallJournal, Options},
};

use crate::support::{durable, entry};

const RUN: Duration = Duration::from_secs(4);
const CLIENTS: u64 = 256;

fn record(client: u64, stream_seq: u64) -> Append {
    Append {
        entries: vec![entry(&format!("run:client-{client}"), stream_seq, [7; 100])],
        ..Append::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// 256 clients, each with one durable append at a time, carried by two threads as an async runtime would.
#[test]
#[ignore = "a measurement"]
fn durable_appends_of_256_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = FjallJournal::open(dir.path(), Options::default()).unwrap();
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let done = Arc::new(AtomicU64::new(0));
    let begun = now();
    thread::scope(|scope| {
        for half in 0..2 {
            let (journal, done) = (Arc::clone(&journal), Arc::clone(&done));
            scope.spawn(move || {
                let ready =
                    Arc::new((Mutex::new((0..CLIENTS / 2).collect::<Vec<_>>()), Condvar::new()));
                let mut seqs = vec![0; CLIENTS as usize];
                let mut batch = Vec::new();
                while begun.elapsed() < RUN {
                    let waiting = ready.0.lock().unwrap();
                    let mut waiting =
                        ready.1.wait_while(waiting, |waiting| waiting.is_empty()).unwrap();
                    std::mem::swap(&mut *waiting, &mut batch);
                    drop(waiting);
                    for client in batch.drain(..) {
                        seqs[client as usize] += 1;
                        let seq = journal
                            .append(record(client * 2 + half, seqs[client as usize]))
                            .unwrap();
                        let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
                        journal.sync(
                            seq,
                            Box::new(move |answer| {
                                answer.unwrap();
                                done.fetch_add(1, Ordering::Relaxed);
                                let mut waiting = ready.0.lock().unwrap();
                                waiting.push(client);
                                if waiting.len() == 1 {
                                    ready.1.notify_one();
                                }
                            }),
                        );
                    }
                }
            });
        }
    });
    report("256 clients, durable", done.load(Ordering::Relaxed), begun, journal.stats().fsyncs);
}

/// As fast as appends are taken, with a durable one every 256.
#[test]
#[ignore = "a measurement"]
fn appends_of_which_each_256th_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = FjallJournal::open(dir.path(), Options::default()).unwrap();
    let begun = now();
    let mut count = 0;
    while begun.elapsed() < RUN {
        let (mut left, mut in_flight) = (256, Vec::new());
        while left > 0 {
            count += 1;
            left -= 1;
            let append = record(count % CLIENTS, count.div_ceil(CLIENTS));
            in_flight.push(journal.append(append).unwrap());
        }
        let last = in_flight.pop().unwrap();
        if count % (256 * 16) == 0 {
            crate::support::sync(&journal, last).wait().unwrap();
        } else {
            journal.sync(last, Box::new(|answer| answer.unwrap()));
        }
    }
    journal.close().unwrap();
    report("one thread, every 256th asked for", count, begun, journal.stats().fsyncs);
}

#[test]
#[ignore = "a measurement"]
fn a_lone_durable_append() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = FjallJournal::open(dir.path(), Options::default()).unwrap();
    let begun = now();
    let mut count = 0;
    while begun.elapsed() < RUN / 2 {
        count += 1;
        durable(&journal, record(0, count));
    }
    report("lone, durable", count, begun, journal.stats().fsyncs);
}

/// The store alone: the same bytes, one insert per record and one fsync per group.
#[test]
#[ignore = "a measurement"]
fn the_bare_store() {
    for group in [1, 128, 256] {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::builder(dir.path()).worker_threads(1).open().unwrap();
        let keyspace = db.keyspace("events", KeyspaceCreateOptions::default).unwrap();
        let begun = now();
        let (mut count, mut fsyncs) = (0u64, 0);
        while begun.elapsed() < RUN / 2 {
            let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
            for _ in 0..group {
                count += 1;
                batch.insert(&keyspace, count.to_be_bytes(), [7u8; 190]);
            }
            batch.commit().unwrap();
            fsyncs += 1;
        }
        report(&format!("bare store, groups of {group}"), count, begun, fsyncs);
    }
}

fn report(what: &str, count: u64, begun: Instant, fsyncs: u64) {
    let seconds = begun.elapsed().as_secs_f64();
    let (rate, fsync_rate) = (count as f64 / seconds, fsyncs as f64 / seconds);
    println!("{what}: {rate:.0} records/s, {fsync_rate:.0} fsyncs/s");
}
