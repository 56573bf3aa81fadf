use super::*;
use clap::CommandFactory;
use std::time::Duration;
use uuid::Uuid;

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("granary").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.command)
}

fn refusal(line: &str) -> String {
    parse(line).unwrap_err().to_string()
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
        "  5  ",
        "  6  ",
        " 64  ",
        "INCONSISTENT",
        "API_TOKEN",
        "NO_COLOR",
    ] {
        assert!(help.contains(text), "{text}");
    }
}

/// What changes nothing and takes nothing needs none.
const WITHOUT_EXAMPLES: [&str; 28] = [
    "granary overview",
    "granary status",
    "granary migrate",
    "granary failures list",
    "granary token",
    "granary queue",
    "granary queue stats",
    "granary queue health",
    "granary queue monitoring",
    "granary queue consumers",
    "granary queue consumers status",
    "granary queue consumers health",
    "granary scheduler",
    "granary scheduler status",
    "granary tune list",
    "granary ledger",
    "granary exceptions list",
    "granary operations show",
    "granary operations wait",
    "granary schema",
    "granary schema status",
    "granary db",
    "granary db ping",
    "granary db health",
    "granary db info",
    "granary db status",
    "granary db count",
    "granary db pending-count",
];

#[test]
fn every_command_that_takes_something_has_examples() {
    let mut waiting = vec![("granary".to_owned(), Cli::command())];
    while let Some((path, command)) = waiting.pop() {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let has_examples = help.contains("Example");
        let needs_none = WITHOUT_EXAMPLES.contains(&path.as_str()) || path.starts_with("granary db");
        assert!(has_examples || needs_none, "{path} has no examples");
        assert!(command.get_about().is_some(), "{path} has no sentence");
        for inner in command.get_subcommands() {
            waiting.push((format!("{path} {}", inner.get_name()), inner.clone()));
        }
    }
}

/// An example that can't be typed helps nobody.
#[test]
fn every_example_can_be_typed() {
    let mut waiting = vec![Cli::command()];
    let mut tried = 0;
    while let Some(command) = waiting.pop() {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in help
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("granary "))
        {
            // A remark stands behind some blanks; a pipe, a file or a second command isn't ours.
            let line = line.split("     ").next().unwrap_or(line);
            let line = line.split(['|', '>', '<', '&']).next().unwrap_or(line);
            let line = line.split(" and ").next().unwrap_or(line);
            let line = line.split("   ").next().unwrap_or(line);
            let words = words(line);
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            tried += 1;
        }
        waiting.extend(command.get_subcommands().cloned());
    }
    assert!(tried > 60, "{tried}");
}

/// What the documentation says one can type.
const DOCS: [(&str, &str); 2] = [
    ("README.md", include_str!("../../../README.md")),
    ("docs/operations.md", include_str!("../../../docs/operations.md")),
];

