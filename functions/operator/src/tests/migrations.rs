//! `/db` and `/migrate`: who may do what, and what is refused before any service is asked.

use super::{OPERATOR, VIEWER, ask, ask_at, assert_named, assert_refused, request};
use axum::http::StatusCode;

const LOOKED_AT: [&str; 10] = [
    "GET /db/health",
    "GET /db/status",
    "GET /db/info",
    "GET /db/ping",
    "GET /db/count",
    "GET /db/pending-count",
    "GET /db/success-count",
    "GET /migrate/jobs",
    "GET /migrate/batch/7",
    "GET /migrate/status/7",
];
const CHANGED: [&str; 8] = [
    "POST /migrate/batch/500",
    "POST /migrate/retry-failed",
    "POST /migrate/complete-processing",
    "POST /migrate/process-all",
    "POST /migrate/fix-stuck-jobs",
    "POST /migrate/create-missing-migrations",
    "POST /migrate/reset-pending",
    "POST /migrate/bulk",
];

#[tokio::test]
async fn s1_nobody_looks_at_the_ledger_or_changes_it_without_a_token() {
    for route in LOOKED_AT.into_iter().chain(CHANGED) {
        let answered = ask(route, None, "").await;
        assert_eq!(answered.problem(), "unauthenticated", "{route}");
    }
}

#[tokio::test]
async fn s1_a_viewer_may_look_at_batches_and_change_none() {
    assert_refused(CHANGED, Some(VIEWER), (StatusCode::FORBIDDEN, "role-too-small")).await;
}

#[tokio::test]
async fn what_cannot_be_meant_of_batches_is_named_before_any_service_is_asked() {
    assert_named(&[
        ("GET /migrate/jobs?status=lost", "", "status"),
        ("GET /migrate/jobs?status=completed", "", "status"),
        ("GET /migrate/jobs?jobType=all", "", "jobType"),
        ("GET /migrate/jobs?parentJobId=42", "", "parentJobId"),
        ("GET /migrate/jobs?cause=bad%20luck", "", "cause"),
        ("GET /migrate/jobs?from=2026-11-22", "", "from"),
        ("GET /migrate/jobs?limit=501", "", "limit"),
        ("GET /migrate/jobs?cursor=x", "", "cursor"),
        ("GET /migrate/jobs?page=2", "", "page"),
        ("GET /migrate/batch/x", "", "id"),
        ("GET /migrate/batch/0", "", "id"),
        ("POST /migrate/batch/0", "", "size"),
        ("POST /migrate/batch/10001", "", "size"),
        ("POST /migrate/batch/5", r#"{"batchSize":6}"#, "batchSize"),
        (
            "POST /migrate",
            r#"{"filters":{"status":"lost"}}"#,
            "filters.status",
        ),
        (
            "POST /migrate",
            r#"{"filters":{"status":"success"}}"#,
            "filters.status",
        ),
        (
            "POST /migrate",
            r#"{"filters":{"status":"parked"},"batchSize":5}"#,
            "batchSize",
        ),
        (
            "POST /migrate/batch/5",
            r#"{"filters":{"status":"parked"}}"#,
            "filters.status",
        ),
        ("POST /migrate/retry-failed", r#"{"cause":"luck"}"#, "cause"),
        ("POST /migrate/retry-failed", r#"{"limit":1001}"#, "limit"),
        ("POST /migrate/process-all", r#"{"limit":5}"#, "limit"),
        (
            "POST /migrate/complete-processing",
            r#"{"dryRun":"perhaps"}"#,
            "dryRun",
        ),
        ("POST /migrate/fix-stuck-jobs", r#"{"reason":7}"#, "reason"),
        (
            "POST /migrate/create-missing-migrations",
            r#"{"batchSize":0}"#,
            "batchSize",
        ),
        ("POST /migrate/reset-pending", r#"{"batchIds":[7]}"#, "reason"),
        (
            "POST /migrate/reset-pending",
            r#"{"reason":"r","limit":5}"#,
            "batchIds",
        ),
        ("POST /migrate/reset-pending", r#"{"batchSize":5}"#, "batchSize"),
        ("POST /migrate/process-all", r#"{"batchSize":0}"#, "batchSize"),
        (
            "POST /migrate/complete-processing",
            r#"{"batchSize":10001}"#,
            "batchSize",
        ),
        ("POST /migrate/bulk", r#"{"ids":[]}"#, "ids"),
    ])
    .await;
}

#[tokio::test]
async fn the_twin_of_a_delete_acts_on_no_body_that_is_lost() {
    for line in [
        "POST /migrate/cancel/0197a1b2-0000-7000-8000-000000000000",
        "POST /queue/purge/batches",
    ] {
        let answered = ask(line, Some(OPERATOR), "").await;
        assert_eq!(
            (answered.status, answered.problem()),
            (StatusCode::BAD_REQUEST, "not-confirmed"),
            "{line}"
        );
        for (line, body) in [
            (format!("{line}?dryRun=true"), ""),
            (line.to_owned(), r#"{"dryRun":true}"#),
        ] {
            let answered = ask(&line, Some(OPERATOR), body).await;
            assert!(
                answered.status.is_server_error(),
                "it goes on to a service: {line} {body}: {}",
                answered.body
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_did_not_arrive_as_it_was_sent_is_refused() {
    for line in [
        "POST /migrate",
        "DELETE /migrate/cancel/0197a1b2-0000-7000-8000-000000000000",
    ] {
        let mut lost = request(line, Some(OPERATOR), "");
        lost.headers_mut()
            .insert("granary-body-bytes", "15".parse().unwrap());
        let answered = ask_at(&[], lost).await;
        assert_eq!(
            (answered.status, answered.problem()),
            (StatusCode::BAD_REQUEST, "unreadable-body"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_batch_is_not_cancelled_by_its_number() {
    let answered = ask("DELETE /migrate/cancel/42", Some(OPERATOR), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::CONFLICT, "not-possible")
    );
    assert!(
        answered.body["remedy"]
            .as_str()
            .unwrap()
            .contains("/migrate/batch/{id}")
    );
}

#[tokio::test]
async fn a_database_that_is_down_is_503_and_its_address_stays_here() {
    let answered = ask("GET /db/ping", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert_eq!(answered.body["service"], "ledger");
    assert!(!answered.body.to_string().contains("127.0.0.1"));
}
