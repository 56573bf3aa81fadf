//! The router without any service behind it: who gets in, what is refused, and in which form.

mod migrations;
mod queues;
mod desk;
mod document;
mod postman;

use crate::config::Config;
use crate::router::router;
use crate::services::Services;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use granary_environment::Environment;
use lambda_http::tower::ServiceExt;
use serde_json::Value;
use std::sync::Arc;

const OPERATOR: &str = "granary_operator-of-the-unit-tests-0000000000000000";
const VIEWER: &str = "granary_viewer-of-the-unit-tests-000000000000000000";
/// `printf %s TOKEN | sha256sum`
const TOKENS: &str = r#"{"tokens":[{"name":"operator","role":"operator","sha256":"0c3144da1cc2ac14b8257bccb05310b53aa3aa5eeef1ed131a057afabf5d626f"},{"name":"viewer","role":"viewer","sha256":"2a063a15de2404995ed3cfa0ba5d2a563c0cec3a1fd3de5b123fc103b7a17d86"}]}"#;

/// Nothing answers at these addresses: a test that would need a service fails.
const ENVIRONMENT: [(&str, &str); 9] = [
    (
        "GRANARY_LEDGER_URL",
        "mysql://granary:granary@127.0.0.1:1/granary",
    ),
    ("GRANARY_ES_URL", "http://127.0.0.1:1"),
    ("GRANARY_SOURCE_INDEX", "messages"),
    ("GRANARY_SOURCE_TIME_FIELD", "created_at"),
    ("GRANARY_SOURCE_NAME", "messages"),
    ("GRANARY_BUCKET", "bucket"),
    ("GRANARY_QUEUE_URL", "http://127.0.0.1:1/000000000000/batches"),
    (
        "GRANARY_PRIORITY_QUEUE_URL",
        "http://127.0.0.1:1/000000000000/batches-priority",
    ),
    ("GRANARY_TOKENS", TOKENS),
];

async fn config_with(more: &[(&'static str, &'static str)]) -> Result<Config, String> {
    let aws = granary_environment::aws::sdk_config().await;
    let env = Environment::from_variables(ENVIRONMENT.into_iter().chain(more.iter().copied()));
    Config::read_from(env, &aws)
        .await
        .map_err(|error| error.to_string())
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 2_000_000).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap(),
        }
    }

    fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["success"], false);
        assert_eq!(self.body["status"], self.status.as_u16());
        for member in ["type", "title", "detail", "instance", "timestamp", "requestId"] {
            assert!(self.body[member].is_string(), "{member} of {}", self.body);
        }
        self.body["type"]
            .as_str()
            .unwrap()
            .strip_prefix("urn:granary:problem:")
            .unwrap()
    }
}

async fn ask_at(more: &[(&'static str, &'static str)], request: Request<Body>) -> Answered {
    let aws = granary_environment::aws::sdk_config().await;
    let services = Services::new(config_with(more).await.unwrap(), &aws).unwrap();
    let response = router(Arc::new(services)).oneshot(request).await.unwrap();
    Answered::of(response).await
}

/// Asks as `METHOD /path`, with a token if there is one.
async fn ask(line: &str, token: Option<&str>, body: &'static str) -> Answered {
    ask_at(&[], request(line, token, body)).await
}

fn request(line: &str, token: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(body.into()).unwrap()
}

/// Each of these routes refuses whoever asks with this token, with this status and kind. They are asked at once: those that
/// wait for a service do so side by side. What they said, in their order.
async fn assert_refused(
    routes: impl IntoIterator<Item = &'static str>,
    token: Option<&'static str>,
    refusal: (StatusCode, &str),
) -> Vec<Answered> {
    let asked = routes
        .into_iter()
        .map(|route| (route, tokio::spawn(ask(route, token, ""))));
    let mut said = Vec::new();
    for (route, answered) in Vec::from_iter(asked) {
        let answered = answered.await.unwrap();
        assert_eq!(
            (answered.status, answered.problem()),
            refusal,
            "{route}: {}",
            answered.body
        );
        said.push(answered);
    }
    said
}

