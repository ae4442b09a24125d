//! Budgets: what calls may cost, for whom, and for how long.
//!
//! What a call can cost at most is **reserved** before it leaves, in a record of its run that is fsynced, and **settled** after
//! it with what it did cost. So no crash and no race can overspend: what was reserved and not settled counts. [`Budgets`] is
//! what the operator says, `read.rs` reads it; [`Ledger`] is what has been used, folded from the runs' records; `raise.rs` is
//! the operator's word that a budget may be exceeded, and by how much. An operation whose price is not known is not called
//! where money is limited.

mod cost;
mod ledger;
mod raise;
mod read;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

pub use cost::{Cost, Price, Usage, micro_usd, usd};
pub use ledger::{Account, Charge, Ledger, Over};
pub use raise::{EVENTS_VERSION, RAISED, Raised, StoredError, decode, encode, project, stream};
pub use read::BadBudgets;

use crate::{
    id::{AgentName, BadName, BudgetName, ConnectorName, OperationName, RunId, WorkflowName},
    time::Timestamp,
};

/// What each call has cost, by day and run: see [`Spending`].
pub const SPENT: &str = "spent";

/// The same by the topmost run, without the rest.
pub const SPENT_RUNS: &str = "spent-runs";

/// What a run and those beneath it may cost, where its goal says so, in millionths of a US dollar.
pub const GOALS: &str = "goals";

/// Runs that have something waiting for a budget.
pub const UNFUNDED: &str = "unfunded";

/// The name of the budget that a goal's `cost_max_usd` is.
pub const GOAL: &str = "goal";

/// How long one waits for a budget that time does not renew, before it is looked at again. The operator raises it, and that
/// wakes who waits; this is for a budget that was made larger in its file.
const LOOK_AGAIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whose calls a budget is for. As text: `everything`, `each-run`, `workflow:NAME`, `agent:NAME`, `connector:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// All calls.
    Everything,
    /// Those of each run and of what is beneath it, for each run by itself.
    EachRun,
    /// Those of the runs of a workflow.
    Workflow(WorkflowName),
    /// Those that an agent makes or proposes.
    Agent(AgentName),
    /// Those of a connector.
    Connector(ConnectorName),
}

/// For how long a budget is. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A day.
    Day,
    /// A month.
    Month,
    /// For as long as there is a journal; of `each-run`, for as long as the run goes.
    #[default]
    Ever,
}

/// What may be used. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Money, in millionths of a US dollar.
    pub micro_usd: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Calls.
    pub calls: Option<u64>,
}

/// A limit on what calls may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: BudgetName,
    /// Whose calls it is for.
    pub of: Of,
    /// For how long it is.
    pub per: Per,
    /// How much it is.
    pub limit: Limit,
}

/// What calls cost, and what they may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The budgets, in the order in which they were given.
    pub budgets: Vec<Budget>,
    /// The prices, by `CONNECTOR.OPERATION`, `CONNECTOR.*` or `*`.
    pub prices: BTreeMap<String, Price>,
}

/// What is done where a budget has no room: what a workflow says with `over_budget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverBudget {
    /// It waits, with what is done so far kept, until there is room again; the operator is told, and can raise the budget.
    #[default]
    Ask,
    /// The step fails for good, so that what its `on_failure` names can stand in for it.
    Fail,
}

/// A call that is about to be made: what its run's record of it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The topmost run above the one that makes it, or that itself.
    pub root: RunId,
    /// Through which connector.
    pub connector: ConnectorName,
    /// What is asked of it.
    pub operation: OperationName,
    /// The agent that makes it or proposed it, if it is one.
    pub agent: Option<AgentName>,
    /// What it can cost at most.
    pub most: Cost,
}

/// What one call has cost, as it is kept beside its run's records in [`SPENT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// When it was reserved.
    pub at: Timestamp,
    /// Its run.
    pub run: RunId,
    /// The topmost run above that, or the run itself.
    pub root: RunId,
    /// The run's workflow.
    pub workflow: WorkflowName,
    /// The agent, if it is one's.
    pub agent: Option<AgentName>,
    /// The connector.
    pub connector: ConnectorName,
    /// The operation.
    pub operation: OperationName,
    /// What was reserved for it; what it did cost, once that is known.
    pub cost: Cost,
    /// Whether that is known.
    pub settled: bool,
}

impl Budgets {
    /// Reads a file of `[[price]]` and `[[budget]]` tables. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// [`BadBudgets`] names the line or the budget, and what to write.
    pub fn parse(file: &str, source: &str) -> Result<Self, BadBudgets> {
        read::read(file, source)
    }

    /// What a call costs, if that is known: by its operation, its connector, or all.
    #[must_use]
    pub fn price(&self, connector: &ConnectorName, operation: &OperationName) -> Option<Price> {
        let patterns = [format!("{connector}.{operation}"), format!("{connector}.*"), "*".into()];
        patterns.iter().find_map(|pattern| self.prices.get(pattern)).copied()
    }

