//! What calls may cost: the ledger that every call asks which costs something, and the operator's word that it may be more.
//!
//! The ledger is the fold of the runs' reservations and of what they were settled with. It is asked before a reservation is
//! recorded, so that of calls that come at once each sees the others', and it is rebuilt from the records when a kernel opens.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use serde::Serialize;
use soloist_kernel::{
    budget::{self, Account, Budget, Budgets, Charge, Cost, Ledger, Limit, Over, Raised},
    id::{BudgetName, RunId},
    incident::What,
    journal::{Append, Entry, Journal, ProjectionKey, ReadError, StreamSeq},
    mutant::{Mutant, planted},
    run::{Command, Spent, project::spent_run_key},
    time::Timestamp,
};
use thiserror::Error;

use crate::{
    context::Context,
    control::SetError,
    handle::Soloist,
    incidents,
    run::{Asked, by_whom},
    runs, views,
};

/// The ledger of a kernel.
pub(crate) struct Purse {
    ledger: Mutex<Ledger>,
    /// Held by whoever raises a budget: the place in the stream.
    raising: tokio::sync::Mutex<()>,
}

/// Why a call is not paid for.
#[derive(Debug, Error)]
pub(crate) enum NotPaid {
    /// There is no room.
    #[error("{}", .0.reason)]
    Over(Box<Over>),
    /// What was used cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A budget, and what is used of it in the period that is now, or by one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    /// Its name.
    pub name: BudgetName,
    /// Whose calls it is for: `connector:model`.
    pub of: String,
    /// The period: `2026-11-22`, `2026-11`, or nothing.
    pub period: String,
    /// The run, of a budget that is for each run by itself.
    pub run: Option<RunId>,
    /// What may be used, with what it was raised by.
    pub limit: Limit,
    /// What is used, and what calls under way may use.
    pub used: Cost,
}

/// A budget that is not raised.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadRaise {
    /// It is not there, or is not for that.
    #[error("there is no budget `{name}` {of}; there is {there}")]
    Unknown {
        /// As it was named.
        name: String,
        /// Whether it was of a run.
        of: &'static str,
        /// Which there are.
        there: String,
    },
    /// By nothing.
    #[error("it is raised by nothing; say by how many dollars, tokens or calls")]
    Nothing,
}

impl Purse {
    /// The ledger for `budgets`, as the journal says at `now`.
    pub(crate) fn load(
        journal: &dyn Journal,
        budgets: Budgets,
        now: Timestamp,
    ) -> Result<Self, ReadError> {
        let mut ledger = Ledger::new(budgets);
        if let Some(since) = ledger.since(now) {
            let from = format!("{:06}", since.day());
            views::each_row_after(journal, budget::SPENT, "", &from, |key, bytes| {
                let call = key.rsplit_once('/').and_then(|(_, call)| call.parse().ok());
                if let (Some(call), Ok(spending)) = (call, serde_json::from_slice(bytes)) {
                    ledger.learn(call, &spending);
                }
                Ok::<_, ReadError>(())
            })?;
        }
        views::each_row(journal, budget::RAISED, "", |_, bytes| {
            if let Ok((account, more)) = serde_json::from_slice::<(Account, Cost)>(bytes) {
                ledger.raise(&account, more);
            }
            Ok::<_, ReadError>(())
        })?;
        Ok(Self { ledger: Mutex::new(ledger), raising: tokio::sync::Mutex::default() })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("counting costs does not panic")
    }

    /// Reserves what `charge`, call `call` of its run, can cost.
    pub(crate) fn reserve(
        &self,
        journal: &dyn Journal,
        call: u32,
        charge: &Charge,
        must: bool,
    ) -> Result<(), NotPaid> {
        let mut ledger = self.ledger();
        let root = &charge.reservation.root;
        if !ledger.knows(root) {
            let mut used = Cost::NOTHING;
            if !planted(Mutant::BudgetForgotten) {
                views::each_row(journal, budget::SPENT_RUNS, &format!("{root}/"), |_, bytes| {
                    used = used.plus(serde_json::from_slice(bytes).unwrap_or_default());
                    Ok::<_, ReadError>(())
                })?;
            }
            ledger.learn_run(root, used);
        }
        ledger.reserve(call, charge, must).map_err(|over| NotPaid::Over(Box::new(over)))
    }

    /// Has the ledger say of `run` what its records say: an actor of it may have died between the two. A call that is on its way
    /// to the journal is not known there yet, and stays reserved.
    pub(crate) fn reconcile(
        &self,
        journal: &dyn Journal,
        run: &RunId,
        root: &RunId,
        spent: &Spent,
    ) {
        let mut ledger = self.ledger();
        for call in ledger.open_of(run) {
            if call <= spent.calls && spent.open_call(call).is_none() {
                let row = journal.projection(&spent_run_key(root, run, call)).ok().flatten();
                let cost = row.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                ledger.settle(run, call, cost.unwrap_or_default());
            }
        }
    }
}

