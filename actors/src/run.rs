//! The actor of one run: it has the kernel decide, the journal keep, and the world do what the new state asks for.
//!
//! It handles one message at a time. Each is turned into a [`Command`](soloist_kernel::run::Command), decided, appended,
//! folded; then everything that is outstanding and not yet under way is set going. When nothing is outstanding the run is
//! over or waits for the operator, and its actor leaves.
//!
//! `line.rs` is how turns and calls answer, `active.rs` the actor's state and the commit, `launch.rs` sets actions going;
//! `asked.rs` turns messages from outside into commands, `answers.rs` those from inside, `turns.rs` and `writes.rs` what turns
//! ask for and calls answer; `planning.rs` turns wishes into exact bytes, `paying.rs` has calls paid for, `children.rs` begins the
//! runs beneath, `staged.rs` is of forks alone.

mod active;
mod answers;
mod asked;
mod children;
mod launch;
mod line;
mod paying;
mod planning;
mod staged;
mod turns;
mod writes;

use std::sync::Arc;

use soloist_kernel::{
    effect::Decision,
    id::{
        AgentName, ConnectorName, InboxId, OperationName, RunId, StepName, WorkflowName,
        WorkflowRef,
    },
    journal::Append,
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    run::{Action, Command, EffectRef, Occurrence, Probed, Request, project::Ended},
    time::Timestamp,
};
use tokio::sync::oneshot;

pub(crate) use self::{
    active::{Active, end_of},
    asked::by_whom,
    line::{CallEnd, CallGuard, CallLine, Line, Purpose, TurnEnd, TurnGuard, WriteId},
};
use crate::{
    actor::{Address, Behaviour, Error},
    connector::Room,
    context::Context,
    handle::{DecideError, RunEnd, StartError},
    runs,
    turn::Reply,
};

/// What a run's actor is told.
pub(crate) enum Message {
    /// Something from outside, through the supervisor of runs.
    Asked(Asked),
    /// A turn asks whether the journal has its answer.
    Recall { line: Line, effect: EffectRef, asked: Digest, reply: Reply<Option<Payload>> },
    /// A turn has performed an effect.
    Record {
        line: Line,
        effect: EffectRef,
        asked: Digest,
        answer: Labeled<Payload>,
        reply: Reply<()>,
    },
    /// A turn is about to make a call, which may cost something.
    Reserve {
        line: Line,
        effect: EffectRef,
        call: (ConnectorName, OperationName),
        arguments: Payload,
        reply: Reply<Option<u32>>,
    },
    /// A call of a turn is over that costs something.
    Settle { call: u32, end: CallEnd },
    /// A turn asks for something that takes its time.
    Await { line: Line, effect: EffectRef, asked: Digest, what: Request, reply: Reply<Payload> },
    /// A turn asks for the labels of everything it has seen.
    Labels { line: Line, reply: Reply<Labels> },
    /// A turn says that it is alive.
    Heartbeat { line: Line },
    /// A turn proposes a write.
    Propose {
        line: Line,
        effect: EffectRef,
        connector: ConnectorName,
        operation: OperationName,
        arguments: Payload,
        reply: Reply<soloist_kernel::effect::Outcome>,
    },
    /// Plan and propose the write of a `call` step.
    ProposeCall { step: StepName },
    /// A turn is over.
    TurnEnded { line: Line, end: TurnEnd },
    /// A turn has had its time, or was silent for too long.
    TimedOut { step: StepName, attempt: u32, limit: Limit },
    /// Something may be due by itself.
    Tick,
    /// Plan and propose the write that takes `effect` back.
    Compensate { step: StepName, effect: EffectRef },
    /// The event of an `emit` step is known.
    Emitted { step: StepName, answer: Labeled<Payload> },
    /// An event of an `emit` step could not be made known now: try again.
    NotEmitted { step: StepName },
    /// A step's wait is over.
    Wake { step: StepName },
    /// A write's wait is over.
    Due { line: CallLine, purpose: Purpose },
    /// There is room for a call.
    Room { line: CallLine, purpose: Purpose, room: Box<Room> },
    /// An attempt ended.
    Answered { line: CallLine, attempt: u32, end: CallEnd },
    /// A probe ended.
    Probed { line: CallLine, found: Probed },
    /// There is no time or no room for a call for long: it is put aside.
    NotNow { line: CallLine, until: Timestamp, reason: String },
    /// Whoever was asked for room or a probe is gone.
    CallLost { line: CallLine },
    /// What was lost with its actor a moment ago can be set going again.
    Again { lost: Lost },
    /// Account for attempts that were lost, once none of them is under way any more.
    Recover,
    /// Look again at what is outstanding.
    Resume,
}

