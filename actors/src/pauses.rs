//! What is paused in this kernel, and how it is paused and let go on.
//!
//! What a pause promises is kept by a fence: an attempt is decided and its intent appended while the fence is held by it and
//! others like it, and a pause has the fence for itself while it is put on record. So no intent stands in the journal behind
//! the record of a pause that holds it.

use std::sync::{Arc, Mutex};

use soloist_connectors::Env;
use soloist_kernel::{
    control::{self, Event, Pause, Pauses, Scope},
    id::{ConnectorName, WorkflowName},
    journal::{Append, AppendError, Entry, Journal, ReadError, StreamSeq},
    mutant::{Mutant, planted},
    time::Timestamp,
};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::{
    connector, context::Context, control::SetError, handle::Soloist, log::Log, run::by_whom, runs,
    schedules, shadows, views,
};

/// What is paused.
#[derive(Default)]
pub(crate) struct Held {
    current: Mutex<Arc<Pauses>>,
    fence: RwLock<()>,
}

impl Held {
    pub(crate) fn load(journal: &dyn Journal) -> Result<Self, ReadError> {
        let pauses = if planted(Mutant::PauseForgotten) {
            Pauses::default()
        } else {
            views::pauses(journal)?
        };
        Ok(Self { current: Mutex::new(Arc::new(pauses)), fence: RwLock::default() })
    }

    /// What is paused now.
    pub(crate) fn current(&self) -> Arc<Pauses> {
        self.current.lock().expect("reading the pauses does not panic").clone()
    }

    fn put(&self, pauses: Pauses) {
        *self.current.lock().expect("reading the pauses does not panic") = Arc::new(pauses);
    }

    /// Held while an attempt is decided and its intent appended: nothing is paused meanwhile.
    pub(crate) async fn attempts(&self) -> RwLockReadGuard<'_, ()> {
        self.fence.read().await
    }

    /// The pause by which calls of `connector` are held.
    pub(crate) fn of_connector(&self, connector: &ConnectorName) -> Option<Pause> {
        self.current().of_connector(connector).cloned()
    }

    /// The pause by which runs of `workflow` that would begin by themselves are held.
    pub(crate) fn of_workflow(&self, workflow: &WorkflowName) -> Option<Pause> {
        self.current().of_workflow(workflow).cloned()
    }
}

impl Soloist {
    /// Pauses `scope`, and returns once that is on disk: from then on nothing of it begins. What is under way comes to its end;
    /// what comes in is taken in. Tells whether it was not paused before.
    ///
    /// # Errors
    ///
    /// [`SetError`]; nothing is paused then.
    pub async fn pause(&self, scope: &Scope, reason: &str) -> Result<bool, SetError> {
        self.pause_as(scope, reason, "operator").await
    }

    /// [`pause`](Self::pause) for someone else, whose name is in the record.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn pause_as(&self, scope: &Scope, reason: &str, by: &str) -> Result<bool, SetError> {
        let (scope, reason, by) = (scope.clone(), reason.to_owned(), by.to_owned());
        let decide = move |pauses: &Pauses| control::pause(pauses, &scope, &by, &reason);
        self.change(decide).await
    }

    /// Lets `scope` go on, and returns once that is on disk. What another pause holds as well stays held. Tells whether it was
    /// paused.
    ///
    /// # Errors
    ///
    /// [`SetError`]; it stays paused then.
    pub async fn resume(&self, scope: &Scope) -> Result<bool, SetError> {
        self.resume_as(scope, "operator").await
    }

    /// [`resume`](Self::resume) for someone else, whose name is in the record.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub async fn resume_as(&self, scope: &Scope, by: &str) -> Result<bool, SetError> {
        let (scope, by) = (scope.clone(), by.to_owned());
        self.change(move |pauses: &Pauses| control::resume(pauses, &scope, &by)).await
    }

    /// What is paused, in the order of the scopes.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.context().held.current().iter().cloned().collect()
    }

    /// Carried out to its end even if nobody waits for it any more: what is on record and what is held are one.
    async fn change(
        &self,
        decide: impl FnOnce(&Pauses) -> Option<Event> + Send + 'static,
    ) -> Result<bool, SetError> {
        let context = self.context().clone();
        let changed = tokio::spawn(async move { change(&context, decide).await });
        changed.await.unwrap_or_else(|died| Err(SetError::Died(died.to_string())))
    }
}

