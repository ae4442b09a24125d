//! The command line: here what there is, in the folder the words of what has many.

mod archive;
mod connectors;
mod definitions;
mod inbox;
mod money;
mod runs;
mod sim;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::{
    archive::ArchiveCommand,
    connectors::ConnectorCommand,
    definitions::{PolicyCommand, WorkflowCommand},
    inbox::InboxCommand,
    money::{BudgetCommand, CostArguments},
    runs::{EventCommand, RunCommand},
    sim::{
        ExhaustArguments, MutantsArguments, PlanArguments, RunArguments, SimCommand, SweepArguments,
    },
};
use crate::company::scenario::Scenario;

/// The durable layer beneath a one-person company: agents propose, policy and you decide, and nothing is done twice.
///
/// Exit codes: 0 done; 1 it did not work, or what was checked is not well; 2 the command line or the configuration is wrong;
/// 3 another soloist uses the data directory; 4 the journal is refused (see `soloist doctor`); 5 the kernel halted while it
/// worked, start it again.
#[derive(Parser)]
#[command(name = "soloist", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Where the journal is kept [default: soloist-data].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Configuration file [default: soloist.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Answer in JSON, for machines.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Work until told to stop: read mail as it arrives, answer, and take decisions from other `soloist` commands.
    Serve {
        /// Begin with everything paused, to look first: nothing is done before `soloist resume everything`.
        #[arg(long)]
        paused: bool,
    },
    /// Pause something, or list what is paused: what comes is taken in, and nothing of it is done.
    Pause {
        /// `everything`, `workflow:NAME`, `agent:NAME`, `connector:NAME` or `run:ID` [default: only list].
        scope: Option<String>,
        /// Why.
        #[arg(long, default_value = "the operator paused it")]
        reason: String,
    },
    /// Let something go on that is paused.
    Resume {
        /// What, as it was paused.
        scope: String,
    },
    /// Have a share of the new runs take the newest version of something, or compare the versions that are side by side.
    Canary {
        /// `workflow:NAME`, `agent:NAME` or `policy` [default: only compare].
        of: Option<String>,
        /// The share of the new runs, from 0 to 100; 0 takes the canary back.
        #[arg(long, value_name = "N", default_value_t = 10.0, requires = "of")]
        percent: f64,
    },
    /// Have the newest version of something be played in the shadow of a share of the new runs, or tell what came of that.
    Shadow {
        /// `workflow:NAME` or `agent:NAME` [default: what the shadows of each came to].
        of: Option<String>,
        /// The share of the new runs, from 0 to 100 [default: show the shadows that did not agree].
        #[arg(long, value_name = "N", requires = "of")]
        percent: Option<f64>,
        /// Show the shadow of this run alone.
        #[arg(long, value_name = "RUN", requires = "of", conflicts_with = "percent")]
        run: Option<String>,
    },
    /// What came of the versions that are side by side, and of the arms of experiments.
    Compare {
        /// `workflow:NAME`, `agent:NAME`, `policy` or `experiment:NAME` [default: all there is].
        of: Option<String>,
    },
    /// Have every new run take the newest version, whether a share of them took it or it was in the shadow.
    Promote {
        /// As in `soloist canary`.
        of: String,
    },
    /// End every run of something, and take back what they did.
    Abort {
        /// As in `soloist pause`.
        scope: String,
        /// Why.
        #[arg(long, default_value = "the operator ended it")]
        reason: String,
    },
    /// End every run of something, and leave what they did.
    Cancel {
        /// As in `soloist pause`.
        scope: String,
        /// Why.
        #[arg(long, default_value = "the operator ended it")]
        reason: String,
    },
    /// How the kernel that serves is: its live tree of supervisors, connectors, agents and runs.
    Tree {
        /// Also what lately happened in it: who started, died, was restarted, gave up.
        #[arg(long)]
        events: bool,
    },
    /// Whether the kernel that serves is ready for work; exit code 1 and the reasons if it is not.
    Ready,
    /// Have the kernel that serves take no more work in, and wait until its runs rest; exit code 1 if they do not.
    Drain {
        /// How long to wait.
        #[arg(long, value_name = "N", default_value_t = 30)]
        seconds: u32,
    },
    /// Take a folder of mail through the company, once.
    Demo(DemoArguments),
    /// What waits for you.
    Inbox {
        #[command(subcommand)]
        what: InboxCommand,
    },
    /// Runs: start, watch, end and move them.
    Run {
        #[command(subcommand)]
        what: RunCommand,
    },
    /// Events: what starts runs, and what runs wait for.
    Event {
        #[command(subcommand)]
        what: EventCommand,
    },
    /// Workflows: check, add, compare and draw them.
    Workflow {
        #[command(subcommand)]
        what: WorkflowCommand,
    },
    /// Policies: check, test, compare and set them.
    Policy {
        #[command(subcommand)]
        what: PolicyCommand,
    },
    /// What calls have cost: of an agent, a workflow, a run, a day.
    Cost(CostArguments),
    /// Connectors: what each can do, how it stands, and whether the other side is well.
    Connector {
        #[command(subcommand)]
        what: ConnectorCommand,
    },
    /// Budgets: what is used of them, and raising one.
    Budget {
        #[command(subcommand)]
        what: BudgetCommand,
    },
    /// What could not be read.
    Quarantine {
        #[command(subcommand)]
        what: QuarantineCommand,
    },
    /// What is known about a contact.
    Facts {
        /// The address.
        external: String,
        /// The system that knows it.
        #[arg(long, default_value = "mail")]
        system: String,
    },
    /// Find contacts by what their name is like, misspelt or not.
    Contacts {
        /// A name, or a part of one.
        like: String,
    },
    /// The audit trail.
    Audit {
        #[command(subcommand)]
        what: AuditCommand,
    },
    /// The archive: move what is over there, and check it.
    Archive {
        #[command(subcommand)]
        what: ArchiveCommand,
    },
    /// Examine the data directory, and say what is wrong with it and what can be done.
    Doctor {
        /// Accept that records were lost: go on from the last good one. What was lost is named first.
        #[arg(long)]
        accept_loss: bool,
    },
    /// Simulate: the whole kernel in one seeded world, with the faults of its APIs, its disk and its power supply.
    Sim {
        #[command(subcommand)]
        what: SimCommand,
    },
    /// Measure.
    Bench {
        #[command(subcommand)]
        what: BenchCommand,
    },
}

