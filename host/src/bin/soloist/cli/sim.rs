//! What one can do in a simulation.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum SimCommand {
    /// List the scenarios.
    List {
        /// List what must hold instead.
        #[arg(long)]
        invariants: bool,
    },
    /// Simulate the plan of one seed, and say how it went.
    Run(RunArguments),
    /// Simulate the plans of many seeds; exit code 1 if something does not hold in one, or one is not the same twice.
    Sweep(SweepArguments),
    /// Simulate every single fault: at each write of the journal and each call, all that can go wrong there.
    Exhaust(ExhaustArguments),
    /// Make a failing plan as small as it gets while the same invariant breaks, and print it.
    Shrink(PlanArguments),
    /// Simulate a plan, tell what happened in it, and say what the invariants mean that broke.
    Explain(PlanArguments),
    /// Simulate a plan again; exit code 1 if an invariant breaks.
    Replay {
        #[command(flatten)]
        plan: PlanArguments,
        /// Write a page with what happened when.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Print all that happened, line by line.
        #[arg(long)]
        trace: bool,
    },
    /// Plant bugs, one after the other, and see whether the invariants notice; exit code 1 if one survives.
    Mutants(MutantsArguments),
}

#[derive(Args)]
pub(crate) struct RunArguments {
    /// Which scenario.
    #[arg(long, value_name = "NAME", default_value = "mail")]
    pub(crate) scenario: String,
    /// The seed: it decides what goes wrong, and everything else that chance does.
    #[arg(long, value_name = "N")]
    pub(crate) seed: u64,
    /// How much work there is [default: the seed decides].
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u32>,
    /// Nothing goes wrong.
    #[arg(long)]
    pub(crate) calm: bool,
    /// Journals on the real disk, whose process dies and whose power does not fail.
    #[arg(long)]
    pub(crate) real_disk: bool,
    /// Write a page with what happened when.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print all that happened, line by line.
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Args)]
pub(crate) struct SweepArguments {
    /// Which scenario, or `all`.
    #[arg(long, value_name = "NAME", default_value = "mail")]
    pub(crate) scenario: String,
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) seeds: u64,
    /// The first one.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) from: u64,
    /// How many of a hundred are simulated twice and compared.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    pub(crate) double: u64,
    /// Threads [default: as many as there are cores].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// How much work there is [default: all sizes in turn].
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u32>,
    /// Journals on the real disk, whose process dies and whose power does not fail.
    #[arg(long)]
    pub(crate) real_disk: bool,
    /// Write the plan of each failure into this folder, made small.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Also fail if something that must be seen once was not, or a fault never happened.
    #[arg(long)]
    pub(crate) strict: bool,
    /// No progress bar.
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Args)]
pub(crate) struct ExhaustArguments {
    /// Which scenario, or `all`.
    #[arg(long, value_name = "NAME", default_value = "mail")]
    pub(crate) scenario: String,
    /// Also every two of them together. That is many.
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Threads [default: as many as there are cores].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// How much work there is.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) size: u32,
    /// No progress bar.
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Args)]
pub(crate) struct MutantsArguments {
    /// Which scenario, or `all`.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(crate) scenario: String,
    /// How many seeds each is hunted through, after every single fault.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) seeds: u64,
    /// This one only.
    #[arg(long, value_name = "NAME")]
    pub(crate) mutant: Option<String>,
    /// No progress bar.
    #[arg(long)]
    pub(crate) headless: bool,
}

/// A plan, and what its journal is on.
#[derive(Args)]
pub(crate) struct PlanArguments {
    /// A file with a plan, or the plan itself, which begins with `{`.
    pub(crate) plan: String,
    /// Journals on the real disk, whose process dies and whose power does not fail.
    #[arg(long)]
    pub(crate) real_disk: bool,
}
