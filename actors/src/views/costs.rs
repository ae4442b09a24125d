//! What calls have cost, by whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    budget::{self, Cost, Spending},
    journal::{Journal, ReadError},
    time::Timestamp,
};

use super::each_row_after;

/// What costs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBy {
    /// The agent that made or proposed the call; those of none are counted together.
    Agent,
    /// The workflow of the run.
    Workflow,
    /// The topmost run.
    Run,
    /// The day, in UTC.
    Day,
    /// The month, in UTC.
    Month,
    /// The connector.
    Connector,
    /// The operation.
    Operation,
}

/// What the calls of one agent, workflow, run or day have cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CostRow {
    /// Of which. Calls of no agent are those of `-`.
    pub of: String,
    /// What they have cost, and what those under way may cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Calls that are under way, or whose end is not known yet.
    pub open: u64,
}

/// What calls have cost that were made since `since`, by `by`: in the order of time for days and months, and else the dearest
/// first.
///
/// # Errors
///
/// [`ReadError`].
pub fn costs(
    journal: &dyn Journal,
    by: CostBy,
    since: Timestamp,
) -> Result<Vec<CostRow>, ReadError> {
    let mut rows: BTreeMap<String, (Cost, u64)> = BTreeMap::new();
    let from = format!("{:06}", since.day());
    each_row_after(journal, budget::SPENT, "", &from, |_, bytes| {
        if let Ok(spending) = serde_json::from_slice::<Spending>(bytes)
            && spending.at >= since
        {
            let (cost, open) = rows.entry(by.of(&spending)).or_default();
            *cost = cost.plus(spending.cost);
            *open += u64::from(!spending.settled);
        }
        Ok::<_, ReadError>(())
    })?;
    let row = |(of, (cost, open))| CostRow { of, cost, open };
    let mut rows: Vec<CostRow> = rows.into_iter().map(row).collect();
    if !matches!(by, CostBy::Day | CostBy::Month) {
        let dear = |row: &CostRow| (row.cost.micro_usd, row.cost.tokens, row.cost.calls);
        rows.sort_by(|a, b| dear(b).cmp(&dear(a)).then_with(|| a.of.cmp(&b.of)));
    }
    Ok(rows)
}

impl CostBy {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Agent,
        Self::Workflow,
        Self::Run,
        Self::Day,
        Self::Month,
        Self::Connector,
        Self::Operation,
    ];

    /// It in a word, as a request has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Workflow => "workflow",
            Self::Run => "run",
            Self::Day => "day",
            Self::Month => "month",
            Self::Connector => "connector",
            Self::Operation => "operation",
        }
    }

    fn of(self, spending: &Spending) -> String {
        let Spending { at, root, workflow, agent, connector, operation, .. } = spending;
        match self {
            Self::Agent => agent.as_ref().map_or_else(|| "-".into(), ToString::to_string),
            Self::Workflow => workflow.to_string(),
            Self::Run => root.to_string(),
            Self::Day => at.to_string()[..10].to_owned(),
            Self::Month => at.to_string()[..7].to_owned(),
            Self::Connector => connector.to_string(),
            Self::Operation => format!("{connector}.{operation}"),
        }
    }
}
