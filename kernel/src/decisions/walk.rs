//! The fold of the journal's records into cases.
//!
//! It follows no more of a run than it has to: the definition it is pinned to, which tells who proposes, and the effects of its
//! steps, whose places tell what is taken back. Each write goes through the state machine that the kernel has for it.

mod open;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;

use self::open::Open;
use super::{Answer, Case, Cause, Fate, Hearing, places::Places};
use crate::{
    effect::{Outcome, Proposal, Write, WriteEvent, WriteState},
    id::{RunId, StepName, WorkflowRef},
    journal::{Record, Seq},
    policy::{self, Evidence, Judgement},
    run::{self, AfterFailure, Beginning, EffectRef, Event, Fetch, StoredError},
    time::Timestamp,
    workflow::{Library, Workflow},
};

/// A record that cannot be folded in.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Its events cannot be read.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// Its events do not follow from those before.
    #[error("record {seq} does not follow from those before it: {problem}; run `soloist doctor`")]
    Illegal {
        /// The record.
        seq: Seq,
        /// What does not fit.
        problem: String,
    },
}

/// Folds records into cases.
pub struct Walk<'a> {
    library: &'a dyn Library,
    since: Timestamp,
    places: Places,
    runs: BTreeMap<RunId, Followed>,
    /// Cases whose effect has been proposed anew, after the write had failed.
    closed: Vec<Case>,
    in_force: u32,
}

/// A run, as far as it is followed.
struct Followed {
    workflow: WorkflowRef,
    body: Option<StepName>,
    definition: Arc<Workflow>,
    /// The last record that the run has waited to be on disk. What is before it could be read when the run went on.
    synced: Seq,
    /// The effects of each step, in their order.
    effects: BTreeMap<StepName, Vec<EffectRef>>,
    writes: BTreeMap<(StepName, EffectRef), Open>,
    /// How often the operator has had each step tried again.
    generations: BTreeMap<StepName, u32>,
    /// The steps that are over.
    over: BTreeSet<StepName>,
    /// Whether the run has failed.
    failed: bool,
}

/// Where an event stands in the journal.
#[derive(Clone, Copy)]
struct Moment<'a> {
    run: &'a RunId,
    seq: Seq,
    at: Timestamp,
}

impl<'a> Walk<'a> {
    /// A walk from the first record on, for the cases that were proposed at `since` or later. `library` finds the definitions of
    /// runs.
    #[must_use]
    pub fn new(library: &'a dyn Library, since: Timestamp) -> Self {
        let (places, runs, closed) = (Places::default(), BTreeMap::new(), vec![]);
        Self { library, since, places, runs, closed, in_force: 0 }
    }

    /// Folds the next record in. Those of other streams than runs' and the policy's say nothing here; a run whose beginning the
    /// journal no longer holds is passed over.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]; the walk cannot go on then.
    pub fn take(&mut self, record: &Record, blob: Fetch<'_>) -> Result<(), Unreadable> {
        let entry = &record.entry;
        if entry.stream.as_str() == policy::STREAM {
            self.in_force = u32::try_from(entry.stream_seq.0).unwrap_or(u32::MAX);
        }
        let Some(run) = entry.stream.as_str().strip_prefix(RUN).and_then(|id| RunId::new(id).ok())
        else {
            return Ok(());
        };
        let events = run::decode_writes(entry.version, &entry.payload, blob)?;
        let at = Moment { run: &run, seq: record.seq, at: entry.at };
        let waited_for = events.iter().any(is_waited_for);
        for event in events {
            self.event(at, event)
                .map_err(|problem| Unreadable::Illegal { seq: record.seq, problem })?;
        }
        if let Some(run) = self.runs.get_mut(&run).filter(|_| waited_for) {
            run.synced = record.seq;
        }
        Ok(())
    }

    /// The cases, in the order in which they were proposed.
    #[must_use]
    pub fn cases(self) -> Vec<Case> {
        let open = self.runs.into_values().flat_map(|run| run.writes.into_values());
        let mut cases: Vec<Case> = self.closed;
        cases.extend(open.map(Open::close));
        cases.retain(|case| case.at() >= self.since);
        cases.sort_by_key(|case| case.first().seq);
        cases
    }

