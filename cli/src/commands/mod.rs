//! The commands, one file each.

mod doctor;
mod overview;
mod status;
mod health;
mod database;
mod schema;
mod seed;
mod migrate;
mod jobs;
mod retrying;
mod again;
mod watch;
mod verify;
mod exceptions;
mod trace;
mod failures;
mod queue;
mod purging;
mod probing;
mod consumers;
mod redrive;
mod scheduler;
mod steering;
mod tune;
mod ledger;
mod windows;
mod proof;
mod alerts;
mod audit;
mod token;
mod token_store;
mod operations;
mod sweep;
mod purge;
mod completions;
mod deferral;
mod pausing;
mod source;
mod operation;
mod session;

pub(crate) use session::Unanswered;

use crate::api::Api;
use crate::cli::{Cli, Command};
use crate::ending::Ending;
use crate::sheet::Format;
use session::{Listing, Session, confirm, confirm_by_name, say_notes};

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<Ending> {
    let format = format_of(&cli);
    // These say something where the API isn't known, too.
    match &cli.command {
        Command::Completions { shell } => return completions::run(*shell),
        Command::Token(command) => return token::run(format, command).await,
        Command::Doctor(options) => return doctor::run(cli.connection, format, options).await,
        Command::Overview
        | Command::Status
        | Command::Seed(_)
        | Command::Migrate(_)
        | Command::Watch(_)
        | Command::Verify(_)
        | Command::Exceptions(_)
        | Command::Trace(_)
        | Command::Failures(_)
        | Command::Queue(_)
        | Command::Redrive(_)
        | Command::Scheduler(_)
        | Command::Pause(_)
        | Command::Resume(_)
        | Command::Tune(_)
        | Command::Ledger(_)
        | Command::Windows(_)
        | Command::Proof(_)
        | Command::Alerts(_)
        | Command::Audit(_)
        | Command::Operations(_)
        | Command::Sweep(_)
        | Command::Purge(_)
        | Command::Db(_)
        | Command::Schema(_)
        | Command::Health(_) => {}
    }
    let session = Session {
        api: Api::new(cli.connection)?,
        format,
    };
    match cli.command {
        Command::Completions { .. } | Command::Doctor(_) | Command::Token(_) => Ok(Ending::Done),
        Command::Overview => overview::run(&session).await,
        Command::Status => status::run(&session).await,
        Command::Seed(options) => seed::run(&session, &options).await,
        Command::Migrate(command) => migrate::run(&session, command).await,
        Command::Watch(options) => watch::run(&session, options.id).await,
        Command::Verify(options) => verify::run(&session, &options).await,
        Command::Exceptions(options) => exceptions::run(&session, options).await,
        Command::Trace(options) => trace::run(&session, &options).await,
        Command::Failures(options) => failures::run(&session, options).await,
        Command::Queue(command) => queue::run(&session, command).await,
        Command::Redrive(options) => redrive::run(&session, &options).await,
        Command::Scheduler(command) => scheduler::run(&session, command).await,
        Command::Pause(options) => steering::run(&session, "/pause", &options).await,
        Command::Resume(options) => steering::run(&session, "/resume", &options).await,
        Command::Tune(options) => tune::run(&session, options).await,
        Command::Ledger(command) => ledger::run(&session, command).await,
        Command::Windows(options) => windows::run(&session, &options).await,
        Command::Proof(options) => proof::run(&session, &options).await,
        Command::Alerts(options) => alerts::run(&session, &options).await,
        Command::Audit(options) => audit::run(&session, &options).await,
        Command::Operations(options) => operations::run(&session, options).await,
        Command::Sweep(options) => sweep::run(&session, &options).await,
        Command::Purge(options) => purge::run(&session, &options).await,
        Command::Db(command) => database::run(&session, &command).await,
        Command::Schema(command) => schema::run(&session, command).await,
        Command::Health(options) => health::run(&session, &options).await,
    }
}

fn format_of(cli: &Cli) -> Format {
    match (cli.json, cli.plain) {
        (true, _) => Format::Json,
        (false, true) => Format::Plain,
        (false, false) => Format::People,
    }
}

#[cfg(test)]
mod tests;
