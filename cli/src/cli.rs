//! What can be typed: commands, options and their help.

use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  granary seed 20000                            write 20,000 test messages
  granary migrate start --wait                  archive all that is not archived yet, and wait
  granary migrate start --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --dry-run
  granary watch                                 follow the newest migration
  granary verify                                is everything there, and nothing twice?
  granary verify --repair                       and have what is missing archived again
  granary sweep                                 name objects that nobody recorded; --apply removes them
  granary --json status | jq .queue.batches     the API's JSON, for scripts

Exit codes:
    0  done; of verify: COMPLETE or CONSISTENT
    1  an error: the request was refused, or a service is out of reach
    2  watch, migrate start --wait: batches are left that failed for good, or the migration was cancelled
    3  verify: INCOMPLETE
    4  verify: DRIFTED
   64  the command line could not be understood

Ctrl-C stops the waiting; what was asked for goes on in the deployment.

The API's address and token come from GRANARY_API_URL and GRANARY_API_TOKEN, or from API_URL and API_TOKEN as
the local stack writes them: . .local/env";

/// Moves the messages of an Elasticsearch index to S3, and proves that none is missing.
#[derive(Debug, Parser)]
#[command(name = "granary", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print the API's JSON on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the API is, and who asks.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The address of the operator's API [env: GRANARY_API_URL or API_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) api_url: Option<Url>,
    /// The bearer token [env: GRANARY_API_TOKEN or API_TOKEN]. Others on this machine can see it here: prefer the variable.
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write test messages to the source, count them, or clear them.
    Seed(Seed),
    /// Start, list, look at or cancel migrations.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Follow a migration until nothing of it is open.
    Watch(Watch),
    /// Compare the source, the ledger and the archive, and give a verdict.
    Verify(Verify),
    /// Find objects in the archive that nobody recorded, and take them away.
    Sweep(Sweep),
    /// Take old hours out of the ledger; their objects stay.
    Purge(Purge),
    /// Health, batches and queues at a glance.
    Status,
}

/// Write test messages to the source, count them, or clear them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary seed 20000\n  granary seed 500 --seed 42     the same messages every time\n  \
                        granary seed --stats\n  granary seed --clear --yes"
)]
pub(crate) struct Seed {
    /// How many messages to write, up to 1,000,000.
    #[arg(required_unless_present_any = ["stats", "clear"], value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: Option<u32>,
    /// A number that decides what the messages look like.
    #[arg(long, value_name = "N", requires = "count")]
    pub(crate) seed: Option<u64>,
    /// Count the test messages at the source.
    #[arg(long, conflicts_with_all = ["count", "clear"])]
    pub(crate) stats: bool,
    /// Delete every test message, with what was recorded and archived of it.
    #[arg(long, conflicts_with = "count")]
    pub(crate) clear: bool,
    /// Don't ask before clearing.
    #[arg(long, requires = "clear")]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Ask for a migration. Without options: everything up to a safety lag before now.
    Start(Start),
    /// Show one migration.
    Status {
        /// The migration's id.
        id: Uuid,
    },
    /// List migrations, the newest first.
    List {
        /// Only those in this state: open, draining, completed or cancelled.
        #[arg(long)]
        status: Option<String>,
        /// Only those of this kind: continuous, backfill or selection.
        #[arg(long)]
        kind: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where the list before left off.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Give a migration up. What was exported stays; its other messages are free for the next one.
    Cancel {
        /// The migration's id.
        id: Uuid,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Ask for a migration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary migrate start --wait\n  granary migrate start --filter '{\"customer\":\"acme\"}'\n  \
                        granary migrate start --filter '{\"query\":{\"exists\":{\"field\":\"attachment\"}}}' --dry-run"
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
    /// Count what would be migrated; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Export hours again whose rows were purged. Their messages are then in the archive twice.
    #[arg(long)]
    pub(crate) re_export: bool,
    /// Follow it until nothing of it is open.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
}

/// Follow a migration.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The migration's id; the newest one if left out.
    pub(crate) id: Option<Uuid>,
}

/// Compare the source, the ledger and the archive.
#[derive(Debug, Args)]
#[command(
    after_help = "Verdicts:\n  COMPLETE    source, ledger and archive hold the same messages (exit code 0)\n  \
                        CONSISTENT  the counts agree; with --quick (0)\n  \
                        INCONSISTENT  they don't; with --quick (3)\n  \
                        INCOMPLETE  the source shows messages that are not in the archive (3)\n  \
                        DRIFTED     the archive has messages that the source no longer shows (4)"
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
    /// Have messages that were left out harvested again, and objects that are lost or damaged exported again.
    #[arg(long, conflicts_with = "quick")]
    pub(crate) repair: bool,
    /// Say what would be repaired, and do nothing.
    #[arg(long, requires = "repair")]
    pub(crate) dry_run: bool,
    /// Don't ask before repairing.
    #[arg(long, requires = "repair")]
    pub(crate) yes: bool,
}

