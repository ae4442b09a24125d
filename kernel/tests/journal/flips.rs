//! One flipped bit, anywhere.

use soloist_kernel::journal::{Finding, examine, fjall::OpenError};

use crate::support::{Subject, open};

#[test]
fn every_bit_of_a_write_ahead_file_is_examined() {
    let mut subject = Subject::small();
    let ends = subject.batch_ends();
    let bytes = subject.image.journal();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = examine(bytes);
        match found.findings[..] {
            [] => assert_eq!(found.batches, 5, "bit {bit} shortens the journal silently"),
            [Finding::TornTail { at, .. }] => {
                assert_eq!(at, ends[3], "bit {bit} cuts a synced batch")
            }
            [Finding::Corrupt { .. }] => {}
            _ => panic!("bit {bit}: {found:?}"),
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Opens the journal with each bit flipped of a quarter of its bytes.
fn check_quarter(quarter: usize) {
    let subject = Subject::small();
    let len = subject.image.clone().journal().len();
    for at in (0..len).filter(|at| at % 4 == quarter) {
        for bit in 0..8 {
            let mut image = subject.image.clone();
            image.journal()[at] ^= 1 << bit;
            let dir = image.lay_out();
            if let Ok((journal, _)) = open(dir.path()) {
                subject.check_contents(&journal, 5);
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_harmless_first_quarter() {
    check_quarter(0);
}

#[test]
fn a_flipped_bit_is_refused_or_harmless_second_quarter() {
    check_quarter(1);
}

#[test]
fn a_flipped_bit_is_refused_or_harmless_third_quarter() {
    check_quarter(2);
}

#[test]
fn a_flipped_bit_is_refused_or_harmless_fourth_quarter() {
    check_quarter(3);
}

#[test]
fn with_an_old_anchor_a_flipped_bit_before_the_last_batch_is_still_refused_or_harmless() {
    let subject = Subject::small();
    let ends = subject.batch_ends();
    for at in (ends[1]..ends[3]).step_by(3) {
        let mut image = subject.with_old_head();
        image.journal()[at] ^= 1 << (at % 8);
        let dir = image.lay_out();
        if let Ok((journal, _)) = open(dir.path()) {
            subject.check_contents(&journal, 5);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_anchor_is_refused() {
    let subject = Subject::small();
    for at in 0..subject.image.clone().file("HEAD").len() {
        let mut image = subject.image.clone();
        image.file("HEAD")[at] ^= 1 << (at % 8);
        let dir = image.lay_out();
        assert!(matches!(open(dir.path()), Err(OpenError::HeadDamaged { .. })), "byte {at}");
    }
}
