//! `granary migrate` and `granary watch`.

use super::asking::json_object;
use super::{Change, Page, RetryFailed, Span};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

const STATES: [&str; 4] = ["open", "draining", "completed", "cancelled"];
const KINDS: [&str; 3] = ["continuous", "backfill", "selection"];
const BATCH_STATUSES: [&str; 6] = [
    "pending",
    "processing",
    "success",
    "failed",
    "cancelled",
    "parked",
];
/// Of batches on record that `migrate start --status` is about.
const ACTED_ON: [&str; 4] = ["pending", "processing", "failed", "parked"];

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Ask for a migration. Without options: everything up to a safety lag before now.
    Start(Start),
    /// Show one migration, or one batch.
    #[command(
        after_help = "Examples:\n  granary migrate status 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10\n  granary migrate status 7"
    )]
    Status {
        /// A migration's id, or a batch's number.
        id: String,
    },
    /// List migrations, the newest first.
    #[command(
        after_help = "Examples:\n  granary migrate list --status open\n  granary --plain migrate list | cut -f1"
    )]
    List {
        /// Only those in this state.
        #[arg(long, value_parser = STATES)]
        status: Option<String>,
        /// Only those of this kind.
        #[arg(long, value_parser = KINDS)]
        kind: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Give a migration up. What was exported stays; its other messages are free for the next one.
    #[command(
        after_help = "Examples:\n  granary migrate cancel 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10 --dry-run\n  \
                      granary migrate cancel 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10 --reason 'wrong range'"
    )]
    Cancel {
        /// The migration's id.
        id: Uuid,
        #[command(flatten)]
        change: Change,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// List batches, the newest first.
    Jobs(Jobs),
    /// Show one batch with its attempts.
    #[command(after_help = "Example:\n  granary migrate batch 7")]
    Batch {
        /// The batch's number.
        id: u64,
    },
    /// Give parked batches all their attempts again.
    #[command(
        after_help = "Examples:\n  granary migrate retry --dry-run\n  granary migrate retry --cause archive_refused --reason 'the bucket is back'\n\n\
                      Failed batches with an attempt left are tried again without being asked for; `migrate process-all` takes those that are due at once."
    )]
    Retry(RetryFailed),
    /// Do at once what is due: send, take back from dead workers, retry.
    #[command(
        after_help = "Examples:\n  granary migrate process-all --dry-run\n  granary migrate process-all"
    )]
    ProcessAll(Change),
    /// Take back what dead workers hold.
    #[command(after_help = "Example:\n  granary migrate complete-processing --dry-run")]
    CompleteProcessing(Change),
    /// Finish migrations and windows that got stuck between two steps.
    #[command(after_help = "Example:\n  granary migrate fix-stuck --dry-run")]
    FixStuck(Change),
    /// Give messages that no batch owns to a new migration.
    CreateMissing(Missing),
    /// Export batches again that are archived or parked, to objects of a new generation.
    Reset(Again),
    /// Archive these messages, by their ids.
    Bulk(Bulk),
}

/// Ask for a migration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate start --wait\n  granary migrate start --filter '{\"customer\":\"acme\"}'\n  \
                        granary migrate start --filter '{\"query\":{\"exists\":{\"field\":\"attachment\"}}}' --dry-run\n  \
                        granary migrate start --status parked      unpark batches on record; no migration is made"
)]
pub(crate) struct Start {
    /// From this event time on, with its zone: 2026-11-22T06:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,
    /// Up to, but without, this event time.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,
    /// Messages in a batch, and so in an object, at most.
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<u32>,
    /// 0 to 9; from 5 on it overtakes others.
    #[arg(long, value_name = "0-9")]
    pub(crate) priority: Option<u8>,
    /// Only these messages: a JSON object of fields and values, or {"query": …} with query DSL.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) filter: Option<Map<String, Value>>,
    /// Take back or retry batches on record of this status instead of starting a migration. `pending` sends batches that wait,
    /// and starts a migration of everything up to now.
    #[arg(long, value_parser = ACTED_ON, conflicts_with_all = ["filter", "re_export"])]
    pub(crate) status: Option<String>,
    #[command(flatten)]
    pub(crate) change: Change,
    /// Export hours again whose rows were purged. Their messages are then in the archive twice.
    #[arg(long)]
    pub(crate) re_export: bool,
    /// Follow it until nothing of it is open.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
}

/// Follow a migration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary watch\n  granary watch 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10 && granary verify\n\n\
                  Exit code 2: batches are left that failed for good, or the migration was cancelled."
)]
pub(crate) struct Watch {
    /// The migration's id; the newest one if left out.
    pub(crate) id: Option<Uuid>,
}

/// List batches.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate jobs --status parked\n  granary migrate jobs --cause spool --from 24h\n  \
                  granary --plain migrate jobs --status failed --limit 500 | cut -f1"
)]
pub(crate) struct Jobs {
    /// Only those of this status.
    #[arg(long, value_parser = BATCH_STATUSES)]
    pub(crate) status: Option<String>,
    /// Only those of migrations of this kind.
    #[arg(long, value_parser = KINDS)]
    pub(crate) job_type: Option<String>,
    /// Only those of this migration.
    #[arg(long, value_name = "ID")]
    pub(crate) migration: Option<Uuid>,
    /// Only those whose last failure has this cause, as `granary failures` names it.
    #[arg(long)]
    pub(crate) cause: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// Give messages that no batch owns to a new migration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate create-missing --dry-run\n  granary migrate create-missing --from 2026-11-01T00:00:00Z"
)]
pub(crate) struct Missing {
    #[command(flatten)]
    pub(crate) span: Span,
    /// Messages in a batch at most.
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<u32>,
    /// How many messages at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// Export batches again.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate reset --batch 7 --batch 8 --reason 'a field was added' --dry-run\n  \
                  granary migrate reset --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --reason 'a field was added'\n\n\
                  What the source no longer has is left alone, so that nothing is lost. The old object stays until the new one is \
                  on record."
)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["batch", "migration", "from"]))]
pub(crate) struct Again {
    /// These batches.
    #[arg(long, value_name = "N", conflicts_with_all = ["migration", "from"])]
    pub(crate) batch: Vec<u64>,
    /// The batches of this migration.
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub(crate) migration: Option<Uuid>,
    /// The batches of hours from this event time on.
    #[arg(long, value_name = "TIME", requires = "to")]
    pub(crate) from: Option<Timestamp>,
    /// Up to, but without, this event time.
    #[arg(long, value_name = "TIME", requires = "from")]
    pub(crate) to: Option<Timestamp>,
    /// How many batches at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: Option<u32>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Don't ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Archive these messages.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate bulk m-1 m-2\n  granary migrate bulk - < ids.txt      one id a line, 1,000 at most"
)]
pub(crate) struct Bulk {
    /// The messages' ids, up to 1,000; `-` reads them from standard input, one a line.
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Export the batches again of those that are archived already.
    #[arg(long)]
    pub(crate) re_export: bool,
    /// Messages in a batch at most.
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<u32>,
    /// 0 to 9; from 5 on it overtakes others.
    #[arg(long, value_name = "0-9")]
    pub(crate) priority: Option<u8>,
    #[command(flatten)]
    pub(crate) change: Change,
    /// Don't ask before exporting again.
    #[arg(long, requires = "re_export")]
    pub(crate) yes: bool,
}
