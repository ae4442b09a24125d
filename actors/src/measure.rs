//! What `soloist bench actors` measures, because it has to name ractor: what an actor costs that does nothing, and a message.
//!
//! Everything goes the way it goes in a kernel: the actors are dynamic children of a supervisor of the tree, with
//! their places in the tree, and messages are counted and labelled. The limit is an actor of ractor's that has none of this.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use soloist_connectors::Env;
use soloist_kernel::journal::memory::{MemoryJournal, Syncing};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Soloist,
    actor::{Address, Behaviour, Error, MAILBOX_MAX, spawn_root},
    root::SOLOIST,
    supervisor::{self, Flags, Message, Spec, Strategy},
};

/// Messages after which the sender waits for the actor: as many as a mailbox takes from outside.
const BATCH: u64 = MAILBOX_MAX as u64;

/// The supervisor of the actors that are measured.
const MEASURED: &str = "measured";

/// What actors cost that do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// How many there were.
    pub actors: usize,
    /// By how much the process grew.
    pub bytes: u64,
    /// How long it took to start all of them, one after the other.
    pub start: Duration,
    /// How long it took to stop all of them, in reverse order, and to forget them.
    pub stop: Duration,
}

/// Starts `actors` actors beneath one supervisor of a kernel whose journal is in memory, and stops them.
///
/// # Errors
///
/// What did not start, or that the system does not say how large the process is.
pub async fn idle(actors: usize) -> Result<Idle, String> {
    let journal = Arc::new(MemoryJournal::new(Syncing::Auto));
    let soloist = Soloist::builder().journal(journal).open().await;
    let soloist = soloist.map_err(|error| error.to_string())?;
    let context = soloist.context();
    let supervisor = Spec::supervisor(MEASURED, Flags::new(Strategy::OneForOne), context, Vec::new);
    add(&soloist, SOLOIST, supervisor).await?;
    let path = format!("{SOLOIST}/{MEASURED}");
    let (before, began) = (resident_bytes()?, Instant::now());
    add_all(&soloist, &path, actors).await?;
    let start = began.elapsed();
    let bytes = resident_bytes()?.saturating_sub(before);
    let began = Instant::now();
    let (reply, removed) = oneshot::channel();
    let message = Message::Remove { name: MEASURED.to_owned(), reply };
    tell(&soloist, SOLOIST, message)?;
    removed.await.map_err(|_| "the supervisor of the tree died")?;
    let stop = began.elapsed();
    soloist.shutdown().await.map_err(|halted| halted.to_string())?;
    Ok(Idle { actors, bytes, start, stop })
}

async fn add_all(soloist: &Soloist, supervisor: &str, actors: usize) -> Result<(), String> {
    let mut names = (0..actors).map(|index| index.to_string()).peekable();
    while names.peek().is_some() {
        // Asked for together, so that it is the starting that takes the time, and not the waking of who waits for it.
        let asked = names.by_ref().take(MAILBOX_MAX).map(|name| {
            let spec = Spec::actor::<Nothing>(name, || ());
            ask_to_add(soloist, supervisor, spec)
        });
        for added in asked.collect::<Result<Vec<_>, _>>()? {
            added.await.map_err(|_| format!("{supervisor} died"))??;
        }
    }
    Ok(())
}

async fn add(soloist: &Soloist, supervisor: &str, spec: Spec) -> Result<(), String> {
    let added = ask_to_add(soloist, supervisor, spec)?;
    added.await.map_err(|_| format!("{supervisor} died"))?
}

type Added = oneshot::Receiver<Result<(), String>>;

fn ask_to_add(soloist: &Soloist, supervisor: &str, spec: Spec) -> Result<Added, String> {
    let (reply, added) = oneshot::channel();
    tell(soloist, supervisor, Message::Add { spec, reply })?;
    Ok(added)
}

fn tell(soloist: &Soloist, supervisor: &str, message: supervisor::Message) -> Result<(), String> {
    let actor = soloist.context().registry.supervisor(supervisor);
    let actor = actor.ok_or_else(|| format!("there is no {supervisor}"))?;
    actor.send(message).map_err(|gone| gone.to_string())
}

