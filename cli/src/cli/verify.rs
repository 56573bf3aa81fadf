//! `granary verify`, `granary sweep` and `granary purge`.

use super::Change;
use super::asking::age;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// Compare the source, the ledger and the archive.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary verify\n  granary verify --quick\n  granary verify --content\n  granary verify --archive-only\n  granary verify --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z\n  \
                  granary verify --repair --dry-run\n  granary verify --list\n\n\
                  Verdicts:\n  COMPLETE    source, ledger and archive hold the same messages, but for accepted exceptions (exit code 0)\n  \
                        CONSISTENT  the counts agree; with --quick (0)\n  \
                        INCONSISTENT  they don't; with --quick (3)\n  \
                        INCOMPLETE  the source shows messages that are not in the archive, and no operator accepts them (3)\n  \
                        PENDING     nothing is lost, but batches are waiting, in progress or failed (6)\n  \
                        DRIFTED     the archive has messages that the source no longer shows (4)\n\n\
                  INCOMPLETE takes precedence over PENDING, PENDING over DRIFTED."
)]
pub(crate) struct Verify {
    /// The range of this migration.
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to"])]
    pub(crate) migration: Option<Uuid>,
    /// From this event time on, with its zone.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,
    /// Up to, but without, this event time.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,
    /// Compare counts and manifests only; read no objects.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Compare the content of every message with the source. Without it, of 20 messages of each object.
    #[arg(long, conflicts_with = "quick")]
    pub(crate) content: bool,
    /// Compare the ledger with the archive only; don't read the source, which may be cleaned up.
    #[arg(long, conflicts_with_all = ["quick", "content", "repair"])]
    pub(crate) archive_only: bool,
    /// Have messages that were left out harvested again, and objects that are lost or damaged exported again.
    #[arg(long, conflicts_with = "quick")]
    pub(crate) repair: bool,
    /// Say what would be repaired, and do nothing.
    #[arg(long, requires = "repair")]
    pub(crate) dry_run: bool,
    /// Don't ask before repairing.
    #[arg(long, requires = "repair")]
    pub(crate) yes: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// List the verifications before, and start none.
    #[arg(long, conflicts_with_all = ["migration", "from", "to", "quick", "content", "archive_only", "repair", "reason"])]
    pub(crate) list: bool,
}

/// Show and change which messages are accepted as not archived.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  granary exceptions\n  \
                  granary exceptions accept --kind without_id --index messages-2026.03 --max 3 --reason 'test documents'")]
pub(crate) struct Exceptions {
    #[command(subcommand)]
    pub(crate) command: Option<ExceptionsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExceptionsCommand {
    /// Show what is accepted, as without a command.
    List,
    /// Accept messages of a kind in an index. One more than these makes a verification INCOMPLETE again.
    #[command(
        after_help = "Examples:\n  granary exceptions accept --kind merged_id --index messages-2026.03 --max 2 --reason 'known duplicates'\n  \
                      granary exceptions accept --kind merged_id --index messages-2026.03 --max 0 --reason 'no longer'"
    )]
    Accept {
        /// The kind of exception, as the verification names it.
        #[arg(long, value_parser = EXCEPTION_KINDS)]
        kind: String,
        /// The concrete index, as the verification names it.
        #[arg(long, value_name = "INDEX")]
        index: String,
        /// Messages that are accepted at most; 0 accepts none any more.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32))]
        max: u32,
        #[command(flatten)]
        change: Change,
    },
}

const EXCEPTION_KINDS: [&str; 4] = ["without_id", "quarantined", "merged_id", "left_out"];

/// Find objects in the archive that nobody recorded, and take them away.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  granary sweep                       name them; remove nothing\n  granary sweep --apply               remove them\n  \
                        granary sweep --older-than 24h      only what is a day old\n  \
                        granary sweep adopt KEY             put on record what only this object holds\n  \
                        granary sweep discard KEY --reason \"test data\"   remove it, whatever it holds\n\nThe reaper does `granary sweep --apply` once a day by itself. \
                        What the next attempt at a batch may still use\nis never removed, nor what isn't ours by its name, nor what holds messages that no other object holds."
)]
pub(crate) struct Sweep {
    #[command(subcommand)]
    pub(crate) object: Option<SweepObject>,
    /// Remove what is found. Without it nothing is changed.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Leave alone what is younger: 90m, 24h. At least the deployment's own age, an hour.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Also look into objects of batches that the ledger doesn't know.
    #[arg(long)]
    pub(crate) include_unknown: bool,
    /// Only name what is found, as without --apply.
    #[arg(long, conflicts_with = "apply")]
    pub(crate) dry_run: bool,
    /// Don't ask before removing.
    #[arg(long, requires = "apply")]
    pub(crate) yes: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// List the sweeps before, and start none.
    #[arg(long, conflicts_with_all = ["apply", "older_than", "include_unknown", "dry_run", "reason"])]
    pub(crate) list: bool,
}

/// What becomes of one object that no batch has on record.
#[derive(Debug, Subcommand)]
pub(crate) enum SweepObject {
    /// Put on record what only this object holds: its lines are exported in a batch of their own.
    #[command(
        after_help = "Examples:\n  granary sweep adopt archive/source=messages/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst --dry-run\n  \
                            granary sweep adopt archive/source=messages/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst"
    )]
    Adopt(OneObject),
    /// Confirm that the ledger was restored from a backup or emptied: nothing is swept before.
    #[command(after_help = "Example:\n  granary sweep confirm-restored --reason \"backup of 12:00\"")]
    ConfirmRestored {
        /// Only say what would be confirmed.
        #[arg(long)]
        dry_run: bool,
        /// From which backup, for the audit.
        #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
        reason: Option<String>,
    },
    /// Remove this object, whatever it holds. The reaper does it within a minute.
    #[command(
        after_help = "Examples:\n  granary sweep discard archive/source=messages/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst --dry-run\n  \
                            granary sweep discard archive/source=messages/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst --reason \"test data\""
    )]
    Discard(OneObject),
}

/// Which object.
#[derive(Debug, Args)]
pub(crate) struct OneObject {
    /// Its key, as `granary sweep` names it.
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// Only say what would be done, and what would be lost.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the audit. Discarding needs it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Don't ask before removing.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

/// Take old hours out of the ledger; their objects stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary purge --before 2026-10-01T00:00:00Z           say what would be purged, and what not and why\n  \
                        granary purge --before 2026-10-01T00:00:00Z --apply   purge it\n\nAn hour is purged only if a full `granary verify` of it was COMPLETE, \
                        nothing in it is open, and it is\nolder than late messages are looked for. Its counts and a digest of its ids stay."
)]
pub(crate) struct Purge {
    /// Hours of event time that end here or earlier.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Timestamp,
    /// Purge them. Without it nothing is changed.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Only say what would be purged, as without --apply.
    #[arg(long, conflicts_with = "apply")]
    pub(crate) dry_run: bool,
    /// Don't ask before purging.
    #[arg(long, requires = "apply")]
    pub(crate) yes: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}
