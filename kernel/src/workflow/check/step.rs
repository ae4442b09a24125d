//! One step: what all kinds of steps share. What it does is `work.rs`.

use toml::Value;

use super::{
    super::{
        Compensate, OnFailure, Priority, STEPS_MAX, Step, Work,
        definition::{Fields, misfit, unknown_word},
        problem::{Said, did_you_mean, said},
    },
    bad_name,
    names::{RESERVED, Sight},
    work::{Kind, operation, work},
};
use crate::{id::StepName, retry::RetryPolicy};

/// Reads a step. Its needs are known even where the rest of it is wrong.
pub(super) fn step(mut fields: Fields<'_>, steps: &[String]) -> (Option<Step>, Vec<usize>) {
    let name = fields.required("name");
    let name = name.and_then(|name| fields.accept("name", step_name(&name)));
    let (needs, needed) = needs(&mut fields, steps);
    let sight = Sight::of_step(&needs, steps);
    let (kind, work) = work(&mut fields, &sight);
    let kind = kind.unwrap_or(Kind::Agent);
    let when = fields.expression("when", &sight);
    let input_sight = sight.and(kind.seen_by_input());
    let input = fields.expressions("input", &input_sight);
    let default = work.as_ref().map_or(RetryPolicy::STEP, Work::retry_default);
    let retry = retry(&mut fields, default);
    let timeout = fields.duration("timeout");
    let heartbeat = fields.duration("heartbeat");
    // Each round's fallback is a matter of the round, which has an input of its own and no neighbours.
    let fallback_sight = if kind.is_repeated() { Sight::of(&["input"]) } else { sight };
    let on_failure = on_failure(&mut fields, &fallback_sight.and(&["error"]));
    let compensate = compensate(&mut fields);
    let priority = fields.choice("priority", &PRIORITIES).unwrap_or_default();
    fields.finish();
    let step = name.zip(work).map(|(name, work)| Step {
        name,
        work,
        needs: needed.clone(),
        when,
        input,
        retry,
        timeout,
        heartbeat,
        on_failure,
        compensate,
        priority,
    });
    (step, needed)
}

const PRIORITIES: [(&str, Priority); 3] =
    [("high", Priority::High), ("normal", Priority::Normal), ("low", Priority::Low)];

/// A step's name is read by expressions, so it is an identifier.
fn step_name(text: &str) -> Result<StepName, Said> {
    let identifier = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if RESERVED.contains(&text) {
        return Err(said(format!("`{text}` is reserved"), "choose another name"));
    }
    if !identifier || text.starts_with(|first: char| !first.is_ascii_alphabetic()) {
        let short: String = text.chars().take(60).collect();
        let help = "use a-z, 0-9 and _, starting with a letter, so that expressions can read it";
        return Err(said(format!("`{short}` is not an identifier"), help));
    }
    if WORDS.contains(&text) {
        return Err(said(format!("`{text}` is a word of the expressions"), "choose another name"));
    }
    StepName::new(text).map_err(|error| bad_name(&error))
}

/// Words that an expression does not take for a name.
const WORDS: [&str; 15] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
    "loop", "self",
];

/// The steps it needs, by name and by index.
fn needs(fields: &mut Fields<'_>, steps: &[String]) -> (Vec<String>, Vec<usize>) {
    let mut named = fields.texts("needs");
    if named.len() > STEPS_MAX {
        let message = format!("there are {} and the limit is {STEPS_MAX}", named.len());
        fields.wrong("needs", said(message, "name each step once"));
        named.truncate(STEPS_MAX);
    }
    let mut indexes = vec![];
    for need in &named {
        match steps.iter().position(|step| step == need) {
            Some(index) => indexes.push(index),
            None => {
                let help = did_you_mean(need, steps.iter().map(String::as_str));
                let short: String = need.chars().take(60).collect();
                fields.wrong("needs", (format!("there is no step `{short}`"), help));
            }
        }
    }
    indexes.sort_unstable();
    indexes.dedup();
    named.sort_unstable();
    named.dedup();
    (named, indexes)
}

fn retry(fields: &mut Fields<'_>, default: RetryPolicy) -> RetryPolicy {
    let mut policy = default;
    let Some(table) = fields.table("retry") else { return policy };
    let mut retry = fields.nested("retry", table);
    let attempts = retry.number("attempts", 1, u32::MAX).and_then(std::num::NonZeroU32::new);
    policy.attempts_max = attempts.unwrap_or(policy.attempts_max);
    policy.base = retry.duration("base").unwrap_or(policy.base);
    policy.cap = retry.duration("cap").unwrap_or(policy.cap);
    retry.finish();
    policy
}

/// What `on_failure` may be in a word.
const ON_FAILURE: [(&str, OnFailure); 4] = [
    ("fail", OnFailure::Fail),
    ("continue", OnFailure::Continue),
    ("compensate", OnFailure::Compensate),
    ("escalate", OnFailure::Escalate),
];

fn on_failure(fields: &mut Fields<'_>, sight: &Sight<'_>) -> OnFailure {
    let table = match fields.value("on_failure") {
        None => return OnFailure::Fail,
        Some(Value::String(word)) => {
            let known = ON_FAILURE.iter().find(|(known, _)| *known == word);
            let words: Vec<&str> = ON_FAILURE.iter().map(|(word, _)| *word).collect();
            let result = known.ok_or_else(|| unknown_word(&word, &words));
            let chosen = fields.accept("on_failure", result);
            return chosen.map(|(_, chosen)| chosen.clone()).unwrap_or_default();
        }
        Some(Value::Table(table)) => table,
        Some(other) => {
            fields.wrong("on_failure", misfit(&other, "a word or a table"));
            return OnFailure::Fail;
        }
    };
    let mut nested = fields.nested("on_failure", table);
    let agent = nested
        .text("agent")
        .and_then(|agent| nested.accept("agent", agent.parse().map_err(|error| bad_name(&error))));
    let has_template = nested.has("template");
    let template = nested.templates("template", sight);
    let chosen = match (agent, has_template) {
        (Some(agent), false) => OnFailure::Agent(agent),
        (None, true) if !template.is_empty() => OnFailure::Template(template),
        _ => {
            let help = "write { agent = \"…\" } or { template = { … } }";
            nested.wrong_here(said("it names no fallback", help));
            OnFailure::Fail
        }
    };
    nested.finish();
    chosen
}

fn compensate(fields: &mut Fields<'_>) -> Option<Compensate> {
    let table = fields.table("compensate")?;
    let mut nested = fields.nested("compensate", table);
    let call = nested.required("call").and_then(|call| nested.accept("call", operation(&call)));
    let input = nested.expressions("input", &Sight::of(&["input", "receipt"]));
    nested.finish();
    let (connector, operation) = call?;
    Some(Compensate { connector, operation, input })
}
