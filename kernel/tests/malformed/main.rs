//! Definitions that something has gone wrong with: an error each or a good one, never a panic, and never for long.

mod mutate;

use std::time::{Duration, Instant};

use mutate::mutate;
use soloist_kernel::{
    policy::Policy,
    workflow::{DEFINITION_BYTES_MAX, Workflow},
};

/// Files that are made malformed of each kind.
const FILES: u64 = 10_000;

/// Longest time that one file may take. It takes a thousandth of that; the rest is for machines under load.
const PATIENCE: Duration = Duration::from_secs(5);

const POLICY: &str = include_str!("../../../host/company/policy.toml");

const WORKFLOWS: [&str; 2] =
    [include_str!("../../../host/company/answer-mail.toml"), include_str!("everything.toml")];

#[expect(clippy::disallowed_methods, reason = "the test measures how long the kernel takes")]
fn timed(read: impl FnOnce()) -> Duration {
    let start = Instant::now();
    read();
    start.elapsed()
}

/// Reads `good` and everything that is made of it, and returns how many of them were good.
fn survive(good: &[&str], read: impl Fn(&str) -> bool) -> u64 {
    for text in good {
        assert!(read(text), "what is changed is good to begin with");
    }
    let mut still_good = 0;
    for seed in 0..FILES {
        let text = mutate(good[usize::try_from(seed).expect("a seed is small") % good.len()], seed);
        let took = timed(|| still_good += u64::from(read(&text)));
        assert!(took < PATIENCE, "seed {seed} took {took:?}:\n{text}");
    }
    still_good
}

#[test]
fn a_malformed_workflow_is_an_error_and_never_a_panic() {
    let read = |text: &str| match Workflow::parse("mutated.toml", text) {
        Ok(workflow) => {
            // What was accepted can be written, read again, compared and drawn.
            let canonical = workflow.to_toml();
            let again = Workflow::parse("canonical.toml", &canonical)
                .unwrap_or_else(|problems| panic!("{problems:?}\n{canonical}"));
            assert_eq!(workflow.diff(&again), [], "{text}");
            assert!(!workflow.mermaid().is_empty());
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.iter().all(|it| it.file == "mutated.toml"));
            false
        }
    };
    let still_good = survive(&WORKFLOWS, read);
    // Both happen, or the changes are too timid or too wild to show anything.
    assert!((FILES / 100..FILES).contains(&still_good), "{still_good} were still good");
}

#[test]
fn a_malformed_policy_is_an_error_and_never_a_panic() {
    let still_good = survive(&[POLICY], |text| Policy::parse("mutated.toml", text).is_ok());
    assert!((FILES / 100..FILES).contains(&still_good), "{still_good} were still good");
}

#[test]
fn nesting_without_end_is_an_error() {
    let step =
        |value: String| format!("name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\nwhen = '{value}'");
    let deep = |open: &str, close: &str| {
        // As much as an expression may hold.
        let times = 4000 / (open.len() + close.len());
        step(format!("{}input{}", open.repeat(times), close.repeat(times)))
    };
    let texts = [
        deep("(", ")"),
        deep("[", "]"),
        deep("not ", ""),
        deep("-", ""),
        deep("", ".a"),
        deep("", "[0]"),
        deep("", "()"),
        deep("", "|e"),
        deep("", "+1"),
        deep("", "~1"),
        deep("", " and 1"),
        deep("", " if 1"),
        deep("", " if 1 else 1"),
        deep("", " is none"),
        deep("{1:", "}"),
        format!("{}b = 1", "a.".repeat(100_000)),
        format!("[{}b]", "a.".repeat(100_000)),
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{a=".repeat(60_000)),
        "[[step]]\n".repeat(20_000),
        format!(
            "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'\nneeds = [{}]",
            "'b',".repeat(50_000)
        ),
        format!("name = 'x'\n[[step]]\nname = '{}'\nagent = 'a'", "a".repeat(200_000)),
        "x".repeat(DEFINITION_BYTES_MAX + 1),
    ];
    for text in texts {
        let took = timed(|| drop(Workflow::parse("deep.toml", &text)));
        assert!(took < PATIENCE, "{took:?}: {}", &text[..text.len().min(100)]);
    }
}
