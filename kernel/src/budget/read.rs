//! Reads a file of prices and budgets.

use std::{collections::BTreeMap, num::NonZeroU64};

use serde::Deserialize;
use thiserror::Error;

use super::{Budget, Budgets, GOAL, Limit, Of, Per, Price, micro_usd};
use crate::id::{BudgetName, ConnectorName, OperationName};

/// A file that does not hold budgets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}, {place}: {problem}")]
pub struct BadBudgets {
    file: String,
    place: String,
    problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    price: Vec<RawPrice>,
    #[serde(default)]
    budget: Vec<RawBudget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    of: String,
    call_usd: Option<toml::Value>,
    input_usd: Option<toml::Value>,
    output_usd: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    name: String,
    of: String,
    #[serde(default)]
    per: Per,
    usd: Option<toml::Value>,
    tokens: Option<NonZeroU64>,
    calls: Option<NonZeroU64>,
}

pub(super) fn read(file: &str, source: &str) -> Result<Budgets, BadBudgets> {
    let bad = |place: String, problem: String| BadBudgets { file: file.to_owned(), place, problem };
    let raw: File = toml::from_str(source).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(source.len()));
        let line = source[..start].matches('\n').count() + 1;
        bad(format!("line {line}"), error.message().to_owned())
    })?;
    let mut prices = BTreeMap::new();
    for (index, price) in raw.price.into_iter().enumerate() {
        let place = format!("price[{index}]");
        let (of, price) = price.read().map_err(|problem| bad(place.clone(), problem))?;
        if prices.insert(of.clone(), price).is_some() {
            return Err(bad(place, format!("`{of}` has a price already; give each one price")));
        }
    }
    let mut budgets: Vec<Budget> = vec![];
    for (index, budget) in raw.budget.into_iter().enumerate() {
        let place = format!("budget[{index}]");
        let budget = budget.read().map_err(|problem| bad(place.clone(), problem))?;
        if budgets.iter().any(|known| known.name == budget.name) {
            let problem = format!("another budget is called `{}`; names are unique", budget.name);
            return Err(bad(place, problem));
        }
        budgets.push(budget);
    }
    Ok(Budgets { budgets, prices })
}

impl RawPrice {
    fn read(self) -> Result<(String, Price), String> {
        pattern(&self.of)?;
        let price = Price {
            call_micro_usd: amount("call_usd", self.call_usd)?.unwrap_or_default(),
            input_micro_usd: amount("input_usd", self.input_usd)?.unwrap_or_default(),
            output_micro_usd: amount("output_usd", self.output_usd)?.unwrap_or_default(),
        };
        Ok((self.of, price))
    }
}

impl RawBudget {
    fn read(self) -> Result<Budget, String> {
        let name = BudgetName::new(&self.name).map_err(|error| format!("field `name`: {error}"))?;
        if name.as_str() == GOAL {
            return Err(format!(
                "field `name`: `{GOAL}` is what a goal's `cost_max_usd` is called; choose another"
            ));
        }
        let of: Of = self.of.parse().map_err(|problem| format!("field `of`: {problem}"))?;
        if of == Of::EachRun && self.per != Per::Ever {
            return Err(
                "field `per`: a budget of `each-run` is for as long as the run goes; leave it out"
                    .into(),
            );
        }
        let micro_usd = amount("usd", self.usd)?;
        let (tokens, calls) = (self.tokens.map(NonZeroU64::get), self.calls.map(NonZeroU64::get));
        if micro_usd.is_none() && tokens.is_none() && calls.is_none() {
            return Err(format!("`{name}` limits nothing; give `usd`, `tokens` or `calls`"));
        }
        Ok(Budget { name, of, per: self.per, limit: Limit { micro_usd, tokens, calls } })
    }
}

/// What a price is for: `CONNECTOR.OPERATION`, `CONNECTOR.*` or `*`.
fn pattern(of: &str) -> Result<(), String> {
    let fits = of == "*"
        || of.split_once('.').is_some_and(|(connector, operation)| {
            ConnectorName::new(connector).is_ok()
                && (operation == "*" || OperationName::new(operation).is_ok())
        });
    match fits {
        true => Ok(()),
        false => Err(format!(
            "field `of`: {of:?} is no operation; write `CONNECTOR.OPERATION`, `CONNECTOR.*` or `*`"
        )),
    }
}

fn amount(field: &str, value: Option<toml::Value>) -> Result<Option<u64>, String> {
    let text = match value {
        None => return Ok(None),
        Some(toml::Value::Integer(whole)) => whole.to_string(),
        Some(toml::Value::Float(number)) => number.to_string(),
        Some(other) => {
            return Err(format!(
                "field `{field}`: {other} is not an amount; write US dollars: 0.50"
            ));
        }
    };
    let help = "write an amount in US dollars with at most six decimals: 0.50";
    micro_usd(&text)
        .map(Some)
        .map_err(|problem| format!("field `{field}`: {text} is {problem}; {help}"))
}
