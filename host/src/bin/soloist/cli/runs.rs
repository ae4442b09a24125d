//! What one can do with runs and events.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum RunCommand {
    /// List the runs, newest first.
    List,
    /// Show a run: where its steps stand, and everything that happened in it.
    Show {
        /// Its id; of a bundle, its own run if there is none.
        #[arg(required_unless_present = "bundle")]
        id: Option<String>,
        /// As it was when this record of the journal had been written.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// From a bundle, and not from a data directory.
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
    },
    /// Rebuild a run from its records alone, and compare: with its snapshot, the lists it is in, the inbox. Exit code 1 if
    /// anything differs.
    Replay {
        /// Its id.
        #[arg(required_unless_present = "bundle", conflicts_with = "bundle")]
        id: Option<String>,
        /// From a bundle, and not from a data directory: every byte of it is checked.
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
    },
    /// Pack a run, and those beneath it, into a file that can be replayed anywhere.
    Export {
        /// Its id.
        id: String,
        /// The file; one that is there already is not overwritten.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Let a copy of a run go on with another policy, input or agent, and show what would be otherwise. Nobody is called, and
    /// nothing is kept.
    Fork {
        /// Its id.
        id: String,
        /// The last record that the copy has in common with the run [default: none, it begins anew].
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
        /// What judges in it [default: the policy in force].
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Another input, for a copy that begins anew.
        #[arg(long, value_name = "JSON|@FILE")]
        input: Option<String>,
        /// An agent in another version; may be given several times.
        #[arg(long = "agent", value_name = "NAME@VERSION")]
        agents: Vec<String>,
    },
    /// Start a run of a workflow, and wait until it rests. The same again is the same run.
    Start {
        /// The workflow's name.
        workflow: String,
        #[command(flatten)]
        with: With,
    },
    /// Start a run for a goal in your own words, of the workflow that serves it.
    Pursue {
        /// The goal, by its name or by one of its phrases.
        goal: String,
        #[command(flatten)]
        with: With,
    },
    /// End a run, and take back what it did.
    Abort {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long, default_value = "the operator ended it")]
        reason: String,
    },
    /// End a run, and leave what it did.
    Cancel {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long, default_value = "the operator ended it")]
        reason: String,
    },
    /// Pause a run and those beneath it: what comes is taken in, and nothing is done.
    Pause {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long, default_value = "the operator paused it")]
        reason: String,
    },
    /// Let a run go on that is paused.
    Resume {
        /// Its id.
        id: String,
    },
    /// Try a step again that failed or waits for its next attempt. A run that had failed with it goes on.
    Retry {
        /// The run's id.
        id: String,
        /// The step [default: the one that the run failed at].
        #[arg(long)]
        step: Option<String>,
        /// Why.
        #[arg(long, default_value = "the operator had it tried again")]
        reason: String,
    },
    /// Say what a step comes to, in the place of its work. A run that had failed at it goes on.
    Override {
        /// The run's id.
        id: String,
        /// The step.
        #[arg(long)]
        step: String,
        /// What it comes to.
        #[arg(long, value_name = "JSON|@FILE")]
        output: String,
        /// Why: it stands in the record.
        #[arg(long)]
        reason: String,
    },
    /// Move a run to another version of its workflow. Shows what would change; with --yes it does.
    Migrate {
        /// Its id.
        id: String,
        /// The version [default: the newest].
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
        /// Only show what would change, which is what happens without --yes as well.
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

/// How a run begins.
#[derive(Args)]
pub(crate) struct With {
    /// The run's id [default: made of the workflow's name and the input].
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Its input.
    #[arg(long, value_name = "JSON|@FILE", default_value = "null", hide_default_value = true)]
    pub(crate) input: String,
}

#[derive(Subcommand)]
pub(crate) enum EventCommand {
    /// Tell of an event: it starts the runs that it triggers, and wakes those that wait for it.
    Emit {
        /// Its type, as workflows name it: `invoice.paid`.
        event: String,
        /// Its id. The same one from the same source is the same event, and is taken once.
        #[arg(long, value_name = "ID")]
        id: String,
        /// Where it comes from.
        #[arg(long, value_name = "NAME", default_value = "operator")]
        source: String,
        /// What it says. `--data` is taken by the data directory.
        #[arg(long, value_name = "JSON|@FILE", default_value = "null", hide_default_value = true)]
        payload: String,
    },
}
