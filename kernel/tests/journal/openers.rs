//! Two openers of one journal.

use std::{env, path::PathBuf, process};

use soloist_kernel::journal::{Journal, fjall::OpenError};

use crate::support::{append, dir, durable, open};

const DIR: &str = "SOLOIST_TEST_JOURNAL";

#[test]
fn a_second_opener_in_the_same_process_is_refused_and_told_who_has_it() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let refused = open(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { pid: Some(pid), .. } if pid == process::id()));
    assert!(refused.to_string().contains(&format!("process {}", process::id())), "{refused}");
    // The refused one disturbed nothing.
    durable(&journal, append(1, b"one"));
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().1.head.seq.0, 1);
}

#[test]
fn a_second_opener_in_another_process_is_refused_and_told_who_has_it() {
    let dir = dir();
    let (journal, _) = open(dir.path()).unwrap();
    let child = || {
        process::Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "openers::child_that_opens", "--nocapture"])
            .env(DIR, dir.path())
            .output()
            .unwrap()
    };
    let said = String::from_utf8(child().stdout).unwrap();
    assert!(said.contains(&format!("is open in process {}", process::id())), "{said}");
    journal.close().unwrap();
    drop(journal);
    let said = String::from_utf8(child().stdout).unwrap();
    assert!(said.contains("opened at 0"), "{said}");
}

#[test]
#[ignore = "runs as a child of the test above"]
fn child_that_opens() {
    #[expect(clippy::disallowed_methods, reason = "a test has no other way to tell its child")]
    let Ok(dir) = env::var(DIR) else { return };
    match open(&PathBuf::from(dir)) {
        Ok((_, opened)) => println!("opened at {}", opened.head.seq),
        Err(error) => println!("{error}"),
    }
}
