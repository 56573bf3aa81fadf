//! `granary health`: whether the services answer, for probes.

use super::Session;
use crate::cli::Health;
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};

const STATUS: &[Field] = &[
    Field("status", "/status", Kind::State),
    Field("source", "/source", Kind::Text),
    Field("version", "/version", Kind::Text),
    Field("role", "/role", Kind::Text),
];
pub(super) const SERVICES: &[Field] = &[
    Field("SERVICE", "/service", Kind::Text),
    Field("STATUS", "/status", Kind::State),
    Field("ANSWER", "/milliseconds", Kind::Milliseconds),
    Field("CONNECTION", "/connection", Kind::Text),
    Field("REASON", "/reason", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Health) -> anyhow::Result<Ending> {
    let path = match (options.live, options.ready) {
        (true, _) => "/health/live",
        (false, true) => "/health/ready",
        (false, false) => "/health",
    };
    // A service that is ill is an answer, not an error.
    let answer = session.api.get_or_not_ready(path).await?;
    session.show(&answer, |answer| {
        Sheet::new()
            .values(answer, STATUS)
            .table(items(&answer["services"]), SERVICES)
    })?;
    Ok(match answer["status"].as_str() {
        Some("up" | "ready") => Ending::Done,
        Some(_) | None => Ending::Ill,
    })
}
