//! What one can ask about money, and do about it.

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use soloist::{budget::micro_usd, views::CostBy};

#[derive(Args)]
pub(crate) struct CostArguments {
    /// What costs are counted by.
    #[arg(long, value_parser = counted_by(), default_value = "day")]
    pub(crate) by: CostBy,

    /// Only calls since then: how long ago, as in 30d, or a date in UTC.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}

/// The words for what costs are counted by.
fn counted_by() -> impl TypedValueParser<Value = CostBy> {
    let words = PossibleValuesParser::new(CostBy::ALL.map(CostBy::word));
    words.map(|word| {
        let known = CostBy::ALL.into_iter().find(|by| by.word() == word);
        known.expect("the parser takes these words and no other")
    })
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
