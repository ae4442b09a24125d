//! The shadow of a run: a fork of it from its beginning, in which something is in another version.
//!
//! It differs from a fork in one thing: it may read what the run did not. A shadow does not call anybody itself. It ends where it
//! would read, says what, and is played once more from the beginning when that has been read for it: so its time passes at
//! once all the same, and whoever reads does so through the gate, in the live kernel.

use std::{collections::BTreeMap, sync::Arc};

use soloist_kernel::{
    id::RunId,
    journal::Journal,
    labels::Labeled,
    mutant::Carried,
    payload::{Digest, Payload},
    policy::Policy,
    rollout::Subject,
    run::{Event, Run, project::is_over},
    shadow::{DIFFERENCE_BYTES_MAX, Due, Kind, Outcome, Side as Told, of_write},
};

use super::{
    super::{
        TravelError,
        history::{OfJournal, events, family, folded},
    },
    End, Ending, Fork, ForkError, Forked, Ground, WriteSide,
};
use crate::mounted::{Agents, Connectors};

/// Something that a shadow reads.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// `crm.contact`.
    pub(crate) operation: String,
    pub(crate) arguments: Payload,
    /// The hash of both.
    pub(crate) asked: Digest,
}

/// What has been read for a shadow, and what it was answered.
#[derive(Clone, Default)]
pub(crate) struct Reads(BTreeMap<Digest, Result<Labeled<Payload>, String>>);

impl WriteSide {
    /// It, as far as it counts.
    fn told(&self) -> Told<'_> {
        Told {
            what: &self.what,
            arguments: &self.arguments,
            verdict: (&self.verdict, &self.rule),
            fate: (&self.state, self.sent),
        }
    }
}

impl Reads {
    pub(super) fn answer(&self, read: &Read) -> Option<Result<Labeled<Payload>, String>> {
        self.0.get(&read.asked).cloned()
    }

    pub(crate) fn add(&mut self, read: &Read, answer: Result<Labeled<Payload>, String>) {
        self.0.insert(read.asked, answer);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a shadow is made of.
#[derive(Clone)]
pub(crate) struct Shadow {
    pub(crate) agents: Agents,
    pub(crate) connectors: Connectors,
    /// The policy that judged the run.
    pub(crate) policy: Arc<Policy>,
    pub(crate) world: Arc<dyn Journal>,
}

/// What playing a shadow came to.
pub(crate) enum Scene {
    Played(Box<Forked>),
    /// It is to be played once more when this has been read.
    Wants(Read),
}

impl Shadow {
    /// Plays the shadow `due` with what has been read for it; without `reads`, what is not recorded is answered with nothing.
    pub(crate) async fn play(self, due: &Due, reads: Option<Reads>) -> Result<Scene, ForkError> {
        let Self { agents, connectors, policy, world } = self;
        let fork = Fork::of(due.run.clone());
        let fork = match &due.of {
            Subject::Workflow(_) => fork.workflow(due.shadow),
            Subject::Agent(agent) => fork.agent(agent.clone(), due.shadow),
            Subject::Policy => fork,
        };
        let ground = Ground { agents, connectors, policy: (*policy).clone(), world, reads };
        let quiet = tracing::subscriber::NoSubscriber::default();
        // What happens in the shadow is no news of the kernel that it is played in.
        let planted = Carried::here();
        let played = aside(move || {
            planted.arrives();
            tracing::subscriber::with_default(quiet, || ground.in_own_time(fork))
        });
        Ok(match played.await? {
            Ending::Forked(forked) => Scene::Played(forked),
            Ending::Wants(read) => Scene::Wants(read),
        })
    }
}

/// Does `work` on another thread. A runtime of one thread waits for it on the spot: what is simulated, or tested in a time of its
/// own, has one order then. Any other runtime goes on meanwhile.
async fn aside(
    work: impl FnOnce() -> Result<Ending, ForkError> + Send + 'static,
) -> Result<Ending, ForkError> {
    let died = |why: String| Err(ForkError::Runtime(why));
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if flavor == tokio::runtime::RuntimeFlavor::CurrentThread {
        #[expect(
            clippy::disallowed_methods,
            reason = "it is joined at once, so nothing happens beside it"
        )]
        let done = std::thread::spawn(work).join();
        return done.unwrap_or_else(|_| died("it panicked".into()));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever waits for it does nothing else, and records what it came to"
    )]
    let running = tokio::task::spawn_blocking(work);
    running.await.unwrap_or_else(|error| died(error.to_string()))
}

