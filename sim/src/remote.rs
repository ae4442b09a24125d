//! A connector with the way to its system in between: calls take time, get lost, are refused, and are watched.
//!
//! The connector itself is real, the user's own or one of ours; so is everything on this side of it. What is simulated is the
//! wire and the moods of the other side. Where in a call a fault happens is what matters: before the other side acts, after
//! it has, or on the way back.

mod answer;
mod check;

use std::{future::pending, sync::Arc};

use async_trait::async_trait;
use soloist_connectors::{
    Compensation, Connector, Done, Env, Hints, Intent, Manifest, OperationKind, Page, Plan, Probe,
    Seen,
};
use soloist_kernel::{
    budget::Usage,
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    labels::Labeled,
    payload::Payload,
    time::Timestamp,
};

use crate::{
    check::finale::DOUBT,
    plan::{Kind, RetryAfter},
    quiet,
    scenario::{Answers, Ledger},
    trace::What,
    world::{Access, BEGIN, Refused, State, Strike},
};

/// Longest that a call takes on the wire when nothing is wrong, in milliseconds.
const LATENCY_MS_MAX: u64 = 400;

/// A connector on this side of a simulated wire. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) name: String,
    pub(crate) inner: Arc<dyn Connector>,
    pub(crate) access: Access,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) answers: Answers,
}

/// A call that is under way.
struct Call {
    number: u32,
    latency_ms: u64,
    kinds: Vec<Kind>,
    /// Whether it counts against the limits.
    counts: bool,
    /// The operation, if it is one that costs something.
    paid: Option<String>,
}

/// What is called.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// `execute`, `probe`, `read` or `pull`.
    how: &'static str,
    operation: &'a str,
    /// For a write: its key and the number of the attempt.
    write: Option<(&'a str, u32)>,
    /// Whether it counts against the limits.
    counts: bool,
    /// For a read: what is asked.
    arguments: Option<&'a Payload>,
}

/// Longest text of what is asked that a trace repeats, in characters: a prompt has many more.
const ARGUMENTS_CHARS_MAX: usize = 120;

impl Remote {
    /// The call leaves. A dead process waits for ever.
    async fn leave(&self, asked: &Asked<'_>) -> Call {
        let manifest = self.inner.manifest();
        let call = self.access.with(|state| {
            let now_ms = state.now_ms();
            // A limit is held by the clock on the wall, across restarts: when that jumps, it cannot be.
            let jumped = state.has_jumped();
            let epoch = state.epoch;
            let api = state.api(&self.name);
            let number = api.calls;
            api.calls += 1;
            let counts = asked.counts && !jumped;
            let over = if counts { api.leaves(now_ms, &manifest.rate) } else { None };
            let held = api.held(now_ms, epoch).filter(|_| counts);
            let limit =
                manifest.operation_rates.iter().find(|(name, _)| name.as_str() == asked.operation);
            if let Some((operation, rate)) = limit.filter(|_| counts) {
                let of = state.api(&format!("{}.{operation}", self.name));
                if let Some(calls) = of.leaves(now_ms, rate) {
                    state.violated(
                        "rate",
                        format_args!("{calls} calls of {operation} within {:?}", rate.per),
                    );
                }
            }
            if let Some(until_ms) = held.filter(|_| !state.plan.pauses()) {
                let what = format!("{} asked not to be called until {until_ms} ms", self.name);
                state.violated("retry-after", what);
            }
            if let Some(calls) = over {
                let rate = &manifest.rate;
                let what = format!(
                    "{calls} calls to {} within {:?}; it allows {}",
                    self.name, rate.per, rate.calls
                );
                state.violated("rate", what);
            }
            let latency_ms = state.chance(&self.name, u64::from(number)).between(1, LATENCY_MS_MAX);
            let write = asked.write.map(|(key, attempt)| format!(" {key} attempt {attempt}"));
            let arguments = asked.arguments.map(|arguments| {
                let text = arguments.to_string();
                format!(" {}", text.chars().take(ARGUMENTS_CHARS_MAX).collect::<String>())
            });
            let text = format_args!(
                "#{number} {} {}{}{}",
                asked.how,
                asked.operation,
                write.unwrap_or_default(),
                arguments.unwrap_or_default()
            );
            state.line(&self.name, What::Call, text);
            let strike = Strike::Call {
                api: &self.name,
                number,
                attempt: asked.write,
                state: if asked.write.is_some_and(|(_, attempt)| attempt > 1) {
                    "retry"
                } else {
                    asked.how
                },
            };
            let kinds = state.strike(&strike);
            // Who remembers a key does not refuse what it has accepted.
            let known = asked.write.is_some_and(|(key, _)| state.has_happened(key));
            let kinds: Vec<Kind> =
                kinds.into_iter().filter(|kind| !(known && *kind == Kind::Declined)).collect();
            if asked.write.is_some() && kinds.iter().any(leaves_doubt) {
                state.saw(DOUBT);
            }
            let operation =
                manifest.operations.iter().find(|(name, _)| name.as_str() == asked.operation);
            // What takes something back is not limited.
            let limited = operation
                .filter(|(_, declared)| declared.kind != OperationKind::Compensate)
                .filter(|_| matches!(asked.how, "read" | "execute"));
            let paid = limited.map(|(name, _)| name.to_string());
            Call { number, latency_ms, kinds, counts: asked.counts, paid }
        });
        let Some(call) = call else { return pending().await };
        if call.has(&Kind::Panic) {
            std::panic::panic_any(quiet::WANTED);
        }
        call
    }

