//! What one can do with runs and events.

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum RunCommand {
    /// List the runs, newest first.
    List,
    /// Show a run: where its steps stand, and everything that happened in it.
    Show {
        /// Its id.
        id: String,
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
