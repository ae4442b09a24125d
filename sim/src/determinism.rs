//! The same plan is the same story: simulated twice, and compared.

use std::fmt;

use crate::{
    outcome::Outcome,
    plan::Plan,
    run::{Options, run},
    scenario::Scenario,
};

/// Lines that are shown before the first difference.
const BEFORE: usize = 5;

/// Two simulations of one plan that were not the same.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The plan.
    pub plan: Plan,
    /// The number of the first line that differs, counted from zero; none if only what is counted differs, or if it does not
    /// happen again.
    pub line: Option<usize>,
    /// The lines before it.
    pub before: Vec<String>,
    /// The line of the one, and of the other.
    pub lines: [Option<String>; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, line, before, lines } = self;
        writeln!(f, "two simulations of one plan differ: {}", plan.line())?;
        let Some(line) = line else {
            return writeln!(f, "simulated again with their traces kept, they did not");
        };
        writeln!(f, "the first difference is line {line}:")?;
        for line in before {
            writeln!(f, "    {line}")?;
        }
        for (sign, line) in ["-", "+"].iter().zip(lines) {
            writeln!(f, "  {sign} {}", line.as_deref().unwrap_or("(there is no such line)"))?;
        }
        Ok(())
    }
}

/// Simulates `plan` again, and tells how that differs from `first`.
#[must_use]
pub fn compare(
    scenario: &Scenario,
    plan: &Plan,
    options: Options,
    first: &Outcome,
) -> Option<Difference> {
    let second = run(scenario, plan, options);
    if same(first, &second) {
        return None;
    }
    // Again with the traces kept, until they differ once more.
    let kept = Options { keep_trace: true, ..options };
    for _ in 0..AGAIN {
        let (one, other) = (run(scenario, plan, kept), run(scenario, plan, kept));
        if !same(&one, &other) {
            return Some(difference(&one, &other));
        }
    }
    Some(Difference { plan: plan.clone(), line: None, before: vec![], lines: [None, None] })
}

/// Times that two simulations are tried again to see where they differ.
const AGAIN: u32 = 10;

fn same(one: &Outcome, other: &Outcome) -> bool {
    let of = |outcome: &Outcome| (outcome.hash, outcome.lines, outcome.points, outcome.virtual_ms);
    of(one) == of(other)
}

fn difference(one: &Outcome, other: &Outcome) -> Difference {
    let lengths = one.trace.len().max(other.trace.len());
    let line = (0..lengths).find(|line| one.trace.get(*line) != other.trace.get(*line));
    let at = line.unwrap_or(lengths);
    let shown = |outcome: &Outcome, line: usize| outcome.trace.get(line).map(ToString::to_string);
    Difference {
        plan: one.plan.clone(),
        line,
        before: (at.saturating_sub(BEFORE)..at).filter_map(|line| shown(one, line)).collect(),
        lines: [shown(one, at), shown(other, at)],
    }
}
