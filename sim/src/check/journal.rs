//! The protocol at the journal: what may follow what, and what must be durable before what.

use std::collections::BTreeMap;

use soloist_kernel::{
    effect::WriteEvent,
    fault::{FaultClass, Phase},
    id::{EffectId, RunId, StepName},
    journal::{Entry, Journal, ReadError, Record, Seq},
    payload::Digest,
    policy::Verdict,
    run::{self, Awaits, EffectRef, Event, Fetch},
    semantics::WriteSemantics,
    time::Timestamp,
};

/// What the journal has said so far of writes, results and waits.
#[derive(Default)]
pub(crate) struct Watch {
    writes: BTreeMap<String, Known>,
    /// The output that a run is recorded to have had.
    results: BTreeMap<RunId, (Seq, Digest)>,
    /// Those that were durable once, over every process.
    reported: BTreeMap<RunId, Digest>,
    /// When something was last put on record of a run.
    times: BTreeMap<RunId, Timestamp>,
    /// What waits until when.
    waits: BTreeMap<(RunId, StepName, EffectRef), Timestamp>,
    /// The last record that is fsynced.
    pub(crate) synced: Seq,
}

/// A write as the journal knows it.
pub(crate) struct Known {
    pub(crate) granted: bool,
    pub(crate) semantics: WriteSemantics,
    pub(crate) attempts: BTreeMap<u32, (Seq, Timestamp)>,
    /// Whether an attempt is under way.
    open: bool,
    /// Whether an attempt that is over may have happened and nobody has found out since.
    doubt: bool,
}