/// What was under way and was lost with the actor that had it.
pub(crate) enum Lost {
    /// A turn, or the taking of an event.
    Action(Action),
    /// A wait for room, or a probe.
    Call(CallLine),
}

/// What comes from outside.
pub(crate) enum Asked {
    /// Begin the run.
    Begin(Box<Begin>),
    /// Decide about an inbox item.
    Decide {
        item: InboxId,
        decision: Decision,
        by: String,
        reply: oneshot::Sender<Result<(), DecideError>>,
    },
    /// Change what an inbox item proposes.
    Modify {
        item: InboxId,
        arguments: Payload,
        by: String,
        reply: oneshot::Sender<Result<(), DecideError>>,
    },
    /// Tell when the run is over or waits for the operator.
    Watch { reply: oneshot::Sender<RunEnd> },
    /// An event happened. Told once what follows from it is fsynced.
    Occur { occurrence: Box<Occurrence>, reply: oneshot::Sender<()> },
    /// A run beneath this one has ended, or has taken back what it did.
    ChildEnded(Box<Ended>),
    /// Someone does something to the run or to a step of it.
    Command {
        command: Box<Command>,
        by: String,
        reply: Option<oneshot::Sender<Result<(), DecideError>>>,
    },
    /// Go on under another version of the workflow.
    Migrate { to: WorkflowRef, by: String, reply: oneshot::Sender<Result<(), DecideError>> },
    /// The way to a connector is free again: writes to it that are put aside go on.
    Unpark { connector: ConnectorName },
    /// An attempt has ended whose actor of the run is no more.
    Answered { step: StepName, effect: EffectRef, attempt: u32, end: CallEnd },
    /// Something may be due by itself.
    Tick,
    /// Go on after a restart.
    Recover,
}

/// A run that is to begin.
pub(crate) struct Begin {
    /// Which workflow, and in which version.
    pub(crate) workflow: Which,
    /// With what.
    pub(crate) input: Labeled<Payload>,
    /// What is appended in the same batch: the change that caused it, marked as seen.
    pub(crate) with: Append,
    /// Told once the run's beginning is fsynced: whether it is new.
    pub(crate) reply: oneshot::Sender<Result<bool, StartError>>,
}

/// What a run is to carry out.
pub(crate) enum Which {
    /// The newest version of a workflow.
    Newest(WorkflowName),
    /// One turn of an agent.
    Agent(AgentName),
}

impl Which {
    /// The name of the workflow that the run is one of.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Newest(name) => name.as_str(),
            Self::Agent(agent) => agent.as_str(),
        }
    }
}

/// What a turn was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The time of an attempt.
    Timeout,
    /// The time between two signs of life.
    Heartbeat,
}

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) id: RunId,
    pub(crate) supervisor: Address<runs::Message>,
}

impl Behaviour for Active {
    type Message = Message;
    type Arguments = Arguments;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Asked(asked) => asked.label(),
            Message::Recall { .. } => "recall an effect",
            Message::Record { .. } => "record an effect",
            Message::Reserve { .. } | Message::Settle { .. } => "pay for a call",
            Message::Await { .. } => "begin to wait",
            Message::Labels { .. } => "tell labels",
            Message::Heartbeat { .. } => "heartbeat",
            Message::Propose { .. } | Message::ProposeCall { .. } => "propose a write",
            Message::TurnEnded { .. } => "end a turn",
            Message::TimedOut { .. } => "time a turn out",
            Message::Tick | Message::Wake { .. } | Message::Due { .. } => "look at what is due",
            Message::Compensate { .. } => "take a write back",
            Message::Emitted { .. } | Message::NotEmitted { .. } => "end an emit",
            Message::Room { .. } => "begin a call",
            Message::Answered { .. } => "end an attempt",
            Message::Probed { .. } => "end a probe",
            Message::NotNow { .. } => "put a call aside",
            Message::CallLost { .. } => "lose a call",
            Message::Recover => "recover",
            Message::Again { .. } | Message::Resume => "resume",
        }
    }

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, Error> {
        Ok(Self::new(arguments, me))
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        self.on(message).await?;
        self.settle().await
    }
}

impl Asked {
    fn label(&self) -> &'static str {
        match self {
            Self::Begin(_) => "begin",
            Self::Decide { .. } | Self::Modify { .. } => "take a decision",
            Self::Watch { .. } => "watch",
            Self::Occur { .. } => "take an event",
            Self::ChildEnded(_) => "take the end of a run beneath",
            Self::Command { .. } => "intervene",
            Self::Migrate { .. } => "migrate",
            Self::Answered { .. } => "end a call",
            Self::Unpark { .. } => "take up what was put aside",
            Self::Tick => "look at what is due",
            Self::Recover => "recover",
        }
    }
}
