//! Live settings, and the record of what operators did.

use crate::error::During;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use mysql_async::{params, prelude::Queryable};

/// A part of the journey that can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading ids.
    Harvest,
    /// Sending and exporting batches.
    Export,
}

impl Stage {
    fn control(self) -> &'static str {
        match self {
            Self::Harvest => "harvest.paused",
            Self::Export => "export.paused",
        }
    }
}

/// Something that an operator did.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Who.
    pub who: String,
    /// What: `migrate.start`, `seed.clear`, …
    pub action: &'static str,
    /// With which arguments.
    pub arguments: serde_json::Value,
    /// What it changed.
    pub effect: Option<serde_json::Value>,
}

impl Ledger {
    /// Pauses a stage. Whoever is at work finishes what is in hand.
    pub async fn pause(&self, stage: Stage, who: &str) -> Result<(), LedgerError> {
        self.change(Step::PauseStage, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, 'true', UTC_TIMESTAMP(6), :who) ON DUPLICATE KEY UPDATE name = VALUES(name)",
                params! { "name" => stage.control(), "who" => who },
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

    /// Writes down what an operator did.
    pub async fn record_audit(&self, audit: &Audit) -> Result<(), LedgerError> {
        self.change(Step::RecordAudit, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO audit (at, who, action, arguments, effect) \
                 VALUES (UTC_TIMESTAMP(6), :who, :action, :arguments, :effect)",
                params! {
                    "who" => &audit.who, "action" => audit.action, "arguments" => audit.arguments.to_string(),
                    "effect" => audit.effect.as_ref().map(ToString::to_string),
                },
            )
            .await
            .during(doing)
        })
        .await
    }
}
