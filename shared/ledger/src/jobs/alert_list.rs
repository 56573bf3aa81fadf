//! The alerts that there were, for people who look back: which were told, and what they are about still lasts.
//!
//! An alert is open if it is about a condition or a storm that isn't over. Anything else is something that happened once. Writing and publishing them is `alert.rs`.

use crate::db::row::{Columns, at};
use crate::{Ledger, LedgerError};
use jiff::Timestamp;
use mysql_async::{Row, Value, params};

/// An alert as it stands on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEntry {
    /// Its number: later ones are higher.
    pub id: u64,
    /// `parked`, `failure_rate`, `deferred`, …
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Alerts of one kind and cause are told together.
    pub cause: String,
    /// For people.
    pub text: String,
    /// Since when.
    pub created_at: Timestamp,
    /// How often it has happened.
    pub occurrences: u32,
    /// When it happened last, where it happened more than once.
    pub last_at: Option<Timestamp>,
    /// When people were told; `None`: not yet.
    pub published_at: Option<Timestamp>,
    /// When the condition was over.
    pub over_at: Option<Timestamp>,
    /// Whether what it is about still lasts.
    pub is_open: bool,
}

/// Which alerts to list.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only those that are open, or only those that aren't.
    pub open: Option<bool>,
    /// Only those that were written down from then on.
    pub from: Option<Timestamp>,
    /// Only those that were written down before then.
    pub to: Option<Timestamp>,
    /// Only those before this one (the list is newest first): the cursor.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
}

/// The kinds of alerts about conditions: those that somebody ends with an alert of its own.
pub(crate) const CONDITIONS: &str = "('failure_rate', 'deferred', 'documents_late', 'documents_without_time', 'documents_in_future', \
     'documents_too_early', 'unproven', 'source_problem', 'export_stalled', 'consumers_off', 'parked', 'exceptions', \
     'ledger_identity')";

impl Ledger {
    /// Alerts, the newest first.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<AlertEntry>, LedgerError> {
        let is_open = format!("(a.over_at IS NULL AND a.kind IN {CONDITIONS})");
        let query = &format!(
            "SELECT a.id, a.kind, a.subject_key, a.cause, a.text, a.created_at, a.occurrences, a.last_at, a.published_at, \
             a.over_at, {is_open} AS is_open FROM alert a WHERE a.id < :before AND (:kind IS NULL OR a.kind = :kind) \
             AND (:from IS NULL OR a.created_at >= :from) AND (:to IS NULL OR a.created_at < :to) \
             AND (:open IS NULL OR {is_open} = :open) ORDER BY a.id DESC LIMIT :limit"
        );
        self.read("list alerts", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    query,
                    params! {
                        "before" => filter.before.unwrap_or(u64::MAX), "kind" => filter.kind.as_deref(),
                        "open" => filter.open, "limit" => filter.limit,
                        "from" => filter.from.map_or(Value::NULL, at), "to" => filter.to.map_or(Value::NULL, at),
                    },
                )
                .await?;
            rows.into_iter().map(alert_of).collect()
        })
        .await
    }

    /// How many alerts are open.
    pub async fn open_alerts(&self) -> Result<u64, LedgerError> {
        let query = &format!("SELECT COUNT(*) FROM alert WHERE over_at IS NULL AND kind IN {CONDITIONS}");
        self.read("count open alerts", |mut reader| async move {
            Ok(reader.first::<u64>(query, ()).await?.unwrap_or(0))
        })
        .await
    }
}

fn alert_of(mut row: Row) -> Result<AlertEntry, LedgerError> {
    Ok(AlertEntry {
        id: row.column("id")?,
        kind: row.column("kind")?,
        subject: row.column("subject_key")?,
        cause: row.column("cause")?,
        text: row.column("text")?,
        created_at: row.instant("created_at")?,
        occurrences: row.column("occurrences")?,
        last_at: row.instant_or_null("last_at")?,
        published_at: row.instant_or_null("published_at")?,
        over_at: row.instant_or_null("over_at")?,
        is_open: row.column("is_open")?,
    })
}