    fn event(&mut self, at: Moment<'_>, event: Event) -> Result<(), String> {
        match event {
            Event::Started(beginning) => self.started(at, *beginning),
            Event::Migrated { workflow, .. } => {
                let Some(run) = self.runs.get_mut(at.run) else { return Ok(()) };
                run.definition = find(self.library, at.run, &workflow, run.body.as_ref())?;
                run.workflow = workflow;
                Ok(())
            }
            Event::Recorded { step, effect, .. } | Event::Awaited { step, effect, .. } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.effects.entry(step).or_default().push(effect);
                }
                Ok(())
            }
            Event::StepFailed { step, next, .. } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.forget_failed(&step);
                    if matches!(next, AfterFailure::Never | AfterFailure::Compensate) {
                        run.over.insert(step);
                    }
                }
                Ok(())
            }
            Event::StepCompleted { step, .. } | Event::StepSkipped { step } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.over.insert(step);
                }
                Ok(())
            }
            Event::Retried { step, .. } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.forget_failed(&step);
                    run.over.remove(&step);
                    *run.generations.entry(step).or_default() += 1;
                    run.goes_on();
                }
                Ok(())
            }
            Event::Overridden { step, .. } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.over.insert(step);
                    run.goes_on();
                }
                Ok(())
            }
            Event::Failed { .. } => {
                if let Some(run) = self.runs.get_mut(at.run) {
                    run.failed = true;
                }
                Ok(())
            }
            Event::Write {
                step,
                effect,
                event: WriteEvent::Proposed { proposal, judgement },
                ..
            } => {
                self.proposed(at, step, effect, *proposal, judgement);
                Ok(())
            }
            Event::Write { step, effect, event, .. } => self.write(at, step, effect, event),
            Event::StepStarted { .. }
            | Event::Answered { .. }
            | Event::Delegated { .. }
            | Event::Uncompensated { .. }
            | Event::ChildUnwound { .. }
            | Event::Completed { .. }
            | Event::Cancelled { .. }
            | Event::Unwinding { .. }
            | Event::Unwound
            | Event::Overdue
            | Event::Dismissed { .. }
            | Event::Reserved { .. }
            | Event::Settled { .. } => Ok(()),
        }
    }

    fn started(&mut self, at: Moment<'_>, beginning: Beginning) -> Result<(), String> {
        let Beginning { workflow, body, .. } = beginning;
        let definition = find(self.library, at.run, &workflow, body.as_ref())?;
        let (effects, writes) = (BTreeMap::new(), BTreeMap::new());
        let (generations, over) = (BTreeMap::new(), BTreeSet::new());
        let synced = at.seq;
        let run = Followed {
            workflow,
            body,
            definition,
            synced,
            effects,
            writes,
            generations,
            over,
            failed: false,
        };
        self.runs.insert(at.run.clone(), run);
        Ok(())
    }

    fn proposed(
        &mut self,
        at: Moment<'_>,
        step: StepName,
        effect: EffectRef,
        proposal: Proposal,
        judgement: Judgement,
    ) {
        let Some(run) = self.runs.get_mut(at.run) else { return };
        let effects = run.effects.entry(step.clone()).or_default();
        effects.push(effect.clone());
        let reversed = reversed_by(effects, &effect);
        let reverses = is_undo(&effect);
        if let Some(original) = reversed.and_then(|it| run.writes.get_mut(&(step.clone(), it))) {
            original.case.taken_back = true;
        }
        let judgement = self.named(judgement);
        let hearing =
            self.hearing(at, &step, Cause::Proposed, proposal.clone(), &judgement, reverses);
        let Some((run, hearing)) = self.runs.get_mut(at.run).zip(hearing) else { return };
        let case = Case {
            run: at.run.clone(),
            workflow: run.workflow.clone(),
            step: step.clone(),
            effect: effect.clone(),
            hearings: vec![],
            said: vec![],
            answer: Answer::NotAsked,
            waited: None,
            fate: Fate::UnderWay,
            why: None,
            taken_back: false,
        };
        let mut write = Write::proposed(proposal, judgement, at.at);
        write.generation = run.generations.get(&step).copied().unwrap_or_default();
        let mut open = Open { case, write, asked_at: None };
        open.heard(hearing, at.at);
        // What failed is proposed anew under the same effect, and that is another case.
        if let Some(before) = run.writes.insert((step, effect), open) {
            self.closed.push(before.close());
        }
    }

    fn write(
        &mut self,
        at: Moment<'_>,
        step: StepName,
        effect: EffectRef,
        event: WriteEvent,
    ) -> Result<(), String> {
        let place = (step, effect);
        let Some(mut open) = self.runs.get_mut(at.run).and_then(|run| run.writes.remove(&place))
        else {
            return Ok(());
        };
        let by = self.by(&event, &open.write);
        let item = open.item();
        open.said(at, item, by, &event);
        open.write.apply(&event, at.at).map_err(|illegal| illegal.to_string())?;
        let again = match event {
            WriteEvent::Modified { by, proposal, judgement } => {
                Some((Cause::Modified { by }, *proposal, judgement))
            }
            WriteEvent::Reproposed { proposal, judgement } => {
                Some((Cause::Reproposed, *proposal, judgement))
            }
            WriteEvent::Landed { .. } | WriteEvent::Resolved { happened: true, .. } => {
                self.places.landed(&open.write.proposal, at.run, at.seq, at.at);
                None
            }
            _ => None,
        };
        if let Some((cause, proposal, judgement)) = again {
            let (judgement, reverses) = (self.named(judgement), open.case.reverses());
            let heard = self.hearing(at, &place.0, cause, proposal, &judgement, reverses);
            if let Some(hearing) = heard {
                open.heard(hearing, at.at);
            }
        }
        // What was proposed before the time that is asked about is followed only until it is over: its landing counts.
        let forgotten = open.write.is_settled() && open.case.at() < self.since;
        if let Some(run) = self.runs.get_mut(at.run).filter(|_| !forgotten) {
            run.writes.insert(place, open);
        }
        Ok(())
    }

    /// Events of the first version do not name the policy; the version in force at their record follows from its stream.
    fn named(&self, judgement: Judgement) -> Judgement {
        let policy = if judgement.policy == 0 { self.in_force } else { judgement.policy };
        Judgement { policy, ..judgement }
    }

    fn hearing(
        &self,
        at: Moment<'_>,
        step: &StepName,
        cause: Cause,
        proposal: Proposal,
        judgement: &Judgement,
        reverses: bool,
    ) -> Option<Hearing> {
        let run = self.runs.get(at.run)?;
        let known = |before| Evidence {
            reached: self.places.reached(&proposal, before, at.at),
            reverses,
            workflow: run.workflow.name.to_string(),
            agent: run.definition.agent_of(step).map(ToString::to_string),
        };
        let evidence = known(at.seq);
        let moment = self.places.since(&proposal, at.run, run.synced);
        let mut earlier: Vec<Evidence> = moment.into_iter().map(known).collect();
        earlier.dedup();
        let judgement = judgement.clone();
        let (seq, at) = (at.seq, at.at);
        Some(Hearing { seq, at, cause, proposal, judgement, evidence, earlier, item: None })
    }

    /// Who said it. An agent to whom the decision was given speaks through the run that it took its turn in.
    fn by(&self, event: &WriteEvent, write: &Write) -> Option<String> {
        let by = match event {
            WriteEvent::Approved { by }
            | WriteEvent::Modified { by, .. }
            | WriteEvent::Aborted { by, .. }
            | WriteEvent::Resolved { by, .. }
            | WriteEvent::Delegated { by, .. } => by,
            _ => return None,
        };
        let agent = match &write.state {
            WriteState::Asking { assigned: Some(to), .. } if to.starts_with("agent:") => Some(to),
            _ => None,
        };
        let spoke = RunId::new(by).is_ok_and(|run| self.runs.contains_key(&run));
        Some(agent.filter(|_| spoke).unwrap_or(by).clone())
    }
}

