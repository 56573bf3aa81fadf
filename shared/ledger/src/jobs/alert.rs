//! Alerts: what people are to be told. The row is the outbox; the reaper publishes and marks.
//!
//! A row is written once for each subject, whatever happens how often; it is published at least once, with its
//! number, so that a reader can tell a repetition. Storms of batches count in one row: `export/storm.rs`.

use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::time::Duration;

/// Kinds whose alerts are events: each is about another subject, and none ends. A fault that causes one after another sends one
/// message an hour for its cause; the rest wait for the next hour, and are counted there.
const EVENTS: [&str; 5] = [
    "archive_conflict",
    "invariant",
    "unreadable_message",
    "unproven_object",
    "replaced_object_kept",
];
/// Of all kinds and causes, of which there are a few dozen.
const UNPUBLISHED_MAX: u32 = 10_000;

/// An alert that nobody was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Its number.
    pub id: u64,
    /// `parked`, `failure_rate`, `failure_rate_over`, `archive_conflict`, …
    pub kind: String,
    /// What it is about: a batch's number, the start of a storm.
    pub subject_key: String,
    /// Alerts of one kind and cause are told together.
    pub cause: String,
    /// For people.
    pub text: String,
    /// Since when; of an alert that resolves another one, since when that one lasted.
    pub since: Timestamp,
    /// How often it has happened so far.
    pub occurrences: u32,
}

impl AlertRow {
    /// Whether it is an event: events of one cause are published in one message.
    pub fn is_event(&self) -> bool {
        EVENTS.contains(&self.kind.as_str())
    }
}

/// How many attempts of the last stretch of time failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// Attempts that ended, without those that the platform broke off.
    pub attempts: u64,
    /// Of those, the ones that failed or whose worker died.
    pub failed: u64,
}

impl FailureRate {
    /// Failed attempts by all attempts, 0.0 to 1.0.
    pub fn ratio(&self) -> f64 {
        if self.attempts == 0 {
            0.0
        } else {
            self.failed as f64 / self.attempts as f64
        }
    }
}

impl Ledger {
    /// Writes an alert about one subject, once. A subject whose alert is over has a new one.
    pub async fn raise_alert(
        &self,
        kind: &str,
        subject_key: &str,
        cause: &str,
        text: &str,
    ) -> Result<u64, LedgerError> {
        let text = crate::export::settle::shortened(text);
        let text = text.as_str();
        self.change(Step::RaiseAlert, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO alert (kind, subject_key, cause, text, created_at) \
                 VALUES (:kind, :subject_key, :cause, :text, UTC_TIMESTAMP(6)) \
                 ON DUPLICATE KEY UPDATE kind = alert.kind",
                params! { "kind" => kind, "subject_key" => subject_key, "cause" => cause, "text" => text },
            )
            .await
            .during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }

    /// Alerts to publish now, up to `limit` of each kind and cause, alike ones side by side. However many there are of one cause,
    /// they hide no other. Events of a cause that was published within the last hour wait, and so does an alert that resolves an
    /// unpublished one.
    pub async fn unpublished_alerts(&self, limit: u32) -> Result<Vec<AlertRow>, LedgerError> {
        let events = EVENTS.map(|kind| format!("'{kind}'")).join(", ");
        let query = &format!(
            "SELECT a.id, a.kind, a.subject_key, a.cause, a.text, COALESCE(begun.created_at, a.created_at) AS since, a.occurrences \
             FROM (SELECT u.id, ROW_NUMBER() OVER (PARTITION BY u.kind, u.cause ORDER BY u.id) AS place FROM alert u \
              LEFT JOIN (SELECT DISTINCT kind, cause FROM alert WHERE kind IN ({events}) \
               AND published_at >= UTC_TIMESTAMP(6) - INTERVAL 3600 SECOND) recent \
               ON recent.kind = u.kind AND recent.cause = u.cause \
              WHERE u.published_at IS NULL AND recent.kind IS NULL) unpublished JOIN alert a ON a.id = unpublished.id \
             LEFT JOIN alert begun ON a.kind LIKE '%\\_over' AND begun.id = CAST(a.subject_key AS UNSIGNED) \
             WHERE unpublished.place <= ? AND (begun.id IS NULL OR begun.published_at IS NOT NULL) \
             ORDER BY a.kind, a.cause, a.id LIMIT ?"
        );
        self.read("list unpublished alerts", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, (limit, UNPUBLISHED_MAX)).await?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(AlertRow {
                        id: row.column("id")?,
                        kind: row.column("kind")?,
                        subject_key: row.column("subject_key")?,
                        cause: row.column("cause")?,
                        text: row.column("text")?,
                        since: row.instant("since")?,
                        occurrences: row.column("occurrences")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// The numbers of more alerts that nobody was told of, of the same kind and cause as this one and after it.
    pub async fn unpublished_like(&self, alert: &AlertRow, limit: u32) -> Result<Vec<u64>, LedgerError> {
        self.read("list unpublished alerts of one cause", |mut reader| async move {
            reader
                .rows(
                    "SELECT id FROM alert WHERE published_at IS NULL AND kind = :kind AND cause = :cause AND id > :id \
                     ORDER BY id LIMIT :limit",
                    params! {
                        "kind" => alert.kind.as_str(), "cause" => alert.cause.as_str(), "id" => alert.id, "limit" => limit,
                    },
                )
                .await
        })
        .await
    }

    /// Writes down that people were told.
    pub async fn mark_published(&self, alerts: &[u64]) -> Result<(), LedgerError> {
        if alerts.is_empty() {
            return Ok(());
        }
        let list = &List::of(alerts.iter().copied());
        let statement = &format!("UPDATE alert SET published_at = UTC_TIMESTAMP(6) WHERE id IN ({list})");
        self.change(Step::MarkPublished, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, list.params()).await.during(doing)
        })
        .await
    }

    /// How many attempts of the last `stretch` failed.
    pub async fn failure_rate(&self, stretch: Duration) -> Result<FailureRate, LedgerError> {
        self.read("measure the failure rate", |mut reader| async move {
            let counts: Option<(u64, u64)> = reader
                .first(
                    "SELECT COUNT(*), CAST(COALESCE(SUM(outcome <> 'completed'), 0) AS UNSIGNED) FROM attempt \
                     WHERE ended_at >= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND \
                     AND outcome IN ('completed', 'failed', 'reaped')",
                    (crate::harvest::window::micros(stretch),),
                )
                .await?;
            let (attempts, failed) = counts.unwrap_or_default();
            Ok(FailureRate { attempts, failed })
        })
        .await
    }
}
