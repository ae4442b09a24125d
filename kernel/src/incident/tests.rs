//! Incidents at their own boundary: what is raised, what can be said, what is kept.

use std::collections::BTreeMap;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn quarantined() -> What {
    What::Quarantined { run: "r1".parse().unwrap() }
}

fn gave_up() -> What {
    What::GaveUp { supervisor: "soloist/connectors".into() }
}

fn death(at: u64, work: Option<&str>) -> Death {
    let at = Timestamp(NOW.0 + at);
    Death { at, reason: "it panicked".into(), work: work.map(Into::into) }
}

fn raised(what: What) -> Incident {
    raise(what, vec![death(0, None), death(5, Some("the turn of step `draft`"))], NOW).1
}

fn abort() -> Decision {
    Decision::Abort { reason: "seen".into() }
}

/// The projections after `events` of `incident`.
fn after(incident: &Incident, events: &[Event]) -> BTreeMap<ProjectionKey, Vec<u8>> {
    let mut tables = BTreeMap::new();
    for (key, value) in events.iter().flat_map(|event| project(event, incident)) {
        match value {
            Some(value) => drop(tables.insert(key, value)),
            None => drop(tables.remove(&key)),
        }
    }
    tables
}

fn tables(incident: &Incident, events: &[Event]) -> Vec<&'static str> {
    after(incident, events).into_keys().map(|key| key.table).collect()
}

