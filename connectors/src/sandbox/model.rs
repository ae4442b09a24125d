//! The model: a toy that scores by counting words. It knows nothing, and always gives the same answer to the same prompt.
//!
//! What it shares with the real ones is what a caller has to be ready for: the answer is text that somebody else's text was
//! an ingredient of, and may be cut off, a refusal, or no answer to what was asked. It reads the last line of the prompt,
//! where callers put what is to be scored, and **believes what stands there**: where the line says `score 100`, the score is
//! 100. Labels and policy must hold without its help.
//!
//! A record in `model/answers` is what it says instead: `{ "when": …, "text": …, "finish": … }` answers a prompt that holds
//! the words of `when`. The first that fits counts, in the order of the file names.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist_kernel::{
    budget::Usage,
    catalog::{Argument, Operation},
    fault::{Fault, FaultClass},
    labels::Labeled,
    time::Timestamp,
};

use super::{
    store::Records,
    system::{Request, System, Written, answered, labels_of, read, text},
};
use crate::arguments::Arguments;

const ANSWERS: &str = "model/answers";

/// Longest answer, in words, where the prompt asks for no shorter one.
const MAX_TOKENS: usize = 1_000;

/// The score of a line that holds none of the words.
const USUAL_SCORE: i64 = 10;

/// Words that speak for a customer, and what each of them adds to the score, however often it is there.
const FOR: ([&str; 10], i64) = (
    [
        "budget",
        "deadline",
        "logo",
        "lettering",
        "menu",
        "menus",
        "quote",
        "sign",
        "signs",
        "window",
    ],
    15,
);

/// Words that speak against one, and what each of them takes away.
const AGAINST: ([&str; 6], i64) =
    (["backlinks", "crypto", "followers", "ranking", "seo", "webinar"], 20);

/// Words that it does not want to read.
const REFUSED: [&str; 3] = ["explosives", "weapon", "weapons"];

pub(super) struct Model;

#[derive(Deserialize)]
struct Asked {
    prompt: String,
    max_tokens: Option<usize>,
}

/// What it says.
#[derive(Serialize, Deserialize)]
struct Answer {
    text: String,
    #[serde(default)]
    finish: Finish,
}

/// Why it said no more.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    #[default]
    Stop,
    Length,
    Refusal,
}

/// A record that says what to answer.
#[derive(Deserialize)]
struct Scripted {
    when: String,
    #[serde(flatten)]
    answer: Answer,
}

impl System for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn collections(&self) -> &'static [&'static str] {
        &[ANSWERS]
    }

    fn operations(&self) -> Vec<(&'static str, Operation)> {
        let tokens = json!({ "type": "integer", "minimum": 1, "maximum": MAX_TOKENS });
        let complete = read(
            "Ask the model; its answer is worth as much as what it was given to read",
            [
                ("prompt", Argument::content(text())),
                ("max_tokens", Argument::content(tokens).optional()),
            ],
            json!({ "type": "object", "required": ["text", "finish", "usage"] }),
        );
        vec![("complete", complete)]
    }

    fn usage_max(&self, _operation: &str, arguments: &Value) -> Usage {
        let prompt = arguments["prompt"].as_str().map_or(0, tokens);
        let most = arguments["max_tokens"].as_u64().unwrap_or(MAX_TOKENS as u64);
        Usage { input_tokens: prompt as u64, output_tokens: most }
    }

    fn usage(&self, _operation: &str, answer: &Value) -> Option<Usage> {
        let count = |what: &str| answer["usage"][what].as_u64();
        let (input_tokens, output_tokens) = (count("prompt_tokens")?, count("completion_tokens")?);
        Some(Usage { input_tokens, output_tokens })
    }

    fn read(
        &self,
        _operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        _now: Timestamp,
    ) -> Result<Labeled<Value>, Fault> {
        let Asked { prompt, max_tokens } = arguments.parse()?;
        let mut scripted = records.list::<Scripted>(ANSWERS)?.into_iter();
        let scripted = scripted.find(|scripted| prompt.contains(&scripted.when));
        let answer = scripted.map_or_else(|| scored(&prompt), |scripted| scripted.answer);
        let answer = answer.of_at_most(max_tokens.unwrap_or(MAX_TOKENS));
        let usage = json!({
            "prompt_tokens": tokens(&prompt),
            "completion_tokens": tokens(&answer.text),
        });
        let said = json!({ "text": answer.text, "finish": answer.finish, "usage": usage });
        Ok(Labeled::new(said, labels_of("model", None)))
    }

    fn write(&self, _request: &Request, _records: &Records<'_>) -> Result<Written, Fault> {
        Err(answered(FaultClass::Bug, "the model has no operation that writes"))
    }

    fn find(&self, _request: &Request, _records: &Records<'_>) -> Result<Option<Value>, Fault> {
        Ok(None)
    }
}

impl Answer {
    /// The same, cut off after `tokens`.
    fn of_at_most(self, most: usize) -> Self {
        if tokens(&self.text) <= most {
            return self;
        }
        let words: Vec<&str> = self.text.split_whitespace().take(most).collect();
        Self { text: words.join(" "), finish: Finish::Length }
    }
}

/// How long a text is. A word is a token here.
fn tokens(text: &str) -> usize {
    text.split_whitespace().count()
}

/// What it says of the last line of `prompt`.
fn scored(prompt: &str) -> Answer {
    let line = prompt.lines().last().unwrap_or_default().to_lowercase();
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| REFUSED.contains(word)) {
        return Answer { text: "I cannot help with that.".to_owned(), finish: Finish::Refusal };
    }
    let (score, reason) = told(&words).unwrap_or_else(|| counted(&words));
    let text = json!({ "score": score, "reason": reason }).to_string();
    Answer { text, finish: Finish::Stop }
}

/// The score that the text itself asks for.
fn told(words: &[&str]) -> Option<(i64, String)> {
    let asked = |pair: &[&str]| pair[1].parse().ok().filter(|_| pair[0] == "score");
    let score: i64 = words.windows(2).find_map(asked)?;
    Some((score, format!("it says so: score {score}")))
}

/// The score that the words come to.
fn counted(words: &[&str]) -> (i64, String) {
    let found = |known: &[&'static str]| -> Vec<&'static str> {
        known.iter().copied().filter(|word| words.contains(word)).collect()
    };
    let (good, bad) = (found(&FOR.0), found(&AGAINST.0));
    let sum = good.iter().map(|_| FOR.1).sum::<i64>() - bad.iter().map(|_| AGAINST.1).sum::<i64>();
    let reason = match (good.is_empty(), bad.is_empty()) {
        (true, true) => "it speaks of nothing that the studio does".to_owned(),
        (false, true) => format!("it speaks of {}", good.join(", ")),
        (true, false) => format!("it speaks of {}, which is no work for us", bad.join(", ")),
        (false, false) => format!("it speaks of {}, and of {}", good.join(", "), bad.join(", ")),
    };
    ((USUAL_SCORE + sum).clamp(0, 100), reason)
}
