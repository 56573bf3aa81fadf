//! Deferrals: what waits because the platform broke it off, since when, how much of it, and why.
//!
//! A batch is deferred if and only if its last attempts ended without counting, by a fault of the platform or for want
//! of time; an attempt that settles, fails or dies ends the row. It stays deferred while it is tried again, so that
//! an outage doesn't look over whenever somebody knocks. A window is deferred while its last reading ended with an
//! error, and a migration while its next window can't be opened.
//!
//! Not here: how long to wait (the functions decide), nor whom to tell and when (the reaper's
//! `deferrals.rs`). When MySQL is away nothing of it is written down: then its leases run out.

use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::row::{Columns, at, uuid};
use crate::export::Fenced;
use crate::export::settle::shortened;
use crate::harvest::LeasedWindow;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{Cause, Failure, MigrationId, TimeRange};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Value, params};
use serde::Serialize;
use std::time::Duration;

/// What waits for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deferral {
    /// Why the last try came to nothing.
    pub cause: Cause,
    /// Batches that are to be exported.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
    /// Ranges whose ids are to be read: windows, and migrations whose next window can't be opened.
    pub windows: u64,
    /// Since when the oldest of all these has been waiting, whatever its causes were meanwhile.
    pub since: Timestamp,
    /// How long that is, by the database's clock.
    #[serde(skip)]
    pub waited: Duration,
    /// When the first of them is tried again. It may be past: then it is on its way.
    pub next_try: Option<Timestamp>,
    /// What one of them met last, for people.
    pub reason: String,
}

/// There are as many as [`Cause`] has; a bound all the same.
const CAUSES_MAX: usize = 32;

/// A row of `harvest_deferral` that still holds. A window that was read on, and a migration that has moved on, need not
/// tell: what they wrote while they did shows it.
const STANDS: &str = "((m.state = 'open' AND d.harvested_to = m.harvested_to) OR (m.state <> 'cancelled' \
     AND w.state IN ('open', 'harvesting') AND w.error_text IS NOT NULL))";

impl Ledger {
    /// Everything that is deferred now, by cause, the longest first.
    pub async fn deferrals(&self) -> Result<Vec<Deferral>, LedgerError> {
        self.deferrals_where(("TRUE", Params::Empty), ("TRUE", Params::Empty))
            .await
    }

    /// What of a migration is deferred now: its windows, and the batches of its range, whoever owns them.
    pub async fn deferrals_of(
        &self,
        migration: MigrationId,
        range: Option<TimeRange>,
    ) -> Result<Vec<Deferral>, LedgerError> {
        let bound =
            |end: fn(&TimeRange) -> Timestamp| range.as_ref().map_or(Value::NULL, |range| at(end(range)));
        self.deferrals_where(
            (
                "b.hour_start > :from - INTERVAL 1 HOUR AND b.hour_start < :to",
                params! { "from" => bound(TimeRange::from), "to" => bound(TimeRange::to) },
            ),
            (
                "d.migration_id = :migration",
                params! { "migration" => uuid(migration) },
            ),
        )
        .await
    }

    async fn deferrals_where(
        &self,
        (batches, of_batches): (&str, Params),
        (windows, of_windows): (&str, Params),
    ) -> Result<Vec<Deferral>, LedgerError> {
        let batches = format!(
            "SELECT COALESCE(b.error_code, '') AS cause, COUNT(*) AS batches, \
             CAST(SUM(b.message_count) AS UNSIGNED) AS messages, 0 AS windows, MIN(b.deferred_since) AS since, \
             MIN(IF(b.status = 'pending', COALESCE(b.not_before, UTC_TIMESTAMP(6)), NULL)) AS next_try, \
             COALESCE(MAX(b.error_text), '') AS reason, \
             TIMESTAMPDIFF(MICROSECOND, MIN(b.deferred_since), UTC_TIMESTAMP(6)) AS waited FROM batch b \
             WHERE b.status IN ('pending', 'in_progress') AND b.deferred_since IS NOT NULL AND {batches} \
             GROUP BY b.error_code LIMIT {CAUSES_MAX}"
        );
        let windows = format!(
            "SELECT d.cause, 0 AS batches, 0 AS messages, COUNT(*) AS windows, MIN(d.since) AS since, \
             MIN(IF(w.state = 'open', w.not_before, NULL)) AS next_try, MAX(d.reason) AS reason, \
             TIMESTAMPDIFF(MICROSECOND, MIN(d.since), UTC_TIMESTAMP(6)) AS waited FROM harvest_deferral d \
             JOIN migration m ON m.id = d.migration_id LEFT JOIN harvest_window w ON w.id = d.window_id \
             WHERE {STANDS} AND {windows} GROUP BY d.cause LIMIT {CAUSES_MAX}"
        );
        let queries = [(batches, of_batches), (windows, of_windows)];
        let queries = &queries;
        self.read("list what is deferred", |mut reader| async move {
            let mut deferrals = Vec::new();
            for (query, params) in queries {
                let rows: Vec<Row> = reader.rows(query, params.clone()).await?;
                for row in rows {
                    add(&mut deferrals, deferral_of(row)?);
                }
            }
            deferrals.sort_by_key(|deferral| deferral.since);
            Ok(deferrals)
        })
        .await
    }

