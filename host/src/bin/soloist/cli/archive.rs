//! What one can do with the archive.

use std::time::Duration;

use clap::Subcommand;
use soloist::workflow::parse_duration;

#[derive(Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Move runs that have been over for long into a segment file. They can be read as before.
    Run {
        /// How long they must have been over: 30d, 12h [default: `after` under `[retention]`].
        #[arg(long, value_name = "AGE", value_parser = parse_duration)]
        older_than: Option<Duration>,
    },
    /// List the segments, oldest first.
    List,
    /// Check the chain from the first record to the last through live records and segments, and name what is not as it was
    /// written; exit code 1 if there is anything.
    Verify,
}
