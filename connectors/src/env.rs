//! The seam to the world: time, chance, other machines and the order in which things happen.
//!
//! Production and simulation differ in the [`Env`] they hand to the same code, and in nothing else. Elapsed time and
//! sleeping are `tokio::time`, which a paused runtime virtualises; wall time is [`Env::now`], randomness is
//! [`Env::entropy`], other machines are behind [`Env::connect`] (byte streams, in `net.rs`) and [`Env::http`] (requests, in
//! `http.rs`), and [`Env::perturb`] is where the simulator explores other interleavings.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::SystemTime};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use soloist_kernel::time::Timestamp;

use crate::{
    clock::Steady,
    hints::Hints,
    http::{Client, Transport},
    net::{Network, Stream, Tcp},
};

/// Tells the wall time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// A point where the simulator may let others run first.
type Perturb = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Who is told of limits.
type LimitsSink = Arc<dyn Fn(Hints) + Send + Sync>;

/// The world as actors and connectors see it. Cloning it is cheap.
#[derive(Clone)]
pub struct Env {
    clock: Arc<Steady>,
    seed: [u8; 32],
    network: Arc<dyn Network>,
    http: Arc<dyn Transport>,
    perturb: Option<Perturb>,
    limits_sink: Option<LimitsSink>,
}

impl Env {
    /// The real world: the system's clock and network, and `seed` for the streams of [`entropy`](Self::entropy). A host draws
    /// the seed from its operating system once; the kernel journals whatever it draws from it.
    #[must_use]
    pub fn real(seed: [u8; 32]) -> Self {
        Self::with_clock(system_time, seed)
    }

    /// A world with `clock` for its wall time, and `seed`. Other machines are reached by [`Tcp`] and by [`Client`], neither of
    /// which opens or sets up anything before it is asked to.
    #[must_use]
    pub fn with_clock(clock: impl Clock, seed: [u8; 32]) -> Self {
        let (clock, network) = (Arc::new(Steady::new(clock)), Arc::new(Tcp));
        let http = Arc::new(Client::new());
        Self { clock, seed, network, http, perturb: None, limits_sink: None }
    }

    /// The same world, with other machines reached through `network`. Two do not go through it, because their clients open
    /// their connections themselves: SMTP that is encrypted from the start ([`Tls::Tls`](crate::mail::smtp::Tls::Tls)), and
    /// what is asked by HTTP, for which there is [`with_http`](Self::with_http).
    #[must_use]
    pub fn with_network(mut self, network: impl Network) -> Self {
        self.network = Arc::new(network);
        self
    }

    /// The same world, in which requests are sent by `transport`.
    #[must_use]
    pub fn with_http(mut self, transport: impl Transport) -> Self {
        self.http = Arc::new(transport);
        self
    }

    /// The same world, with `perturb` awaited at every send, spawn and append.
    #[must_use]
    pub fn with_perturbation<F>(mut self, perturb: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.perturb = Some(Arc::new(move || Box::pin(perturb())));
        self
    }

    /// The same world, with `sink` told what the other side says of its limits. The caller of a connector gives each its
    /// own.
    #[must_use]
    pub fn with_limits_sink(mut self, sink: impl Fn(Hints) + Send + Sync + 'static) -> Self {
        self.limits_sink = Some(Arc::new(sink));
        self
    }

    /// The same world by another clock: a simulated system has one of its own, which is not put back with ours.
    #[must_use]
    pub fn by_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(Steady::new(clock));
        self
    }

    /// Wall time, which never goes back: a wall that is put back by up to two hours is caught up with at nine tenths of its
    /// speed, and followed if it is put back further.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time goes on from `last`, which was the time when something was put on record: it does not go back over restarts either.
    pub fn goes_on_from(&self, last: Timestamp) {
        self.clock.not_before(last);
    }

    /// The random stream of `label`. Streams are keyed by what they are for, not by the order in which they are asked for,
    /// so that one more draw here does not change what is drawn there.
    #[must_use]
    pub fn entropy(&self, label: &str) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(*blake3::keyed_hash(&self.seed, label.as_bytes()).as_bytes())
    }

    /// Opens a stream to `port` of `host`. It may take as long as the network lets it: the caller sets the limit.
    ///
    /// # Errors
    ///
    /// There is no stream, for a reason of the network; see [`Network::connect`].
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        self.network.connect(host, port).await
    }

    /// What sends requests. Each is one attempt, with its own limits of time and size, to where its reach lets it go.
    #[must_use]
    pub fn http(&self) -> &dyn Transport {
        &*self.http
    }

    /// A point where others may run first. Nothing in production.
    pub async fn perturb(&self) {
        if let Some(perturb) = &self.perturb {
            perturb().await;
        }
    }

    /// Tells what the other side said of its limits, in the answer to a call that succeeded or failed. Nothing without a
    /// sink.
    pub fn limits(&self, hints: Hints) {
        if let Some(sink) = &self.limits_sink {
            sink(hints);
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("now", &self.now()).finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the seam: the one place that reads the clock"
)]
fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_sink_is_told_what_a_connector_says_of_limits() {
        let env = Env::with_clock(|| Timestamp(1), [0; 32]);
        let told = Arc::new(Mutex::new(vec![]));
        let hints = Hints { retry_at: Some(Timestamp(7)), remaining: None };
        env.limits(hints);
        let sink = Arc::clone(&told);
        env.with_limits_sink(move |hints| sink.lock().unwrap().push(hints)).limits(hints);
        assert_eq!(*told.lock().unwrap(), [hints]);
    }
}