#[test]
fn every_line_of_the_documentation_can_be_typed() {
    let mut tried = 0;
    for (file, text) in DOCS {
        let blocks = text
            .lines()
            .filter(|line| line.starts_with("    "))
            .map(str::trim);
        let codes = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        for line in blocks.chain(codes) {
            let line = line.trim_start_matches(".local/bin/");
            // What stands for several lines is for people.
            if !line.starts_with("granary ")
                || line.contains(['…', '|', '[', '*'])
                || line.contains("COMMAND")
                || line.contains("SHELL")
            {
                continue;
            }
            let line = line.split("   ").next().unwrap_or(line);
            let line = line.split(" #").next().unwrap_or(line);
            let words = words(
                &line
                    .replace(" ID", " 0199c1f0-8a5e-7c33-9d0f-2f6f0f1c7a10")
                    .replace(" N", " 7"),
            );
            let refusal = Cli::try_parse_from(&words).err();
            let refusal = refusal.filter(|error| error.exit_code() != 0 && !is_a_group(error));
            assert!(refusal.is_none(), "{file}: {words:?}: {}", refusal.unwrap());
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

/// `granary purge` is named without what it needs.
fn is_a_group(error: &clap::Error) -> bool {
    use clap::error::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// As a shell would: `'…'` and `"…"` are one word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for char in line.trim().chars() {
        match (quote, char) {
            (Some(open), char) if open == char => quote = None,
            (None, '\'' | '"') => quote = Some(char),
            (None, ' ') => words.push(String::new()),
            (_, char) => words.last_mut().unwrap().push(char),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn a_typing_error_is_answered_with_what_was_meant() {
    for (line, meant) in [
        ("migrat list", "migrate"),
        ("queue consumer start", "consumers"),
        ("pause exports", "export"),
        ("migrate jobs --status parkd", "parked"),
        ("migrate start --dryrun", "--dry-run"),
        ("queue purge dead-leters", "dead-letters"),
        ("scheduler stop reeper", "reaper"),
    ] {
        let refusal = refusal(line);
        assert!(
            refusal.contains(meant) && refusal.contains("similar"),
            "{line}: {refusal}"
        );
    }
}

#[test]
fn a_range_needs_a_zone_and_a_filter_is_an_object() {
    assert!(parse("migrate start --from 2026-11-22T06:00:00Z --batch-size 250").is_ok());
    assert!(parse("migrate start --from 2026-11-22T06:00:00").is_err());
    assert!(parse("migrate start --filter [1]").is_err());
    let Command::Migrate(Migrate::Start(start)) = parse("migrate start --filter {\"a\":1}").unwrap() else {
        panic!("another command")
    };
    assert_eq!(start.filter.unwrap()["a"], 1);
}

#[test]
fn batches_on_record_are_acted_on_without_a_migration() {
    assert!(parse("migrate start --status parked --dry-run").is_ok());
    assert!(parse("migrate start --status pending --batch-size 5 --priority 7 --wait").is_ok());
    assert!(parse("migrate start --status parked --filter {}").is_err());
    assert!(parse("migrate start --status success").is_err());
}

#[test]
fn seeding_takes_a_count_or_another_wish() {
    assert!(parse("seed 20000 --seed 42").is_ok());
    assert!(parse("seed --stats").is_ok());
    assert!(parse("seed --clear --yes").is_ok());
    assert!(parse("seed --jobs 5 --dry-run").is_ok());
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

#[test]
fn what_is_exported_again_is_named_in_one_way_and_with_a_reason() {
    assert!(parse("migrate reset --batch 7 --batch 8 --reason x").is_ok());
    assert!(parse("migrate reset --reason x").is_err());
    assert!(parse("migrate reset --batch 7").is_err());
    assert!(
        parse(&format!(
            "migrate reset --batch 7 --migration {} --reason x",
            Uuid::nil()
        ))
        .is_err()
    );
    assert!(parse("migrate reset --from 2026-11-01T00:00:00Z --reason x").is_err());
}

#[test]
fn a_queue_is_named_to_be_emptied_or_all_of_them_are() {
    assert!(parse("queue purge batches --yes").is_ok());
    assert!(parse("queue purge --all --dry-run").is_ok());
    assert!(parse("queue purge").is_err());
    assert!(parse("queue purge batches --all").is_err());
}

#[test]
fn a_list_is_what_comes_without_a_command() {
    assert!(matches!(
        parse("failures").unwrap(),
        Command::Failures(Failures { command: None, .. })
    ));
    let Command::Failures(failures) = parse("failures retry --cause spool").unwrap() else {
        panic!("another command")
    };
    assert!(matches!(failures.command, Some(FailuresCommand::Retry(_))));
    let Command::Tune(tune) = parse("tune set a=1 b=").unwrap() else {
        panic!("another command")
    };
    let Some(TuneCommand::Set { settings, .. }) = tune.command else {
        panic!("another command")
    };
    assert_eq!(settings, [("a".to_owned(), Some(1)), ("b".to_owned(), None)]);
}

#[test]
fn json_and_plain_exclude_each_other() {
    assert!(parse("--json --plain status").is_err());
    assert!(parse("status --plain").is_ok());
}
