//! How far behind the continuous migration is, by the database's clock. What to do about it is decided elsewhere.
//!
//! Each number is read by an index and from a bounded number of rows. **When it fails**, nothing was changed.

use crate::db::connect::Reader;
use crate::db::row::{Columns, at, uuid};
use crate::integrity::proof::IS_PROVEN;
use crate::{Ledger, LedgerError};
use granary_domain::MigrationId;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::time::Duration;

/// How far behind the continuous migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Since the event time before which every window is recorded and every batch is exported. `None`: no window was opened yet.
    pub archive: Option<Duration>,
    /// Since the event time before which every window is proven. `None`: no window was opened yet.
    pub proven: Option<Duration>,
    /// Since the oldest pending batch that is due was recorded, of the oldest 1,000. `None`: there is none.
    pub oldest_pending: Option<Duration>,
    /// Parked batches of all migrations: 10,000 at most.
    pub parked: u64,
    /// Connections to the server, in percent of the most that it allows.
    pub connections_percent: u64,
}

const OPERATION: &str = "measure how far behind the archive is";
const PARKED_MAX: u32 = 10_000;
const PENDING_MAX: u32 = 1_000;
/// The newest windows that are looked at: more than a year of hours.
const WINDOWS_MAX: u32 = 10_000;

/// The continuous migration as it is now.
struct Continuous {
    id: MigrationId,
    from: Timestamp,
    harvested_to: Timestamp,
    now: Timestamp,
}

impl Ledger {
    /// How far behind the continuous migration is.
    pub async fn lag(&self) -> Result<Lag, LedgerError> {
        self.read(OPERATION, |mut reader| async move {
            let parked = parked(&mut reader).await?;
            let connections_percent = connections_percent(&mut reader).await?;
            let mut lag = Lag {
                archive: None,
                proven: None,
                oldest_pending: None,
                parked,
                connections_percent,
            };
            let Some(continuous) = continuous(&mut reader).await? else {
                return Ok(lag);
            };
            let since =
                |then: Timestamp| Duration::try_from(continuous.now.duration_since(then)).unwrap_or_default();
            lag.oldest_pending = oldest_pending(&mut reader, &continuous).await?.map(since);
            if continuous.harvested_to > continuous.from {
                lag.archive = Some(since(archived_to(&mut reader, &continuous).await?));
                lag.proven = Some(since(proven_to(&mut reader, &continuous).await?));
            }
            Ok(lag)
        })
        .await
    }
}

async fn continuous(reader: &mut Reader) -> Result<Option<Continuous>, LedgerError> {
    let row: Option<Row> = reader
        .first(
            "SELECT id, range_from, harvested_to, UTC_TIMESTAMP(6) AS now_utc FROM migration \
             WHERE only_one = 'continuous'",
            (),
        )
        .await?;
    let Some(mut row) = row else { return Ok(None) };
    Ok(Some(Continuous {
        id: row.migration_id("id")?,
        from: row.instant("range_from")?,
        harvested_to: row.instant("harvested_to")?,
        now: row.instant("now_utc")?,
    }))
}

/// The earliest of what isn't in a window, isn't recorded, or was never exported. Batches of older ranges are left out by
/// the hour, so that a backfill costs nothing here.
async fn archived_to(reader: &mut Reader, continuous: &Continuous) -> Result<Timestamp, LedgerError> {
    let id = uuid(continuous.id);
    let mut archived_to = continuous.harvested_to;
    let unread: Option<Row> = reader
        .first(
            "SELECT MIN(range_from) AS unread FROM harvest_window \
             WHERE state IN ('open', 'harvesting') AND migration_id = :id AND recorded_at IS NULL",
            params! { "id" => id.clone() },
        )
        .await?;
    if let Some(mut row) = unread
        && let Some(unread) = row.instant_or_null("unread")?
    {
        archived_to = archived_to.min(unread);
    }
    for status in ["pending", "in_progress", "failed"] {
        let open: Option<Row> = reader
            .first(
                "SELECT hour_start FROM batch WHERE status = :status \
                 AND hour_start >= :hour AND migration_id = :id AND settled_at IS NULL ORDER BY hour_start LIMIT 1",
                params! {
                    "status" => status, "id" => id.clone(),
                    "hour" => at(granary_domain::Hour::of(continuous.from).start()),
                },
            )
            .await?;
        if let Some(mut row) = open {
            archived_to = archived_to.min(row.instant("hour_start")?);
        }
    }
    Ok(archived_to.max(continuous.from))
}

async fn proven_to(reader: &mut Reader, continuous: &Continuous) -> Result<Timestamp, LedgerError> {
    let row: Option<Row> = reader
        .first(
            format!(
                "SELECT MIN(w.range_from) AS unproven FROM \
                 (SELECT id, range_from FROM harvest_window WHERE migration_id = :id \
                  ORDER BY range_from DESC LIMIT {WINDOWS_MAX}) w \
                 LEFT JOIN window_scan s ON s.window_id = w.id LEFT JOIN window_proof p ON p.window_id = w.id \
                 WHERE NOT {IS_PROVEN}"
            ),
            params! { "id" => uuid(continuous.id) },
        )
        .await?;
    let unproven = match row {
        Some(mut row) => row.instant_or_null("unproven")?,
        None => None,
    };
    Ok(unproven.unwrap_or(continuous.harvested_to))
}

async fn oldest_pending(
    reader: &mut Reader,
    continuous: &Continuous,
) -> Result<Option<Timestamp>, LedgerError> {
    let row: Option<Row> = reader
        .first(
            format!(
                "SELECT MIN(created_at) AS oldest FROM \
                 (SELECT created_at, not_before FROM batch WHERE migration_id = :id AND status = 'pending' \
                  ORDER BY id LIMIT {PENDING_MAX}) b WHERE not_before IS NULL OR not_before <= UTC_TIMESTAMP(6)"
            ),
            params! { "id" => uuid(continuous.id) },
        )
        .await?;
    match row {
        Some(mut row) => row.instant_or_null("oldest"),
        None => Ok(None),
    }
}

async fn parked(reader: &mut Reader) -> Result<u64, LedgerError> {
    let query = format!(
        "SELECT COUNT(*) FROM (SELECT id FROM batch WHERE status = 'failed' AND parked_at IS NOT NULL \
         LIMIT {PARKED_MAX}) b"
    );
    let counted: Option<u64> = reader.first(query, ()).await?;
    counted.ok_or_else(|| LedgerError::inconsistent(OPERATION, "no answer"))
}

/// MySQL and MariaDB keep their counters in different schemas.
async fn connections_percent(reader: &mut Reader) -> Result<u64, LedgerError> {
    let absent = || LedgerError::inconsistent(OPERATION, "the server doesn't count its connections");
    let version: Option<String> = reader.first("SELECT VERSION()", ()).await?;
    let schema = match version.ok_or_else(absent)?.contains("MariaDB") {
        true => "information_schema",
        false => "performance_schema",
    };
    let counted: Option<u64> = reader
        .first(
            format!(
                "SELECT CAST(ROUND(100 * variable_value / @@max_connections) AS UNSIGNED) \
                 FROM {schema}.global_status WHERE variable_name = 'Threads_connected'"
            ),
            (),
        )
        .await?;
    counted.ok_or_else(absent)
}
