//! What hand-written records support.

use proptest::prelude::*;

use super::*;
use crate::{
    decisions::tests::{MINUTE, Story, aborted, approved, trusted},
    effect::tests::proposal,
    payload::Payload,
    policy::Reached,
};

const KNOWN: &str = "[[rule]]\nname = 'vip'\nwhen = \"routing.to.value == 'vip@b.example'\"\nverdict = 'allow'\nreason = 'r'\n";

/// A story in which each of `mails` was answered; the flag says whether it was approved.
fn story(mails: impl IntoIterator<Item = (String, bool)>) -> Story {
    let mut story = Story::new(KNOWN);
    let mut landed = BTreeMap::<String, Vec<Timestamp>>::new();
    for (number, (to, yes)) in mails.into_iter().enumerate() {
        let run = format!("r{number}");
        story.mail(&run, &to, landed.get(&to).map_or(&[], Vec::as_slice));
        story.wait(MINUTE);
        if yes {
            story.write(&run, approved());
            story.lands(&run);
            landed.entry(to).or_default().push(story.now());
        } else {
            story.write(&run, aborted());
        }
    }
    story
}

fn wanted(min: usize, also: &[Risk]) -> Wanted {
    Wanted { min, also: also.iter().copied().collect() }
}

fn times(count: usize, to: &str, yes: bool) -> Vec<(String, bool)> {
    vec![(to.to_owned(), yes); count]
}

/// The conditions of the rules that `story` supports.
fn conditions(story: &Story, wanted: &Wanted) -> Vec<String> {
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), wanted);
    found.rules.iter().map(|rule| format!("{} {}", rule.verdict, rule.when)).collect()
}

#[test]
fn what_was_always_approved_once_it_was_known_becomes_a_rule_of_just_that() {
    let story = story(times(41, "a@b.example", true));
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), &wanted(20, &[]));
    let [rule] = &found.rules[..] else { panic!("{found:?}") };
    assert_eq!(
        rule.text,
        "[[rule]]\nname = \"allow-mail.send-of-answer\"\noperation = \"mail.send\"\n\
         when = \"workflow == 'answer' and agent is none and routing.to.integrity != 'untrusted' and routing.to.reached and routing.to.readable\"\n\
         verdict = \"allow\"\nreason = \"40 of 40 like it were approved as they were, from 1970-01-02 to 1970-01-02\"\n"
    );
    assert_eq!((rule.cases.len(), rule.unanswered, rule.waited), (40, 0, Some(MINUTE)));
    assert!((rule.bound - 0.912).abs() < 0.001, "{}", rule.bound);
    // The first one went to a new place, and is not covered.
    assert_eq!(found.answered, 41);
}

#[test]
fn too_few_support_nothing() {
    let story = story(times(20, "a@b.example", true));
    assert_eq!(conditions(&story, &wanted(20, &[])), Vec::<String>::new(), "the first was new");
    assert_eq!(conditions(&story, &wanted(19, &[])).len(), 1);
}

#[test]
fn what_was_turned_down_once_is_kept_out_of() {
    let mails = [
        times(30, "a@b.example", true),
        times(30, "x@y.example", true),
        times(1, "x@y.example", false),
    ];
    let story = story(mails.concat());
    let all = conditions(&story, &wanted(20, &[]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].ends_with("routing.to.value is endingwith('@b.example')"), "{all:?}");
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), &wanted(20, &[]));
    assert_eq!(found.rules[0].exceptions.len(), 1);
}

#[test]
fn a_domain_of_everybody_is_no_scope() {
    let mails = [
        times(30, "a@gmail.com", true),
        times(1, "x@y.example", true),
        times(2, "x@y.example", false),
    ];
    let all = conditions(&story(mails.concat()), &wanted(20, &[]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].ends_with("routing.to.value == 'a@gmail.com'"), "{all:?}");
}

#[test]
fn what_was_always_turned_down_becomes_a_rule_that_denies() {
    let mails = [times(25, "ads@spam.example", false), times(3, "a@b.example", true)];
    let story = story(mails.concat());
    assert_eq!(
        conditions(&story, &wanted(20, &[])),
        [
            "deny workflow == 'answer' and agent is none and not reverses and routing.to.value is endingwith('@spam.example')"
        ]
    );
}

#[test]
fn new_places_need_leave_and_are_held_back_without() {
    let mails = (0..30).map(|number| (format!("p{number}@b.example"), true));
    let story = story(mails);
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), &wanted(20, &[]));
    assert_eq!(found.rules, []);
    assert_eq!(found.held_back.len(), 1, "{:?}", found.held_back);
    assert_eq!(found.held_back[0].risks, BTreeSet::from([Risk::NewPlaces]));
    assert_eq!(found.held_back[0].cases, 30);
    let all = conditions(&story, &wanted(20, &[Risk::NewPlaces]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(!all[0].contains("reached") && all[0].contains("integrity != 'untrusted'"), "{all:?}");
}

/// Thirty approved mails made by `make`, to a place that is known from the second on.
fn thirty(make: impl Fn(usize) -> crate::effect::Proposal) -> Story {
    let mut story = Story::new(KNOWN);
    let mut reached = BTreeMap::new();
    for number in 0..30 {
        let run = format!("r{number}");
        story.start(&run);
        let evidence = Evidence { reached: reached.clone(), ..Evidence::default() };
        let proposal = make(number);
        let places = proposal.routing.clone();
        story.proposed(&run, proposal, &evidence);
        story.write(&run, approved());
        story.lands(&run);
        for argument in places.into_keys() {
            let known = reached.entry(argument).or_insert(Reached::default());
            *known = Reached { at: story.now(), today: known.today + 1 };
        }
    }
    story
}

#[test]
fn untrusted_routing_needs_leave() {
    let story = thirty(|_| proposal("a@b.example"));
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), &wanted(20, &[]));
    assert_eq!(found.rules, []);
    assert_eq!(found.held_back[0].risks, BTreeSet::from([Risk::Untrusted]));
    let all = conditions(&story, &wanted(20, &[Risk::Untrusted]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("reached") && !all[0].contains("integrity"), "{all:?}");
}

