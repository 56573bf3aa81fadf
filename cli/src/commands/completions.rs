//! `granary completions`: what shells need to complete a line.

use crate::cli::Cli;
use crate::ending::Ending;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

pub(super) fn run(shell: Shell) -> anyhow::Result<Ending> {
    std::io::stdout().write_all(&script(shell))?;
    Ok(Ending::Done)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "granary", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_has_completions_that_know_the_commands() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["redrive", "consumers", "dry-run"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
