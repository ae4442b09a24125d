//! What one can ask about connectors.

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum ConnectorCommand {
    /// List the connectors, and how each stands.
    List,
    /// Show what can be asked of a connector, and what it declares of each write.
    Show {
        /// What it is mounted as.
        name: String,
    },
    /// Look whether the other side answers and takes the credential, by a call that changes nothing.
    Check {
        /// What it is mounted as [default: all].
        name: Option<String>,
    },
}