    /// The way there, and what the other side says before it does anything. `NotSent` faults come at once.
    async fn there(&self, env: &Env, call: &Call) -> Result<(), Fault> {
        for kind in &call.kinds {
            let why = match kind {
                Kind::Refused => "connection refused",
                Kind::Unresolved => "the name does not resolve",
                Kind::Untrusted => "the certificate is not trusted",
                _ => continue,
            };
            return Err(self.answered(call, Fault::new(FaultClass::Transient, Phase::NotSent, why)));
        }
        let slow: u64 =
            call.kinds.iter().map(|kind| if let Kind::Slow { ms } = kind { *ms } else { 0 }).sum();
        self.takes(call.latency_ms / 2 + slow).await;
        if call.has(&Kind::LostBefore) {
            return pending().await;
        }
        if call.has(&Kind::ResetBefore) {
            let fault = Fault::new(FaultClass::Transient, Phase::MaybeSent, "connection reset");
            return Err(self.answered(call, fault));
        }
        let refused = self.access.with(|state| {
            let now_ms = state.now_ms();
            let paid = call.paid.as_ref();
            if let Some(what) = paid.and_then(|what| state.paid.arrives(&self.name, what)) {
                state.violated("within-budget", what);
            }
            state.api(&self.name).arrives(now_ms)
        });
        let Some(refused) = refused else { return pending().await };
        let fault = match refused {
            Ok(()) => call.refusal(env.now()),
            Err(refused) => Some(refusal(refused)),
        };
        let Some(fault) = fault else { return Ok(()) };
        if let Some(retry_at) = fault.retry_at {
            env.limits(Hints { retry_at: Some(retry_at), remaining: None });
            self.access.with(|state| {
                let (now_ms, epoch) = (state.now_ms(), state.epoch);
                if call.counts {
                    state.api(&self.name).hold(retry_at, now_ms, epoch);
                }
            });
        }
        self.takes(call.latency_ms / 2).await;
        Err(self.answered(call, fault))
    }

    /// What the other side has done is counted, and it may be the last thing this process was part of.
    async fn acted(&self) {
        let drained = self.ledger.as_ref().map(|ledger| ledger()).unwrap_or_default();
        self.access.with(|state| {
            for happened in drained {
                state.happened(happened.operation, happened.key, happened.detail);
            }
        });
        if !self.access.is_alive() {
            pending().await
        }
    }

