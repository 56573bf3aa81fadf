//! `GET /source/stats`: what people must know of the source: how late its documents come, and how many never can.

use crate::answer::Answer;
use crate::problem::Problem;
use crate::services::Services;
use axum::extract::State;
use granary_ledger::Lateness;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const LATENESS_DAYS: u32 = 7;
const SECS_PER_DAY: u64 = 86_400;
/// What is told of lateness looks back so far.
pub(crate) const LATENESS_OVER: Duration = Duration::from_secs(LATENESS_DAYS as u64 * SECS_PER_DAY);

/// From the ledger; the source itself isn't asked.
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer, Problem> {
    let ledger = services.ledger().await?;
    let lateness = ledger.lateness(LATENESS_OVER, None).await?;
    Ok(Answer::ok(json!({
        "lateness": shown(lateness, services.config.harvest.lag),
        "withoutTime": ledger.without_time().await?,
    })))
}

/// What re-scans have found, and the lag that follows from it.
pub(crate) fn shown(lateness: Lateness, lag: Duration) -> Value {
    json!({
        "days": LATENESS_DAYS,
        "windowsRescanned": lateness.windows,
        "messages": lateness.messages,
        "late": lateness.late,
        "atLeastSeconds": lateness.at_least_seconds,
        "atMostSeconds": lateness.at_most_seconds,
        "lagSeconds": lag.as_secs(),
        "recommendedLagSeconds": lateness.recommended_lag(lag).as_secs(),
    })
}
