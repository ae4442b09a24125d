//! How turns and calls answer to their run.
//!
//! A guard is held by whoever does the work. If it is dropped without an answer, because the work panicked or its actor
//! died, it says so: no run waits for an answer that cannot come.

use soloist_kernel::{
    effect::Outcome,
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, OperationName, RunId, StepName},
    labels::{Labeled, Labels},
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    run::{EffectRef, Probed, Request, StepError, StepErrorKind},
    time::Timestamp,
};

use super::{Asked, Message};
use crate::{actor::Address, agent::TurnResult, connector::Room, runs, turn::Reply};

/// How a turn ended.
pub(crate) enum TurnEnd {
    /// It returned.
    Returned(TurnResult),
    /// Its actor was stopped or restarted: it is to be taken again.
    CutOff,
}

/// How an attempt ended.
pub(crate) type CallEnd = Result<Payload, Fault>;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To make an attempt.
    Attempt,
    /// To find out what became of one.
    Probe,
}

/// A turn's line to its run.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) run: Address<Message>,
    pub(crate) step: StepName,
    pub(crate) attempt: u32,
    /// The version of the agent that takes the turn.
    pub(crate) version: u32,
}

impl Line {
    /// A run that is gone drops the reply, which the turn sees as abandoned.
    fn send(&self, message: Message) {
        let _ = self.run.send(message);
    }

    pub(crate) fn recall(&self, effect: EffectRef, asked: Digest, reply: Reply<Option<Payload>>) {
        self.send(Message::Recall { line: self.clone(), effect, asked, reply });
    }

    pub(crate) fn record(
        &self,
        effect: EffectRef,
        asked: Digest,
        answer: Labeled<Payload>,
        reply: Reply<()>,
    ) {
        self.send(Message::Record { line: self.clone(), effect, asked, answer, reply });
    }

    /// Has a call paid for that is about to be made.
    pub(crate) fn reserve(
        &self,
        effect: EffectRef,
        call: (ConnectorName, OperationName),
        arguments: Payload,
        reply: Reply<Option<u32>>,
    ) {
        self.send(Message::Reserve { line: self.clone(), effect, call, arguments, reply });
    }

    /// Tells how a call ended that was paid for.
    pub(crate) fn settle(&self, call: u32, end: CallEnd) {
        self.send(Message::Settle { call, end });
    }

    pub(crate) fn propose(
        &self,
        effect: EffectRef,
        connector: ConnectorName,
        operation: OperationName,
        arguments: Payload,
        reply: Reply<Outcome>,
    ) {
        self.send(Message::Propose {
            line: self.clone(),
            effect,
            connector,
            operation,
            arguments,
            reply,
        });
    }

    pub(crate) fn wait(
        &self,
        effect: EffectRef,
        asked: Digest,
        what: Request,
        reply: Reply<Payload>,
    ) {
        self.send(Message::Await { line: self.clone(), effect, asked, what, reply });
    }

    /// Asks for the labels of everything the turn has seen.
    pub(crate) fn labels(&self, reply: Reply<Labels>) {
        self.send(Message::Labels { line: self.clone(), reply });
    }

    pub(crate) fn heartbeat(&self) {
        self.send(Message::Heartbeat { line: self.clone() });
    }

    /// No branch of the turn does anything now.
    pub(crate) fn idle(&self) {
        self.send(Message::Resume);
    }

    pub(crate) fn guard(self) -> TurnGuard {
        TurnGuard { line: Some(self) }
    }
}

/// Held while a turn is taken.
pub(crate) struct TurnGuard {
    line: Option<Line>,
}

impl TurnGuard {
    pub(crate) fn ended(mut self, result: TurnResult) {
        self.end(TurnEnd::Returned(result));
    }

