//! Forks: a copy of a run goes on from one of its records, with another policy, another input or another version of an agent.
//!
//! Its rule: **a fork of a run never touches the world**. It is a kernel of its own, over a journal in memory that begins with the
//! records of the run and of those beneath it. The connectors in it are stand-ins that plan as the connectors do and call
//! nothing (`standin.rs`), its network reaches nobody, and what turns ask for is answered from the recording (`recording.rs`,
//! `stage.rs`): the same effect that asks the same has the answer that it had, and any other is given a stand-in's. What people
//! decided and which events came is brought where the same waits (`drive.rs`). Time passes at once. In the end `compare.rs` holds
//! the two against each other, and everything is forgotten.
//!
//! What an agent does behind the kernel's back, without an effect, a fork does again: nobody can stand in for that.

mod compare;
mod drive;
mod recording;
mod seed;
pub(crate) mod shadow;
mod stage;
mod standin;

use std::{collections::BTreeMap, sync::Arc};

use soloist_connectors::Env;
use soloist_kernel::{
    id::{AgentName, RunId, WorkflowRef},
    journal::{AppendError, Journal, Seq},
    labels::Labeled,
    payload::Payload,
    policy::Policy,
    run::{Event, Run},
    time::Timestamp,
};
use thiserror::Error;

pub use self::compare::{End, Forked, Side, StepChange, WriteChange, WriteSide};
pub(crate) use self::stage::Stage;
use self::{
    drive::drive,
    recording::Recording,
    seed::Seed,
    shadow::{Read, Reads},
    standin::StandIn,
};
use super::{
    TravelError,
    history::{OfJournal, events, family},
};
use crate::{
    builder::{Builder, OpenError},
    handle::{Halted, Soloist},
    mounted::{Agents, Connectors},
};

/// What is to be otherwise in a fork of a run.
#[derive(Clone, Debug)]
pub struct Fork {
    run: RunId,
    from: Option<Seq>,
    policy: Option<Policy>,
    input: Option<Labeled<Payload>>,
    workflow: Option<u32>,
    agents: BTreeMap<AgentName, u32>,
}

