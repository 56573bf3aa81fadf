//! The table of routes.

use crate::problem::{Kind, Problem};
use crate::services::Services;
use crate::{auth, edge, health, migrate, operations, purge, queue, seed, source, steering, sweep, verify};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use std::sync::Arc;

/// No body that the API takes comes near it.
const BODY_BYTES_MAX: usize = 1_000_000;

/// Every route, with what stands around it: the edge, then the role.
pub(crate) fn router(services: Arc<Services>) -> Router {
    let for_roles = Router::new()
        .route("/health", get(health::overview))
        .route("/health/ready", get(health::ready))
        .route("/migrate", post(migrate::start).get(migrate::list))
        .route("/migrate/status/{id}", get(migrate::status))
        .route("/migrate/cancel/{id}", delete(migrate::cancel))
        .route("/migrate/retry-failed", post(steering::retry_failed))
        .route("/pause", post(steering::pause))
        .route("/resume", post(steering::resume))
        .route("/queue/stats", get(queue::stats))
        .route("/source/stats", get(source::stats))
        .route("/seed/some-model", post(seed::some))
        .route("/seed/bulk/{count}", post(seed::bulk))
        .route("/seed/stats", get(seed::stats))
        .route("/seed/clear", delete(seed::clear))
        .route("/verify", post(verify::start).get(verify::list))
        .route("/sweep", post(sweep::start).get(sweep::list))
        .route("/purge", post(purge::start))
        .route("/operations/{id}", get(operations::status))
        .route_layer(from_fn_with_state(services.clone(), auth::require_role));
    Router::new()
        .route("/health/live", get(health::live))
        .merge(for_roles)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(edge::finish))
        .with_state(services)
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(
        Kind::NoSuchRoute,
        format!("This API has no route {}.", uri.path()),
    )
    .remedy("Check the path; a slash at its end matters.")
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{} has no method {method}.", uri.path()),
    )
    .remedy("The header Allow of this answer names those that it has.")
}
