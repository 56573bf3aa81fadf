//! What the API refuses, and how it says so.

use super::Deployment;
use super::deployment::Answer;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Status, kind, and the field that is to blame.
type Refusal = (u16, &'static str, Option<&'static str>);

/// A refusal is a problem as RFC 9457 has it, with what this request was.
fn assert_refused(answer: &Answer, path: &str, expected: Refusal) {
    let (status, kind, field) = expected;
    let body = &answer.body;
    assert_eq!(answer.status.as_u16(), status, "{path}: {body}");
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{path}"
    );
    assert_eq!(body["type"], format!("urn:granary:problem:{kind}"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["instance"], path, "{body}");
    assert_eq!(body["field"].as_str(), field, "{body}");
    assert_eq!(body["success"], false, "{body}");
    for text in ["title", "detail", "timestamp", "requestId"] {
        assert!(
            body[text].as_str().is_some_and(|text| !text.is_empty()),
            "{text}: {body}"
        );
    }
}

#[tokio::test]
async fn h10_what_cannot_be_meant_is_refused_and_the_field_is_named() {
    let deployment = Deployment::of_environment().await;
    let unknown = format!("/migrate/status/{}", Uuid::now_v7());
    let (post, get, put, delete) = (Method::POST, Method::GET, Method::PUT, Method::DELETE);
    let backwards = json!({ "from": "2026-11-22T06:00:00Z", "to": "2026-11-22T05:00:00Z" });
    let future = json!({ "from": "2999-01-01T00:00:00Z" });
    let invalid = |field| (400, "invalid-parameter", Some(field));
    let cases: Vec<(&Method, &str, Value, Refusal)> = vec![
        (&post, "/migrate", json!({ "batchSize": 0 }), invalid("batchSize")),
        (
            &post,
            "/migrate",
            json!({ "batchSize": "many" }),
            invalid("batchSize"),
        ),
        (
            &post,
            "/migrate",
            json!({ "from": "2026-11-22T06:00:00" }),
            invalid("from"),
        ),
        (&post, "/migrate", backwards, invalid("from")),
        // By the database's clock.
        (&post, "/migrate", future.clone(), invalid("from")),
        (&post, "/verify", future, invalid("from")),
        (&post, "/migrate", json!({ "batchsize": 5 }), invalid("batchsize")),
        (&post, "/migrate", json!([]), (400, "unreadable-body", None)),
        (
            &post,
            "/verify",
            json!({ "migrationId": "42" }),
            invalid("migrationId"),
        ),
        (&get, &unknown, Value::Null, (404, "not-found", None)),
        (&get, "/nowhere", Value::Null, (404, "no-such-route", None)),
        (&put, "/migrate", Value::Null, (405, "method-not-allowed", None)),
        // Nothing is cleared by a slip.
        (
            &delete,
            "/seed/clear",
            json!({}),
            (400, "not-confirmed", Some("confirm")),
        ),
        (
            &delete,
            "/seed/clear",
            json!({ "confirm": "yes" }),
            (400, "not-confirmed", Some("confirm")),
        ),
    ];
    for (method, path, body, expected) in cases {
        let body = (!body.is_null()).then_some(&body);
        let answer = deployment
            .ask(method.clone(), path, Some(&deployment.operator_token), body)
            .await;
        assert_refused(&answer, path, expected);
    }
}

#[tokio::test]
async fn s1_nobody_gets_in_without_a_token_and_nobody_changes_anything_with_a_viewers() {
    let deployment = Deployment::of_environment().await;
    for token in [None, Some("a-wrong-one"), Some("")] {
        for (method, path) in [(Method::GET, "/health"), (Method::POST, "/migrate")] {
            let answer = deployment.ask(method, path, token, None).await;
            assert_refused(&answer, path, (401, "unauthenticated", None));
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
    let viewer = Some(deployment.viewer_token.as_str());
    let looked = deployment.ask(Method::GET, "/health", viewer, None).await;
    assert_eq!(
        (looked.status.as_u16(), &looked.body["role"]),
        (200, &json!("viewer"))
    );
    let confirmed = json!({ "confirm": "a-viewer-may-not" });
    for (method, path, body) in [
        (Method::POST, "/migrate", json!({ "dryRun": true })),
        (Method::POST, "/verify", json!({ "quick": true })),
        (Method::POST, "/seed/some-model", json!({ "count": 1 })),
        (Method::DELETE, "/seed/clear", confirmed),
    ] {
        let answer = deployment.ask(method, path, viewer, Some(&body)).await;
        assert_refused(&answer, path, (403, "role-too-small", None));
    }
    // That the process answers is no secret.
    let live = deployment.ask(Method::GET, "/health/live", None, None).await;
    assert_eq!(live.status.as_u16(), 200);
}
