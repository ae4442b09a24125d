//! Supervisors: they start children in order, restart what ends as their strategy says, and stop in reverse order.
//!
//! The strategy is a pure function (`supervisor/strategy.rs`), `supervisor/spec.rs` what is known of a child; this actor
//! carries out what the strategy decides. Children are kept in our own order (`supervisor/children.rs`), because ractor keeps
//! them in a `HashMap`.
//! Children come and go while it runs: what is added lasts until the supervisor itself is started again, which asks for its
//! children anew.

mod children;
mod spec;
pub(crate) mod strategy;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ractor::{ActorCell, RactorErr};
use soloist_kernel::time::Timestamp;
use tokio::{sync::oneshot, time::Instant};

pub use self::strategy::{AutoShutdown, Restart, Strategy};
use self::{
    children::{Child, Children},
    spec::Living,
    strategy::{History, Verdict, after_exit},
};
pub(crate) use self::{
    spec::{Shutdown, Spec},
    strategy::{Exit, Flags},
};
use crate::{
    actor::{Address, Behaviour, Ended, Error},
    context::{Context, Counters},
    tree::Spot,
};

/// How long a killed child is waited for: it ends at its next await.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Deaths that are kept as evidence.
const EVIDENCE_MAX: usize = 10;

/// What a supervisor is told.
pub(crate) enum Message {
    /// The wait before a restart is over.
    Due { children: Vec<u64> },
    /// Start another child, the last in order.
    Add { spec: Spec, reply: oneshot::Sender<Result<(), String>> },
    /// Stop a child and forget it; told whether it was there.
    Remove { name: String, reply: oneshot::Sender<bool> },
}

/// A supervisor.
pub(crate) struct Supervisor {
    me: Address<Message>,
    flags: Flags,
    context: Arc<Context>,
    spot: Spot,
    children: Children,
    history: History,
    evidence: VecDeque<Death>,
}

pub(crate) struct Arguments {
    pub(crate) flags: Flags,
    pub(crate) context: Arc<Context>,
    /// Where it is in the tree.
    pub(crate) spot: Spot,
    pub(crate) children: Vec<Spec>,
}

/// How a child died, and what it was doing.
#[derive(Clone, Debug)]
struct Death {
    at: Timestamp,
    child: String,
    reason: String,
    work: Option<&'static str>,
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, child, reason, work } = self;
        write!(f, "`{child}` died at {at}")?;
        if let Some(work) = work {
            write!(f, " over `{work}`")?;
        }
        write!(f, ": {reason}")
    }
}

impl Behaviour for Supervisor {
    type Message = Message;
    type Arguments = Arguments;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Due { .. } => "restart",
            Message::Add { .. } => "add a child",
            Message::Remove { .. } => "remove a child",
        }
    }

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, Error> {
        let Arguments { flags, context, spot, children } = arguments;
        let (history, evidence) = (History::new(), VecDeque::new());
        context.registry.set_supervisor(spot.path(), me.clone());
        let adopted = Children::default();
        let mut new = Self { me, flags, context, spot, children: adopted, history, evidence };
        for spec in children {
            new.adopt(spec);
        }
        for child in new.children.ids() {
            if let Err(reason) = new.start_child(child).await {
                new.stop_all().await;
                return Err(format!("`{}` did not start: {reason}", new.name(child)).into());
            }
        }
        Ok(new)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Due { children } => self.start_again(children).await,
            Message::Add { spec, reply } => {
                let _ = reply.send(self.add(spec).await);
                Ok(())
            }
            Message::Remove { name, reply } => {
                let child = self.children.named(&name);
                if let Some(child) = child {
                    self.stop_child(child).await;
                    self.children.forget(child);
                }
                let _ = reply.send(child.is_some());
                Ok(())
            }
        }
    }

    async fn child_ended(&mut self, actor: u64, ended: Ended) -> Result<(), Error> {
        match self.children.of_actor(actor) {
            Some(child) => self.ended(child, ended).await,
            None => Ok(()),
        }
    }

    async fn stop(&mut self) {
        self.stop_all().await;
    }
}

impl Supervisor {
    fn adopt(&mut self, spec: Spec) -> u64 {
        let place = self.spot.place(&spec.name, spec.strategy, spec.restart);
        self.children.adopt(spec, place)
    }

    async fn add(&mut self, spec: Spec) -> Result<(), String> {
        if self.children.named(&spec.name).is_some() {
            return Err(format!("there is a child `{}` already", spec.name));
        }
        let child = self.adopt(spec);
        let started = self.start_child(child).await;
        if started.is_err() {
            self.children.forget(child);
        }
        started
    }

    fn name(&self, child: u64) -> &str {
        self.children.get(child).map_or("", |child| &child.spec.name)
    }

    async fn start_child(&mut self, child: u64) -> Result<(), String> {
        let Some(Child { spec, place, .. }) = self.children.get(child) else { return Ok(()) };
        let started = spec.start(self.me.cell(), place).await.map_err(|error| error.to_string())?;
        self.children.lives(child, started);
        Ok(())
    }

