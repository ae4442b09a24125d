//! `soloist cost` and `soloist budget`: what calls have cost, and what they may cost.

use serde_json::Value;
use soloist::{
    budget::{Cost, usd},
    operator::Request,
};

use super::{ask::asked, decisions::since_ms};
use crate::{
    cli::{BudgetCommand, CostArguments},
    config::Config,
    report::{Failure, entries, table, text},
};

pub(crate) async fn cost(
    config: &Config,
    arguments: CostArguments,
    json: bool,
) -> Result<(), Failure> {
    let CostArguments { by, since } = arguments;
    let request = Request::Costs { by, since_ms: since_ms(since.as_deref())? };
    asked(config, request, json, show_costs).await
}

pub(crate) async fn budget(
    config: &Config,
    what: BudgetCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        BudgetCommand::List => asked(config, Request::Budgets, json, show_budgets).await,
        BudgetCommand::Raise { name, run, usd, tokens, calls, reason } => {
            let more = Cost { micro_usd: usd, tokens, calls };
            let request = Request::RaiseBudget { budget: name, run, more, reason };
            asked(config, request, json, |answer| {
                let of = match (text(answer, "/run"), text(answer, "/period")) {
                    (run, _) if !run.is_empty() => format!(" of run {run}"),
                    (_, period) if !period.is_empty() => format!(" of {period}"),
                    _ => String::new(),
                };
                say!("Budget `{}`{of} is raised by {more}.", text(answer, "/budget"));
            })
            .await
        }
    }
}

fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

fn show_costs(answer: &Value) {
    let rows = entries(answer);
    if rows.is_empty() {
        return say!("No call has cost anything.");
    }
    let count = |row: &Value, pointer: &str| number(row, pointer).unwrap_or_default();
    let row = |row: &Value| {
        vec![
            text(row, "/of"),
            usd(count(row, "/micro_usd")),
            text(row, "/tokens"),
            text(row, "/calls"),
            text(row, "/open"),
        ]
    };
    let mut shown: Vec<Vec<String>> = rows.iter().map(row).collect();
    if rows.len() > 1 {
        let sum = |pointer: &str| rows.iter().map(|row| count(row, pointer)).sum::<u64>();
        shown.push(vec![
            "all".into(),
            usd(sum("/micro_usd")),
            sum("/tokens").to_string(),
            sum("/calls").to_string(),
            sum("/open").to_string(),
        ]);
    }
    table(&["OF", "COST", "TOKENS", "CALLS", "UNDER WAY"], &shown);
}

fn show_budgets(answer: &Value) {
    let budgets = entries(answer);
    if budgets.is_empty() {
        return say!("No budget is set; see `budgets` in docs/operator.md.");
    }
    let of = |budget: &Value, what: &str, shown: fn(u64) -> String| {
        let limit = number(budget, &format!("/limit/{what}"));
        let used = number(budget, &format!("/used/{what}")).unwrap_or_default();
        limit.map(|limit| format!("{} of {}", shown(used), shown(limit))).unwrap_or_default()
    };
    let row = |budget: &Value| {
        let period = match text(budget, "/run") {
            run if !run.is_empty() => run,
            _ => text(budget, "/period"),
        };
        vec![
            text(budget, "/name"),
            text(budget, "/of"),
            period,
            of(budget, "micro_usd", usd),
            of(budget, "tokens", |tokens| tokens.to_string()),
            of(budget, "calls", |calls| calls.to_string()),
        ]
    };
    let rows: Vec<Vec<String>> = budgets.iter().map(row).collect();
    table(&["BUDGET", "OF", "PERIOD OR RUN", "MONEY", "TOKENS", "CALLS"], &rows);
}
