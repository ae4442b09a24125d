//! The actor of one connector: it owns the line of those who want a call, and the calls under way.
//!
//! A run first asks for room, and journals the intent of an attempt only when it has it: so the time during which a crash
//! leaves an attempt in doubt is the call itself and not the wait for it. In line one waits for seconds; what would take longer
//! is put aside, and comes back when its time has come or when the breaker has closed.
//!
//! `connector/line.rs` is who waits, `connector/room.rs` what they get, `gate.rs` what stands between, `connector/breakers.rs`
//! what happens when a breaker turns.

mod breakers;
mod line;
mod room;

use std::{sync::Arc, time::Duration};

use soloist_connectors::{Connector, Env, Plan, Probe, Rate};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    gate::{FairQueue, Refused, RetryCost, SPACING, Turned},
    id::{ConnectorName, OperationName, RunId, StreamId},
    journal::StreamSeq,
    labels::Labeled,
    payload::Payload,
    run::Probed,
    time::Timestamp,
    workflow::Priority,
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::{AbortHandle, JoinSet},
};

use self::line::{Call, Reply, What, lane};
pub(crate) use self::room::{Room, too_late};
use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    gate::{Class, Gate},
    meter::Held,
    run::{CallGuard, Purpose},
    tree::Tells,
};

/// How long one waits in line at most. "Handling Overload" of the Google SRE book: a caller that has waited this long has
/// mostly gone; here it is put aside, at no cost but a record.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long one that was put aside for want of room stays away at most, however many are before it: how fast they are served
/// is an estimate.
const AWAY_MAX: Duration = Duration::from_secs(5 * 60);
/// How long after a breaker's time what was put aside comes back by itself, if nobody wakes it.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Most runs that are woken at a time: no more than fit in line. The others come back at their own time.
const WAKE_MAX: usize = 1_000;

/// What a connector's actor is asked.
pub(crate) enum Message {
    /// Tell when there is room for a call.
    Admit(Box<Admit>),
    /// Read, for a run.
    Read {
        run: RunId,
        priority: Priority,
        operation: OperationName,
        arguments: Payload,
        reply: Reply,
    },
    /// Give room for a pull or a check.
    Pull { reply: oneshot::Sender<Result<Room, Fault>> },
    /// Something was paused or goes on: reads that were held look again.
    LookAgain,
    /// A call has given its room back.
    Freed,
    /// Look at who has waited for too long.
    Tick,
    /// A breaker has turned.
    Turned { class: Class, turned: Turned },
    /// The time of an open breaker is over: one may find out whether the other side is well.
    Due { class: Class },
    /// Leave when the calls under way are over; told then.
    Drain { reply: oneshot::Sender<()> },
    /// Make one attempt.
    Execute { guard: CallGuard, plan: Plan, attempt: u32, room: Box<Room> },
    /// Find out what became of an attempt.
    Probe { guard: CallGuard, plan: Plan, room: Box<Room> },
}

/// A run asks for room.
pub(crate) struct Admit {
    pub(crate) run: RunId,
    pub(crate) guard: CallGuard,
    pub(crate) purpose: Purpose,
    pub(crate) operation: OperationName,
    pub(crate) priority: Priority,
    /// Since when it waits, if it was put aside before.
    pub(crate) since: Option<Timestamp>,
    /// For another attempt: what it costs.
    pub(crate) retry: Option<RetryCost>,
}

/// Reads through `connector`, when there is room.
pub(crate) async fn read(
    connector: &Address<Message>,
    run: RunId,
    priority: Priority,
    operation: OperationName,
    arguments: Payload,
) -> Result<Labeled<Payload>, Fault> {
    let lost =
        |phase| Fault::new(FaultClass::Transient, phase, "the connector is restarting; try again");
    let (reply, answer) = oneshot::channel();
    let message = Message::Read { run, priority, operation, arguments, reply };
    connector.send(message).map_err(|_| lost(Phase::NotSent))?;
    // Its actor is gone, and what it had on the wire may arrive.
    answer.await.unwrap_or_else(|_| Err(lost(Phase::MaybeSent)))
}

