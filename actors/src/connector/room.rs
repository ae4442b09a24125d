//! Room for one call: everything that was taken for it and has to be given back, however it ends.

use std::{sync::Arc, time::Duration};

use soloist_connectors::Env;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    journal::AppendError,
    mutant::{Mutant, planted},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::Message;
use crate::{
    actor::Address,
    context::Context,
    gate::{InFlight, Pass},
    meter::Admitted,
    run::WriteId,
};

/// The right to make one call. Dropping it gives the room back, and tells the actor so.
pub(crate) struct Room {
    context: Arc<Context>,
    env: Env,
    actor: Address<Message>,
    pass: Pass,
    admitted: Vec<Admitted>,
    in_flight: Option<InFlight>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(
        context: Arc<Context>,
        env: Env,
        actor: Address<Message>,
        pass: Pass,
        admitted: Vec<Admitted>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { context, env, actor, pass, admitted, in_flight: None, permit: Some(permit) }
    }

    /// The world as the connector sees it: what it says of its limits there is heard.
    pub(crate) fn env(&self) -> Env {
        self.env.clone()
    }

    /// Makes `call`, which may take as long as `limit`: the breaker, the limits and the budget of retries learn how it ended.
    /// Before it is polled for the first time, nothing has left.
    pub(crate) async fn call<T>(
        mut self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.env.perturb().await;
        self.leaves().await?;
        let answer = timeout(limit, call).await.unwrap_or_else(|_| Err(too_late(what, limit)));
        if planted(Mutant::PermitLeaked)
            && answer.is_err()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
        if let Some(turned) = self.pass.ended(answer.as_ref().map(|_| ())) {
            let _ = self.actor.send(Message::Turned { class: self.pass.class(), turned });
        }
        answer
    }

    /// The call leaves now. Said before the first byte of it leaves.
    async fn leaves(&mut self) -> Result<(), Fault> {
        for admitted in &mut self.admitted {
            if let Err(error) = admitted.renew(&self.env, &self.context.log).await {
                if let AppendError::Stopped(_) = &error {
                    self.context.halt(&error.to_string());
                }
                let message = format!("its permit is not kept: {error}");
                return Err(Fault::new(FaultClass::Transient, Phase::NotSent, message));
            }
        }
        let now = self.env.now();
        for admitted in &mut self.admitted {
            admitted.leaves(now);
        }
        Ok(())
    }

    /// Notes, for as long as there is this room, that an attempt of `write` is under way.
    pub(crate) fn attempts(&mut self, write: Option<WriteId>) {
        self.in_flight = write.map(|write| self.pass.in_flight(write));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop((self.in_flight.take(), self.permit.take()));
        self.pass.given_up();
        let _ = self.actor.send(Message::Freed);
    }
}

/// The fault of a call that did not end in time.
pub(crate) fn too_late(what: &str, limit: Duration) -> Fault {
    let message = format!("the {what} did not end within {} s", limit.as_secs_f64());
    // To ask or to look changes nothing.
    let phase = match what {
        "probe" | "pull" => Phase::NotSent,
        _ if planted(Mutant::DeadlineIsNotSent) => Phase::NotSent,
        _ => Phase::MaybeSent,
    };
    Fault::new(FaultClass::Deadline, phase, message)
}
