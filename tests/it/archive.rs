//! The archive, by the real binary; and a journal that was written before there was one.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value;
use soloist::{
    journal::{
        Journal, Seq,
        fjall::{FjallJournal, Options},
        verify,
    },
    views,
};
use tempfile::TempDir;

use crate::support::{binary::soloist, root, xorshift::Xorshift};

/// What a journal of format 1 held, as the program that wrote it said.
const RECORDS: u64 = 110;
const HEAD: &str = "7b60f3cebecb1fd656582002e7d5c78bdc3ca43da03b074901d95a8ec17ff3a8";

/// A data directory that a program from before there was an archive left: a demo with a long mail, of which two answers were
/// approved and one was turned down.
fn old() -> TempDir {
    let dir = tempfile::tempdir().expect("there is room for a folder");
    copy(&root().join("tests/fixtures/journal-1"), dir.path());
    // Of a folder without files, version control keeps nothing.
    for keyspace in 0..=5 {
        let tables = dir.path().join(format!("store/keyspaces/{keyspace}/tables"));
        fs::create_dir_all(tables).expect("a folder can be made");
    }
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let entry = entry.expect("the fixture can be listed");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).expect("a file can be copied")),
        }
    }
}

/// What `soloist words --json` says, and whether it went well.
fn says(data: &Path, words: &[&str]) -> (bool, Value) {
    let output = Command::new(soloist())
        .args(words)
        .args(["--json", "--data"])
        .arg(data)
        .current_dir(data)
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(text.trim()).unwrap_or_else(|error| {
        panic!("{words:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.success(), said)
}

#[test]
fn a_journal_of_format_1_opens_verifies_and_replays() {
    let dir = old();
    let (journal, opened) = FjallJournal::open(dir.path(), Options::default()).expect("it opens");
    assert_eq!((opened.head.seq, opened.verified), (Seq(RECORDS), RECORDS));
    assert_eq!(opened.head.hash.to_hex(), HEAD);
    let verified = verify::verify(&journal, None).expect("its chain is whole");
    assert_eq!((verified.records, verified.archived), (RECORDS, 0));
    let runs = views::runs(&journal).expect("its runs can be listed");
    assert_eq!(runs.len(), 12);
    for row in runs {
        let run = views::folded(&journal, &row.run).expect("it folds").expect("it is there");
        assert_eq!(row, soloist::run::RunSummary::of(&run));
    }
    journal.close().expect("it closes");
}

#[test]
fn runs_of_format_1_are_archived_and_shown_and_a_damaged_segment_is_named() {
    let dir = old();
    let data = dir.path();
    let (_, before) = says(data, &["run", "list"]);
    let id = before.as_array().expect("a list").iter().find(|run| run["status"] == "completed");
    let id = id.expect("some are over")["run"].as_str().expect("it has an id").to_owned();
    let (_, shown) = says(data, &["run", "show", &id]);

    let (went_well, archived) = says(data, &["archive", "run", "--older-than", "1ms"]);
    assert!(went_well, "{archived}");
    assert_eq!(archived["segments"], serde_json::json!(["00000001.segment"]));
    assert_eq!(archived["runs"], 7);
    let (went_well, checked) = says(data, &["archive", "verify"]);
    assert!(went_well && checked["ok"] == true, "{checked}");
    assert_eq!(checked["archived"], archived["records"]);
    let (_, again) = says(data, &["run", "show", &id]);
    assert_eq!(again["archived"], "00000001.segment");
    assert_eq!((&again["records"], &again["steps"]), (&shown["records"], &shown["steps"]));
    assert_eq!(says(data, &["run", "list"]).1.as_array().map(Vec::len), Some(12));
    assert!(says(data, &["doctor"]).0 && says(data, &["audit", "verify"]).0);
    assert_eq!(says(data, &["archive", "list"]).1[0]["by"], "operator");

    let file = data.join("archive/00000001.segment");
    let mut bytes = fs::read(&file).expect("it is there");
    bytes[200] ^= 4;
    fs::write(&file, &bytes).expect("it can be written");
    let (went_well, checked) = says(data, &["archive", "verify"]);
    assert!(!went_well && checked["ok"] == false, "{checked}");
    assert_eq!(checked["faults"][0]["file"], "00000001.segment");
    assert!(checked["faults"][0]["record"].is_u64(), "{checked}");
    fs::remove_file(&file).expect("it can be removed");
    let (went_well, gone) = says(data, &["run", "show", &id]);
    let error = gone["error"].as_str().unwrap_or_default();
    assert!(!went_well && error.contains("00000001.segment is missing"), "{gone}");
}

/// What is told of each run, but for where its records are.
fn told(data: &Path) -> Vec<Value> {
    let (_, runs) = says(data, &["run", "list"]);
    let ids = runs.as_array().expect("a list").iter().map(|run| run["run"].clone());
    ids.map(|id| {
        let (_, mut shown) = says(data, &["run", "show", id.as_str().expect("it has an id")]);
        shown.as_object_mut().expect("a run").remove("archived");
        shown
    })
    .collect()
}

#[test]
fn whenever_archiving_is_killed_each_run_is_in_one_place_and_all_can_be_read() {
    const ARCHIVE: [&str; 4] = ["archive", "run", "--older-than", "1ms"];
    let whole = old();
    let before = told(whole.path());
    let begun = Instant::now();
    assert!(says(whole.path(), &ARCHIVE).0);
    let takes = begun.elapsed();

    let mut chance = Xorshift::new(0xa7c);
    let mut cut_short = 0;
    for _ in 0..6 {
        let dir = old();
        let data = dir.path();
        for _ in 0..3 {
            let mut archiving = Command::new(soloist());
            archiving.args(ARCHIVE).arg("--data").arg(data).current_dir(data);
            archiving.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = archiving.spawn().expect("the binary runs");
            std::thread::sleep(takes.mul_f64(chance.below(100) as f64 / 100.0));
            let _ = child.kill();
            cut_short += usize::from(!child.wait().expect("it ends").success());
            let (went_well, checked) = says(data, &["archive", "verify"]);
            assert!(went_well && checked["ok"] == true, "{checked}");
        }
        let (went_well, rest) = says(data, &ARCHIVE);
        assert!(went_well, "{rest}");
        let (_, segments) = says(data, &["archive", "list"]);
        let runs = segments.as_array().expect("a list").iter().flat_map(|segment| {
            segment["runs"].as_array().expect("it names them").iter().map(Value::to_string)
        });
        let runs: Vec<String> = runs.collect();
        let each: BTreeSet<&String> = runs.iter().collect();
        assert_eq!((runs.len(), each.len()), (7, 7), "each once: {segments}");
        assert!(says(data, &["audit", "verify"]).0);
        assert_eq!(told(data), before);
    }
    assert!(cut_short > 0, "none was killed before it was done");
}