/// A run that has ended, with those beneath it.
pub(crate) struct Ended {
    /// The runs, the topmost of them first.
    pub(crate) runs: Vec<Run>,
    /// Why what a shadow of it came to would say nothing: somebody has taken it in hand in a way that a shadow does not repeat.
    pub(crate) taken_in_hand: Option<String>,
}

/// The run `id` as it ended; `None` if it is under way.
pub(crate) fn ended(journal: &dyn Journal, id: &RunId) -> Result<Option<Ended>, TravelError> {
    let source = OfJournal::new(journal);
    let (mut runs, mut taken_in_hand) = (vec![], None);
    for (run, records) in family(&source, id)? {
        for record in &records {
            for event in events(&source, &run, record)? {
                let how = match event {
                    Event::Overridden { step, .. } => format!("step `{step}` was overridden"),
                    Event::Migrated { workflow, .. } => format!("it was moved to {workflow}"),
                    _ => continue,
                };
                taken_in_hand.get_or_insert(format!("{how} in run {run}"));
            }
        }
        let folded = folded(&source, &run, &records)?;
        if folded.revived > 0 {
            taken_in_hand.get_or_insert(format!("run {run} had failed, and was tried again"));
        }
        runs.push(folded);
    }
    let over = runs.first().is_some_and(is_over);
    Ok(over.then_some(Ended { runs, taken_in_hand }))
}

/// What the shadow that was played came to.
pub(crate) fn outcome(forked: &Forked) -> Outcome {
    let mut kinds: BTreeMap<Kind, u32> = BTreeMap::new();
    let mut count = |kind| *kinds.entry(kind).or_default() += 1;
    let (live, shadow) = (&forked.original, &forked.fork);
    if (&live.status, &live.reason) != (&shadow.status, &shadow.reason) {
        count(Kind::End);
    } else if live.output != shadow.output {
        count(Kind::Output);
    }
    forked.steps.iter().filter(|step| !step.same).for_each(|_| count(Kind::Step));
    for write in &forked.writes {
        let (live, shadow) = (write.original.as_ref(), write.fork.as_ref());
        of_write(live.map(WriteSide::told), shadow.map(WriteSide::told)).map(&mut count);
    }
    if kinds.is_empty() {
        return Outcome::Agreed;
    }
    Outcome::Diverged { kinds, difference: difference(forked) }
}

/// What is otherwise in `forked`, as JSON. Of one that is longer than a person reads, only the ends are kept.
fn difference(forked: &Forked) -> String {
    let otherwise = Forked {
        steps: forked.steps.iter().filter(|step| !step.same).cloned().collect(),
        writes: forked.writes.iter().filter(|write| !write.same).cloned().collect(),
        ..forked.clone()
    };
    let text = |forked: &Forked| serde_json::to_string(forked).unwrap_or_default();
    let whole = text(&otherwise);
    if whole.len() <= DIFFERENCE_BYTES_MAX {
        return whole;
    }
    let bare = |end: &End| End { output: None, ..end.clone() };
    let said = format!(
        "{} steps and {} writes, which are too long to be kept",
        otherwise.steps.len(),
        otherwise.writes.len()
    );
    let (original, fork) = (bare(&otherwise.original), bare(&otherwise.fork));
    let waits = vec![said];
    text(&Forked {
        original,
        fork,
        steps: vec![],
        writes: vec![],
        waits,
        stand_ins: vec![],
        ..otherwise
    })
}
