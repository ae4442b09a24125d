//! The supervisor of runs: starts the actor of a run when there is something for it, and lets it leave when there is not.
//!
//! A run that only waits for the operator costs disk and no memory. An actor that wants to leave says how many messages from
//! outside it has handled; if more were delivered by then, it stays. So none is lost between the two.
//!
//! A run whose actor dies starts again from the journal. Each run has an intensity of its own: one that dies again and again
//! is set aside as an incident with its evidence, and its neighbours do not notice.

mod active;
mod archived;
pub(crate) mod aside;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use soloist_kernel::{
    id::{InboxId, RunId},
    incident::{Death, What},
    journal::{Journal, ReadError},
    mutant::{Mutant, planted},
    run::{
        RunSummary,
        project::{self, Ended as RunEnded},
    },
    workflow::Priority,
};
use tokio::{sync::oneshot, time::Instant};

use self::active::Actives;
use crate::{
    actor::{Address, Behaviour, Ended, Error, MAILBOX_MAX, spawn},
    budgets,
    context::{Context, Counters},
    handle::{DecideError, StartError},
    incidents,
    run::{self, Active, Asked, Begin},
    supervisor::{
        Exit, Flags, Restart, Strategy,
        strategy::{Child, History, Verdict, after_exit},
    },
    tree::Tells,
    views,
};

/// Most runs that are active at once. An active run holds its state and its actor, some tens of kilobytes; 100,000 of them
/// stay within a few GiB. What is over it is refused, and the caller may start it later.
pub(crate) const ACTIVE_MAX: usize = 100_000;

/// How a run is supervised: as the transient child that it is, for itself. Three restarts within a minute: a run is small,
/// and starting it again is quick, so what still dies then is the run's own fault.
const FLAGS: Flags =
    Flags { intensity: 3, period: Duration::from_secs(60), ..Flags::new(Strategy::OneForOne) };

/// What the supervisor of runs is told.
pub(crate) enum Message {
    /// Deliver `asked` to the actor of `run`, starting it if need be.
    Deliver { run: RunId, asked: Asked },
    /// Deliver `asked` to the run that the inbox item belongs to.
    DeliverToItem { item: InboxId, asked: Asked },
    /// The actor of `run` has nothing to do, having seen so many messages.
    Rest { run: RunId, seen: usize },
    /// A run goes on whose actor died or that was set aside: tell it what it was not told meanwhile.
    Released { run: RunId },
    /// Something was paused or goes on: have every run that is not only waiting look at what it may do.
    LookAgain,
    /// A budget was raised: have every run that waits for one try again.
    Funded,
    /// Tell when no run is active.
    WhenIdle { reply: oneshot::Sender<()> },
    /// Kill the actor of `run`, if it is active.
    Kill { run: RunId },
}

pub(crate) struct RunsActor {
    me: Address<Message>,
    context: Arc<Context>,
    active: Arc<Actives>,
    deaths: BTreeMap<RunId, Deaths>,
    /// Runs that start again in a moment.
    restarting: BTreeSet<RunId>,
    idle: Vec<oneshot::Sender<()>>,
}

/// How often a run died lately, and how.
#[derive(Default)]
struct Deaths {
    history: History,
    evidence: Vec<Death>,
}