    /// Hands a window back whose reading an error broke off. What was recorded stays; whoever is next goes on from the
    /// bookmark, after `delay`.
    pub async fn defer_window(
        &self,
        window: &LeasedWindow,
        failure: &Failure,
        delay: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.change(Step::ReleaseWindow, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            forget_past(&mut transaction).await.during(doing)?;
            transaction
                .exec_drop(
                    "UPDATE harvest_window SET state = 'open', holder = NULL, lease_until = NULL, \
                     error_text = :reason, not_before = UTC_TIMESTAMP(6) + INTERVAL :delay MICROSECOND \
                     WHERE id = :id AND fence = :fence AND state = 'harvesting'",
                    params! {
                        "reason" => shortened(&failure.text), "delay" => micros(delay),
                        "id" => window.id.0, "fence" => window.fence.0,
                    },
                )
                .await
                .during(doing)?;
            if transaction.affected_rows() == 0 {
                transaction.rollback().await.during(doing)?;
                return Ok(Fenced::Refused);
            }
            let row = (window.migration_id, window.id.0, None);
            write_deferral(&mut transaction, row, failure)
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)?;
            Ok(Fenced::Done)
        })
        .await
    }

    /// Writes down that a migration's next window, which begins at `harvested_to`, can't be opened.
    pub async fn defer_harvest(
        &self,
        migration: MigrationId,
        harvested_to: Timestamp,
        failure: &Failure,
    ) -> Result<(), LedgerError> {
        self.change(Step::DeferHarvest, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            forget_past(&mut transaction).await.during(doing)?;
            let row = (migration, 0, Some(harvested_to));
            write_deferral(&mut transaction, row, failure)
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)
        })
        .await
    }
}

/// Rows that don't hold any more go before anything else is written: what comes in their place begins anew.
async fn forget_past(conn: &mut Connection) -> Result<(), mysql_async::Error> {
    conn.query_drop(format!(
        "DELETE d FROM harvest_deferral d JOIN migration m ON m.id = d.migration_id \
         LEFT JOIN harvest_window w ON w.id = d.window_id WHERE NOT COALESCE({STANDS}, FALSE)"
    ))
    .await
}

async fn write_deferral(
    conn: &mut Connection,
    (migration, window, harvested_to): (MigrationId, u64, Option<Timestamp>),
    failure: &Failure,
) -> Result<(), mysql_async::Error> {
    conn.exec_drop(
        "INSERT INTO harvest_deferral (migration_id, window_id, cause, reason, deferrals, since, harvested_to) \
         VALUES (:migration, :window, :cause, :reason, 1, UTC_TIMESTAMP(6), :harvested_to) \
         ON DUPLICATE KEY UPDATE deferrals = deferrals + 1, cause = :cause, reason = :reason",
        params! {
            "migration" => uuid(migration), "window" => window, "cause" => failure.cause.as_str(),
            "reason" => shortened(&failure.text), "harvested_to" => harvested_to.map_or(Value::NULL, at),
        },
    )
    .await
}

fn deferral_of(mut row: Row) -> Result<Deferral, LedgerError> {
    let cause: String = row.column("cause")?;
    let waited: i64 = row.column("waited")?;
    Ok(Deferral {
        // What has no name here is told all the same.
        cause: cause.parse().unwrap_or(Cause::Unexpected),
        batches: row.column("batches")?,
        messages: row.column("messages")?,
        windows: row.column("windows")?,
        since: row.instant("since")?,
        waited: Duration::from_micros(u64::try_from(waited).unwrap_or(0)),
        next_try: row.instant_or_null("next_try")?,
        reason: row.column("reason")?,
    })
}

/// Batches and windows of one cause are told together.
fn add(deferrals: &mut Vec<Deferral>, more: Deferral) {
    let Some(known) = deferrals.iter_mut().find(|known| known.cause == more.cause) else {
        deferrals.push(more);
        return;
    };
    known.batches += more.batches;
    known.messages += more.messages;
    known.windows += more.windows;
    known.since = known.since.min(more.since);
    known.waited = known.waited.max(more.waited);
    known.next_try = known.next_try.into_iter().chain(more.next_try).min();
    if known.reason.is_empty() {
        known.reason = more.reason;
    }
}
