//! The settings of the ledger's deployment: each value that one had, with its date.
//!
//! The newest row of a name counts. Not responsible for what a setting means or who may change it (`identity.rs`, the functions).
//! Where it fails nothing was recorded, and it is recorded by the next start of a harvester.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::{Ledger, LedgerError};
use granary_domain::SourceSetting;
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};

/// Values of one setting that are kept. Two harvesters of the same identity that read different sources would write one at each start.
const VALUES_KEPT_MAX: u32 = 100;

/// A setting that has another value since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedSetting {
    /// Its name, as in `index` or `bucket`.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it has been since.
    pub after: String,
    /// Since when.
    pub changed_at: Timestamp,
}

impl Ledger {
    /// Records which source a harvester reads. A value that is on record already stays as it is.
    pub async fn record_source_settings(
        &self,
        settings: &[(SourceSetting, String)],
    ) -> Result<(), LedgerError> {
        self.change(Step::RecordSettings, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            for (setting, value) in settings {
                record(&mut transaction, doing, (setting.as_str(), value.as_str())).await?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// What was changed, the newest first.
    pub async fn changed_settings(&self, limit: u32) -> Result<Vec<ChangedSetting>, LedgerError> {
        self.read("list changed settings", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT newer.name, older.value AS old_value, newer.value AS new_value, newer.recorded_at \
                     FROM deployment_setting newer JOIN deployment_setting older \
                     ON older.name = newer.name AND older.number + 1 = newer.number \
                     ORDER BY newer.recorded_at DESC, newer.name LIMIT ?",
                    (limit,),
                )
                .await?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(ChangedSetting {
                        name: row.column("name")?,
                        before: row.column("old_value")?,
                        after: row.column("new_value")?,
                        changed_at: row.instant("recorded_at")?,
                    })
                })
                .collect()
        })
        .await
    }
}

/// Records the first value of a setting within the caller's transaction. Of two that record at once the first one counts; the other
/// one finds out when it looks again.
pub(crate) async fn record_first(
    transaction: &mut Transaction,
    doing: Doing,
    (name, value): (&str, &str),
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO deployment_setting (name, number, value, recorded_at) \
             SELECT :name, 1, :value, UTC_TIMESTAMP(6) FROM DUAL \
             WHERE NOT EXISTS (SELECT 1 FROM deployment_setting WHERE name = :name) \
             ON DUPLICATE KEY UPDATE name = deployment_setting.name",
            params! { "name" => name, "value" => value },
        )
        .await
        .during(doing)
}

/// Records a value within the caller's transaction, unless it is the newest already. Says whether it wasn't.
pub(crate) async fn record(
    transaction: &mut Transaction,
    doing: Doing,
    (name, value): (&str, &str),
) -> Result<bool, LedgerError> {
    let newest: Option<(u32, String)> = transaction
        .exec_first(
            "SELECT number, value FROM deployment_setting WHERE name = ? ORDER BY number DESC LIMIT 1",
            (name,),
        )
        .await
        .during(doing)?;
    let number = match newest {
        Some((_, known)) if known == value => return Ok(false),
        Some((number, _)) => number.saturating_add(1),
        None => 1,
    };
    transaction
        .exec_drop(
            "INSERT INTO deployment_setting (name, number, value, recorded_at) \
             VALUES (:name, :number, :value, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE name = deployment_setting.name",
            params! { "name" => name, "number" => number, "value" => value },
        )
        .await
        .during(doing)?;
    let is_recorded = transaction.affected_rows() > 0;
    if number > VALUES_KEPT_MAX {
        transaction
            .exec_drop(
                "DELETE FROM deployment_setting WHERE name = ? AND number <= ?",
                (name, number - VALUES_KEPT_MAX),
            )
            .await
            .during(doing)?;
    }
    Ok(is_recorded)
}
