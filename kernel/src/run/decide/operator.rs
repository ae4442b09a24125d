//! What people say, and what agents say in their place.

use serde_json::json;

use super::{Decider, Refusal, writes::write_event};
use crate::{
    effect::{Decision, Proposal, Write, WriteEvent, WriteState},
    id::{AgentName, InboxId, StepName},
    inbox::{self, Waiting},
    labels::{Labeled, Labels},
    mutant::{Mutant, planted},
    payload::Payload,
    policy::{Evidence, Verdict},
    run::{
        awaited::{Answer, Awaits, Child, ChildOf, Question, child_id},
        event::{AfterFailure, Cause, EffectRef, Event},
        flow::failed_output,
        state::Status,
        step::{DECIDE, Step},
    },
    time::Timestamp,
};

/// A write that waits, and where.
struct Place<'a> {
    item: &'a InboxId,
    step: &'a StepName,
    effect: &'a EffectRef,
    write: &'a Write,
}

/// Who decides when an agent does: `agent:NAME`.
const AGENT: &str = "agent:";

impl Decider<'_> {
    pub(super) fn decided(
        &self,
        item: &InboxId,
        decision: Decision,
        by: String,
        fresh: Option<Box<(Proposal, Evidence)>>,
    ) -> Result<Vec<Event>, Refusal> {
        let waiting = self.waiting(item)?;
        let unfit = |decision: &Decision| Refusal::Unfit {
            problem: format!(
                "item {item} cannot be decided by `{}`; it takes {}",
                decision.word(),
                inbox::words(&waiting, self.run)
            ),
        };
        match (&waiting, decision) {
            (Waiting::Write(step, effect, write), Decision::Delegate { to }) => {
                self.delegate_write(item, step, effect, write, by, to)
            }
            (Waiting::Question(step, effect, _), Decision::Delegate { to }) => {
                let (step, effect) = ((*step).clone(), (*effect).clone());
                let delegated = Event::Delegated {
                    step: step.clone(),
                    effect: effect.clone(),
                    by,
                    to: to.clone(),
                };
                let round = self.round_of(&step, &effect) + 1;
                Ok(self.with_agent(vec![delegated], item, &step, &effect, round, &to))
            }
            (Waiting::Write(step, effect, write), decision) => {
                let place = Place { item, step, effect, write };
                self.decide_write(&place, decision, by, fresh)
            }
            (Waiting::Question(step, effect, question), decision) => {
                let payload =
                    answer_to(item, question, &decision)?.ok_or_else(|| unfit(&decision))?;
                let answer = Box::new(Answer::new(Labeled::owner(payload), by));
                Ok(vec![Event::Answered {
                    step: (*step).clone(),
                    effect: (*effect).clone(),
                    answer,
                }])
            }
            (Waiting::Escalation(step, state), decision) => {
                self.decide_escalation(step, state, &decision, by).ok_or_else(|| unfit(&decision))
            }
            (Waiting::Incident, Decision::Abort { .. })
            | (Waiting::Late, Decision::Abort { .. }) => Ok(vec![Event::Dismissed { by }]),
            (Waiting::Incident, Decision::Compensate) => match &self.run.status {
                Status::Failed { cause, unwound: false, .. } => {
                    Ok(vec![Event::Unwinding { cause: cause.clone() }])
                }
                _ => Err(unfit(&Decision::Compensate)),
            },
            (Waiting::Late, Decision::Compensate) => {
                let reason = "it was late".into();
                Ok(vec![Event::Unwinding { cause: Cause::Aborted { by, reason } }])
            }
            (_, decision) => Err(unfit(&decision)),
        }
    }

    fn decide_write(
        &self,
        place: &Place<'_>,
        decision: Decision,
        by: String,
        fresh: Option<Box<(Proposal, Evidence)>>,
    ) -> Result<Vec<Event>, Refusal> {
        let Place { item, step, effect, write } = *place;
        let event = match (&write.state, decision) {
            (WriteState::Asking { .. }, Decision::Approve) => self.approved(write, by, fresh),
            (_, Decision::Abort { reason }) => WriteEvent::Aborted { by, reason },
            (WriteState::Ambiguous { .. }, Decision::Resolve { happened: false })
                if !self.run.may_attempt(step, write) =>
            {
                let reason = "it did not happen, and its step has ended, so it is not tried again";
                WriteEvent::Aborted { by, reason: reason.into() }
            }
            (WriteState::Ambiguous { .. }, Decision::Resolve { happened }) => {
                WriteEvent::Resolved { by, happened }
            }
            (WriteState::Ambiguous { .. }, Decision::Approve) => {
                let problem = format!(
                    "item {item} may have happened already, so approving it could do it twice; say `soloist inbox resolve \
                     {item} --happened` or `--did-not-happen` (which sends it again), or abort it"
                );
                return Err(Refusal::Unfit { problem });
            }
            (_, Decision::Resolve { .. }) => {
                let problem = format!(
                    "item {item} has not been attempted, so there is nothing to resolve; approve, modify or abort it"
                );
                return Err(Refusal::Unfit { problem });
            }
            (_, decision) => {
                let problem = format!(
                    "item {item} cannot be decided by `{}`; approve, modify, delegate or abort it",
                    decision.word()
                );
                return Err(Refusal::Unfit { problem });
            }
        };
        Ok(vec![write_event(step.clone(), effect.clone(), event)])
    }

    /// An approval is of what was shown. If the connector would send something else now, or policy says something else of
    /// it, it is shown again.
    fn approved(
        &self,
        write: &Write,
        by: String,
        fresh: Option<Box<(Proposal, Evidence)>>,
    ) -> WriteEvent {
        let Some((proposal, evidence)) = fresh.map(|fresh| *fresh) else {
            return WriteEvent::Approved { by };
        };
        let changed = proposal.digest != write.proposal.digest
            || proposal.manifest != write.proposal.manifest;
        let judgement = self.env.policy.judge(&proposal, &evidence, self.env.now);
        // What policy would now let happen unasked may happen asked.
        let stands = judgement.verdict == Verdict::Allow
            || (judgement.verdict == write.judgement.verdict
                && judgement.rule == write.judgement.rule
                && judgement.reason == write.judgement.reason);
        if (!changed && stands) || planted(Mutant::ApprovalOutlivesPolicy) {
            return WriteEvent::Approved { by };
        }
        WriteEvent::Reproposed { proposal: Box::new(proposal), judgement }
    }

    /// What waits under `item`, and can still be decided.
    fn waiting(&self, item: &InboxId) -> Result<Waiting<'_>, Refusal> {
        let refused = || Refusal::NotWaiting { item: item.clone() };
        let waiting = inbox::find(self.run, item).ok_or_else(refused)?;
        // Whether the clock was looked at before or after it was said makes no difference to what counts.
        let late = deadline(&waiting).is_some_and(|deadline| deadline <= self.env.now);
        if late && !planted(Mutant::LateDecisionTaken) { Err(refused()) } else { Ok(waiting) }
    }

    pub(super) fn modified(
        &self,
        item: &InboxId,
        proposal: Box<Proposal>,
        evidence: &Evidence,
        by: String,
    ) -> Result<Vec<Event>, Refusal> {
        let Waiting::Write(step, effect, write) = self.waiting(item)? else {
            return Err(Refusal::NotWaiting { item: item.clone() });
        };
        if !matches!(write.state, WriteState::Asking { .. }) {
            let problem = format!(
                "item {item} may have happened already, so it cannot be changed; resolve or abort it"
            );
            return Err(Refusal::Unfit { problem });
        }
        let judgement = if planted(Mutant::ModifiedKeepsJudgement) {
            write.judgement.clone()
        } else {
            self.env.policy.judge(&proposal, evidence, self.env.now)
        };
        if judgement.verdict == Verdict::Deny {
            return Err(Refusal::Denied { rule: judgement.rule, reason: judgement.reason });
        }
        let event = WriteEvent::Modified { by, proposal, judgement };
        Ok(vec![write_event(step.clone(), effect.clone(), event)])
    }

    fn decide_escalation(
        &self,
        step: &StepName,
        state: &Step,
        decision: &Decision,
        by: String,
    ) -> Option<Vec<Event>> {
        let step = step.clone();
        let error = state.error.clone()?;
        Some(vec![match decision {
            Decision::Retry => {
                let reason = "it waited for the operator after its failure".into();
                Event::Retried { step, by, reason }
            }
            Decision::GoOn { output } => {
                let output = Payload::of(output).map(Labeled::owner).ok();
                let output = output.unwrap_or_else(|| failed_output(&error, Labels::owner()));
                Event::StepCompleted { step, output }
            }
            Decision::Fail | Decision::Abort { .. } => {
                Event::StepFailed { step, error, next: AfterFailure::Never }
            }
            Decision::Compensate => Event::Unwinding { cause: Cause::Step { step, error } },
            _ => return None,
        }])
    }

    fn round_of(&self, step: &StepName, effect: &EffectRef) -> u32 {
        let awaited = self.named(step).and_then(|(_, state)| state.awaited(effect));
        awaited.and_then(|awaited| awaited.question()).map_or(0, |question| question.round)
    }

    fn delegate_write(
        &self,
        item: &InboxId,
        step: &StepName,
        effect: &EffectRef,
        write: &Write,
        by: String,
        to: String,
    ) -> Result<Vec<Event>, Refusal> {
        if !matches!(write.state, WriteState::Asking { .. }) {
            let problem = format!("item {item} may have happened; only you can say whether it did");
            return Err(Refusal::Unfit { problem });
        }
        let event = WriteEvent::Delegated { by, to: to.clone() };
        let delegated = write_event(step.clone(), effect.clone(), event);
        Ok(self.with_agent(vec![delegated], item, step, effect, write.round + 1, &to))
    }

    /// If the decision goes to an agent, its turn begins: a run beneath this one, whose output is the decision.
    fn with_agent(
        &self,
        mut events: Vec<Event>,
        item: &InboxId,
        step: &StepName,
        effect: &EffectRef,
        round: u32,
        to: &str,
    ) -> Vec<Event> {
        let Some(agent) = to.strip_prefix(AGENT).and_then(|name| AgentName::new(name).ok()) else {
            return events;
        };
        let shown = inbox::items(self.run).into_iter().find(|shown| shown.id == *item);
        let input = Payload::of(&json!({ "item": shown })).unwrap_or_default();
        let Some(decides) = decides(self.run, step, effect, round) else { return events };
        let labels = self.run.turn_labels(step);
        let run = child_id(&self.run.effect_id(step, &decides));
        let asked = input.digest();
        let child = Child { run, of: ChildOf::Agent(agent), input: Labeled::new(input, labels) };
        let what = Box::new(Awaits::Child(child));
        events.push(Event::Awaited { step: step.clone(), effect: decides, asked, what });
        events
    }
}

