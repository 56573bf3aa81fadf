//! Pauses: which part of the journey stands still, because somebody wants it to.

use crate::db::error::During;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use mysql_async::params;

/// What stands in the row of a pause that nobody gave a reason for.
pub(crate) const NO_REASON: &str = "true";

/// A part of the journey that can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading ids.
    Harvest,
    /// Sending and exporting batches.
    Export,
}

impl Stage {
    pub(crate) fn control(self) -> &'static str {
        match self {
            Self::Harvest => "harvest.paused",
            Self::Export => "export.paused",
        }
    }
}

impl Ledger {
    /// Pauses a stage. Whoever is at work finishes what is in hand.
    pub async fn pause(&self, stage: Stage, who: &str) -> Result<(), LedgerError> {
        self.pause_because(stage, who, None).await
    }

    /// The same, with what people are to read as long as it lasts; its beginning, where it is long. Who paused a stage
    /// first, since when and why stays as it is when somebody pauses it again.
    pub async fn pause_because(
        &self,
        stage: Stage,
        who: &str,
        reason: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.change(Step::PauseStage, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, LEFT(:reason, 255), UTC_TIMESTAMP(6), :who) \
                 ON DUPLICATE KEY UPDATE name = VALUES(name)",
                params! { "name" => stage.control(), "who" => who, "reason" => reason.unwrap_or(NO_REASON) },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Resumes a stage. Batches whose messages ran out meanwhile are sent again by the reaper.
    pub async fn resume(&self, stage: Stage) -> Result<(), LedgerError> {
        self.change(Step::ResumeStage, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop("DELETE FROM control WHERE name = ?", (stage.control(),))
                .await
                .during(doing)
        })
        .await
    }
}
