//! How many connections to the ledger there may be, and that the documentation says so.

use super::Template;
use super::document::checkout;

const QUEUES: u64 = 2;
/// The harvester and the reaper begin every minute.
const TICK_SECS: u64 = 60;

/// Of one process, as its code says.
fn connections_each(file: &str) -> u64 {
    let code = std::fs::read_to_string(checkout().join("functions").join(file)).unwrap();
    let (_, rest) = code
        .split_once("CONNECTIONS_MAX: usize = ")
        .unwrap_or_else(|| panic!("{file} says how many connections it holds"));
    let (number, _) = rest.split_once(';').unwrap();
    number.parse().unwrap()
}

/// Each function, how many of it run at once, and how many connections each holds.
fn from_the_template(template: &Template) -> [(&'static str, u64, u64); 4] {
    let harvester = template
        .number(&template.resource("Harvester")["Timeout"])
        .div_ceil(TICK_SECS);
    let exporter = template.number(template.at("/Parameters/ExporterConcurrency/Default")) * QUEUES;
    let reaper = template.number(template.at("/Parameters/ReaperConcurrency/Default"));
    let operator = template.number(template.at("/Parameters/OperatorConcurrency/Default"));
    [
        (
            "harvester",
            harvester,
            connections_each("harvester/src/harvest.rs"),
        ),
        ("exporter", exporter, connections_each("exporter/src/export.rs")),
        ("reaper", reaper, connections_each("reaper/src/reap.rs")),
        ("operator", operator, connections_each("operator/src/services.rs")),
    ]
}

#[test]
fn the_documentation_gives_the_largest_number_of_connections_of_each_function() {
    let template = Template::read();
    let docs = std::fs::read_to_string(checkout().join("docs/configuration.md")).unwrap();
    let mut together = 0;
    for (function, at_once, each) in from_the_template(&template) {
        let connections = at_once * each;
        together += connections;
        let row = format!("| {function} | {at_once} | {each} | {connections} |");
        assert!(docs.contains(&row), "docs/configuration.md lacks: {row}");
    }
    let row = format!("| together | | | {together} |");
    assert!(docs.contains(&row), "docs/configuration.md lacks: {row}");
}

#[test]
fn people_can_not_take_all_connections_from_the_exporters() {
    let template = Template::read();
    let operator = &template.resource("Operator")["ReservedConcurrentExecutions"];
    assert_eq!(operator["Fn::If"][0], "HasOperatorConcurrency");
    assert_eq!(operator["Fn::If"][1]["Ref"], "OperatorConcurrency");
    let route = &template.resource("ApiStage")["DefaultRouteSettings"];
    let limits = [&route["ThrottlingBurstLimit"], &route["ThrottlingRateLimit"]];
    assert_eq!(limits.map(|limit| template.number(limit)), [40, 20]);
}
