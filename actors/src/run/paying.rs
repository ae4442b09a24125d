//! What the calls of a run cost: reserved before they are made, settled after.

use soloist_kernel::{
    budget::{Charge, Cost, Over, Reservation, Usage},
    effect::Write,
    id::{Actor, ConnectorName, OperationName, RunId, StepName},
    journal::ReadError,
    payload::Payload,
    run::{Action, Caller, Command, EffectRef, Event, OpenCall, Payment, Run},
};

use super::{
    CallEnd, Line,
    active::{Active, CarryOutError},
};
use crate::{
    budgets::{self, NotPaid},
    turn::Reply,
    views,
};

/// Who pays for the calls of a run: what does not change as long as it goes.
#[derive(Clone)]
pub(super) struct Payer {
    root: RunId,
    goal: Option<u64>,
}

/// A call that somebody wants to make.
pub(super) struct Wanted<'a> {
    pub(super) step: &'a StepName,
    pub(super) connector: &'a ConnectorName,
    pub(super) operation: &'a OperationName,
    pub(super) arguments: &'a Payload,
}

impl Active {
    fn payer(&mut self) -> Result<Payer, ReadError> {
        if let Some(payer) = &self.payer {
            return Ok(payer.clone());
        }
        let run = self.run.as_ref().expect("a call belongs to a run that has begun");
        let journal = &*self.context.journal;
        let payer = match run.parent {
            None => Payer { root: run.id.clone(), goal: run.cost_max() },
            Some(_) => {
                let root = views::lineage(journal, run)?.runs.pop();
                let root = root.unwrap_or_else(|| run.id.clone());
                Payer { goal: budgets::goal(journal, &root)?, root }
            }
        };
        Ok(self.payer.insert(payer).clone())
    }

    /// The call as it is paid for; `None` if it costs nobody anything.
    fn charge(&mut self, wanted: &Wanted<'_>) -> Result<Option<Charge>, ReadError> {
        // A fork pays for nothing, for it calls nobody.
        if self.context.stage.is_some() {
            return Ok(None);
        }
        let Payer { root, goal } = self.payer()?;
        let run = self.run.as_ref().expect("a call belongs to a run that has begun");
        let (connector, operation) = (wanted.connector.clone(), wanted.operation.clone());
        let ledger = self.context.purse.ledger();
        let budgets = ledger.budgets();
        if goal.is_none() && budgets.is_empty() {
            return Ok(None);
        }
        let price = budgets.price(&connector, &operation);
        let mounted = self.context.mounted();
        let usage = mounted
            .connectors
            .get(&connector)
            .map_or_else(Usage::default, |mounted| mounted.usage_max(&operation, wanted.arguments));
        let agent = run.definition.agent_of(wanted.step).cloned();
        let most = price.unwrap_or_default().cost(usage);
        let charge = Charge {
            run: run.id.clone(),
            workflow: run.workflow.name.clone(),
            goal,
            reservation: Reservation { root, connector, operation, agent, most },
            at: self.context.env.now(),
        };
        let is_charged = goal.is_some()
            || price.is_some_and(|price| !price.is_free())
            || budgets.budgets.iter().any(|budget| budget.covers(&charge));
        Ok(is_charged.then_some(charge))
    }

    /// Reserves in the ledger what the run's next call can cost at most. It is for whoever calls to put that on record.
    fn funded(&mut self, wanted: &Wanted<'_>, must: bool) -> Result<Option<Reservation>, NotPaid> {
        let Some(charge) = self.charge(wanted)? else { return Ok(None) };
        let call = self.run.as_ref().map_or(0, |run| run.spent.calls) + 1;
        self.context.purse.reserve(&*self.context.journal, call, &charge, must)?;
        Ok(Some(charge.reservation))
    }

    /// Begins an attempt of `write`, and has it paid for; tells whether a budget has room for it. What takes something back is
    /// attempted whatever is left.
    pub(super) async fn attempt(
        &mut self,
        step: &StepName,
        effect: &EffectRef,
        write: &Write,
    ) -> Result<bool, CarryOutError> {
        let proposal = &write.proposal;
        let wanted = Wanted {
            step,
            connector: &proposal.connector,
            operation: &proposal.operation,
            arguments: &proposal.arguments,
        };
        let attempt = Command::Attempt { step: step.clone(), effect: effect.clone() };
        let command = match self.funded(&wanted, write.reverses.is_some()) {
            Ok(None) => attempt,
            Ok(Some(reservation)) => Command::Paid {
                command: Box::new(attempt),
                payment: Payment::Reserve(Box::new(reservation)),
            },
            Err(not_paid) => {
                self.not_funded(step, Caller::Write(effect.clone()), not_paid).await?;
                return Ok(false);
            }
        };
        let begun = self.carry_out(command, Actor::kernel()).await;
        self.release();
        begun.map(|_| true)
    }

