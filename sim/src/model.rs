//! Models whose every word is written down or drawn by the seed. A simulation never asks a real one.
//!
//! A [`ScriptedModel`] answers `complete {prompt, max_tokens?}` with `{text, finish, usage}`. First it looks into its
//! cassettes (`cassette.rs`), which are answers kept in files; then it draws what [`otherwise`](ScriptedModel::otherwise)
//! says, by the seed of the simulation and the prompt, so that the same prompt has the same answer in one simulation and
//! another one in the next. What it cannot answer is a mistake in the test, and fails it.

mod cassette;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist_connectors::{
    Argument, Connector, Env, Intent, Manifest, Operation, OperationKind, Plan, Probe, Rate,
};
use soloist_kernel::{
    budget::Usage,
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    semantics::{Reversal, WriteSemantics},
};

use self::cassette::Cassette;
use crate::{
    chance::Chance,
    scenario::{Scenario, Systems},
    world::World,
};

/// The operation that a model has.
const COMPLETE: &str = "complete";

/// Longest answer, in words, where the caller asks for no shorter one.
const TOKENS_MAX: usize = 1_000;

/// Characters of a prompt that are shown when nothing answers it.
const SHOWN_CHARS_MAX: usize = 200;

/// What breaks if a prompt has no answer.
const UNANSWERED: &str = "every prompt has an answer";

/// Why a model said no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    #[default]
    Stop,
    /// It came to its limit.
    Length,
    /// It does not want to.
    Refusal,
}

/// What a model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// Why it said no more.
    pub finish: Finish,
}

impl Said {
    /// That it does not want to.
    #[must_use]
    pub fn refusal(text: impl Into<String>) -> Self {
        Self { text: text.into(), finish: Finish::Refusal }
    }

    /// The same, cut off after `most` words.
    fn of_at_most(self, most: usize) -> Self {
        if tokens(&self.text) <= most {
            return self;
        }
        let words: Vec<&str> = self.text.split_whitespace().take(most).collect();
        Self { text: words.join(" "), finish: Finish::Length }
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, finish: Finish::Stop }
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Data is said as its JSON.
impl From<Value> for Said {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        }
    }
}

type Otherwise = Arc<dyn Fn(&str, &mut Chance) -> Said + Send + Sync>;

/// A model that says what is written down, or what is drawn. See the [module](self).
#[derive(Clone, Default)]
pub struct ScriptedModel {
    cassette: Cassette,
    otherwise: Option<Otherwise>,
}

impl ScriptedModel {
    /// A model that has an answer to nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that answers from the cassettes in `directory`, which is beneath the manifest of the crate under test: every
    /// `*.json` in it, in the order of their names, each a list of `{ "contains": …, "answer": … }` for prompts that hold
    /// this text and `{ "prompt": …, "answer": … }` for the one with this hash. An answer is a text or data; `"finish"` says why
    /// it ends, `"stop"` if it is absent.
    ///
    /// # Panics
    ///
    /// If there is no such directory, or a file in it is no cassette: with the file, and what is wrong with it.
    #[must_use]
    pub fn cassettes(directory: impl AsRef<Path>) -> Self {
        let cassette = Cassette::of(directory.as_ref());
        let cassette = cassette.unwrap_or_else(|problem| panic!("{problem}"));
        Self { cassette, otherwise: None }
    }

    /// And to prompts that hold `text`, it says `said`.
    #[must_use]
    pub fn says(mut self, text: &str, said: impl Into<Said>) -> Self {
        self.cassette.add(text, said.into());
        self
    }

    /// And to every other prompt, what `choice` draws. The same prompt has the same chance throughout a simulation.
    #[must_use]
    pub fn otherwise<S: Into<Said>>(
        mut self,
        choice: impl Fn(&str, &mut Chance) -> S + Send + Sync + 'static,
    ) -> Self {
        self.otherwise = Some(Arc::new(move |prompt, chance| choice(prompt, chance).into()));
        self
    }

    /// What it says to `prompt` in the simulation of `seed`.
    ///
    /// # Errors
    ///
    /// How to add an answer, if there is none.
    pub fn answer(&self, prompt: &str, seed: u64) -> Result<Said, String> {
        let hash = hash(prompt);
        if let Some(said) = self.cassette.answer(prompt, &hash) {
            return Ok(said);
        }
        if let Some(otherwise) = &self.otherwise {
            return Ok(otherwise(prompt, &mut Chance::of(seed, &hash, 0)));
        }
        let shown: String = prompt.chars().take(SHOWN_CHARS_MAX).collect();
        let place = self.cassette.place();
        Err(format!(
            "no cassette answers the prompt {hash}: {shown:?}; add {{ \"prompt\": \"{hash}\", \"answer\": … }} or \
             {{ \"contains\": …, \"answer\": … }} to a file in {place}, or draw an answer with `ScriptedModel::otherwise`"
        ))
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedModel").field("cassette", &self.cassette).finish_non_exhaustive()
    }
}

impl Scenario {
    /// Mounts `model` as connector `name`, whose answers have the faults of models.
    pub fn model(&mut self, name: &str, model: ScriptedModel) -> &mut Self {
        self.models.push(name.to_owned());
        let name = name.to_owned();
        self.systems(move |world| {
            let scripted =
                Scripted { model: model.clone(), world: world.clone(), manifest: manifest(&name) };
            Systems::new()
                .connector(&name, move || Arc::new(scripted.clone()) as Arc<dyn Connector>)
        })
    }
}

