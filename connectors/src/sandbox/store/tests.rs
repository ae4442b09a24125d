//! Tests of what holds wherever the records are.

use serde_json::json;
use soloist_kernel::{
    fault::{FaultClass, Phase},
    id::{EffectId, EffectName, RunId, StepName},
};

use super::*;

const NOTES: &str = "crm/notes";

/// Checks a store in a directory and one in memory.
fn check(holds: impl Fn(&mut Records<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let directory = Store::open(folder.path().join("world"), [NOTES].into_iter()).unwrap();
    holds(&mut directory.lock().unwrap());
    holds(&mut Store::in_memory().lock().unwrap());
}

fn applied(occurrence: u32) -> AppliedWrite {
    let effect = EffectId {
        run: RunId::new("run").unwrap(),
        step: StepName::new("note").unwrap(),
        name: EffectName::new("write").unwrap(),
        occurrence,
    };
    let operation = "crm.note".to_owned();
    AppliedWrite {
        at: Timestamp(7), operation, key: effect.key(), receipt: json!({ "note": "ü" })
    }
}

#[test]
fn an_id_that_is_a_path_stays_in_its_collection() {
    check(|records| {
        for id in ["../../x", "/etc/x", ".hidden", "a b", "ü"] {
            records.commit(None, vec![Change::put(NOTES, id, &json!(id))]).unwrap();
            assert_eq!(records.get::<String>(NOTES, id).unwrap().as_deref(), Some(id));
        }
        let files: Vec<String> = records.all().unwrap().into_keys().collect();
        assert!(files.iter().all(|file| file.starts_with("crm/notes/")), "{files:?}");
        assert_eq!(files.len(), 5);
    });
}

#[test]
fn a_list_is_in_the_order_of_the_file_names() {
    check(|records| {
        let put = |id| Change::put(NOTES, id, &json!(id));
        records.commit(None, ["b", "a", "a.b", "a-b", "ab"].map(put).into()).unwrap();
        let listed: Vec<String> = records.list(NOTES).unwrap();
        assert_eq!(listed, ["a-b", "a.b", "a", "ab", "b"]);
    });
}

#[test]
fn a_commit_with_a_name_that_cannot_be_changes_nothing() {
    check(|records| {
        for id in [String::new(), "x".repeat(FILE_NAME_BYTES_MAX + 1)] {
            let changes = vec![Change::put(NOTES, "a", &1), Change::put(NOTES, &id, &1)];
            let fault = records.commit(Some(&applied(0)), changes).unwrap_err();
            assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::NotSent));
        }
        assert!(records.all().unwrap().is_empty() && records.writes_after(0).unwrap().is_empty());
    });
}

#[test]
fn each_write_has_a_number_of_its_own() {
    check(|records| {
        let mut bytes = 0;
        for occurrence in 0..3 {
            assert_eq!(records.next_number().unwrap(), bytes);
            records.commit(Some(&applied(occurrence)), vec![]).unwrap();
            bytes += applied(occurrence).line().len() as u64;
        }
        assert_eq!(records.writes_after(1).unwrap(), [applied(1), applied(2)]);
    });
}

#[test]
fn a_record_of_another_shape_is_named() {
    check(|records| {
        records.commit(None, vec![Change::put(NOTES, "a", &json!("text"))]).unwrap();
        let fault = records.get::<u8>(NOTES, "a").unwrap_err();
        assert!(fault.message.contains("crm/notes/a.json"), "{fault}");
    });
}
