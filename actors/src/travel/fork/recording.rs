//! What the original run had for an answer to everything that it asked: what a fork is answered with.

use std::collections::BTreeMap;

use serde_json::Value;
use soloist_kernel::{
    effect::{Decision, Proposal, Write, WriteEvent},
    id::{Actor, EffectId, EventId, EventType, IdempotencyKey, RunId, StepName},
    journal::{Record, Seq},
    labels::Labeled,
    payload::{Digest, Payload},
    run::{Awaited, Awaits, EffectRef, Event, Occurrence, Run, StepStatus},
    time::Timestamp,
};

use super::super::{
    TravelError,
    history::{Source, Told, walk},
};

/// A family of runs as it was recorded.
#[derive(Default)]
pub(crate) struct Recording {
    /// Answers that effects had at once, in the order in which they were recorded, by effect.
    answers: BTreeMap<EffectId, Vec<Recorded>>,
    /// Every write, as it last stood.
    writes: BTreeMap<IdempotencyKey, Write>,
    /// What came from people and from outside, in the order in which it came.
    pub(super) said: Vec<Said>,
    /// The runs, as they are now.
    pub(super) runs: BTreeMap<RunId, Run>,
}

struct Recorded {
    seq: Seq,
    asked: Digest,
    answer: Labeled<Payload>,
}

/// Something that came from a person or from outside.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) seq: Seq,
    pub(super) run: RunId,
    pub(super) step: StepName,
    pub(super) by: String,
    pub(super) what: What,
}

/// What was said, and to what.
#[derive(Clone)]
pub(super) enum What {
    /// A decision about a write.
    Write { effect: EffectRef, proposal: Box<Proposal>, decision: Decision },
    /// A write was changed.
    Modified { effect: EffectRef, proposal: Box<Proposal>, arguments: Payload },
    /// An answer to a question that was put in these words.
    Answer { effect: EffectRef, content: Digest, decision: Decision },
    /// A decision about a step that had failed so often.
    Escalated { attempt: u32, decision: Decision },
    /// An event.
    Event { effect: EffectRef, occurrence: Box<Occurrence> },
}

impl Recording {
    /// Takes in the run `id`, whose records are `records`.
    pub(super) fn take(
        &mut self,
        source: &dyn Source,
        id: &RunId,
        records: &[Record],
    ) -> Result<(), TravelError> {
        let run = walk(source, id, records, |told| self.told(&told))?;
        self.runs.insert(id.clone(), run);
        Ok(())
    }

    fn told(&mut self, told: &Told<'_>) {
        for event in told.events {
            match event {
                Event::Recorded { step, effect, asked, answer } => {
                    let id = told.after.effect_id(step, effect);
                    let (seq, asked) = (told.record.seq, *asked);
                    let recorded = Recorded { seq, asked, answer: answer.clone() };
                    self.answers.entry(id).or_default().push(recorded);
                }
                Event::Write { step, effect, event, .. } => {
                    let key = told.after.key(step, effect);
                    let known = match told.after.write(step, effect) {
                        Some(write) => Some(write.clone()),
                        // What fails its step is forgotten with the attempt, in the same record.
                        None => told.before.and_then(|before| {
                            let mut write = before.write(step, effect)?.clone();
                            write.apply(event, told.record.entry.at).ok()?;
                            Some(write)
                        }),
                    };
                    self.writes.extend(known.map(|write| (key, write)));
                }
                _ => {}
            }
        }
        // What follows from what was said comes behind it, and follows in a fork as well.
        let said = told.before.zip(told.events.first()).and_then(|(run, event)| {
            let (step, by, what) = said(run, event, &told.record.entry.actor)?;
            Some(Said { seq: told.record.seq, run: run.id.clone(), step, by, what })
        });
        self.said.extend(said);
    }

    /// The answer that `effect` had when it asked this; the next one each time it asks again, and the last one from then on.
    /// `used` tells how many it has had.
    pub(super) fn answer(
        &self,
        effect: &EffectId,
        asked: Digest,
        used: usize,
    ) -> Option<&Labeled<Payload>> {
        let all = self.answers.get(effect)?;
        let mut same = all.iter().filter(|recorded| recorded.asked == asked);
        let last = same.clone().next_back();
        same.nth(used).or(last).map(|recorded| &recorded.answer)
    }

    /// How many answers `effect` had by record `seq`.
    pub(super) fn had(&self, effect: &EffectId, asked: Digest, seq: Seq) -> usize {
        let all = self.answers.get(effect).into_iter().flatten();
        all.filter(|recorded| recorded.asked == asked && recorded.seq <= seq).count()
    }

    /// The last answer that any effect called `name` had when it asked this.
    pub(super) fn elsewhere(&self, name: &str, asked: Digest) -> Option<&Labeled<Payload>> {
        let named = self.answers.iter().filter(|(id, _)| base(id.name.as_str()) == name);
        let all = named.flat_map(|(_, all)| all).filter(|recorded| recorded.asked == asked);
        all.max_by_key(|recorded| recorded.seq).map(|recorded| &recorded.answer)
    }

