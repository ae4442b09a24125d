//! What the original run had for an answer to everything that it asked: what a fork is answered with.

use std::collections::BTreeMap;

use serde_json::Value;
use soloist_kernel::{
    effect::{Decision, Proposal, Write, WriteEvent},
    id::{Actor, EffectId, EventId, EventType, IdempotencyKey, RunId, StepName, WorkflowRef},
    journal::{Record, Seq},
    labels::Labeled,
    payload::{Digest, Payload},
    run::{Awaited, Awaits, Cause, Command, EffectRef, Event, Occurrence, Run, StepStatus},
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
    pub(super) by: String,
    pub(super) what: What,
}

/// What was said, and to what.
#[derive(Clone)]
pub(super) enum What {
    /// A decision about a write.
    Write { step: StepName, effect: EffectRef, proposal: Box<Proposal>, decision: Decision },
    /// A write was changed.
    Modified { step: StepName, effect: EffectRef, proposal: Box<Proposal>, arguments: Payload },
    /// An answer to a question that was put in these words.
    Answer { step: StepName, effect: EffectRef, content: Digest, decision: Decision },
    /// A decision about a step that had failed so often.
    Escalated { step: StepName, attempt: u32, decision: Decision },
    /// An event.
    Event { step: StepName, effect: EffectRef, occurrence: Box<Occurrence> },
    /// What the operator did to the run or to a step of it, when it stood so.
    Control { stands: Stands, control: Control },
}

/// What an operator does to a run that waits for nothing from him.
#[derive(Clone)]
pub(super) enum Control {
    /// He ends it, has a step tried again, or says what one comes to.
    Command(Box<Command>),
    /// He moves it to another version of its workflow.
    Migrate(WorkflowRef),
}

/// Where a run stands: its own status and those of its steps, each with its attempt. What it came through on the way may differ.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stands {
    run: &'static str,
    steps: Vec<(StepName, u32, &'static str)>,
}

impl Stands {
    pub(super) fn of(run: &Run) -> Self {
        let steps = run
            .graph()
            .map(|(definition, step)| (definition.name.clone(), step.attempt, step.status.word()));
        Self { run: run.status.word(), steps: steps.collect() }
    }
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
            let (by, what) = said(run, event, &told.record.entry.actor)?;
            Some(Said { seq: told.record.seq, run: run.id.clone(), by, what })
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

/// What `event`, the first of a record, is of what someone said, and who that was.
fn said(run: &Run, event: &Event, actor: &Actor) -> Option<(String, What)> {
    let person = actor.as_str() == "operator" || actor.as_str().starts_with("operator:");
    let what = match event {
        Event::Write { step, effect, event, .. } if person => {
            let proposal = Box::new(run.write(step, effect)?.proposal.clone());
            of_write(step, effect, proposal, event)?
        }
        Event::Answered { step, effect, answer } => {
            let awaited = run.step(step)?.1.awaited(effect)?;
            answered(step, effect, awaited, &answer.payload, &answer.by)?
        }
        _ if person => of_escalated(run, event).or_else(|| of_control(Stands::of(run), event))?,
        _ => return None,
    };
    let by = match event {
        Event::Answered { answer, .. } => answer.by.clone(),
        _ => actor.as_str().strip_prefix("operator:").unwrap_or("operator").to_owned(),
    };
    Some((by, what))
}

fn of_write(
    step: &StepName,
    effect: &EffectRef,
    proposal: Box<Proposal>,
    event: &WriteEvent,
) -> Option<What> {
    let (step, effect) = (step.clone(), effect.clone());
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
            return Some(What::Modified { step, effect, proposal, arguments });
        }
        _ => return None,
    };
    Some(What::Write { step, effect, proposal, decision })
}

fn answered(
    step: &StepName,
    effect: &EffectRef,
    awaited: &Awaited,
    answer: &Labeled<Payload>,
    by: &str,
) -> Option<What> {
    let (step, effect) = (step.clone(), effect.clone());
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
            Some(What::Answer { step, effect, content: question.content(), decision })
        }
        Awaits::Event { event } => {
            let occurrence = Box::new(occurrence(event, answer, by)?);
            Some(What::Event { step, effect, occurrence })
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

/// What was said of a step that had failed so often that it waited for that.
fn of_escalated(run: &Run, event: &Event) -> Option<What> {
    let (step, decision) = match event {
        Event::Retried { step, .. } | Event::StepStarted { step, .. } => (step, Decision::Retry),
        Event::StepCompleted { step, output } => {
            (step, Decision::GoOn { output: output.value.value() })
        }
        Event::StepFailed { step, .. } => (step, Decision::Fail),
        _ => return None,
    };
    let (_, state) = run.step(step)?;
    matches!(state.status, StepStatus::Escalated { .. }).then(|| What::Escalated {
        step: step.clone(),
        attempt: state.attempt,
        decision,
    })
}

/// What was done to a run that stood so.
fn of_control(stands: Stands, event: &Event) -> Option<What> {
    let command = match event.clone() {
        Event::Unwinding { cause: Cause::Aborted { by, reason } } => Command::Abort { by, reason },
        Event::Cancelled { by, reason } => Command::Cancel { by, reason },
        Event::Retried { step, by, reason } => Command::Retry { step: Some(step), by, reason },
        Event::Overridden { step, output, by, reason } => {
            Command::Override { step, output: output.value, by, reason }
        }
        Event::Migrated { workflow, .. } => {
            return Some(What::Control { stands, control: Control::Migrate(workflow) });
        }
        _ => return None,
    };
    Some(What::Control { stands, control: Control::Command(Box::new(command)) })
}
