//! Storms: alerts about what happens to one batch after another. A storm is one alert for each kind and cause, which counts, and
//! one more when it is over.
//!
//! An occurrence is counted in the transaction that settles or reaps its batch, so none is silent. A storm of parked batches
//! is over when none is parked for its cause; one of exceptions, when an hour passed without another. Not responsible
//! for publishing (`jobs/alert.rs`).

use crate::db::connect::Doing;
use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::jobs::condition::end_alert;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::Row;

/// A kind has a handful of causes; a bound all the same.
const CAUSES_MAX: u32 = 64;
/// How an `INSERT` into `alert` counts an occurrence of a storm that lasts.
pub(crate) const ONE_MORE: &str =
    "ON DUPLICATE KEY UPDATE occurrences = alert.occurrences + 1, last_at = UTC_TIMESTAMP(6)";

/// Of an alert `a`: a storm that lasts, and whose reason is gone.
const IS_OVER: &str = "a.over_at IS NULL AND ((a.kind = 'exceptions' \
     AND COALESCE(a.last_at, a.created_at) < UTC_TIMESTAMP(6) - INTERVAL 3600 SECOND) OR (a.kind = 'parked' \
     AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.status = 'failed' AND b.parked_at IS NOT NULL AND b.error_code = a.cause)))";

/// A storm that is over.
struct Storm {
    alert: u64,
    kind: String,
    cause: String,
    occurrences: u32,
    since: Timestamp,
}

impl Ledger {
    /// Ends the storms that are over, each with an alert that says so.
    pub async fn end_storms(&self) -> Result<(), LedgerError> {
        let query = &format!(
            "SELECT a.kind, a.cause FROM alert a WHERE a.kind IN ('parked', 'exceptions') AND {IS_OVER} ORDER BY a.id LIMIT {CAUSES_MAX}"
        );
        let alerts: Vec<(String, String)> = self
            .read("list storms that are over", |mut reader| async move {
                reader.rows(query, ()).await
            })
            .await?;
        for (kind, cause) in alerts {
            let of = (kind.as_str(), cause.as_str());
            self.change(Step::EndCondition, |doing| self.end_storm(doing, of))
                .await?;
        }
        Ok(())
    }

    /// Looks again under the alert's lock: a batch that is being parked is either seen here, or begins a storm of its own afterwards.
    async fn end_storm(&self, doing: Doing, of: (&str, &str)) -> Result<(), LedgerError> {
        let mut transaction = self.begin(doing).await?;
        transaction
            .exec_drop(
                "SELECT id FROM alert WHERE kind = ? AND subject_key = ? FOR UPDATE",
                of,
            )
            .await
            .during(doing)?;
        let query = format!(
            "SELECT a.id, a.kind, a.cause, a.occurrences, a.created_at FROM alert a \
             WHERE a.kind = ? AND a.subject_key = ? AND {IS_OVER}"
        );
        let over: Option<Row> = transaction.exec_first(query, of).await.during(doing)?;
        if let Some(row) = over {
            let storm = Storm::of(row)?;
            let of = (storm.alert, storm.kind.as_str(), storm.cause.as_str());
            end_alert(&mut transaction, doing, of, &storm.end()).await?;
        }
        transaction.commit().await.during(doing)
    }
}

impl Storm {
    fn of(mut row: Row) -> Result<Self, LedgerError> {
        Ok(Self {
            alert: row.column("id")?,
            kind: row.column("kind")?,
            cause: row.column("cause")?,
            occurrences: row.column("occurrences")?,
            since: row.instant("created_at")?,
        })
    }

    fn end(&self) -> String {
        let Self {
            alert,
            cause,
            occurrences,
            since,
            ..
        } = self;
        let seen = format!("{occurrences} since {since:.0} (see alert {alert})");
        match self.kind.as_str() {
            "parked" => format!("{cause}: no batch is parked, after {seen}"),
            _ => format!(
                "{cause}: no further batch was completed without messages within an hour, after {seen}. What is missing \
                 or quarantined stays on record"
            ),
        }
    }
}

/// Counts those of these batches that are parked, in the transaction that parked them.
pub(crate) async fn raise_parked(
    conn: &mut Connection,
    doing: Doing,
    batches: &[u64],
) -> Result<(), LedgerError> {
    let list = List::of(batches.iter().copied());
    let statement = format!(
        "INSERT INTO alert (kind, subject_key, cause, text, created_at) \
         SELECT 'parked', b.error_code, b.error_code, \
         LEFT(CONCAT('batch ', b.id, ' (', b.message_count, ' messages) is parked after ', b.attempts, \
         ' attempts: ', COALESCE(b.error_text, '')), 1000), UTC_TIMESTAMP(6) \
         FROM batch b WHERE b.id IN ({list}) AND b.parked_at IS NOT NULL ORDER BY b.error_code, b.id {ONE_MORE}"
    );
    conn.exec_drop(statement, list.params()).await.during(doing)
}