impl Behaviour for RunsActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Deliver { .. } | Message::DeliverToItem { .. } => "deliver to a run",
            Message::Rest { .. } => "let a run rest",
            Message::Released { .. } | Message::LookAgain | Message::Funded => "let runs go on",
            Message::WhenIdle { .. } => "wait for rest",
            Message::Kill { .. } => "kill a run",
        }
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        for run in interrupted(&*context.journal)? {
            me.send(Message::Deliver { run, asked: Asked::Recover })?;
        }
        for ended in untold(&*context.journal, "")? {
            if planted(Mutant::EndedChildForgotten) {
                break;
            }
            let run = ended.parent.run.clone();
            let asked = Asked::ChildEnded(Box::new(ended));
            me.send(Message::Deliver { run, asked })?;
        }
        // There may be room now: the configuration may allow more than it did.
        for run in budgets::unfunded(&*context.journal)? {
            me.send(Message::Deliver { run, asked: budgets::funded() })?;
        }
        context.registry.set_runs(me.clone());
        Ok(Self {
            me,
            context,
            active: Arc::default(),
            deaths: BTreeMap::new(),
            restarting: BTreeSet::new(),
            idle: vec![],
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Deliver { run, asked } => self.deliver(run, asked).await?,
            Message::DeliverToItem { item, asked } => match self.run_of(&item)? {
                Some(run) => self.deliver(run, asked).await?,
                None => refuse(asked, &item),
            },
            Message::Rest { run, seen } => {
                self.active.rest(&run, seen);
                self.tell_idle();
            }
            Message::Released { run } => {
                let ended = untold(&*self.context.journal, &format!("{run}/"))?;
                let ended = ended.into_iter().map(|ended| Asked::ChildEnded(Box::new(ended)));
                for asked in [Asked::Recover, Asked::Tick].into_iter().chain(ended) {
                    self.deliver(run.clone(), asked).await?;
                }
            }
            Message::WhenIdle { reply } => {
                self.idle.push(reply);
                self.tell_idle();
            }
            Message::LookAgain => {
                let held = interrupted(&*self.context.journal)?;
                for run in held.into_iter().chain(self.active.ids()).collect::<BTreeSet<_>>() {
                    self.deliver(run, Asked::Recover).await?;
                }
            }
            Message::Funded => {
                // What an active one has found it may not have written yet: it looks again when it has.
                let waiting = budgets::unfunded(&*self.context.journal)?;
                for run in waiting.into_iter().chain(self.active.ids()).collect::<BTreeSet<_>>() {
                    self.deliver(run, budgets::funded()).await?;
                }
            }
            Message::Kill { run } => self.active.kill(&run),
        }
        Ok(())
    }

    async fn child_ended(&mut self, child: u64, ended: Ended) -> Result<(), Error> {
        let Some((run, work)) = self.active.forget(child) else { return Ok(()) };
        if let Ended::Failed(reason) = ended {
            self.died(run, reason, work).await;
        }
        self.tell_idle();
        Ok(())
    }

    fn tells(&self) -> Option<Arc<dyn Tells>> {
        Some(self.active.clone())
    }
}

/// The runs that were under way when the last process ended: not those that only wait for the operator.
fn interrupted(journal: &dyn Journal) -> Result<Vec<RunId>, Error> {
    let mut found = vec![];
    views::each_row(journal, project::ACTIVE, "", |_, bytes| {
        let summary: RunSummary = serde_json::from_slice(bytes)?;
        if !summary.is_waiting() && !planted(Mutant::InterruptedForgotten) {
            found.push(summary.run);
        }
        Ok::<_, Error>(())
    })?;
    Ok(found)
}

/// Ends of runs that the runs above have not taken in: of all, or of those whose keys begin with `prefix`.
fn untold(journal: &dyn Journal, prefix: &str) -> Result<Vec<RunEnded>, Error> {
    let mut found = vec![];
    views::each_row(journal, project::ENDED, prefix, |_, bytes| {
        found.push(serde_json::from_slice(bytes)?);
        Ok::<_, Error>(())
    })?;
    Ok(found)
}

fn refuse(asked: Asked, item: &InboxId) {
    let refusal = || soloist_kernel::run::Refusal::NotWaiting { item: item.clone() }.into();
    match asked {
        Asked::Decide { reply, .. } | Asked::Modify { reply, .. } => {
            drop(reply.send(Err(refusal())))
        }
        _ => {}
    }
}

impl RunsActor {
    async fn deliver(&mut self, run: RunId, asked: Asked) -> Result<(), Error> {
        self.restarting.remove(&run);
        if self.context.aside.holds(&run) {
            aside::refuse(asked, &run);
            return Ok(());
        }
        if !self.active.contains(&run) {
            if let Some(archived) = views::archived(&*self.context.journal, &run)? {
                archived::answer(&self.context, asked, &archived);
                return Ok(());
            }
            if let Asked::Begin(begin) = &asked
                && let Some(refusal) = self.overload(begin)
            {
                begin_refused(asked, refusal);
                return Ok(());
            }
            let arguments = run::Arguments {
                context: self.context.clone(),
                id: run.clone(),
                supervisor: self.me.clone(),
            };
            let actor = spawn::<Active>(arguments, self.me.cell(), &self.context.env).await?;
            self.active.insert(run.clone(), actor);
        }
        self.active.deliver(&run, asked);
        Ok(())
    }

