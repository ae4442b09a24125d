//! The connectors as the operator sees them: what each can do, how it stands, and whether the other side takes its credential.

use std::collections::BTreeMap;

use serde::Serialize;
use soloist_connectors::{Connector, Health, Operation};
use soloist_kernel::{
    fault::Fault,
    id::{ConnectorName, OperationName, WorkflowName},
};
use thiserror::Error;

use crate::{connector, handle::Soloist};

/// A connector that is mounted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectorView {
    /// What it is mounted as.
    pub name: ConnectorName,
    /// The kind of system, for people.
    pub system: String,
    /// Who it is to the other side. No secret.
    pub credential: String,
    /// How it stands: an open breaker, a pace that is held, how many wait and how many calls are under way.
    pub status: BTreeMap<&'static str, String>,
    /// The workflow that its changes start, if it is read.
    pub starts: Option<WorkflowName>,
    /// What can be asked of it.
    pub operations: BTreeMap<OperationName, Operation>,
}

/// Why a connector is not well, or was not looked at.
#[derive(Debug, Error)]
pub enum CheckError {
    /// None is mounted under that name.
    #[error("no connector `{name}` is mounted; there is {there}")]
    Unknown {
        /// As it was named.
        name: String,
        /// Which there are.
        there: String,
    },
    /// It is paused, so nothing is asked of the other side.
    #[error("connector `{name}` is paused ({reason}); say `soloist resume connector:{name}` first")]
    Paused {
        /// Its name.
        name: ConnectorName,
        /// Why.
        reason: String,
    },
    /// The look went wrong.
    #[error("{0}")]
    Fault(Fault),
}

impl Soloist {
    /// The connectors that are mounted, by their names.
    #[must_use]
    pub fn connectors(&self) -> Vec<ConnectorView> {
        let context = self.context();
        let mounted = context.mounted();
        let view = |(name, connector): (&ConnectorName, &std::sync::Arc<dyn Connector>)| {
            let manifest = connector.manifest();
            ConnectorView {
                name: name.clone(),
                system: manifest.system.clone(),
                credential: manifest.credential.clone(),
                status: context.tree.status(&format!("soloist/connectors/{name}/calls")),
                starts: mounted.intakes.get(name).map(|intake| intake.workflow.clone()),
                operations: manifest.operations.clone(),
            }
        };
        mounted.connectors.iter().map(view).collect()
    }

    /// Looks whether the other side of a connector answers and takes its credential: a call like any other, with its place in line,
    /// its limits and its breaker, which changes nothing.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check_connector(&self, name: &str) -> Result<Health, CheckError> {
        let context = self.context();
        let mounted = context.mounted();
        let found = mounted.connectors.iter().find(|(known, _)| known.as_str() == name);
        let Some((name, connector)) = found else {
            let there: Vec<&str> = mounted.connectors.keys().map(ConnectorName::as_str).collect();
            let there = if there.is_empty() { "none".into() } else { there.join(", ") };
            return Err(CheckError::Unknown { name: name.to_owned(), there });
        };
        if let Some(pause) = context.held.of_connector(name) {
            return Err(CheckError::Paused { name: name.clone(), reason: pause.reason });
        }
        let actor = context.registry.connector(name);
        let room = connector::room(actor.as_ref()).await.map_err(CheckError::Fault)?;
        let (env, limit) = (room.env(), connector.manifest().call_timeout);
        room.call("check", limit, connector.check(&env)).await.map_err(CheckError::Fault)
    }
}
