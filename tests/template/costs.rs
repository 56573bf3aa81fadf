//! What docs/deploy.md says of costs, against what the template sets. Prices are list prices that no test can hold.

use super::Template;
use super::document::checkout;

/// Of Lambda, for a second of a gigabyte on x86_64.
const GB_SECOND_USD: f64 = 0.000_016_666_7;
const LAMBDA_REQUEST_USD: f64 = 0.000_000_2;
const SCHEDULE_USD: f64 = 0.000_001;
/// A month has 730 hours.
const MINUTES_PER_MONTH: u32 = 43_800;
const MIB_PER_GIB: f64 = 1_024.0;

fn docs() -> String {
    std::fs::read_to_string(checkout().join("docs/deploy.md")).unwrap()
}

/// The rows of the table whose head begins so: what is paid for, and USD.
fn rows(docs: &str, head: &str) -> Vec<(String, f64)> {
    let (_, table) = docs.split_once(head).expect("docs/deploy.md has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let usd = cells.last()?.replace('*', "").parse().ok()?;
        Some((cells.first()?.replace('*', ""), usd))
    })
    .collect()
}

/// Its rows down to the sum, and the sum.
fn with_sum(rows: Vec<(String, f64)>) -> (Vec<(String, f64)>, f64) {
    let at = rows.iter().position(|(name, _)| name == "together");
    let at = at.expect("the table has a sum");
    let sum = rows[at].1;
    (rows.into_iter().take(at).collect(), sum)
}

/// Memory of a function in GB.
fn memory_gb(template: &Template, function: &str) -> f64 {
    let mib = template.number(&template.resource(function)["MemorySize"]);
    f64::from(u32::try_from(mib).unwrap()) / MIB_PER_GIB
}

fn assert_about(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 0.006 * expected.max(1.0),
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn the_sums_of_the_costs_are_those_of_their_rows() {
    let docs = docs();
    for (head, rows_min, precision) in [
        ("| for a million messages |", 4, 0.000_05),
        ("| for a month |", 9, 0.005),
    ] {
        let (rows, sum) = with_sum(rows(&docs, head));
        assert!(rows.len() >= rows_min, "{head}: {rows:?}");
        let added: f64 = rows.iter().map(|(_, usd)| usd).sum();
        assert!(
            (added - sum).abs() < precision,
            "{head}: {added}, and the sum says {sum}"
        );
    }
}

#[test]
fn the_costs_of_the_functions_are_computed_from_the_memory_and_the_schedules_of_the_template() {
    let (template, docs) = (Template::read(), docs());
    let (of_messages, _) = with_sum(rows(&docs, "| for a million messages |"));
    let (of_month, _) = with_sum(rows(&docs, "| for a month |"));
    let usd = |rows: &[(String, f64)], name: &str| {
        let row = rows.iter().find(|(row, _)| row.starts_with(name));
        row.unwrap_or_else(|| panic!("docs/deploy.md has no row {name}"))
            .1
    };
    // A batch has 1,000 messages and takes a second.
    let exporter = 1_000.0 * memory_gb(&template, "Exporter") * GB_SECOND_USD;
    assert!(
        (usd(&of_messages, "exporter") - exporter).abs() < 0.000_05,
        "{exporter}"
    );
    let mut ticking = 0;
    let mut ticks_usd = 0.0;
    for function in ["Harvester", "Reaper"] {
        let tick = &template.resource(function)["Events"]["Tick"]["Properties"];
        assert_eq!(tick["ScheduleExpression"], "rate(1 minute)");
        ticking += 1;
        let each = 0.3 * memory_gb(&template, function) * GB_SECOND_USD + LAMBDA_REQUEST_USD;
        ticks_usd += f64::from(MINUTES_PER_MONTH) * each;
    }
    assert_about(usd(&of_month, "harvester and reaper"), ticks_usd, "ticks");
    let scheduler = f64::from(ticking * MINUTES_PER_MONTH) * SCHEDULE_USD;
    assert_about(usd(&of_month, "EventBridge Scheduler"), scheduler, "schedules");
}

#[test]
fn every_setting_that_the_costs_assume_is_the_templates_default() {
    let (template, docs) = (Template::read(), docs());
    for (name, function) in template.functions() {
        assert_eq!(template.number(&function["MemorySize"]), 512, "{name}");
    }
    assert_eq!(template.at("/Parameters/Architecture/Default"), "x86_64");
    let batch_size = template.at("/Parameters/BatchSize/ConstraintDescription");
    assert!(batch_size.to_string().contains("empty for 1000"), "{batch_size}");
    assert!(docs.contains("(512 MB, x86_64, 1,000 messages in a batch)"));
    let queues = template
        .functions()
        .into_iter()
        .find(|(name, _)| *name == "Exporter");
    let triggers = queues.expect("there is an exporter").1["Events"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    assert!(docs.contains(&format!("| Lambda's polling of two queues | {triggers} × 5")));
    let dashboards = template.resources_of("AWS::CloudWatch::Dashboard").len();
    assert!(docs.contains(&format!("| {dashboards} × 3.00 | 3.00 |")));
}
