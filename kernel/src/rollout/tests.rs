//! Which run takes which version.

use super::*;

fn subject() -> Subject {
    "workflow:note".parse().unwrap()
}

fn shared(percent: f64) -> Rollouts {
    let mut rollouts = Rollouts::default();
    let share = Share::percent(percent).unwrap();
    let event =
        begin(&rollouts, (&subject(), Mode::Canary), &[1, 2, 4], share, "operator").unwrap();
    rollouts.apply(&event, Timestamp(1));
    rollouts
}

/// How many of a thousand runs take version 4.
fn canaries(rollouts: &Rollouts) -> usize {
    let runs = (0..1_000).map(|number| format!("run-{number}").parse::<RunId>().unwrap());
    let taken = runs.map(|run| rollouts.version(&subject(), 4, &run));
    taken.inspect(|version| assert!([2, 4].contains(version))).filter(|v| *v == 4).count()
}

#[test]
fn a_share_of_the_runs_takes_the_canary_and_always_the_same_ones() {
    assert_eq!(canaries(&shared(0.0)), 0);
    assert_eq!(canaries(&shared(100.0)), 1_000);
    let tenth = canaries(&shared(10.0));
    assert!((70..130).contains(&tenth), "{tenth}");
    let run: RunId = "run-7".parse().unwrap();
    let takes = |percent| shared(percent).version(&subject(), 4, &run);
    assert_eq!(takes(10.0), takes(10.0));
    // Who takes it at a tenth takes it at a half as well.
    let both = (0..1_000).map(|number| format!("run-{number}").parse::<RunId>().unwrap());
    for run in both {
        let takes = |percent| shared(percent).version(&subject(), 4, &run) == 4;
        assert!(!takes(10.0) || takes(50.0));
    }
}

#[test]
fn a_version_that_is_added_later_is_for_everyone() {
    let run: RunId = "run-7".parse().unwrap();
    assert_eq!(shared(0.0).version(&subject(), 5, &run), 5);
    let other: Subject = "workflow:other".parse().unwrap();
    assert_eq!(shared(0.0).version(&other, 4, &run), 4);
}

#[test]
fn a_share_can_change_and_its_base_stays_and_a_canary_is_promoted_once() {
    let mut rollouts = shared(1.0);
    let half = Share::percent(50.0).unwrap();
    let event = begin(&rollouts, (&subject(), Mode::Canary), &[1, 2, 3, 4], half, "bea").unwrap();
    assert!(matches!(event, Event::Shared { base: 2, canary: 4, .. }), "{event:?}");
    rollouts.apply(&event, Timestamp(2));
    let (_, row) = project(&event, Timestamp(2));
    let mut again = Rollouts::default();
    again.insert(serde_json::from_slice(&row.unwrap()).unwrap());
    assert_eq!(again, rollouts, "the projection is what the events fold to");
    let event = promote(&rollouts, &subject(), "operator").unwrap();
    assert_eq!(project(&event, Timestamp(3)).1, None);
    rollouts.apply(&event, Timestamp(3));
    assert_eq!(canaries(&rollouts), 1_000);
    let none = promote(&rollouts, &subject(), "operator").unwrap_err();
    assert!(none.to_string().contains("`workflow:note` has no canary"), "{none}");
}

#[test]
fn in_the_shadow_all_runs_take_the_base_and_the_share_says_whose_shadow_it_is() {
    let mut rollouts = shared(50.0);
    let runs = || (0..1_000).map(|number| format!("run-{number}").parse::<RunId>().unwrap());
    let took: Vec<bool> = runs().map(|run| rollouts.version(&subject(), 4, &run) == 4).collect();
    let half = Share::percent(50.0).unwrap();
    let event = begin(&rollouts, (&subject(), Mode::Shadow), &[1, 2, 4], half, "bea").unwrap();
    assert!(matches!(event, Event::Shadowed { base: 2, canary: 4, .. }), "{event:?}");
    rollouts.apply(&event, Timestamp(2));
    assert_eq!(canaries(&rollouts), 0);
    // The same ones that would have taken it.
    let rollout = rollouts.in_force(&subject(), 4).unwrap();
    assert_eq!(runs().map(|run| rollout.shadows(&run)).collect::<Vec<_>>(), took);
    rollouts.apply(&promote(&rollouts, &subject(), "operator").unwrap(), Timestamp(3));
    assert_eq!(canaries(&rollouts), 1_000);
    let policy = begin(&rollouts, (&Subject::Policy, Mode::Shadow), &[1, 2], half, "bea");
    assert!(policy.unwrap_err().to_string().contains("soloist policy backtest"));
}

#[test]
fn a_rollout_from_before_there_were_shadows_is_a_canary() {
    let row = r#"{"of":"workflow:note","base":1,"canary":2,"share":100,"by":"me","since":1}"#;
    assert_eq!(serde_json::from_str::<Rollout>(row).unwrap().mode, Mode::Canary);
}

#[test]
fn what_cannot_be_shared_says_why() {
    let one = begin(
        &Rollouts::default(),
        (&subject(), Mode::Canary),
        &[3],
        Share::percent(1.0).unwrap(),
        "me",
    );
    let one = one.unwrap_err().to_string();
    assert!(one.contains("has no version before its newest"), "{one}");
    for percent in [-1.0, 100.1, f64::NAN] {
        assert!(Share::percent(percent).is_err(), "{percent}");
    }
    for text in ["", "note", "policy:note", "agent:two words"] {
        let error = text.parse::<Subject>().unwrap_err().to_string();
        assert!(error.contains("write `workflow:NAME`, `agent:NAME` or `policy`"), "{error}");
    }
}

/// If this fails, journals written before no longer read as they did: make a new version instead.
#[test]
fn the_stored_bytes_do_not_change() {
    let (of, by) = (subject(), "operator".to_owned());
    let share = Share::percent(12.5).unwrap();
    let events = [
        Event::Shared { of: of.clone(), base: 1, canary: 2, share, by: by.clone() },
        Event::Promoted { of: of.clone(), canary: 2, by: by.clone() },
        Event::Shadowed { of, base: 1, canary: 2, share, by: by.clone() },
        Event::Shared { of: Subject::Policy, base: 1, canary: 2, share, by },
    ];
    let hex: Vec<String> = events
        .iter()
        .map(|event| encode(event).iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    expect_test::expect![[r#"
        000d776f726b666c6f773a6e6f74650102fbe204086f70657261746f72
        010d776f726b666c6f773a6e6f746502086f70657261746f72
        020d776f726b666c6f773a6e6f74650102fbe204086f70657261746f72
        0006706f6c6963790102fbe204086f70657261746f72"#]]
    .assert_eq(&hex.join("\n"));
    for event in events {
        assert_eq!(decode(EVENTS_VERSION, &encode(&event)).unwrap(), event);
    }
    assert!(matches!(decode(EVENTS_VERSION + 1, &[]), Err(StoredError::Newer(3))));
}
