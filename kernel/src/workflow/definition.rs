//! The shape of a definition's text. What it means is `check.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{DEFINITION_BYTES_MAX, Problem};

/// A definition as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) step: Vec<StepText>,
}

/// A step as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepText {
    pub(super) name: String,
    pub(super) agent: Option<String>,
    pub(super) call: Option<String>,
    #[serde(default)]
    pub(super) needs: Vec<String>,
    pub(super) when: Option<String>,
    #[serde(default)]
    pub(super) input: BTreeMap<String, String>,
    pub(super) retry: Option<RetryText>,
    pub(super) timeout: Option<String>,
}

/// A retry policy as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryText {
    pub(super) attempts: Option<u32>,
    pub(super) base: Option<String>,
    pub(super) cap: Option<String>,
}

/// Reads the text's shape.
pub(super) fn read(file: &str, source: &str) -> Result<Definition, Vec<Problem>> {
    let problem = |message: String, help: &str| {
        vec![Problem {
            file: file.into(),
            step: None,
            field: None,
            message,
            help: Some(help.into()),
        }]
    };
    if source.len() > DEFINITION_BYTES_MAX {
        let message = format!(
            "the definition has {} bytes and the limit is {DEFINITION_BYTES_MAX}",
            source.len()
        );
        return Err(problem(message, "split it into several workflows"));
    }
    toml::from_str(source).map_err(|error| {
        let line = error
            .span()
            .map(|span| source[..span.start.min(source.len())].matches('\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        problem(
            format!("{at}{}", error.message()),
            "see `docs/workflows.md` for what a definition holds",
        )
    })
}
