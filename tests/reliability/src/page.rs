//! The page: every edge case and every step, with the tests that hold it.

use crate::edge_cases::{GROUPS, Group};
use crate::scan::Test;
use crate::steps::{Mode, STEPS, crash_test};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the page lies.
pub(crate) const PATH: &str = "docs/reliability.md";

const HEAD: &str = "\
# Reliability

What can go wrong, and which test holds it. This page is generated from the sources by `make docs`, and a test fails where it differs from
them, where a row has no test, or where a test names a case that isn't here.

All tests run on a real Elasticsearch, a real MariaDB or MySQL and the AWS emulator. Faults come from proxies that stand before a service (slow, cut, half-open, silent,
throttling, wrong, half an answer), from SIGKILL and restart of a ledger server and an Elasticsearch of the test's own, from killed connections,
provoked deadlocks and held locks, from signals to the functions' own processes, and from faults at a named step. Whatever is said here
of a scenario ends in the same assertions: a verification in full says COMPLETE, the ids read back from the objects are those that were indexed, each
once, and nothing stands in the bucket that isn't on record.
";

const STEPS_HEAD: &str = "
## Steps

Every side effect of Granary is a step with a name (`shared/steps`). For each, tests/scenarios/crash/mod.rs makes three tests: a process dies just
before it, dies just after it, and takes it twice, as after an answer that got lost. Then healthy functions go on by themselves.
";

/// The whole page.
pub(crate) fn page(tests: &[Test]) -> String {
    let mut page = HEAD.to_owned();
    for group in &GROUPS {
        write_group(&mut page, group, tests);
    }
    page.push_str(STEPS_HEAD);
    page.push_str(
        "\n| step | when it is done | dies before | dies after | taken twice |\n|---|---|---|---|---|\n",
    );
    for step in STEPS {
        let crashes = Mode::ALL
            .iter()
            .filter_map(|mode| crash_test(step.name, *mode, tests));
        let crashes: Vec<_> = crashes.map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            step.name,
            cell(step.done),
            crashes.join(" | ")
        );
    }
    page
}

/// What has no test at all.
pub(crate) fn gaps(tests: &[Test]) -> Vec<String> {
    let cases = GROUPS.iter().flat_map(|group| group.cases);
    let untested = cases
        .filter(|(number, _)| tests_of(number, tests).is_empty())
        .map(|(number, what)| format!("{number} {what}"));
    let modes = STEPS
        .iter()
        .flat_map(|step| Mode::ALL.map(|mode| (step.name, mode)));
    let uncrashed = modes
        .filter(|(step, mode)| crash_test(step, *mode, tests).is_none())
        .map(|(step, mode)| format!("{step}: {}", mode.words()));
    untested.chain(uncrashed).collect()
}

/// Tests that name a case that isn't on the page.
pub(crate) fn strangers(tests: &[Test]) -> Vec<String> {
    let is_known = |case: &String| {
        GROUPS
            .iter()
            .any(|group| group.cases.iter().any(|(number, _)| number == case))
    };
    let of = |test: &Test| {
        let strange = test.cases.iter().filter(|case| !is_known(case));
        strange
            .map(|case| format!("{case}: {}::{}", test.path, test.name))
            .collect::<Vec<_>>()
    };
    tests.iter().flat_map(of).collect()
}

fn write_group(page: &mut String, group: &Group, tests: &[Test]) {
    let _ = write!(
        page,
        "\n## {}\n\n| | what | tests |\n|---|---|---|\n",
        group.heading
    );
    for (number, what) in group.cases {
        let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in tests_of(number, tests) {
            by_path.entry(&test.path).or_default().push(&test.name);
        }
        let files: Vec<_> = by_path
            .iter()
            .map(|(path, names)| {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("{path}: {}", names.join(", "))
            })
            .collect();
        let _ = writeln!(page, "| {number} | {} | {} |", cell(what), files.join("<br>"));
    }
}

fn tests_of<'a>(number: &str, tests: &'a [Test]) -> Vec<&'a Test> {
    tests.iter().filter(|test| test.cases.contains(number)).collect()
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}
