//! Asking for the daily sweep. It is worked on with all other operations, in slices, and its report is kept as theirs.

use crate::reap::{Reaper, Tick};
use granary_operations::Job;
use granary_sweep::SweepArguments;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(86_400);
const REQUESTED_BY: &str = "schedule";

impl Reaper {
    /// Asks for a sweep once a day, one at a time. Two reapers at once may both ask: the second sweep finds nothing.
    pub(crate) async fn ask_for_sweep(&self, tick: &mut Tick) -> anyhow::Result<()> {
        if !self
            .ledger
            .is_operation_due(Job::SWEEP, REQUESTED_BY, EVERY)
            .await?
        {
            return Ok(());
        }
        // An operator has to confirm first; the alert says so.
        if self.ledger.restored().await?.is_some() {
            return Ok(());
        }
        let job = Job::Sweep(SweepArguments {
            apply: true,
            ..SweepArguments::default()
        });
        let operation = self.desk.ask(&job, REQUESTED_BY).await?;
        tracing::info!(%operation, "asked for the daily sweep");
        tick.sweeps_asked += 1;
        Ok(())
    }
}
