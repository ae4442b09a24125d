//! Files that are gone or empty, and what an operator can do about it.

use std::{fs, path::Path};

use soloist_kernel::journal::{
    Append, Journal,
    fjall::{FjallJournal, OpenError, Options, accept_loss},
    inspect,
    verify::verify,
};

use crate::support::{Image, Subject, append, durable, entry, fill, open, sync};

#[track_caller]
fn check_refused_or_whole(subject: &Subject, image: &Image, name: &Path) {
    let dir = image.lay_out();
    if let Ok((journal, _)) = open(dir.path()) {
        assert!(!name.starts_with("store/keyspaces/1"), "{} is not missed", name.display());
        subject.check_contents(&journal, 5);
    }
}

#[test]
fn a_lost_file_is_refused_or_not_needed() {
    let subject = Subject::small();
    for (name, _) in &subject.image.files {
        check_refused_or_whole(&subject, &subject.image.without(name), name);
    }
}

#[test]
fn an_emptied_file_is_refused_or_not_needed() {
    let subject = Subject::small();
    for (name, _) in &subject.image.files {
        let mut image = subject.image.clone();
        image.file(name.to_str().unwrap()).clear();
        check_refused_or_whole(&subject, &image, name);
    }
}

#[test]
fn a_lost_write_ahead_file_is_refused_naming_the_last_good_record() {
    let subject = Subject::small();
    let dir = subject.image.without(Path::new("store/0.jnl")).lay_out();
    let message = open(dir.path()).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("0.jnl") || message.contains("*.jnl"), "{message}");
    assert!(message.contains("the last good record was 5"), "{message}");
}

#[test]
fn an_emptied_write_ahead_file_is_refused() {
    let subject = Subject::small();
    for len in [0, 64 << 10] {
        let mut image = subject.image.clone();
        *image.journal() = vec![0; len];
        let dir = image.lay_out();
        let refused = open(dir.path()).map(|_| ());
        assert!(matches!(refused, Err(OpenError::Lost { expected, .. }) if expected.seq.0 == 5));
    }
}

#[test]
fn a_lost_store_is_refused() {
    let subject = Subject::small();
    let dir = subject.image.lay_out();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    assert!(
        matches!(open(dir.path()), Err(OpenError::StoreMissing { last, .. }) if last.seq.0 == 5)
    );
}

#[test]
fn a_store_without_an_anchor_is_refused() {
    let subject = Subject::small();
    let dir = subject.image.without(Path::new("HEAD")).lay_out();
    assert!(matches!(open(dir.path()), Err(OpenError::HeadMissing { .. })));
    // The refusal wrote no anchor of its own.
    assert!(matches!(open(dir.path()), Err(OpenError::HeadMissing { .. })));
    assert_eq!(accept_loss(dir.path()).unwrap().head.seq.0, 5);
    subject.check_prefix(&open(dir.path()).unwrap().0, 5);
}

#[test]
fn a_keyspace_that_fell_behind_is_noticed() {
    let subject = Subject::small();
    let older = {
        let dir = crate::support::dir();
        fill(dir.path(), 0, &[b"one", b"two"]);
        Image::of(dir.path())
    };
    // A write-ahead file from a backup under newer everything else.
    let mut image = subject.image.clone();
    image.journal().clone_from(older.clone().journal());
    let dir = image.lay_out();
    assert!(matches!(open(dir.path()), Err(OpenError::Lost { found, .. }) if found.seq.0 == 2));
}

#[test]
fn a_first_boot_that_was_cut_short_begins_again() {
    let whole = {
        let dir = crate::support::dir();
        drop(open(dir.path()).unwrap());
        Image::of(dir.path())
    };
    let files = [
        "version",
        "lock",
        "0.jnl",
        "keyspaces/0/current",
        "keyspaces/1/current",
        "keyspaces/5/current",
    ];
    for file in files {
        let dir = whole.without(&Path::new("store").join(file)).lay_out();
        let (journal, opened) = open(dir.path()).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(opened.head.seq.0, 0);
        durable(&journal, append(1, b"one"));
    }
}

