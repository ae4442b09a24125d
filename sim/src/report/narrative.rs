//! What of a trace is told: the few lines that the violation and the faults have to do with.
//!
//! Each line has a [`Weight`] by what it is and by whether it concerns what went wrong. The weightiest are taken first, those
//! next to a fault or the violation before those far away, until the story is long enough; then they are told in order.
//! Nothing here knows what invariants mean: a line concerns the violation if it shares its lane or a name with it.

use std::collections::BTreeSet;

use crate::{
    outcome::Outcome,
    plan::{Kind, Trigger},
    trace::{Line, What},
};

/// Longest story, in lines, those that stand for what is left out among them: it is read without scrolling.
const LINES_MAX: usize = 25;

/// Most lines of one weight: fifty calls that were refused in an outage must not crowd out the effect that came of them.
const SHARE_MAX: usize = 8;

/// Shortest name by which a line is recognised, in characters: shorter ones are in everything.
const NAME_CHARS_MIN: usize = 3;

/// A line of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    Line(&'a Line),
    /// So many lines are left out.
    Left(usize),
}

impl<'a> Told<'a> {
    pub(super) fn line(&self) -> Option<&'a Line> {
        match self {
            Self::Line(line) => Some(line),
            Self::Left(_) => None,
        }
    }
}

/// Why a line is told, the best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// It is the violation.
    Violation,
    /// It is a fault.
    Fault,
    /// It happened in the world, to what the violation names.
    EffectNamed,
    /// A process begins or ends.
    Process,
    /// It stands next to a fault or a violation.
    Near,
    /// The violation names what it is about.
    Named,
    /// It happened in the world, in a lane that is concerned.
    Effect,
    /// It went to or came from a lane that is concerned.
    Exchange,
    /// It was written, in a lane that is concerned.
    Written,
    /// It is a fault that was told before: an outage refuses every call.
    Again,
}

/// The story of `outcome`, in order.
pub(super) fn told(outcome: &Outcome) -> Vec<Told<'_>> {
    let trace = &outcome.trace;
    let concern = Concern::of(outcome);
    let turning = |line: &Line| matches!(line.what, What::Fault | What::Violation);
    let turns: Vec<usize> = (0..trace.len()).filter(|index| turning(&trace[*index])).collect();
    let mut candidates = vec![];
    let mut seen = BTreeSet::new();
    for (index, line) in trace.iter().enumerate() {
        let distance = distance(&turns, index);
        let again = line.what == What::Fault && !seen.insert((&line.lane, &line.text));
        let weight = if again { Some(Weight::Again) } else { concern.weight(line, distance) };
        candidates.extend(weight.map(|weight| (weight, distance, index)));
    }
    candidates.sort_unstable();
    let mut chosen = BTreeSet::new();
    for same in candidates.chunk_by(|(left, ..), (right, ..)| left == right) {
        for (_, _, index) in same.iter().take(SHARE_MAX) {
            chosen.insert(*index);
            if in_order(&chosen, trace).len() > LINES_MAX {
                chosen.remove(index);
            }
        }
    }
    in_order(&chosen, trace)
}

/// How far the nearest of `turns` is.
fn distance(turns: &[usize], index: usize) -> usize {
    let after = turns.partition_point(|turn| *turn < index);
    let nearest = turns[after.saturating_sub(1)..].iter().take(2);
    nearest.map(|turn| turn.abs_diff(index)).min().unwrap_or(index)
}

/// The chosen lines, and between them how many are left out. A single one is told instead: it takes no more room.
fn in_order<'a>(chosen: &BTreeSet<usize>, trace: &'a [Line]) -> Vec<Told<'a>> {
    let (mut story, mut next) = (vec![], 0);
    for index in chosen.iter().copied().chain([trace.len()]) {
        match index - next {
            0 => {}
            1 => story.push(Told::Line(&trace[next])),
            left => story.push(Told::Left(left)),
        }
        story.extend(trace.get(index).map(Told::Line));
        next = index + 1;
    }
    story
}

/// What the violation and the faults are about.
struct Concern<'a> {
    lanes: BTreeSet<&'a str>,
    /// Keys, runs and addresses that the violation names.
    names: BTreeSet<&'a str>,
}

