//! `/db`: the ledger's database, as people look at it: whether it answers, what it is, and how much is in it.
//!
//! Counts are exact and come from batch rows and seals, never from messages. Where the database is down, each of these
//! answers 503 and says so.

use crate::migrating::progress_shown::ShownProgress;
use crate::queueing::queue::{ByStatus, by_status};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::BatchStatus;
use granary_ledger::Ledger;
use granary_ledger::db::TableSize;
use granary_ledger::reports::StatusCount;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// That the database answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabasePing {
    /// `up`, or this route answers 503.
    status: DatabaseUp,
    /// Milliseconds that one question took it.
    #[schema(examples(0.4))]
    milliseconds: f64,
}

/// How a database stands that has answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DatabaseUp {
    /// It answers.
    Up,
}

/// That the database answers, which schema it has, and how its clock goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseHealth {
    /// `up`, or this route answers 503.
    status: DatabaseUp,
    /// Milliseconds that one question took it.
    #[schema(examples(0.4))]
    milliseconds: f64,
    /// The number of the newest migration of the schema.
    schema_version: u32,
    /// The time by the database's clock, which alone decides what is due.
    clock: Timestamp,
    /// Milliseconds by which that clock is ahead of ours; less than nothing where it is behind.
    #[schema(examples(-3))]
    clock_ahead_milliseconds: Option<i64>,
}

/// What the database is, and how large.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseInfo {
    /// What the server says of itself.
    #[schema(examples("8.0.36"))]
    server_version: String,
    /// The number of the newest migration of the schema.
    schema_version: u32,
    /// The time by the database's clock.
    clock: Timestamp,
    /// The ledger's tables, the largest first.
    tables: Vec<ShownTable>,
    /// Bytes of all tables with their indices, about.
    bytes: u64,
    /// How exact that is, for people.
    note: &'static str,
}

/// How large a table is, by the server's own estimate.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownTable {
    /// Its name.
    #[schema(examples("message"))]
    table: String,
    /// Rows, about.
    rows_about: u64,
    /// Bytes of its rows, about.
    bytes_data: u64,
    /// Bytes of its indices, about.
    bytes_indexes: u64,
}

/// How much is in the ledger, by status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseStatus {
    /// The number of the newest migration of the schema.
    schema_version: u32,
    /// The time by the database's clock.
    clock: Timestamp,
    /// How many batches have each status.
    batches: ByStatus,
    /// How many messages are in batches of each status.
    messages: ByStatus,
    /// Failed batches without an attempt left: a person has to send them again.
    parked: u64,
    /// Bytes of all objects on record, as they are stored.
    bytes_stored: u64,
    /// Messages whose rows were taken away, since their hours are sealed. The seals still have them.
    purged_messages: u64,
}

/// How many messages the ledger knows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageCount {
    /// Messages that the ledger knows and that somebody owns, purged ones as well.
    count: u64,
    /// The same by what became of them.
    messages: ShownProgress,
}

/// How many messages wait for a worker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingCount {
    /// Messages in pending batches.
    count: u64,
    /// Pending batches.
    batches: u64,
}

/// How many messages are archived.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuccessCount {
    /// Messages in objects on record, purged ones as well.
    count: u64,
    /// Completed batches that still have their rows.
    batches: u64,
    /// Messages that were gone at the source before they could be exported.
    missing: u64,
    /// Messages that can't be exported.
    quarantined: u64,
}

/// Whether the ledger's database answers, and how fast
#[utoipa::path(get, path = "/db/ping")]
pub(crate) async fn ping(State(services): State<Arc<Services>>) -> Result<Answer<DatabasePing>, Problem> {
    let took = timed_ping(services.ledger().await?).await?;
    Ok(Answer::ok(DatabasePing {
        status: DatabaseUp::Up,
        milliseconds: milliseconds(took),
    }))
}

/// Whether the ledger's database answers, which schema it has, and how its clock goes
#[utoipa::path(get, path = "/db/health")]
pub(crate) async fn health(State(services): State<Arc<Services>>) -> Result<Answer<DatabaseHealth>, Problem> {
    let ledger = services.ledger().await?;
    let took = timed_ping(ledger).await?;
    let schema_version = ledger.schema_version().await?;
    let clock = ledger.now().await?;
    Ok(Answer::ok(DatabaseHealth {
        status: DatabaseUp::Up,
        milliseconds: milliseconds(took),
        schema_version,
        clock,
        clock_ahead_milliseconds: ahead(clock, Timestamp::now()),
    }))
}