    /// A turn is about to make a call. It is told the number of the call if that costs something, and nothing at all if there
    /// is no room: then its step waits or has failed, and nobody waits for the turn any more.
    pub(super) async fn reserve(
        &mut self,
        line: Line,
        effect: EffectRef,
        (connector, operation): (ConnectorName, OperationName),
        arguments: Payload,
        reply: Reply<Option<u32>>,
    ) -> Result<(), CarryOutError> {
        self.alive(&line);
        let Line { step, attempt, .. } = line;
        if self.turns.get(&step).is_none_or(|turn| turn.attempt != attempt) {
            return Ok(());
        }
        let wanted = Wanted {
            step: &step,
            connector: &connector,
            operation: &operation,
            arguments: &arguments,
        };
        // One that is still open was lost with the turn that had made it: it is settled before, and this is the next.
        let reservation = match self.funded(&wanted, false) {
            Ok(None) => {
                let _ = reply.send(Ok(None));
                return Ok(());
            }
            Ok(Some(reservation)) => Box::new(reservation),
            Err(not_paid) => {
                self.turns.remove(&step);
                self.under_way.remove(&Action::TakeTurn { step: step.clone(), attempt });
                return self.not_funded(&step, Caller::Turn(attempt), not_paid).await;
            }
        };
        let by = self.actor_of(&step);
        let reserved = self.carry_out(Command::Reserve { step, effect, reservation }, by).await;
        self.release();
        reserved?;
        let call = self.run.as_ref().map(|run| run.spent.calls);
        let _ = reply.send(Ok(call));
        Ok(())
    }

    async fn not_funded(
        &mut self,
        step: &StepName,
        call: Caller,
        not_paid: NotPaid,
    ) -> Result<(), CarryOutError> {
        let over = match not_paid {
            NotPaid::Over(over) => *over,
            // What cannot be read is tried again soon.
            NotPaid::Read(error) => {
                let until = self.context.env.now().after(LOOK_AGAIN);
                Over { account: None, passes: true, until, reason: error.to_string() }
            }
        };
        let (account, reason) = (over.account.clone(), over.reason.clone());
        let command = Command::NotFunded { step: step.clone(), call, over };
        self.carry_out(command, Actor::kernel()).await?;
        if let Some(account) = account {
            self.context.tell_over(&account, &reason).await;
        }
        Ok(())
    }

    /// What was reserved for the run and is not on record is given back.
    fn release(&self) {
        let Some(run) = &self.run else { return };
        self.context.purse.ledger().only(&run.id, |call| run.spent.open_call(call).is_some());
    }

    /// What is paid for an attempt of `effect` that has ended so, if it costs something.
    pub(super) fn payment(
        &self,
        step: &StepName,
        effect: &EffectRef,
        end: &CallEnd,
    ) -> Option<Payment> {
        let open = self.run.as_ref()?.spent.open_of(step, effect)?;
        Some(Payment::Settle { call: open.call, cost: self.cost(open, end) })
    }

    /// What a call has cost that has ended so. One that was answered costs what the other side says, or all that was reserved.
    fn cost(&self, open: &OpenCall, end: &CallEnd) -> Cost {
        let answer = match end {
            Ok(answer) => answer,
            Err(fault) => return open.cost_of_fault(fault.phase),
        };
        let Reservation { connector, operation, most, .. } = &open.reservation;
        let price = self.context.purse.ledger().budgets().price(connector, operation);
        let mounted = self.context.mounted();
        let used = mounted.connectors.get(connector).and_then(|it| it.usage(operation, answer));
        used.map_or(*most, |usage| price.unwrap_or_default().cost(usage))
    }

    /// A turn's call is over.
    pub(super) async fn settle_call(
        &mut self,
        call: u32,
        end: CallEnd,
    ) -> Result<(), CarryOutError> {
        let open = self.run.as_ref().and_then(|run| run.spent.open_call(call));
        let Some(open) = open else { return Ok(()) };
        let cost = self.cost(open, &end);
        self.carry_out(Command::Settle { call, cost }, Actor::kernel()).await.map(drop)
    }

    /// The ledger learns what `events` have settled.
    pub(super) fn keep_books(&self, events: &[Event]) {
        for event in events {
            if let Event::Settled { call, cost, .. } = event {
                self.context.purse.ledger().settle(&self.id, *call, *cost);
            }
        }
        let over = |run: &Run| run.parent.is_none() && run.status.is_over();
        if self.run.as_ref().is_some_and(over) {
            self.context.purse.ledger().forget_run(&self.id);
        }
    }

    /// The ledger learns what the records say that were just read.
    pub(super) fn reconcile(&mut self) -> Result<(), ReadError> {
        if self.run.as_ref().is_none_or(|run| run.spent.calls == 0) {
            return Ok(());
        }
        let root = self.payer()?.root;
        if let Some(run) = &self.run {
            self.context.purse.reconcile(&*self.context.journal, &run.id, &root, &run.spent);
        }
        Ok(())
    }
}

/// How long one waits until what was used is read again, if it cannot be read.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);
