//! The routes of the scheduler, the consumers and the queues, without any service behind them.

use super::{OPERATOR, VIEWER, ask, ask_at, assert_named, assert_refused, config_with, request};
use axum::http::StatusCode;
use serde_json::Value;

const LOOKS: [&str; 8] = [
    "GET /migrate/scheduler/status",
    "GET /queue/health",
    "GET /queue/consumer-status",
    "GET /queue/consumers/status",
    "GET /queue/consumers/health",
    "GET /queue/monitoring",
    "GET /queue/workers/stats",
    "GET /queue/stats",
];
const CHANGES: [&str; 14] = [
    "POST /migrate/scheduler/start",
    "POST /migrate/scheduler/stop",
    "POST /queue/consumers/start",
    "POST /queue/consumers/stop",
    "POST /queue/consumers/restart",
    "POST /queue/workers/reset-counter",
    "POST /queue/test-publish",
    "POST /queue/test/publish",
    "POST /queue/test-batch",
    "POST /queue/retry-dlq",
    "DELETE /queue/purge/batches",
    "DELETE /queue/purge-all",
    "POST /queue/purge/batches",
    "POST /queue/purge-all",
];

#[tokio::test]
async fn s1_nobody_looks_without_a_token_and_a_viewer_changes_nothing() {
    assert_refused(
        LOOKS.into_iter().chain(CHANGES),
        None,
        (StatusCode::UNAUTHORIZED, "unauthenticated"),
    )
    .await;
    assert_refused(CHANGES, Some(VIEWER), (StatusCode::FORBIDDEN, "role-too-small")).await;
}

#[tokio::test]
async fn what_this_deployment_does_not_have_is_not_possible_and_the_remedy_names_the_variable() {
    for (route, body, variable) in [
        ("GET /migrate/scheduler/status", "", "GRANARY_HARVESTER_SCHEDULE"),
        ("POST /migrate/scheduler/start", "", "GRANARY_HARVESTER_SCHEDULE"),
        (
            "POST /migrate/scheduler/stop",
            r#"{"dryRun":true}"#,
            "GRANARY_REAPER_SCHEDULE",
        ),
        ("GET /queue/consumers/status", "", "GRANARY_EXPORTER_FUNCTION"),
        ("GET /queue/consumer-status", "", "GRANARY_EXPORTER_FUNCTION"),
        ("POST /queue/consumers/start", "", "GRANARY_EXPORTER_FUNCTION"),
        (
            "POST /queue/consumers/stop",
            r#"{"queue":"batches"}"#,
            "GRANARY_EXPORTER_FUNCTION",
        ),
        ("POST /queue/consumers/restart", "", "GRANARY_EXPORTER_FUNCTION"),
        ("POST /queue/retry-dlq", "", "GRANARY_DLQ_URL"),
        (
            "DELETE /queue/purge/dead-letters",
            r#"{"confirm":"dead-letters"}"#,
            "GRANARY_DLQ_URL",
        ),
    ] {
        let answered = ask(route, Some(OPERATOR), body).await;
        assert_eq!(
            (answered.status, answered.problem()),
            (StatusCode::CONFLICT, "not-possible"),
            "{route}: {}",
            answered.body
        );
        let remedy = answered.body["remedy"].as_str().unwrap();
        assert!(remedy.contains(variable), "{route}: {remedy}");
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named_before_any_service_is_asked() {
    assert_named(&[
        (
            "POST /migrate/scheduler/stop",
            r#"{"schedule":"exporter"}"#,
            "schedule",
        ),
        ("POST /migrate/scheduler/stop", r#"{"dry":true}"#, "dry"),
        (
            "POST /queue/consumers/stop",
            r#"{"queue":"dead-letters"}"#,
            "queue",
        ),
        ("POST /queue/consumers/restart", r#"{"queue":"batches"}"#, "queue"),
        ("POST /queue/test-publish", r#"{"count":2}"#, "count"),
        ("POST /queue/test-batch", r#"{"count":101}"#, "count"),
        ("POST /queue/test-batch", r#"{"queue":"nowhere"}"#, "queue"),
        ("POST /queue/retry-dlq", r#"{"queue":"batches"}"#, "queue"),
        (
            "POST /queue/retry-dlq",
            r#"{"ratePerSecond":501}"#,
            "ratePerSecond",
        ),
        ("POST /queue/workers/reset-counter", r#"{"reason":7}"#, "reason"),
        ("GET /queue/workers/stats?limit=501", "", "limit"),
        ("GET /queue/workers/stats?cursor=x", "", "cursor"),
        (
            "DELETE /queue/purge/everything",
            r#"{"confirm":"everything"}"#,
            "queue",
        ),
        (
            "DELETE /queue/purge/batches",
            r#"{"confirmed":true}"#,
            "confirmed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn purging_is_refused_with_another_name_and_of_all_queues_without_their_name() {
    for (line, body) in [
        ("DELETE /queue/purge/batches", r#"{"confirm":"batches-priority"}"#),
        ("POST /queue/purge/batches", r#"{"confirm":"yes","dryRun":false}"#),
        ("DELETE /queue/purge-all", ""),
        ("DELETE /queue/purge-all", r#"{"confirm":"batches"}"#),
        ("POST /queue/purge-all", ""),
        ("POST /queue/purge-all", r#"{"confirm":"batches"}"#),
    ] {
        let answered = ask(line, Some(OPERATOR), body).await;
        assert_eq!(
            (answered.status, answered.problem()),
            (StatusCode::BAD_REQUEST, "not-confirmed"),
            "{line} {body}"
        );
        assert_eq!(answered.body["field"], "confirm", "{line} {body}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_down_is_503_where_it_is_needed_and_a_finding_where_health_is_asked() {
    assert_refused(
        ["GET /queue/monitoring", "POST /queue/test-publish"],
        Some(OPERATOR),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    )
    .await;
    let answered = ask("GET /queue/consumers/health", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, &answered.body["status"]),
        (StatusCode::OK, &"degraded".into())
    );
    let status = |name: &str| {
        let checks = answered.body["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name);
        check.unwrap_or(&Value::Null)["status"].clone()
    };
    assert_eq!(status("triggers"), "unknown", "it isn't configured here");
    for name in ["export", "restart", "leases"] {
        assert_eq!(status(name), "down", "{name}");
    }
    let text = answered.body.to_string();
    assert!(!text.contains("granary:granary"), "{text}");
}

#[tokio::test]
async fn the_name_of_one_schedule_alone_and_a_name_without_its_group_are_refused() {
    let all = [
        ("GRANARY_HARVESTER_SCHEDULE", "granary-harvester/tick"),
        ("GRANARY_REAPER_SCHEDULE", "granary-reaper/tick"),
    ];
    let without_group = [all[0], ("GRANARY_REAPER_SCHEDULE", "granary-reaper")];
    for (settings, refused) in [
        (&all[..1], "GRANARY_REAPER_SCHEDULE"),
        (&all[1..], "GRANARY_HARVESTER_SCHEDULE"),
        (&without_group[..], "it is not group/name"),
    ] {
        let error = config_with(settings).await.unwrap_err();
        assert!(error.contains(refused), "{error}");
    }
    // Nobody answers for AWS here: what is configured is asked, and isn't reached.
    let answered = ask_at(&all, request("GET /migrate/scheduler/nowhere", Some(VIEWER), "")).await;
    assert_eq!(answered.problem(), "no-such-route");
    config_with(&all).await.unwrap();
}
