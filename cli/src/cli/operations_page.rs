//! Every command line of the runbook, docs/operations.md, can be typed: the engineer on call copies them.

use super::Cli;
use clap::Parser;

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The command lines of a page: lines that are indented, and what stands between single backquotes.
fn lines(page: &str) -> Vec<&str> {
    // In a numbered list, code is indented further.
    let indented = page.lines().filter_map(|line| line.strip_prefix("    "));
    let indented = indented.filter_map(|line| line.trim_start().strip_prefix("granary "));
    let within = page.split('`').skip(1).step_by(2);
    let within = within.filter_map(|code| code.strip_prefix("granary "));
    indented.chain(within).collect()
}

/// Words as a shell makes them of double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec!["granary".to_owned()];
    for (place, part) in line.split('"').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_command_line_of_the_runbook_can_be_typed() {
    let lines = lines(PAGE);
    assert!(lines.len() > 80, "only {} were found", lines.len());
    for line in lines {
        if let Err(error) = Cli::try_parse_from(words(line)) {
            panic!("granary {line}: {error}");
        }
    }
}
