//! What one can say to what waits.

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum InboxCommand {
    /// List what waits, oldest first.
    List,
    /// Show one item: exactly what would leave, why you are asked, and what you can say.
    Show {
        /// Its id.
        id: String,
    },
    /// Let it happen exactly as shown.
    Approve {
        #[command(flatten)]
        which: Which,
    },
    /// Change it, and let the changed write happen unless policy denies it.
    Modify {
        #[command(flatten)]
        which: Which,
        /// An argument to replace; may be given several times.
        #[arg(long = "set", value_name = "NAME=VALUE", required = true)]
        set: Vec<String>,
    },
    /// Turn it down, or dismiss an incident.
    Abort {
        #[command(flatten)]
        which: Which,
        /// Why; the agent sees it.
        #[arg(long, default_value = "the operator turned it down")]
        reason: String,
    },
    /// Say whether a write that may have happened did.
    #[command(group(clap::ArgGroup::new("outcome").required(true)))]
    Resolve {
        #[command(flatten)]
        which: Which,
        /// It did.
        #[arg(long, group = "outcome")]
        happened: bool,
        /// It did not: send it again.
        #[arg(long, group = "outcome")]
        did_not_happen: bool,
    },
    /// Answer a question.
    Answer {
        #[command(flatten)]
        which: Which,
        /// With what: one of the choices, JSON, or any other text.
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// Take the value as text, even if it is JSON.
        #[arg(long)]
        text: bool,
    },
    /// Give the decision to someone else.
    Delegate {
        #[command(flatten)]
        which: Which,
        /// A second operator by name, or an agent of the company.
        #[arg(long, value_name = "NAME|agent:NAME")]
        to: String,
    },
    /// Try a step again that waits after its failure, or let a run go on that was set aside.
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Go on after a failed step, with an output that you give.
    GoOn {
        #[command(flatten)]
        which: Which,
        /// The step's output.
        #[arg(long, value_name = "JSON|@FILE")]
        output: String,
    },
    /// Fail the run of a step that waits after its failure; what it did stays.
    Fail {
        #[command(flatten)]
        which: Which,
    },
    /// Take back what the run did.
    Compensate {
        #[command(flatten)]
        which: Which,
    },
}

/// Which item, and who decides.
#[derive(Args)]
pub(crate) struct Which {
    /// Its id.
    pub(crate) id: String,
    /// Who decides, for the record, if not you.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) by: Option<String>,
}
