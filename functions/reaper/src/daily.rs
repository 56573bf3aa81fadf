//! Jobs that the reaper asks for once a day, one of a kind at a time. Two reapers at once may both ask: the second job finds
//! nothing.

use crate::reap::Reaper;
use granary_operations::Job;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(86_400);
/// Who asks for what no person did.
pub(crate) const SCHEDULE: &str = "schedule";

impl Reaper {
    /// Whether a job of this kind is due today. None is while a restored ledger waits for an operator; the alert says so.
    pub(crate) async fn is_due_today(&self, kind: &str) -> anyhow::Result<bool> {
        Ok(self.ledger.is_operation_due(kind, SCHEDULE, EVERY).await?
            && self.ledger.restored().await?.is_none())
    }

    /// Asks for a job, to be worked on with all others.
    pub(crate) async fn ask_for(&self, job: &Job) -> anyhow::Result<()> {
        let operation = self.desk.ask(job, SCHEDULE).await?;
        tracing::info!(%operation, kind = job.kind(), "asked for a job by schedule");
        Ok(())
    }
}
