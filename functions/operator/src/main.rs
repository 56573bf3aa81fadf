//! The operator: the HTTP API that people and the `granary` command use. One router, behind API Gateway in AWS and
//! on a port of its own elsewhere.
//!
//! It asks and changes the ledger, and works on long operations while somebody waits; it never harvests or exports
//! by itself. A wrong setting keeps it from starting, and the error lists all of them; a service that is down makes
//! the routes that need it answer 503, and the others go on.

mod config;
mod services;
mod router;
mod web;
mod pages;
mod looking;
mod migrating;
mod queueing;
mod switching;
mod operating;
mod seeding;

#[cfg(test)]
mod tests;

use anyhow::Context;
use config::Config;
use granary_telemetry::Metric;
use services::Services;
use std::net::SocketAddr;
use std::sync::Arc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    granary_telemetry::init("operator");
    granary_telemetry::start_metrics(&[Metric::LoginsFailed, Metric::RequestsFailed, Metric::MemoryUsed]);
    let aws = granary_environment::aws::sdk_config().await;
    let config = Config::read(&aws).await.inspect_err(|error| {
        tracing::error!("the operator can't start: {error}");
    })?;
    let listen = config.listen;
    let router = router::router(Arc::new(Services::new(config, &aws)?));
    if web::lambda::is_where_we_run() {
        return web::lambda::run(router).await;
    }
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("could not listen on {listen} (GRANARY_LISTEN)"))?;
    // Port 0 is whichever was free.
    let listen = listener.local_addr().unwrap_or(listen);
    tracing::info!(%listen, "the API is up");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await.context("the server ended")
}
