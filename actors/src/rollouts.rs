//! Which version a run takes while two are side by side. What comes of each is counted by `outcomes.rs`.

use std::sync::{Arc, Mutex};

use soloist_kernel::{
    journal::{Append, Entry, Journal, ReadError, StreamSeq},
    rollout::{self, BadRollout, Event, Mode, Rollout, Rollouts, Share, Subject},
};

use crate::{context::Context, control::SetError, handle::Soloist, policies, run::by_whom, views};

/// The rollouts of a kernel.
#[derive(Default)]
pub(crate) struct Shares {
    current: Mutex<Arc<Rollouts>>,
    /// Held by whoever changes them.
    changing: tokio::sync::Mutex<()>,
}

impl Shares {
    pub(crate) fn load(journal: &dyn Journal) -> Result<Self, ReadError> {
        let current = Mutex::new(Arc::new(views::rollouts(journal)?));
        Ok(Self { current, ..Self::default() })
    }

    pub(crate) fn current(&self) -> Arc<Rollouts> {
        self.current.lock().expect("reading the rollouts does not panic").clone()
    }
}

impl Soloist {
    /// Has `percent` of the new runs take the newest version of a workflow or an agent, and the others the one that most took
    /// before; 0 takes it back, and [`promote`](Self::promote) ends it. Runs that have begun stay with theirs. Of the policy: has
    /// it judge that share of the runs, those under way included, and the version before the others.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn canary(&self, of: &Subject, percent: f64) -> Result<Rollout, SetError> {
        self.share(of, Mode::Canary, percent).await
    }

    /// Has every new run take the version of a workflow or an agent before the newest, and the newest be played in the shadow of
    /// `percent` of them when they have ended: what it would have done otherwise is put on record, and nothing is committed.
    /// [`promote`](Self::promote) makes it the one that runs take.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn shadow(&self, of: &Subject, percent: f64) -> Result<Rollout, SetError> {
        self.share(of, Mode::Shadow, percent).await
    }

    async fn share(&self, of: &Subject, mode: Mode, percent: f64) -> Result<Rollout, SetError> {
        let share = Share::percent(percent)?;
        let versions = self.versions(of)?;
        let decide = |rollouts: &Rollouts| {
            rollout::begin(rollouts, (of, mode), &versions, share, "operator")
        };
        let rollouts = change(self.context(), decide).await?;
        let found = rollouts.iter().find(|rollout| rollout.of == *of).cloned();
        Ok(found.expect("it has just been shared"))
    }

    /// Has every new run take the newest version, whether it was a canary or in the shadow.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn promote(&self, of: &Subject) -> Result<(), SetError> {
        let decide = |rollouts: &Rollouts| rollout::promote(rollouts, of, "operator");
        change(self.context(), decide).await.map(drop)
    }

    /// The versions of `of` that a run could take.
    fn versions(&self, of: &Subject) -> Result<Vec<u32>, ReadError> {
        let context = self.context();
        Ok(match of {
            Subject::Workflow(name) => {
                let newest = context.workflows.newest(name);
                newest.map_or_else(Vec::new, |(pinned, _)| (1..=pinned.version).collect())
            }
            Subject::Agent(name) => {
                let mounted = context.mounted();
                let versions = mounted.catalog.agents.get(name);
                versions.map_or_else(Vec::new, |versions| versions.keys().copied().collect())
            }
            // Only those that can still be read: another one could not judge.
            Subject::Policy => policies::all(&*context.journal)?.into_keys().collect(),
        })
    }
}

async fn change(
    context: &Context,
    decide: impl FnOnce(&Rollouts) -> Result<Event, BadRollout>,
) -> Result<Arc<Rollouts>, SetError> {
    let _changing = context.shares.changing.lock().await;
    let mut rollouts = Rollouts::clone(&context.shares.current());
    let event = decide(&rollouts)?;
    let at = context.env.now();
    rollouts.apply(&event, at);
    let stream = rollout::stream();
    let last = context.journal.stream_head(&stream)?;
    let entry = Entry {
        stream,
        stream_seq: StreamSeq(last.0 + 1),
        at,
        actor: by_whom(event.by()),
        causation: None,
        correlation: None,
        kind: event.kind().into(),
        version: rollout::EVENTS_VERSION,
        payload: rollout::encode(&event),
    };
    let projections = vec![rollout::project(&event, at)];
    context.log.durable(Append { entries: vec![entry], projections, ..Append::default() }).await?;
    let rollouts = Arc::new(rollouts);
    let current = &context.shares.current;
    *current.lock().expect("reading the rollouts does not panic") = rollouts.clone();
    Ok(rollouts)
}