#[test]
fn a_store_with_batches_is_never_taken_for_an_unfinished_one() {
    let subject = Subject::small();
    let mut image = subject.image.without(Path::new("store/version"));
    let empty = crate::support::dir();
    drop(open(empty.path()).unwrap());
    *image.file("HEAD") = fs::read(empty.path().join("HEAD")).unwrap();
    let dir = image.lay_out();
    assert!(matches!(open(dir.path()), Err(OpenError::StoreMissing { .. })));
    assert!(dir.path().join("store/0.jnl").exists());
}

#[test]
fn an_accepted_loss_opens_at_the_last_good_record() {
    let subject = Subject::small();
    let ends = subject.batch_ends();
    // Once at the end, and once in the middle with good batches after it.
    for (at, left) in [(ends[4] - 1, 4), (ends[2] + 30, 3)] {
        let mut image = subject.image.clone();
        image.journal()[at] ^= 1;
        let dir = image.lay_out();
        assert!(open(dir.path()).is_err());
        assert_eq!(accept_loss(dir.path()).unwrap().head.seq.0, left as u64);
        let (journal, _) = open(dir.path()).unwrap();
        subject.check_prefix(&journal, left);
        assert!(fs::metadata(dir.path().join("LOST")).is_ok() || left == 4);
    }
}

#[test]
fn data_that_left_the_write_ahead_file_is_still_verified() {
    let dir = crate::support::dir();
    let options = Options {
        memtable_bytes: 64 << 10,
        checkpoint_every: 100,
        cache_bytes: 1 << 20,
        ..Default::default()
    };
    let reopen = || FjallJournal::open(dir.path(), options);
    let (journal, _) = reopen().unwrap();
    for seq in 1..=400 {
        let mut append = append(seq, &vec![seq as u8; 1000]);
        append.entries.push(entry(&format!("other-{seq}"), 1, vec![1; 100]));
        let last = journal.append(append).unwrap();
        if seq % 10 == 0 {
            sync(&journal, last).wait().unwrap();
        }
    }
    journal.close().unwrap();
    drop(journal);
    let (journal, opened) = reopen().unwrap();
    assert_eq!(opened.head.seq.0, 800);
    assert!(opened.verified <= 120, "{opened:?}");
    assert_eq!(verify(&journal, None).unwrap().records, 800);
    drop(journal);
    let tables: Vec<_> = Image::of(dir.path()).files;
    let table = tables.iter().find(|(path, _)| path.starts_with("store/keyspaces/1/tables"));
    let (name, _) = table.expect("the records have left the write-ahead file");
    let broken = Image::of(dir.path()).without(name).lay_out();
    assert!(FjallJournal::open(broken.path(), options).is_err());
}

#[test]
fn a_journal_of_several_write_ahead_files_opens_and_misses_none() {
    let dir = crate::support::dir();
    let (journal, _) = open(dir.path()).unwrap();
    // A file is sealed at 64 MB.
    for seq in 1..=150 {
        let entries = vec![entry("s", seq, vec![seq as u8; 1 << 20])];
        let last = journal.append(Append { entries, ..Append::default() }).unwrap();
        if seq % 10 == 0 {
            sync(&journal, last).wait().unwrap();
        }
    }
    journal.close().unwrap();
    drop(journal);
    let files = inspect(dir.path()).unwrap();
    assert!(files.len() > 1, "{files:?}");
    assert!(files.iter().all(|(_, found)| found.findings.is_empty()));
    let (journal, opened) = open(dir.path()).unwrap();
    assert_eq!((opened.head.seq.0, opened.cut_bytes), (150, 0));
    assert_eq!(verify(&journal, None).unwrap().records, 150);
    drop(journal);
    let files = inspect(dir.path()).unwrap();
    let (newest, _) = files.last().unwrap();
    fs::remove_file(newest).unwrap();
    assert!(open(dir.path()).is_err());
}