impl Context {
    /// Tells the operator that `account` has no room, unless that is in the inbox.
    pub(crate) async fn tell_over(&self, account: &Account, reason: &str) {
        let what = What::OverBudget { account: account.clone(), reason: reason.to_owned() };
        if let Err(error) = incidents::raise(self, what, vec![]).await {
            tracing::error!(%error, %account, "failed to put it on record that a budget has no room");
        }
    }
}

impl Soloist {
    /// The budgets there are, and what is used of them now. Those of each run are listed for the runs that are in memory.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetView> {
        let ledger = self.context().purse.ledger();
        let standing = ledger.standing(self.context().env.now());
        let view = |(budget, account, limit, used): (&Budget, Account, Limit, Cost)| BudgetView {
            name: budget.name.clone(),
            of: budget.of.to_string(),
            period: account.period,
            run: account.run,
            limit,
            used,
        };
        standing.into_iter().map(view).collect()
    }

    /// Lets the budget `name` be exceeded by `more` in the period that is now, or by `run`, of one that is for each run; and has
    /// everyone who waits for a budget try again. Returns once that is on disk. The budget `goal` is what the goal of `run` says.
    ///
    /// # Errors
    ///
    /// [`SetError`]; nothing is raised then.
    pub async fn raise_budget(
        &self,
        name: &BudgetName,
        run: Option<&RunId>,
        more: Cost,
        reason: &str,
    ) -> Result<Account, SetError> {
        let context = self.context().clone();
        let account = account(&context, name, run)?;
        if more.is_nothing() {
            return Err(BadRaise::Nothing.into());
        }
        let by = "operator".to_owned();
        let raised = Raised { account: account.clone(), more, by, reason: reason.to_owned() };
        // Carried out to its end even if nobody waits for it any more: what is on record and what is counted are one.
        let done = tokio::spawn(async move { raise(&context, raised).await });
        done.await.unwrap_or_else(|died| Err(SetError::Died(died.to_string())))?;
        Ok(account)
    }
}

fn account(context: &Context, name: &BudgetName, run: Option<&RunId>) -> Result<Account, BadRaise> {
    let ledger = context.purse.ledger();
    ledger.account(name, run, context.env.now()).ok_or_else(|| {
        let budgets = ledger.budgets().budgets.iter();
        let there: Vec<String> =
            budgets.map(|budget| format!("`{}` of {}", budget.name, budget.of)).collect();
        BadRaise::Unknown {
            name: name.to_string(),
            of: if run.is_some() { "of each run" } else { "of a period" },
            there: if there.is_empty() { "none".into() } else { there.join(", ") },
        }
    })
}

async fn raise(context: &Context, raised: Raised) -> Result<(), SetError> {
    let _raising = context.purse.raising.lock().await;
    let journal = &*context.journal;
    let before = context.purse.ledger().raised(&raised.account);
    let stream = budget::stream();
    let last = journal.stream_head(&stream)?;
    let entry = Entry {
        stream,
        stream_seq: StreamSeq(last.0 + 1),
        at: context.env.now(),
        actor: by_whom(&raised.by),
        causation: None,
        correlation: raised.account.run.clone(),
        kind: "budget.raised".into(),
        version: budget::EVENTS_VERSION,
        payload: budget::encode(&raised),
    };
    let projections = vec![budget::project(&raised, before)];
    let append = Append { entries: vec![entry], projections, ..Append::default() };
    context.log.durable(append).await.inspect_err(|error| {
        if let soloist_kernel::journal::AppendError::Stopped(stopped) = error {
            context.halt(&stopped.to_string());
        }
    })?;
    context.purse.ledger().raise(&raised.account, raised.more);
    // Before anybody is woken: who finds again that there is no room says so anew.
    incidents::settle_over_budget(context, &raised.account, &raised.by).await;
    if let Some(runs) = context.registry.runs()
        && !planted(Mutant::RaiseWakesNobody)
    {
        let _ = runs.send(runs::Message::Funded);
    }
    Ok(())
}

/// The runs that wait for a budget.
pub(crate) fn unfunded(journal: &dyn Journal) -> Result<BTreeSet<RunId>, ReadError> {
    let mut found = BTreeSet::new();
    views::each_row(journal, budget::UNFUNDED, "", |key, _| {
        found.extend(RunId::new(key).ok());
        Ok::<_, ReadError>(())
    })?;
    Ok(found)
}

/// What a run is told for that when there may be room again.
pub(crate) fn funded() -> Asked {
    Asked::Command { command: Box::new(Command::Fund), by: "kernel".to_owned(), reply: None }
}

/// What the goal of `root` says that it and those beneath it may cost, in millionths of a US dollar.
pub(crate) fn goal(journal: &dyn Journal, root: &RunId) -> Result<Option<u64>, ReadError> {
    let found = journal.projection(&ProjectionKey::new(budget::GOALS, root.as_str()))?;
    Ok(found.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?))))
}
