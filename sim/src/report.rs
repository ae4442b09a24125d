//! The report of a failed simulation, for people.
//!
//! It says what did not hold, the least that has to go wrong for it, what happened in the order in which it happened, and
//! the command that makes it happen again. That command carries the whole plan, so that it still works when plans are
//! generated differently. What of the trace is told is chosen in `narrative`; `of_test.rs` is the report of a test; the same
//! simulation as a picture is in `timeline.rs`.

mod narrative;
pub(crate) mod of_test;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod words;

use std::fmt;

use crate::{
    outcome::{Outcome, Violation},
    trace::{Line, What},
};
use narrative::Told;
use words::{counted, seconds, sentence};

/// Longest text of a line that is told, in characters: it fits beside its time and its lane on a wide terminal, and the
/// timeline has the rest.
const TEXT_CHARS_MAX: usize = 96;

/// What is to be told of a simulation, as text: it is written with [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What the smallest plan came to, with its trace.
    pub outcome: &'a Outcome,
    /// How many faults the plan had before it was made smaller.
    pub faults_before: usize,
    /// How many simulations it took to make it smaller.
    pub simulations: usize,
}

/// The command that simulates the plan of `outcome` again, for a shell.
pub(crate) fn replay(outcome: &Outcome) -> String {
    format!("soloist sim replay '{}'", outcome.plan.line().replace('\'', r"'\''"))
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict(f)?;
        self.plan(f)?;
        self.story(f)?;
        writeln!(f, "\n  Again")?;
        writeln!(f, "    {}", replay(self.outcome))?;
        self.trace(f)
    }
}

impl Report<'_> {
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { plan, violations, .. } = self.outcome;
        match self.outcome.broken() {
            Some(invariant) => writeln!(f, "SIMULATION FAILED: {invariant} does not hold\n")?,
            None => writeln!(f, "Simulation passed: everything held\n")?,
        }
        writeln!(f, "  scenario   {}, seed {}, size {}", plan.scenario, plan.seed, plan.size)?;
        let Some((Violation { what, at_ms, epoch, .. }, others)) = violations.split_first() else {
            return Ok(());
        };
        writeln!(f, "  seen       {}", one_line(what))?;
        writeln!(f, "             at {} in process {epoch}", seconds(*at_ms))?;
        let mut names: Vec<&str> = others.iter().map(|other| &*other.invariant).collect();
        names.dedup();
        match names.is_empty() {
            true => Ok(()),
            false => writeln!(f, "  and then   {}", names.join(", ")),
        }
    }

    fn plan(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome: Outcome { plan, fired, .. }, faults_before, simulations } = self;
        let all = plan.faults.len();
        let after = counted(*simulations, "simulation");
        match all {
            0 if self.outcome.is_well() => writeln!(f, "\n  Nothing goes wrong in it")?,
            0 => writeln!(f, "\n  Nothing has to go wrong for it, found in {after}")?,
            _ if all < *faults_before => {
                writeln!(
                    f,
                    "\n  What has to go wrong: {all} of {faults_before} faults, in {after}"
                )?;
            }
            _ => writeln!(f, "\n  What has to go wrong: {}, in {after}", counted(all, "fault"))?,
        }
        for fault in &plan.faults {
            writeln!(f, "    {}", sentence(fault))?;
        }
        match *fired < all {
            true => {
                writeln!(f, "    Only {fired} of them happened: the plan was made for other code.")
            }
            false => Ok(()),
        }
    }

    fn story(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  What happened")?;
        if self.outcome.trace.is_empty() {
            return writeln!(f, "    The trace was not kept.");
        }
        let story = narrative::told(self.outcome);
        let lines = || story.iter().filter_map(Told::line);
        let time = lines().map(|line| seconds(line.at_ms).len()).max().unwrap_or_default();
        let lane = lines().map(|line| line.lane.chars().count()).max().unwrap_or_default();
        for told in &story {
            match told {
                Told::Left(count) => writeln!(f, "    {:>time$}  … {count} more", "")?,
                Told::Line(Line { at_ms, epoch, lane: whose, what, text }) => {
                    let (at, kind, text) = (seconds(*at_ms), name(*what), one_line(text));
                    writeln!(f, "    {at:>time$}  p{epoch}  {whose:<lane$}  {kind:<9}  {text}")?;
                }
            }
        }
        Ok(())
    }

    fn trace(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { hash, lines, .. } = self.outcome;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "\n  trace {hash:016x} of {lines} lines, soloist-sim {version}")
    }
}

/// What a line is, in a word.
pub(crate) fn name(what: What) -> &'static str {
    match what {
        What::Call => "call",
        What::Answer => "answer",
        What::Effect => "effect",
        What::Append => "append",
        What::Sync => "sync",
        What::Fault => "fault",
        What::Process => "process",
        What::Operator => "operator",
        What::Client => "client",
        What::Violation => "violation",
    }
}

/// `text` without line breaks, and not too long.
fn one_line(text: &str) -> String {
    let mut plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_CHARS_MAX + 1)
        .collect();
    if plain.chars().count() > TEXT_CHARS_MAX {
        plain.pop();
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests;
