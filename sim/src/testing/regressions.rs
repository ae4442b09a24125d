//! Plans that are kept: those that failed once and must never fail again, and the one that somebody wants to see.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::plan::Plan;

/// Where the plans that failed once are kept, beneath the manifest of the crate under test.
const REGRESSIONS: &str = "tests/sim/regressions";

/// The last segment of a path: `naive` of `refunds::naive`.
pub(super) fn last(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// The plans that are kept for the test `name`, by their files, in the order of their names.
///
/// # Errors
///
/// Which file cannot be read, and why.
pub(super) fn of(name: &str) -> Result<Vec<(PathBuf, Plan)>, String> {
    let Ok(manifest) = std::env::var("CARGO_MANIFEST_DIR") else { return Ok(vec![]) };
    within(&Path::new(&manifest).join(REGRESSIONS), last(name))
}

/// The plans in `directory` whose files are called `name.json`, or `name` and anything that no name of a function goes on with:
/// `refunds-2.json`, but not `refunds_late.json`, which is another test's.
fn within(directory: &Path, name: &str) -> Result<Vec<(PathBuf, Plan)>, String> {
    let told = |path: &Path, problem: &dyn std::fmt::Display| {
        format!("failed to read {}: {problem}", path.display())
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(told(directory, &error)),
    };
    let mut files = vec![];
    for entry in entries {
        files.push(entry.map_err(|error| told(directory, &error))?.path());
    }
    files.retain(|file| {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let rest = stem.strip_prefix(name);
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        file.extension().is_some_and(|extension| extension == "json")
            && rest.is_some_and(|rest| !goes_on(rest))
    });
    files.sort();
    files.into_iter().map(|file| read(&file).map(|plan| (file, plan))).collect()
}

/// The plan that `text` is, or that is in the file of this name.
///
/// # Errors
///
/// Why there is no plan.
pub(super) fn named(text: &str) -> Result<Plan, String> {
    match text.trim_start().starts_with('{') {
        true => Plan::parse(text),
        false => read(Path::new(text)),
    }
}

fn read(file: &Path) -> Result<Plan, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string());
    text.and_then(|text| Plan::parse(&text))
        .map_err(|problem| format!("failed to read {}: {problem}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_found_by_the_name_of_their_test() {
        let directory = tempfile::tempdir().unwrap();
        let line = Plan::calm("refunds", 7, 1).line();
        let names = ["late.json", "late-2.json", "late_payers.json", "later.json", "late.txt"];
        for name in names {
            fs::write(directory.path().join(name), &line).unwrap();
        }
        let found = within(directory.path(), last("tests::late")).unwrap();
        let found: Vec<_> = found.iter().map(|(file, _)| file.file_name().unwrap()).collect();
        assert_eq!(found, ["late-2.json", "late.json"]);
    }

    #[test]
    fn a_directory_that_is_not_there_holds_nothing() {
        assert_eq!(within(Path::new("there/is/none"), "late").unwrap().len(), 0);
    }

    #[test]
    fn a_plan_is_named_by_its_line_or_by_its_file() {
        let (directory, plan) = (tempfile::tempdir().unwrap(), Plan::calm("refunds", 7, 1));
        let file = directory.path().join("plan.json");
        fs::write(&file, plan.line()).unwrap();
        assert_eq!(named(&plan.line()), Ok(plan.clone()));
        assert_eq!(named(file.to_str().unwrap()), Ok(plan));
        fs::write(&file, "{").unwrap();
        assert!(named(file.to_str().unwrap()).unwrap_err().contains("plan.json"));
    }
}