/// What is wrong with what was appended.
pub(crate) type Problem = (&'static str, String);

impl Watch {
    /// What a journal says that another process has left behind. What was reported stays reported.
    pub(crate) fn reopened(&mut self, journal: &dyn Journal) -> Result<(), ReadError> {
        let reported = std::mem::take(&mut self.reported);
        *self = Self { reported, synced: journal.head().seq, ..Self::default() };
        let mut from = Seq(1);
        loop {
            let page = journal.records(from, 256)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = Seq(last.seq.0 + 1);
            for Record { seq, entry, .. } in &page {
                self.appended(*seq, entry, &|_| true, &|digest| journal.blob(digest));
            }
        }
    }

    /// What the journal knows of the write with `key`.
    pub(crate) fn write(&self, key: &str) -> Option<&Known> {
        self.writes.get(key)
    }

    /// Everything up to `seq` is durable: results that it holds are reported.
    pub(crate) fn is_synced(&mut self, seq: Seq) -> Vec<Problem> {
        self.synced = seq;
        let mut problems = vec![];
        for (run, (at, result)) in &self.results {
            if *at > seq {
                continue;
            }
            let reported = self.reported.entry(run.clone()).or_insert(*result);
            if reported != result {
                let what = format!("the result of {run} was reported, and is another now");
                problems.push(("result-stays", what));
            }
        }
        problems
    }

    /// Record `seq` is appended. Returns what is wrong with it.
    pub(crate) fn appended(
        &mut self,
        seq: Seq,
        entry: &Entry,
        happened: &dyn Fn(&str) -> bool,
        blobs: Fetch<'_>,
    ) -> Vec<Problem> {
        let mut problems = vec![];
        let Some(run) = run_of(entry) else { return problems };
        let Ok(events) = run::decode(entry.version, &entry.payload, blobs) else {
            return vec![("history-is-state", format!("record {seq} does not decode"))];
        };
        let last = self.times.insert(run.clone(), entry.at);
        if last.is_some_and(|last| last > entry.at) {
            problems.push((
                "time-goes-on",
                format!("record {seq} of {run} is older than the last one"),
            ));
        }
        for event in events {
            self.event(&run, seq, entry.at, event, happened, &mut problems);
        }
        problems
    }

    fn event(
        &mut self,
        run: &RunId,
        seq: Seq,
        at: Timestamp,
        event: Event,
        happened: &dyn Fn(&str) -> bool,
        problems: &mut Vec<Problem>,
    ) {
        match event {
            Event::Write { step, effect, event, .. } => {
                let EffectRef { name, occurrence } = effect;
                let id = EffectId { run: run.clone(), step, name, occurrence };
                self.write_event(&id, seq, at, event, happened, problems);
            }
            Event::Completed { output } => {
                self.results.insert(run.clone(), (seq, output.value.digest()));
            }
            Event::Awaited { step, effect, what, .. } => {
                if let Awaits::Until { at: until } = *what {
                    self.waits.insert((run.clone(), step, effect), until);
                }
            }
            Event::Answered { step, effect, answer } => {
                let until = self.waits.remove(&(run.clone(), step.clone(), effect.clone()));
                if let Some(until) = until
                    && answer.by == "time"
                    && at < until
                {
                    let what =
                        format!("{run}/{step}/{effect} waits until {until} and went on at {at}");
                    problems.push(("not-early", what));
                }
            }
            _ => {}
        }
    }

    fn write_event(
        &mut self,
        id: &EffectId,
        seq: Seq,
        at: Timestamp,
        event: WriteEvent,
        happened: &dyn Fn(&str) -> bool,
        problems: &mut Vec<Problem>,
    ) {
        let key = id.key().to_string();
        if let WriteEvent::Proposed { proposal, judgement } = &event {
            let known = Known {
                granted: judgement.verdict == Verdict::Allow,
                semantics: proposal.semantics,
                attempts: BTreeMap::new(),
                open: false,
                doubt: false,
            };
            self.writes.insert(key, known);
            return;
        }
        let Some(known) = self.writes.get_mut(&key) else { return };
        match event {
            WriteEvent::Approved { .. } => known.granted = true,
            WriteEvent::Modified { judgement, .. } => {
                known.granted = matches!(judgement.verdict, Verdict::Allow | Verdict::Approve);
            }
            WriteEvent::Reproposed { judgement, .. } => {
                known.granted = judgement.verdict == Verdict::Allow;
            }
            WriteEvent::Expired { approved } => known.granted = approved,
            WriteEvent::Attempted { attempt } => {
                if !known.granted {
                    problems.push(("approved", format!("{id} is attempted and was not approved")));
                }
                if (known.doubt || known.open) && !may_repeat(known, at) {
                    let what = format!("{id} may have happened, and is attempted again");
                    problems.push(("not-repeated", what));
                }
                known.open = true;
                known.attempts.insert(attempt, (seq, at));
            }
            WriteEvent::Landed { .. } => {
                (known.open, known.doubt) = (false, false);
                if !happened(&key) {
                    let what = format!("{id} is recorded as landed and has not happened");
                    problems.push(("landed-happened", what));
                }
            }
            WriteEvent::Faulted { fault, .. } => {
                known.doubt |= known.open && fault.phase == Phase::MaybeSent;
                // It has been looked at, under a key that the other side remembers.
                let refused = fault.phase == Phase::Answered && fault.class == FaultClass::Declined;
                known.doubt &= !refused;
                known.open = false;
            }
            WriteEvent::ProvenAbsent { .. } | WriteEvent::Resolved { .. } => known.doubt = false,
            _ => {}
        }
    }
}

/// The run whose history `entry` belongs to.
fn run_of(entry: &Entry) -> Option<RunId> {
    RunId::new(entry.stream.as_str().strip_prefix("run:")?).ok()
}

/// Whether what may have happened may be attempted again: while the other side still knows the key, counted from the first
/// attempt.
fn may_repeat(known: &Known, at: Timestamp) -> bool {
    match &known.semantics {
        WriteSemantics::Keyed { ttl } => {
            let first = known.attempts.values().map(|(_, at)| *at).min();
            first.is_none_or(|first| first.until(at) < *ttl)
        }
        _ => false,
    }
}
