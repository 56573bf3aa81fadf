//! The saved queries of CloudWatch Logs Insights, over the logs of a real run: each finds what it is for, and nothing else.

use super::reaping::harvested;
use crate::stage::measured::measured;
use crate::stage::{Proxy, Stage, request};
use crate::template::queries::found_by;
use serde_json::Value;

fn texts(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect()
}

/// One batch is exported; the two others fail, and then wait for Elasticsearch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_saved_queries_about_batches_find_them_in_the_exporters_log() {
    let (mut stage, _) = harvested("queries").await;
    stage.have_exporters(1);
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    let source = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let waiting = stage.another("exporter", &[("GRANARY_ES_URL", &source.url())]);

    assert_eq!(stage.export_one().await.acknowledged, 1);
    assert_eq!(stage.export_all_by(&failing).await.acknowledged, 2);
    stage.let_delays_end().await;
    stage.reap().await;
    source.cut();
    assert_eq!(stage.export_all_by(&waiting).await.acknowledged, 2);
    measured(stage.exporter(0), 1).await;
    measured(&failing, 2).await;
    measured(&waiting, 2).await;
    let log = [stage.exporter(0).log(), failing.log(), waiting.log()].concat();

    for query in ["Throughput", "SlowestPhases"] {
        let exported = found_by(query, None, &log);
        assert_eq!(exported.len(), 1, "{query}: {exported:#?}");
        assert_eq!(exported[0]["exported"], 100, "{query}");
    }
    let failures = found_by("FailuresByCause", None, &log);
    assert_eq!(failures.len(), 4, "{failures:#?}");
    assert!(
        failures.iter().all(|line| line["cause"].is_string()),
        "{failures:#?}"
    );
    let throttled = found_by("Throttling", None, &log);
    assert_eq!(throttled.len(), 2, "{throttled:#?}");
    assert!(
        throttled.iter().all(|line| line["cause"] == "source_unavailable"),
        "{throttled:#?}"
    );

    let batch = failures[0]["batch"].to_string();
    let life = found_by(
        "BatchLife",
        Some(("batch = 0", &format!("batch = {batch}"))),
        &log,
    );
    assert_eq!(texts(&life), ["not exported", "not exported"]);
    source.restore();
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_saved_queries_about_people_find_who_changed_something_and_one_request() {
    let stage = Stage::new("queries-desk").await;
    let looked = stage.ask(request("GET", "/overview", "")).await;
    let pause = request("POST", "/pause", r#"{"reason":"maintenance"}"#);
    let paused = stage.ask(pause).await;
    assert_eq!(
        (&looked["statusCode"], &paused["statusCode"]),
        (&200.into(), &200.into()),
        "{paused}"
    );
    measured(&stage.operator, 2).await;
    let log = stage.operator.log();

    let changes = found_by("WhoDidWhat", None, &log);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(
        (&changes[0]["method"], &changes[0]["route"]),
        (&"POST".into(), &"/pause".into())
    );
    assert!(
        changes[0]["who"].as_str().is_some_and(|who| who != "none"),
        "{changes:#?}"
    );
    let id = changes[0]["request_id"].as_str().unwrap();
    let about_it = found_by("OneMessage", Some(("nowhere", id)), &log);
    assert!(
        about_it.iter().any(|line| line["route"] == "/pause"),
        "{about_it:#?}"
    );
    assert!(
        !about_it.iter().any(|line| line["route"] == "/overview"),
        "{about_it:#?}"
    );
    stage.finish().await;
}
