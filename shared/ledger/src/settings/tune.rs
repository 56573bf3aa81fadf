//! Live settings that operators changed: rows of `control` that begin with `tune.`.
//!
//! Functions read them at most once in an invocation, or with a statement that they ask anyway. A setting that was given
//! back to the environment keeps its row, empty, so that people see who did it and when. What can't be read as a number (a
//! newer version's) counts as not tuned. Not here: what a setting does and which values it may have (`Setting` of the domain).

use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{Setting, Tuning};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::time::Duration;

/// A setting that somebody changed, perhaps back again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunedSetting {
    /// Which.
    pub setting: Setting,
    /// What it is; `None`: what the environment says.
    pub value: Option<u64>,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
    /// Whether that is less than a day ago, by the database's clock.
    pub is_recent: bool,
}

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingChange {
    /// Which.
    pub setting: Setting,
    /// What it is to be; `None`: what the environment says.
    pub value: Option<u64>,
}

fn name_of(setting: Setting) -> String {
    format!("tune.{setting}")
}

impl Ledger {
    /// What operators tuned, for the functions: one statement.
    pub async fn tuning(&self) -> Result<Tuning, LedgerError> {
        let mut tuning = Tuning::default();
        for tuned in self.tuned_settings().await? {
            let small = tuned.value.and_then(|value| u32::try_from(value).ok());
            match tuned.setting {
                Setting::MaxAttempts => {
                    tuning.attempts_max = small;
                    tuning.attempts_changed_lately = tuned.is_recent;
                }
                Setting::RetryDelayMs => tuning.retry_delay = tuned.value.map(Duration::from_millis),
                Setting::BatchSize => tuning.batch_size = small,
                Setting::HarvestLagSeconds => tuning.harvest_lag = tuned.value.map(Duration::from_secs),
            }
        }
        Ok(tuning)
    }

    /// What operators tuned, and who and when. Settings that nobody ever changed aren't there.
    pub async fn tuned_settings(&self) -> Result<Vec<TunedSetting>, LedgerError> {
        let names = &List::of(Setting::ALL.iter().map(|setting| name_of(*setting)));
        let query = &format!(
            "SELECT name, setting, changed_at, changed_by, \
             changed_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY AS is_recent FROM control WHERE name IN ({names})"
        );
        self.read("read live settings", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, names.params()).await?;
            rows.into_iter()
                .filter_map(|row| tuned_of(row).transpose())
                .collect()
        })
        .await
    }

    /// Changes live settings, all of them or none.
    pub async fn tune(&self, changes: &[SettingChange], who: &str) -> Result<(), LedgerError> {
        self.change(Step::TuneSettings, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            for change in changes {
                let value = change.value.map_or_else(String::new, |value| value.to_string());
                transaction
                    .exec_drop(
                        "INSERT INTO control (name, setting, changed_at, changed_by) \
                         VALUES (:name, :value, UTC_TIMESTAMP(6), :who) ON DUPLICATE KEY UPDATE \
                         changed_at = IF(setting = :value, changed_at, UTC_TIMESTAMP(6)), \
                         changed_by = IF(setting = :value, changed_by, :who), setting = :value",
                        params! { "name" => name_of(change.setting), "value" => value, "who" => who },
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// Up to when messages count as settled at the source: now less the lag, which is the tuned one where somebody tuned it.
    pub async fn settled_up_to(&self, lag_of_environment: Duration) -> Result<Timestamp, LedgerError> {
        let operation = "tell up to when messages have settled";
        self.read(operation, |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT UTC_TIMESTAMP(6) - INTERVAL COALESCE((SELECT CAST(NULLIF(setting, '') AS UNSIGNED) * 1000000 \
                     FROM control WHERE name = 'tune.harvestLagSeconds'), ?) MICROSECOND AS settled",
                    (micros(lag_of_environment),),
                )
                .await?;
            row.ok_or_else(|| LedgerError::inconsistent(operation, "no answer"))?
                .instant("settled")
        })
        .await
    }
}

fn tuned_of(mut row: Row) -> Result<Option<TunedSetting>, LedgerError> {
    let (name, text): (String, String) = (row.column("name")?, row.column("setting")?);
    let setting = name.strip_prefix("tune.").and_then(|name| name.parse().ok());
    let Some(setting) = setting else { return Ok(None) };
    Ok(Some(TunedSetting {
        setting,
        value: text.parse().ok(),
        changed_at: row.instant("changed_at")?,
        changed_by: row.column("changed_by")?,
        is_recent: row.column("is_recent")?,
    }))
}
