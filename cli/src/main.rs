//! `granary`: the command line. It asks the operator's HTTP API, waits where something takes longer, and says how it
//! ended, to people in words and to scripts by its exit code.
//!
//! It knows neither the ledger nor AWS; what the API doesn't offer, it can't do. Data goes to standard output,
//! everything else to standard error.

mod cli;
mod api;
mod commands;
mod ending;
mod progress;
mod show;

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
            let printed = error.print();
            return ExitCode::from(if is_help && printed.is_ok() { 0 } else { EXIT_USAGE });
        }
    };
    match commands::run(cli).await {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => {
            // Nobody is left to be told where standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}
