//! Live settings: what an operator may change without a deployment, within which bounds, and what it does.
//!
//! Few on purpose. Here is only what every reader takes up anew by itself, and what is harmless while functions of the old
//! and the new value run side by side for a tick. How many exporters run is AWS's (`MaximumConcurrency`), which addresses
//! are asked is the environment's. Where the ledger can't be read, nothing runs anyway.

use crate::Backoff;
use crate::migration::named;
use std::ops::RangeInclusive;
use std::time::Duration;

named! {
    /// Something that an operator may change while everything runs.
    Setting, "setting", {
        /// How often a batch is tried before it is parked.
        MaxAttempts = "maxAttempts",
        /// How many milliseconds a batch waits at most after its first failure; it doubles from there.
        RetryDelayMs = "retryDelayMs",
        /// Messages that a batch has at most.
        BatchSize = "batchSize",
        /// How many seconds the end of a window stays behind now.
        HarvestLagSeconds = "harvestLagSeconds",
    }
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::MaxAttempts,
        Self::RetryDelayMs,
        Self::BatchSize,
        Self::HarvestLagSeconds,
    ];

    /// The values that it may have: those that the environment may give it.
    pub fn range(self) -> RangeInclusive<u64> {
        match self {
            Self::MaxAttempts => 1..=100,
            Self::RetryDelayMs => 1..=600_000,
            Self::BatchSize => 1..=10_000,
            Self::HarvestLagSeconds => 0..=86_400,
        }
    }

    /// What it is where neither the environment nor an operator says anything.
    pub fn default_value(self) -> u64 {
        match self {
            Self::MaxAttempts => 5,
            Self::RetryDelayMs => 5_000,
            Self::BatchSize => 1_000,
            Self::HarvestLagSeconds => 120,
        }
    }

    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Self::MaxAttempts => "attempts",
            Self::RetryDelayMs => "milliseconds",
            Self::BatchSize => "messages",
            Self::HarvestLagSeconds => "seconds",
        }
    }

    /// From when on a change holds, and for what, for people.
    pub fn applies_to(self) -> &'static str {
        match self {
            Self::MaxAttempts => {
                "Attempts that fail from now on. What is parked stays parked, and what has had more attempts is parked when \
                 it fails the next time."
            }
            Self::RetryDelayMs => {
                "Batches that fail from now on: the delay doubles from here up to 10 minutes. Delays that have begun go on."
            }
            Self::BatchSize => {
                "Windows of the continuous migration that are read from now on, and migrations made from now on that name no \
                 size. Batches that are on record stay as they are."
            }
            Self::HarvestLagSeconds => {
                "Windows that are opened from now on. A longer lag waits for documents that become visible late, a shorter \
                 one leaves more of them to re-scans."
            }
        }
    }
}

/// The live settings that differ from the environment's. `None`: the environment decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tuning {
    /// How often a batch is tried before it is parked.
    pub attempts_max: Option<u32>,
    /// How long a batch waits at most after its first failure.
    pub retry_delay: Option<Duration>,
    /// Messages that a batch has at most.
    pub batch_size: Option<u32>,
    /// How far the end of a window stays behind now.
    pub harvest_lag: Option<Duration>,
    /// Whether the number of attempts was changed so short a time ago that batches may still have more than it says.
    pub attempts_changed_lately: bool,
}

impl Tuning {
    /// The backoff with the tuned first delay, if there is one.
    pub fn backoff(&self, of_environment: Backoff) -> Backoff {
        Backoff {
            first: self.retry_delay.unwrap_or(of_environment.first),
            ..of_environment
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_lies_within_its_range_and_a_name_means_one_setting() {
        for setting in Setting::ALL {
            assert!(setting.range().contains(&setting.default_value()), "{setting}");
            assert_eq!(setting.as_str().parse::<Setting>(), Ok(setting));
        }
    }
}
