//! What a kernel is mounted on in one process: its world, and the connectors over the simulated wire.

use std::collections::BTreeMap;

use serde_json::Value;
use soloist_actors::Builder;
use soloist_connectors::{Connector, Env, Intent};
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::{BadName, EffectId},
    payload::Payload,
};

use crate::{
    remote::Remote,
    scenario::{MakeConnector, Systems},
    world::{Access, World},
};

/// One process of a simulation.
pub struct Process {
    env: Env,
    access: Access,
    remotes: BTreeMap<String, Remote>,
}

impl Process {
    pub(crate) fn new(access: &Access, systems: &Systems, env: Env) -> Self {
        let remote = |(name, make): (&String, &MakeConnector)| {
            let remote = Remote {
                name: name.clone(),
                inner: make(),
                access: access.clone(),
                ledger: systems.ledgers.get(name).cloned(),
                answers: systems.answers.get(name).cloned().unwrap_or_default(),
            };
            (name.clone(), remote)
        };
        let remotes = systems.connectors.iter().map(remote).collect();
        Self { env, access: access.clone(), remotes }
    }

    /// The world that it is in.
    #[must_use]
    pub fn world(&self) -> &World {
        self.access.world()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn mounted(&self, mut builder: Builder, systems: &Systems) -> Builder {
        for name in systems.connectors.keys() {
            builder = builder.connector(name, self.remotes[name].clone());
        }
        builder
    }

    /// The API behind connector `name` as a vendor's client library would call it: past the kernel, with no intent, no key that
    /// outlives the process and no policy. It is here to show what that leads to.
    ///
    /// # Panics
    ///
    /// If there is no such connector.
    #[must_use]
    pub fn sdk(&self, name: &str) -> Sdk {
        let remote = self.remotes.get(name).expect("the scenario has no connector of this name");
        Sdk { remote: remote.clone(), env: self.env.clone(), access: self.access.clone() }
    }
}

/// An API as a vendor's client library calls it. See [`Process::sdk`].
#[derive(Clone)]
pub struct Sdk {
    remote: Remote,
    env: Env,
    access: Access,
}

impl Sdk {
    /// Calls a write.
    ///
    /// # Errors
    ///
    /// What went wrong, in words: as with any library, it may have happened all the same.
    pub async fn call(&self, operation: &str, arguments: &Value) -> Result<Value, String> {
        let words = |fault: Fault| fault.to_string();
        let number = self.access.with(|state| {
            state.sdk_calls += 1;
            state.sdk_calls
        });
        let Some(number) = number else { return std::future::pending().await };
        let bad = |error: BadName| error.to_string();
        let key = EffectId {
            run: format!("sdk-{number}").parse().map_err(bad)?,
            step: "sdk".parse().map_err(bad)?,
            name: "call".parse().map_err(bad)?,
            occurrence: 0,
        };
        let intent = Intent {
            operation: operation.parse().map_err(bad)?,
            arguments: Payload::of(arguments).map_err(|error| error.to_string())?,
            key: key.key(),
            at: self.env.now(),
        };
        let plan = self.remote.plan(&intent).map_err(words)?;
        let limit = self.remote.manifest().call_timeout;
        let call = self.remote.called(&self.env, &plan, 1);
        let late = || Fault::new(FaultClass::Deadline, Phase::MaybeSent, "no answer in time");
        let answer = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late()));
        answer.map(|receipt| receipt.value()).map_err(words)
    }
}