    /// Whether a call of `operation` may be at somebody's expense, whoever makes it: for money, or as one of the calls or tokens
    /// that a budget counts.
    #[must_use]
    pub fn is_charged(&self, connector: &ConnectorName, operation: &OperationName) -> bool {
        let price = self.price(connector, operation);
        let costs = price.is_some_and(|price| !price.is_free());
        let counts = |budget: &Budget| {
            let covers = !matches!(&budget.of, Of::Connector(name) if name != connector);
            let Limit { micro_usd, tokens, calls } = budget.limit;
            let unknown = price.is_none() && micro_usd.is_some();
            covers && (unknown || tokens.is_some() || calls.is_some())
        };
        costs || self.budgets.iter().any(counts)
    }

    /// Whether nothing is priced and nothing limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty() && self.prices.is_empty()
    }
}

impl Budget {
    /// Whether it is for `charge`.
    #[must_use]
    pub fn covers(&self, charge: &Charge) -> bool {
        match &self.of {
            Of::Everything | Of::EachRun => true,
            Of::Workflow(name) => charge.workflow == *name,
            Of::Agent(name) => charge.reservation.agent.as_ref() == Some(name),
            Of::Connector(name) => charge.reservation.connector == *name,
        }
    }
}

impl Limit {
    /// What would be used beyond it with `used`, in words; `None` if nothing would.
    #[must_use]
    pub fn exceeded_by(&self, used: Cost) -> Option<String> {
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        if over(self.micro_usd, used.micro_usd) {
            return Some(format!("{} of {}", usd(used.micro_usd), usd(self.micro_usd?)));
        }
        if over(self.tokens, used.tokens) {
            return Some(format!("{} of {} tokens", used.tokens, self.tokens?));
        }
        if over(self.calls, used.calls) {
            return Some(format!("{} of {} calls", used.calls, self.calls?));
        }
        None
    }

    /// It, and `more` of what it limits.
    #[must_use]
    pub fn raised(self, more: Cost) -> Self {
        let plus = |limit: Option<u64>, more: u64| limit.map(|limit| limit.saturating_add(more));
        Self {
            micro_usd: plus(self.micro_usd, more.micro_usd),
            tokens: plus(self.tokens, more.tokens),
            calls: plus(self.calls, more.calls),
        }
    }
}

impl Per {
    /// The period that `at` is in: `2026-11-22`, `2026-11`, or nothing for ever.
    #[must_use]
    pub fn period(self, at: Timestamp) -> String {
        let day = at.to_string();
        match self {
            Self::Day => day[..10].to_owned(),
            Self::Month => day[..7].to_owned(),
            Self::Ever => String::new(),
        }
    }

    /// When the period that `at` is in is over, if it ever is.
    #[must_use]
    pub fn ends(self, at: Timestamp) -> Option<Timestamp> {
        let start = |day: u64| Timestamp(day * DAY_MS);
        let now = self.period(at);
        match self {
            Self::Day => Some(start(at.day() + 1)),
            Self::Month => {
                (1..=31).map(|days| start(at.day() + days)).find(|day| self.period(*day) != now)
            }
            Self::Ever => None,
        }
    }

    /// When the period that `at` is in began.
    #[must_use]
    pub fn began(self, at: Timestamp) -> Timestamp {
        let now = self.period(at);
        match self {
            Self::Day => Timestamp(at.day() * DAY_MS),
            Self::Month => {
                let days = (0..31).map(|days| Timestamp(at.day().saturating_sub(days) * DAY_MS));
                days.take_while(|day| self.period(*day) == now).last().unwrap_or(at)
            }
            Self::Ever => Timestamp(0),
        }
    }
}

const DAY_MS: u64 = 86_400_000;

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::EachRun => f.write_str("each-run"),
            Self::Workflow(name) => write!(f, "workflow:{name}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::Connector(name) => write!(f, "connector:{name}"),
        }
    }
}

impl FromStr for Of {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help =
            "write `everything`, `each-run`, `workflow:NAME`, `agent:NAME` or `connector:NAME`";
        let named = |error: BadName| format!("{error}; {help}");
        match text.split_once(':') {
            None if text == "everything" => Ok(Self::Everything),
            None if text == "each-run" => Ok(Self::EachRun),
            Some(("workflow", name)) => name.parse().map(Self::Workflow).map_err(named),
            Some(("agent", name)) => name.parse().map(Self::Agent).map_err(named),
            Some(("connector", name)) => name.parse().map(Self::Connector).map_err(named),
            _ => Err(format!("{text:?} names nobody whose calls are counted; {help}")),
        }
    }
}