#[derive(Args)]
pub(crate) struct DemoArguments {
    /// A Maildir or a folder of .eml files [default: a sample that comes with soloist].
    #[arg(long, value_name = "DIR")]
    pub(crate) mail: Option<PathBuf>,

    /// Send through this mail server, unencrypted, instead of into a Maildir in the data directory.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) smtp: Option<String>,

    /// Write to this address without asking; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) known: Vec<String>,

    /// Another workflow than `answer-mail`'s own definition.
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,

    /// A worked example with customers, invoices, payments, a website and a model in a box, instead of mail.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mail", "smtp", "known", "workflow"])]
    pub(crate) scenario: Option<Scenario>,

    /// No progress bar.
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List what could not be read, with its reason.
    List,
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the journal's hash chain from its first record to its last.
    Verify,
}

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Durable runs of five trivial steps, beside bare fjall with the same bytes and the same fsyncs.
    Steps {
        /// Runs under way at once.
        #[arg(long, default_value_t = 32)]
        concurrency: usize,
        /// Runs in all.
        #[arg(long, default_value_t = 2_000)]
        runs: usize,
    },
    /// Runs that wait: what they cost in memory, how long one takes to wake, how long a restart takes.
    Waiting {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        runs: usize,
        /// Only measure, in a data directory that is there.
        #[arg(long, hide = true)]
        at: Option<PathBuf>,
    },
    /// How long it takes to open a large journal.
    Recovery {
        /// Records in it.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Only measure, in a data directory that is there.
        #[arg(long, hide = true)]
        at: Option<PathBuf>,
    },
    /// Actors that do nothing beneath a supervisor, and messages to one, beside a bare ractor actor.
    Actors {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        actors: usize,
        /// Messages in each of five rounds.
        #[arg(long, default_value_t = 2_000_000)]
        messages: u64,
    },
}