/// Why a run is not forked.
#[derive(Debug, Error)]
pub enum ForkError {
    /// Its history cannot be read.
    #[error(transparent)]
    Travel(#[from] TravelError),
    /// Another input for a run that has begun.
    #[error(
        "run {run} had its input when it began, with record {first}, so it cannot get another one at record {from}; fork it from \
         its beginning, without `--from`"
    )]
    InputTooLate {
        /// The run.
        run: RunId,
        /// Its first record.
        first: Seq,
        /// From where it was to be forked.
        from: Seq,
    },
    /// A round of a `map` or a `loop` does not begin by itself.
    #[error(
        "run {run} is a round of run {above}, and begins with that; fork {above}, or this one with `--from`"
    )]
    Round {
        /// The run.
        run: RunId,
        /// The run above it.
        above: RunId,
    },
    /// A version of an agent is not there.
    #[error("there is no agent `{agent}@{version}`; {help}")]
    NoAgent {
        /// The agent.
        agent: AgentName,
        /// The version.
        version: u32,
        /// What there is.
        help: String,
    },
    /// A version of its workflow is not there.
    #[error("there is no workflow {workflow}; `soloist workflow list` tells what there is")]
    NoWorkflow {
        /// The version.
        workflow: WorkflowRef,
    },
    /// Its kernel does not open.
    #[error("the fork's kernel does not open: {0}")]
    Open(#[from] OpenError),
    /// Its journal in memory does not take it.
    #[error("the fork's journal does not take the copy: {0}")]
    Append(#[from] AppendError),
    /// Its kernel has halted.
    #[error("the fork's kernel has halted: {0}")]
    Halted(#[from] Halted),
    /// There is no thread or no runtime for it.
    #[error("the fork cannot be run: {0}; try again")]
    Runtime(String),
}

impl Fork {
    /// A fork of `run` from its very beginning, in which nothing is otherwise.
    #[must_use]
    pub fn of(run: RunId) -> Self {
        let agents = BTreeMap::new();
        Self { run, from: None, policy: None, input: None, workflow: None, agents }
    }

    /// The same, from record `seq` of the journal on: everything until then is as it was.
    #[must_use]
    pub fn from(mut self, seq: Seq) -> Self {
        self.from = Some(seq);
        self
    }

    /// The same, judged by `policy` rather than by the one in force.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The same, with another input. Only for a fork from the beginning.
    #[must_use]
    pub fn input(mut self, input: Labeled<Payload>) -> Self {
        self.input = Some(input);
        self
    }

    /// The same, of another version of its workflow. It begins from the beginning then.
    #[must_use]
    pub fn workflow(mut self, version: u32) -> Self {
        self.workflow = Some(version);
        self
    }

    /// The same, with `agent` in `version`.
    #[must_use]
    pub fn agent(mut self, agent: AgentName, version: u32) -> Self {
        self.agents.insert(agent, version);
        self
    }
}

impl Soloist {
    /// Lets a copy of a run go on in another way, and tells what would be otherwise. It touches neither the world nor the journal,
    /// and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`ForkError`].
    pub async fn fork(&self, fork: Fork) -> Result<Forked, ForkError> {
        let context = self.context();
        let mounted = context.mounted();
        let judges = match self.folded(&fork.run).map_err(TravelError::from)? {
            Some(run) => context.policy_of(&run),
            None => context.policies.current(),
        };
        let ground = Ground {
            agents: mounted.agents.clone(),
            connectors: mounted.connectors.clone(),
            policy: (*judges).clone(),
            world: context.journal.clone(),
            reads: None,
        };
        ground.fork(fork).await
    }
}

impl Builder {
    /// As [`Soloist::fork`], of a run in `journal`, with what the builder has been given so far. No kernel is opened over
    /// `journal`, so nothing in it goes on.
    ///
    /// # Errors
    ///
    /// [`ForkError`].
    pub async fn fork(self, journal: Arc<dyn Journal>, fork: Fork) -> Result<Forked, ForkError> {
        let (agents, connectors, policy) = self.into_parts().map_err(OpenError::from)?;
        Ground { agents, connectors, policy, world: journal, reads: None }.fork(fork).await
    }
}

/// What a fork is made of.
struct Ground {
    agents: Agents,
    connectors: Connectors,
    policy: Policy,
    world: Arc<dyn Journal>,
    /// For a shadow: what has been read for it besides what is recorded.
    reads: Option<Reads>,
}

/// What a fork came to.
enum Ending {
    Forked(Box<Forked>),
    /// It cannot go on without reading something that is not recorded. Only a shadow does that.
    Wants(Read),
}

impl Ground {
    /// Runs the fork on a thread of its own, whose runtime's time passes at once.
    async fn fork(self, fork: Fork) -> Result<Forked, ForkError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing of the kernel that is forked waits for it in order: it reads, and answers one who asked"
        )]
        let running = tokio::task::spawn_blocking(move || self.in_own_time(fork));
        match running.await.unwrap_or_else(|error| Err(ForkError::Runtime(error.to_string())))? {
            Ending::Forked(forked) => Ok(*forked),
            Ending::Wants(read) => Err(ForkError::Runtime(format!(
                "it asks for `{}`, which only a shadow is given",
                read.operation
            ))),
        }
    }

    /// Plays it to its end on the thread that this is called on, on a runtime whose time passes at once.
    fn in_own_time(self, fork: Fork) -> Result<Ending, ForkError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| ForkError::Runtime(error.to_string()))?;
        runtime.block_on(self.play(fork))
    }

    async fn play(self, fork: Fork) -> Result<Ending, ForkError> {
        let Self { agents, connectors, policy, world, reads } = self;
        let source = OfJournal::new(&*world);
        let family = family(&source, &fork.run)?;
        let from = from(&world, &fork, &family[0].1)?;
        let mut recording = Recording::default();
        for (run, records) in &family {
            recording.take(&source, run, records)?;
        }
        let agents = cast(agents, &fork, &source, &family)?;
        let seed = Seed::of(&source, &fork, &family, from)?;
        let begins = seed.begins;
        let stage = Arc::new(Stage::new(recording, world.clone(), (seed.from, begins), reads));
        let connectors = connectors.into_iter().map(|(name, connector)| {
            let stand_in = StandIn::new(name.clone(), connector, stage.clone());
            (name, Arc::new(stand_in) as Arc<dyn soloist_connectors::Connector>)
        });
        // What the configuration adds to the lists is there whatever the text.
        let judges = fork.policy.clone().map(|other| other.with_lists_of(&policy));
        let policy = judges.unwrap_or(policy);
        let builder = Builder::on_stage(agents, connectors.collect(), policy, stage.clone());
        let soloist = builder.journal(seed.journal.clone()).env(nowhere(begins)).open().await?;
        drive(&soloist, &stage, &fork.run, seed).await?;
        let ending = match stage.wanted() {
            Some(read) => Ending::Wants(read),
            None => {
                let forked = compare::compare(&soloist, &stage, &fork.run, from)?;
                Ending::Forked(Box::new(forked))
            }
        };
        soloist.shutdown().await?;
        Ok(ending)
    }
}