/// Room for a call through `connector` that changes nothing, when there is some.
pub(crate) async fn room(connector: Option<&Address<Message>>) -> Result<Room, Fault> {
    let restarting = || {
        let message = "the connector is restarting; try again";
        Fault::new(FaultClass::Transient, Phase::NotSent, message)
    };
    let (reply, room) = oneshot::channel();
    let connector = connector.ok_or_else(restarting)?;
    connector.send(Message::Pull { reply }).map_err(|_| restarting())?;
    room.await.map_err(|_| restarting())?
}

pub(crate) struct ConnectorActor {
    me: Address<Message>,
    context: Arc<Context>,
    name: ConnectorName,
    env: Env,
    connector: Arc<dyn Connector>,
    gate: Arc<Gate>,
    room: Arc<Semaphore>,
    line: FairQueue<String, Call>,
    /// Most that fit in line: what it can serve while one waits.
    line_max: usize,
    /// Attempts and probes of writes that have an attempt in flight.
    held: Vec<(Priority, Call, String)>,
    /// Reads and pulls that wait because the connector is paused.
    paused: Vec<(Priority, Call, String)>,
    calls: JoinSet<()>,
    tick: Option<AbortHandle>,
    /// How far apart calls have been served while somebody waited, and how many since somebody looked.
    between: Duration,
    served: u32,
    /// When the last one that was put aside for want of room comes back.
    last_back: Timestamp,
    /// Whom it had find out last whether the other side is well.
    found_out: String,
    stream: StreamId,
    stream_seq: StreamSeq,
}

pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) name: ConnectorName,
    pub(crate) connector: Arc<dyn Connector>,
}

impl Behaviour for ConnectorActor {
    type Message = Message;
    type Arguments = Arguments;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Admit(_) | Message::Pull { .. } => "give room",
            Message::Read { .. } => "read",
            Message::LookAgain => "take up what was held",
            Message::Freed => "take room back",
            Message::Tick => "look at who waits",
            Message::Turned { .. } => "note that a breaker turned",
            Message::Due { .. } => "have someone find out",
            Message::Drain { .. } => "drain",
            Message::Execute { .. } => "make an attempt",
            Message::Probe { .. } => "probe",
        }
    }

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, Error> {
        let Arguments { context, name, connector } = arguments;
        let manifest = connector.manifest();
        let gate = context.gates.of(&name, manifest, &context.env, &*context.journal);
        let told = gate.clone();
        let env = context.env.clone().with_limits_sink(move |hints| told.hinted(&hints));
        let room = Arc::new(Semaphore::new(manifest.concurrency_max.max(1)));
        let interval = manifest.rate.interval();
        let stream = StreamId::new(format!("breakers:{name}"))?;
        let stream_seq = context.journal.stream_head(&stream)?;
        context.registry.set_connector(name.clone(), me.clone());
        let new = Self {
            me,
            context,
            name,
            env,
            gate,
            room,
            line: FairQueue::new(interval.max(SPACING)),
            line_max: line_max(&manifest.rate),
            held: vec![],
            paused: vec![],
            calls: JoinSet::new(),
            tick: None,
            between: interval,
            served: 0,
            last_back: Timestamp(0),
            found_out: String::new(),
            stream,
            stream_seq,
            connector,
        };
        // A breaker that was open when the last actor died opens its time again.
        for class in Class::ALL {
            new.arm(class);
        }
        // What was put aside for want of this connector can go on.
        if new.gate.closed_to(Class::Write).is_none() {
            new.wake(Class::Write, "", WAKE_MAX)?;
        }
        Ok(new)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        while self.calls.try_join_next().is_some() {}
        match message {
            Message::Admit(admit) => {
                let Admit { run, guard, purpose, operation, priority, since, retry } = *admit;
                let call = Call::write(guard, purpose, operation, retry);
                self.queue(lane(&run), priority, since, call);
            }
            Message::Read { run, priority, operation, arguments, reply } => {
                let call = Call::read(operation, arguments, reply);
                self.queue(lane(&run), priority, None, call);
            }
            Message::Pull { reply } => {
                self.queue("sync".into(), Priority::Normal, None, Call::pull(reply));
            }
            Message::LookAgain => {
                for (priority, call, key) in std::mem::take(&mut self.paused) {
                    self.queue(key, priority, None, call);
                }
            }
            Message::Freed => self.let_go(),
            Message::Tick => self.expire(),
            Message::Turned { class, turned } => self.turned(class, turned).await?,
            Message::Due { class } => self.find_out(class)?,
            Message::Drain { reply } => {
                self.finish().await;
                let _ = reply.send(());
                self.me.stop();
                return Ok(());
            }
            Message::Execute { guard, plan, attempt, room } => {
                self.execute(guard, plan, attempt, room);
            }
            Message::Probe { guard, plan, room } => self.probe(guard, plan, room),
        }
        self.admit();
        Ok(())
    }

    fn tells(&self) -> Option<Arc<dyn Tells>> {
        Some(self.gate.clone())
    }

    async fn stop(&mut self) {
        self.finish().await;
    }
}

