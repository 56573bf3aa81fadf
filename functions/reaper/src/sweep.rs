//! Asking for the daily sweep. It is worked on with all other operations, in slices, and its report is kept as theirs.

use crate::reap::{Reaper, Tick};
use granary_operations::Job;
use granary_sweep::SweepArguments;

impl Reaper {
    /// Asks for a sweep once a day.
    pub(crate) async fn ask_for_sweep(&self, tick: &mut Tick) -> anyhow::Result<()> {
        if !self.is_due_today(Job::SWEEP).await? {
            return Ok(());
        }
        self.ask_for(&Job::Sweep(SweepArguments {
            apply: true,
            ..SweepArguments::default()
        }))
        .await?;
        tick.sweeps_asked += 1;
        Ok(())
    }
}
