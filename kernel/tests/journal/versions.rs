//! A journal that a newer program wrote.

use std::fs;

use soloist_kernel::{journal::fjall::OpenError, payload::Digest};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::{Subject, open};

#[test]
fn a_newer_anchor_is_refused_naming_both_versions() {
    let subject = Subject::small();
    let dir = subject.image.lay_out();
    let body = "soloist journal head\nformat 3\nsomething new\n";
    let text = format!("{body}check {}\n", Digest::of(body.as_bytes()));
    fs::write(dir.path().join("HEAD"), text).unwrap();
    let refused = open(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { .. }));
    let message = refused.to_string();
    assert!(message.contains("format 3") && message.contains("up to 2"), "{message}");
}

#[test]
fn a_newer_record_is_refused_naming_both_versions() {
    let mut subject = Subject::small();
    let ends = subject.batch_ends();
    let bytes = subject.image.journal();
    // The last batch begins with its start of 13 bytes; its first item has a header of 21 and a key of 8, and then comes
    // the record's version.
    let items = ends[3] + 13..ends[4] - 13;
    assert_eq!(bytes[items.start + 21 + 8], 1);
    bytes[items.start + 21 + 8] = 3;
    let checksum = xxh3_64(&bytes[items.clone()]).to_le_bytes();
    bytes[items.end + 1..items.end + 9].copy_from_slice(&checksum);
    let dir = subject.image.lay_out();
    let refused = open(dir.path()).map(|_| ()).unwrap_err();
    let message = refused.to_string();
    assert!(matches!(refused, OpenError::Newer { .. }), "{message}");
    assert!(message.starts_with("record 5 is too new"), "{message}");
    assert!(message.contains("format 3") && message.contains("up to 2"), "{message}");
}

#[test]
fn a_record_that_was_changed_with_a_fitting_checksum_breaks_the_chain() {
    let mut subject = Subject::small();
    let ends = subject.batch_ends();
    let bytes = subject.image.journal();
    let items = ends[1] + 13..ends[2] - 13;
    let at =
        items.start + bytes[items.clone()].windows(5).position(|word| word == b"three").unwrap();
    bytes[at] = b'T';
    let checksum = xxh3_64(&bytes[items.clone()]).to_le_bytes();
    bytes[items.end + 1..items.end + 9].copy_from_slice(&checksum);
    let dir = subject.image.lay_out();
    let message = open(dir.path()).map(|_| ()).unwrap_err().to_string();
    assert!(
        message.starts_with("record 3 is damaged: it does not fit the hash chain"),
        "{message}"
    );
}