    /// The write with this key.
    pub(super) fn write(&self, key: &IdempotencyKey) -> Option<&Write> {
        self.writes.get(key)
    }

    /// The keys of all writes.
    pub(super) fn keys(&self) -> impl Iterator<Item = &IdempotencyKey> {
        self.writes.keys()
    }

    /// A receipt that looks like those of `proposal`'s operation.
    pub(super) fn receipt_like(&self, proposal: &Proposal) -> Option<&Payload> {
        let same = |write: &&Write| {
            write.proposal.connector == proposal.connector
                && write.proposal.operation == proposal.operation
        };
        self.writes.values().filter(same).find_map(Write::receipt)
    }
}

/// An effect's name without the branch that it belongs to.
fn base(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, base)| base)
}

/// What `event`, the first of a record, is of what someone said.
fn said(run: &Run, event: &Event, actor: &Actor) -> Option<(StepName, String, What)> {
    let person = actor.as_str() == "operator" || actor.as_str().starts_with("operator:");
    let (step, what) = match event {
        Event::Write { step, effect, event, .. } if person => {
            let proposal = Box::new(run.write(step, effect)?.proposal.clone());
            (step, of_write(effect, proposal, event)?)
        }
        Event::Answered { step, effect, answer } => {
            let awaited = run.step(step)?.1.awaited(effect)?;
            (step, answered(effect, awaited, &answer.payload, &answer.by)?)
        }
        Event::StepStarted { step, .. }
        | Event::Retried { step, .. }
        | Event::StepCompleted { step, .. }
        | Event::StepFailed { step, .. }
            if person =>
        {
            (step, of_escalated(run, step, event)?)
        }
        _ => return None,
    };
    let by = match event {
        Event::Answered { answer, .. } => answer.by.clone(),
        _ => actor.as_str().strip_prefix("operator:").unwrap_or("operator").to_owned(),
    };
    Some((step.clone(), by, what))
}

fn of_write(effect: &EffectRef, proposal: Box<Proposal>, event: &WriteEvent) -> Option<What> {
    let effect = effect.clone();
    let decision = match event {
        WriteEvent::Approved { .. } => Decision::Approve,
        WriteEvent::Aborted { reason, .. } => Decision::Abort { reason: reason.clone() },
        WriteEvent::Resolved { happened, .. } => Decision::Resolve { happened: *happened },
        // One that is given to another person is decided by that person's record.
        WriteEvent::Delegated { to, .. } if to.starts_with("agent:") => {
            Decision::Delegate { to: to.clone() }
        }
        WriteEvent::Modified { proposal: changed, .. } => {
            let arguments = changed.arguments.clone();
            return Some(What::Modified { effect, proposal, arguments });
        }
        _ => return None,
    };
    Some(What::Write { effect, proposal, decision })
}

fn answered(
    effect: &EffectRef,
    awaited: &Awaited,
    answer: &Labeled<Payload>,
    by: &str,
) -> Option<What> {
    let effect = effect.clone();
    let value = answer.value.value();
    match &awaited.what {
        Awaits::Question(_) if by == "time" => None,
        Awaits::Question(question) => {
            let reason = value["reason"].as_str().unwrap_or_default().to_owned();
            let decision = match (question.approval, &value["approved"]) {
                (true, Value::Bool(true)) => Decision::Approve,
                (true, _) => Decision::Abort { reason },
                (false, _) => Decision::Answer { value },
            };
            Some(What::Answer { effect, content: question.content(), decision })
        }
        Awaits::Event { event } => {
            let occurrence = Box::new(occurrence(event, answer, by)?);
            Some(What::Event { effect, occurrence })
        }
        Awaits::Until { .. } | Awaits::Child(_) => None,
    }
}

/// The event that was answered with its view.
fn occurrence(event: &EventType, answer: &Labeled<Payload>, by: &str) -> Option<Occurrence> {
    let view = answer.value.value();
    let data = Payload::of(view.get("data")?).ok()?;
    Some(Occurrence {
        id: EventId::new(by).ok()?,
        event: event.clone(),
        source: view["source"].as_str()?.to_owned(),
        data: Labeled::new(data, answer.labels.clone()),
        at: Timestamp(view["at_ms"].as_u64()?),
    })
}

fn of_escalated(run: &Run, step: &StepName, event: &Event) -> Option<What> {
    let (_, state) = run.step(step)?;
    if !matches!(state.status, StepStatus::Escalated { .. }) {
        return None;
    }
    let decision = match event {
        Event::Retried { .. } | Event::StepStarted { .. } => Decision::Retry,
        Event::StepCompleted { output, .. } => Decision::GoOn { output: output.value.value() },
        _ => Decision::Fail,
    };
    Some(What::Escalated { attempt: state.attempt, decision })
}
