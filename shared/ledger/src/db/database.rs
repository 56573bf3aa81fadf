//! The database itself: which server it is, how large its tables are, and how many messages it knows in all.
//!
//! Sizes are the server's own estimates, which it brings up to date when it likes; counts of messages are exact, from
//! batch rows and seals, a thousand times fewer than messages. **When it fails**, nothing was changed.

use crate::db::row::Columns;
use crate::reports::Progress;
use crate::{Ledger, LedgerError};
use granary_domain::TimeRange;
use jiff::Timestamp;
use mysql_async::Row;
use serde::Serialize;

/// The server that the ledger lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// What it says of itself: `8.0.36`, `10.11.19-MariaDB`.
    pub server_version: String,
    /// By its clock, which alone decides what is due.
    pub now: Timestamp,
    /// The tables, the largest first.
    pub tables: Vec<TableSize>,
}

/// How large a table is, about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Rows, as the server estimates them.
    pub rows_about: u64,
    /// Bytes of its rows.
    pub bytes_data: u64,
    /// Bytes of its other indices.
    pub bytes_indexes: u64,
}

impl Ledger {
    /// What the server says of itself and of its tables.
    pub async fn database_info(&self) -> Result<DatabaseInfo, LedgerError> {
        let operation = "describe itself";
        self.read(operation, |mut reader| async move {
            let row: Option<Row> = reader
                .first("SELECT VERSION() AS server_version, UTC_TIMESTAMP(6) AS now_utc", ())
                .await?;
            let mut row = row.ok_or_else(|| LedgerError::inconsistent(operation, "no answer"))?;
            // MySQL gives the columns of its dictionary in capitals unless they are given names.
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT table_name AS name_of_table, CAST(COALESCE(table_rows, 0) AS UNSIGNED) AS rows_about, \
                     CAST(COALESCE(data_length, 0) AS UNSIGNED) AS bytes_data, \
                     CAST(COALESCE(index_length, 0) AS UNSIGNED) AS bytes_indexes FROM information_schema.tables \
                     WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' \
                     ORDER BY bytes_data DESC, name_of_table",
                    (),
                )
                .await?;
            let tables = rows.into_iter().map(table_of).collect::<Result<_, _>>()?;
            Ok(DatabaseInfo {
                server_version: row.column("server_version")?,
                now: row.instant("now_utc")?,
                tables,
            })
        })
        .await
    }

    /// How all messages are that the ledger knows, purged ones as well.
    pub async fn progress_of_all(&self) -> Result<Progress, LedgerError> {
        self.progress_of(TimeRange::EVER).await
    }
}

fn table_of(mut row: Row) -> Result<TableSize, LedgerError> {
    Ok(TableSize {
        table: row.column("name_of_table")?,
        rows_about: row.column("rows_about")?,
        bytes_data: row.column("bytes_data")?,
        bytes_indexes: row.column("bytes_indexes")?,
    })
}
