//! Who asks for work: a client that does not give up until it is answered, and systems that send webhooks so.

use std::time::Duration;

use serde::Serialize;
use soloist_actors::Soloist;
use soloist_kernel::{labels::Labeled, payload::Payload};

use crate::{
    plan::Kind,
    scenario::Webhook,
    trace::What,
    world::{Access, Strike, World},
};

/// Wait of a client that was not answered, or was turned away for now.
const RETRY: Duration = Duration::from_secs(2);

/// Waits of whoever sends webhooks; the last one repeats.
const REDELIVERIES_MS: [u64; 3] = [5_000, 60_000, 600_000];

/// A client of the kernel, within one process.
#[derive(Clone)]
pub struct Client {
    pub(crate) soloist: Soloist,
    pub(crate) access: Access,
}

impl Client {
    /// How much work there is.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.world().size()
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World {
        self.access.world()
    }

    /// The kernel, for what a client has no word for.
    #[must_use]
    pub fn soloist(&self) -> &Soloist {
        &self.soloist
    }

    /// Lets virtual time pass.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Starts a run, and asks again until that is acknowledged. From then on it must be there for ever.
    ///
    /// # Panics
    ///
    /// If the input is no plain data.
    pub async fn start(&self, workflow: &str, id: &str, input: &impl Serialize) {
        let input = Payload::of(input).expect("the input of a scenario is plain data");
        self.start_labeled(workflow, id, Labeled::owner(input)).await;
    }

    /// [`start`](Self::start) with an input that is not the owner's word.
    pub async fn start_labeled(&self, workflow: &str, id: &str, input: Labeled<Payload>) {
        loop {
            let started = self.soloist.start_labeled(workflow, id, input.clone()).await;
            let done = self.access.with(|state| {
                let text = match &started {
                    Ok(_) => "acknowledged".to_owned(),
                    Err(error) => error.to_string(),
                };
                state.line(
                    "client",
                    What::Client,
                    format_args!("start {id} of {workflow}: {text}"),
                );
                if started.is_ok() {
                    state.acknowledged_runs.insert(id.to_owned());
                }
                started.is_ok()
            });
            match done {
                Some(true) => return,
                Some(false) => tokio::time::sleep(RETRY).await,
                None => return std::future::pending().await,
            }
        }
    }

    /// Pulls from `connector` until that succeeds.
    pub async fn pull(&self, connector: &str) {
        loop {
            let pulled = self.soloist.pull(connector).await;
            let text = match &pulled {
                Ok(pulled) => format!("{pulled:?}"),
                Err(error) => error.to_string(),
            };
            let line = self.access.with(|state| {
                state.line("client", What::Client, format_args!("pull {connector}: {text}"));
                if pulled.is_ok() {
                    state.told.taken(connector);
                }
            });
            match (line, pulled) {
                (Some(()), Ok(_)) => return,
                (Some(()), Err(_)) => tokio::time::sleep(RETRY).await,
                (None, _) => return std::future::pending().await,
            }
        }
    }

    /// Delivers `webhook`, as its sender does: at least once, and again until it is acknowledged.
    pub(crate) async fn deliver(&self, webhook: Webhook) {
        let Webhook { source, id, event, data, at_ms } = webhook;
        let place = format!("{source}/{id}");
        let wait = at_ms.saturating_sub(self.world().now_ms());
        tokio::time::sleep(Duration::from_millis(wait)).await;
        for attempt in 0.. {
            let Some(kinds) = self.access.with(|state| {
                if state.delivered.contains(&place) {
                    return None;
                }
                let number = state.webhooks;
                state.webhooks += 1;
                Some(state.strike(&Strike::Webhook(number)))
            }) else {
                return std::future::pending().await;
            };
            let Some(kinds) = kinds else { return };
            for kind in &kinds {
                match kind {
                    Kind::Late { ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
                    // The one that follows has at least this long to overtake it.
                    Kind::Reordered => tokio::time::sleep(Duration::from_secs(1)).await,
                    _ => {}
                }
            }
            let times = match &kinds[..] {
                kinds if kinds.contains(&Kind::Lost) => 0,
                kinds if kinds.contains(&Kind::Duplicate) => 2,
                _ => 1,
            };
            for _ in 0..times {
                let taken = self.soloist.emit(&source, &id, &event, &data).await;
                self.access.with(|state| {
                    let text = match &taken {
                        Ok(true) => "taken".to_owned(),
                        Ok(false) => "known".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    state.line("webhooks", What::Client, format_args!("{event} {id}: {text}"));
                    if taken.is_ok() {
                        state.delivered.insert(place.clone());
                        let unsynced = state.watch.event_unsynced(&source, &id);
                        state.acknowledged(format_args!("event {place}"), unsynced);
                    }
                });
            }
            let wait = REDELIVERIES_MS[attempt.min(REDELIVERIES_MS.len() - 1)];
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}
