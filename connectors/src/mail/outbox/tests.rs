//! Tests of the outbox: a mail is there whole or not at all, and once.

use std::fs;

use soloist_kernel::id::{EffectId, EffectName, RunId, StepName};
use tempfile::TempDir;

use super::*;

fn key() -> IdempotencyKey {
    EffectId {
        run: RunId::new("mail-1").unwrap(),
        step: StepName::new("answer").unwrap(),
        name: EffectName::new("send").unwrap(),
        occurrence: 0,
    }
    .key()
}

fn outbox() -> (TempDir, MaildirOutbox) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = MaildirOutbox::new(folder.path().join("out"));
    (folder, outbox)
}

fn count(outbox: &MaildirOutbox, folder: &str) -> usize {
    fs::read_dir(outbox.path().join(folder)).unwrap().count()
}

#[test]
fn delivering_twice_leaves_one_mail() {
    let (_folder, outbox) = outbox();
    let first = outbox.deliver(&key(), b"mail").unwrap();
    assert_eq!(outbox.deliver(&key(), b"mail").unwrap(), first);
    assert_eq!((count(&outbox, "new"), count(&outbox, "tmp")), (1, 0));
    assert_eq!(fs::read(outbox.path().join(first)).unwrap(), b"mail");
}

#[test]
fn a_mail_that_was_read_is_still_found() {
    let (_folder, outbox) = outbox();
    assert_eq!(outbox.find(&key()).unwrap(), None);
    let file = outbox.deliver(&key(), b"mail").unwrap();
    let read = format!("cur/{}:2,S", key());
    fs::rename(outbox.path().join(file), outbox.path().join(&read)).unwrap();
    assert_eq!(outbox.find(&key()).unwrap(), Some(read.clone()));
    assert_eq!(outbox.deliver(&key(), b"mail").unwrap(), read);
    assert_eq!(count(&outbox, "new"), 0);
}

#[test]
fn a_crash_before_the_rename_delivers_nothing_and_the_next_attempt_delivers() {
    let (_folder, outbox) = outbox();
    outbox.make_folders().unwrap();
    fs::write(outbox.path().join("tmp").join(key().as_str()), b"ma").unwrap();
    assert_eq!(outbox.find(&key()).unwrap(), None);
    assert_eq!(count(&outbox, "new"), 0);
    let file = outbox.deliver(&key(), b"mail").unwrap();
    assert_eq!(fs::read(outbox.path().join(file)).unwrap(), b"mail");
}

#[test]
fn an_outbox_that_cannot_be_written_sends_nothing_and_names_the_path() {
    let (folder, _) = outbox();
    fs::write(folder.path().join("file"), b"").unwrap();
    let fault =
        MaildirOutbox::new(folder.path().join("file")).deliver(&key(), b"mail").unwrap_err();
    assert_eq!(fault.phase, Phase::NotSent);
    assert!(fault.message.contains("/file"), "{fault}");
}

#[test]
fn a_key_that_is_a_path_is_refused() {
    let (_folder, outbox) = outbox();
    let key: IdempotencyKey = serde_json::from_str("\"../x\"").unwrap();
    assert_eq!(outbox.deliver(&key, b"mail").unwrap_err().class, FaultClass::Invalid);
}
