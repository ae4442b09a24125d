//! Tests of the directory: killed at any point, it holds a write whole or not at all.

use serde_json::json;
use soloist_kernel::{
    id::{EffectId, EffectName, RunId, StepName},
    time::Timestamp,
};
use tempfile::TempDir;

use super::*;

const NOTES: &str = "crm/notes";

fn store() -> (TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::open(folder.path().join("world"), [NOTES].into_iter()).unwrap();
    (folder, store)
}

fn applied(occurrence: u32) -> AppliedWrite {
    let effect = EffectId {
        run: RunId::new("run").unwrap(),
        step: StepName::new("note").unwrap(),
        name: EffectName::new("write").unwrap(),
        occurrence,
    };
    let operation = "crm.note".to_owned();
    AppliedWrite { at: Timestamp(7), operation, key: effect.key(), receipt: json!({ "note": "b" }) }
}

/// A store with one write, in the middle of the second: it makes `b` and removes `a`.
fn in_the_middle() -> (TempDir, Directory) {
    let (folder, store) = store();
    let records = store.lock().unwrap();
    records.commit(Some(&applied(0)), vec![Change::put(NOTES, "a", &json!(1))]).unwrap();
    let pending = Pending {
        list_bytes: records.list_bytes().unwrap(),
        lines: applied(1).line(),
        changes: vec![Change::put(NOTES, "b", &json!(2)), Change::remove(NOTES, "a")],
    };
    replace(&store.0.join(PENDING), &pending).unwrap();
    drop(records);
    (folder, store)
}

/// Whoever comes next finds both writes on the list, once each, and the records of the second.
#[track_caller]
fn is_completed(store: &Directory) {
    for _ in 0..2 {
        let records = store.lock().unwrap();
        assert_eq!(records.writes_after(0).unwrap(), [applied(0), applied(1)]);
        assert_eq!(records.all().unwrap(), [("crm/notes/b".to_owned(), json!(2))].into());
        assert!(!store.0.join(PENDING).exists());
    }
}

fn append(store: &Directory, text: &str) {
    let mut list = File::options().append(true).open(store.0.join(WRITES)).unwrap();
    list.write_all(text.as_bytes()).unwrap();
}

#[test]
fn killed_before_the_rename_nothing_has_happened() {
    let (_folder, store) = store();
    store.lock().unwrap().commit(Some(&applied(0)), vec![]).unwrap();
    fs::write(store.0.join(PENDING).with_extension("draft"), "{\"list_by").unwrap();
    assert_eq!(store.lock().unwrap().writes_after(0).unwrap(), [applied(0)]);
}

#[test]
fn killed_after_the_rename_the_write_is_completed() {
    let (_folder, store) = in_the_middle();
    is_completed(&store);
}

#[test]
fn killed_while_the_list_is_written_it_holds_the_line_once() {
    let line = applied(1).line();
    for written in [1, line.len() / 2, line.len()] {
        let (_folder, store) = in_the_middle();
        append(&store, &line[..written]);
        is_completed(&store);
    }
}

#[test]
fn killed_between_the_records_or_after_them_they_are_made() {
    let (_folder, store) = in_the_middle();
    append(&store, &applied(1).line());
    fs::write(store.0.join("crm/notes/b.json"), "2").unwrap();
    is_completed(&store);

    let (_folder, store) = in_the_middle();
    append(&store, &applied(1).line());
    fs::write(store.0.join("crm/notes/b.json"), "2").unwrap();
    fs::remove_file(store.0.join("crm/notes/a.json")).unwrap();
    is_completed(&store);
}

#[test]
fn a_record_that_a_person_edits_stays_as_it_is() {
    let (_folder, store) = store();
    let put = |record| vec![Change::put(NOTES, "a", &json!(record))];
    store.lock().unwrap().commit(Some(&applied(0)), put(1)).unwrap();
    fs::write(store.0.join("crm/notes/a.json"), "5").unwrap();
    assert_eq!(store.lock().unwrap().get::<u8>(NOTES, "a").unwrap(), Some(5));
}

#[test]
fn a_file_that_is_not_a_record_is_named() {
    let (_folder, store) = store();
    fs::write(store.0.join("crm/notes/a.json"), "{").unwrap();
    let fault = store.lock().unwrap().get::<Value>(NOTES, "a").unwrap_err();
    assert!(fault.message.contains("crm/notes/a.json"), "{fault}");
}