/// The hash by which a cassette names a prompt.
fn hash(prompt: &str) -> String {
    Digest::of(prompt.as_bytes()).to_hex()[..16].to_owned()
}

/// How long a text is. A word is a token here.
fn tokens(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The model as a connector.
#[derive(Clone)]
struct Scripted {
    model: ScriptedModel,
    world: World,
    manifest: Manifest,
}

/// What is asked of it.
#[derive(Deserialize)]
struct Asked {
    prompt: String,
    max_tokens: Option<usize>,
}

fn manifest(name: &str) -> Manifest {
    let tokens = json!({ "type": "integer", "minimum": 1 });
    let complete = Operation {
        summary: "Ask the scripted model".into(),
        kind: OperationKind::Read,
        semantics: WriteSemantics::Opaque,
        reversal: Reversal::Irreversible,
        arguments: [
            ("prompt".to_owned(), Argument::content(json!({ "type": "string" }))),
            ("max_tokens".to_owned(), Argument::content(tokens).optional()),
        ]
        .into(),
        result: json!({ "type": "object", "required": ["text", "finish", "usage"] }),
    };
    let operation = OperationName::new(COMPLETE).expect("it is a name");
    Manifest {
        system: format!("the scripted {name}"),
        operations: [(operation, complete)].into(),
        credential: format!("scripted:{name}"),
        rate: Rate::per_second(20, 20),
        operation_rates: std::collections::BTreeMap::new(),
        pulls_call: true,
        concurrency_max: 4,
        call_timeout: Duration::from_secs(60),
    }
}

fn invalid(problem: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Invalid, Phase::Answered, problem)
}

#[async_trait]
impl Connector for Scripted {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        _env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.manifest.operation(operation)?;
        let asked = arguments.parse::<Asked>().map_err(|error| invalid(error.to_string()))?;
        let Asked { prompt, max_tokens } = asked;
        let said = self.model.answer(&prompt, self.world.seed()).map_err(|problem| {
            self.world.violated(UNANSWERED, &problem);
            invalid(problem)
        })?;
        let said = said.of_at_most(max_tokens.unwrap_or(TOKENS_MAX));
        let usage = json!({
            "prompt_tokens": tokens(&prompt),
            "completion_tokens": tokens(&said.text),
        });
        let answer = json!({ "text": said.text, "finish": said.finish, "usage": usage });
        let answer = Payload::of(&answer).map_err(|error| invalid(error.to_string()))?;
        Ok(Labeled::new(answer, Labels::untrusted("model")))
    }

    fn usage_max(&self, _operation: &OperationName, arguments: &Payload) -> Usage {
        let asked = arguments.parse::<Asked>().ok();
        let prompt = asked.as_ref().map_or(0, |asked| tokens(&asked.prompt));
        let most = asked.and_then(|asked| asked.max_tokens).unwrap_or(TOKENS_MAX);
        Usage { input_tokens: prompt as u64, output_tokens: most as u64 }
    }

    fn usage(&self, _operation: &OperationName, answer: &Payload) -> Option<Usage> {
        let usage = &answer.value()["usage"];
        let count = |what: &str| usage[what].as_u64();
        let (input_tokens, output_tokens) = (count("prompt_tokens")?, count("completion_tokens")?);
        Some(Usage { input_tokens, output_tokens })
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let why = format!("a model has no write `{}`", intent.operation);
        Err(Fault::new(FaultClass::Invalid, Phase::NotSent, why))
    }

    async fn execute(&self, _env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        let why = format!("a model has no write `{}`", plan.operation);
        Err(Fault::new(FaultClass::Invalid, Phase::NotSent, why))
    }

    async fn probe(&self, _env: &Env, _plan: &Plan) -> Result<Probe, Fault> {
        Ok(Probe::Unknown { reason: "a model writes nothing".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_comes_before_what_is_drawn() {
        let model = ScriptedModel::new()
            .says("weapons", Said::refusal("no"))
            .says("sign", json!({ "score": 70 }))
            .otherwise(|_, chance| format!("{}", chance.below(1_000_000)));
        assert_eq!(model.answer("a sign", 0).unwrap().text, r#"{"score":70}"#);
        assert_eq!(model.answer("weapons and signs", 0).unwrap().finish, Finish::Refusal);
        let drawn = |prompt, seed| model.answer(prompt, seed).unwrap();
        assert_eq!(drawn("hello", 1), drawn("hello", 1));
        assert_ne!(drawn("hello", 1), drawn("hello", 2));
        assert_ne!(drawn("hello", 1), drawn("hello?", 1));
    }

    #[test]
    fn what_has_no_answer_says_how_to_add_one() {
        let problem = ScriptedModel::new().answer("hello", 0).unwrap_err();
        let entry = format!("{{ \"prompt\": \"{}\", \"answer\": … }}", hash("hello"));
        for part in [&*entry, "\"hello\"", "ScriptedModel::otherwise"] {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_long_answer_is_cut_off() {
        let said = Said::from("one two three").of_at_most(2);
        assert_eq!(said, Said { text: "one two".into(), finish: Finish::Length });
    }
}
