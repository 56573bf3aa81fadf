//! `granary`: the command line. It asks the operator's HTTP API, waits where something takes longer, and says how it
//! ended, to people in words and to scripts by its exit code.
//!
//! It knows nothing of the ledger; what the API doesn't offer, it can't do. Only the list of tokens, which opens the API, is kept
//! in Secrets Manager by the command line itself. Data goes to standard output,
//! everything else to standard error.

mod cli;
mod api;
mod invocation;
mod commands;
mod ending;
mod progress;
mod show;
mod sheet;
mod wish;

use clap::Parser;
use cli::Cli;
use std::io::Write;
use std::process::ExitCode;

/// Not 2, which says that batches are left over.
const EXIT_USAGE: u8 = 64;
const EXIT_ERROR: u8 = 1;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = error.exit_code() == 0;
            // Nobody is left to be told where the pipe is closed.
            let _ = error.print();
            return ExitCode::from(if is_help { 0 } else { EXIT_USAGE });
        }
    };
    match commands::run(cli).await {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<commands::Unanswered>() => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(error) => {
            // Nobody is left to be told where standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// Whoever read our output has read enough: `granary audit | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .or_else(|| error.root_cause().downcast_ref())
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
