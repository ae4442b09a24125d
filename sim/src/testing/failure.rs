//! What a test that fails says: the smallest plan, the page with its timeline, and the report.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    outcome::Outcome,
    report::{Report, of_test::OfTest},
    run::Options,
    scenario::Scenario,
    shrink::shrink,
    timeline,
};

/// Where pages are put, beneath the directory that cargo builds in.
const PAGES: &str = "sim";

/// A scenario, and how its test is told of.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    scenario: &'a Scenario,
    /// The name of the test, as `cargo test` takes it.
    test: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// A scenario that a test has built itself.
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        Self { scenario, test: None }
    }

    /// The scenario of the test whose path is `name`. Its first segment is the crate, which cargo does not want to hear.
    pub(super) fn of_test(scenario: &'a Scenario, name: &'a str) -> Self {
        let test = name.split_once("::").map_or(name, |(_, test)| test);
        Self { scenario, test: Some(test) }
    }

    pub(super) fn scenario(self) -> &'a Scenario {
        self.scenario
    }

    /// Panics with the report of `outcome`, made as small as it gets.
    pub(super) fn fails(self, outcome: &Outcome) -> ! {
        let shrunk = shrink(self.scenario, &outcome.plan, Options::default());
        if shrunk.outcome.is_well() {
            let invariant = outcome.broken().unwrap_or_default();
            panic!(
                "{invariant} did not hold, and held when the same plan was simulated again: something in this scenario is \
                 decided by more than its plan: {}",
                outcome.plan.line()
            );
        }
        let report = Report {
            outcome: &shrunk.outcome,
            faults_before: shrunk.faults_before,
            simulations: shrunk.simulations,
        };
        let page = page(self.test.unwrap_or(self.scenario.name()), &shrunk.outcome);
        panic!("{}", OfTest { report, test: self.test, page });
    }
}

/// Writes the timeline of `outcome`, and says where.
fn page(name: &str, outcome: &Outcome) -> Result<String, String> {
    let directory = target().join(PAGES);
    let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.replace("::", "-").chars().map(plain).collect();
    let file = directory.join(format!("{name}.html"));
    let written = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, timeline::html(outcome)))
        .map_err(|error: io::Error| format!("{}: {error}", file.display()));
    written.map(|()| file.display().to_string())
}

/// The directory that cargo builds in, as far as a test can know: what the environment says, or `target` at the workspace.
fn target() -> PathBuf {
    if let Ok(directory) = std::env::var("CARGO_TARGET_DIR") {
        return directory.into();
    }
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let manifest = Path::new(&manifest);
    let workspace = manifest.ancestors().find(|directory| directory.join("Cargo.lock").exists());
    workspace.unwrap_or(manifest).join("target")
}
