//! Whose ledger it is: the settings that are recorded once, and the functions that have others.
//!
//! As long as the ledger has given out no batch number, nothing depends on them, and a corrected setting is recorded in place of
//! a wrong one. From then on only an operator changes them. Not responsible for what a function with another setting does: the
//! functions decide. Where the ledger can't be asked, a function doesn't know whose ledger it is, and does no work.

use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::integrity::accepted::{EVERY_PROOF, take_back_proofs};
use crate::settings::deployment_setting::{record, record_first};
use crate::{Ledger, LedgerError};
use granary_domain::{Identity, IdentitySetting};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::fmt;

/// A function looks each minute. What none has met for so long is over.
const NOTED_SECS_MAX: u32 = 5 * 60;

/// A setting of the deployment that the ledger belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSetting {
    /// Which.
    pub setting: IdentitySetting,
    /// What it is.
    pub value: String,
    /// Since when.
    pub recorded_at: Timestamp,
}

/// A setting of which a function has another value than the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the ledger has.
    pub recorded: RecordedSetting,
    /// What the function has.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordedSetting {
            setting,
            value,
            recorded_at,
        } = &self.recorded;
        write!(
            f,
            "{setting} ({}) is {:?}, and the ledger has {value:?} since {recorded_at:.0}",
            setting.variable(),
            self.found
        )
    }
}

impl Mismatch {
    /// All of them in one sentence, for people.
    pub fn told(mismatches: &[Self]) -> String {
        let each: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
        format!("the ledger belongs to another deployment: {}", each.join("; "))
    }
}

impl Ledger {
    /// The settings of the deployment that the ledger belongs to; empty: none is recorded yet.
    pub async fn identity(&self) -> Result<Vec<RecordedSetting>, LedgerError> {
        let names = &List::of(IdentitySetting::NAMES.iter().map(|name| (*name).to_owned()));
        let query = &format!(
            "SELECT s.name, s.value, s.recorded_at FROM deployment_setting s \
             WHERE s.name IN ({names}) \
             AND s.number = (SELECT MAX(n.number) FROM deployment_setting n WHERE n.name = s.name)"
        );
        self.read("tell whose ledger it is", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, names.params()).await?;
            rows.into_iter().map(recorded_of).collect()
        })
        .await
    }

    /// The settings of which this function has another value than the ledger: it must do no work then.
    pub async fn mismatches(&self, identity: &Identity) -> Result<Vec<Mismatch>, LedgerError> {
        let differing = differing(identity, &self.identity().await?);
        match !differing.is_empty() && self.is_used().await? {
            true => Ok(differing),
            false => Ok(Vec::new()),
        }
    }

    /// Records the settings of a function that is fit for work, once. Says which of them are others than the ledger's.
    pub async fn record_identity(&self, identity: &Identity) -> Result<Vec<Mismatch>, LedgerError> {
        let recorded = self.identity().await?;
        if is_known(identity, &recorded) {
            return Ok(Vec::new());
        }
        let differing = differing(identity, &recorded);
        let is_used = self.is_used().await?;
        if is_used && !differing.is_empty() {
            return Ok(differing);
        }
        self.change(Step::RecordIdentity, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            for (setting, value) in identity.settings() {
                let named = (setting.as_str(), value);
                if is_used {
                    record_first(&mut transaction, doing, named).await?;
                } else {
                    record(&mut transaction, doing, named).await?;
                }
            }
            transaction.commit().await.during(doing)
        })
        .await?;
        self.mismatches(identity).await
    }

    /// Whether the ledger has ever given out a batch number: whether something in the archive depends on it.
    async fn is_used(&self) -> Result<bool, LedgerError> {
        self.read("tell whether it is in use", |mut reader| async move {
            let is_used: Option<bool> = reader
                .first(
                    "SELECT EXISTS (SELECT 1 FROM batch_number WHERE next_number > 1) \
                     OR EXISTS (SELECT 1 FROM batch)",
                    (),
                )
                .await?;
            Ok(is_used.unwrap_or(true))
        })
        .await
    }

    /// Notes that a function has other settings, for the reaper of whichever deployment the ledger belongs to.
    pub async fn note_mismatches(&self, mismatches: &[Mismatch]) -> Result<(), LedgerError> {
        self.change(Step::NoteMismatch, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            for mismatch in mismatches {
                let name = mismatch.recorded.setting.as_str();
                transaction
                    .exec_drop(
                        "INSERT INTO deployment_mismatch (name, value, found_at) \
                         VALUES (:name, :value, UTC_TIMESTAMP(6)) \
                         ON DUPLICATE KEY UPDATE value = VALUES(value), found_at = VALUES(found_at)",
                        params! { "name" => name, "value" => &mismatch.found },
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// What functions have noted within the last five minutes, and what the ledger doesn't have by now.
    pub async fn noted_mismatches(&self) -> Result<Vec<Mismatch>, LedgerError> {
        let noted: Vec<(String, String)> = self
            .read("list settings that aren't its own", |mut reader| async move {
                reader
                    .rows(
                        "SELECT name, value FROM deployment_mismatch \
                         WHERE found_at >= UTC_TIMESTAMP(6) - INTERVAL ? SECOND ORDER BY name",
                        (NOTED_SECS_MAX,),
                    )
                    .await
            })
            .await?;
        // The name of a setting that a newer version has isn't known here.
        let noted = noted
            .into_iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, value)));
        Ok(differing(&Identity::of(noted), &self.identity().await?))
    }

    /// Gives the ledger another setting. What was proven with the one before isn't proven any more. Says whether it has changed.
    pub async fn adopt_setting(&self, setting: IdentitySetting, value: &str) -> Result<bool, LedgerError> {
        self.change(Step::AdoptSetting, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let has_changed = record(&mut transaction, doing, (setting.as_str(), value)).await?;
            if has_changed {
                take_back_proofs(&mut transaction, doing, EVERY_PROOF).await?;
            }
            transaction.commit().await.during(doing)?;
            Ok(has_changed)
        })
        .await
    }
}

fn recorded_of(mut row: Row) -> Result<RecordedSetting, LedgerError> {
    Ok(RecordedSetting {
        setting: row.parsed("name")?,
        value: row.column("value")?,
        recorded_at: row.instant("recorded_at")?,
    })
}

/// What isn't recorded, or isn't known to the function, differs from nothing.
fn differing(identity: &Identity, recorded: &[RecordedSetting]) -> Vec<Mismatch> {
    let of_function = |of_ledger: &RecordedSetting| {
        let found = identity.value(of_ledger.setting)?;
        (found != of_ledger.value).then(|| Mismatch {
            recorded: of_ledger.clone(),
            found: found.to_owned(),
        })
    };
    let mut differing: Vec<Mismatch> = recorded.iter().filter_map(of_function).collect();
    let place = |mismatch: &Mismatch| {
        IdentitySetting::ALL
            .iter()
            .position(|setting| *setting == mismatch.recorded.setting)
    };
    differing.sort_by_key(place);
    differing
}

/// Whether the ledger has each of these settings as the function has it.
fn is_known(identity: &Identity, recorded: &[RecordedSetting]) -> bool {
    identity.settings().all(|(setting, value)| {
        recorded
            .iter()
            .any(|of_ledger| of_ledger.setting == setting && of_ledger.value == value)
    })
}