    pub(crate) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }

    fn end(&mut self, end: TurnEnd) {
        if let Some(line) = self.line.take() {
            let run = line.run.clone();
            let _ = run.send(Message::TurnEnded { line, end });
        }
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        if planted(Mutant::GuardSilent) {
            return;
        }
        if std::thread::panicking() {
            let message = "the agent panicked; its message and place are in the log";
            self.end(TurnEnd::Returned(Err(StepError::new(StepErrorKind::Panicked, message))));
        } else {
            self.end(TurnEnd::CutOff);
        }
    }
}

/// A call's line to its run.
#[derive(Clone)]
pub(crate) struct CallLine {
    pub(crate) run: Address<Message>,
    /// Who knows the run's next actor, if this one is no more.
    pub(crate) home: Address<runs::Message>,
    pub(crate) id: RunId,
    pub(crate) step: StepName,
    pub(crate) effect: EffectRef,
}

impl CallLine {
    /// A guard for a wait or a probe: if it is dropped, the run asks again.
    pub(crate) fn waiting(self) -> CallGuard {
        CallGuard { line: Some(self), attempt: None }
    }

    /// A guard for attempt number `attempt`.
    pub(crate) fn attempting(self, attempt: u32) -> CallGuard {
        CallGuard { line: Some(self), attempt: Some((attempt, Phase::NotSent)) }
    }
}

/// A write: its run, its step and its effect.
pub(crate) type WriteId = (RunId, StepName, EffectRef);

/// Held by whoever has a call to make.
pub(crate) struct CallGuard {
    line: Option<CallLine>,
    /// For an attempt: its number, and how far it can have got.
    attempt: Option<(u32, Phase)>,
}

impl CallGuard {
    /// Which write it is for, whichever actor its run has: run, step and effect.
    pub(crate) fn write(&self) -> Option<WriteId> {
        let line = self.line.as_ref()?;
        Some((line.id.clone(), line.step.clone(), line.effect.clone()))
    }

    /// There is room for the call.
    pub(crate) fn room(mut self, purpose: Purpose, room: Box<Room>) {
        self.tell(|line| Message::Room { line, purpose, room });
    }

    /// There is no room for the call for long.
    pub(crate) fn not_now(mut self, until: Timestamp, reason: String) {
        self.tell(|line| Message::NotNow { line, until, reason });
    }

    /// The attempt begins: from here on it may have been sent.
    pub(crate) fn begins(&mut self) {
        self.attempt = self.attempt.map(|(attempt, _)| (attempt, Phase::MaybeSent));
    }

    /// The attempt ended.
    pub(crate) fn answered(mut self, end: CallEnd) {
        let attempt = self.attempt.map_or(0, |(attempt, _)| attempt);
        let Some(line) = self.line.take() else { return };
        if line.run.is_alive() {
            let run = line.run.clone();
            let _ = run.send(Message::Answered { line, attempt, end });
            return;
        }
        // What is known of an attempt is not lost with the actor that made it.
        let CallLine { home, id, step, effect, .. } = line;
        let asked = Asked::Answered { step, effect, attempt, end };
        let _ = home.send(runs::Message::Deliver { run: id, asked });
    }

    /// The probe ended.
    pub(crate) fn probed(mut self, found: Probed) {
        self.tell(|line| Message::Probed { line, found });
    }

    fn tell(&mut self, message: impl FnOnce(CallLine) -> Message) {
        if let Some(line) = self.line.take() {
            let run = line.run.clone();
            let _ = run.send(message(line));
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if planted(Mutant::GuardSilent) {
            return;
        }
        let (class, message) = if std::thread::panicking() {
            (
                FaultClass::Bug,
                "the connector panicked in mid-call; its message and place are in the log",
            )
        } else {
            (FaultClass::Crash, "the connector's actor was stopped before the call ended")
        };
        match self.attempt {
            Some((attempt, phase)) => {
                let end = Err(Fault::new(class, phase, message));
                self.tell(|line| Message::Answered { line, attempt, end });
            }
            None => self.tell(|line| Message::CallLost { line }),
        }
    }
}
