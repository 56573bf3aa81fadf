//! `granary queue` and `granary redrive`.

use super::{Change, Page};
use clap::{Args, Subcommand};

const QUEUES: [&str; 4] = [
    "batches",
    "batches-priority",
    "dead-letters",
    "dead-letters-priority",
];
const HAND_OFF_QUEUES: [&str; 2] = ["batches", "batches-priority"];
const DEAD_LETTER_QUEUES: [&str; 2] = ["dead-letters", "dead-letters-priority"];

#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// Batches by status, and what the queues hold.
    Stats,
    /// Whether batches could go their way now, and if not, why.
    Health,
    /// Rates of the last hour, the oldest batch that wasn't sent, and the probes.
    Monitoring,
    /// Who works on which batch now.
    #[command(
        after_help = "Examples:\n  granary queue workers\n  granary queue workers --reset-counter --dry-run"
    )]
    Workers {
        #[command(flatten)]
        page: Page,
        /// Count attempts from now on, instead of showing who works.
        #[arg(long)]
        reset_counter: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Empty a queue. Its batches are sent again: nothing is lost.
    #[command(
        after_help = "Examples:\n  granary queue purge batches --dry-run\n  granary queue purge dead-letters --reason 'nonsense of a test'\n  \
                      granary queue purge --all --yes"
    )]
    Purge {
        /// The queue.
        #[arg(value_parser = QUEUES, required_unless_present = "all")]
        queue: Option<String>,
        /// All four of them.
        #[arg(long, conflicts_with = "queue")]
        all: bool,
        #[command(flatten)]
        change: Change,
        /// Don't ask for the queue's name.
        #[arg(long)]
        yes: bool,
    },
    /// Send test messages through a queue, and wait for exporters to answer them.
    Probe(Probe),
    /// Show and switch the consumers: what starts exporters for messages of the queues.
    #[command(subcommand)]
    Consumers(Consumers),
}

/// Send test messages through a queue.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary queue probe\n  granary queue probe --count 20 --queue batches-priority\n  granary queue probe --no-wait"
)]
pub(crate) struct Probe {
    /// How many, up to 100.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) count: u8,
    /// Through this queue.
    #[arg(long, value_parser = HAND_OFF_QUEUES, default_value = "batches")]
    pub(crate) queue: String,
    /// Don't wait until they have arrived.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Consumers {
    /// Show them.
    Status,
    /// Whether they work, and if not, why.
    Health,
    /// Switch them on.
    #[command(after_help = "Example:\n  granary queue consumers start --queue batches")]
    Start(Switched),
    /// Switch them off. Exporters that were started go on to the end.
    #[command(after_help = "Example:\n  granary queue consumers stop --reason 'the bucket is moved'")]
    Stop(Switched),
    /// Switch them off, wait until nobody works any more, and switch them on again.
    #[command(after_help = "Example:\n  granary queue consumers restart --dry-run")]
    Restart(Change),
}

/// Which consumers are switched.
#[derive(Debug, Args)]
pub(crate) struct Switched {
    /// Only this queue's; both if left out.
    #[arg(long, value_parser = HAND_OFF_QUEUES)]
    pub(crate) queue: Option<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// Move dead letters back.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary redrive --dry-run\n  granary redrive dead-letters --rate 10\n\n\
                  Remove the cause first: what fails five times more comes back."
)]
pub(crate) struct Redrive {
    /// Only of this queue; of both if left out.
    #[arg(value_parser = DEAD_LETTER_QUEUES)]
    pub(crate) queue: Option<String>,
    /// How many a second at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) rate: Option<u32>,
    #[command(flatten)]
    pub(crate) change: Change,
}
