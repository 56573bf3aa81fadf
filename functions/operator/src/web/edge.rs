//! The edge of the router: what every request and every answer has in common.
//!
//! Each request gets an id; each body gets its timestamp and that id; each request leaves one line in the log.

use crate::web::answer::Unfinished;
use crate::web::caller::{Caller, Client};
use crate::web::problem::{Problem, Reported};
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use granary_telemetry::{Metric, record, write_metrics};
use jiff::Timestamp;
use lambda_http::RequestExt;
use std::time::{Duration, Instant};
use uuid::Uuid;

tokio::task_local! {
    /// The id of the request that this task answers.
    static REQUEST_ID: String;
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_ROUTE: &str = "no such route";

/// The id of the request that is being answered, for what is written down about it.
pub(crate) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// What is known of a request before it is answered.
struct Visit {
    id: String,
    method: Method,
    /// As in the table of routes, so that lines can be grouped, and no id stands in them.
    route: String,
    path: String,
    client: Client,
}

impl Visit {
    fn of(request: &Request) -> Self {
        let of_lambda = request.extensions().lambda_context_ref();
        let id = of_lambda.map_or_else(
            || Uuid::now_v7().to_string(),
            |context| context.request_id.clone(),
        );
        let route = request.extensions().get::<MatchedPath>();
        Self {
            id,
            method: request.method().clone(),
            route: route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned(),
            path: request.uri().path().to_owned(),
            client: Client::of(request),
        }
    }
}

/// Stands around every route.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let visit = Visit::of(&request);
    let mut response = REQUEST_ID.scope(visit.id.clone(), next.run(request)).await;
    let is_refused_unread =
        response.status() == StatusCode::BAD_REQUEST && response.extensions().get::<Unfinished>().is_none();
    if is_refused_unread {
        // A path whose escapes make no text; everything else that is wrong is somebody's own problem.
        let detail = "The path is no UTF-8 once its escapes are decoded.";
        response = Problem::invalid("path", detail).into_response();
    }
    if let Some(unfinished) = response.extensions_mut().remove::<Unfinished>() {
        complete(&mut response, unfinished, &visit);
    }
    if let Ok(id) = HeaderValue::from_str(&visit.id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    log(&visit, &response, started.elapsed());
    measure(response.status());
    response
}

fn complete(response: &mut Response, unfinished: Unfinished, visit: &Visit) {
    let mut body = unfinished.body;
    body.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
    body.insert("requestId".to_owned(), visit.id.as_str().into());
    if response.status().is_client_error() || response.status().is_server_error() {
        body.insert("instance".to_owned(), visit.path.as_str().into());
    }
    let media_type = HeaderValue::from_static(unfinished.media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(serde_json::Value::Object(body).to_string());
}

/// One line of metrics for each request.
fn measure(status: StatusCode) {
    record(Metric::RequestsFailed, u64::from(status.is_server_error()));
    write_metrics();
}

/// One line for each request. Errors that are not the caller's come with their whole chain of causes.
fn log(visit: &Visit, response: &Response, took: Duration) {
    let Visit {
        id,
        method,
        route,
        client,
        ..
    } = visit;
    let status = response.status().as_u16();
    let caller = response.extensions().get::<Caller>();
    let role = caller.map_or("none", |caller| caller.role().as_str());
    let who = caller.map_or("none", Caller::name);
    let (address, user_agent) = (client.address_shown(), client.user_agent.as_str());
    let ms = took.as_millis();
    match response.extensions().get::<Reported>() {
        Some(Reported { cause }) => {
            tracing::warn!(%method, route, status, ms, role, who, address, user_agent, request_id = id, cause, "answered with a problem");
        }
        None => {
            tracing::info!(%method, route, status, ms, role, who, address, user_agent, request_id = id, "answered")
        }
    }
}