    async fn stop_child(&mut self, child: u64) {
        let Some(Living { cell, .. }) = self.children.take_living(child) else { return };
        let Some(Child { spec, place, .. }) = self.children.get(child) else { return };
        if !stopped(&cell, spec.shutdown).await {
            if spec.shutdown != Shutdown::BrutalKill {
                tracing::warn!(path = place.spot().path(), "it did not stop in time and is killed");
            }
            kill(&cell).await;
        }
        place.ended(None);
    }

    async fn stop_all(&mut self) {
        for child in self.children.ids().into_iter().rev() {
            self.stop_child(child).await;
        }
    }

    /// A child has ended by itself, or did not start: so may the next one, while it is seen to.
    async fn ended(&mut self, child: u64, ended: Ended) -> Result<(), Error> {
        self.died(child, &ended);
        if self.context.halted.borrow().is_some() {
            return Ok(());
        }
        let exit = match ended {
            Ended::Normally => Exit::Normal,
            Ended::Failed(_) => Exit::Abnormal,
        };
        let all = self.concerned(child);
        let Some(index) = all.iter().position(|id| *id == child) else { return Ok(()) };
        let seen = all.iter().filter_map(|id| self.children.get(*id));
        let seen: Vec<_> = seen.map(Child::seen).collect();
        let named = |indices: Vec<usize>| indices.into_iter().map(|index| all[index]).collect();
        let now = Instant::now();
        match after_exit(&self.flags, &seen, index, exit, &mut self.history, now) {
            Verdict::Leave { forget } => {
                if forget {
                    self.children.forget(child);
                }
                Ok(())
            }
            Verdict::Restart { stop, forget, start, after } => {
                self.restart(named(stop), named(forget), named(start), after).await;
                Ok(())
            }
            Verdict::ShutDown => {
                self.stop_all().await;
                self.me.stop();
                Ok(())
            }
            Verdict::GiveUp => Err(self.give_up(child).await),
        }
    }

    /// Whom the end of `child` may concern, in order. Where it is the child alone, the others are not looked at.
    fn concerned(&self, child: u64) -> Vec<u64> {
        match (self.flags.strategy, self.flags.auto_shutdown) {
            (Strategy::OneForOne, AutoShutdown::Never | AutoShutdown::AnySignificant) => {
                vec![child]
            }
            _ => self.children.ids(),
        }
    }

    fn died(&mut self, child: u64, ended: &Ended) {
        self.children.take_living(child);
        let Some(Child { spec, place, .. }) = self.children.get(child) else { return };
        let Ended::Failed(reason) = ended else {
            place.ended(None);
            return;
        };
        let work = place.ended(Some(reason));
        if spec.strategy.is_some() {
            // The last reason of a supervisor holds evidence of its own, and that of all would multiply on the way up.
            self.evidence.retain(|death| death.child != spec.name);
        }
        let (child, at) = (spec.name.clone(), self.context.env.now());
        let death = Death { at, child, reason: reason.clone(), work };
        tracing::warn!(path = place.spot().path(), reason, work, "an actor died");
        self.evidence.push_back(death);
        if self.evidence.len() > EVIDENCE_MAX {
            self.evidence.pop_front();
        }
    }

    async fn restart(
        &mut self,
        stop: Vec<u64>,
        forget: Vec<u64>,
        start: Vec<u64>,
        after: Duration,
    ) {
        for child in stop {
            self.stop_child(child).await;
        }
        for child in start.iter().filter_map(|child| self.children.get(*child)) {
            child.place.restarts(after);
            Counters::add(&self.context.counters.actors_restarted);
        }
        for child in forget {
            self.children.forget(child);
        }
        // The restart is a message of its own, so that what else has ended by then is seen to first.
        let due = move || Message::Due { children: start };
        if after.is_zero() {
            let _ = self.me.send(due());
        } else {
            self.me.send_after(after, due);
        }
    }

    /// Starts those of `children` that are there and do not live, in order. What does not start has ended at once.
    async fn start_again(&mut self, children: Vec<u64>) -> Result<(), Error> {
        for child in children {
            if self.children.get(child).is_none_or(Child::is_living) {
                continue;
            }
            if let Err(reason) = self.start_child(child).await {
                return self.ended(child, Ended::Failed(reason)).await;
            }
        }
        Ok(())
    }

    async fn give_up(&mut self, child: u64) -> Error {
        let evidence: Vec<String> = self.evidence.iter().map(ToString::to_string).collect();
        let problem = format!(
            "`{}` dies again and again, more than {} times in {} s; {}",
            self.name(child),
            self.flags.intensity,
            self.flags.period.as_secs_f64(),
            evidence.join("; ")
        );
        tracing::error!(path = self.spot.path(), problem, "the supervisor gives up");
        self.stop_all().await;
        problem.into()
    }
}

/// Whether the child stopped as its specification has it.
async fn stopped(cell: &ActorCell, shutdown: Shutdown) -> bool {
    let limit = match shutdown {
        Shutdown::BrutalKill => return false,
        Shutdown::After(limit) => Some(limit),
        Shutdown::Infinity => None,
    };
    // One that is gone already has stopped.
    !matches!(cell.stop_and_wait(None, limit).await, Err(RactorErr::Timeout))
}

async fn kill(cell: &ActorCell) {
    let _ = cell.kill_and_wait(Some(KILL_TIMEOUT)).await;
}
