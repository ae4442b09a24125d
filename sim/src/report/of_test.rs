//! The same report from within a test, which is simulated again by running the test and not by `soloist`.

use std::fmt;

use super::Report;
use crate::outcome::Outcome;

/// A report, and how to come back to it from a test.
pub(crate) struct OfTest<'a> {
    /// What is told.
    pub(crate) report: Report<'a>,
    /// The name of the test as `cargo test` knows it; none, if the test builds its scenario itself.
    pub(crate) test: Option<&'a str>,
    /// Where the timeline is, or why it is nowhere.
    pub(crate) page: Result<String, String>,
}

impl fmt::Display for OfTest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, test, page } = self;
        report.verdict(f)?;
        report.plan(f)?;
        report.story(f)?;
        writeln!(f, "\n  Again")?;
        writeln!(f, "    {}", again(report.outcome, *test))?;
        writeln!(f, "\n  Timeline")?;
        match page {
            Ok(path) => writeln!(f, "    {path}")?,
            Err(problem) => writeln!(f, "    it could not be written: {problem}")?,
        }
        report.trace(f)
    }
}

/// What simulates the plan of `outcome` again: for a shell, or for the test that has built its scenario itself.
fn again(outcome: &Outcome, test: Option<&str>) -> String {
    let line = outcome.plan.line();
    match test {
        Some(test) => format!("SOLOIST_SIM='{}' cargo test {test}", line.replace('\'', r"'\''")),
        None => format!("testing::replay(&scenario, &Plan::parse(r#\"{line}\"#).unwrap());"),
    }
}
