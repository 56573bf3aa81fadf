//! Forgetting probes of long ago, a bounded number a tick.

use crate::reap::{Reaper, Tick};
use std::time::Duration;

const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
const PROBES_PER_TICK_MAX: u32 = 1_000;

impl Reaper {
    /// Forgets probes that were sent more than a day ago, arrived or not.
    pub(crate) async fn forget_probes(&self, tick: &mut Tick) -> anyhow::Result<()> {
        tick.probes_forgotten += self.ledger.forget_probes(KEPT_FOR, PROBES_PER_TICK_MAX).await?;
        Ok(())
    }
}
