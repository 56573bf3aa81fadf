//! Asking for a purge once a day, where a setting says so: the ledger's rows of final hours that are old enough.

use crate::reap::{Reaper, Tick};
use granary_operations::{Job, PurgeArguments};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(86_400);
const REQUESTED_BY: &str = "schedule";

impl Reaper {
    /// Asks for a purge of what is older than the setting, and has settled. Which hours have come to their end the purge finds
    /// out itself.
    pub(crate) async fn ask_for_purge(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let Some(after) = self.schedule.section.purge_after else {
            return Ok(());
        };
        if !self
            .ledger
            .is_operation_due(Job::PURGE, REQUESTED_BY, EVERY)
            .await?
            || self.ledger.restored().await?.is_some()
        {
            return Ok(());
        }
        let now = self.ledger.now().await?;
        let job = Job::Purge(PurgeArguments {
            before: now - after.max(self.schedule.horizon),
            dry_run: false,
            horizon_secs: self.schedule.horizon.as_secs(),
            requested_by: REQUESTED_BY.to_owned(),
        });
        let operation = self.desk.ask(&job, REQUESTED_BY).await?;
        tracing::info!(%operation, "asked for the daily purge");
        tick.purges_asked += 1;
        Ok(())
    }
}