async fn change(
    context: &Context,
    decide: impl FnOnce(&Pauses) -> Option<Event>,
) -> Result<bool, SetError> {
    let fence = context.held.fence.write().await;
    let mut pauses = Pauses::clone(&context.held.current());
    let Some(event) = decide(&pauses) else { return Ok(false) };
    let now = context.env.now();
    pauses.apply(&event, now);
    if let Event::Paused { .. } = &event {
        tracing::warn!(?event, "paused");
    }
    append(context, &event).await?;
    context.held.put(pauses);
    drop(fence);
    context.tell_held();
    Ok(true)
}

/// Pauses everything before anything begins, for a kernel that is opened to be looked at first.
pub(crate) async fn open_paused(context: &Context, reason: &str) -> Result<(), SetError> {
    let reason = reason.to_owned();
    let decide =
        move |pauses: &Pauses| control::pause(pauses, &Scope::Everything, "operator", &reason);
    change(context, decide).await.map(drop)
}

/// Pauses `scope` for `reason`, or lets it go on for `None`, in a journal that no kernel has open: the next one begins so.
/// Tells whether that was not so before.
///
/// # Errors
///
/// [`SetError`]; nothing has changed then.
pub async fn hold(
    journal: Arc<dyn Journal>,
    scope: &Scope,
    reason: Option<&str>,
) -> Result<bool, SetError> {
    let pauses = views::pauses(&*journal)?;
    let decided = match reason {
        Some(reason) => control::pause(&pauses, scope, "operator", reason),
        None => control::resume(&pauses, scope, "operator"),
    };
    let Some(event) = decided else { return Ok(false) };
    let env = Env::real([0; 32]);
    if let Some(last) = journal.record(journal.head().seq)? {
        env.goes_on_from(last.entry.at);
    }
    let log = Log::new(env.clone(), journal.clone());
    let _notifier = log.notifier();
    log.durable(recorded(&*journal, &event, env.now())?).await?;
    Ok(true)
}

async fn append(context: &Context, event: &Event) -> Result<(), SetError> {
    let append = recorded(&*context.journal, event, context.env.now())?;
    match context.log.durable(append).await {
        Ok(_) => Ok(()),
        Err(error) => {
            if let AppendError::Stopped(stopped) = &error {
                context.halt(&stopped.to_string());
            }
            Err(error.into())
        }
    }
}

/// What is to be appended for `event`.
fn recorded(journal: &dyn Journal, event: &Event, at: Timestamp) -> Result<Append, ReadError> {
    let stream = control::stream();
    let last = journal.stream_head(&stream)?;
    let (Event::Paused { by, .. } | Event::Resumed { by, .. }) = event;
    let entry = Entry {
        stream,
        stream_seq: StreamSeq(last.0 + 1),
        at,
        actor: by_whom(by),
        causation: None,
        correlation: None,
        kind: event.kind().into(),
        version: control::EVENTS_VERSION,
        payload: control::encode(event),
    };
    let projections = vec![control::project(event, at)];
    Ok(Append { entries: vec![entry], projections, ..Append::default() })
}

impl Context {
    /// Those that may be held, or may now go on, look again.
    fn tell_held(&self) {
        if let Some(runs) = self.registry.runs() {
            let _ = runs.send(runs::Message::LookAgain);
        }
        if let Some(schedules) = self.registry.schedules() {
            let _ = schedules.send(schedules::Message::Look);
        }
        if let Some(shadows) = self.registry.shadows() {
            let _ = shadows.send(shadows::Message::Look);
        }
        for connector in self.mounted().connectors.keys() {
            if let Some(calls) = self.registry.connector(connector) {
                let _ = calls.send(connector::Message::LookAgain);
            }
        }
    }
}
