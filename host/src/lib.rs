//! Soloist: an embedded, actor-model orchestration kernel for the AI workforce of a one-person company.
//!
//! Agents propose, policy and the operator decide, and what leaves the house leaves once. Every decision is in a journal
//! that survives `kill -9` and can be checked from its first record to its last.
//!
//! ```
//! use soloist::{Agent, Failure, ReadOnly, RunEnd, Soloist, Turn, Workflow};
//!
//! struct Greeter;
//!
//! impl Agent for Greeter {
//!     const NAME: &'static str = "greeter";
//!     type Kind = ReadOnly;
//!     type Input = String;
//!     type Output = String;
//!
//!     async fn run(&self, _turn: Turn<ReadOnly>, name: String) -> Result<String, Failure> {
//!         Ok(format!("Hello {name}"))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let data = tempfile::tempdir()?;
//! # let data = data.path();
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let greet = Workflow::parse("greet.toml", "name = 'greet'\n[[step]]\nname = 'say'\nagent = 'greeter'").unwrap();
//! let soloist = Soloist::builder().data_dir(data).agent(Greeter).workflow(greet).open().await?;
//! let run = soloist.start("greet", "greet-ada", &"Ada").await?;
//! let RunEnd::Completed(output) = run.rest().await? else { panic!("it completes") };
//! assert_eq!(output.parse::<String>()?, "Hello Ada");
//! soloist.shutdown().await?;
//! # Ok(()) })
//! # }
//! ```
//!
//! This crate is the facade: it renames nothing and adds nothing. The kernel's decisions are in `soloist-kernel`, the
//! actors in `soloist-actors`, the seam to the world in [`connectors`], what is known in [`memory`], and what the operator
//! sees in [`operator`].

pub use soloist_actors::{
    Agent, ArchiveRunsError, Archived, Arm, AutoShutdown, BadRaise, Branch, BudgetView, Builder,
    CheckError, Comparison, ConnectorView, DecideError, Drained, EmitError, Ending, Failure,
    Halted, Kind, Measures, Migration, MountError, OpenError, PullError, Pulled, Question,
    ReadOnly, Readiness, Restart, RunEnd, RunHandle, Services, SetError, Soloist, StartError,
    Stats, Strategy, Transactional, TreeEvent, TreeNode, Tried, TriedArm, Turn, TurnError, compare,
    measure, travel, tried, views,
};
pub use soloist_connectors as connectors;
pub use soloist_kernel::{
    budget, catalog, decisions, effect, fault, id, inbox, incident, journal, labels, payload,
    policy::{self, Policy},
    rollout, run, semantics, shadow, time,
    workflow::{self, Workflow},
};
pub use soloist_memory as memory;
pub use soloist_operator as operator;

/// The examples of the guide to agents are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../../docs/agents.md")]
struct Agents;

/// The README's examples are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
