//! What is held by what.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    catalog::Catalog,
    id::WorkflowRef,
    labels::Labeled,
    payload::Payload,
    policy::Policy,
    run::{Beginning, Env, outstanding, start},
    workflow::{Library, Workflow},
};

struct Nothing;

impl Library for Nothing {
    fn newest(&self, _: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        None
    }

    fn get(&self, _: &WorkflowRef) -> Option<Arc<Workflow>> {
        None
    }
}

/// A run with a turn and a write to be proposed.
fn run() -> (Run, Lineage) {
    const SOURCE: &str = r#"
        name = "note"
        [[step]]
        name = "draft"
        agent = "draft"
        [[step]]
        name = "send"
        call = "mail.send"
    "#;
    let definition = Arc::new(Workflow::parse("note.toml", SOURCE).unwrap());
    let beginning = Beginning {
        workflow: WorkflowRef { name: definition.name.clone(), version: 1 },
        body: None,
        agents: BTreeMap::new(),
        parent: None,
        input: Labeled::owner(Payload::null()),
    };
    let (policy, catalog) = (Policy::default(), Catalog::default());
    let env = Env { now: Timestamp(1), policy: &policy, catalog: &catalog, library: &Nothing };
    let (_, run) = start("r1.a".parse().unwrap(), beginning, definition, &env);
    let lineage = Lineage {
        runs: vec![run.id.clone(), "r1".parse().unwrap()],
        workflows: vec!["note".parse().unwrap(), "all-notes".parse().unwrap()],
    };
    (run, lineage)
}

/// Which actions are held by a pause of `scope`.
fn held(scope: &str) -> Vec<&'static str> {
    let (run, lineage) = run();
    let mut pauses = Pauses::default();
    let event = pause(&pauses, &scope.parse().unwrap(), "operator", "look first").unwrap();
    pauses.apply(&event, Timestamp(2));
    let actions = outstanding(&run);
    let held = actions.iter().filter(|action| pauses.holds(&run, &lineage, action).is_some());
    held.map(|action| match action {
        Action::TakeTurn { .. } => "turn",
        Action::Propose { .. } => "proposal",
        _ => "other",
    })
    .collect()
}

#[test]
fn a_pause_holds_what_it_names_and_what_is_beneath() {
    for scope in ["everything", "run:r1", "run:r1.a", "workflow:note", "workflow:all-notes"] {
        assert_eq!(held(scope), ["turn", "proposal"], "{scope}");
    }
    assert_eq!(held("agent:draft"), ["turn"]);
    for scope in ["run:r", "run:r2", "workflow:notes", "agent:other", "connector:mail"] {
        assert!(held(scope).is_empty(), "{scope}");
    }
}

#[test]
fn pausing_twice_is_pausing_once_and_what_is_not_paused_cannot_be_resumed() {
    let (mut pauses, scope) = (Pauses::default(), Scope::Everything);
    assert_eq!(resume(&pauses, &scope, "operator"), None);
    let event = pause(&pauses, &scope, "operator", "an incident").unwrap();
    pauses.apply(&event, Timestamp(5));
    assert_eq!(pause(&pauses, &scope, "bea", "another"), None);
    let mut again = Pauses::default();
    let (_, row) = project(&event, Timestamp(5));
    again.insert(serde_json::from_slice(&row.unwrap()).unwrap());
    assert_eq!(again, pauses, "the projection is what the events fold to");
    pauses.apply(&resume(&pauses, &scope, "operator").unwrap(), Timestamp(6));
    assert!(pauses.is_empty());
}

#[test]
fn a_scope_is_read_as_it_is_written_and_another_text_says_what_one_is() {
    for text in ["everything", "workflow:note", "agent:draft", "connector:mail", "run:r1.a"] {
        assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
    }
    for text in ["", "all", "mail", "flow:note", "run:", "agent:two words"] {
        let error = text.parse::<Scope>().unwrap_err().to_string();
        assert!(error.contains("write `everything`, `workflow:NAME`"), "{error}");
    }
}

/// If this fails, journals written before no longer read as they did: make a new version instead.
#[test]
fn the_stored_bytes_do_not_change() {
    let scope: Scope = "connector:mail".parse().unwrap();
    let (by, reason) = ("operator".to_owned(), "down".to_owned());
    let events = [
        Event::Paused { scope: scope.clone(), by: by.clone(), reason },
        Event::Resumed { scope, by },
    ];
    let hex: Vec<String> = events
        .iter()
        .map(|event| encode(event).iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    expect_test::expect![[r#"
        000e636f6e6e6563746f723a6d61696c086f70657261746f7204646f776e
        010e636f6e6e6563746f723a6d61696c086f70657261746f72"#]]
    .assert_eq(&hex.join("\n"));
    for event in events {
        assert_eq!(decode(EVENTS_VERSION, &encode(&event)).unwrap(), event);
    }
    assert!(matches!(decode(EVENTS_VERSION + 1, &[]), Err(StoredError::Newer(2))));
}
