//! What can be typed: commands, options and their help. What comes of it is in `commands`.
//!
//! Names that belong to a closed list are checked here, so that a typing error is answered with the name that was meant.

mod asking;
mod migrate;
mod verify;
mod seed;
mod queue;
mod desk;
mod token;

pub(crate) use asking::{Change, Page, Span};
pub(crate) use desk::{
    Alerts, AlertsCommand, Audit, Database, Doctor, Failures, FailuresCommand, Health, LedgerCommand,
    Operations, OperationsCommand, Proof, RetryFailed, Scheduled, Schedules, Schema, Steer, Trace, Tune,
    TuneCommand, Windows,
};
pub(crate) use migrate::{Again, Bulk, Jobs, Migrate, Missing, Start, Watch};
pub(crate) use queue::{Consumers, Probe, Queue, Redrive, Switched};
pub(crate) use seed::Seed;
pub(crate) use token::{CreateToken, Token, TokenStore};
pub(crate) use verify::{Exceptions, ExceptionsCommand, Purge, Sweep, SweepObject, Verify};

use clap::{Args, Parser, Subcommand};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  granary doctor                                is everything there that Granary needs?
  granary seed 20000                            write 20,000 test messages
  granary migrate start --wait                  archive all that is not archived yet, and wait
  granary migrate start --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --dry-run
  granary watch                                 follow the newest migration
  granary verify                                is everything there, and nothing twice?
  granary overview                              backlog, rate, pauses, alerts, what is under way
  granary failures                              what fails, since when, and what to do
  granary failures retry --cause spool          once the cause is removed
  granary trace m-1                             the life of one message
  granary pause export --reason 'index rebuild' and granary resume export
  granary --json status | jq .queue.batches     the API's JSON, for scripts
  granary --plain migrate jobs --status parked | cut -f1

Exit codes:
    0  done; of verify: COMPLETE or CONSISTENT; of doctor: nothing has failed
    1  an error: the request was refused, or a service is out of reach
    2  watch, migrate start --wait: batches are left that failed for good, or the migration was cancelled
    3  verify: INCOMPLETE, or INCONSISTENT with --quick
    4  verify: DRIFTED
    5  doctor: a check failed; health: not ready; with doctor --strict a warning too
    6  verify: PENDING
    7  proof: the source can't be deleted yet
   64  the command line could not be understood, or needs a --yes that nobody is there to give

Data goes to standard output, everything else to standard error. Ctrl-C stops the waiting; what was asked for goes on in
the deployment. Colours are left out where NO_COLOR is set; they and bars where TERM is dumb or nobody looks.

The API's address and token come from GRANARY_API_URL and GRANARY_API_TOKEN, or from API_URL and API_TOKEN as
the local stack writes them: . .local/env. `granary token` asks Secrets Manager instead, with your AWS credentials.";

/// Moves the messages of an Elasticsearch index to S3, and proves that none is missing.
#[derive(Debug, Parser)]
#[command(name = "granary", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print the API's JSON on standard output.
    #[arg(long, global = true, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Print values with tabs between them: whole numbers, bytes and seconds, no colours.
    #[arg(long, global = true)]
    pub(crate) plain: bool,
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
    /// Invoke the operator's function instead of asking an API, with your AWS credentials [env: GRANARY_FUNCTION].
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "api_url")]
    pub(crate) function: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at everything that Granary needs, and say what to do where it isn't well.
    Doctor(Doctor),
    /// Backlog, rate, pauses, schedules, alerts and what is under way, in one look.
    Overview,
    /// Services, batches and queues at a glance.
    Status,
    /// Write test messages to the source, count them, or clear them.
    Seed(Seed),
    /// Start, list, look at, retry or cancel migrations and their batches.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Follow a migration until nothing of it is open.
    Watch(Watch),
    /// Compare the source, the ledger and the archive, and give a verdict.
    Verify(Verify),
    /// Show how far the archive is proven, and whether the source can be deleted.
    Proof(Proof),
    /// Show and change which messages are accepted as not archived.
    #[command(args_conflicts_with_subcommands = true)]
    Exceptions(Exceptions),
    /// Show the life of one message: window, batch, attempts, object, and what changed at the source since.
    Trace(Trace),
    /// Show what fails, by cause, and what to do; give parked batches their attempts again.
    #[command(args_conflicts_with_subcommands = true)]
    Failures(Failures),
    /// Look at the queues, empty them, send probes through them, switch their consumers.
    #[command(subcommand)]
    Queue(Queue),
    /// Move dead letters back to the queue that they came from.
    Redrive(Redrive),
    /// Show and switch the schedules that start the harvester and the reaper.
    #[command(subcommand)]
    Scheduler(Schedules),
    /// Pause a stage: workers finish what they have in hand, and take nothing new.
    #[command(
        after_help = "Examples:\n  granary pause export --reason 'the index is rebuilt'\n  granary pause --dry-run"
    )]
    Pause(Steer),
    /// Resume a stage.
    #[command(after_help = "Examples:\n  granary resume export\n  granary resume")]
    Resume(Steer),
    /// Show and change the settings that may be changed while everything runs.
    #[command(args_conflicts_with_subcommands = true)]
    Tune(Tune),
    /// Change which deployment the ledger belongs to, and rebuild a lost ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// The windows by day, with how each stands.
    Windows(Windows),
    /// What people were told.
    Alerts(Alerts),
    /// Who changed what, and why.
    Audit(Audit),
    /// Create, list and revoke the API's tokens, in Secrets Manager, with your own AWS credentials.
    #[command(subcommand)]
    Token(Token),
    /// Long jobs: list them, look at one, wait for one.
    #[command(args_conflicts_with_subcommands = true)]
    Operations(Operations),
    /// Find objects in the archive that nobody recorded, and take them away.
    Sweep(Sweep),
    /// Take old hours out of the ledger; their objects stay.
    Purge(Purge),
    /// Look at the ledger's database.
    #[command(subcommand)]
    Db(Database),
    /// Show the schema of the ledger's database, and bring it up to date.
    #[command(subcommand)]
    Schema(Schema),
    /// Whether the services answer, for probes.
    Health(Health),
    /// Print the completions of a shell.
    #[command(
        after_help = "Examples:\n  granary completions bash > /etc/bash_completion.d/granary\n  \
                      granary completions zsh > ~/.zfunc/_granary\n  granary completions fish > ~/.config/fish/completions/granary.fish"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod operations_page;
