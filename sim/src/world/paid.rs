//! What the other side was called for, against what the kernel may spend.
//!
//! It is counted where calls arrive, and knows nothing of what the kernel has on record.

use std::collections::BTreeMap;

use soloist_kernel::{
    budget::{Budget, Budgets, Cost, Of, Per, Price, Usage},
    id::{BudgetName, OperationName},
};

/// Calls that have arrived, and what they may come to.
#[derive(Default)]
pub(crate) struct Paid {
    budgets: Budgets,
    /// By connector and operation.
    calls: BTreeMap<(String, String), Cost>,
    /// What the operator has allowed beyond each budget.
    raised: BTreeMap<BudgetName, Cost>,
}

impl Paid {
    pub(crate) fn is_to_hold(&mut self, budgets: Budgets) {
        self.budgets = budgets;
    }

    /// The operator is about to allow `more`.
    pub(crate) fn raises(&mut self, budget: &BudgetName, more: Cost) {
        let raised = self.raised.entry(budget.clone()).or_default();
        *raised = raised.plus(more);
    }

    /// A call of `operation` arrives at `connector`. Returns what is wrong with that.
    pub(crate) fn arrives(&mut self, connector: &str, operation: &str) -> Option<String> {
        let price = self.price(connector, operation);
        let limited =
            |budget: &Budget| budget.limit.micro_usd.is_some() && covers(budget, connector);
        if price.is_none() && self.budgets.budgets.iter().any(limited) {
            return Some(format!("{connector}.{operation} has no price, and is called"));
        }
        self.count(connector, operation, Cost::CALL)
    }

    /// It did what it was asked for, and bills that: what it refuses costs nothing. Returns what is wrong with that.
    pub(crate) fn bills(&mut self, connector: &str, operation: &str) -> Option<String> {
        let cost = self.price(connector, operation)?.cost(Usage::default());
        self.count(connector, operation, cost.less(Cost::CALL))
    }

    fn price(&self, connector: &str, operation: &str) -> Option<Price> {
        let operation = OperationName::new(operation).ok()?;
        self.budgets.price(&connector.parse().ok()?, &operation)
    }

    /// Budgets of a day or of a run are the kernel's own to count: the other side knows neither.
    fn count(&mut self, connector: &str, operation: &str, cost: Cost) -> Option<String> {
        let known = self.calls.entry((connector.to_owned(), operation.to_owned())).or_default();
        *known = known.plus(cost);
        let covering = self.budgets.budgets.iter().filter(|budget| covers(budget, connector));
        covering.into_iter().find_map(|budget| {
            let calls = self.calls.iter().filter(|((at, _), _)| covers(budget, at));
            let used = calls.fold(Cost::NOTHING, |sum, (_, cost)| sum.plus(*cost));
            let more = self.raised.get(&budget.name).copied().unwrap_or_default();
            let exceeded = budget.limit.raised(more).exceeded_by(used)?;
            Some(format!("what was called for `{}` comes to {exceeded}", budget.name))
        })
    }

    /// The calls that have arrived, by connector and operation.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (String, u64)> {
        self.calls.iter().map(|((at, what), cost)| (format!("{at}.{what}"), cost.calls))
    }

    /// Whether anything is limited.
    pub(crate) fn is_limited(&self) -> bool {
        !self.budgets.is_empty()
    }
}

/// Whether `budget` is one that is for calls at `connector`, and that the other side can count.
fn covers(budget: &Budget, connector: &str) -> bool {
    budget.per == Per::Ever
        && match &budget.of {
            Of::Everything => true,
            Of::Connector(name) => name.as_str() == connector,
            Of::EachRun | Of::Workflow(_) | Of::Agent(_) => false,
        }
}
