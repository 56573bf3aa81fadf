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

/// A row of a table: what is paid for, the arithmetic, and USD with their decimals.
#[derive(Debug)]
struct Row {
    name: String,
    arithmetic: String,
    usd: f64,
    decimals: usize,
}

/// The rows of the table whose head begins so.
fn rows(docs: &str, head: &str) -> Vec<Row> {
    let (_, table) = docs.split_once(head).expect("docs/deploy.md has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let cells: Vec<String> = row
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.replace('*', "").trim().to_owned())
            .collect();
        let [name, arithmetic, usd] = &cells[..] else {
            panic!("a row has three cells: {row}");
        };
        Some(Row {
            name: name.clone(),
            arithmetic: arithmetic.clone(),
            usd: usd.parse().ok()?,
            decimals: usd.split_once('.').map_or(0, |(_, decimals)| decimals.len()),
        })
    })
    .collect()
}

/// Its rows down to the sum, and the sum.
fn with_sum(rows: Vec<Row>) -> (Vec<Row>, f64) {
    let at = rows.iter().position(|row| row.name == "together");
    let at = at.expect("the table has a sum");
    let sum = rows[at].usd;
    (rows.into_iter().take(at).collect(), sum)
}

/// What arithmetic is made of: the rest are names and units.
const ARITHMETIC: &str = "0123456789.×+()";

/// `1,000 × (2 PUT × 0.5 + 2 GET × 0.4)`. Kilobytes that are paid by the gigabyte are a millionth.
fn computed(arithmetic: &str) -> f64 {
    let unit = if arithmetic.contains("KB") && arithmetic.contains("a GB") {
        1e-6
    } else {
        1.0
    };
    let plain: String = arithmetic
        .chars()
        .filter(|char| ARITHMETIC.contains(*char))
        .collect();
    let mut rest = plain.as_str();
    let value = sum(&mut rest);
    assert_eq!(rest, "", "{arithmetic}");
    value * unit
}

fn sum(rest: &mut &str) -> f64 {
    let mut total = product(rest);
    while let Some(after) = rest.strip_prefix('+') {
        *rest = after;
        total += product(rest);
    }
    total
}

fn product(rest: &mut &str) -> f64 {
    let mut total = factor(rest);
    while let Some(after) = rest.strip_prefix('×') {
        *rest = after;
        total *= factor(rest);
    }
    total
}

fn factor(rest: &mut &str) -> f64 {
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        let total = sum(rest);
        *rest = rest.strip_prefix(')').expect("a bracket is closed");
        return total;
    }
    let end = rest
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    number
        .parse()
        .unwrap_or_else(|_| panic!("{number:?} is a number"))
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
        let added: f64 = rows.iter().map(|row| row.usd).sum();
        assert!(
            (added - sum).abs() < precision,
            "{head}: {added}, and the sum says {sum}"
        );
    }
}

#[test]
fn each_row_of_the_costs_is_what_its_arithmetic_says() {
    let docs = docs();
    for head in ["| for a million messages |", "| for a month |"] {
        for row in with_sum(rows(&docs, head)).0 {
            let half_a_digit = 0.5 * 0.1_f64.powi(row.decimals as i32) + 1e-9;
            let value = computed(&row.arithmetic);
            assert!((value - row.usd).abs() <= half_a_digit, "{row:?}: {value}");
        }
    }
    assert_eq!(computed("2 × (3 PUT × 0.5 + 4 GET)"), 11.0);
}

#[test]
fn the_costs_of_the_functions_are_computed_from_the_memory_and_the_schedules_of_the_template() {
    let (template, docs) = (Template::read(), docs());
    let (of_messages, _) = with_sum(rows(&docs, "| for a million messages |"));
    let (of_month, _) = with_sum(rows(&docs, "| for a month |"));
    let usd = |rows: &[Row], name: &str| {
        let row = rows.iter().find(|row| row.name.starts_with(name));
        row.unwrap_or_else(|| panic!("docs/deploy.md has no row {name}"))
            .usd
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
