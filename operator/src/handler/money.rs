//! What calls cost, what they may cost, and the operator's word that it may be more.

use serde_json::{Value, json};
use soloist_actors::{
    Soloist,
    views::{self, CostBy},
};
use soloist_kernel::{
    budget::Cost,
    id::{BudgetName, RunId},
    journal::Journal,
    time::Timestamp,
};

use super::to_json;
use crate::request::Problem;

pub(super) fn costs(
    journal: &dyn Journal,
    by: CostBy,
    since_ms: Option<u64>,
) -> Result<Value, Problem> {
    let since = Timestamp(since_ms.unwrap_or_default());
    to_json(&views::costs(journal, by, since).map_err(Problem::new)?)
}

pub(super) fn budgets(soloist: &Soloist) -> Result<Value, Problem> {
    to_json(&soloist.budgets())
}

pub(super) async fn raise(
    soloist: &Soloist,
    budget: &str,
    run: Option<&str>,
    more: Cost,
    reason: &str,
) -> Result<Value, Problem> {
    let name: BudgetName = budget.parse().map_err(Problem::new)?;
    let run: Option<RunId> = run.map(str::parse).transpose().map_err(Problem::new)?;
    let raised = soloist.raise_budget(&name, run.as_ref(), more, reason).await;
    let account = raised.map_err(Problem::new)?;
    Ok(
        json!({ "budget": account.budget, "period": account.period, "run": account.run, "more": more }),
    )
}
