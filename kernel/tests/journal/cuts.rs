//! A write-ahead file that ends early, at any byte, and one that has lost sectors.

use soloist_kernel::journal::{Journal, fjall::OpenError};

use crate::support::{Subject, open};

#[test]
fn a_cut_after_the_anchor_is_repaired_to_whole_batches() {
    let subject = Subject::small();
    let ends = subject.batch_ends();
    for cut in ends[1]..=ends[4] {
        let mut image = subject.with_old_head();
        image.journal().truncate(cut);
        let dir = image.lay_out();
        let (journal, opened) =
            open(dir.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let torn = cut - ends[whole - 1];
        assert!(opened.cut_bytes as usize <= torn, "cut at {cut}: {opened:?}");
        subject.check_contents(&journal, whole);
    }
}

#[test]
fn a_repaired_journal_goes_on_and_opens_again() {
    let subject = Subject::small();
    let ends = subject.batch_ends();
    for cut in [ends[2] + 1, ends[2] + 40, ends[3] - 1, ends[3]] {
        let mut image = subject.with_old_head();
        image.journal().truncate(cut);
        // The store sizes its files in advance, and a power loss leaves those zeros.
        image.journal().resize(cut + 100_000, 0);
        let dir = image.lay_out();
        let whole = if cut == ends[3] { 4 } else { 3 };
        let (journal, _) = open(dir.path()).unwrap();
        subject.check_prefix(&journal, whole);
        drop(journal);
        let (journal, opened) = open(dir.path()).unwrap();
        assert_eq!((opened.head.seq.0, opened.cut_bytes), (whole as u64 + 1, 0));
        assert_eq!(journal.stats().records, whole as u64 + 1);
    }
}

#[test]
fn a_cut_before_the_anchor_is_refused_and_says_what_is_left() {
    let subject = Subject::small();
    let ends = subject.batch_ends();
    for cut in ends[2]..ends[4] {
        let mut image = subject.image.clone();
        image.journal().truncate(cut);
        let dir = image.lay_out();
        let Err(OpenError::Lost { expected, found }) = open(dir.path()).map(|_| ()) else {
            panic!("cut at {cut} was not refused")
        };
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!((expected.seq.0, found.seq.0), (5, whole as u64), "cut at {cut}");
        assert_eq!(found.hash, subject.records[whole - 1].hash);
    }
}

#[test]
fn garbage_after_the_last_batch_is_cut() {
    let subject = Subject::small();
    for fill in [0xff, 1, 2, 3, 4] {
        let mut image = subject.image.clone();
        image.journal().extend([fill; 700]);
        let dir = image.lay_out();
        let (journal, opened) = open(dir.path()).unwrap();
        assert_eq!(opened.cut_bytes, 700);
        subject.check_prefix(&journal, 5);
    }
}

#[test]
fn lost_sectors_of_a_large_batch_are_repaired() {
    let large = |byte: u8| vec![byte; 20_000];
    let subject = Subject::new(&[b"one", b"two", &large(3), &large(4)]);
    let ends = subject.batch_ends();
    for (round, sector) in [512, 4096].into_iter().cycle().enumerate().take(60) {
        let mut image = subject.with_old_head();
        let mut lost = false;
        // A sector that was written whole or not at all, in a pattern that differs from round to round.
        let mut chance = 0x9e37_79b9_u32.wrapping_mul(round as u32 + 1);
        let bytes = image.journal();
        let first = ends[2].div_ceil(sector);
        for at in first..ends[3].div_ceil(sector) {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if chance >> 30 == 0 {
                let end = ends[3].min((at + 1) * sector);
                lost |= bytes[at * sector..end].iter().any(|byte| *byte != 0);
                bytes[at * sector..end].fill(0);
            }
        }
        let dir = image.lay_out();
        let (journal, opened) = open(dir.path()).unwrap();
        assert_eq!(opened.cut_bytes > 0, lost);
        subject.check_prefix(&journal, if lost { 3 } else { 4 });
    }
}
