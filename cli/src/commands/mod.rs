//! The commands, one file each.

mod seed;
mod migrate;
mod watch;
mod verify;
mod sweep;
mod purge;
mod status;
mod deferral;
mod source;
mod operation;

use crate::api::Api;
use crate::cli::{Cli, Command};
use crate::ending::Ending;
use crate::progress::say;
use std::io::{IsTerminal, Write};

/// What a command works with.
struct Session {
    api: Api,
    format: Format,
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    People,
    Json,
}

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<Ending> {
    let session = Session {
        api: Api::new(cli.connection)?,
        format: if cli.json { Format::Json } else { Format::People },
    };
    match cli.command {
        Command::Seed(options) => seed::run(&session, &options).await,
        Command::Migrate(command) => migrate::run(&session, command).await,
        Command::Watch(options) => watch::run(&session, options.id).await,
        Command::Verify(options) => verify::run(&session, &options).await,
        Command::Sweep(options) => sweep::run(&session, &options).await,
        Command::Purge(options) => purge::run(&session, &options).await,
        Command::Status => status::run(&session).await,
    }
}

/// Asks for a yes, unless it was given on the command line already.
fn confirm(question: &str, is_confirmed: bool) -> anyhow::Result<()> {
    if is_confirmed {
        return Ok(());
    }
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "{question} Nobody is there to be asked: add --yes"
    );
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    anyhow::ensure!(is_yes, "nothing was done");
    Ok(())
}

/// Tells what was done otherwise than asked.
fn say_notes(answer: &serde_json::Value) {
    for note in answer["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|note| note.as_str())
    {
        say(&format!("note: {note}"));
    }
}
