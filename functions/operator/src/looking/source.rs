//! `GET /source/stats`: what people must know of the source: how late its documents come, and how many are in no window.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_ledger::harvest::Lateness;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const LATENESS_DAYS: u32 = 7;
const SECS_PER_DAY: u64 = 86_400;
/// What is told of lateness looks back so far.
pub(crate) const LATENESS_OVER: Duration = Duration::from_secs(LATENESS_DAYS as u64 * SECS_PER_DAY);

/// What people must know of the source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceStats {
    /// How late its documents come.
    lateness: ShownLateness,
    /// Documents that are in no window; `null`: not counted yet.
    outside: Option<ShownOutside>,
}

/// Documents that are in no window: nothing is archived of them. Counted every 15 minutes at most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownOutside {
    /// Without an event time that can be read.
    without_time: u64,
    /// Those of them that have something else in its place.
    malformed: u64,
    /// With an event time before the first window.
    before_first_window: u64,
    /// With an event time more than an hour in the future.
    in_future: u64,
    /// When they were counted.
    counted_at: Timestamp,
}

/// What re-scans have found, and the lag that follows from it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownLateness {
    /// Days that it looks back.
    days: u32,
    /// Windows that were read a second time within these days.
    windows_rescanned: u64,
    /// Messages that these windows have.
    messages: u64,
    /// Messages of them that weren't there when the window was read first.
    late: u64,
    /// The latest of them came at least so many seconds after its event time.
    at_least_seconds: u64,
    /// The latest of them came at most so many seconds after its event time.
    at_most_seconds: u64,
    /// Seconds that a window ends before now.
    lag_seconds: u64,
    /// Seconds that would have been enough.
    recommended_lag_seconds: u64,
}

/// What must be known of the source
///
/// How late its documents come, and how many are in no window. The source itself isn't asked.
#[utoipa::path(get, path = "/source/stats")]
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer<SourceStats>, Problem> {
    let ledger = services.ledger().await?;
    let lateness = ledger.lateness(LATENESS_OVER, None).await?;
    let outside = ledger.outside().await?;
    Ok(Answer::ok(SourceStats {
        lateness: shown(lateness, services.harvest().await?.lag),
        outside: outside.map(|(counts, counted_at)| ShownOutside {
            without_time: counts.without_time,
            malformed: counts.malformed,
            before_first_window: counts.before_first_window,
            in_future: counts.in_future,
            counted_at,
        }),
    }))
}

/// What re-scans have found, and the lag that follows from it.
pub(crate) fn shown(lateness: Lateness, lag: Duration) -> ShownLateness {
    ShownLateness {
        days: LATENESS_DAYS,
        windows_rescanned: lateness.windows,
        messages: lateness.messages,
        late: lateness.late,
        at_least_seconds: lateness.at_least_seconds,
        at_most_seconds: lateness.at_most_seconds,
        lag_seconds: lag.as_secs(),
        recommended_lag_seconds: lateness.recommended_lag(lag).as_secs(),
    }
}
