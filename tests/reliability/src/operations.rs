//! The runbook, docs/operations.md, has a section for each failure, finding, alert and alarm, and none about others.
//!
//! What there is stands in the sources: causes and outcomes in the domain, kinds of alerts where they have their headlines,
//! findings in the verification, alarms in the template, pages in the dashboard. Not here: whether the command lines can be
//! typed (the command line's own tests, and `tests/template/commands.rs` for those of AWS).

use crate::scan;
use std::collections::BTreeSet;

const PATH: &str = "docs/operations.md";
/// What people turn, each under a heading of its own.
const CONTROLS: [&str; 19] = [
    "Pause and resume",
    "Tune",
    "Adopt a setting",
    "Run now",
    "Backfill",
    "Retry",
    "Redrive",
    "Purge a queue",
    "Consumers",
    "Scheduler",
    "Verify and repair",
    "Sweep",
    "Purge old hours from the ledger",
    "Cancel",
    "Re-export",
    "Close what is stuck",
    "Give owners",
    "Probes",
    "Test data",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(scan::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The part of a source between its first `start` and the next `end`.
fn between<'a>(source: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = source.split_once(start).unwrap_or_else(|| panic!("{start}"));
    rest.split_once(end).unwrap_or_else(|| panic!("{end}")).0
}

/// The names of a `named!` list: `Variant = "name",`.
fn named(path: &str, what: &str) -> BTreeSet<String> {
    let source = read(path);
    let list = between(&source, &format!("\"{what}\", {{"), "\n}");
    let names = list.lines().filter_map(|line| line.trim().strip_suffix("\","));
    names
        .filter_map(|line| Some(line.split_once(" = \"")?.1.to_owned()))
        .collect()
}

/// The kinds of alerts: those that have a headline.
fn alerts() -> BTreeSet<String> {
    let source = read("shared/domain/src/remedy.rs");
    let headlines = between(&source, "pub const ALERT_HEADLINES", "\n];");
    let entries = headlines.split('(');
    let kinds = entries.filter_map(|entry| entry.trim_start().strip_prefix('"')?.split_once('"'));
    kinds.map(|(kind, _)| kind.to_owned()).collect()
}

/// The kinds of findings, as the API names them.
fn findings() -> BTreeSet<String> {
    let source = read("shared/verify/src/report.rs");
    let variants = between(&source, "pub enum FindingKind {", "\n}");
    let variants = variants.lines().filter_map(|line| line.trim().strip_suffix(','));
    variants.map(snake_case).collect()
}

/// As serde writes a variant's name.
fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

fn alarms() -> BTreeSet<String> {
    let template = read("template.yaml");
    let lines: Vec<&str> = template.lines().collect();
    let pairs = lines.windows(2);
    pairs
        .filter(|pair| pair[1].trim() == "Type: AWS::CloudWatch::Alarm")
        .map(|pair| pair[0].trim().trim_end_matches(':').to_owned())
        .collect()
}

/// Sections by their headings of the third level.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n### ").skip(1);
    parts
        .map(|part| {
            let (heading, text) = part.split_once('\n').unwrap_or((part, ""));
            (heading.trim(), text.split("\n## ").next().unwrap_or_default())
        })
        .collect()
}

/// The names in headings such as "Cause `spool`".
fn about(page: &str, what: &str) -> BTreeSet<String> {
    let headings = sections(page).into_iter().map(|(heading, _)| heading);
    headings
        .filter_map(|heading| heading.strip_prefix(&format!("{what} `"))?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_cause_outcome_finding_alert_and_alarm_has_a_section_and_no_section_is_about_another() {
    let page = read(PATH);
    let causes = named("shared/domain/src/cause.rs", "cause");
    assert!(causes.len() > 10, "{causes:?}");
    assert_eq!(about(&page, "Cause"), causes);
    assert_eq!(
        about(&page, "Outcome"),
        named("shared/domain/src/manifest.rs", "outcome")
    );
    let findings = findings();
    assert!(findings.contains("index_left_out"), "{findings:?}");
    assert_eq!(about(&page, "Finding"), findings);
    let alerts = alerts();
    assert!(alerts.contains("parked") && alerts.len() > 10, "{alerts:?}");
    assert_eq!(about(&page, "Alert"), alerts);
    let alarms = alarms();
    assert!(alarms.contains("ReaperSilent"), "{alarms:?}");
    assert_eq!(about(&page, "Alarm"), alarms);
}

#[test]
fn every_control_has_a_section_with_its_command_line_and_its_page() {
    let page = read(PATH);
    let sections = sections(&page);
    for control in CONTROLS {
        let section = sections.iter().find(|(heading, _)| *heading == control);
        let (_, text) = section.unwrap_or_else(|| panic!("no section about {control}"));
        assert!(text.contains("\n    granary "), "{control}: no command line");
        assert!(
            text.contains("\nPage *") || text.contains("\nPages *"),
            "{control}: no page"
        );
    }
}

#[test]
fn every_section_about_trouble_says_what_it_means_and_what_to_do_with_a_command_and_a_page() {
    let page = read(PATH);
    for (heading, text) in sections(&page) {
        let kinds = ["Cause `", "Outcome `", "Finding `", "Alert `", "Alarm `"];
        if !kinds.iter().any(|kind| heading.starts_with(kind)) {
            continue;
        }
        for part in ["- **Means** ", "- **Do** ", "\n- `granary ", " page"] {
            assert!(text.contains(part), "{heading}: no {part:?}");
        }
    }
}

#[test]
fn a_leaked_token_an_upgrade_a_rollback_and_a_restore_have_sections_with_their_commands() {
    let page = read(PATH);
    for heading in [
        "\n### Token leak\n",
        "\n## Upgrade\n",
        "\n## Rollback\n",
        "\n## Restore\n",
    ] {
        let (_, rest) = page.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
        let text = rest.split("\n#").next().unwrap_or_default();
        assert!(text.contains("granary "), "{heading}: no command line");
    }
}

#[test]
fn its_links_lead_somewhere() {
    let page = read(PATH);
    let anchors: BTreeSet<String> = page
        .lines()
        .filter_map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        })
        .map(anchor)
        .collect();
    let targets = page
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for target in targets {
        assert!(anchors.contains(target), "no heading has the anchor #{target}");
    }
    let router: Vec<String> = std::fs::read_dir(scan::root().join("functions/operator/dashboard/pages"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for address in page
        .split("`#")
        .skip(1)
        .filter_map(|rest| rest.split(['`', '?']).next())
    {
        let path = format!("  path: '{address}',");
        assert!(
            router.iter().any(|source| source.contains(&path)),
            "the dashboard has no page {address}"
        );
    }
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().replace(' ', "-")
}