impl ConnectorActor {
    /// Begins no more calls. Those under way are let finish, within their own timeout: an answer is worth more than a second.
    async fn finish(&mut self) {
        self.room.close();
        let now = self.env.now();
        let reason = format!("connector `{}` is being taken away", self.name);
        while let Some(call) = self.line.pop() {
            call.refuse(Refused { until: now.after(AGAIN_AFTER), reason: reason.clone() });
        }
        self.held.clear();
        self.paused.clear();
        while self.calls.join_next().await.is_some() {}
    }

    fn queue(&mut self, key: String, priority: Priority, since: Option<Timestamp>, call: Call) {
        if call.write_id().is_some_and(|write| self.gate.is_in_flight(&write)) {
            self.held.push((priority, call, key));
            return;
        }
        // A write finds that it is held when there is room for it; who reads waits here.
        if call.write_id().is_none() && self.context.held.of_connector(&self.name).is_some() {
            self.paused.push((priority, call, key));
            return;
        }
        let now = self.env.now();
        let mut last = self.line.push(key, priority, since.unwrap_or(now), now, call);
        if self.line.len() > self.line_max {
            last = self.line.pop_last();
        }
        if let Some(call) = last {
            let reason = format!("{} wait for connector `{}`", self.line.len(), self.name);
            call.refuse(Refused { until: self.back_at(now), reason });
        }
        if self.tick.is_none() {
            self.tick = Some(self.me.send_after(WAIT_MAX, || Message::Tick));
        }
    }

    /// Puts in line those whose writes have no attempt in flight any more.
    fn let_go(&mut self) {
        for (priority, call, key) in std::mem::take(&mut self.held) {
            self.queue(key, priority, None, call);
        }
    }

    /// Nobody waits in line for longer than is sensible.
    fn expire(&mut self) {
        self.tick = None;
        let now = self.env.now();
        let expired = self.line.expired(now, WAIT_MAX);
        if !expired.is_empty() {
            self.between = WAIT_MAX / self.served.max(1);
        }
        self.served = 0;
        for call in expired {
            let reason = format!(
                "connector `{}` had no room for it within {} s",
                self.name,
                WAIT_MAX.as_secs()
            );
            call.refuse(Refused { until: self.back_at(now), reason });
        }
        if !self.line.is_empty() {
            self.tick = Some(self.me.send_after(WAIT_MAX, || Message::Tick));
        }
    }

    /// When one for whom there is no room comes back: when those before it have been served, in line or put aside. If all came
    /// back together, the connector would have nothing to do until then, and too much at once.
    fn back_at(&mut self, now: Timestamp) -> Timestamp {
        let line = u32::try_from(self.line.len()).unwrap_or(u32::MAX);
        let before = now.after(self.between.saturating_mul(line)).max(self.last_back);
        let earliest = now.after(Duration::from_secs(1));
        let latest = now.after(AWAY_MAX);
        self.last_back = before.after(self.between).max(earliest).min(latest);
        self.last_back
    }

