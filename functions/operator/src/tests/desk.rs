//! The routes that people look at when something is wrong, and the live settings, without any service behind them.

use super::{OPERATOR, VIEWER, ask, ask_at, assert_named, assert_refused, request};
use axum::http::StatusCode;

const LOOKS: [&str; 9] = [
    "GET /overview",
    "GET /windows",
    "GET /failures",
    "GET /alerts",
    "GET /messages/m-1/trace",
    "GET /tune",
    "GET /exceptions",
    "GET /audit",
    "GET /operations",
];
const CHANGES: [&str; 6] = [
    "POST /tune",
    "POST /ledger/adopt",
    "POST /ledger/rebuild",
    "POST /exceptions/accept",
    "POST /seed/job-status",
    "POST /seed/all",
];

#[tokio::test]
async fn s1_nobody_looks_without_a_token_and_a_viewer_changes_nothing() {
    assert_refused(
        LOOKS.into_iter().chain(CHANGES).chain(["GET /doctor"]),
        None,
        (StatusCode::UNAUTHORIZED, "unauthenticated"),
    )
    .await;
    assert_refused(CHANGES, Some(VIEWER), (StatusCode::FORBIDDEN, "role-too-small")).await;
}

#[tokio::test]
async fn s1_a_history_of_jobs_is_seeded_only_where_seeding_is_allowed() {
    assert_refused(
        ["POST /seed/job-status", "POST /seed/all"],
        Some(OPERATOR),
        (StatusCode::FORBIDDEN, "seeding-not-allowed"),
    )
    .await;
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named_before_the_ledger_is_asked() {
    assert_named(&[
        ("GET /doctor?verbose=true", "", "verbose"),
        ("GET /overview?verbose=true", "", "verbose"),
        ("GET /windows?limit=501", "", "limit"),
        ("GET /windows?from=2026-11-22", "", "from"),
        (
            "GET /windows?from=2026-11-22T06:00:00Z&to=2026-11-22T05:00:00Z",
            "",
            "from",
        ),
        ("GET /windows?migrationId=42", "", "migrationId"),
        ("GET /windows?state=red", "", "state"),
        ("GET /windows?cursor=x", "", "cursor"),
        ("GET /failures?reason=x", "", "reason"),
        ("GET /alerts?open=perhaps", "", "open"),
        ("GET /alerts?kind=%C3%BC", "", "kind"),
        ("GET /alerts?cursor=0", "", "cursor"),
        ("GET /messages/m-1/trace?line=perhaps", "", "line"),
        ("GET /messages/m-1/trace?contents=true", "", "contents"),
        ("GET /messages/trace", "", "id"),
        ("GET /messages//trace", "", "id"),
        ("GET /messages/%FF/trace", "", "path"),
        ("GET /audit?action=%C3%BC", "", "action"),
        ("GET /audit?from=yesterday", "", "from"),
        ("GET /audit?limit=0", "", "limit"),
        ("GET /operations?state=over", "", "state"),
        ("GET /operations?cursor=x", "", "cursor"),
        ("GET /exceptions?kind=merged_id", "", "kind"),
        ("POST /exceptions/accept", "", "kind"),
        (
            "POST /exceptions/accept",
            r#"{"kind":"lost","index":"a","max":1,"reason":"x"}"#,
            "kind",
        ),
        (
            "POST /exceptions/accept",
            r#"{"kind":"merged_id","index":"a","max":-1,"reason":"x"}"#,
            "max",
        ),
        (
            "POST /exceptions/accept",
            r#"{"kind":"merged_id","index":"a","max":1}"#,
            "reason",
        ),
        ("POST /ledger/adopt", "", "setting"),
        (
            "POST /ledger/adopt",
            r#"{"setting":"index","reason":"x"}"#,
            "setting",
        ),
        ("POST /ledger/adopt", r#"{"setting":"bucket"}"#, "reason"),
        ("POST /ledger/rebuild", "", "reason"),
        ("POST /ledger/rebuild", r#"{"from":"x","reason":"x"}"#, "from"),
        ("POST /tune", "", "maxAttempts"),
        ("POST /tune", r#"{"maxAttempts":101}"#, "maxAttempts"),
        (
            "POST /tune",
            r#"{"exporterConcurrency":null}"#,
            "exporterConcurrency",
        ),
        ("POST /tune", r#"{"maxAttempts":5,"dryRun":"perhaps"}"#, "dryRun"),
    ])
    .await;
}

#[tokio::test]
async fn a_history_has_a_bound() {
    let allowed = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", "http://127.0.0.1:1"),
    ];
    let answered = ask_at(
        &allowed,
        request("POST /seed/job-status", Some(OPERATOR), r#"{"count":101}"#),
    )
    .await;
    assert_eq!(answered.body["field"], "count");
    let answered = ask_at(
        &allowed,
        request("POST /seed/all", Some(OPERATOR), r#"{"jobs":0}"#),
    )
    .await;
    assert_eq!(answered.body["field"], "jobs");
}

#[tokio::test]
async fn an_id_with_any_characters_reaches_the_ledger_and_what_is_no_trace_is_no_route() {
    let traces = [
        "GET /messages/m-1/trace",
        "GET /messages/a%2Fb/trace",
        "GET /messages/a/b/trace",
        "GET /messages/%20/trace",
        "GET /messages/%3F%23%25/trace",
        "GET /messages/%F0%9F%8C%BE/trace",
        "GET /messages/a%00b/trace",
    ];
    let refusal = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    for answered in assert_refused(traces, Some(VIEWER), refusal).await {
        assert_eq!(answered.body["service"], "ledger", "{}", answered.body);
    }
    let answered = ask("GET /messages/m-1", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::NOT_FOUND, "no-such-route")
    );
}

#[tokio::test]
async fn where_everything_is_down_the_doctor_says_so_check_by_check() {
    let answered = ask("GET /doctor", Some(VIEWER), "").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.body["status"], "failed", "{}", answered.body);
    for name in [
        "elasticsearch",
        "index",
        "ledger",
        "schema",
        "bucket",
        "queues",
        "pauses",
    ] {
        let checks = answered.body["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name).unwrap();
        assert_eq!(check["status"], "failed", "{check}");
        assert!(check["found"].as_str().is_some_and(|found| !found.is_empty()));
    }
}

#[tokio::test]
async fn where_the_ledger_is_down_every_page_says_so() {
    let refusal = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    assert_refused(LOOKS, Some(VIEWER), refusal).await;
}
