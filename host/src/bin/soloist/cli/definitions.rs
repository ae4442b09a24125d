//! What one can do with workflows and policies.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum WorkflowCommand {
    /// Check definitions against the company's agents and connectors, and against each other. Needs no data directory.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Add a definition, or a new version of one. Runs under way stay with theirs.
    Add {
        /// The file.
        file: PathBuf,
    },
    /// List the workflows, each in its newest version.
    List,
    /// Show a definition as it was added.
    Show {
        /// Its name; NAME@VERSION for another version than the newest.
        #[arg(value_name = "NAME[@VERSION]")]
        workflow: String,
    },
    /// Compare two definitions, field by field.
    Diff {
        /// The older: a file, or as `show` takes it.
        #[arg(value_name = "NAME[@VERSION]|FILE")]
        old: String,
        /// The newer.
        #[arg(value_name = "NAME[@VERSION]|FILE")]
        new: String,
    },
    /// Draw a definition as a Mermaid flowchart.
    Render {
        /// A file, or as `show` takes it.
        #[arg(value_name = "NAME[@VERSION]|FILE")]
        workflow: String,
        /// As Mermaid, which is the only way so far.
        #[arg(long)]
        mermaid: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check policies. Needs no data directory.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Run a policy's own examples.
    Test {
        /// The file.
        file: PathBuf,
    },
    /// Show the policy in force as it was set.
    // The program's own `--version` gives way to the policy's.
    #[command(disable_version_flag = true)]
    Show {
        /// Another version than the one in force.
        #[arg(long)]
        version: Option<u32>,
    },
    /// Compare two policies, setting by setting: FILE with what is in force, or two of versions and files.
    Diff {
        /// A version or a file; alone it is compared with what is in force.
        #[arg(value_name = "VERSION|FILE")]
        one: String,
        /// The newer.
        #[arg(value_name = "VERSION|FILE")]
        other: Option<String>,
    },
    /// Show what was decided: each write that was proposed, what policy said of it, what you answered, what became of it.
    Decisions {
        /// Only what was proposed since then.
        #[arg(long, value_name = "30d|DATE")]
        since: Option<String>,
        /// Only writes of this connector.
        #[arg(long, value_name = "NAME")]
        connector: Option<String>,
    },
    /// Judge what is on record again by another policy, and show what would have been otherwise. Changes nothing.
    Backtest {
        /// The policy.
        file: PathBuf,
        /// Only what was proposed since then.
        #[arg(long, value_name = "30d|DATE")]
        since: Option<String>,
    },
    /// Propose rules that your decisions support, in TOML, to be put at the end of your policy. Changes nothing.
    Suggest {
        /// Only what was proposed since then.
        #[arg(long, value_name = "30d|DATE")]
        since: Option<String>,
        /// Fewest decisions that a rule must rest on.
        #[arg(long, value_name = "N", default_value_t = 20)]
        min: usize,
        /// What may be left to a rule although it is risky; may be given several times: new-places (what cannot be taken back may
        /// go where nothing has landed before), untrusted (it may go where somebody outside chose), money.
        #[arg(long, value_name = "RISK")]
        also: Vec<String>,
    },
    /// Have the running soloist judge by a policy from now on, until it ends or reads its own again.
    Set {
        /// The file.
        file: PathBuf,
    },
}