    /// Gives room to whoever is next.
    fn admit(&mut self) {
        while !self.line.is_empty() {
            let Ok(permit) = self.room.clone().try_acquire_owned() else { break };
            let Some(call) = self.line.pop() else { break };
            self.served = self.served.saturating_add(1);
            if let Some(refused) = self.gate.closed_to(call.class) {
                call.refuse(later(refused));
                continue;
            }
            let (context, gate, env) = (self.context.clone(), self.gate.clone(), self.env.clone());
            let (me, connector) = (self.me.clone(), self.connector.clone());
            self.calls.spawn(async move {
                let limit = env.now().after(WAIT_MAX);
                let operation = call.operation.clone();
                let admitted = gate.metered(operation.as_ref(), limit, &context.log).await;
                let passed = match admitted {
                    Ok(admitted) => gate
                        .pass(call.class, call.retry)
                        .map(|pass| (pass, admitted))
                        .map_err(later),
                    Err(Held::Until(refused)) => Err(refused),
                    Err(Held::NotKept(error)) => {
                        if let soloist_kernel::journal::AppendError::Stopped(_) = &error {
                            context.halt(&error.to_string());
                        }
                        let until = env.now().after(WAIT_MAX);
                        Err(Refused { until, reason: error.to_string() })
                    }
                };
                match passed {
                    Ok((pass, admitted)) => {
                        let room = Room::new(context, env.clone(), me, pass, admitted, permit);
                        give(call, room, &env, &*connector).await;
                    }
                    Err(refused) => {
                        call.refuse(refused);
                        drop(permit);
                        let _ = me.send(Message::Freed);
                    }
                }
            });
        }
        self.gate.set_waiting(self.line.len());
    }

    fn execute(&mut self, mut guard: CallGuard, plan: Plan, attempt: u32, room: Box<Room>) {
        let (env, connector) = (self.env.clone(), self.connector.clone());
        self.calls.spawn(async move {
            let limit = connector.manifest().call_timeout;
            let call = async {
                guard.begins();
                connector.execute(&env, &plan, attempt).await
            };
            let answer = room.call("call", limit, call).await;
            guard.answered(answer);
        });
    }

    fn probe(&mut self, guard: CallGuard, plan: Plan, room: Box<Room>) {
        let (env, connector) = (self.env.clone(), self.connector.clone());
        self.calls.spawn(async move {
            let limit = connector.manifest().call_timeout;
            let answer = room.call("probe", limit, connector.probe(&env, &plan)).await;
            guard.probed(match answer {
                Ok(Probe::Landed { receipt }) => Probed::Landed { receipt },
                Ok(Probe::Absent) => Probed::Absent,
                Ok(Probe::Unknown { reason }) => Probed::Unknown {
                    fault: Fault::new(FaultClass::Transient, Phase::NotSent, reason),
                },
                Err(fault) => Probed::Unknown { fault },
            });
        });
    }
}

/// Gives `room` to whoever asked for it, or does what was asked with it.
async fn give(call: Call, room: Room, env: &Env, connector: &dyn Connector) {
    match call.what {
        What::Write { guard, purpose } => guard.room(purpose, Box::new(room)),
        What::Room { reply } => drop(reply.send(Ok(room))),
        What::Read { arguments, reply } => {
            let limit = connector.manifest().call_timeout;
            let operation = call.operation.expect("a read names its operation");
            let answer =
                room.call("read", limit, connector.read(env, &operation, &arguments)).await;
            let _ = reply.send(answer);
        }
    }
}

/// How many can be served while one waits.
fn line_max(rate: &Rate) -> usize {
    let spread = WAIT_MAX.as_nanos() / rate.interval().as_nanos().max(1);
    usize::try_from(spread).unwrap_or(usize::MAX).saturating_add(rate.burst.max(1) as usize)
}

/// What an open breaker refuses comes back a while after its time: before that, one is woken to find out.
fn later(refused: Refused) -> Refused {
    Refused { until: refused.until.after(AGAIN_AFTER), ..refused }
}
