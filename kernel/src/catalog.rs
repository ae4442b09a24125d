//! The catalogue: what agents and operations there are, and what each declares of itself.
//!
//! It is data that the host hands to the kernel. Workflows are checked against it when they are loaded, and proposals when
//! they are made: what an agent may use and whether it may write at all is decided here, not by the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{AgentName, ConnectorName, OperationName},
    payload::Digest,
    semantics::{ArgumentRole, Reversal, WriteSemantics},
};

/// What there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// Agents, by name and version.
    pub agents: BTreeMap<AgentName, BTreeMap<u32, AgentSpec>>,
    /// Connectors, by the name they are mounted under.
    pub connectors: BTreeMap<ConnectorName, BTreeMap<OperationName, Operation>>,
}

/// What an agent declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Its version.
    pub version: u32,
    /// Whether it may propose writes.
    pub kind: AgentKind,
    /// JSON Schema of its input.
    pub input: Value,
    /// JSON Schema of its output; what a turn returns is checked against it before the run sees it.
    pub output: Value,
    /// The ways in which it says it may fail, besides those of every agent.
    pub failures: Vec<String>,
    /// The operations it may use: `mail.send`. A proposal of another one is refused.
    pub tools: Vec<String>,
    /// Most effects of one turn.
    pub effects_max: u32,
}

/// Whether an agent may propose writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// It reads and answers. It cannot propose.
    ReadOnly,
    /// It may propose writes, with the operations it names.
    Transactional,
}

/// What a connector declares about one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does, in one line, for the operator.
    pub summary: String,
    /// Whether it reads, writes or takes a write back.
    pub kind: OperationKind,
    /// What an ambiguous answer means. Of no meaning for a read.
    pub semantics: WriteSemantics,
    /// How it can be taken back. Of no meaning for a read.
    pub reversal: Reversal,
    /// Its arguments. Those it does not name are refused.
    pub arguments: BTreeMap<String, Argument>,
    /// JSON Schema of its receipt or answer; `true` says nothing about it.
    pub result: Value,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// It changes nothing.
    Read,
    /// It changes something, so it happens through the façade.
    Write,
    /// It takes a write back; it is a write as well, and workflows use it in `compensate`.
    Compensate,
}

/// What a connector declares about one argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Argument {
    /// Whether it says where a write goes or what it says.
    pub role: ArgumentRole,
    /// Whether it must be there.
    pub required: bool,
    /// Its JSON Schema; `true` allows everything.
    pub schema: Value,
}

impl Argument {
    /// A required argument that says where the write goes.
    #[must_use]
    pub fn routing(schema: Value) -> Self {
        Self { role: ArgumentRole::Routing, required: true, schema }
    }

    /// A required argument that says what the write says.
    #[must_use]
    pub fn content(schema: Value) -> Self {
        Self { role: ArgumentRole::Content, required: true, schema }
    }

    /// The same, but it may be absent.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

impl Catalog {
    /// The agent `name` in `version`.
    #[must_use]
    pub fn agent(&self, name: &AgentName, version: u32) -> Option<&AgentSpec> {
        self.agents.get(name)?.get(&version)
    }

    /// The newest version of agent `name`.
    #[must_use]
    pub fn newest_agent(&self, name: &AgentName) -> Option<&AgentSpec> {
        self.agents.get(name)?.values().next_back()
    }

    /// The operation `operation` of `connector`.
    #[must_use]
    pub fn operation(
        &self,
        connector: &ConnectorName,
        operation: &OperationName,
    ) -> Option<&Operation> {
        self.connectors.get(connector)?.get(operation)
    }

    /// The names of every operation, as workflows write them: `mail.send`.
    pub fn operation_names(&self) -> impl Iterator<Item = String> {
        self.connectors.iter().flat_map(|(connector, operations)| {
            operations.keys().map(move |operation| format!("{connector}.{operation}"))
        })
    }
}

impl Operation {
    /// The hash of what is declared: an approval is bound to it.
    ///
    /// # Panics
    ///
    /// Never: a declaration is plain data, which is JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a declaration is plain data"))
    }

    /// The JSON Schema of its arguments as one object.
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: serde_json::Map<String, Value> = self
            .arguments
            .iter()
            .map(|(name, argument)| (name.clone(), argument.schema.clone()))
            .collect();
        let required: Vec<&String> = self
            .arguments
            .iter()
            .filter(|(_, argument)| argument.required)
            .map(|(name, _)| name)
            .collect();
        serde_json::json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}