/// What the ledger's database is, and how large its tables are
#[utoipa::path(get, path = "/db/info")]
pub(crate) async fn info(State(services): State<Arc<Services>>) -> Result<Answer<DatabaseInfo>, Problem> {
    let ledger = services.ledger().await?;
    let info = ledger.database_info().await?;
    let bytes = info
        .tables
        .iter()
        .map(|table| table.bytes_data + table.bytes_indexes)
        .sum();
    Ok(Answer::ok(DatabaseInfo {
        server_version: info.server_version,
        schema_version: ledger.schema_version().await?,
        clock: info.now,
        tables: info.tables.into_iter().map(ShownTable::from).collect(),
        bytes,
        note: "Rows and bytes are the server's own estimates. GET /db/count is exact.",
    }))
}

impl From<TableSize> for ShownTable {
    fn from(size: TableSize) -> Self {
        Self {
            table: size.table,
            rows_about: size.rows_about,
            bytes_data: size.bytes_data,
            bytes_indexes: size.bytes_indexes,
        }
    }
}

/// How many batches and messages have each status
#[utoipa::path(get, path = "/db/status")]
pub(crate) async fn status(State(services): State<Arc<Services>>) -> Result<Answer<DatabaseStatus>, Problem> {
    let ledger = services.ledger().await?;
    let counts = ledger.batches_by_status().await?;
    let of_batches: u64 = counts
        .iter()
        .filter(|count| count.status != BatchStatus::Cancelled)
        .map(|count| count.messages)
        .sum();
    let known = ledger.progress_of_all().await?.known;
    Ok(Answer::ok(DatabaseStatus {
        schema_version: ledger.schema_version().await?,
        clock: ledger.now().await?,
        batches: by_status(&counts, |count| count.batches),
        messages: by_status(&counts, |count| count.messages),
        parked: counts.iter().map(|count| count.parked).sum(),
        bytes_stored: counts.iter().map(|count| count.bytes_stored).sum(),
        purged_messages: known.saturating_sub(of_batches),
    }))
}

/// How many messages the ledger knows
///
/// Those that somebody owns, purged ones as well.
#[utoipa::path(get, path = "/db/count")]
pub(crate) async fn count(State(services): State<Arc<Services>>) -> Result<Answer<MessageCount>, Problem> {
    let progress = services.ledger().await?.progress_of_all().await?;
    Ok(Answer::ok(MessageCount {
        count: progress.known,
        messages: progress.into(),
    }))
}

/// How many messages wait for a worker
#[utoipa::path(get, path = "/db/pending-count")]
pub(crate) async fn pending_count(
    State(services): State<Arc<Services>>,
) -> Result<Answer<PendingCount>, Problem> {
    let counts = services.ledger().await?.batches_by_status().await?;
    let (batches, count) = of_status(&counts, BatchStatus::Pending);
    Ok(Answer::ok(PendingCount { count, batches }))
}

/// How many messages are in objects on record
///
/// Purged ones are counted as well.
#[utoipa::path(get, path = "/db/success-count")]
pub(crate) async fn success_count(
    State(services): State<Arc<Services>>,
) -> Result<Answer<SuccessCount>, Problem> {
    let ledger = services.ledger().await?;
    let counts = ledger.batches_by_status().await?;
    let (batches, _) = of_status(&counts, BatchStatus::Completed);
    let progress = ledger.progress_of_all().await?;
    Ok(Answer::ok(SuccessCount {
        count: progress.success,
        batches,
        missing: progress.missing,
        quarantined: progress.quarantined,
    }))
}

/// Batches of a status, and the messages in them.
fn of_status(counts: &[StatusCount], status: BatchStatus) -> (u64, u64) {
    counts
        .iter()
        .find(|count| count.status == status)
        .map_or((0, 0), |count| (count.batches, count.messages))
}

async fn timed_ping(ledger: &Ledger) -> Result<Duration, Problem> {
    let started = Instant::now();
    ledger.ping().await?;
    Ok(started.elapsed())
}

/// With one digit behind the point: a near database answers in less than one.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// By how much the database's clock is ahead of ours. Nothing is decided by ours; it is what people see in logs.
fn ahead(database: Timestamp, ours: Timestamp) -> Option<i64> {
    i64::try_from(database.duration_since(ours).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_is_ahead_by_less_than_nothing() {
        let ours: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let database: Timestamp = "2026-11-22T09:59:59.500Z".parse().unwrap();
        assert_eq!(ahead(database, ours), Some(-500));
    }

    #[test]
    fn a_ping_of_less_than_a_millisecond_is_not_nothing() {
        assert_eq!(milliseconds(Duration::from_micros(230)), 0.2);
        assert_eq!(milliseconds(Duration::from_millis(12)), 12.0);
    }

    #[test]
    fn a_status_that_no_batch_has_counts_nothing() {
        assert_eq!(of_status(&[], BatchStatus::Pending), (0, 0));
    }
}
