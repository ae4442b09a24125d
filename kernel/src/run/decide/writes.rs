//! Writes: proposed, attempted, answered, taken back.

use super::{Decider, Refusal};
use crate::{
    effect::{
        AfterFault, Proposal, Standing, Write, WriteEvent, WriteState, after_absence, after_fault,
        after_probe,
    },
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, StepName},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    policy::Evidence,
    retry::{RetryPolicy, jitter},
    run::{
        command::Probed,
        event::{EffectRef, Event},
        state::Status,
    },
    semantics::{WriteSemantics, remembers},
    time::Timestamp,
    workflow::Work,
};

impl Decider<'_> {
    pub(super) fn propose(
        &self,
        step: StepName,
        effect: EffectRef,
        asked: Digest,
        proposal: Box<Proposal>,
        evidence: &Evidence,
    ) -> Result<Vec<Event>, Refusal> {
        self.fresh(&step, &effect)?;
        self.may_propose(&step, &proposal.connector, &proposal.operation)?;
        let judgement = self.env.policy.judge(&proposal, evidence, self.env.now);
        let event = WriteEvent::Proposed { proposal, judgement };
        Ok(vec![Event::Write { step, effect, asked: Some(asked), event }])
    }

    pub(super) fn compensate(
        &self,
        step: StepName,
        effect: EffectRef,
        planned: Result<(Box<Proposal>, Evidence), String>,
    ) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        let unwinding = matches!(self.run.status, Status::Unwinding { .. });
        let undo = self.named(&step).and_then(|(_, state)| {
            let undo = state.undo(&effect)?;
            state.effect(&undo).is_none().then_some(undo)
        });
        let due = unwinding && write.receipt().is_some() && write.uncompensated.is_none();
        let (Some(undo), true) = (undo, due) else {
            let what = format!("taking back {step}/{effect}");
            return Err(self.stale(what, "it was taken back already, or nobody asks for it"));
        };
        Ok(vec![match planned {
            Ok((proposal, evidence)) => {
                let judgement = self.env.policy.judge(&proposal, &evidence, self.env.now);
                let asked = Some(proposal.arguments.digest());
                let event = WriteEvent::Proposed { proposal, judgement };
                Event::Write { step, effect: undo, asked, event }
            }
            Err(reason) => Event::Uncompensated { step, effect, reason },
        }])
    }

    pub(super) fn attempt(&self, step: StepName, effect: EffectRef) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        match write.state {
            WriteState::Granted | WriteState::Retrying { .. }
                if self.run.may_attempt(&step, write) =>
            {
                if let Some(fault) = forgotten(write, self.env.now) {
                    let event = WriteEvent::Faulted { fault, next: AfterFault::Ask };
                    return Ok(vec![write_event(step, effect, event)]);
                }
                let attempt = write.attempts + 1;
                Ok(vec![write_event(step, effect, WriteEvent::Attempted { attempt })])
            }
            _ => Err(self.stale(format!("an attempt of {step}/{effect}"), write.state.word())),
        }
    }

    pub(super) fn land(
        &self,
        step: StepName,
        effect: EffectRef,
        attempt: u32,
        receipt: Payload,
    ) -> Result<Vec<Event>, Refusal> {
        self.attempting(&step, &effect, attempt)?;
        let receipt = if planted(Mutant::ReceiptLost) { Payload::null() } else { receipt };
        Ok(vec![write_event(step, effect, WriteEvent::Landed { receipt })])
    }

    pub(super) fn fault(
        &self,
        step: StepName,
        effect: EffectRef,
        attempt: u32,
        fault: Fault,
    ) -> Result<Vec<Event>, Refusal> {
        let write = self.attempting(&step, &effect, attempt)?;
        let next = after_fault(&fault, &self.standing(&step, &effect, write), &self.retry(&step));
        let next = self.allowed(&step, write, next, fault.phase != Phase::MaybeSent);
        let fault = match (next, &write.doubt) {
            (AfterFault::Ask, Some(doubt)) if fault.phase != Phase::MaybeSent => {
                still_in_doubt(fault, doubt)
            }
            _ => fault,
        };
        Ok(vec![write_event(step, effect, WriteEvent::Faulted { fault, next })])
    }

    pub(super) fn probed(
        &self,
        step: StepName,
        effect: EffectRef,
        found: Probed,
    ) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        let WriteState::Probing { probes, .. } = write.state else {
            return Err(self.stale(format!("a probe of {step}/{effect}"), write.state.word()));
        };
        let (standing, retry) = (self.standing(&step, &effect, write), self.retry(&step));
        let found = match found {
            Probed::Absent if planted(Mutant::AbsentMeansLanded) => {
                Probed::Landed { receipt: Payload::null() }
            }
            Probed::Unknown { .. } if planted(Mutant::UnknownMeansAbsent) => Probed::Absent,
            found => found,
        };
        let event = match found {
            Probed::Landed { receipt } => WriteEvent::Landed { receipt },
            Probed::Absent => {
                let next = match after_absence(&standing, &retry) {
                    AfterFault::Retry { .. } if !self.run.may_attempt(&step, write) => {
                        AfterFault::Fail
                    }
                    next => next,
                };
                WriteEvent::ProvenAbsent { next }
            }
            Probed::Unknown { fault } => {
                let next = after_probe(&fault, probes + 1, &standing, &retry);
                WriteEvent::Faulted { fault, next }
            }
        };
        Ok(vec![write_event(step, effect, event)])
    }

    pub(super) fn park(
        &self,
        step: StepName,
        effect: EffectRef,
        until: Timestamp,
        reason: String,
    ) -> Result<Vec<Event>, Refusal> {
        let write = self.write(&step, &effect)?;
        match write.state {
            // What has come by now need not be waited for.
            WriteState::Granted | WriteState::Retrying { .. } | WriteState::Probing { .. }
                if until <= self.env.now =>
            {
                Ok(vec![])
            }
            WriteState::Granted | WriteState::Retrying { .. } | WriteState::Probing { .. } => {
                Ok(vec![write_event(step, effect, WriteEvent::Parked { until, reason })])
            }
            _ => Err(self.stale(format!("the wait of {step}/{effect}"), write.state.word())),
        }
    }

    pub(super) fn unpark(&self, connector: &ConnectorName) -> Vec<Event> {
        let now = self.env.now;
        self.unparked(|write| write.proposal.connector == *connector && write.may_be_called(now))
    }

    /// What is put aside and has waited long enough goes on, whatever has become of its run.
    pub(super) fn unpark_due(&self) -> Vec<Event> {
        self.unparked(|write| write.parked_until().is_some_and(|until| until <= self.env.now))
    }

    pub(super) fn unparked(&self, which: impl Fn(&Write) -> bool) -> Vec<Event> {
        let parked = self.run.writes().filter(|(_, _, write)| write.is_parked() && which(write));
        parked
            .map(|(step, effect, _)| {
                write_event(step.clone(), effect.clone(), WriteEvent::Unparked)
            })
            .collect()
    }

    /// An attempt that would be repeated in a step or a run that makes none is not: it failed if that is certain, and else the operator
    /// is asked.
    fn allowed(
        &self,
        step: &StepName,
        write: &Write,
        next: AfterFault,
        certain: bool,
    ) -> AfterFault {
        match next {
            AfterFault::Retry { .. } if !self.run.may_attempt(step, write) => {
                if certain && write.doubt.is_none() { AfterFault::Fail } else { AfterFault::Ask }
            }
            next => next,
        }
    }

    /// Nothing is known of attempts that the last process had under way.
    pub(super) fn recover(&self) -> Vec<Event> {
        let lost =
            self.run.writes().filter(|(_, _, write)| matches!(write.state, WriteState::Attempting));
        lost.flat_map(|(step, effect, write)| {
            let message = "the process died while the attempt was under way";
            let not_sent = planted(Mutant::RecoverAsNotSent);
            let phase = if not_sent { Phase::NotSent } else { Phase::MaybeSent };
            let fault = Fault::new(FaultClass::Crash, phase, message);
            let next = after_fault(&fault, &self.standing(step, effect, write), &self.retry(step));
            let next = self.allowed(step, write, next, false);
            let open = self.run.spent.open_of(step, effect);
            let settled = open.map(|open| open.settled(open.cost_of_fault(phase)));
            let event = WriteEvent::Faulted { fault, next };
            [Some(write_event(step.clone(), effect.clone(), event)), settled].into_iter().flatten()
        })
        .collect()
    }

    /// How often a write is tried: a `call` step says, and what an agent proposes is tried as often as any.
    fn retry(&self, step: &StepName) -> RetryPolicy {
        match self.named(step) {
            Some((definition, _)) if matches!(definition.work, Work::Call { .. }) => {
                definition.retry
            }
            _ => RetryPolicy::WRITE,
        }
    }

    fn standing(&self, step: &StepName, effect: &EffectRef, write: &Write) -> Standing {
        let key = self.run.key(step, effect);
        Standing {
            semantics: write.proposal.semantics,
            attempts: write.attempts,
            age: write.age(self.env.now),
            now: self.env.now,
            chance: jitter(key.as_str(), write.attempts),
            doubt: write.doubt.is_some(),
        }
    }

    pub(super) fn write(&self, step: &StepName, effect: &EffectRef) -> Result<&Write, Refusal> {
        let found = self.run.write(step, effect);
        found.ok_or_else(|| self.stale(format!("{step}/{effect}"), "there is no such write"))
    }

    fn attempting(
        &self,
        step: &StepName,
        effect: &EffectRef,
        attempt: u32,
    ) -> Result<&Write, Refusal> {
        let write = self.write(step, effect)?;
        if matches!(write.state, WriteState::Attempting) && write.attempts == attempt {
            return Ok(write);
        }
        Err(self.stale(
            format!("the answer to attempt {attempt} of {step}/{effect}"),
            write.state.word(),
        ))
    }
}

/// Why a write that may have happened can no longer be repeated: it waited for its next attempt until the other side had
/// forgotten its key.
fn forgotten(write: &Write, now: Timestamp) -> Option<Fault> {
    let WriteSemantics::Keyed { ttl } = write.proposal.semantics else { return None };
    let doubt = write.doubt.as_ref().filter(|_| !remembers(ttl, write.age(now)))?;
    let seconds = ttl.as_secs();
    let message = format!(
        "{}; the other side knew its key for {seconds} s, which have passed",
        doubt.message
    );
    (!planted(Mutant::KeyedBeyondTtl)).then(|| Fault { message, ..doubt.clone() })
}

/// The evidence for the operator when the last attempt certainly did not happen and an earlier one may have.
fn still_in_doubt(fault: Fault, doubt: &Fault) -> Fault {
    let message = format!("{}; of an earlier attempt: {}", fault.message, doubt.message);
    Fault { message, ..fault }
}

pub(super) fn write_event(step: StepName, effect: EffectRef, event: WriteEvent) -> Event {
    Event::Write { step, effect, asked: None, event }
}
