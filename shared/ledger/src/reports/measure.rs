//! What this deployment has measured of itself: how heavy messages are and how fast they are exported.
//!
//! From the newest attempts that ended with an object, as their rows have it. What follows from it is its reader's
//! business. **When it fails**, nothing was changed.

use crate::db::row::Columns;
use crate::{Ledger, LedgerError};
use jiff::Timestamp;
use mysql_async::Row;

/// An attempt that ended with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredExport {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Messages in its object.
    pub exported: u32,
    /// The object's bytes before compression.
    pub bytes_raw: u64,
    /// The object's bytes.
    pub bytes_stored: u64,
}

/// Older attempts say little of what an export takes today.
const LOOK_BACK_DAYS: u32 = 30;

impl Ledger {
    /// The newest attempts that ended with an object, of the last 30 days, the newest first.
    pub async fn measured_exports(&self, limit: u32) -> Result<Vec<MeasuredExport>, LedgerError> {
        let query = &format!(
            "SELECT a.started_at, a.ended_at, b.exported, b.bytes_raw, b.bytes_stored FROM \
             (SELECT batch_id, number, started_at, ended_at FROM attempt \
              WHERE ended_at >= UTC_TIMESTAMP(6) - INTERVAL {LOOK_BACK_DAYS} DAY AND outcome = 'completed' \
              ORDER BY ended_at DESC LIMIT {limit}) a \
             JOIN batch b ON b.id = a.batch_id AND b.fence = a.number \
             WHERE b.status = 'completed' AND b.object_key IS NOT NULL ORDER BY a.ended_at DESC"
        );
        self.read("measure exports", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, ()).await?;
            rows.into_iter().map(export_of).collect()
        })
        .await
    }
}

fn export_of(mut row: Row) -> Result<MeasuredExport, LedgerError> {
    Ok(MeasuredExport {
        started_at: row.instant("started_at")?,
        ended_at: row.instant("ended_at")?,
        exported: row.column("exported")?,
        bytes_raw: row.column("bytes_raw")?,
        bytes_stored: row.column("bytes_stored")?,
    })
}
