//! Runs that are set aside, because their actors died again and again. Nothing is delivered to them until the operator lets
//! them go on.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use soloist_kernel::{
    id::RunId,
    incident,
    journal::{Journal, ReadError},
    mutant::{Mutant, planted},
};

use crate::{
    handle::{DecideError, RunEnd, StartError},
    run::Asked,
    views,
};

/// The runs that are set aside.
#[derive(Default)]
pub(crate) struct Aside(Mutex<BTreeSet<RunId>>);

impl Aside {
    /// Those that the journal says are set aside.
    pub(crate) fn load(journal: &dyn Journal) -> Result<Self, ReadError> {
        let mut runs = BTreeSet::new();
        views::each_row(journal, incident::QUARANTINED, "", |run, _| {
            if !planted(Mutant::AsideForgotten) {
                runs.extend(RunId::new(run));
            }
            Ok::<_, ReadError>(())
        })?;
        Ok(Self(Mutex::new(runs)))
    }

    fn runs(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.0.lock().expect("setting aside does not panic")
    }

    pub(crate) fn holds(&self, run: &RunId) -> bool {
        self.runs().contains(run)
    }

    pub(crate) fn len(&self) -> usize {
        self.runs().len()
    }

    pub(crate) fn put(&self, run: RunId) {
        self.runs().insert(run);
    }

    pub(crate) fn release(&self, run: &RunId) {
        self.runs().remove(run);
    }
}

/// Answers what is asked of a run that is set aside.
pub(super) fn refuse(asked: Asked, run: &RunId) {
    let why = || {
        format!(
            "run {run} is set aside, because its actor died again and again; see its incident in `soloist inbox list`"
        )
    };
    match asked {
        Asked::Begin(begin) => drop(begin.reply.send(Err(StartError::Refused(why())))),
        Asked::Decide { reply, .. }
        | Asked::Modify { reply, .. }
        | Asked::Migrate { reply, .. }
        | Asked::Command { reply: Some(reply), .. } => {
            drop(reply.send(Err(DecideError::Invalid(why()))));
        }
        Asked::Watch { reply } => drop(reply.send(RunEnd::SetAside { reason: why() })),
        // What it does not take in now stays in the journal, and is told again once it goes on.
        Asked::Occur { .. }
        | Asked::ChildEnded(_)
        | Asked::Command { reply: None, .. }
        | Asked::Unpark { .. }
        | Asked::Answered { .. }
        | Asked::Tick
        | Asked::Recover => {}
    }
}