/// The memory of this process that is in use.
fn resident_bytes() -> Result<u64, String> {
    let unknown = |error: String| format!("failed to read the size of the process: {error}");
    // Unlike `statm` it counts in a unit that does not depend on the machine.
    let status = std::fs::read_to_string("/proc/self/status");
    let status = status.map_err(|error| unknown(error.to_string()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes
        .map(|kibibytes: u64| kibibytes * 1024)
        .ok_or_else(|| unknown("it is not there".into()))
}

/// How long one of our actors takes for `messages` messages from one sender.
///
/// # Errors
///
/// That it did not start, or died.
pub async fn ours(messages: u64) -> Result<Duration, String> {
    let actor =
        spawn_root::<Counter>((), &Env::real([0; 32])).await.map_err(|error| error.to_string())?;
    let sender = actor.clone();
    let took = timed(messages, move |message| sender.send(message).is_ok()).await;
    let _ = actor.cell().stop_and_wait(None, None).await;
    took
}

/// How long a bare actor of ractor's takes for the same.
///
/// # Errors
///
/// As [`ours`].
pub async fn bare(messages: u64) -> Result<Duration, String> {
    let (actor, _) = Actor::spawn(None, Bare, ()).await.map_err(|error| error.to_string())?;
    let sender = actor.clone();
    let took = timed(messages, move |message| sender.send_message(message).is_ok()).await;
    let _ = actor.stop_and_wait(None, None).await;
    took
}

/// What the actors are told.
enum Count {
    /// Add it.
    Add(u64),
    /// Say the sum.
    Sum(oneshot::Sender<u64>),
}

/// Sends `messages` messages from a task of their own, in batches, and checks that all have arrived.
async fn timed(
    messages: u64,
    send: impl Fn(Count) -> bool + Send + 'static,
) -> Result<Duration, String> {
    let sending = tokio::spawn(async move {
        let began = Instant::now();
        let mut sent = 0;
        while sent < messages {
            let until = messages.min(sent + BATCH);
            let all = (sent..until).all(|_| send(Count::Add(1)));
            sent = until;
            let (reply, sum) = oneshot::channel();
            if !all || !send(Count::Sum(reply)) || sum.await != Ok(sent) {
                return Err("the actor died, or lost a message".to_owned());
            }
        }
        Ok(began.elapsed())
    });
    sending.await.map_err(|error| error.to_string())?
}

/// An actor that does nothing.
struct Nothing;

/// Nothing is asked of it.
enum Never {}

impl Behaviour for Nothing {
    type Message = Never;
    type Arguments = ();

    fn label(message: &Never) -> &'static str {
        match *message {}
    }

    async fn start((): (), _me: Address<Never>) -> Result<Self, Error> {
        Ok(Self)
    }

    async fn handle(&mut self, message: Never) -> Result<(), Error> {
        match message {}
    }
}

/// Our actor.
struct Counter(u64);

impl Behaviour for Counter {
    type Message = Count;
    type Arguments = ();

    fn label(message: &Count) -> &'static str {
        match message {
            Count::Add(_) => "add",
            Count::Sum(_) => "say the sum",
        }
    }

    async fn start((): (), _me: Address<Count>) -> Result<Self, Error> {
        Ok(Self(0))
    }

    async fn handle(&mut self, message: Count) -> Result<(), Error> {
        count(&mut self.0, message);
        Ok(())
    }
}

/// ractor's.
struct Bare;

impl Actor for Bare {
    type Msg = Count;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Count>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Count>,
        message: Count,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        count(sum, message);
        Ok(())
    }
}

fn count(sum: &mut u64, message: Count) {
    match message {
        Count::Add(number) => *sum += number,
        Count::Sum(reply) => drop(reply.send(*sum)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn very_many_actors_start_and_stop_and_no_message_is_lost() {
        let idle = idle(5_000).await.unwrap();
        assert_eq!(idle.actors, 5_000);
        ours(25_000).await.unwrap();
        bare(25_000).await.unwrap();
    }
}
