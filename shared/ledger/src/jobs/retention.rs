//! Retention: alerts, audit entries and operations of long ago are forgotten once a day, some at a time.
//!
//! Never forgotten are an alert that is open or wasn't published, and an operation that isn't over. What the archive holds,
//! and the ledger's rows about it, have no part in this. When it fails, what is left is forgotten by the next call, and a day
//! counts as done only when nothing is left.

use crate::db::connect::Doing;
use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::shape::List;
use crate::harvest::window::micros;
use crate::jobs::alert_list::CONDITIONS;
use crate::test_data::SYNTHETIC_OPERATION;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use std::time::Duration;

const FORGOTTEN: &str = "records.forgotten";

/// How much was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Alerts.
    pub alerts: u64,
    /// Audit entries.
    pub audit: u64,
    /// Operations.
    pub operations: u64,
    /// Whether more is left to forget.
    pub has_more: bool,
}

impl Ledger {
    /// Forgets alerts, audit entries and operations that are older than `kept`, up to `limit` of each, where the last time
    /// that nothing was left is a day ago.
    pub async fn forget_old_records(&self, kept: Duration, limit: u32) -> Result<Forgotten, LedgerError> {
        self.change(Step::ForgetOldRecords, |doing| {
            self.try_forget_old_records(doing, micros(kept), limit)
        })
        .await
    }

    async fn try_forget_old_records(
        &self,
        doing: Doing,
        kept: u64,
        limit: u32,
    ) -> Result<Forgotten, LedgerError> {
        let mut conn = self.conn(doing).await?;
        let is_done: Option<u8> = conn
            .exec_first(
                "SELECT 1 FROM control WHERE name = ? AND changed_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY",
                (FORGOTTEN,),
            )
            .await
            .during(doing)?;
        if is_done.is_some() {
            return Ok(Forgotten::default());
        }
        let mut forgotten = Forgotten {
            alerts: forget_alerts(&mut conn, kept, limit).await.during(doing)?,
            ..Forgotten::default()
        };
        conn.exec_drop(
            "DELETE FROM audit WHERE at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND ORDER BY at LIMIT ?",
            (kept, limit),
        )
        .await
        .during(doing)?;
        forgotten.audit = conn.affected_rows();
        // Synthetic ones are of 1970, and stay until they are cleared.
        conn.exec_drop(
            "DELETE FROM operation WHERE finished_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND AND kind <> ? \
             ORDER BY finished_at LIMIT ?",
            (kept, SYNTHETIC_OPERATION, limit),
        )
        .await
        .during(doing)?;
        forgotten.operations = conn.affected_rows();
        let most = forgotten.alerts.max(forgotten.audit).max(forgotten.operations);
        forgotten.has_more = most >= u64::from(limit);
        if !forgotten.has_more {
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (?, '', UTC_TIMESTAMP(6), 'reaper') ON DUPLICATE KEY UPDATE changed_at = VALUES(changed_at)",
                (FORGOTTEN,),
            )
            .await
            .during(doing)?;
        }
        Ok(forgotten)
    }
}

/// Two statements, since MariaDB knows no alias in a DELETE. One that was over may be raised anew in between, and stays.
async fn forget_alerts(conn: &mut Connection, kept: u64, limit: u32) -> Result<u64, mysql_async::Error> {
    let query = format!(
        "SELECT a.id FROM alert a WHERE a.created_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND \
         AND a.published_at IS NOT NULL AND (a.over_at IS NOT NULL OR a.kind NOT IN {CONDITIONS}) \
         ORDER BY a.created_at LIMIT ?"
    );
    let ids: Vec<u64> = conn.exec(query, (kept, limit)).await?;
    if !ids.is_empty() {
        let list = List::of(ids.iter().copied());
        let statement = format!(
            "DELETE FROM alert WHERE (over_at IS NOT NULL OR kind NOT IN {CONDITIONS}) AND id IN ({list})"
        );
        conn.exec_drop(statement, list.params()).await?;
    }
    Ok(ids.len() as u64)
}
