//! The exceptions of each hour, by kind and index, as the newest full verification of the hour found them.
//!
//! What an operator accepts holds for an index as a whole, and each verification looks at some hours of it: those of the others
//! are read here. A verification that dies leaves what the one before found; an hour written twice is written once.

use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::db::shape::{in_sizes, row_placeholders};
use crate::{Ledger, LedgerError};
use granary_domain::{ExceptionKind, Hour, TimeRange};
use granary_steps::Step;
use mysql_async::{Params, Row, Value, params};
use serde::{Deserialize, Serialize};

/// Kinds and indices that are summed up. What is beyond them counts as nothing.
const SUMS_MAX: u32 = 10_000;

/// Exceptions of a kind in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountedExceptions {
    /// The kind of exception.
    pub kind: ExceptionKind,
    /// The concrete index.
    pub index: String,
    /// Messages of them.
    pub messages: u64,
}

impl Ledger {
    /// Writes down the exceptions of an hour, in place of those that a verification found before.
    pub async fn count_exceptions(
        &self,
        hour: Hour,
        exceptions: &[CountedExceptions],
    ) -> Result<(), LedgerError> {
        self.change(Step::CountExceptions, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(
                    "DELETE FROM excepted_hour WHERE hour_start = ?",
                    (at(hour.start()),),
                )
                .await
                .during(doing)?;
            for some in in_sizes(exceptions) {
                let rows = row_placeholders(some.len(), 4);
                let values = some.iter().flat_map(|counted| {
                    [
                        at(hour.start()),
                        Value::from(counted.kind.as_str()),
                        Value::from(counted.index.as_str()),
                        Value::from(counted.messages),
                    ]
                });
                transaction
                    .exec_drop(
                        format!(
                            "INSERT INTO excepted_hour (hour_start, kind, index_name, messages) VALUES {rows}"
                        ),
                        Params::Positional(values.collect()),
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// The exceptions of the hours outside of a range, summed up for each kind and index that an operator accepts.
    pub async fn accepted_outside(&self, range: TimeRange) -> Result<Vec<CountedExceptions>, LedgerError> {
        self.read("sum up exceptions", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT e.kind, e.index_name, CAST(SUM(e.messages) AS UNSIGNED) AS messages \
                     FROM accepted_exception a JOIN excepted_hour e ON e.kind = a.kind AND e.index_name = a.index_name \
                     WHERE e.hour_start < :first OR e.hour_start >= :end \
                     GROUP BY e.kind, e.index_name LIMIT :most",
                    params! {
                        "first" => at(Hour::of(range.from()).start()), "end" => at(range.to()), "most" => SUMS_MAX,
                    },
                )
                .await?;
            rows.into_iter().map(counted_of).collect()
        })
        .await
    }
}

fn counted_of(mut row: Row) -> Result<CountedExceptions, LedgerError> {
    Ok(CountedExceptions {
        kind: row.parsed("kind")?,
        index: row.column("index_name")?,
        messages: row.column("messages")?,
    })
}