    /// The way back. What the other side has `acted` on may have happened if the answer is lost.
    async fn back<T>(&self, call: &Call, answer: Result<T, Fault>) -> Result<T, Fault> {
        self.acted().await;
        if call.has(&Kind::LostAfter) || call.has(&Kind::Stalled) {
            return pending().await;
        }
        self.takes(call.latency_ms - call.latency_ms / 2).await;
        let broken = call.kinds.iter().find_map(|kind| match kind {
            Kind::ResetAfter => Some((FaultClass::Transient, "connection reset before the answer")),
            Kind::Garbled => Some((FaultClass::Bug, "the answer ends in the middle of a word")),
            Kind::WrongType => Some((FaultClass::Bug, "the answer is a page for people")),
            _ => None,
        });
        let answer = match broken {
            Some((class, why)) => Err(Fault::new(class, Phase::MaybeSent, why)),
            None => answer,
        };
        match answer {
            Ok(answer) => {
                self.answer(call, format_args!("ok"));
                Ok(answer)
            }
            Err(fault) => Err(self.answered(call, fault)),
        }
    }

    /// The other side bills what it has done.
    fn billed<T>(&self, call: &Call, answer: &Result<T, Fault>) {
        let Some(operation) = call.paid.as_ref().filter(|_| answer.is_ok()) else { return };
        self.access.with(|state| {
            if let Some(what) = state.paid.bills(&self.name, operation) {
                state.violated("within-budget", what);
            }
        });
    }

    /// The world by the clock of the other side.
    fn theirs(&self, env: &Env) -> Env {
        let access = self.access.clone();
        env.clone().by_clock(move || access.world().time())
    }

    /// The same for whoever looks for something. Where our clock has jumped ahead, theirs has too: a kernel cannot tell that
    /// from a night in which it was asleep, and takes the time that a search lags behind for passed.
    fn found_by(&self, env: &Env) -> Env {
        let access = self.access.clone();
        env.clone().by_clock(move || access.world().time_ahead())
    }

    async fn takes(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        if !self.access.is_alive() {
            pending().await
        }
    }

    fn answered(&self, call: &Call, fault: Fault) -> Fault {
        self.answer(call, format_args!("{fault}"));
        fault
    }

    fn answer(&self, call: &Call, text: std::fmt::Arguments<'_>) {
        self.access.with(|state| {
            state.line(&self.name, What::Answer, format_args!("#{} {text}", call.number));
        });
    }

    /// One attempt over the wire.
    pub(crate) async fn called(
        &self,
        env: &Env,
        plan: &Plan,
        attempt: u32,
    ) -> Result<Payload, Fault> {
        let write = Some((plan.key.as_str(), attempt));
        let operation = plan.operation.as_str();
        let call = self
            .leave(&Asked { how: "execute", operation, write, counts: true, arguments: None })
            .await;
        self.there(env, &call).await?;
        let answer = self.inner.execute(&self.theirs(env), plan, attempt).await;
        self.billed(&call, &answer);
        self.acted().await;
        if attempt == 1 && self.answers.mute.contains(operation) {
            return pending().await;
        }
        if let Some(time) = self.answers.slow.get(operation) {
            self.takes(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).await;
        }
        self.back(&call, answer).await
    }
}

impl Call {
    fn has(&self, kind: &Kind) -> bool {
        self.kinds.contains(kind)
    }

    /// What the other side answers instead of doing what it is asked.
    fn refusal(&self, now: Timestamp) -> Option<Fault> {
        self.kinds.iter().find_map(|kind| {
            let (class, why) = match kind {
                Kind::Throttled { retry_after } => return Some(throttled(*retry_after, now)),
                Kind::Unavailable => (FaultClass::Transient, "503: try again later"),
                Kind::Declined => (FaultClass::Declined, "422: not like this"),
                Kind::Unauthorised => (FaultClass::Auth, "401: the token has expired"),
                Kind::ClockRefused => (FaultClass::Auth, "403: the request's time is too far off"),
                _ => return None,
            };
            Some(Fault::new(class, Phase::Answered, why))
        })
    }
}

/// Whether the answer to an attempt that meets this leaves open whether it happened.
fn leaves_doubt(kind: &Kind) -> bool {
    matches!(kind, Kind::ResetBefore | Kind::ResetAfter | Kind::Garbled | Kind::WrongType)
}

/// Ten years.
const ABSURD_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

