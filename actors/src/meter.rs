//! A limit that is held: over every stretch of time, across restarts, and as the other side lets us.
//!
//! GCRA spreads calls, a strict window counts them, and what the other side says slows them down. Permits are reserved in the
//! journal a block at a time, so the next process knows how much of the window this one may have used: what was reserved and
//! is not known to be unused counts as used.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use soloist_connectors::{Env, Hints, Rate};
use soloist_kernel::{
    codec,
    gate::{Block, GRACE, Pace, Refused, Reservations, Take, Window},
    id::{Actor, StreamId},
    journal::{Append, AppendError, Entry, Journal, ProjectionKey, StreamSeq},
    mutant::{Mutant, planted},
    payload::Digest,
    time::Timestamp,
};

use crate::{governor::Governor, log::Log};

/// Table of the reservations that still matter, by meter.
const RESERVED: &str = "reserved";
/// Version of the stored events of a meter's stream.
const EVENTS_VERSION: u16 = 1;
/// How often an append that found another place in the stream is tried again.
const CONFLICTS_MAX: u32 = 5;

/// One limit: of a credential, or of one operation of it.
pub(crate) struct Meter {
    name: String,
    stream: StreamId,
    inner: Mutex<Inner>,
    /// Held while a block is being reserved: the place in the stream.
    reserving: tokio::sync::Mutex<StreamSeq>,
}

struct Inner {
    governor: Governor,
    /// Whether the governor has let a call through that something else held up.
    is_governed: bool,
    pace: Pace,
    /// The same of the pace.
    is_paced: bool,
    window: Window,
    reservations: Reservations,
}

/// A call that was let through and has not left. Dropping it gives the permit back.
pub(crate) struct Admitted {
    meter: Arc<Meter>,
    taken_at: Timestamp,
    left: bool,
}

/// Why a call was not let through.
pub(crate) enum Held {
    /// It would have to wait for longer than is waited in line.
    Until(Refused),
    /// The journal does not keep what has to be kept first.
    NotKept(AppendError),
}

/// What to do before a call is let through.
enum Next {
    Go,
    Wait(Duration),
    Reserve(Block),
}

impl Meter {
    /// The meter `name`, as the last process left it.
    pub(crate) fn open(name: String, rate: Rate, journal: &dyn Journal, now: Timestamp) -> Self {
        let hash = Digest::of(name.as_bytes()).to_hex();
        let stream =
            StreamId::new(format!("meter:{}", &hash[..16])).expect("hex digits are a name");
        let (calls, per) = (rate.calls.max(1), rate.per);
        let mut window = Window::new(calls, per);
        // What cannot be read may have been anything.
        let stored = journal.projection(&key(&name)).unwrap_or_else(|_| Some(vec![]));
        let reservations = match stored {
            None => Reservations::new(calls, per),
            Some(_) if planted(Mutant::ReservationsForgotten) => Reservations::new(calls, per),
            Some(bytes) => {
                let (restored, sent) = Reservations::restore(calls, per, &bytes, now);
                for block in sent {
                    window.assume_sent(block.count, block.at);
                }
                restored
            }
        };
        let place = journal.stream_head(&stream).unwrap_or(StreamSeq(0));
        let governor = Governor::new(rate);
        let pace = Pace::new(rate.interval());
        let (is_governed, is_paced) = (false, false);
        let inner = Inner { governor, is_governed, pace, is_paced, window, reservations };
        let inner = Mutex::new(inner);
        Self { name, stream, inner, reserving: tokio::sync::Mutex::new(place) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("metering does not panic")
    }

    /// Waits until a call may leave, and counts it. If it does not leave within seconds, its permit is to be
    /// [renewed](Admitted::renew).
    ///
    /// # Errors
    ///
    /// [`Held`] if it would have to wait beyond `limit`.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        limit: Timestamp,
        env: &Env,
        log: &Log,
    ) -> Result<Admitted, Held> {
        loop {
            let now = env.now();
            let next = self.inner().next(now);
            match next {
                Next::Go => {
                    let meter = self.clone();
                    return Ok(Admitted { meter, taken_at: now, left: false });
                }
                Next::Wait(wait) if now.after(wait) > limit => {
                    let reason = format!("the limit of `{}` has no room for it before", self.name);
                    return Err(Held::Until(Refused { until: now.after(wait), reason }));
                }
                Next::Wait(wait) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
                Next::Reserve(block) => {
                    self.reserve(block, env, log).await.map_err(Held::NotKept)?;
                }
            }
        }
    }

