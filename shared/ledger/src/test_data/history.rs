//! A synthetic history of jobs, for whoever tries the API out: finished migrations and operations that nobody ever worked on.
//!
//! Nothing of it can be taken for something archived, because there is nothing: no window, no batch, no message, no attempt,
//! no verdict. The migrations are over from the start (nobody harvests, drains, releases or completes them), were a dry run,
//! have read nothing of their range, and that range is in 1970; so no count, verification or invariant meets them. They
//! are known by their ids, which no real job can have: a real one's begins with the time at which it was made.
//! Clearing removes what has such an id, and nothing else. Making and removing may be repeated.

use crate::db::error::During;
use crate::db::row::uuid;
use crate::jobs::operation::bytes;
use crate::{Ledger, LedgerError};
use granary_domain::MigrationId;
use granary_steps::Step;
use mysql_async::params;
use uuid::Uuid;

/// Synthetic jobs there can be, of migrations and of operations.
pub const SYNTHETIC_JOBS_MAX: u8 = 100;
/// Who asked for them.
pub const SYNTHETIC_REQUESTER: &str = "granary_seed";
/// What an operation of them is called.
pub const SYNTHETIC_OPERATION: &str = "synthetic";

/// Of each of them how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyntheticJobs {
    /// Migrations.
    pub migrations: u64,
    /// Operations.
    pub operations: u64,
}

/// The id of a synthetic job: four zeros, then `granary-job`, then its number.
fn synthetic_id(number: u8) -> Uuid {
    let mut id = *b"\0\0\0\0granary-job\0";
    id[15] = number;
    Uuid::from_bytes(id)
}

impl Ledger {
    /// Makes the synthetic jobs 0 to `count` - 1: migrations that are completed or cancelled, operations that succeeded or
    /// failed. Those that exist are left as they are.
    pub async fn make_history(&self, count: u8) -> Result<(), LedgerError> {
        let count = count.min(SYNTHETIC_JOBS_MAX);
        self.change(Step::MakeHistory, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            for number in 0..count {
                let id = synthetic_id(number);
                let (state, ended) = if number % 3 == 2 {
                    ("cancelled", "failed")
                } else {
                    ("completed", "succeeded")
                };
                transaction
                    .exec_drop(
                        "INSERT INTO migration (id, kind, state, batch_size, range_from, range_to, harvested_to, dry_run, \
                         requested_by, created_at, finished_at) VALUES (:id, 'backfill', :state, 1000, \
                         '1970-01-01' + INTERVAL :number HOUR, '1970-01-01 01:00:00' + INTERVAL :number HOUR, \
                         '1970-01-01' + INTERVAL :number HOUR, TRUE, :who, '1970-01-01' + INTERVAL :number HOUR, \
                         '1970-01-01 00:30:00' + INTERVAL :number HOUR) ON DUPLICATE KEY UPDATE id = id",
                        params! { "id" => uuid(MigrationId(id)), "state" => state, "number" => number,
                                  "who" => SYNTHETIC_REQUESTER },
                    )
                    .await
                    .during(doing)?;
                transaction
                    .exec_drop(
                        "INSERT INTO operation (id, kind, state, arguments, result, error_text, requested_by, created_at, \
                         updated_at, finished_at) VALUES (:id, :kind, :state, '{\"synthetic\":true}', \
                         IF(:state = 'succeeded', '{\"synthetic\":true}', NULL), \
                         IF(:state = 'failed', 'synthetic', NULL), :who, '1970-01-01' + INTERVAL :number HOUR, \
                         '1970-01-01 00:30:00' + INTERVAL :number HOUR, '1970-01-01 00:30:00' + INTERVAL :number HOUR) \
                         ON DUPLICATE KEY UPDATE id = id",
                        params! { "id" => bytes(id), "kind" => SYNTHETIC_OPERATION, "state" => ended, "number" => number,
                                  "who" => SYNTHETIC_REQUESTER },
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// The synthetic jobs that there are.
    pub async fn history(&self) -> Result<SyntheticJobs, LedgerError> {
        self.read("count synthetic jobs", |mut reader| async move {
            let (first, last) = (bytes(synthetic_id(0)), bytes(synthetic_id(u8::MAX)));
            let counted: Option<(u64, u64)> = reader
                .first(
                    "SELECT (SELECT COUNT(*) FROM migration WHERE id BETWEEN :first AND :last), \
                     (SELECT COUNT(*) FROM operation WHERE id BETWEEN :first AND :last)",
                    params! { "first" => first, "last" => last },
                )
                .await?;
            let (migrations, operations) = counted.unwrap_or_default();
            Ok(SyntheticJobs {
                migrations,
                operations,
            })
        })
        .await
    }

    /// Removes all synthetic jobs. Says how many there were.
    pub async fn forget_history(&self) -> Result<u64, LedgerError> {
        self.change(Step::ForgetHistory, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let mut forgotten = 0;
            for table in ["migration", "operation"] {
                transaction
                    .exec_drop(
                        format!(
                            "DELETE FROM {table} WHERE id BETWEEN :first AND :last AND requested_by = :who"
                        ),
                        params! { "first" => bytes(synthetic_id(0)), "last" => bytes(synthetic_id(u8::MAX)),
                        "who" => SYNTHETIC_REQUESTER },
                    )
                    .await
                    .during(doing)?;
                forgotten += transaction.affected_rows();
            }
            transaction.commit().await.during(doing)?;
            Ok(forgotten)
        })
        .await
    }
}
