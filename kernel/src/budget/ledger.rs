//! What has been used of the budgets, and whether a call may be made.
//!
//! The ledger is folded from the runs' records: a reservation is added, and replaced by what its call did cost. Whoever is
//! about to record a reservation adds it here first, so that of two who come at once one sees the other's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{Budget, Budgets, Cost, GOAL, LOOK_AGAIN, Limit, Of, Per, Reservation, Spending};
use crate::{
    id::{BudgetName, RunId, WorkflowName},
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// A call, and who is asked to pay for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its run.
    pub run: RunId,
    /// The run's workflow.
    pub workflow: WorkflowName,
    /// What the goal of the topmost run says that it may cost, in millionths of a US dollar.
    pub goal: Option<u64>,
    /// The call.
    pub reservation: Reservation,
    /// When.
    pub at: Timestamp,
}

/// What is counted together: a budget in one period, or of one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The budget.
    pub budget: BudgetName,
    /// The period: `2026-11-22`, `2026-11`, or nothing.
    pub period: String,
    /// The run, of a budget that is for each run by itself.
    pub run: Option<RunId>,
}

/// There is no room for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// In which account, if it is an account's.
    pub account: Option<Account>,
    /// Whether there may be room later. Where a price is missing there will not be.
    pub passes: bool,
    /// When there may be room again, if nobody raises the budget.
    pub until: Timestamp,
    /// Why, and what to do, for a person.
    pub reason: String,
}

/// A call of a run, by its number there.
type CallId = (RunId, u32);

/// What has been used.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    budgets: Budgets,
    used: BTreeMap<Account, Cost>,
    /// What is reserved and not settled.
    open: BTreeMap<CallId, Charge>,
    raised: BTreeMap<Account, Cost>,
    /// The runs whose use so far is in `used`.
    known: BTreeSet<RunId>,
}

impl Ledger {
    /// An empty ledger for `budgets`.
    #[must_use]
    pub fn new(budgets: Budgets) -> Self {
        Self { budgets, ..Self::default() }
    }