impl<'a> Concern<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let mut lanes: BTreeSet<&str> = BTreeSet::new();
        let violation = outcome.violations.first();
        let words: BTreeSet<&str> =
            violation.iter().flat_map(|violation| words(&violation.what)).collect();
        for line in &outcome.trace {
            if matches!(line.what, What::Fault | What::Violation) || words.contains(&*line.lane) {
                lanes.insert(&line.lane);
            }
        }
        let mut names: BTreeSet<&str> = words.into_iter().filter(|word| is_name(word)).collect();
        for fault in &outcome.plan.faults {
            match &fault.when {
                Trigger::Call { api, .. } => _ = lanes.insert(api),
                Trigger::Attempt { key, .. } => _ = names.insert(key),
                Trigger::Effect { .. }
                | Trigger::Journal { .. }
                | Trigger::At { .. }
                | Trigger::Point { .. }
                | Trigger::Decision { .. }
                | Trigger::Webhook { .. } => {}
            }
            if let Kind::Outage { api, .. }
            | Kind::Revoked { api, .. }
            | Kind::Quota { api, .. }
            | Kind::Stale { api, .. } = &fault.what
            {
                lanes.insert(api);
            }
        }
        Self { lanes, names }
    }

    fn weight(&self, line: &Line, distance: usize) -> Option<Weight> {
        let named = self.names.iter().any(|name| line.lane == *name || mentions(&line.text, name));
        let concerned = self.lanes.contains(&*line.lane);
        match line.what {
            What::Violation => Some(Weight::Violation),
            What::Fault => Some(Weight::Fault),
            What::Effect if named => Some(Weight::EffectNamed),
            What::Process => Some(Weight::Process),
            What::Sync => None,
            _ if distance == 1 => Some(Weight::Near),
            _ if named => Some(Weight::Named),
            _ if !concerned => None,
            What::Effect => Some(Weight::Effect),
            What::Call | What::Answer | What::Operator | What::Client => Some(Weight::Exchange),
            What::Append => Some(Weight::Written),
        }
    }
}

/// The words of `text`, without what stands around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| !c.is_alphanumeric();
    text.split_whitespace().map(move |word| word.trim_matches(around))
}

/// Whether `name` stands in `text` as a whole: `order-1` does not stand in `order-17`.
fn mentions(text: &str, name: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + name.len()..]);
        !inside(before.chars().next_back()) && !inside(after.chars().next())
    })
}

/// Whether `word` names one thing: letters and digits together, `outreach-1/send`, `4f2c1e`, or an address.
fn is_name(word: &str) -> bool {
    let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
    word.chars().count() >= NAME_CHARS_MIN
        && has(char::is_ascii_alphabetic)
        && (has(char::is_ascii_digit) || word.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn a_short_trace_is_told_whole_but_for_what_concerns_nothing() {
        let outcome = sample::twice();
        let story = told(&outcome);
        assert!(story.len() <= LINES_MAX);
        let kept = |what: What| story.iter().filter_map(Told::line).any(|line| line.what == what);
        for what in [What::Violation, What::Fault, What::Effect, What::Process, What::Call] {
            assert!(kept(what), "{what:?} is missing from {story:?}");
        }
    }

    #[test]
    fn a_long_trace_is_told_shortly_with_all_that_the_violation_names() {
        let outcome = sample::long(3_000);
        let story = told(&outcome);
        assert!(story.len() <= LINES_MAX, "{} lines", story.len());
        let left: usize = story
            .iter()
            .map(|told| match told {
                Told::Left(count) => *count,
                Told::Line(_) => 1,
            })
            .sum();
        assert_eq!(left, outcome.trace.len());
        let violation = story.iter().filter_map(Told::line).any(|l| l.what == What::Violation);
        assert!(violation);
    }

    #[test]
    fn a_name_is_recognised_as_a_whole() {
        assert!(mentions("charge of order-1, refund-1/charge", "order-1"));
        assert!(!mentions("charge of order-17 and reorder-1", "order-1"));
        assert!(is_name("order-1") && is_name("a@b") && !is_name("25") && !is_name("charge"));
    }

    #[test]
    fn a_trace_without_faults_has_a_story_too() {
        let mut outcome = sample::twice();
        outcome.trace.retain(|line| !matches!(line.what, What::Fault | What::Violation));
        outcome.violations.clear();
        assert!(!told(&outcome).is_empty());
    }
}
