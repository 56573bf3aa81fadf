//! What people look at when something is wrong, and what they turn.

use super::{Change, Page, Span};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

const STAGES: [&str; 2] = ["harvest", "export"];
/// The settings that say whose ledger it is.
const LEDGER_SETTINGS: [&str; 7] = [
    "source_name",
    "bucket",
    "prefix",
    "account",
    "region",
    "id_field",
    "time_field",
];
const SCHEDULES: [&str; 2] = ["harvester", "reaper"];
/// The worst first.
const WINDOW_STATES: [&str; 9] = [
    "failing",
    "incomplete",
    "late",
    "drifted",
    "open",
    "exporting",
    "cancelled",
    "complete",
    "verified",
];
const OPERATION_STATES: [&str; 5] = ["waiting", "running", "succeeded", "failed", "cancelled"];

/// Look at everything that Granary needs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary doctor\n  granary doctor --strict && granary migrate start\n  granary doctor --json | jq '.checks[] | select(.status != \"ok\")'\n\n\
                  Exit code 5: a check failed; with --strict a warning too. Nothing is changed."
)]
pub(crate) struct Doctor {
    /// Take warnings for failures.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Show the life of one message.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary trace m-1\n  granary trace m-1 --no-line --no-source     ask the ledger alone"
)]
pub(crate) struct Trace {
    /// The message's id.
    pub(crate) id: String,
    /// Don't look for its line in the object.
    #[arg(long)]
    pub(crate) no_line: bool,
    /// Don't ask the source what it has now.
    #[arg(long)]
    pub(crate) no_source: bool,
}

/// Show what fails, by cause.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary failures\n  granary failures --cause spool\n  granary failures retry --cause spool --dry-run\n  \
                  granary failures retry --cause spool --reason 'the disk is larger now'"
)]
pub(crate) struct Failures {
    #[command(subcommand)]
    pub(crate) command: Option<FailuresCommand>,
    /// Only this cause.
    #[arg(long)]
    pub(crate) cause: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FailuresCommand {
    /// Show what fails, as without a command.
    List {
        /// Only this cause.
        #[arg(long)]
        cause: Option<String>,
    },
    /// Give parked batches all their attempts again, once the cause is removed.
    #[command(
        after_help = "Examples:\n  granary failures retry --cause spool --dry-run\n  \
                      granary failures retry --cause spool --reason 'the disk is larger now'\n  \
                      granary failures retry --cause unexpected --limit 1      see whether it helps\n  \
                      granary failures retry --migration 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10\n\n\
                      Failed batches with an attempt left are tried again without being asked for."
    )]
    Retry(RetryFailed),
}

/// Give parked batches all their attempts again, and missing and quarantined messages another export.
#[derive(Debug, Args)]
pub(crate) struct RetryFailed {
    /// Only what `granary failures` names so: a cause, `missing` or `quarantined`.
    #[arg(long)]
    pub(crate) cause: Option<String>,
    /// Only batches of this migration.
    #[arg(long, value_name = "ID")]
    pub(crate) migration: Option<Uuid>,
    #[command(flatten)]
    pub(crate) span: Span,
    /// How many batches at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Show them.
    Status,
    /// Switch them on.
    #[command(after_help = "Example:\n  granary scheduler start")]
    Start(Scheduled),
    /// Switch them off: nothing new is found, or nothing is retried and nobody is told.
    #[command(after_help = "Example:\n  granary scheduler stop harvester --reason 'the index is rebuilt'")]
    Stop(Scheduled),
}

/// Which schedules are switched.
#[derive(Debug, Args)]
pub(crate) struct Scheduled {
    /// Only the one that starts this; both if left out.
    #[arg(value_parser = SCHEDULES)]
    pub(crate) schedule: Option<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// Pause or resume a stage.
#[derive(Debug, Args)]
pub(crate) struct Steer {
    /// The stage; both if left out.
    #[arg(value_parser = STAGES)]
    pub(crate) stage: Option<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// Show and change settings.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary tune\n  granary tune set maxAttempts=7 --reason 'the network is flaky'\n  granary tune set maxAttempts=    back to the environment's"
)]
pub(crate) struct Tune {
    #[command(subcommand)]
    pub(crate) command: Option<TuneCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TuneCommand {
    /// Show them, as without a command.
    List,
    /// Change some. It holds from the functions' next tick or attempt on.
    #[command(
        after_help = "Examples:\n  granary tune set batchSize=500 --dry-run\n  granary tune set batchSize=    back to the environment's"
    )]
    Set {
        /// A setting and its new value; without a value, back to the environment's.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = setting)]
        settings: Vec<(String, Option<u64>)>,
        #[command(flatten)]
        change: Change,
    },
}

