//! Forgetting alerts, audit entries and operations of long ago, once a day, some at a time.

use crate::reap::{Reaper, Tick};
use granary_environment::Deadline;
use std::time::Duration;

const ROWS_PER_STEP_MAX: u32 = 1_000;
const WORK_SECS_MAX: u64 = 10;

impl Reaper {
    /// Forgets what is older than the setting says. What this tick has no time for is left to the next.
    pub(crate) async fn forget_history(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        let Some(kept) = self.history else { return Ok(()) };
        let deadline = deadline.within(Duration::from_secs(WORK_SECS_MAX));
        while !deadline.is_near() {
            let forgotten = self.ledger.forget_old_records(kept, ROWS_PER_STEP_MAX).await?;
            tick.records_forgotten += forgotten.alerts + forgotten.audit + forgotten.operations;
            if !forgotten.has_more {
                break;
            }
        }
        Ok(())
    }
}
