//! What each function measures: one line for each invocation, with numbers and the function's name alone.

use crate::stage::measured::{measured, series_of, units_of};
use crate::stage::{Document, Function, Stage, request};
use granary_telemetry::Metric;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

fn messages() -> Vec<Document> {
    let message = |number: u32| {
        let id = format!("m-{number}");
        let body =
            json!({"message_id": id, "created_at": "2026-03-01T10:30:00Z", "text": "canary-of-content"});
        Document::raw(&id, body.to_string())
    };
    (0..3).map(message).collect()
}

/// Everything that a line may hold: what CloudWatch wants, the dimension, and numbers.
fn check(line: &Value, function: &str) {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Granary", "{line}");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]), "{line}");
    assert_eq!(line["FunctionName"], function, "{line}");
    let known: BTreeMap<&str, &str> = Metric::ALL
        .iter()
        .map(|metric| (metric.name(), metric.unit()))
        .collect();
    let units = units_of(line);
    for (name, unit) in &units {
        assert_eq!(known.get(name.as_str()), Some(&unit.as_str()), "{name} in {line}");
    }
    for (field, value) in line.as_object().unwrap() {
        let is_frame = field == "_aws" || field == "FunctionName";
        let numbers = |value: &Value| {
            value.is_number()
                || value
                    .as_array()
                    .is_some_and(|list| list.iter().all(Value::is_number))
        };
        assert!(
            is_frame || (units.contains_key(field) && numbers(value)),
            "{field} in {line}"
        );
    }
}

async fn lines(function: &Function, name: &str, invocations: usize) -> BTreeMap<String, Vec<f64>> {
    let lines = measured(function, invocations).await;
    assert_eq!(lines.len(), invocations, "{lines:#?}");
    for line in &lines {
        check(line, name);
    }
    let values = |points: Vec<(i64, f64)>| points.into_iter().map(|(_, value)| value).collect();
    let series = series_of(&lines).into_iter();
    series.map(|(name, points)| (name, values(points))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_invocation_leaves_one_line_with_what_it_did() {
    let mut stage = Stage::new("metrics").await;
    stage.have_exporters(1);
    stage.index_messages(&messages()).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let harvester = lines(&stage.harvester, "harvester", 1).await;
    assert_eq!(harvester["TickSucceeded"], [1.0]);
    assert_eq!(harvester["MessagesHarvested"], [3.0]);

    stage.export_all().await;
    let exporter = lines(stage.exporter(0), "exporter", 1).await;
    for (metric, value) in [
        ("BatchesExported", 1.0),
        ("MessagesExported", 3.0),
        ("MessagesExcepted", 0.0),
        ("BatchesFailed", 0.0),
        ("BatchesDeferred", 0.0),
        ("Attempts", 1.0),
    ] {
        assert_eq!(exporter[metric], [value], "{metric}");
    }
    assert!(exporter["BytesStored"][0] > 0.0 && exporter["MemoryUsed"][0] > 0.0);

    stage.reap().await;
    stage.reap().await;
    let reaper = lines(&stage.reaper, "reaper", 2).await;
    assert_eq!(reaper["TickSucceeded"], [1.0, 1.0]);
    assert_eq!(reaper["BatchesParked"], [0.0, 0.0]);
    assert_eq!(reaper["LedgerConnectionsUsed"].len(), 2);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_counted() {
    let stage = Stage::new("metrics-login").await;
    let admitted = stage.ask(request("GET", "/overview", "")).await;
    assert_eq!(admitted["statusCode"], 200);
    let mut with_wrong_token = request("GET", "/overview", "");
    with_wrong_token["headers"]["authorization"] = json!("Bearer wrong");
    let answer = stage.ask(with_wrong_token).await;
    assert_eq!(answer["statusCode"], 401);
    let operator = lines(&stage.operator, "operator", 2).await;
    assert_eq!(operator["LoginsFailed"], [0.0, 1.0]);
    stage.finish().await;
}