#[test]
fn money_needs_leave_and_is_bounded() {
    let story = thirty(|number| {
        let mut refund = trusted("a@b.example");
        refund.arguments = Payload::of(
            &serde_json::json!({ "to": "a@b.example", "amount": number + 1, "currency": "EUR" }),
        )
        .unwrap();
        refund
    });
    let cases = story.cases();
    let found = story.policy.suggest(&cases, &story.versions(), &wanted(20, &[]));
    assert_eq!(found.rules, []);
    assert_eq!(found.held_back[0].risks, BTreeSet::from([Risk::Money]));
    let all = conditions(&story, &wanted(20, &[Risk::Money]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].ends_with("arguments.amount <= 30 and arguments.currency == 'EUR'"), "{all:?}");
}

#[test]
fn money_that_cannot_be_bounded_is_never_left_to_a_rule() {
    let deep = thirty(|_| {
        let mut order = trusted("a@b.example");
        let arguments = serde_json::json!({ "to": "a@b.example", "lines": [{ "price": 3 }] });
        order.arguments = Payload::of(&arguments).unwrap();
        order
    });
    let all: Vec<String> = conditions(&deep, &wanted(5, &Risk::ALL));
    assert_eq!(all, Vec::<String>::new());
}

#[test]
fn what_was_taken_back_or_decided_by_an_agent_supports_nothing() {
    let mut story = story(times(20, "a@b.example", true));
    story.start("turn");
    for number in 0..5 {
        let run = format!("agent{number}");
        story.mail(&run, "a@b.example", &vec![story.now(); 20 + number]);
        let by = "operator".to_owned();
        story.write(&run, crate::effect::WriteEvent::Delegated { by, to: "agent:checker".into() });
        story.write(&run, crate::effect::WriteEvent::Approved { by: "turn".into() });
        story.lands(&run);
    }
    assert_eq!(conditions(&story, &wanted(20, &[])), Vec::<String>::new());
}

#[test]
fn wilsons_bound_is_that_of_the_book() {
    assert!((wilson(40, 40) - 0.9124).abs() < 1e-4);
    assert!((wilson(20, 20) - 0.8389).abs() < 1e-4);
    assert!((wilson(8, 10) - 0.4902).abs() < 1e-4);
    assert!(wilson(0, 0).abs() < 1e-9);
}

proptest! {
    /// Whatever an address says, the rule for it is a rule of a policy, and matches that address and no other.
    #[test]
    fn a_rule_for_a_place_is_well_whatever_the_place_says(
        to in "[ -~\\n\u{e4}\u{2028}'\"\\\\]{1,20}",
    ) {
        let mails = [times(4, &to, true), times(2, "other", true), times(1, "other", false)];
        let story = story(mails.concat());
        prop_assume!(to != "other" && to != "vip@b.example");
        let cases = story.cases();
        let found = story.policy.suggest(&cases, &story.versions(), &wanted(3, &[]));
        prop_assert_eq!(found.rules.len(), 1, "{:?}", found);
        let pasted = format!("{KNOWN}\n{}", found.rules[0].text);
        let policy = Policy::parse("pasted.toml", &pasted);
        prop_assert!(policy.is_ok(), "{:?}\n{}", policy, pasted);
        prop_assert_eq!(found.rules[0].cases.len(), 3);
    }

    /// Whatever was answered, no rule lets out what was turned down or keeps in what was approved.
    #[test]
    fn no_rule_goes_against_the_record(
        answers in proptest::collection::vec((0..4_usize, any::<bool>()), 0..60),
        min in 1..6_usize,
        leave in any::<bool>(),
    ) {
        let places = ["a@b.example", "c@b.example", "d@gmail.com", "e@f.example"];
        let story = story(answers.into_iter().map(|(place, yes)| (places[place].to_owned(), yes)));
        let also: &[Risk] = if leave { &Risk::ALL } else { &[] };
        let (cases, versions) = (story.cases(), story.versions());
        let found = story.policy.suggest(&cases, &versions, &wanted(min, also));
        for rule in &found.rules {
            let text = format!("{KNOWN}\n{}", rule.text);
            let policy = Policy::parse("pasted.toml", &text).unwrap();
            for difference in policy.backtest(&cases, &versions).differences {
                let by = &difference.would.judgement.rule;
                let against = [
                    Consequence::LetsOutTurnedDown,
                    Consequence::LetsOutEdited,
                    Consequence::LetsOutBarred,
                    Consequence::BarsLanded,
                ];
                prop_assert!(*by != rule.name || !against.contains(&difference.consequence), "{:?}", difference);
            }
            prop_assert!(rule.cases.len() >= min);
        }
    }
}
