//! Whose ledger it is: one alert for each setting that a function has otherwise than the ledger, and one when none has it any more.
//!
//! A reaper whose own settings differ leaves batches, queues, objects and jobs to the reaper of the ledger's deployment: it
//! raises and publishes these alerts, measures, and does nothing else. Settings of other functions and of other deployments on the
//! same ledger are known by what they noted within the last five minutes. Where the ledger doesn't answer, the tick does no work.

use crate::reap::{Reaper, Tick};
use granary_domain::resolved_kind;
use granary_ledger::jobs::AlertRow;
use granary_ledger::settings::Mismatch;

const KIND: &str = "ledger_identity";

impl Reaper {
    /// Looks whether the ledger is this deployment's, and notes what isn't.
    pub(crate) async fn compare_identity(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let mismatches = self.ledger.mismatches(&self.identity).await?;
        if mismatches.is_empty() {
            tick.is_at_home = true;
            return Ok(());
        }
        tick.foreign = true;
        tracing::error!(
            "{}. Nothing is reaped, sent or swept",
            Mismatch::told(&mismatches)
        );
        Ok(self.ledger.note_mismatches(&mismatches).await?)
    }

    /// Raises an alert for each setting that a function has otherwise, and resolves those that none has any more.
    pub(crate) async fn watch_identity(&self) -> anyhow::Result<()> {
        let noted = self.ledger.noted_mismatches().await?;
        for mismatch in &noted {
            let text = format!("{mismatch}. Harvester and exporter do no work with this setting");
            let cause = mismatch.recorded.setting.as_str();
            self.ledger.begin_condition(KIND, cause, &text).await?;
        }
        let holding: Vec<&str> = noted
            .iter()
            .map(|mismatch| mismatch.recorded.setting.as_str())
            .collect();
        let lasting = self.ledger.lasting_conditions(KIND).await?;
        self.end_all_but(
            &holding,
            (KIND, &lasting),
            "no function has another value than the ledger any more",
        )
        .await
    }
}

/// Whether a reaper publishes an alert when its ledger is another deployment's.
pub(crate) fn is_told_from_abroad(row: &AlertRow) -> bool {
    row.kind == KIND || resolved_kind(&row.kind) == Some(KIND)
}