/// Each of these requests, a line and a body, is refused, and the field at fault is named.
async fn assert_named(requests: &[(&str, &'static str, &str)]) {
    for (line, body, field) in requests {
        let answered = ask(line, Some(OPERATOR), body).await;
        assert_eq!(
            answered.problem(),
            "invalid-parameter",
            "{line} {body}: {}",
            answered.body
        );
        assert_eq!(answered.body["field"], *field, "{line} {body}");
    }
}

#[tokio::test]
async fn live_answers_without_a_token_and_without_any_service() {
    let answered = ask("GET /health/live", None, "").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.headers["content-type"], "application/json");
    assert_eq!(
        (&answered.body["success"], &answered.body["status"]),
        (&true.into(), &"up".into())
    );
    assert!(
        answered.body["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert_eq!(
        answered.headers["x-request-id"],
        answered.body["requestId"].as_str().unwrap()
    );
}

#[tokio::test]
async fn s1_nobody_gets_in_without_a_token_or_with_a_wrong_one() {
    for route in [
        "GET /health",
        "GET /migrate",
        "POST /migrate",
        "GET /queue/stats",
        "DELETE /seed/clear",
        "GET /verify",
    ] {
        for token in [
            None,
            Some(""),
            Some("wrong"),
            Some("granary_viewer-of-the-unit-tests-000000000000000001"),
        ] {
            let answered = ask(route, token, "").await;
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{route} {token:?}");
            assert_eq!(answered.problem(), "unauthenticated");
            assert!(
                answered.headers["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Bearer")
            );
        }
    }
}

#[tokio::test]
async fn s1_nobody_gets_in_where_no_token_is_configured() {
    let none = [("GRANARY_TOKENS", "")];
    for token in [None, Some(""), Some(OPERATOR)] {
        let answered = ask_at(&none, request("GET /migrate", token, "")).await;
        assert_eq!(answered.problem(), "unauthenticated");
        assert!(
            answered.body["detail"]
                .as_str()
                .unwrap()
                .contains("No token is configured")
        );
    }
}

#[tokio::test]
async fn s1_a_viewer_may_change_nothing() {
    let routes = [
        "POST /migrate",
        "DELETE /migrate/cancel/7",
        "POST /seed/some-model",
        "POST /seed/bulk/5",
        "DELETE /seed/clear",
        "POST /verify",
        "POST /sweep",
    ];
    assert_refused(routes, Some(VIEWER), (StatusCode::FORBIDDEN, "role-too-small")).await;
}

#[tokio::test]
async fn s1_seeding_is_refused_unless_it_is_allowed() {
    for route in [
        "POST /seed/some-model",
        "POST /seed/bulk/5",
        "DELETE /seed/clear",
        "GET /seed/stats",
    ] {
        let answered = ask(route, Some(OPERATOR), "").await;
        assert_eq!(
            (answered.status, answered.problem()),
            (StatusCode::FORBIDDEN, "seeding-not-allowed"),
            "{route}"
        );
        assert!(
            answered.body["remedy"]
                .as_str()
                .unwrap()
                .contains("GRANARY_ALLOW_SEEDING"),
            "{route}"
        );
    }
}

#[tokio::test]
async fn s1_production_with_seeding_does_not_start() {
    let production = [
        ("GRANARY_ENVIRONMENT", "production"),
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", "http://127.0.0.1:1"),
    ];
    let error = config_with(&production).await.unwrap_err();
    assert!(error.contains("GRANARY_ALLOW_SEEDING"), "{error}");
}

#[tokio::test]
async fn wrong_settings_are_named_all_at_once() {
    let error = config_with(&[
        ("GRANARY_BUCKET", ""),
        ("GRANARY_BATCH_SIZE", "many"),
        ("GRANARY_LISTEN", "here"),
        ("GRANARY_API_ACCESS", "everybody"),
        ("GRANARY_TOKENS", r#"{"tokens":[{"name":"ada","role":"root"}]}"#),
    ])
    .await
    .unwrap_err();
    for name in [
        "GRANARY_BUCKET",
        "GRANARY_BATCH_SIZE",
        "GRANARY_LISTEN",
        "GRANARY_API_ACCESS",
        "GRANARY_TOKENS",
        "tokens[0].role",
    ] {
        assert!(error.contains(name), "{name} in {error}");
    }
}

#[tokio::test]
async fn tokens_that_another_way_never_looks_at_are_not_read() {
    for access in ["iam", "jwt", "none"] {
        let settings = [("GRANARY_API_ACCESS", access), ("GRANARY_TOKENS", "no list")];
        assert!(config_with(&settings).await.is_ok(), "{access}");
    }
    let refusal = config_with(&[("GRANARY_TOKENS", "no list")]).await.unwrap_err();
    assert!(refusal.contains("GRANARY_TOKENS"), "{refusal}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let answered = ask("GET /nowhere", Some(OPERATOR), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::NOT_FOUND, "no-such-route")
    );
    assert_eq!(answered.body["instance"], "/nowhere");
    let answered = ask("PUT /migrate", Some(OPERATOR), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    );
    assert!(answered.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named_before_any_service_is_asked() {
    assert_named(&[
        ("POST /migrate", r#"{"batchSize":0}"#, "batchSize"),
        ("POST /migrate", r#"{"from":"2026-11-22T06:00:00"}"#, "from"),
        ("POST /migrate", r#"{"filters":{"query":{}}}"#, "filters.query"),
        ("POST /migrate", r#"{"batchsize":5}"#, "batchsize"),
        ("GET /migrate?limit=501", "", "limit"),
        ("GET /migrate?status=lost", "", "status"),
        ("GET /migrate?cursor=x", "", "cursor"),
        ("GET /migrate?page=2", "", "page"),
        ("GET /migrate/status/x", "", "id"),
        ("DELETE /migrate/cancel/x", "", "id"),
        ("POST /sweep", r#"{"apply":true,"olderThan":60}"#, "olderThan"),
        ("GET /operations/x", "", "id"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem() {
    let answered = ask("POST /migrate", Some(OPERATOR), "{").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::BAD_REQUEST, "unreadable-body")
    );
    let large = request("POST /migrate", Some(OPERATOR), vec![b' '; 1_000_001]);
    let answered = ask_at(&[], large).await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large")
    );
}

#[tokio::test]
async fn clearing_is_refused_without_its_words() {
    let allowed = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", "http://127.0.0.1:1"),
    ];
    for body in ["", r#"{"confirm":"yes"}"#] {
        for line in ["DELETE /seed/clear", "POST /seed/clear"] {
            let answered = ask_at(&allowed, request(line, Some(OPERATOR), body)).await;
            assert_eq!(
                (answered.status, answered.problem()),
                (StatusCode::BAD_REQUEST, "not-confirmed"),
                "{line}"
            );
        }
    }
    let answered = ask_at(&allowed, request("POST /seed/bulk/1000001", Some(OPERATOR), "")).await;
    assert_eq!(answered.body["field"], "count");
    for (line, body, field) in [
        ("POST /seed/some-model", r#"{"batchSize":0}"#, "batchSize"),
        ("POST /seed/bulk/5", r#"{"batchSize":5}"#, "batchSize"),
        (
            "POST /seed/all",
            r#"{"someModelCount":5,"count":6}"#,
            "someModelCount",
        ),
        ("POST /seed/all", r#"{"jobStatusCount":101}"#, "jobStatusCount"),
    ] {
        let answered = ask_at(&allowed, request(line, Some(OPERATOR), body)).await;
        assert_eq!(answered.body["field"], field, "{line} {body}: {}", answered.body);
    }
}

#[tokio::test]
async fn a_ledger_that_is_down_is_503_and_its_address_stays_here() {
    let answered = ask("GET /queue/stats", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert_eq!(answered.body["service"], "ledger");
    assert!(answered.headers.contains_key("retry-after"));
    let text = answered.body.to_string();
    assert!(
        !text.contains("127.0.0.1") && !text.contains("granary:granary"),
        "{text}"
    );
}

#[tokio::test]
async fn health_names_every_service_that_is_ill_and_ready_is_503() {
    let answered = ask("GET /health", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, &answered.body["status"]),
        (StatusCode::OK, &"degraded".into())
    );
    let services = answered.body["services"].as_array().unwrap();
    let names: Vec<&str> = services
        .iter()
        .map(|service| service["service"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ledger", "source", "archive", "queues"]);
    for service in services.iter().take(2) {
        assert_eq!(service["status"], "down", "{service}");
    }
    let answered = ask("GET /health/ready", Some(VIEWER), "").await;
    assert_eq!(
        (answered.status, answered.problem()),
        (StatusCode::SERVICE_UNAVAILABLE, "not-ready")
    );
    assert!(answered.body["detail"].as_str().unwrap().contains("ledger"));
}