/// What the stream of a run begins with.
const RUN: &str = "run:";

impl Followed {
    /// The run goes on: if it had failed, what its end had stopped is asked for again.
    fn goes_on(&mut self) {
        if !std::mem::take(&mut self.failed) {
            return;
        }
        for (step, effects) in
            self.effects.iter_mut().filter(|(step, _)| !self.over.contains(*step))
        {
            effects.retain(|effect| {
                let write = self.writes.get(&(step.clone(), effect.clone()));
                !write.is_some_and(|open| open.write.stopped)
            });
        }
    }

    /// What failed is tried again as if it had not been asked for.
    fn forget_failed(&mut self, step: &StepName) {
        let (writes, Some(effects)) = (&self.writes, self.effects.get_mut(step)) else { return };
        let failed = |effect: &EffectRef| {
            let write = writes.get(&(step.clone(), effect.clone()));
            write.is_some_and(|open| {
                matches!(open.write.state, WriteState::Settled(Outcome::Failed { .. }))
            })
        };
        effects.retain(|effect| !failed(effect));
    }
}

fn find(
    library: &dyn Library,
    run: &RunId,
    workflow: &WorkflowRef,
    body: Option<&StepName>,
) -> Result<Arc<Workflow>, String> {
    library
        .resolve(workflow, body)
        .ok_or_else(|| format!("workflow {workflow} of run {run} is missing from the journal"))
}

fn is_undo(effect: &EffectRef) -> bool {
    effect.branch() == run::UNDO
}

/// The effect among those of a step that `undo` takes back: its name has the place.
fn reversed_by(effects: &[EffectRef], undo: &EffectRef) -> Option<EffectRef> {
    let place = undo.name.as_str().strip_prefix(run::UNDO)?.strip_prefix(':')?;
    effects.get(place.parse::<usize>().ok()?).cloned()
}

/// Whether a run waits until this is on disk before it goes on. Fewer kinds than there are, which makes the moment of a judgement
/// longer and never too short.
fn is_waited_for(event: &Event) -> bool {
    match event {
        Event::Started(_) => true,
        Event::Write { event, .. } => matches!(
            event,
            WriteEvent::Approved { .. }
                | WriteEvent::Modified { .. }
                | WriteEvent::Aborted { .. }
                | WriteEvent::Attempted { .. }
                | WriteEvent::Landed { .. }
                | WriteEvent::Resolved { .. }
                | WriteEvent::Reproposed { .. }
        ),
        _ => false,
    }
}
