//! The agents of the content funnel. An article is a list of claims, so that each can be held against what the owner knows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist::{Agent, Builder, Failure, ReadOnly, Turn, memory::entity};

/// Adds them to a kernel.
pub(super) fn agents(builder: Builder) -> Builder {
    builder.agent(Facts).agent(WriteUp).agent(Verify).agent(Revise).agent(Metrics)
}

/// What the demo starts with: a brief with a claim that is out of date and one that nothing supports.
pub(super) fn input() -> Value {
    let claim = |about: &str, says: &str| json!({ "about": about, "says": says });
    json!({
        "slug": "how-we-quote",
        "title": "How we quote",
        "source": "how-we-price",
        "facts": {
            "day_rate": "A day of drawing costs 480 EUR.",
            "revisions": "Two rounds of changes are included.",
        },
        "claims": [
            claim("day_rate", "A day of drawing costs 450 EUR."),
            claim("revisions", "Two rounds of changes are included."),
            claim("before_we_start", "We say the number before we start."),
            claim("awards", "Our lettering has won every prize there is."),
        ],
    })
}

/// What the owner knows is remembered about this.
fn company() -> String {
    entity("company", "kestrel-studio")
}

/// Remembers the owner's facts that come with a brief.
struct Facts;

#[derive(Deserialize, JsonSchema)]
struct Given {
    facts: BTreeMap<String, String>,
}

impl Agent for Facts {
    const NAME: &'static str = "facts";
    type Kind = ReadOnly;
    type Input = Given;
    type Output = usize;

    async fn run(&self, turn: Turn<ReadOnly>, given: Given) -> Result<usize, Failure> {
        for (name, value) in &given.facts {
            turn.remember(&company(), name, value).await?;
        }
        Ok(given.facts.len())
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Claim {
    about: String,
    says: String,
}

#[derive(Serialize, JsonSchema)]
struct Article {
    title: String,
    text: String,
    words: usize,
    claims: Vec<Claim>,
}

impl Article {
    fn of(title: String, claims: Vec<Claim>) -> Self {
        let says: Vec<&str> = claims.iter().map(|claim| claim.says.as_str()).collect();
        let text = says.join(" ");
        Self { title, words: text.split_whitespace().count(), text, claims }
    }
}

/// Writes an article from a brief.
struct WriteUp;

#[derive(Deserialize, JsonSchema)]
struct Brief {
    title: String,
    claims: Vec<Claim>,
}

impl Agent for WriteUp {
    const NAME: &'static str = "write-up";
    type Kind = ReadOnly;
    type Input = Brief;
    type Output = Article;

    async fn run(&self, _turn: Turn<ReadOnly>, brief: Brief) -> Result<Article, Failure> {
        Ok(Article::of(brief.title, brief.claims))
    }
}

/// Holds each claim against the owner's facts, and against an article that is published already.
struct Verify;

#[derive(Deserialize, JsonSchema)]
struct ToVerify {
    title: String,
    claims: Vec<Claim>,
    source: String,
}

/// What is wrong with a claim, and what is true instead, if anyone knows.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Problem {
    about: String,
    instead: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Verified {
    ok: bool,
    problems: Vec<Problem>,
    #[serde(flatten)]
    article: Article,
}

#[derive(Serialize, Deserialize)]
struct Published {
    text: String,
}

impl Agent for Verify {
    const NAME: &'static str = "verify";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["cms.article"];
    type Input = ToVerify;
    type Output = Verified;

    async fn run(&self, turn: Turn<ReadOnly>, given: ToVerify) -> Result<Verified, Failure> {
        let asked = json!({ "slug": given.source });
        let source: Option<Published> = turn.call("cms.article", &asked).await?;
        let supports = |says: &str| source.as_ref().is_some_and(|found| found.text.contains(says));
        let mut problems = vec![];
        for claim in &given.claims {
            let fact = turn.fact(&company(), &claim.about).await?;
            let known = fact.as_ref().and_then(|fact| fact["value"].as_str());
            let holds = known.map_or_else(|| supports(&claim.says), |known| known == claim.says);
            if !holds {
                let (about, instead) = (claim.about.clone(), known.map(str::to_owned));
                problems.push(Problem { about, instead });
            }
        }
        let article = Article::of(given.title, given.claims);
        Ok(Verified { ok: problems.is_empty(), problems, article })
    }
}

/// Puts what is true in place of what is not, and leaves out what nobody knows.
struct Revise;

#[derive(Deserialize, JsonSchema)]
struct ToRevise {
    title: String,
    claims: Vec<Claim>,
    problems: Vec<Problem>,
}

#[derive(Serialize, JsonSchema)]
struct Revised {
    ok: bool,
    #[serde(flatten)]
    article: Article,
}

impl Agent for Revise {
    const NAME: &'static str = "revise";
    type Kind = ReadOnly;
    type Input = ToRevise;
    type Output = Revised;

    async fn run(&self, _turn: Turn<ReadOnly>, given: ToRevise) -> Result<Revised, Failure> {
        let revised = given.claims.into_iter().filter_map(|claim| {
            match given.problems.iter().find(|problem| problem.about == claim.about) {
                Some(Problem { instead, .. }) => {
                    instead.clone().map(|says| Claim { about: claim.about, says })
                }
                None => Some(claim),
            }
        });
        // What was changed has to be checked again.
        Ok(Revised { ok: false, article: Article::of(given.title, revised.collect()) })
    }
}

/// Remembers the figures of an article.
struct Metrics;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Figures {
    slug: String,
    words: u64,
    claims: u64,
}

impl Agent for Metrics {
    const NAME: &'static str = "metrics";
    type Kind = ReadOnly;
    type Input = Figures;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, figures: Figures) -> Result<u32, Failure> {
        let article = entity("cms", &figures.slug);
        Ok(turn.remember(&article, "published", &figures).await?)
    }
}
