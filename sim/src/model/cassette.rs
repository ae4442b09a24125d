//! Cassettes: what a model is to say, in files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{Finish, Said};

/// Where cassettes are kept if nobody says otherwise; what is told to those who have none.
const USUAL_PLACE: &str = "tests/cassettes";

/// Answers, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Cassette {
    /// The directory that they come from, as it was named.
    directory: Option<PathBuf>,
    entries: Vec<Entry>,
}

/// An answer, and what it is an answer to.
#[derive(Clone, Debug)]
struct Entry {
    to: To,
    said: Said,
}

#[derive(Clone, Debug)]
enum To {
    /// The prompt with this hash.
    Prompt(String),
    /// A prompt that holds this text.
    Contains(String),
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    prompt: Option<String>,
    contains: Option<String>,
    answer: Value,
    #[serde(default)]
    finish: Finish,
}

impl Cassette {
    /// What is in `directory`, which is beneath the manifest of the crate under test.
    ///
    /// # Errors
    ///
    /// Which file is wrong, and how.
    pub(super) fn of(directory: &Path) -> Result<Self, String> {
        let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        let place = Path::new(&manifest).join(directory);
        let failed = |file: &Path, problem: &dyn std::fmt::Display| {
            format!("failed to read the cassettes in {}: {problem}", file.display())
        };
        let listed = fs::read_dir(&place).map_err(|error| failed(&place, &error))?;
        let mut files = vec![];
        for entry in listed {
            files.push(entry.map_err(|error| failed(&place, &error))?.path());
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut cassette = Self { directory: Some(directory.to_owned()), entries: vec![] };
        for file in files {
            let text = fs::read_to_string(&file).map_err(|error| failed(&file, &error))?;
            cassette.entries.extend(parse(&text).map_err(|problem| failed(&file, &problem))?);
        }
        Ok(cassette)
    }

    /// And to prompts that hold `text`, `said`.
    pub(super) fn add(&mut self, text: &str, said: Said) {
        self.entries.push(Entry { to: To::Contains(text.to_owned()), said });
    }

    /// The answer to `prompt`: the one that names it, or the first that fits.
    pub(super) fn answer(&self, prompt: &str, hash: &str) -> Option<Said> {
        let named = |entry: &&Entry| matches!(&entry.to, To::Prompt(named) if named == hash);
        let fits =
            |entry: &&Entry| matches!(&entry.to, To::Contains(text) if prompt.contains(text));
        let found = self.entries.iter().find(named).or_else(|| self.entries.iter().find(fits));
        found.map(|entry| entry.said.clone())
    }

    /// Where an answer can be added.
    pub(super) fn place(&self) -> String {
        let place = self.directory.as_deref().unwrap_or(Path::new(USUAL_PLACE));
        place.display().to_string()
    }
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let written: Vec<Written> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let entry = |(number, written): (usize, Written)| {
        let Written { prompt, contains, answer, finish } = written;
        let to = match (prompt, contains) {
            (Some(hash), None) => To::Prompt(hash),
            (None, Some(text)) => To::Contains(text),
            _ => {
                let number = number + 1;
                return Err(format!("entry {number} has not one of `prompt` and `contains`"));
            }
        };
        Ok(Entry { to, said: Said { finish, ..answer.into() } })
    };
    written.into_iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cassette(files: &[(&str, &str)]) -> Result<Cassette, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Cassette::of(directory.path())
    }

    #[test]
    fn a_prompt_that_is_named_comes_first_and_then_the_first_that_fits() {
        let first = r#"[{ "contains": "sign", "answer": "a sign" }]"#;
        let second = r#"[{ "contains": "signs", "answer": "signs" },
            { "prompt": "0123", "answer": { "score": 1 } },
            { "contains": "weapons", "answer": "no", "finish": "refusal" }]"#;
        let cassette = cassette(&[("b.json", second), ("a.json", first), ("c.txt", "-")]).unwrap();
        let text = |prompt, hash| cassette.answer(prompt, hash).map(|said| said.text);
        assert_eq!(text("signs", "").as_deref(), Some("a sign"));
        assert_eq!(text("signs", "0123").as_deref(), Some(r#"{"score":1}"#));
        assert_eq!(text("menus", ""), None);
        assert_eq!(cassette.answer("weapons", "").unwrap().finish, Finish::Refusal);
    }

    #[test]
    fn what_is_no_cassette_is_refused_with_its_file() {
        for (text, problem) in [
            ("{}", "invalid type"),
            (r#"[{ "answer": "x" }]"#, "entry 1"),
            (r#"[{ "contains": "x", "prompt": "y", "answer": "x" }]"#, "entry 1"),
            (r#"[{ "contains": "x", "anwser": "x" }]"#, "anwser"),
        ] {
            let refused = cassette(&[("bad.json", text)]).unwrap_err();
            assert!(refused.contains("bad.json") && refused.contains(problem), "{refused}");
        }
        assert!(Cassette::of(Path::new("there/is/none")).is_err());
    }
}
