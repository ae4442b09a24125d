//! What counts as another write, and how shadows are kept.

use serde_json::json;

use super::*;

fn due() -> Due {
    let of = "workflow:note".parse().unwrap();
    Due { run: "r".parse().unwrap(), of, base: 1, shadow: 2, tries: 1 }
}

fn diverged() -> Event {
    let kinds = BTreeMap::from([(Kind::End, 1), (Kind::Arguments, 2)]);
    let outcome = Outcome::Diverged { kinds, difference: "{}".into() };
    Event::Played { due: due(), outcome }
}

#[test]
fn a_write_differs_by_what_weighs_most() {
    let (one, other) = (json!({ "to": "a" }), json!({ "to": "b" }));
    let side = |arguments, verdict, state| Side {
        what: "mail.send",
        arguments,
        verdict: (verdict, "rule"),
        fate: (state, true),
    };
    let live = side(&one, "allow", "landed");
    assert_eq!(of_write(Some(live), Some(live)), None);
    assert_eq!(of_write(None, None), None);
    assert_eq!(of_write(Some(live), None), Some(Kind::OnlyLive));
    assert_eq!(of_write(None, Some(live)), Some(Kind::OnlyShadow));
    let differs = |shadow| of_write(Some(live), Some(shadow));
    assert_eq!(differs(side(&other, "approve", "asking")), Some(Kind::Arguments));
    assert_eq!(differs(side(&one, "approve", "asking")), Some(Kind::Verdict));
    assert_eq!(differs(side(&one, "allow", "failed")), Some(Kind::Fate));
    assert_eq!(differs(Side { what: "crm.note", ..live }), Some(Kind::Arguments));
}

#[test]
fn what_is_due_is_gone_with_what_it_came_to() {
    let rows = project(&Event::Begun(due()), Timestamp(1));
    assert_eq!(rows, [due().row()]);
    let rows = project(&diverged(), Timestamp(2));
    assert_eq!(rows[0], (due().key(), None));
    let played: Played = serde_json::from_slice(rows[1].1.as_ref().unwrap()).unwrap();
    assert_eq!((played.outcome.as_str(), played.kinds[&Kind::Arguments]), ("diverged", 2));
    assert_eq!(rows[2], (due().played_key(DIFFERENCES), Some(b"{}".to_vec())));
    let agreed = Event::Played { due: due(), outcome: Outcome::Agreed };
    assert_eq!(project(&agreed, Timestamp(2)).len(), 2);
}

/// If this fails, journals written before no longer read as they did: make a new version instead.
#[test]
fn the_stored_bytes_do_not_change() {
    let reason = "it has no end".to_owned();
    let played = |outcome| Event::Played { due: due(), outcome };
    let events = [
        Event::Begun(due()),
        played(Outcome::Agreed),
        diverged(),
        played(Outcome::Failed { reason: reason.clone() }),
        played(Outcome::PassedOver { reason }),
    ];
    let hex: Vec<String> = events
        .iter()
        .map(|event| encode(event).iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    expect_test::expect![[r#"
        0001720d776f726b666c6f773a6e6f7465010201
        0101720d776f726b666c6f773a6e6f746501020100
        0101720d776f726b666c6f773a6e6f7465010201010200010502027b7d
        0101720d776f726b666c6f773a6e6f7465010201020d697420686173206e6f20656e64
        0101720d776f726b666c6f773a6e6f7465010201030d697420686173206e6f20656e64"#]]
    .assert_eq(&hex.join("\n"));
    for event in events {
        assert_eq!(decode(EVENTS_VERSION, &encode(&event)).unwrap(), event);
    }
    assert!(matches!(decode(EVENTS_VERSION + 1, &[]), Err(StoredError::Newer(2))));
}
