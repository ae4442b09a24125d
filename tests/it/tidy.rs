//! What lints cannot say about the text of the project: how files open, how long they are, who may name what.

use std::path::{Path, PathBuf};

use soloist::{Policy, Workflow, budget::Budgets};

use crate::support::root;

/// Longest file without its tests, in lines.
const LINES_MAX: usize = 500;

/// Where nobody's text is: what git keeps and what is built.
const SKIPPED: [&str; 2] = [".git", "target"];

/// Every text file of the project with one of `endings`, by its path from the root.
fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let (root, mut found) = (root(), vec![]);
    walk(&root, &mut found);
    found.sort();
    let ours = found.iter().filter(|path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    });
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("it is below the root").display().to_string();
        (name, std::fs::read_to_string(path).expect("sources are UTF-8"))
    };
    ours.map(read).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if SKIPPED.contains(&name) || path.is_symlink() {
            continue;
        }
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// Fails with every fault at once, so that one run shows all there is to do.
#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// `text` up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\n").map_or(text, |start| &text[..start])
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    let fault = |(name, text): &(String, String)| {
        let opener: Vec<&str> =
            text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let first = opener.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
        let is_sentence = first.ends_with(['.', ':', '?']) || first.ends_with("```");
        (!is_sentence).then(|| format!("{name}: open it with `//!` and a sentence, not {first:?}"))
    };
    none(texts(&["rs"]).iter().filter_map(fault).collect());
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let fault = |(name, text): &(String, String)| {
        let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
        let lines = without_tests(text).lines().count();
        (!is_test && lines > LINES_MAX).then(|| {
            format!("{name}: {lines} lines, and {LINES_MAX} is the limit; split it by subject")
        })
    };
    none(texts(&["rs"]).iter().filter_map(fault).collect());
}

/// Who may name a crate: every file whose path starts so.
const NAMED_BY: [(&str, &[&str], &str); 4] = [
    ("ractor", &["actors/"], "actors are an affair of `actors`; the others hold handles"),
    (
        "lettre",
        &["connectors/src/mail/"],
        "how mail travels is an affair of the mail connector's transports",
    ),
    ("reqwest", &["connectors/src/http/client.rs"], "send a request by `Env::http`"),
    (
        "rustls",
        &["connectors/src/http/client.rs", "connectors/src/http/tests/"],
        "the one set-up of TLS is in the HTTP client",
    ),
];

#[test]
fn a_crate_is_named_only_where_its_affairs_are() {
    let mut faults = vec![];
    for (name, text) in texts(&["rs"]) {
        for (dependency, allowed, why) in NAMED_BY {
            // Words about it are fine, paths into it are not.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let names = code.into_iter().any(|line| line.contains(&format!("{dependency}::")));
            if names && !allowed.iter().any(|place| name.starts_with(place)) {
                faults.push(format!("{name} names `{dependency}`: {why}"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_dependency_has_its_reason_on_the_line_above() {
    let mut faults = vec![];
    for (name, text) in texts(&["toml"]) {
        if !name.ends_with("Cargo.toml") {
            continue;
        }
        let (mut within, mut above) = (false, "");
        for line in text.lines() {
            if line.starts_with('[') {
                within = line.ends_with("dependencies]");
            } else if within && !line.starts_with('#') && line.contains('=') {
                // The reason of one that is inherited stands at the root, and our own crates speak for themselves.
                let excused = line.contains("workspace = true") || line.starts_with("soloist");
                if !excused && !above.starts_with('#') {
                    faults.push(format!("{name}: say why above `{line}`"));
                }
            }
            above = line;
        }
    }
    none(faults);
}

#[test]
fn nothing_is_left_for_later_or_tied_to_one_machine() {
    // Written apart, so that this file does not hold what it looks for.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("dbg", "!("),
        concat!("todo", "!("),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let mut faults = vec![];
    for (name, text) in texts(&["rs", "toml", "md", "sh", "py", "yml", "yaml", "eml"]) {
        for (index, line) in text.lines().enumerate() {
            // Examples may speak of somebody's home, if it is nobody's.
            let line = line.replace(concat!("/ho", "me/me/"), "");
            let found = words.iter().filter(|word| line.contains(**word));
            faults.extend(found.map(|word| format!("{name}:{}: `{word}`", index + 1)));
        }
    }
    none(faults);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = vec![];
    for (name, text) in texts(&["md"]) {
        let path = root().join(&name);
        let folder = path.parent().expect("a file is in a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split(['#', ' ']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains(':');
            if !elsewhere && !folder.join(target).exists() {
                faults.push(format!("{name}: the link to {target} leads nowhere"));
            }
        }
    }
    none(faults);
}

#[test]
fn the_workflows_and_policies_of_the_company_are_well() {
    let definitions: Vec<_> = texts(&["toml"])
        .into_iter()
        .filter(|(name, _)| name.starts_with("host/company/"))
        .collect();
    assert!(!definitions.is_empty(), "there is a company");
    for (name, text) in definitions {
        if name.contains("budgets") {
            Budgets::parse(&name, &text).unwrap_or_else(|problem| panic!("{problem}"));
        } else if name.contains("policy") {
            let policy =
                Policy::parse(&name, &text).unwrap_or_else(|problems| panic!("{problems:?}"));
            let examples = policy.test();
            assert!(!examples.is_empty(), "{name} says by examples what it means");
            let failed: Vec<_> = examples.iter().filter(|example| !example.passed).collect();
            assert!(failed.is_empty(), "{name}: {failed:?}");
        } else {
            Workflow::parse(&name, &text).unwrap_or_else(|problems| panic!("{problems:?}"));
        }
    }
}

/// A bug that can be planted nowhere is hunted in vain, and a survivor that nobody understands.
#[test]
fn every_mutant_has_a_place_where_it_is_planted() {
    const DECLARED: &str = "kernel/src/mutant.rs";
    let sources = texts(&["rs"]);
    let declared = sources.iter().find(|(name, _)| name == DECLARED).map(|(_, text)| text);
    let declared = declared.expect("the mutants are declared");
    let mutants: Vec<&str> = without_tests(declared)
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(" = \""))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect();
    assert!(mutants.len() >= 45, "there are {} mutants", mutants.len());
    let is_planted = |mutant: &str| {
        let site = format!("planted(Mutant::{mutant})");
        sources.iter().any(|(name, text)| name != DECLARED && text.contains(&site))
    };
    let lost = mutants.into_iter().filter(|mutant| !is_planted(mutant));
    none(lost.map(|mutant| format!("{mutant} is planted nowhere")).collect());
}
