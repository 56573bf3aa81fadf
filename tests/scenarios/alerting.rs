//! Alerts as a pager receives them: what begins an incident, what resolves it, and a test of the whole way.

use super::queue_desk::ask;
use super::reaping::{harvested, send_parked_again};
use crate::stage::Stage;
use serde_json::{Value, json};

fn of_kind<'a>(alerts: &'a [Value], kind: &str) -> &'a Value {
    let alert = alerts.iter().find(|alert| alert["kind"] == kind);
    alert.unwrap_or_else(|| panic!("no {kind} in {alerts:?}"))
}

/// A1: a pager opens one incident for a storm, and closes the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_a_storm_and_its_end_are_one_incident() {
    let (stage, _) = harvested("incident").await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    for _ in 1..=5 {
        stage.export_all_by(&failing).await;
        stage.let_delays_end().await;
        stage.reap().await;
    }
    let begun = stage.queues.received_alerts().await;
    let parked = of_kind(&begun, "parked");
    assert_eq!(
        (&parked["event"], &parked["severity"]),
        (&json!("triggered"), &json!("critical"))
    );
    assert_eq!(parked["count"], 3);

    send_parked_again(&stage).await;
    stage.run_until_quiet().await;
    let ended = stage.queues.received_alerts().await;
    let over = of_kind(&ended, "parked_over");
    assert_eq!(over["event"], "resolved");
    for same in ["dedupKey", "since", "count", "cause"] {
        assert_eq!(over[same], parked[same], "{same}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_alert_arrives_and_says_who_asked_for_it() {
    let stage = Stage::new("alert-test").await;
    let body = json!({ "reason": "new pager" });
    let (status, answer) = ask(&stage.operator, "POST", "/alerts/test", &body).await;
    assert_eq!(status, 200, "{answer}");
    stage.reap().await;
    let alerts = stage.queues.received_alerts().await;
    let test = of_kind(&alerts, "test");
    assert_eq!(
        (&test["event"], &test["severity"]),
        (&json!("test"), &json!("info"))
    );
    assert!(test["text"].to_string().contains("new pager"), "{test}");
    let listed = stage.look_at("/alerts?kind=test").await;
    assert_eq!(listed["alerts"][0]["subject"], answer["subject"]);
    assert!(listed["alerts"][0]["publishedAt"].is_string(), "{listed}");
    stage.finish().await;
}