    /// Why a run is not begun, if too much is under way: the least important is refused first.
    fn overload(&self, begin: &Begin) -> Option<String> {
        let (active, limit) = (self.active.len(), self.context.active_max);
        let (word, percent) = match self.context.importance(&begin.workflow) {
            Priority::Low => ("low", 80),
            Priority::Normal => ("normal", 90),
            Priority::High => ("high", 100),
        };
        (active * 100 >= limit * percent).then(|| {
            Counters::add(&self.context.counters.runs_shed);
            format!(
                "{active} runs are active, and at {percent} % of {limit} runs of priority `{word}` are no longer begun; \
                 start it when some have ended"
            )
        })
    }

    fn run_of(&self, item: &InboxId) -> Result<Option<RunId>, ReadError> {
        let found = views::inbox_item(&*self.context.journal, item)?;
        Ok(found.and_then(|item| item.run))
    }

    /// A run's actor died: it starts again from the journal, or is set aside.
    async fn died(&mut self, run: RunId, reason: String, work: Option<&'static str>) {
        if self.context.halted.borrow().is_some() {
            return;
        }
        let now = Instant::now();
        self.deaths.retain(|_, deaths| {
            deaths.history.back().is_some_and(|last| now.duration_since(*last) < FLAGS.period)
        });
        let deaths = self.deaths.entry(run.clone()).or_default();
        tracing::warn!(%run, reason, work, "the run's actor died");
        let at = self.context.env.now();
        deaths.evidence.push(Death { at, reason, work: work.map(str::to_owned) });
        let child = Child { restart: Restart::Transient, significant: false, living: false };
        let verdict = after_exit(&FLAGS, &[child], 0, Exit::Abnormal, &mut deaths.history, now);
        match verdict {
            Verdict::Restart { after, .. } => {
                Counters::add(&self.context.counters.actors_restarted);
                self.restarting.insert(run.clone());
                self.me.send_after(after, || Message::Released { run });
            }
            Verdict::GiveUp | Verdict::Leave { .. } | Verdict::ShutDown => {
                let evidence = self.deaths.remove(&run).unwrap_or_default().evidence;
                tracing::error!(%run, "the run's actor dies again and again; it is set aside");
                self.context.aside.put(run.clone());
                let set_aside = run.clone();
                let what = What::Quarantined { run };
                if let Err(error) = incidents::raise(&self.context, what, evidence).await {
                    tracing::error!(%error, "failed to put it on record; the run is tried again at the next start");
                }
                self.tell_beneath(&set_aside);
            }
        }
    }

    /// The runs beneath one that is set aside go on: its last actor may have begun them and not have told them.
    fn tell_beneath(&self, run: &RunId) {
        let found = interrupted(&*self.context.journal).unwrap_or_else(|error| {
            tracing::error!(%error, %run, "those beneath it go on at the next start");
            vec![]
        });
        let beneath = format!("{run}.");
        for run in found.into_iter().filter(|other| other.as_str().starts_with(&beneath)) {
            let _ = self.me.send(Message::Deliver { run, asked: Asked::Recover });
        }
    }

    fn tell_idle(&mut self) {
        if self.active.is_empty() && self.restarting.is_empty() {
            for reply in self.idle.drain(..) {
                let _ = reply.send(());
            }
        }
    }
}

/// Answers what the full mailbox of the runs does not take. Who only watches is not answered, and asks again.
pub(crate) fn overloaded(asked: Asked) {
    let waiting = MAILBOX_MAX;
    match asked {
        Asked::Command { reply: Some(reply), .. } | Asked::Migrate { reply, .. } => {
            drop(reply.send(Err(DecideError::Overloaded { waiting })));
        }
        asked => {
            let refusal = format!(
                "{waiting} messages wait for runs, which is the limit; start it in a moment"
            );
            begin_refused(asked, refusal);
        }
    }
}

fn begin_refused(asked: Asked, refusal: String) {
    if let Asked::Begin(begin) = asked {
        let _ = begin.reply.send(Err(StartError::Refused(refusal)));
    }
}
