//! `granary seed`.

use super::Change;
use clap::Args;

/// Write test messages to the source, count them, or clear them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary seed 20000\n  granary seed 500 --seed 42     the same messages every time\n  \
                  granary seed 500 --hours 48    spread over the last two days\n  granary seed --jobs 10         finished jobs of 1970, to look at\n  \
                  granary seed --stats\n  granary seed --clear --dry-run\n  granary seed --clear --yes"
)]
pub(crate) struct Seed {
    /// How many messages to write, up to 1,000,000; with --jobs up to 10,000.
    #[arg(required_unless_present_any = ["stats", "clear", "jobs"], value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: Option<u32>,
    /// A number that decides what the messages look like.
    #[arg(long, value_name = "N", requires = "count")]
    pub(crate) seed: Option<u64>,
    /// How many hours back their event times reach.
    #[arg(long, value_name = "N", requires = "count", value_parser = clap::value_parser!(u32).range(1..=8_784))]
    pub(crate) hours: Option<u32>,
    /// Write so many finished jobs of 1970 too, which nobody worked on.
    #[arg(long, value_name = "N", conflicts_with_all = ["stats", "clear"], value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) jobs: Option<u8>,
    /// Count the test messages at the source.
    #[arg(long, conflicts_with_all = ["count", "clear", "dry_run", "reason"])]
    pub(crate) stats: bool,
    /// Delete every test message, with what was recorded and archived of it.
    #[arg(long, conflicts_with = "count")]
    pub(crate) clear: bool,
    /// Don't ask before clearing.
    #[arg(long, requires = "clear")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) change: Change,
}
