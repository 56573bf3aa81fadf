//! Long operations that somebody asked for: what is left of a tick's minute goes into them, and no more. A tick that
//! outlasts its minute keeps the next one from taking back what dead workers hold.

use crate::config::OperationsConfig;
use crate::reap::{Reaper, Tick};
use granary_archive::Archive;
use granary_environment::Deadline;
use granary_ledger::Ledger;
use granary_operations::{Budget, Desk};
use granary_seeding::{Seeder, SeedingTarget};
use granary_source::Source;
use granary_sweep::Sweeper;
use granary_verify::{Verifier, Visibility};
use std::time::{Duration, Instant};

/// Of a tick, when its operations come to their end: what is left of its minute is for the slice in hand.
const TICK_SECS_MAX: u64 = 50;
/// However long the other steps took, so that long jobs go on.
const WORK_SECS_MIN: u64 = 5;

/// The desk of this deployment.
pub(crate) fn desk(config: OperationsConfig, ledger: &Ledger, archive: Archive) -> anyhow::Result<Desk> {
    let OperationsConfig {
        source,
        metadata,
        archive: _,
        harvest,
        rescan,
        sweep,
        verify,
        seeding,
    } = config;
    let target = SeedingTarget::of(&source, &metadata, &harvest);
    let seeder = seeding.and_then(|section| {
        // A target that can't be seeded keeps nobody from reaping.
        Seeder::new(section, target, ledger.clone(), archive.clone())
            .inspect_err(|error| tracing::warn!("test messages can't be written here: {error}"))
            .ok()
    });
    let sweeper = Sweeper::new(ledger.clone(), archive.clone(), sweep);
    let visibility = Visibility {
        lag: harvest.lag,
        horizon: rescan.horizon,
    };
    let verifier =
        Verifier::new(ledger.clone(), Source::new(source.into())?, archive, visibility).with(verify);
    Ok(Desk::new(ledger.clone(), verifier, seeder).with_sweeper(sweeper))
}

impl Reaper {
    /// Works on operations in turn until none is left or time is over. `started`: when the tick began.
    pub(crate) async fn work_on_operations(
        &self,
        deadline: Deadline,
        started: Instant,
        tick: &mut Tick,
    ) -> anyhow::Result<()> {
        let budget = Budget {
            until: deadline.within(time_left(started.elapsed())).stop(),
            messages_max: u64::MAX,
        };
        let resting = self.resting_verifications().await?;
        tick.operation_slices += self.desk.work_besides(&resting, &budget).await?.len() as u64;
        Ok(())
    }
}

/// What a tick that has lasted so long has left for operations.
fn time_left(passed: Duration) -> Duration {
    Duration::from_secs(TICK_SECS_MAX)
        .saturating_sub(passed)
        .max(Duration::from_secs(WORK_SECS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_what_the_other_steps_left_and_always_a_little() {
        let left = |passed| time_left(Duration::from_secs(passed)).as_secs();
        assert_eq!([left(0), left(20), left(44), left(45)], [50, 30, 6, 5]);
        assert_eq!([left(48), left(50), left(600)], [5, 5, 5]);
    }
}