fn setting(text: &str) -> Result<(String, Option<u64>), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as maxAttempts=7")?;
    let value = match value.trim() {
        "" => None,
        value => Some(
            value
                .parse()
                .map_err(|_| format!("{value:?} is not a whole number"))?,
        ),
    };
    Ok((name.trim().to_owned(), value))
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Give the ledger a setting of this deployment, after it was changed on purpose. Harvester and exporter do no work before.
    #[command(
        after_help = "Examples:\n  granary ledger adopt --setting prefix --dry-run\n  \
                      granary ledger adopt --setting prefix --reason 'the objects were copied to the new prefix'\n\n\
                      One setting at a time. The value is the one that is deployed. All windows are verified again afterwards."
    )]
    Adopt {
        /// The setting, as `granary doctor` names it.
        #[arg(long, value_name = "NAME", value_parser = LEDGER_SETTINGS)]
        setting: String,
        /// Say what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Why, for the audit.
        #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
        reason: Option<String>,
    },
    /// Make a lost ledger from the objects and manifests of the archive.
    #[command(
        after_help = "Examples:\n  granary ledger rebuild --dry-run                                say what the archive has\n  \
                      granary ledger rebuild --reason 'the database is lost' --yes\n\n\
                      The ledger must be empty, with a migrated schema, and harvest and export must be paused. Ctrl-C stops waiting,\n\
                      not the rebuild. Afterwards: resume, backfill what came before the new ledger, and verify (*Restore* in the runbook)."
    )]
    Rebuild {
        /// Say what would be put on record, and record nothing.
        #[arg(long)]
        dry_run: bool,
        /// Don't ask before rebuilding.
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
        /// Why, for the audit.
        #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
        reason: Option<String>,
    },
}

/// Show how far the archive is proven, and whether the source can be deleted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary proof\n  granary proof --before 2026-11-01T00:00:00Z\n\n\
                  Exit code 0: all that the source holds is archived, and cannot have changed since that was verified.\n\
                  Exit code 7: not yet; the answer lists what to do."
)]
pub(crate) struct Proof {
    /// Messages up to, but without, this event time are to be deleted; without it, up to the end of the proof.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<Timestamp>,
}

/// The windows by day.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary windows\n  granary windows --from 48h --state failing\n  \
                  granary windows --state incomplete      where a verification found a difference"
)]
pub(crate) struct Windows {
    #[command(flatten)]
    pub(crate) span: Span,
    /// Only those of this migration.
    #[arg(long, value_name = "ID")]
    pub(crate) migration: Option<Uuid>,
    /// Only those that stand so.
    #[arg(long, value_parser = WINDOW_STATES)]
    pub(crate) state: Option<String>,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// What people were told.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary alerts --open\n  granary alerts --kind parked\n  \
                              granary alerts test --reason 'a new pager'"
)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    pub(crate) command: Option<AlertsCommand>,
    /// Only those that aren't over.
    #[arg(long)]
    pub(crate) open: bool,
    /// Only those of this kind, such as parked.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) page: Page,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Send a test alert to everyone who is subscribed to the topic.
    #[command(after_help = "Example:\n  granary alerts test --reason 'a new pager'\n\n\
                      The reaper sends it within a minute. `granary doctor` shows subscriptions that wait for their confirmation.")]
    Test {
        /// Show what it would say, and send nothing.
        #[arg(long)]
        dry_run: bool,
        /// Why, for the audit. It is in the alert.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Who changed what, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary audit --from 24h\n  granary audit --action queue.purge --who ada"
)]
pub(crate) struct Audit {
    /// Only what this one did: the name of a token, or schedule.
    #[arg(long)]
    pub(crate) who: Option<String>,
    /// Only this action, such as tune or migrate.cancel.
    #[arg(long)]
    pub(crate) action: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// Long jobs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary operations --state running\n  granary operations show 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10\n  granary operations wait 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10"
)]
pub(crate) struct Operations {
    #[command(subcommand)]
    pub(crate) command: Option<OperationsCommand>,
    /// Only those of this kind, such as verify.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = OPERATION_STATES)]
    pub(crate) state: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) page: Page,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperationsCommand {
    /// Show one, with what it came to.
    Show {
        /// The operation's id.
        id: Uuid,
    },
    /// Wait until one is over.
    Wait {
        /// The operation's id.
        id: Uuid,
    },
    /// Cancel one. What it has done stays done.
    #[command(
        after_help = "Examples:\n  granary operations cancel 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10 --dry-run\n  \
                      granary operations cancel 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10 --reason 'wrong range'"
    )]
    Cancel {
        /// The operation's id.
        id: Uuid,
        #[command(flatten)]
        change: Change,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Database {
    /// Whether it answers, and how fast.
    Ping,
    /// The same with its schema's version and its clock.
    Health,
    /// Its server, and how large its tables are.
    Info,
    /// Batches and messages by status.
    Status,
    /// How many messages it knows.
    Count,
    /// How many of them wait.
    PendingCount,
    /// How many of them are archived.
    SuccessCount,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Show which schema the ledger has, and what this version needs.
    Status,
    /// Have the migrator bring it up to date, and wait.
    #[command(
        after_help = "Examples:\n  granary schema migrate --dry-run\n  granary schema migrate --reason 'a new database'\n\n\
                      A deployment does the same. Running it twice is harmless."
    )]
    Migrate(Change),
}

/// Whether the services answer.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary health\n  granary health --ready && echo yes\n\nExit code 5: a service is ill."
)]
pub(crate) struct Health {
    /// Only whether all of them are well.
    #[arg(long, conflicts_with = "live")]
    pub(crate) ready: bool,
    /// Only whether the API answers; touches nothing else.
    #[arg(long)]
    pub(crate) live: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_a_value_or_is_taken_back() {
        assert_eq!(setting("maxAttempts=7"), Ok(("maxAttempts".to_owned(), Some(7))));
        assert_eq!(setting("maxAttempts="), Ok(("maxAttempts".to_owned(), None)));
        assert!(setting("maxAttempts").is_err() && setting("maxAttempts=many").is_err());
    }
}
