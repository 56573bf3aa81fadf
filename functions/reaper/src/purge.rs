//! Asking for a purge once a day, where a setting says so: the ledger's rows of hours that are old enough.

use crate::daily::SCHEDULE;
use crate::reap::{Reaper, Tick};
use granary_operations::{Job, PurgeArguments};

impl Reaper {
    /// Asks for a purge of what is older than the setting, and has settled. Which hours can be purged the job finds out.
    pub(crate) async fn ask_for_purge(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let Some(after) = self.schedule.section.purge_after else {
            return Ok(());
        };
        if !self.is_due_today(Job::PURGE).await? {
            return Ok(());
        }
        let now = self.ledger.now().await?;
        self.ask_for(&Job::Purge(PurgeArguments {
            before: now - after.max(self.schedule.horizon),
            dry_run: false,
            horizon_secs: self.schedule.horizon.as_secs(),
            requested_by: SCHEDULE.to_owned(),
        }))
        .await?;
        tick.purges_asked += 1;
        Ok(())
    }
}