/// Until when `waiting` can be decided.
fn deadline(waiting: &Waiting<'_>) -> Option<Timestamp> {
    match waiting {
        Waiting::Write(_, _, write) => match write.state {
            WriteState::Asking { deadline, .. } => deadline,
            _ => None,
        },
        Waiting::Question(_, _, question) => question.deadline,
        Waiting::Escalation(..) | Waiting::Incident | Waiting::Late => None,
    }
}

/// The effect in which an agent decides about round `round` of `effect`.
fn decides(
    run: &crate::run::Run,
    step: &StepName,
    effect: &EffectRef,
    round: u32,
) -> Option<EffectRef> {
    let (_, state) = run.step(step)?;
    let place = state.effects.iter().position(|known| known.id == *effect)?;
    Some(EffectRef::kernel(&format!("{DECIDE}:{place}"), round))
}

/// What `decision` answers to `question`; `None` if it is no answer.
fn answer_to(
    item: &InboxId,
    question: &Question,
    decision: &Decision,
) -> Result<Option<Payload>, Refusal> {
    let value = match (question.approval, decision) {
        (true, Decision::Approve) => json!({ "approved": true, "reason": null }),
        (true, Decision::Abort { reason }) => json!({ "approved": false, "reason": reason }),
        (false, Decision::Answer { value }) => {
            let fits = question.choices.is_empty()
                || value
                    .as_str()
                    .is_some_and(|value| question.choices.iter().any(|choice| choice == value));
            if !fits {
                let choices = question.choices.join(", ");
                let problem = format!("item {item} takes one of: {choices}");
                return Err(Refusal::Unfit { problem });
            }
            value.clone()
        }
        _ => return Ok(None),
    };
    Payload::of(&value).map(Some).map_err(|error| Refusal::Unfit { problem: error.to_string() })
}

/// What an agent that was given a decision says: `{ "decision": "approve" | "abort" | "answer", "reason", "value" }`.
pub(in crate::run) fn decision_of(said: &serde_json::Value) -> Option<Decision> {
    let reason = said["reason"].as_str().unwrap_or("the agent turned it down").to_owned();
    match said["decision"].as_str()? {
        "approve" => Some(Decision::Approve),
        "abort" => Some(Decision::Abort { reason }),
        "answer" => Some(Decision::Answer { value: said["value"].clone() }),
        _ => None,
    }
}
