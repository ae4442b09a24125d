//! Services: the host's own loops, supervised with everything else.
//!
//! A web server, a watcher of files, a bridge to another system: whatever the host runs beside the kernel dies, is restarted and
//! is stopped by the same rules, and is seen in the same tree. Services start last and stop first.

use std::{fmt::Display, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::task::{AbortHandle, JoinSet};

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    panics::{caught, caught_async},
    supervisor::{AutoShutdown, Flags, Restart, Shutdown, Spec, Strategy},
};

/// Services that belong together, beneath a supervisor of their own.
///
/// ```
/// use soloist_actors::{Restart, Services, Soloist, Strategy};
///
/// let feeds = Services::new("feeds", Strategy::OneForAll)
///     .service("fetch", Restart::Permanent, || async { std::future::pending::<Result<(), String>>().await })
///     .service("index", Restart::Transient, || async { Ok::<_, String>(()) });
/// let builder = Soloist::builder().services(feeds);
/// ```
pub struct Services {
    name: String,
    flags: Flags,
    all: Vec<Service>,
}

type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

#[derive(Clone)]
struct Service {
    name: String,
    restart: Restart,
    significant: bool,
    stop_timeout: Duration,
    run: Arc<dyn Fn() -> Running + Send + Sync>,
}

impl Services {
    /// No services yet. If one dies, `strategy` says which start again with it.
    #[must_use]
    pub fn new(name: impl Into<String>, strategy: Strategy) -> Self {
        Self { name: name.into(), flags: Flags::new(strategy), all: vec![] }
    }

    /// Bears `restarts` within `period`, rather than 5 within 10 seconds, before it gives up.
    #[must_use]
    pub fn intensity(self, restarts: usize, period: Duration) -> Self {
        Self { flags: Flags { intensity: restarts, period, ..self.flags }, ..self }
    }

    /// Whether all stop when significant ones have ended by themselves.
    #[must_use]
    pub fn auto_shutdown(self, auto_shutdown: AutoShutdown) -> Self {
        Self { flags: Flags { auto_shutdown, ..self.flags }, ..self }
    }

    /// Adds a service. `run` is called at each start; what it gives runs until it returns, which is a normal end if it is
    /// `Ok`, or until it is dropped, because the tree stops. An `Err` or a panic is a death.
    #[must_use]
    pub fn service<F, E>(
        mut self,
        name: impl Into<String>,
        restart: Restart,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run = move || -> Running {
            let running = run();
            Box::pin(async move { running.await.map_err(|error| error.to_string()) })
        };
        let (name, significant, stop_timeout) = (name.into(), false, Duration::ZERO);
        self.all.push(Service { name, restart, significant, stop_timeout, run: Arc::new(run) });
        self
    }

    /// The service added last is significant: see [`auto_shutdown`](Self::auto_shutdown). Not for a permanent one, which does
    /// not end by itself.
    #[must_use]
    pub fn significant(mut self) -> Self {
        if let Some(last) = self.all.last_mut().filter(|last| last.restart != Restart::Permanent) {
            last.significant = true;
        }
        self
    }

    /// The service added last has up to `timeout` to return by itself when the tree stops, before it is dropped.
    #[must_use]
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        if let Some(last) = self.all.last_mut() {
            last.stop_timeout = timeout;
        }
        self
    }

    /// These services as a child of the tree.
    pub(crate) fn spec(&self, context: &Arc<Context>) -> Spec {
        let all = self.all.clone();
        Spec::supervisor(self.name.clone(), self.flags, context, move || {
            all.iter().map(Service::spec).collect()
        })
        // If they end because all is done, they are not begun again.
        .restart(Restart::Transient)
    }
}

impl Service {
    fn spec(&self) -> Spec {
        let service = self.clone();
        let shutdown = match self.stop_timeout {
            Duration::ZERO => Shutdown::BrutalKill,
            timeout => Shutdown::After(timeout),
        };
        let spec = Spec::actor::<ServiceActor>(self.name.clone(), move || service.clone())
            .restart(self.restart)
            .shutdown(shutdown);
        if self.significant { spec.significant() } else { spec }
    }
}

/// What a service's actor is told.
enum Message {
    /// The service has returned, or panicked.
    Ended(Result<(), String>),
}

/// The actor of one service: it owns the task.
struct ServiceActor {
    me: Address<Message>,
    task: JoinSet<()>,
    running: AbortHandle,
}

impl Behaviour for ServiceActor {
    type Message = Message;
    type Arguments = Service;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Ended(_) => "end",
        }
    }

    async fn start(service: Service, me: Address<Message>) -> Result<Self, Error> {
        let mut task = JoinSet::new();
        let running = caught(|| (service.run)());
        let running = running.map_err(|said| format!("the service panicked: {said}"))?;
        let told = me.clone();
        let running = task.spawn(async move {
            let ended = caught_async(running).await;
            let ended = ended.unwrap_or_else(|said| Err(format!("the service panicked: {said}")));
            let _ = told.send(Message::Ended(ended));
        });
        Ok(Self { me, task, running })
    }

    async fn handle(&mut self, Message::Ended(result): Message) -> Result<(), Error> {
        result.map_err(Error::from)?;
        self.me.stop();
        Ok(())
    }

    async fn stop(&mut self) {
        if !self.running.is_finished() {
            self.task.join_next().await;
        }
    }
}
