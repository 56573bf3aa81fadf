//! Taking away the objects of exports that were replaced, soon after the new ones are on record: until then queries over
//! the bucket show their messages twice.

use crate::reap::{Reaper, Tick};
use granary_environment::Deadline;
use std::time::{Duration, Instant};

const WORK_SECS_MAX: u64 = 10;

impl Reaper {
    /// What this tick has no time for is left to the next.
    pub(crate) async fn remove_superseded(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        let until = deadline
            .stop()
            .min(Instant::now() + Duration::from_secs(WORK_SECS_MAX));
        tick.superseded_removed += self.desk.remove_superseded(until).await?;
        Ok(())
    }
}