fn throttled(retry_after: RetryAfter, now: Timestamp) -> Fault {
    let retry_at = match retry_after {
        RetryAfter::Missing => None,
        RetryAfter::Seconds(seconds) => Some(Timestamp(now.0 + seconds * 1000)),
        // A date is in whole seconds, by the other side's clock.
        RetryAfter::Date(seconds) => Some(Timestamp((now.0 / 1000 + seconds) * 1000)),
        RetryAfter::Absurd => Some(Timestamp(now.0 + ABSURD_MS)),
    };
    let mut fault = Fault::new(FaultClass::Throttled, Phase::Answered, "429: too many requests");
    fault.retry_at = retry_at;
    fault
}

fn refusal(refused: Refused) -> Fault {
    match refused {
        Refused::Down => Fault::new(FaultClass::Transient, Phase::Answered, "503: we are down"),
        Refused::Revoked => {
            Fault::new(FaultClass::Auth, Phase::Answered, "401: access was revoked")
        }
        Refused::Exhausted { until_ms } => {
            let mut fault =
                Fault::new(FaultClass::Throttled, Phase::Answered, "429: the quota is spent");
            fault.retry_at = Some(Timestamp(BEGIN.0 + until_ms));
            fault
        }
    }
}

#[async_trait]
impl Connector for Remote {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        self.check_pull(seen);
        let counts = self.inner.manifest().pulls_call;
        let call = self
            .leave(&Asked { how: "pull", operation: "", write: None, counts, arguments: None })
            .await;
        self.there(env, &call).await?;
        let page = self.inner.pull(&self.theirs(env), seen, limit).await;
        let page = self.back(&call, page).await?;
        self.access.with(|state| {
            let changes = page.changes.iter().map(|change| change.identity.as_str());
            state.told.handed(&self.name, changes);
        });
        Ok(page)
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let asked = Asked {
            how: "read",
            operation: operation.as_str(),
            write: None,
            counts: true,
            arguments: Some(arguments),
        };
        let call = self.leave(&asked).await;
        self.there(env, &call).await?;
        let answer = self.inner.read(&self.theirs(env), operation, arguments).await;
        self.billed(&call, &answer);
        let answer = answer.map(|answer| {
            let asked = format!("{operation} {arguments}");
            let shown = |state: &mut State| {
                let now_ms = state.now_ms();
                state.api(&self.name).shows(asked, answer.clone(), now_ms)
            };
            self.access.with(shown).unwrap_or(answer)
        });
        let answer = self.back(&call, answer).await?;
        answer::spoiled(&call.kinds, answer)
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        self.inner.plan(intent)
    }

    fn usage_max(&self, operation: &OperationName, arguments: &Payload) -> Usage {
        self.inner.usage_max(operation, arguments)
    }

    fn usage(&self, operation: &OperationName, answer: &Payload) -> Option<Usage> {
        self.inner.usage(operation, answer)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        self.check_attempt(plan, attempt);
        let key = plan.key.to_string();
        let mut under_way = UnderWay { access: self.access.clone(), key, is_answered: false };
        let happened = self.access.with(|state| state.has_happened(plan.key.as_str()));
        let answer = self.called(env, plan, attempt).await;
        under_way.is_answered = true;
        if let Ok(receipt) = &answer {
            self.access.with(|state| {
                state.told.receipt(plan.key.as_str(), receipt);
                if happened == Some(true) {
                    state.saw("a repeat found the write");
                }
            });
        }
        answer
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        self.check_probe(plan);
        let operation = plan.operation.as_str();
        let asked = Asked { how: "probe", operation, write: None, counts: true, arguments: None };
        let call = self.leave(&asked).await;
        self.there(env, &call).await?;
        let answer = self.inner.probe(&self.found_by(env), plan).await;
        let answer = self.back(&call, answer).await?;
        self.access.with(|state| match &answer {
            Probe::Landed { receipt } => {
                state.told.receipt(plan.key.as_str(), receipt);
                state.saw("a probe found the write");
            }
            Probe::Absent => {
                state.told.absent(plan.key.as_str());
                state.saw("a probe proved the write absent");
            }
            Probe::Unknown { .. } => state.saw("a probe could not tell"),
        });
        Ok(answer)
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        self.inner.compensate(done)
    }
}

/// Notes that an attempt is no longer under way, however its call ends.
struct UnderWay {
    access: Access,
    key: String,
    is_answered: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.access.with(|state| {
            state.writes_under_way.ended(&self.key);
            if !self.is_answered {
                state.saw(DOUBT);
            }
        });
    }
}
