//! What happens when a breaker turns: it is kept, and those who were put aside are woken.

use soloist_kernel::{
    codec,
    gate::{Refused, Turned},
    id::{Actor as By, RunId},
    journal::{Append, Entry, StreamSeq},
    run::project,
};

use super::{ConnectorActor, Message, WAKE_MAX};
use crate::{actor::Error, gate::Class, run::Asked, runs};

/// Version of the stored events of a connector's breakers.
const EVENTS_VERSION: u16 = 1;

impl ConnectorActor {
    /// Keeps how a breaker stands, and wakes those who were put aside if they can go on.
    pub(super) async fn turned(&mut self, class: Class, turned: Turned) -> Result<(), Error> {
        let what = class.word();
        let kind = match &turned {
            Turned::Opened { until, reason } => {
                tracing::warn!(connector = %self.name, what, %until, reason, "the breaker opens");
                "breaker.opened"
            }
            Turned::Closed => {
                tracing::info!(connector = %self.name, what, "the breaker closes");
                "breaker.closed"
            }
        };
        let (key, bytes) = self.gate.stored(class);
        let next = StreamSeq(self.stream_seq.0 + 1);
        let entry = Entry {
            stream: self.stream.clone(),
            stream_seq: next,
            at: self.env.now(),
            actor: By::connector(&self.name),
            causation: None,
            correlation: None,
            kind: kind.into(),
            version: EVENTS_VERSION,
            payload: codec::encode(&what),
        };
        let projections = vec![(key, Some(bytes))];
        let append = Append { entries: vec![entry], projections, ..Append::default() };
        self.context.log.ordered(append).await?;
        self.stream_seq = next;
        match turned {
            Turned::Opened { .. } => self.arm(class),
            Turned::Closed => {
                self.wake(class, "", WAKE_MAX)?;
            }
        }
        Ok(())
    }

    /// Has someone find out when the time of an open breaker is over.
    pub(super) fn arm(&self, class: Class) {
        if let Some(Refused { until, .. }) = self.gate.closed_to(class) {
            let wait = self.env.now().until(until);
            self.me.send_after(wait, move || Message::Due { class });
        }
    }

    /// Wakes the next run with a write that was put aside here. Each in turn: to find out costs an attempt, and the same one
    /// would soon have none left.
    pub(super) fn find_out(&mut self, class: Class) -> Result<(), Error> {
        let after = std::mem::take(&mut self.found_out);
        for after in [after, String::new()] {
            if let Some(last) = self.wake(class, &after, 1)? {
                self.found_out = last;
                break;
            }
        }
        Ok(())
    }

    /// Wakes runs with writes that were put aside here, in the order of their names; gives the last.
    pub(super) fn wake(
        &self,
        class: Class,
        after: &str,
        count: usize,
    ) -> Result<Option<String>, Error> {
        let prefix = format!("{}/", self.name);
        let rows = self.context.journal.projections(project::PARKED, &prefix, after, count)?;
        let Some(runs) = self.context.registry.runs() else { return Ok(None) };
        tracing::debug!(connector = %self.name, class = class.word(), count = rows.len(), "wakes");
        for (key, _) in &rows {
            let Some(run) = key.strip_prefix(&prefix).and_then(|run| RunId::new(run).ok()) else {
                continue;
            };
            let asked = Asked::Unpark { connector: self.name.clone() };
            let _ = runs.send(runs::Message::Deliver { run, asked });
        }
        Ok(rows.into_iter().next_back().map(|(key, _)| key))
    }
}
