//! Alerts that batches were completed without some of their messages: one storm for each outcome, whose text has counts and the
//! most common reasons of its first batch.
//!
//! It is raised in the transaction that settles the batch, so that no batch ends without it. Reasons are the exporter's; none
//! has a message's content.

use crate::LedgerError;
use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::export::settle::shortened;
use crate::export::storm::ONE_MORE;
use granary_domain::{BatchId, Hour, Outcome};
use mysql_async::{Row, params};

/// The kind of the alert.
const KIND: &str = "exceptions";
const REASONS_NAMED_MAX: usize = 3;
/// Reasons may name single messages; one that is read beyond those that are named says that there are more.
const REASONS_READ_MAX: usize = REASONS_NAMED_MAX + 1;

/// Raises the alert about a batch that this transaction settles, if it has exceptions.
pub(crate) async fn raise_exceptions(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
) -> Result<(), LedgerError> {
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT hour_start, message_count, missing, quarantined FROM batch \
             WHERE id = ? AND missing + quarantined > 0",
            (batch.0,),
        )
        .await
        .during(doing)?;
    let Some(row) = row else { return Ok(()) };
    let settled = SettledBatch::of(batch, row)?;
    let reasons: Vec<(String, u64)> = transaction
        .exec(
            "SELECT COALESCE(reason, 'no reason') AS why, COUNT(*) AS messages FROM message \
             WHERE batch_id = ? AND outcome IS NOT NULL GROUP BY why ORDER BY messages DESC, why LIMIT ?",
            (batch.0, REASONS_READ_MAX),
        )
        .await
        .during(doing)?;
    transaction
        .exec_drop(
            format!(
                "INSERT INTO alert (kind, subject_key, cause, text, created_at) \
                 VALUES (:kind, :cause, :cause, :text, UTC_TIMESTAMP(6)) {ONE_MORE}"
            ),
            params! {
                "kind" => KIND, "cause" => settled.cause().as_str(), "text" => shortened(&settled.text(&reasons)),
            },
        )
        .await
        .during(doing)
}

struct SettledBatch {
    batch: BatchId,
    hour: Hour,
    messages: u64,
    missing: u64,
    quarantined: u64,
}

impl SettledBatch {
    fn of(batch: BatchId, mut row: Row) -> Result<Self, LedgerError> {
        Ok(Self {
            batch,
            hour: Hour::of(row.instant("hour_start")?),
            messages: row.column("message_count")?,
            missing: row.column("missing")?,
            quarantined: row.column("quarantined")?,
        })
    }

    /// Alerts are grouped by what needs people most.
    fn cause(&self) -> Outcome {
        if self.quarantined > 0 {
            Outcome::Quarantined
        } else {
            Outcome::Missing
        }
    }

    fn text(&self, reasons: &[(String, u64)]) -> String {
        let Self {
            batch,
            messages,
            missing,
            quarantined,
            ..
        } = self;
        let named: Vec<String> = reasons
            .iter()
            .take(REASONS_NAMED_MAX)
            .map(|(reason, count)| format!("{count} × {reason}"))
            .collect();
        let more = if reasons.len() > REASONS_NAMED_MAX {
            "; and other reasons"
        } else {
            ""
        };
        format!(
            "batch {batch} ({messages} messages of the hour {}) is completed without {} of them: {missing} missing, \
             {quarantined} quarantined. {}{more}",
            self.hour.start(),
            missing + quarantined,
            named.join("; ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_counts_and_names_the_most_common_reasons() {
        let settled = SettledBatch {
            batch: BatchId(7),
            hour: Hour::of("2026-03-01T10:20:00Z".parse().unwrap()),
            messages: 1_000,
            missing: 30,
            quarantined: 4,
        };
        let reason = |name: &str, count| (name.to_owned(), count);
        let two = [reason("gone at the source", 30), reason("not JSON", 4)];
        assert_eq!(
            settled.text(&two),
            "batch 7 (1000 messages of the hour 2026-03-01T10:00:00Z) is completed without 34 of them: 30 missing, \
             4 quarantined. 30 × gone at the source; 4 × not JSON"
        );
        let four: Vec<_> = (1..=4)
            .map(|number| reason(&format!("reason {number}"), 1))
            .collect();
        assert!(settled.text(&four).ends_with("1 × reason 3; and other reasons"));
        assert_eq!(settled.cause(), Outcome::Quarantined);
    }
}
