//! Which run draws which arm.

use std::collections::BTreeMap;

use super::*;

fn drawn(arms: &[&str]) -> BTreeMap<RunId, String> {
    let experiment = Experiment::new("greeting", arms).unwrap();
    let runs = (0..1_000).map(|number| format!("run-{number}").parse::<RunId>().unwrap());
    runs.map(|run| (run.clone(), experiment.draw(run).arm.to_string())).collect()
}

#[test]
fn arms_are_drawn_evenly_and_always_the_same() {
    let two = drawn(&["warm", "brief"]);
    let warm = two.values().filter(|arm| *arm == "warm").count();
    assert!((430..570).contains(&warm), "{warm}");
    // The order in which they are written says nothing.
    assert_eq!(two, drawn(&["brief", "warm"]));
}

#[test]
fn an_arm_that_is_added_moves_no_run_between_the_others() {
    let (two, three) = (drawn(&["warm", "brief"]), drawn(&["warm", "brief", "plain"]));
    let moved = two.iter().filter(|(run, arm)| three[*run] != **arm).count();
    assert!((260..410).contains(&moved), "{moved}");
    assert!(two.iter().all(|(run, arm)| three[run] == *arm || three[run] == "plain"));
}

#[test]
fn two_experiments_draw_independently() {
    let tone = Experiment::new("tone", &["warm", "brief"]).unwrap();
    let both = drawn(&["warm", "brief"]);
    let same = both.iter().filter(|(run, arm)| tone.draw((*run).clone()).arm.as_str() == **arm);
    let same = same.count();
    assert!((430..570).contains(&same), "{same}");
}

#[test]
fn a_drawing_is_told_from_an_agents_own_effects() {
    let experiment = Experiment::new("greeting", &["warm", "brief"]).unwrap();
    let drawn = experiment.draw("r".parse().unwrap());
    let answer = Payload::of(&drawn).unwrap();
    let effect = |name: String| EffectRef { name: name.parse().unwrap(), occurrence: 0 };
    let told = |name: String| Drawn::of(&effect(name), &answer);
    assert_eq!(told(experiment.effect()), Some(drawn.clone()));
    assert_eq!(told(format!("0.1:{}", experiment.effect())), Some(drawn.clone()));
    assert_eq!(told("arm".into()), None);
    assert_eq!(told("0.1:arm".into()), None);
    assert_eq!(Drawn::of_key(&drawn.key().key), Some(drawn));
}

#[test]
fn what_is_no_experiment_says_why() {
    let why = |name: &str, arms: &[&str]| Experiment::new(name, arms).unwrap_err().to_string();
    assert!(why("two words", &["a", "b"]).contains("holds a character that is not allowed"));
    assert!(why("a:b", &["a", "b"]).contains("has a colon"));
    assert!(why("greeting", &["a"]).contains("has 1 arms; give 2 to 16"));
    assert!(why("greeting", &["a", "b", "a"]).contains("has the arm `a` twice"));
    assert!(why("greeting", &["a", ""]).contains("is empty"));
}
