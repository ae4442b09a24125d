//! What one can ask about money, and do about it.

use clap::{Args, Subcommand, ValueEnum};
use soloist::{budget::micro_usd, views};

#[derive(Args)]
pub(crate) struct CostArguments {
    /// What costs are counted by.
    #[arg(long, value_enum, default_value_t = By::Day)]
    pub(crate) by: By,

    /// Only calls since then: how long ago, as in 30d, or a date in UTC.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum By {
    Agent,
    Workflow,
    Run,
    Day,
    Month,
    Connector,
    Operation,
}

impl From<By> for views::CostBy {
    fn from(by: By) -> Self {
        match by {
            By::Agent => Self::Agent,
            By::Workflow => Self::Workflow,
            By::Run => Self::Run,
            By::Day => Self::Day,
            By::Month => Self::Month,
            By::Connector => Self::Connector,
            By::Operation => Self::Operation,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum BudgetCommand {
    /// List the budgets, and what is used of them now.
    List,
    /// Let a budget be exceeded, in the period that is now or by one run, and have what waits for it go on.
    Raise {
        /// Its name; `goal` is what the goal of a run says that it may cost.
        name: String,
        /// Of which run, if the budget is for each run by itself.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// By how many US dollars.
        #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "0")]
        usd: u64,
        /// By how many tokens.
        #[arg(long, value_name = "N", default_value_t = 0)]
        tokens: u64,
        /// By how many calls.
        #[arg(long, value_name = "N", default_value_t = 0)]
        calls: u64,
        /// Why.
        #[arg(long, default_value = "the operator raised it")]
        reason: String,
    },
}

fn amount(text: &str) -> Result<u64, String> {
    micro_usd(text).map_err(|problem| {
        format!("it is {problem}; write an amount in US dollars with at most six decimals: 0.50")
    })
}