/// Find objects in the archive that nobody recorded, and take them away.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary sweep                       name them; remove nothing\n  granary sweep --apply               remove them\n  \
                        granary sweep --older-than 24h      only what is a day old\n\nThe reaper does `granary sweep --apply` once a day by itself. \
                        What the next attempt at a batch may still use\nis never removed, nor what isn't ours by its name."
)]
pub(crate) struct Sweep {
    /// Remove what is found. Without it nothing is changed.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Leave alone what is younger: 90m, 24h. At least the deployment's own age, an hour.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Also objects of batches that the ledger doesn't know. Never after the ledger was restored from a backup: these are
    /// then objects that were lost from it.
    #[arg(long)]
    pub(crate) include_unknown: bool,
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
}

fn age(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text
        .parse()
        .map_err(|error| format!("it is not a duration such as 24h: {error}"))?;
    Duration::try_from(span).map_err(|_| "an age can't be negative".to_owned())
}

fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("granary").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_has_examples_and_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for text in [
            "granary seed 20000",
            "granary verify",
            "  2  ",
            "  3  ",
            "  4  ",
            " 64  ",
            "API_TOKEN",
        ] {
            assert!(help.contains(text), "{text}");
        }
    }

    #[test]
    fn a_range_needs_a_zone_and_a_filter_is_an_object() {
        assert!(parse("migrate start --from 2026-11-22T06:00:00Z --batch-size 250").is_ok());
        assert!(parse("migrate start --from 2026-11-22T06:00:00").is_err());
        assert!(parse("migrate start --filter [1]").is_err());
        let Command::Migrate(Migrate::Start(start)) = parse("migrate start --filter {\"a\":1}").unwrap()
        else {
            panic!("another command")
        };
        assert_eq!(start.filter.unwrap()["a"], 1);
    }

    #[test]
    fn seeding_takes_a_count_or_another_wish() {
        assert!(parse("seed 20000 --seed 42").is_ok());
        assert!(parse("seed --stats").is_ok());
        assert!(parse("seed --clear --yes").is_ok());
        assert!(parse("seed").is_err());
        assert!(parse("seed 0").is_err());
        assert!(parse("seed 5 --clear").is_err());
    }

    #[test]
    fn a_purge_names_its_end_and_only_looks_unless_it_is_told_otherwise() {
        assert!(parse("purge").is_err());
        assert!(parse("purge --before 2026-10-01T00:00:00").is_err());
        let Command::Purge(purge) = parse("purge --before 2026-10-01T00:00:00Z").unwrap() else {
            panic!("another command")
        };
        assert!(!purge.apply);
    }

    #[test]
    fn a_sweep_only_looks_unless_it_is_told_otherwise() {
        let sweep = |line: &str| match parse(line) {
            Ok(Command::Sweep(sweep)) => (sweep.apply, sweep.older_than),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(sweep("sweep"), (false, None));
        let a_day = Duration::from_secs(86_400);
        assert_eq!(sweep("sweep --apply --older-than 24h"), (true, Some(a_day)));
        assert!(parse("sweep --older-than soon").is_err());
        assert!(parse("sweep --older-than=-1h").is_err());
    }

    #[test]
    fn verify_takes_a_migration_or_a_range() {
        assert!(parse("verify --quick").is_ok());
        let id = Uuid::nil();
        assert!(parse(&format!("verify --migration {id}")).is_ok());
        assert!(parse(&format!("verify --migration {id} --to 2026-11-22T06:00:00Z")).is_err());
        assert!(parse("verify --migration 42").is_err());
    }

    #[test]
    fn a_repair_may_be_rehearsed_and_is_never_quick() {
        assert!(parse("verify --repair --dry-run").is_ok());
        assert!(parse("verify --repair --yes").is_ok());
        assert!(parse("verify --repair --quick").is_err());
        assert!(parse("verify --dry-run").is_err());
        assert!(parse("verify --yes").is_err());
    }
}