#[test]
fn a_run_that_is_set_aside_waits_in_the_inbox_with_the_evidence() {
    let incident = raised(quarantined());
    let item = incident.item();
    let shown = serde_json::to_string_pretty(&item).unwrap();
    expect_test::expect![[r#"
        {
          "id": "72ffc56dcb",
          "kind": "incident",
          "run": "r1",
          "since": 1700000000000,
          "deadline": null,
          "at_deadline": null,
          "assigned": null,
          "title": "run r1 is set aside: it died again and again",
          "preview": "at 2023-11-14T22:13:20.000Z: it panicked\nat 2023-11-14T22:13:20.005Z, during the turn of step `draft`: it panicked",
          "arguments": null,
          "routing": {},
          "provenance": {},
          "reversal": null,
          "rule": null,
          "reason": "it died 2 times, the last time at 2023-11-14T22:13:20.005Z, during the turn of step `draft`: it panicked",
          "remedy": null,
          "digest": null,
          "stands": [],
          "left": [],
          "decisions": [],
          "choices": [
            {
              "word": "retry",
              "effect": "let it go on; it is set aside again if it dies again"
            },
            {
              "word": "abort",
              "effect": "dismiss it; the run stays set aside"
            }
          ]
        }"#]].assert_eq(&shown);
    assert_eq!(Item::from_bytes(&item.to_bytes()).unwrap(), item);
}

#[test]
fn a_supervisor_that_gave_up_is_of_no_run() {
    let item = raised(gave_up()).item();
    let json: serde_json::Value = serde_json::from_slice(&item.to_bytes()).unwrap();
    for absent in ["run", "step", "workflow"] {
        assert_eq!(json.get(absent), None, "{absent}");
    }
    let words: Vec<&str> = item.choices.iter().map(|choice| choice.word.as_str()).collect();
    assert_eq!(words, ["abort"]);
}

#[test]
fn what_was_raised_at_another_time_is_another_incident() {
    let ids = [
        raise(quarantined(), vec![], NOW).1.id,
        raise(quarantined(), vec![], Timestamp(NOW.0 + 1)).1.id,
        raise(gave_up(), vec![], NOW).1.id,
    ];
    assert!(ids[0] != ids[1] && ids[0] != ids[2], "{ids:?}");
    assert_eq!(raise(quarantined(), vec![], NOW).1.id, ids[0], "the same is the same");
}

#[test]
fn evidence_has_its_limits() {
    let long = Death { at: NOW, reason: "é".repeat(5_000), work: Some("x".repeat(5_000)) };
    let (event, incident) = raise(quarantined(), vec![long; 40], NOW);
    assert_eq!(incident.evidence.len(), DEATHS_MAX);
    let death = &incident.evidence[0];
    assert_eq!(death.reason.chars().count(), TEXT_CHARS_MAX + 2);
    assert_eq!(event, incident.raised());
    assert!(!incident.item().to_bytes().is_empty(), "it can be stored");
}

/// Every pair of what there is and what can be said.
#[test]
fn every_decision_about_every_incident_is_decided() {
    let decisions = [
        Decision::Approve,
        abort(),
        Decision::Resolve { happened: true },
        Decision::Answer { value: true.into() },
        Decision::Delegate { to: "bea".into() },
        Decision::Retry,
        Decision::GoOn { output: true.into() },
        Decision::Fail,
        Decision::Compensate,
    ];
    let mut lines = String::new();
    for (name, what) in [("quarantined", quarantined()), ("gave up", gave_up())] {
        for (waits, decision) in
            [true, false].iter().flat_map(|waits| decisions.iter().map(move |said| (*waits, said)))
        {
            let incident = raised(what.clone());
            match incident.decide(decision, "me", waits) {
                Ok(event) => {
                    let (word, kind) = (decision.word(), event.kind());
                    let dismissed = if waits { "" } else { ", dismissed" };
                    lines.push_str(&format!("{name}{dismissed} + {word} → {kind}\n"));
                }
                Err(Refusal::NotWaiting { .. }) => assert!(!waits && *decision == abort()),
                Err(refusal) => assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal}"),
            }
        }
    }
    expect_test::expect![[r"
        quarantined + abort → incident.dismissed
        quarantined + retry → incident.released
        quarantined, dismissed + retry → incident.released
        gave up + abort → incident.dismissed
    "]]
    .assert_eq(&lines);
}

#[test]
fn a_decision_that_does_not_fit_says_what_does() {
    let incident = raised(quarantined());
    let refusal = incident.decide(&Decision::Approve, "me", true).unwrap_err();
    let id = &incident.id;
    let expected = format!("item {id} cannot be decided by `approve`; it takes `retry`, `abort`");
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn what_is_dismissed_leaves_the_inbox_and_stays_set_aside_until_it_is_released() {
    let incident = raised(quarantined());
    let raised = incident.raised();
    let dismissed = incident.decide(&abort(), "me", true).unwrap();
    let released = incident.decide(&Decision::Retry, "me", false).unwrap();
    assert_eq!(
        tables(&incident, std::slice::from_ref(&raised)),
        [inbox::TABLE, TABLE, QUARANTINED]
    );
    assert_eq!(tables(&incident, &[raised.clone(), dismissed.clone()]), [TABLE, QUARANTINED]);
    assert!(tables(&incident, &[raised.clone(), dismissed, released.clone()]).is_empty());
    assert!(tables(&incident, &[raised.clone(), released]).is_empty());
    let stored = &after(&incident, &[raised])[&key(&incident.id)];
    assert_eq!(serde_json::from_slice::<Incident>(stored).unwrap(), incident);
}

#[test]
fn a_supervisor_that_gave_up_is_forgotten_once_it_is_dismissed() {
    let incident = raised(gave_up());
    let dismissed = incident.decide(&abort(), "me", true).unwrap();
    assert_eq!(tables(&incident, &[incident.raised()]), [inbox::TABLE, TABLE]);
    assert!(tables(&incident, &[incident.raised(), dismissed]).is_empty());
}

fn samples() -> Vec<Event> {
    let by = || "operator".to_owned();
    let id = || raised(quarantined()).id;
    vec![
        raised(quarantined()).raised(),
        raised(gave_up()).raised(),
        Event::Released { id: id(), by: by() },
        Event::Dismissed { id: id(), by: by() },
    ]
}

/// If this fails, journals written before no longer read as they did: make a new version instead.
#[test]
fn the_stored_bytes_of_version_1_do_not_change() {
    let mut bytes = vec![];
    for event in samples() {
        let stored = encode(&event);
        assert_eq!(decode(EVENTS_VERSION, &stored).unwrap(), event);
        bytes.extend(stored);
    }
    expect_test::expect!["049f072735be4b9d2b5d52d8c391e2ce26467c93326b2175819d2a071acc67d8"]
        .assert_eq(&Digest::of(&bytes).to_hex());
}

#[test]
fn incidents_of_a_newer_version_are_refused() {
    let error = decode(EVENTS_VERSION + 1, &[]).unwrap_err();
    let expected = "the incident has version 2 and this Soloist reads up to 1; use the newer one";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(decode(EVENTS_VERSION, &[9]), Err(StoredError::Malformed(_))));
}