/// A world without anybody in it, whose clock follows the runtime's from `begins` on.
fn nowhere(begins: Timestamp) -> Env {
    let begun = tokio::time::Instant::now();
    let clock = move || begins.after(begun.elapsed());
    let network = |host: &str, _port: u16| {
        let refused = format!("a fork reaches nobody, and {host} was asked for");
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, refused);
        Box::pin(std::future::ready(Err(refused))) as soloist_connectors::net::Connecting
    };
    let http = soloist_connectors::http::nobody("a fork reaches nobody");
    Env::with_clock(clock, [0; 32]).with_network(network).with_http(http)
}

/// The last record that the fork has in common with the run; none if it begins anew.
fn from(
    world: &Arc<dyn Journal>,
    fork: &Fork,
    records: &[soloist_kernel::journal::Record],
) -> Result<Option<Seq>, ForkError> {
    let run = fork.run.clone();
    let first = records.first().map_or(Seq(0), |record| record.seq);
    let head = world.head().seq;
    match fork.from {
        None => Ok(None),
        Some(seq) if seq > head => Err(TravelError::Beyond { seq, head }.into()),
        Some(seq) if seq < first => Err(TravelError::NotBegun { run, seq, first }.into()),
        Some(from) if fork.input.is_some() && from > first => {
            Err(ForkError::InputTooLate { run, first, from })
        }
        Some(_) if fork.input.is_some() || fork.workflow.is_some() => Ok(None),
        Some(seq) => Ok(Some(seq)),
    }
}

/// The agents of a fork: those whose versions the runs were pinned to are there in these versions alone, and those that are to
/// be otherwise in the version that was asked for.
fn cast(
    mut agents: Agents,
    fork: &Fork,
    source: &OfJournal<'_>,
    family: &[(RunId, Vec<soloist_kernel::journal::Record>)],
) -> Result<Agents, ForkError> {
    let mut pinned: BTreeMap<AgentName, Vec<u32>> = BTreeMap::new();
    for (run, records) in family {
        for record in records {
            for event in events(source, run, record)? {
                let versions = match event {
                    Event::Started(beginning) => beginning.agents,
                    // A fork from the beginning begins with what the run began with.
                    Event::Migrated { agents, .. } if fork.from.is_some() => agents,
                    _ => continue,
                };
                versions.into_iter().for_each(|(agent, version)| {
                    pinned.entry(agent).or_default().push(version);
                });
            }
        }
    }
    for (agent, version) in &fork.agents {
        let there = agents.get(agent).map(|versions| versions.keys().collect::<Vec<_>>());
        if !there.as_ref().is_some_and(|versions| versions.contains(&version)) {
            let help = match there {
                Some(versions) => format!("it is there in the versions {versions:?}"),
                None => "no agent of that name is there".into(),
            };
            return Err(ForkError::NoAgent { agent: agent.clone(), version: *version, help });
        }
        pinned.insert(agent.clone(), vec![*version]);
    }
    for (agent, versions) in &mut agents {
        if let Some(pinned) = pinned.get(agent) {
            versions.retain(|version, _| pinned.contains(version));
        }
    }
    Ok(agents)
}

/// The versions that `run` has in a fork with `wanted` ones.
fn repinned(run: &Run, wanted: &BTreeMap<AgentName, u32>) -> BTreeMap<AgentName, u32> {
    let version = |agent: &AgentName, had: u32| wanted.get(agent).copied().unwrap_or(had);
    run.agents.iter().map(|(agent, had)| (agent.clone(), version(agent, *had))).collect()
}
