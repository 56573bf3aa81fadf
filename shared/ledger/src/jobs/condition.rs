//! Conditions: what lasts for a while. Its beginning is an alert, and so is its end.
//!
//! A condition is a kind with a cause, and of each pair one lasts at most: while it lasts its row has the cause as its
//! subject, which is unique, and the end renames it. So two reapers at once begin one, and end it once. Not responsible
//! for what begins or ends a condition (the functions decide), nor for publishing (`alert.rs`). When it fails, nothing was
//! changed, and the next tick sees the same.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use mysql_async::{Row, params};
use std::time::Duration;

/// A kind has a handful of causes; a bound all the same.
const CAUSES_MAX: u32 = 32;
/// Alerts about subjects: how many are looked at, and how many end at once.
const OPEN_MAX: u32 = 10_000;
const ENDED_MAX: usize = 100;

impl Ledger {
    /// Raises an alert that a condition has begun, unless it lasts already. Says whether it is new.
    pub async fn begin_condition(&self, kind: &str, cause: &str, text: &str) -> Result<bool, LedgerError> {
        let text = crate::export::settle::shortened(text);
        let text = text.as_str();
        self.change(Step::BeginCondition, |doing| async move {
            let mut conn = self.conn(doing).await?;
            // Looked for first, so that a condition that lasts takes no number at each tick.
            conn.exec_drop(
                "INSERT INTO alert (kind, subject_key, cause, text, created_at) \
                 SELECT :kind, :cause, :cause, :text, UTC_TIMESTAMP(6) FROM DUAL \
                 WHERE NOT EXISTS (SELECT 1 FROM alert WHERE kind = :kind AND subject_key = :cause) \
                 ON DUPLICATE KEY UPDATE kind = alert.kind",
                params! { "kind" => kind, "cause" => cause, "text" => text },
            )
            .await
            .during(doing)?;
            Ok(conn.affected_rows() > 0)
        })
        .await
    }

    /// Writes down that a condition is over, if it lasted, with an alert that says so. Says whether this call did it.
    pub async fn end_condition(&self, kind: &str, cause: &str, text: &str) -> Result<bool, LedgerError> {
        let text = crate::export::settle::shortened(text);
        let text = text.as_str();
        self.change(Step::EndCondition, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let lasting: Option<u64> = transaction
                .exec_first(
                    "SELECT id FROM alert WHERE kind = ? AND subject_key = ? FOR UPDATE",
                    (kind, cause),
                )
                .await
                .during(doing)?;
            let Some(id) = lasting else {
                transaction.rollback().await.during(doing)?;
                return Ok(false);
            };
            end_alert(&mut transaction, doing, (id, kind, cause), text).await?;
            transaction.commit().await.during(doing)?;
            Ok(true)
        })
        .await
    }

    /// Ends the alerts of this kind that are about none of these subjects, each with an alert that says so: up to 100.
    pub async fn end_alerts_but(&self, kind: &str, lasting: &[String]) -> Result<(), LedgerError> {
        self.change(Step::EndCondition, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let open: Vec<(u64, String, String, String)> = transaction
                .exec(
                    "SELECT id, CONVERT(subject_key USING utf8mb4), cause, text FROM alert \
                     WHERE kind = ? AND over_at IS NULL ORDER BY id LIMIT ? FOR UPDATE",
                    (kind, OPEN_MAX),
                )
                .await
                .during(doing)?;
            let over = open.iter().filter(|(_, subject, ..)| !lasting.contains(subject));
            for (id, _, cause, text) in over.take(ENDED_MAX) {
                let text = format!("no longer the case: {text}");
                end_alert(&mut transaction, doing, (*id, kind, cause), &text).await?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// The causes for which a condition of this kind lasts, each with the number of its alert.
    pub async fn lasting_conditions(&self, kind: &str) -> Result<Vec<(String, u64)>, LedgerError> {
        self.read("list lasting conditions", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, cause FROM alert WHERE kind = ? AND over_at IS NULL ORDER BY id LIMIT ?",
                    (kind, CAUSES_MAX),
                )
                .await?;
            rows.into_iter()
                .map(|mut row| Ok((row.column("cause")?, row.column("id")?)))
                .collect()
        })
        .await
    }

    /// The causes of this kind's conditions that ended within so long a time before now.
    pub async fn causes_ended_within(&self, kind: &str, time: Duration) -> Result<Vec<String>, LedgerError> {
        let query = &format!(
            "SELECT DISTINCT cause FROM alert FORCE INDEX (alert_age) WHERE kind = CONCAT(:kind, '_over') \
             AND created_at >= UTC_TIMESTAMP(6) - INTERVAL :time MICROSECOND LIMIT {CAUSES_MAX}"
        );
        self.read("list conditions that ended", |mut reader| async move {
            let params = params! { "kind" => kind, "time" => micros(time) };
            reader.rows(query, params).await
        })
        .await
    }
}

/// Ends an alert that lasts, with another one that says so. Says whether this call did it. Its subject is free from then on:
/// what begins anew has an alert of its own.
pub(crate) async fn end_alert(
    transaction: &mut Transaction,
    doing: Doing,
    (id, kind, cause): (u64, &str, &str),
    text: &str,
) -> Result<bool, LedgerError> {
    transaction
        .exec_drop(
            "UPDATE alert SET over_at = UTC_TIMESTAMP(6), subject_key = CONCAT(subject_key, '.', id) \
             WHERE id = ? AND over_at IS NULL",
            (id,),
        )
        .await
        .during(doing)?;
    if transaction.affected_rows() == 0 {
        return Ok(false);
    }
    transaction
        .exec_drop(
            "INSERT INTO alert (kind, subject_key, cause, text, created_at, over_at, occurrences) \
             SELECT CONCAT(:kind, '_over'), id, :cause, :text, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), occurrences \
             FROM alert WHERE id = :id",
            params! {
                "kind" => kind, "id" => id, "cause" => cause, "text" => crate::export::settle::shortened(text),
            },
        )
        .await
        .during(doing)?;
    Ok(true)
}