    /// What is priced and limited.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Since when it must know what was spent to be whole at `now`; `None` if no budget is for a time.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let for_a_time = self.budgets.budgets.iter().filter(|budget| budget.of != Of::EachRun);
        for_a_time.map(|budget| budget.per.began(now)).min()
    }

    /// Takes in what a call of an earlier process has cost, or may have.
    pub fn learn(&mut self, call: u32, spending: &Spending) {
        if planted(Mutant::BudgetForgotten) {
            return;
        }
        let charge = charge_of(spending);
        self.add(&charge, spending.cost);
        if !spending.settled {
            self.open.insert((charge.run.clone(), call), charge);
        }
    }

    /// Whether it knows what `run` has used.
    #[must_use]
    pub fn knows(&self, run: &RunId) -> bool {
        self.known.contains(run)
    }

    /// Takes in what `run`, a topmost one, and those beneath it have used so far.
    pub fn learn_run(&mut self, run: &RunId, used: Cost) {
        if self.known.insert(run.clone()) {
            for budget in self.of_each_run() {
                self.used.insert(Account::of_run(budget, run), used);
            }
        }
    }

    /// Forgets what `run` has used: it is over, and its records know.
    pub fn forget_run(&mut self, run: &RunId) {
        if self.known.remove(run) {
            self.used.retain(|account, _| account.run.as_ref() != Some(run));
        }
    }

    fn of_each_run(&self) -> Vec<BudgetName> {
        let each = self.budgets.budgets.iter().filter(|budget| budget.of == Of::EachRun);
        each.map(|budget| budget.name.clone()).chain([goal()]).collect()
    }

    /// Reserves what `charge`, call `call` of its run, can cost at most. What takes something back is let through whatever is
    /// left.
    ///
    /// # Errors
    ///
    /// [`Over`] if there is no room in one of its accounts, or no price; nothing is reserved then. What a run may use is held once
    /// it is known what it [has used](Self::learn_run).
    pub fn reserve(&mut self, call: u32, charge: &Charge, must: bool) -> Result<(), Over> {
        // One of this number that never came to be on record is forgotten.
        self.settle(&charge.run, call, Cost::NOTHING);
        if !must {
            self.has_room(charge)?;
        }
        self.open.insert((charge.run.clone(), call), charge.clone());
        self.add(charge, charge.reservation.most);
        Ok(())
    }

    /// What call `call` of `run` did cost takes the place of what was reserved for it.
    pub fn settle(&mut self, run: &RunId, call: u32, cost: Cost) {
        let Some(charge) = self.open.remove(&(run.clone(), call)) else { return };
        for (account, _) in self.accounts(&charge) {
            let used = self.used.entry(account).or_default();
            *used = used.less(charge.reservation.most).plus(cost);
        }
    }

    /// The calls of `run` that are reserved.
    #[must_use]
    pub fn open_of(&self, run: &RunId) -> Vec<u32> {
        let ours = (run.clone(), 0)..=(run.clone(), u32::MAX);
        self.open.range(ours).map(|((_, call), _)| *call).collect()
    }

    /// Of `run`, only those are reserved that `is_open` says: what did not come to be on record never was.
    pub fn only(&mut self, run: &RunId, is_open: impl Fn(u32) -> bool) {
        for call in self.open_of(run).into_iter().filter(|call| !is_open(*call)) {
            self.settle(run, call, Cost::NOTHING);
        }
    }

    /// Lets `account` be exceeded by `more`.
    pub fn raise(&mut self, account: &Account, more: Cost) {
        let raised = self.raised.entry(account.clone()).or_default();
        *raised = raised.plus(more);
    }

    /// The budgets with what is used of them now, in the order of the configuration. Those of each run are listed for each run
    /// that is known.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Vec<(&Budget, Account, Limit, Cost)> {
        let mut all = vec![];
        for budget in &self.budgets.budgets {
            let accounts: Vec<Account> = match budget.of {
                Of::EachRun => {
                    let own = self.used.keys().filter(|account| account.budget == budget.name);
                    own.cloned().collect()
                }
                _ => vec![budget.account(now, None)],
            };
            for account in accounts {
                let limit = budget.limit.raised(self.raised(&account));
                let used = self.used(&account);
                all.push((budget, account, limit, used));
            }
        }
        all
    }

    /// The account of the budget `name` that is open at `now`, or of `run`.
    #[must_use]
    pub fn account(
        &self,
        name: &BudgetName,
        run: Option<&RunId>,
        now: Timestamp,
    ) -> Option<Account> {
        if name.as_str() == GOAL {
            return Some(Account::of_run(name.clone(), run?));
        }
        let budget = self.budgets.budgets.iter().find(|budget| budget.name == *name)?;
        (run.is_some() == (budget.of == Of::EachRun)).then(|| budget.account(now, run))
    }

    fn has_room(&self, charge: &Charge) -> Result<(), Over> {
        let most = charge.reservation.most;
        let (connector, operation) = (&charge.reservation.connector, &charge.reservation.operation);
        let priced = self.budgets.price(connector, operation).is_some();
        let accounts = self.accounts(charge);
        if let Some((account, _)) = accounts.iter().find(|(_, limit)| limit.micro_usd.is_some())
            && !priced
            && !planted(Mutant::UnpricedIsFree)
        {
            let reason = format!(
                "budget `{}` limits money, and what `{connector}.{operation}` costs is not known; add a [[price]] for it to \
                 the budgets",
                account.budget
            );
            let until = charge.at.after(LOOK_AGAIN);
            return Err(Over { account: None, passes: false, until, reason });
        }
        let over = accounts.into_iter().find_map(|(account, limit)| {
            let limit = limit.raised(self.raised(&account));
            let exceeded = limit.exceeded_by(self.used(&account).plus(most))?;
            Some((account, exceeded))
        });
        let Some((account, exceeded)) = over else { return Ok(()) };
        let per = self.budgets.budgets.iter().find(|budget| budget.name == account.budget);
        let ends = per.and_then(|budget| budget.per.ends(charge.at));
        let until = ends.unwrap_or_else(|| charge.at.after(LOOK_AGAIN));
        let reason = format!("budget {account} has no room for it: it would come to {exceeded}");
        Err(Over { account: Some(account), passes: true, until, reason })
    }

    /// The accounts in which `charge` is counted, with what each allows by itself. What a run has used is counted as soon as it is
    /// known.
    fn accounts(&self, charge: &Charge) -> Vec<(Account, Limit)> {
        let root = &charge.reservation.root;
        let covering = self.budgets.budgets.iter().filter(|budget| budget.covers(charge));
        let covering = covering.map(|budget| {
            let run = (budget.of == Of::EachRun).then_some(root);
            (budget.account(charge.at, run), budget.limit)
        });
        let of_goal = Limit { micro_usd: charge.goal, ..Limit::default() };
        let all = covering.chain([(Account::of_run(goal(), root), of_goal)]);
        all.filter(|(account, _)| account.run.is_none() || self.knows(root)).collect()
    }

    fn add(&mut self, charge: &Charge, cost: Cost) {
        for (account, _) in self.accounts(charge) {
            let used = self.used.entry(account).or_default();
            *used = used.plus(cost);
        }
    }

    fn used(&self, account: &Account) -> Cost {
        self.used.get(account).copied().unwrap_or_default()
    }

    /// By how much `account` was raised.
    #[must_use]
    pub fn raised(&self, account: &Account) -> Cost {
        self.raised.get(account).copied().unwrap_or_default()
    }
}

fn goal() -> BudgetName {
    BudgetName::new(GOAL).expect("`goal` is a name")
}

fn charge_of(spending: &Spending) -> Charge {
    let Spending { at, run, root, workflow, agent, connector, operation, cost, .. } =
        spending.clone();
    let reservation = Reservation { root, connector, operation, agent, most: cost };
    Charge { run, workflow, goal: None, reservation, at }
}

impl Account {
    /// What `run` and those beneath it use of a budget that is for each run.
    fn of_run(budget: BudgetName, run: &RunId) -> Self {
        Self { budget, period: String::new(), run: Some(run.clone()) }
    }
}

impl Budget {
    /// Its account at `at`, or of `run`.
    fn account(&self, at: Timestamp, run: Option<&RunId>) -> Account {
        let per = if self.of == Of::EachRun { Per::Ever } else { self.per };
        Account { budget: self.name.clone(), period: per.period(at), run: run.cloned() }
    }
}

/// `` `models` of 2026-11-22 ``, `` `each` of run mail-1 ``.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.budget)?;
        match &self.run {
            Some(run) => write!(f, " of run {run}"),
            None if self.period.is_empty() => Ok(()),
            None => write!(f, " of {}", self.period),
        }
    }
}