    /// Keeps that `block` may be used from now on.
    async fn reserve(&self, block: Block, env: &Env, log: &Log) -> Result<(), AppendError> {
        let mut place = self.reserving.lock().await;
        // Another call may have reserved it meanwhile.
        if !self.inner().reservations.is_asked(block) {
            return Ok(());
        }
        let bytes = self.inner().reservations.to_bytes(block);
        for attempt in 0.. {
            let append = self.append(StreamSeq(place.0 + 1), block, bytes.clone(), env.now());
            match log.durable(append).await {
                Ok(_) => break,
                // An append of a call that was given up midway is in the stream.
                Err(AppendError::Conflict { .. }) if attempt < CONFLICTS_MAX => place.0 += 1,
                Err(error) => return Err(error),
            }
        }
        place.0 += 1;
        self.inner().reservations.granted(block);
        Ok(())
    }

    fn append(&self, place: StreamSeq, block: Block, bytes: Vec<u8>, at: Timestamp) -> Append {
        let entry = Entry {
            stream: self.stream.clone(),
            stream_seq: place,
            at,
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: "calls.reserved".into(),
            version: EVENTS_VERSION,
            payload: codec::encode(&(&self.name, block.count)),
        };
        let projections = vec![(key(&self.name), Some(bytes))];
        Append { entries: vec![entry], projections, ..Append::default() }
    }

    /// The other side asks to be called less often.
    pub(crate) fn throttled(&self, retry_at: Option<Timestamp>, now: Timestamp) {
        let mut inner = self.inner();
        inner.is_paced = false;
        inner.pace.throttled(retry_at, now);
    }

    /// The other side says how much it will still take.
    pub(crate) fn hinted(&self, hints: &Hints, now: Timestamp) {
        let mut inner = self.inner();
        inner.is_paced = false;
        if let Some(at) = hints.retry_at {
            inner.pace.hold_until(at, now);
        }
        if let Some(remaining) = hints.remaining {
            inner.pace.remaining(remaining.calls, remaining.reset_at, now);
        }
    }

    /// The speed in thousandths of the full one, and until when no call is made if the other side said so.
    pub(crate) fn pace(&self, now: Timestamp) -> (u64, Option<Timestamp>) {
        let inner = self.inner();
        (inner.pace.speed(now), inner.pace.held_until(now))
    }
}

impl Inner {
    /// Asks everything that could hold a call up, in turn. Whoever has let it through is not asked a second time: at a slow
    /// pace a block of permits would be over before the pace lets the same call through again.
    fn next(&mut self, now: Timestamp) -> Next {
        if !self.is_governed {
            if let Err(wait) = self.governor.check() {
                return Next::Wait(wait);
            }
            self.is_governed = true;
        }
        if !self.is_paced {
            if let Err(until) = self.pace.admit(now) {
                return Next::Wait(now.until(until));
            }
            self.is_paced = true;
        }
        if let Err(until) = self.window.admit(now) {
            return Next::Wait(now.until(until));
        }
        match self.reservations.take(now) {
            Take::Taken => {
                (self.is_governed, self.is_paced) = (false, false);
                Next::Go
            }
            Take::Needs(block) => {
                self.window.cancelled();
                Next::Reserve(block)
            }
        }
    }
}

impl Admitted {
    /// Takes another permit if this one is over: a process that comes back takes it for used at its time, and not for used
    /// now. Said right before the call leaves, which may have waited for another limit or for the journal meanwhile.
    pub(crate) async fn renew(&mut self, env: &Env, log: &Log) -> Result<(), AppendError> {
        loop {
            let now = env.now();
            if self.taken_at.until(now) < GRACE {
                return Ok(());
            }
            let taken = self.meter.inner().reservations.take(now);
            match taken {
                Take::Taken => self.taken_at = now,
                Take::Needs(block) => self.meter.reserve(block, env, log).await?,
            }
        }
    }

    /// The call leaves now. Said before the first byte of it leaves.
    pub(crate) fn leaves(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.left, true) {
            self.meter.inner().window.sent(now);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if !self.left {
            self.meter.inner().window.cancelled();
        }
    }
}

fn key(name: &str) -> ProjectionKey {
    ProjectionKey::of_text(RESERVED, "meter", name)
}
